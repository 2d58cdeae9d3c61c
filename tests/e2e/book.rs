//! The pages with commands that need a kubelet, each done from its top on a node of
//! its own. `tests/chart/book` does all pages, without these commands.

use std::path::Path;

use support::book::page::{Commands, Step, steps};
use support::book::repository::{copy_of_the_repository, pages};
use support::node::Node;
use support::{ROOT, run, text};
use tokio::sync::Semaphore;

use crate::site::Turn;

/// How long the commands of one block may take, in seconds.
const PATIENCE: &str = "180";

/// A node for each page is enough to keep this machine busy.
static PAGES_AT_ONCE: Semaphore = Semaphore::const_new(1);

/// One test for each page, with the images that its pods have, and what is tried
/// after the page.
macro_rules! pages {
    ($($name:ident: $path:literal, $images:expr $(, $then:path)?;)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test]
        fn $name() {
            read($path, &$images, &[$($then)?]);
        })*
    };
}

pages! {
    alerts: "docs/alerts.md", ["pause", "podseal"];
    audit_log: "docs/audit-log.md", ["pause", "podseal"];
    docker_dind: "docs/docker-dind.md", ["pause", "podseal"];
    nodes: "docs/nodes.md", ["pause", "podseal", "trixie"], builds_under_its_seccomp_profile;
    operations: "docs/operations.md", ["pause", "podseal"];
    probe: "docs/probe.md", ["pause", "podseal"];
    quick_start: "docs/quick-start.md", ["pause", "podseal", "trixie"];
    troubleshooting: "docs/troubleshooting.md", ["pause", "podseal"];
    which_profile: "docs/which-profile.md", ["pause", "podseal"];
}

#[test]
fn no_page_with_commands_for_a_node_is_left_out() {
    let needs_a_node = |page: &String| {
        let steps = steps_of(page);
        let mut steps = steps.iter();
        steps.any(|step| matches!(step, Step::Run(commands) if commands.on_a_node))
    };
    let found: Vec<_> = pages().into_iter().filter(needs_a_node).collect();
    assert_eq!(found, PAGES);
}

fn steps_of(page: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(page)).expect("the page is there");
    steps(&text).unwrap_or_else(|error| panic!("{page}, {error}"))
}

fn read(page: &str, images: &[&str], then: &[fn(&mut Reader)]) {
    let steps = steps_of(page);
    let _turn = Turn::in_queue(Some(&PAGES_AT_ONCE));
    let mut reader = Reader::new(Node::start(images));
    for step in &steps {
        match step {
            Step::Run(commands) => {
                let outcome = reader.follow(commands);
                outcome.unwrap_or_else(|error| panic!("{page}, {error}"));
            }
            Step::Serve { line, .. } => panic!("{page}, line {line}: `serves` is not for a node"),
            Step::Shown(_) => {}
        }
    }
    for check in then {
        check(&mut reader);
    }
}

/// With a step that runs a program, which the job of the example lacks.
const CONTAINERFILE: &str =
    r#"printf "FROM scratch\\nCOPY busybox /\\nRUN [\\"/busybox\\", \\"true\\"]\\n""#;

/// Podman cannot start under the runtime's default profile, and builds under the one
/// that the page has its reader make.
fn builds_under_its_seccomp_profile(reader: &mut Reader) {
    reader.prints(
        "kubectl create namespace builds
         kubectl label namespace builds podseal.io/profile=rootless
         kubectl wait --for=create --namespace builds serviceaccount/default",
    );
    let mut log = |pod: &str, profile: &str| {
        let path = "{.status.containerStatuses[0].state.terminated.reason}";
        reader.prints(&format!(
            "sed 's|IMAGE|node.test/podman-stable:trixie|
                  s|name: real|name: {pod}|
                  s|^  restartPolicy:|  securityContext: {{seccompProfile: {profile}}}\\n&|
                  s|^      printf .*|      cp /bin/busybox .\\n      {CONTAINERFILE} >Containerfile|' \
                 examples/build.yaml | kubectl create --namespace builds -f -
             kubectl wait --namespace builds pod/{pod} --for=jsonpath='{path}' --timeout=120s
             kubectl logs --namespace builds {pod}"
        ))
    };
    let default = log("default", "{type: RuntimeDefault}");
    let expected = "cannot clone: Operation not permitted";
    assert!(default.contains(expected), "no {expected:?} in {default}");
    let ours = log(
        "ours",
        "{type: Localhost, localhostProfile: profiles/podman.json}",
    );
    let expected = "podman build passed as uid 1000";
    assert!(ours.contains(expected), "no {expected:?} in {ours}");
}

/// Who follows a page: the administrator of a node, in a copy of the repository.
struct Reader {
    node: Node,
    /// Where the last block left the reader, as the node sees it.
    place: String,
}

impl Reader {
    fn new(node: Node) -> Reader {
        copy_of_the_repository(&node.work("book/podseal"));
        let bin = node.work("book/bin");
        std::fs::create_dir(&bin).expect("the node's folder can be written");
        std::fs::copy(support::program(), bin.join("podseal")).expect("podseal can be copied");
        Reader {
            node,
            place: "/work/book/podseal".to_owned(),
        }
    }

    /// Does what the page says, or returns how it differs.
    fn follow(&mut self, commands: &Commands) -> Result<(), String> {
        let mut script = commands.script.clone();
        if let Some((word, command)) = &commands.word {
            let (code, printed) = self.run(command);
            if code != Some(0) || printed.trim().is_empty() {
                return Err(format!("{word}: exit {code:?} of {command}\n{printed}"));
            }
            script = script.replace(word, printed.trim());
        }
        let (code, printed) = self.run(&script);
        commands.check(code, &printed)
    }

    /// What is printed, where all of it succeeds.
    fn prints(&mut self, script: &str) -> String {
        let (code, printed) = self.run(script);
        assert_eq!(code, Some(0), "{script}\n{printed}");
        printed
    }

    /// The exit code, and all that was printed.
    fn run(&mut self, script: &str) -> (Option<i32>, String) {
        // What a page leaves running would keep its output open.
        let script = format!(
            "exec 2>&1\nexport PATH=/work/book/bin:$PATH CONTAINERD_ADDRESS=/run/containerd.sock\ncd '{}'\n\
             trap 'pwd >/work/book/place; jobs -p | xargs --no-run-if-empty kill || :' EXIT\n{script}",
            self.place,
        );
        let mut command = self.node.command("timeout");
        command.args([PATIENCE, "bash", "-euo", "pipefail", "-c", &script]);
        let output = run(command, "");
        if let Ok(place) = std::fs::read_to_string(self.node.work("book/place")) {
            self.place = place.trim_end().to_owned();
        }
        (output.status.code(), text(&output.stdout))
    }
}
