//! Reads the profiles of a folder: one per file, `*.yaml` or `*.yml`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use admission::lint::Severity;
use admission::lint::files;
use admission::lint::files::{ProfileFile, Remark};
use admission::profile::{ProfileError, Profiles};

/// The maximum size of a file, which no valid profile reaches.
const MOST: u64 = 128 * 1024;
/// The maximum number of files.
const FILES: usize = 1000;

/// A folder of profiles.
#[derive(Debug, Clone)]
pub struct ProfileFolder {
    path: PathBuf,
}

/// Why a folder of profiles cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFolderError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The folder, or the file in it.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Some files cannot be used.
    #[error("{}", lines(.0))]
    Wrong(Vec<Remark>),
    /// A namespace rule names a profile that is missing.
    #[error("{0}")]
    Missing(String),
}

/// The text of a file, up to the maximum size.
fn text(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        io::Error::other(format!("not UTF-8 after {valid} bytes"))
    })
}

fn lines(remarks: &[Remark]) -> String {
    let errors = remarks
        .iter()
        .filter(|remark| remark.severity == Severity::Error);
    let lines: Vec<_> = errors.map(ToString::to_string).collect();
    lines.join("\n")
}

impl ProfileFolder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> ProfileFolder {
        ProfileFolder { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files, by name, without those that begin with a dot: ConfigMap volumes have
    /// internal ones.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn files(&self) -> Result<Vec<ProfileFile>, ProfileFolderError> {
        let unreadable = |path: &Path| {
            let path = path.display().to_string();
            |error| ProfileFolderError::Unreadable { path, error }
        };
        // A ConfigMap volume is replaced as a whole, by a symlink. Resolves it once, so
        // that all files are of the same version.
        let data = std::fs::canonicalize(self.path.join("..data"));
        let folder = match data.or_else(|_| std::fs::canonicalize(&self.path)) {
            Ok(folder) => folder,
            Err(error) => return Err(unreadable(&self.path)(error)),
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable(&self.path))? {
            let path = entry.map_err(unreadable(&self.path))?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            let is_yaml = path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "yml");
            if is_yaml && !is_hidden {
                paths.push(path);
            }
            if paths.len() > FILES {
                let many = io::Error::other(format!("more than {FILES} files"));
                return Err(unreadable(&self.path)(many));
            }
        }
        paths.sort();
        let read = |path: PathBuf| {
            // The path from the command line, not the resolved one.
            let name = path.file_name().map_or_else(PathBuf::new, PathBuf::from);
            let shown = self.path.join(name);
            let text = text(&path).map_err(unreadable(&shown))?;
            let name = shown.display().to_string();
            Ok(ProfileFile { name, text })
        };
        paths.into_iter().map(read).collect()
    }

    /// The built-in profiles and those of `files`, and remarks on them.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn parse(files: &[ProfileFile]) -> Result<(Profiles, Vec<Remark>), ProfileFolderError> {
        files::read(files).map_err(ProfileFolderError::Wrong)
    }
}

/// Logs warnings about profiles that are used.
pub fn log_warnings(remarks: Vec<Remark>) {
    for remark in remarks {
        let warning = remark.to_string();
        match remark.severity {
            Severity::Deprecation => {
                tracing::warn!(warning, "a profile has a deprecated field or name")
            }
            _ => tracing::warn!(warning, "a profile is unlikely to work"),
        }
    }
}

/// An error of a whole file.
fn whole(file: String, message: String) -> Remark {
    Remark {
        file,
        severity: Severity::Error,
        error: ProfileError {
            position: None,
            message,
        },
    }
}

impl ProfileFolderError {
    /// The first error, and the number of others, as one line.
    pub fn first(&self) -> String {
        let ProfileFolderError::Wrong(remarks) = self else {
            return self.to_string();
        };
        let mut errors = remarks
            .iter()
            .filter(|remark| remark.severity == Severity::Error);
        let first = errors.next().map(ToString::to_string).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default().to_owned();
        match errors.count() {
            0 => first,
            more => format!("{first}; and {more} more"),
        }
    }

    /// All errors.
    pub fn remarks(self) -> Vec<Remark> {
        match self {
            ProfileFolderError::Wrong(remarks) => remarks,
            ProfileFolderError::Unreadable { path, error } => {
                vec![whole(path, format!("cannot be read: {error}"))]
            }
            ProfileFolderError::Missing(message) => vec![whole("the folder".to_owned(), message)],
        }
    }
}
