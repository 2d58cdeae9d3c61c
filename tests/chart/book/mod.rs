//! The book, done as its reader does it: every command of every page, but for those that
//! need a kubelet. `tests/e2e/book.rs` runs these.

use std::path::Path;

use stage::Stage;
use support::book::page::{Step, steps};
use support::book::repository::pages;

mod figures;
mod links;
mod page;
mod stage;

/// One test for each page.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(#[test]
        fn $name() {
            read($path);
        })*
    };
}

pages! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    changelog: "CHANGELOG.md",
    certs: "certs/README.md",
    security_policy: "SECURITY.md",
    contents: "docs/README.md",
    alerts: "docs/alerts.md",
    audit: "docs/audit.md",
    audit_log: "docs/audit-log.md",
    cautions: "docs/cautions.md",
    certificates: "docs/certificates.md",
    comparison: "docs/comparison.md",
    docker_dind: "docs/docker-dind.md",
    doctor: "docs/doctor.md",
    image: "docs/image.md",
    injectors: "docs/injectors.md",
    measurements: "docs/measurements.md",
    metrics: "docs/metrics.md",
    namespace_settings: "docs/namespace-settings.md",
    namespaces_without_labels: "docs/namespaces-without-labels.md",
    nodes: "docs/nodes.md",
    operations: "docs/operations.md",
    own_profiles: "docs/own-profiles.md",
    policy: "docs/policy.md",
    probe: "docs/probe.md",
    profiles: "docs/profiles.md",
    quick_start: "docs/quick-start.md",
    registries: "docs/registries.md",
    review: "docs/review.md",
    security: "docs/security.md",
    serving: "docs/serving.md",
    troubleshooting: "docs/troubleshooting.md",
    which_profile: "docs/which-profile.md",
    example_profiles: "examples/profiles/README.md",
    fixtures: "tests/fixtures/pods/README.md",
    tests: "tests/README.md",
    chart: "charts/podseal/README.md",
    benches: "benches/README.md",
}

fn read(path: &str) {
    let text = std::fs::read_to_string(root().join(path)).expect("the page is there");
    let steps = steps(&text).unwrap_or_else(|error| panic!("{path}, {error}"));
    let mut stage = Stage::new(&steps);
    for step in &steps {
        if let Err(error) = stage.act(step) {
            panic!("{path}, {error}");
        }
    }
    stage.end();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn no_page_is_left_out() {
    let mut known: Vec<_> = PAGES.iter().map(ToString::to_string).collect();
    known.sort();
    assert_eq!(known, pages());
}

#[test]
fn no_example_of_a_profile_is_left_out() {
    let page = include_str!("../../../examples/profiles/README.md");
    let folder = std::fs::read_dir(root().join("examples/profiles")).expect("a folder");
    let names = folder.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.into_string().expect("names are ASCII"))
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ["));
    let mut listed: Vec<_> = rows
        .map(|row| row.split(']').next().expect("a part").to_owned())
        .collect();
    listed.sort();
    assert_eq!(listed, names);
}

/// On this machine, whichever of the files it has: a machine without AppArmor has
/// neither of the first two.
#[test]
fn the_check_of_a_node_says_something_of_each_file_and_succeeds_where_one_is_missing() {
    let steps = steps(include_str!("../../../docs/nodes.md")).expect("steps");
    let mut checks = steps.iter().filter_map(|step| match step {
        Step::Run(commands) => Some(&*commands.script),
        Step::Shown(_) | Step::Serve { .. } => None,
    });
    let check = checks.find(|script| script.starts_with("kubectl run check "));
    // What a kubelet would start is what follows `--`.
    let kubectl = "kubectl() { [ \"$1\" = run ] || return 0; while [ \"$1\" != -- ]; do shift; done; shift; \"$@\"; }";
    let script = format!("set -e\n{kubectl}\n{}", check.expect("the check"));
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", &script]);
    let output = support::run(bash, "");
    assert_eq!(support::text(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
    let found = support::text(&output.stdout);
    let mut lines = found.lines();
    for file in [
        "proc/self/attr/current",
        "sys/module/apparmor/parameters/enabled",
        "proc/sys/user/max_user_namespaces",
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "proc/sys/kernel/unprivileged_userns_clone",
    ] {
        let value = lines.next().and_then(|line| line.strip_prefix(file));
        let value = value.and_then(|rest| rest.strip_prefix(": "));
        let exists = std::fs::read(format!("/{file}")).is_ok();
        assert!(
            value.is_some_and(|value| (value == "none") != exists),
            "{file}: {found}"
        );
    }
    assert_eq!(lines.next(), None, "{found}");
}
