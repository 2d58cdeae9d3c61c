//! The book, done as its reader does it: every command of every page, but for those that
//! need a kubelet. `tests/e2e/book.rs` runs these.

use std::path::Path;

use stage::Stage;
use support::book::page::steps;
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
