//! The device, and whether the node has it.

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The path of the device on the node, and in containers.
pub(super) const PATH: &str = "/dev/fuse";
/// The device number, 10:229 (Linux, `Documentation/admin-guide/devices.txt`), as `stat`
/// returns it.
const NUMBER: u64 = (10 << 8) | 229;

/// Where to see whether the node has the device: in the node's `/dev`, which may be
/// mounted at another path.
#[derive(Debug, Clone)]
pub struct Device {
    folder: PathBuf,
}

/// Whether the node has the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// It has.
    Present,
    /// There is no such file.
    Missing,
    /// There is another file.
    Other,
    /// The file cannot be looked at.
    Unreadable(io::ErrorKind),
}

impl Device {
    /// The device in `folder`, the node's `/dev`.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn of(folder: &Path) -> io::Result<Device> {
        std::fs::read_dir(folder)?;
        Ok(Device {
            folder: folder.to_owned(),
        })
    }

    /// The node's `/dev`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the device, without opening it: that would need access to it.
    pub(super) fn state(&self) -> DeviceState {
        match std::fs::symlink_metadata(self.folder.join("fuse")) {
            Ok(file) if file.file_type().is_char_device() && file.rdev() == NUMBER => {
                DeviceState::Present
            }
            Ok(_) => DeviceState::Other,
            Err(error) if error.kind() == io::ErrorKind::NotFound => DeviceState::Missing,
            Err(error) => DeviceState::Unreadable(error.kind()),
        }
    }
}

impl DeviceState {
    /// Whether containers can get the device.
    pub fn is_present(self) -> bool {
        self == DeviceState::Present
    }
}

/// What is wrong, and how to fix it.
impl fmt::Display for DeviceState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceState::Present => write!(formatter, "the node has {PATH}"),
            DeviceState::Missing => write!(
                formatter,
                "the node has no {PATH}; to fix this, run `modprobe fuse` on the node, and name the module \
                 in /etc/modules-load.d"
            ),
            DeviceState::Other => write!(
                formatter,
                "the node's {PATH} is not the character device 10:229; to fix this, remove it, and run \
                 `mknod -m 666 {PATH} c 10 229` on the node"
            ),
            DeviceState::Unreadable(error) => write!(
                formatter,
                "cannot look at the node's {PATH}: {error}; the folder of --node-dev must be the node's /dev"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_character_device_is_the_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = Device::of(folder.path()).expect("it is there");
        assert_eq!(device.state(), DeviceState::Missing);
        let file = folder.path().join("fuse");
        std::fs::write(&file, "").expect("a file");
        assert_eq!(device.state(), DeviceState::Other);
        std::fs::remove_file(&file).expect("it is there");
        // Another character device, as every machine has one; and by a link.
        std::os::unix::fs::symlink("/dev/null", &file).expect("a link");
        assert_eq!(device.state(), DeviceState::Other);
        let missing = Device::of(&folder.path().join("dev"));
        assert!(missing.is_err(), "{missing:?}");
    }

    #[test]
    fn each_problem_says_how_to_fix_it() {
        assert!(DeviceState::Missing.to_string().contains("`modprobe fuse`"));
        assert!(DeviceState::Other.to_string().contains("`mknod "));
        let unreadable = DeviceState::Unreadable(io::ErrorKind::PermissionDenied).to_string();
        assert!(unreadable.contains("permission denied; "), "{unreadable}");
    }
}
