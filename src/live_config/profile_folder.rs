//! Reads the profiles of a folder: one file a profile, `*.yaml` or `*.yml`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use admission::lint::Severity;
use admission::lint::files;
use admission::lint::files::{ProfileFile, Remark};
use admission::profile::{ProfileError, Profiles};

/// Longer files are not read to their end: no profile has so many bytes.
const MOST: u64 = 128 * 1024;
/// How many files are read.
const FILES: usize = 1000;

/// A folder of profiles.
#[derive(Debug, Clone)]
pub struct ProfileFolder {
    path: PathBuf,
}

/// Why a folder gives no profiles.
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
    /// Some of the files are no profiles.
    #[error("{}", lines(.0))]
    Wrong(Vec<Remark>),
    /// A namespace rule asks for a profile that they have not.
    #[error("{0}")]
    Missing(String),
}

/// The text of a file; the beginning of one that is too long for a profile.
fn text(path: &Path) -> io::Result<String> {
    // Opening a pipe waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        io::Error::other(format!("it is not UTF-8 after {valid} bytes"))
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files, by name. One that begins with a dot is none of them: a
    /// ConfigMap's volume keeps its own there.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn files(&self) -> Result<Vec<ProfileFile>, ProfileFolderError> {
        let unreadable = |path: &Path| {
            let path = path.display().to_string();
            |error| ProfileFolderError::Unreadable { path, error }
        };
        // A ConfigMap's volume changes as a whole, by a link: following it for each
        // file could read some of one version and some of the next.
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
                let many = io::Error::other(format!("it has more than {FILES} files"));
                return Err(unreadable(&self.path)(many));
            }
        }
        paths.sort();
        let read = |path: PathBuf| {
            // As its owner calls it, not where links lead.
            let name = path.file_name().map_or_else(PathBuf::new, PathBuf::from);
            let shown = self.path.join(name);
            let text = text(&path).map_err(unreadable(&shown))?;
            let name = shown.display().to_string();
            Ok(ProfileFile { name, text })
        };
        paths.into_iter().map(read).collect()
    }

    /// The profiles of `files` besides the built-in ones, and remarks on them.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn parse(files: &[ProfileFile]) -> Result<(Profiles, Vec<Remark>), ProfileFolderError> {
        files::read(files).map_err(ProfileFolderError::Wrong)
    }
}

/// Logs what there is to say of profiles that are used all the same.
pub fn log_warnings(remarks: Vec<Remark>) {
    for remark in remarks {
        let warning = remark.to_string();
        match remark.severity {
            Severity::Deprecation => tracing::warn!(warning, "a profile has a deprecated field"),
            _ => tracing::warn!(warning, "a profile is unlikely to work"),
        }
    }
}

/// What is wrong with a file as a whole.
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
    /// The first of what is wrong, and how much more there is: a line.
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

    /// Each of what is wrong.
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
