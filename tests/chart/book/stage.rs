//! What the commands of a page run on: a copy of the repository, a real API
//! server, and a node that runs podseal's own Deployment.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use support::book::page::{Block, Commands, Step};
use support::book::repository::copy_of_the_repository;
use support::controlplane::{ADMIN, ControlPlane, await_condition, free_port};
use support::simulated_node::Node;
use support::tether::Tethered;
use support::{run, text};

/// How long the commands of one block may take, in seconds.
const PATIENCE: &str = "180";

/// Where the commands of one page run.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    /// Where the last block left its reader.
    place: PathBuf,
    servers: Vec<Tethered>,
    ports: Vec<(&'static str, String)>,
    // Before the control plane: what runs there ends first.
    node: Option<Node>,
    plane: Option<ControlPlane>,
}

impl Stage {
    /// One for a page of these steps.
    pub(super) fn new(steps: &[Step]) -> Stage {
        let says = |word: &str| {
            steps.iter().any(|step| match step {
                Step::Run(Commands {
                    on_a_node: false,
                    script,
                    ..
                })
                | Step::Serve { script, .. } => script.contains(word),
                Step::Run(_) | Step::Shown(_) => false,
            })
        };
        for tool in ["curl", "jq", "openssl"] {
            let is_missing = says(&format!("{tool} ")) && !is_installed(tool);
            assert!(
                !is_missing,
                "install {tool}: the page has its reader run it"
            );
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().join("podseal");
        copy_of_the_repository(&place);
        for name in ["bin", "home"] {
            std::fs::create_dir(folder.path().join(name)).expect("the folder can be written");
        }
        let bin = folder.path().join("bin");
        symlink(env!("CARGO_BIN_EXE_podseal"), bin.join("podseal")).expect("a link");
        let plane = (says("kubectl ") || says("helm ")).then(|| {
            let plane = ControlPlane::start_empty(&[]);
            // Nothing that a page does not grant: a reader's cluster has only that.
            let grants = ["delete", "clusterrolebinding", "runner", "debugger"];
            let gone = plane.kubectl(ADMIN, &grants, "");
            assert!(gone.status.success(), "{}", text(&gone.stderr));
            plane
        });
        let node = plane.as_ref().filter(|_| says("helm install"));
        let port = free_port();
        let node = node.map(|plane| Node::start(plane, "podseal"));
        if let Some(plane) = &plane {
            let tool = |name: &str| plane.program(name);
            symlink(tool("kubectl"), bin.join("kubectl")).expect("a link");
            // There is no network here by which a Service's port would be another
            // than the one that podseal listens on.
            let helm = format!(
                "#!/bin/sh\ncase $1 in\ninstall|upgrade|template) \
                 exec '{helm}' \"$@\" --set service.port={port};;\n*) exec '{helm}' \"$@\";;\nesac\n",
                helm = tool("helm").display(),
            );
            let shim = bin.join("helm");
            std::fs::write(&shim, helm).expect("the folder can be written");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(shim, executable).expect("a mode");
        }
        let ports = ["8443", "8080"].map(|port| (port, free_port().to_string()));
        Stage {
            folder,
            place,
            servers: Vec::new(),
            ports: ports.into(),
            node,
            plane,
        }
    }

    /// Nothing that ran here may have gone wrong unseen.
    pub(super) fn end(&self) {
        if let Some(node) = &self.node {
            node.check();
        }
    }

    /// Does what the page says, or tells how it differs.
    pub(super) fn act(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Shown(block) => parses(block),
            Step::Serve { line, script } => self.serve(*line, script),
            // `tests/e2e/book.rs` runs these.
            Step::Run(commands) if commands.on_a_node => Ok(()),
            Step::Run(commands) => {
                let (code, printed) = self.run(&commands.script);
                commands.check(code, &printed)
            }
        }
    }

    /// The exit code, and all that was printed.
    fn run(&mut self, script: &str) -> (Option<i32>, String) {
        let place = self.folder.path().join("place");
        let script = format!(
            "exec 2>&1\ntrap 'pwd > {}' EXIT\n{}",
            place.display(),
            self.with_free_ports(script)
        );
        let mut command = self.shell("timeout");
        command.args([PATIENCE, "bash", "-euo", "pipefail", "-c", &script]);
        let output = run(command, "");
        if let Ok(place) = std::fs::read_to_string(place) {
            self.place = PathBuf::from(place.trim_end());
        }
        (output.status.code(), text(&output.stdout).to_owned())
    }

    /// Starts what goes on running, and waits until it says that it serves.
    fn serve(&mut self, line: usize, script: &str) -> Result<(), String> {
        let place = self.place.display();
        let script = format!("cd {place}\n{}", self.with_free_ports(script));
        let log = self.folder.path().join(format!("{line}.log"));
        let mut command = self.shell("bash");
        command.args(["-euo", "pipefail", "-c", &script]);
        self.servers.push(Tethered::start(&command, &log, None));
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        await_condition("it serves", || said().contains("serving"), said);
        Ok(())
    }

    /// A page names the usual ports; another program may have them here.
    fn with_free_ports(&self, script: &str) -> String {
        let ports = self.ports.iter();
        ports.fold(script.to_owned(), |script, (usual, free)| {
            script.replace(usual, free)
        })
    }

    fn shell(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut path = folder.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command
            .current_dir(&self.place)
            .env("PATH", path)
            .env("HOME", folder.join("home"))
            .env_remove("KUBECONFIG");
        if let Some(plane) = &self.plane {
            command.env("KUBECONFIG", plane.kubeconfig(ADMIN));
        }
        command
    }
}

/// Whether a program is in the PATH.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether the text is in the language that it is said to be in.
fn parses(block: &Block) -> Result<(), String> {
    let wrong = |error: String| Err(format!("line {}: {error}", block.line));
    match block.language.as_str() {
        "toml" => toml::from_str::<toml::Table>(&block.text)
            .map(drop)
            .or_else(|error| wrong(error.to_string())),
        "yaml" => serde_saphyr::from_multiple::<serde_json::Value>(&block.text)
            .map(drop)
            .or_else(|error| wrong(error.to_string())),
        "json" => serde_json::from_str::<serde_json::Value>(&block.text)
            .map(drop)
            .or_else(|error| wrong(error.to_string())),
        "sh" | "text" | "promql" | "jq" | "diff" => Ok(()),
        language => wrong(format!("nobody reads {language} here")),
    }
}
