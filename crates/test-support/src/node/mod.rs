//! A real node of Kubernetes on this machine, in namespaces of its own: etcd, API
//! server, controllers, scheduler, kubelet, kube-proxy, kube-network-policies, CoreDNS,
//! containerd and runc.
//!
//! ```text
//!  start.sh ── namespaces, root, cgroups ──▶ init.sh ── component start NAME ──▶ …
//!      ▲ ends with its standard input               ▲
//!  [`Node`] ───────────── nsenter ──────────────────┘ kubectl, helm, component
//! ```
//!
//! The scripts are in `tests/node`, which also builds the programs and the images. The
//! node sees the repository as `/repository` and its own files as `/work`.

mod programs;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::wait::await_value;
use crate::{printed, run};

/// Its only address, which the API server and the registry serve on.
pub const ADDRESS: &str = "10.244.0.1";

/// How long a node may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A node that ends with this value, or with the test run.
pub struct Node {
    starter: Child,
    folder: PathBuf,
    /// The node's first process, as this machine sees it.
    pid: String,
}

impl Node {
    /// Starts one, with the images of these archives, and waits until it runs pods. The
    /// archives are those of `tests/node/images.sh`, and `podseal`.
    pub fn start(images: &[&str]) -> Node {
        let programs = programs::find();
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&programs.runs)
            .expect("a temporary folder")
            .keep();
        // It is made by the script, which refuses one that exists.
        std::fs::remove_dir(&folder).expect("the folder is empty");
        let log_file = folder.with_extension("log");
        let log = || {
            std::fs::File::options()
                .append(true)
                .create(true)
                .open(&log_file)
        };
        let starter = Command::new(script("start.sh"))
            .arg(&folder)
            .arg(&programs.folders)
            .arg(&programs.images)
            .args(images.iter().map(|image| programs.archive(image)))
            .stdin(Stdio::piped())
            .stdout(log().expect("a log file can be written"))
            .stderr(log().expect("a log file can be written"))
            .spawn();
        let mut node = Node {
            starter: starter.expect("bash can be started"),
            folder,
            pid: String::new(),
        };
        let log = || std::fs::read_to_string(&log_file).unwrap_or_default();
        await_value(
            "the node is ready",
            PATIENCE,
            || {
                let ended = node.starter.try_wait().expect("it can be waited for");
                assert!(ended.is_none(), "the node has ended:\n{}", log());
                node.folder.join("work/ready").exists().then_some(())
            },
            log,
        );
        let _ = std::fs::remove_file(&log_file);
        let pid = std::fs::read_to_string(node.work("pid")).expect("the node has a pid");
        node.pid = pid.trim().to_owned();
        node
    }

    /// The process that removes the node at its end, as this machine sees it.
    pub fn starter(&self) -> u32 {
        self.starter.id()
    }

    /// The node's first process, as this machine sees it.
    pub fn pid(&self) -> &str {
        &self.pid
    }

    /// A file of the node's `/work`.
    pub fn work(&self, name: &str) -> PathBuf {
        self.folder.join("work").join(name)
    }

    /// A command that runs on the node.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid])
            .args(["--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup"])
            .args(["--root", "--wdns=/repository", program])
            .env_clear()
            .env("HOME", "/root")
            .env(
                "PATH",
                "/node/scripts:/node/programs0:/node/programs1:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        command
    }

    /// Runs a command on the node, with `input` on its standard input.
    pub fn run(&self, program: &str, args: &[&str], input: &str) -> Output {
        let mut command = self.command(program);
        command.args(args);
        run(command, input)
    }

    /// What a command prints, where it succeeds.
    pub fn prints(&self, program: &str, args: &[&str]) -> String {
        self.prints_of(program, args, "")
    }

    fn prints_of(&self, program: &str, args: &[&str], input: &str) -> String {
        let command = format!("{program} {}", args.join(" "));
        printed(&command, &self.run(program, args, input))
    }

    /// What kubectl prints as the administrator, where it succeeds.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.prints("kubectl", args)
    }

    /// An object, or a list of them.
    pub fn get(&self, args: &[&str]) -> Value {
        let json = self.kubectl(&[&["get", "-o", "json"], args].concat());
        serde_json::from_str(&json).expect("kubectl prints JSON")
    }

    /// Applies manifests as the administrator.
    pub fn apply(&self, manifests: &str) {
        self.prints_of("kubectl", &["apply", "-f", "-"], manifests);
    }

    /// Creates an object as `user`, or as the administrator, and returns how kubectl
    /// ended.
    pub fn create(&self, user: Option<&str>, object: &Value) -> Output {
        // Only kubectl would download a schema first.
        let mut args = vec!["create", "--validate=ignore", "-f", "-"];
        args.extend(user.iter().flat_map(|user| ["--as", user]));
        self.run("kubectl", &args, &object.to_string())
    }

    /// Starts a component of `tests/node/component`.
    pub fn start_component(&self, name: &str) {
        self.prints("component", &["start", name]);
    }

    /// Ends a component by a signal, and waits for its end.
    pub fn stop_component(&self, name: &str, signal: &str) {
        self.prints("component", &["stop", name, signal]);
    }

    /// The last lines of a component's log.
    pub fn component_log(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.work(&format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.starter.stdin.take());
        let _ = self.starter.wait();
    }
}

/// The programs in the images, a line each: image, program, version.
pub fn image_versions() -> String {
    let file = programs::find().versions();
    std::fs::read_to_string(file).expect("the images have versions")
}

fn script(name: &str) -> PathBuf {
    Path::new(crate::ROOT).join("tests/node").join(name)
}
