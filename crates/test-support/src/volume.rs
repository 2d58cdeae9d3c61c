//! The volume of a Secret or a ConfigMap, as the kubelet updates it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A folder whose files are symlinks into `..data`, which is a symlink to a folder that is
/// replaced as a whole.
pub struct Volume {
    folder: PathBuf,
    generation: usize,
}

impl Volume {
    /// One with these files, each with its text.
    pub fn new(folder: PathBuf, files: &[(&str, &str)]) -> Volume {
        fs::create_dir_all(&folder).expect("a folder");
        let mut volume = Volume {
            folder,
            generation: 0,
        };
        volume.swap(files);
        for (name, _) in files {
            let link = volume.folder.join(name);
            symlink(Path::new("..data").join(name), link).expect("a symlink");
        }
        volume
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("a file")
    }

    /// Replaces the texts of the files.
    pub fn swap(&mut self, files: &[(&str, &str)]) {
        let old = fs::read_link(self.folder.join("..data"));
        self.generation += 1;
        let new = format!("..2026_11_22_{}", self.generation);
        fs::create_dir(self.folder.join(&new)).expect("a folder");
        for (name, text) in files {
            fs::write(self.folder.join(&new).join(name), text).expect("a file");
        }
        symlink(&new, self.folder.join("..data_tmp")).expect("a symlink");
        let renamed = fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data"));
        renamed.expect("the swap");
        if let Ok(old) = old {
            fs::remove_dir_all(self.folder.join(old)).expect("the old folder");
        }
    }
}
