//! The repository that a reader has: its pages, and a copy to work in.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{ROOT, run, text};

/// All pages of the repository.
pub fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(Path::new(ROOT).join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("names are ASCII");
            let path = folder.join(&name);
            let is_folder = entry.file_type().expect("a type").is_dir();
            if is_folder && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if Path::new(&name).extension().is_some_and(|end| end == "md") {
                pages.push(path.display().to_string());
            }
        }
    }
    pages.sort();
    pages
}

/// Copies what git knows of, and what it does not ignore, to `place`.
pub fn copy_of_the_repository(place: &Path) {
    let mut list = Command::new("git");
    list.current_dir(ROOT)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .args(["--", ".", ":!fuzz/corpus"]);
    let list = run(list, "");
    assert!(list.status.success(), "git: {}", text(&list.stderr));
    for name in text(&list.stdout).split_terminator('\0') {
        let (from, to) = (Path::new(ROOT).join(name), place.join(name));
        // git lists what was deleted and not committed, too.
        if from.is_file() {
            let folder = to.parent().expect("a file is in a folder");
            std::fs::create_dir_all(folder).expect("the folder can be made");
            std::fs::copy(from, to).expect("the file can be copied");
        }
    }
}
