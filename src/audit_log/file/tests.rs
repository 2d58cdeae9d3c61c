//! Where a file is rotated, and what it is appended to.

use super::*;

fn rotation(max_size: u64, max_backups: usize) -> Rotation {
    Rotation {
        max_size,
        max_backups,
    }
}

/// The files of the folder, by name, and what is in them.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a text");
            (name.into_owned(), text)
        })
        .collect();
    all.sort();
    all
}

fn texts(folder: &Path) -> Vec<String> {
    let contents = contents(folder).into_iter();
    contents.map(|(_, text)| text).collect()
}

#[test]
fn a_file_is_rotated_between_lines_and_the_oldest_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/audit.log");
    let mut file = RotatedFile::open(&path, rotation(10, 2)).expect("a file");
    let foreign = path.with_file_name("audit-of-others.log");
    std::fs::write(&foreign, "kept").expect("a file");
    for lines in ["1\n2\n3\n4\n5\n6\n", "7\n", "a line of its own\n", "8\n9\n"] {
        file.write_all(lines.as_bytes()).expect("it is written");
    }
    let folder = foreign.parent().expect("a folder");
    // The first five lines were the oldest file.
    let kept = ["6\n7\n", "a line of its own\n", "kept", "8\n9\n"];
    assert_eq!(texts(folder), kept);
    let (backup, _) = &contents(folder)[0];
    assert_eq!(backup.len(), "audit-2026-11-30T04-48-15.000.log".len());
}

#[test]
fn a_file_is_appended_to_after_whole_lines_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit");
    std::fs::write(&path, "1\nkil").expect("a file");
    let mut file = RotatedFile::open(&path, rotation(0, 0)).expect("a file");
    file.write_all(b"2\n").expect("it is written");
    assert_eq!(texts(folder.path()), ["1\nkil\n2\n"]);
    // It is too large for a smaller limit.
    let mut file = RotatedFile::open(&path, rotation(9, 1)).expect("a file");
    file.write_all(b"3\n").expect("it is written");
    assert_eq!(texts(folder.path()), ["3\n", "1\nkil\n2\n"]);
}

#[test]
fn a_rotation_that_failed_is_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let mut file = RotatedFile::open(&path, rotation(2, 1)).expect("a file");
    file.write_all(b"1\n").expect("it is written");
    // As after an attempt that renamed the file, and could not create the next.
    let old = file.backup_path(Timestamp::UNIX_EPOCH);
    std::fs::rename(&path, old).expect("it is renamed");
    file.write_all(b"2\n").expect("it is written");
    assert_eq!(texts(folder.path()), ["1\n", "2\n"]);
}

#[test]
fn the_newest_is_kept_though_the_clock_was_set_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let mut file = RotatedFile::open(&path, rotation(2, 1)).expect("a file");
    let later = Timestamp::now() + 1.hour();
    std::fs::write(file.backup_path(later), "old\n").expect("a file");
    for line in ["1\n", "2\n", "3\n"] {
        file.write_all(line.as_bytes()).expect("it is written");
    }
    assert_eq!(texts(folder.path()), ["2\n", "3\n"]);
}

#[test]
fn records_are_written_where_a_rotation_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inner/audit.log");
    let mut file = RotatedFile::open(&path, rotation(2, 1)).expect("a file");
    let again = folder.path().join("audit.log");
    std::fs::hard_link(&path, &again).expect("another name");
    std::fs::remove_dir_all(folder.path().join("inner")).expect("it is removed");
    for line in ["1\n", "2\n", "3\n"] {
        file.write_all(line.as_bytes()).expect("it is written");
    }
    assert_eq!(texts(folder.path()), ["1\n2\n3\n"]);
}

#[test]
fn what_cannot_be_removed_keeps_no_other_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let mut file = RotatedFile::open(&path, rotation(2, 1)).expect("a file");
    let oldest = file.backup_path(Timestamp::UNIX_EPOCH);
    std::fs::create_dir(&oldest).expect("a folder");
    for line in ["1\n", "2\n", "3\n", "4\n"] {
        file.write_all(line.as_bytes()).expect("it is written");
    }
    std::fs::remove_dir(oldest).expect("it is still there");
    assert_eq!(texts(folder.path()), ["3\n", "4\n"]);
}
