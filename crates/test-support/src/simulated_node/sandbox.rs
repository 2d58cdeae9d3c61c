//! What a container sees of its machine: a root filesystem with the program, the
//! C library, its volumes and its service account, and nothing else; its user;
//! its environment. podseal then finds the API server as in a pod.
//!
//! The network is the host's, and the process has no limits.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Makes the root in a mount namespace of its own, which ends with the process.
const MAKE: &str = r#"
set -e
root=$1 folder=$2 program=$3 mode=$4; shift 4
mount -t tmpfs -o mode=755 none "$root"
mkdir "$root/etc"
cp "$folder/hosts" "$root/etc/hosts"
echo "hosts: files" >"$root/etc/nsswitch.conf"
: >"$root/podseal"
mount --bind "$program" "$root/podseal"
while read -r from to; do
  mkdir -p "$root$to"
  mount --bind "$from" "$root$to"
done <"$folder/mounts"
for name in bin lib lib64 usr proc dev; do
  if [ -L "/$name" ]; then
    ln -s "$(readlink "/$name")" "$root/$name"
  elif [ -d "/$name" ]; then
    mkdir -p "$root/$name"
    mount --rbind "/$name" "$root/$name"
  fi
done
if [ "$mode" = ro ]; then mount -o remount,ro "$root"; fi
exec chroot "$@" >&2
"#;

/// Without a root of its own; nothing may be lost with the standard output.
const BARE: &str = r#"exec "$@" >&2"#;

/// How a process gets a root of its own here.
enum Way {
    /// As root, who can run it as another user.
    Root,
    /// As root of a user namespace.
    UserNamespace,
    /// Not at all.
    Bare,
}

/// A container, before it runs.
pub(super) struct Container<'a> {
    /// For its root, and what that is made from.
    pub(super) folder: &'a Path,
    /// Folders of this machine, and where it sees them.
    pub(super) mounts: &'a [(PathBuf, String)],
    /// Names that lead to this host.
    pub(super) hosts: &'a [String],
    pub(super) env: &'a [(String, String)],
    pub(super) args: &'a [String],
    /// The fields that count, of the container or the pod.
    pub(super) user: Option<u64>,
    pub(super) group: Option<u64>,
    pub(super) is_read_only: bool,
    /// How a process finds the API server that is in no root of its own.
    pub(super) kubeconfig: &'a Path,
}

impl Container<'_> {
    /// The command that runs the program in it.
    pub(super) fn command(&self) -> Command {
        self.command_by(way())
    }

    fn command_by(&self, way: &Way) -> Command {
        let program = &crate::program();
        if let Way::Bare = way {
            let mut command = Command::new("env");
            command.args(["-i", "sh", "-c", BARE, "bare", "env"]);
            command.args(self.env.iter().map(|(key, value)| format!("{key}={value}")));
            command.arg(format!("KUBECONFIG={}", self.kubeconfig.display()));
            command.arg(program);
            command.args(self.args.iter().map(|arg| self.on_this_machine(arg)));
            return command;
        }
        self.write_files();
        let root = self.folder.join("root");
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if let Way::UserNamespace = way {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", MAKE, "make"]);
        command.args([&root, self.folder, program]);
        command.arg(if self.is_read_only { "ro" } else { "rw" });
        if let (Way::Root, Some(user)) = (way, self.user) {
            let group = self.group.unwrap_or(0);
            command.arg(format!("--userspec={user}:{group}"));
        }
        command.arg(&root).args(["/usr/bin/env", "-i"]);
        command.args(self.env.iter().map(|(key, value)| format!("{key}={value}")));
        command.arg("/podseal").args(self.args);
        command
    }

    fn write_files(&self) {
        let write = |name: &str, text: String| {
            std::fs::write(self.folder.join(name), text).expect("the folder can be written");
        };
        let hosts = format!("127.0.0.1 localhost {}\n", self.hosts.join(" "));
        write("hosts", hosts);
        let line = |(from, to): &(PathBuf, String)| format!("{} {to}\n", from.display());
        write("mounts", self.mounts.iter().map(line).collect());
        std::fs::create_dir_all(self.folder.join("root")).expect("the folder can be written");
    }

    /// An argument that names a file of a volume.
    fn on_this_machine(&self, arg: &str) -> String {
        let mut arg = arg.to_owned();
        for (from, to) in self.mounts {
            arg = arg.replace(&format!("{to}/"), &format!("{}/", from.display()));
        }
        arg
    }
}

/// Whether this machine permits a root of its own.
pub(super) fn isolates() -> bool {
    !matches!(way(), Way::Bare)
}

/// What this machine permits.
fn way() -> &'static Way {
    static WAY: OnceLock<Way> = OnceLock::new();
    WAY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let works = |way: &Way| {
            let container = Container {
                folder: folder.path(),
                mounts: &[],
                hosts: &[],
                env: &[],
                args: &["--version".to_owned()],
                user: Some(65532),
                group: Some(65532),
                is_read_only: true,
                kubeconfig: Path::new(""),
            };
            let mut command = container.command_by(way);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if works(&Way::Root) {
            return Way::Root;
        }
        if works(&Way::UserNamespace) {
            return Way::UserNamespace;
        }
        eprintln!(
            "the node: no mount namespaces here (unshare --mount); podseal gets its service \
             account's token by a kubeconfig, and names of Services lead nowhere"
        );
        Way::Bare
    })
}

/// The container's own value, or its pod's.
pub(super) fn security<'p>(spec: &'p Value, container: &'p Value, field: &str) -> &'p Value {
    match &container["securityContext"][field] {
        Value::Null => &spec["securityContext"][field],
        own => own,
    }
}
