//! The file of `--audit-log-path`, which is rotated as kube-apiserver rotates its own: at a
//! size, to `NAME-TIME.EXTENSION` next to it, of which a number is kept.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// What the time in a name looks like: every `0` is a digit.
const TIME: &str = "0000-00-00T00-00-00.000";
const FORMAT: &str = "%Y-%m-%dT%H-%M-%S.%3f";

/// When to rotate, and what to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The size of a file, in bytes; 0 if it is not rotated.
    pub max_size: u64,
    /// How many old files are kept; 0 if all of them.
    pub max_backups: usize,
}

/// A file of lines, in which each line is whole.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// Whether the last line is not whole yet.
    is_mid_line: bool,
    /// Whether it never will be, because its writer was killed.
    is_cut: bool,
    /// Whether the last rotation failed.
    has_failed_to_rotate: bool,
}

impl RotatedFile {
    /// Opens the file, to append to it. Creates it and its folders where they do not exist,
    /// for this user alone.
    ///
    /// # Errors
    /// It cannot be opened, or created.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<RotatedFile> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let file = append_to(path)?;
        let metadata = file.metadata()?;
        let mut opened = RotatedFile {
            path: path.to_owned(),
            // A device or a pipe has no size.
            rotation: match metadata.is_file() {
                true => rotation,
                false => Rotation {
                    max_size: 0,
                    max_backups: 0,
                },
            },
            file,
            size: metadata.len(),
            is_mid_line: false,
            is_cut: false,
            has_failed_to_rotate: false,
        };
        if metadata.is_file() {
            opened.is_cut = opened.ends_within_a_line()?;
            opened.remove_old();
        }
        Ok(opened)
    }

    fn ends_within_a_line(&self) -> io::Result<bool> {
        if self.size == 0 {
            return Ok(false);
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }

    /// Ends the line in which an earlier process was killed. Where there is no space for
    /// that, it is tried again with the next line.
    fn end_cut_line(&mut self) -> io::Result<()> {
        if self.is_cut {
            self.file.write_all(b"\n")?;
            self.size += 1;
            self.is_cut = false;
        }
        Ok(())
    }

    /// How many of these bytes belong into this file: the rest of a line, or whole lines.
    /// None if there is space for none.
    fn part_for_this_file(&self, lines: &[u8]) -> Option<usize> {
        let is_end = |byte: &u8| *byte == b'\n';
        let first_line = || {
            lines
                .iter()
                .position(is_end)
                .map_or(lines.len(), |end| end + 1)
        };
        let max_size = self.rotation.max_size;
        if max_size == 0 {
            return Some(lines.len());
        }
        if self.is_mid_line {
            return Some(first_line());
        }
        let space = usize::try_from(max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let fitting = &lines[..space.min(lines.len())];
        match fitting.iter().rposition(is_end) {
            Some(end) => Some(end + 1),
            // A file takes at least one line.
            None if self.size == 0 => Some(first_line()),
            None => None,
        }
    }

    /// Rotates, or keeps the file: a record in a file that is too large is better than none.
    fn rotate_or_append(&mut self) {
        let rotated = self.rotate();
        let had_failed = std::mem::replace(&mut self.has_failed_to_rotate, rotated.is_err());
        if let (Err(error), false) = (rotated, had_failed) {
            let path = self.path.display();
            tracing::error!(%path, %error, "cannot rotate the audit log, which grows until it works");
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        match std::fs::rename(&self.path, self.free_backup_path()) {
            // An earlier attempt renamed it, or another process removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = append_to(&self.path)?;
        self.size = self.file.metadata()?.len();
        self.remove_old();
        Ok(())
    }

    /// Where to rename the file to: after all others by its name, also if the clock was set
    /// back. Old files are never overwritten.
    fn free_backup_path(&self) -> PathBuf {
        let newest = self.backups().unwrap_or_default().into_iter().max();
        let after = newest.and_then(|path| {
            let name = path.file_name()?.to_str()?;
            let begin = self.name_parts().0.len() + 1;
            let time = name.get(begin..begin + TIME.len())?;
            let time = DateTime::strptime(FORMAT, time).ok()?;
            let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
            time.checked_add(1.millisecond()).ok()
        });
        let mut time = Timestamp::now().max(after.unwrap_or(Timestamp::MIN));
        loop {
            let path = self.backup_path(time);
            if !path.exists() {
                return path;
            }
            time += 1.millisecond();
        }
    }

    fn backup_path(&self, time: Timestamp) -> PathBuf {
        let (stem, extension) = self.name_parts();
        let time = time.strftime(FORMAT);
        self.path
            .with_file_name(format!("{stem}-{time}{extension}"))
    }

    /// The file's name before and from the last dot.
    fn name_parts(&self) -> (String, String) {
        let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        let extension = self.path.extension().map(text);
        (
            self.path.file_stem().map(text).unwrap_or_default(),
            extension.map(|text| format!(".{text}")).unwrap_or_default(),
        )
    }

    /// Removes the oldest files beyond those to keep. What cannot be removed is logged only:
    /// the records are written.
    fn remove_old(&self) {
        if self.rotation.max_backups == 0 {
            return;
        }
        let removed = self.backups().and_then(|mut backups| {
            // Their names sort by time.
            backups.sort();
            let excess = backups.len().saturating_sub(self.rotation.max_backups);
            let removed = backups[..excess].iter().map(std::fs::remove_file);
            // One that cannot be removed keeps none of the others.
            removed.fold(Ok(()), Result::and)
        });
        if let Err(error) = removed {
            let path = self.path.display();
            tracing::warn!(%path, %error, "cannot remove old audit logs");
        }
    }

    fn backups(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name_parts();
        let is_backup = |name: &str| {
            let time = name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(&extension));
            time.is_some_and(is_time)
        };
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(is_backup) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn is_time(text: &str) -> bool {
    let is_alike = |(have, want): (u8, u8)| match want {
        b'0' => have.is_ascii_digit(),
        want => have == want,
    };
    text.len() == TIME.len() && text.bytes().zip(TIME.bytes()).all(is_alike)
}

impl Write for RotatedFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.end_cut_line()?;
        let part = match self.part_for_this_file(lines) {
            Some(part) => part,
            None => {
                self.rotate_or_append();
                self.part_for_this_file(lines).unwrap_or(lines.len())
            }
        };
        let written = self.file.write(&lines[..part])?;
        self.size += written as u64;
        if let Some(last) = lines[..written].last() {
            self.is_mid_line = *last != b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
