//! What a node is made of, built where it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{controlplane, text};

/// The folders of a node.
#[derive(Clone)]
pub(super) struct Programs {
    /// Those with programs, with colons between.
    pub(super) folders: String,
    /// That with the archives of images.
    pub(super) images: PathBuf,
    /// Its folder with those of the current state of `images.sh`.
    pub(super) current: String,
    /// That in which nodes run.
    pub(super) runs: PathBuf,
}

impl Programs {
    /// The file with the versions of what is in the images.
    pub(super) fn versions(&self) -> PathBuf {
        self.images.join(&self.current).join("versions")
    }

    /// The file of an archive, in the folder of all.
    pub(super) fn archive(&self, name: &str) -> String {
        // podseal's own changes with every commit, the others hardly ever.
        match name {
            "podseal" => "podseal.tar".to_owned(),
            _ => format!("{}/{name}.tar", self.current),
        }
    }
}

/// Finds them, and builds what is missing.
pub(super) fn find() -> Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    let find = || {
        let programs = built_by("build.sh");
        // Else the tests would run the podseal of an earlier change.
        built_by("podseal-image.sh");
        let images = built_by("images.sh");
        let runs = programs.parent().expect("it is in a folder").join("runs");
        std::fs::create_dir_all(&runs).expect("the folder can be made");
        Programs {
            folders: format!(
                "{}:{}",
                programs.display(),
                controlplane::binaries().display()
            ),
            current: crate::text(images.file_name().expect("a name").as_encoded_bytes()),
            images: images.parent().expect("it is in a folder").to_owned(),
            runs,
        }
    };
    PROGRAMS.get_or_init(find).clone()
}

/// The folder that a script prints.
fn built_by(name: &str) -> PathBuf {
    let mut command = Command::new(super::script(name));
    command.stderr(Stdio::inherit());
    let output = command.output().expect("bash can be started");
    assert!(output.status.success(), "tests/node/{name} failed");
    Path::new(text(&output.stdout).trim()).to_owned()
}
