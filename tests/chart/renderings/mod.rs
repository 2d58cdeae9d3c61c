//! What helm renders from the chart, for every value it may be given: right
//! before a real API server, the same each time, and documented.

mod alive;
mod cluster;
mod deploy;
mod documented;
mod everything;
mod helm;
mod hostile;
mod hostile_files;
mod matrix;
mod names;
mod pairwise;
mod refused;
mod rules;
mod runners;
mod taken;

use helm::CHART;
use serde_json::json;

#[test]
fn helm_has_nothing_to_say_of_the_chart() {
    for values in [json!({}), everything::everything()] {
        let output = helm::helm(&["lint", "--strict", CHART, "-f", "-"], &values);
        let stdout = support::text(&output.stdout);
        assert!(
            output.status.success(),
            "{stdout}{}",
            support::text(&output.stderr)
        );
        assert!(
            stdout.contains("1 chart(s) linted, 0 chart(s) failed"),
            "{stdout}"
        );
    }
}

#[test]
fn clusters_that_are_too_old_are_refused() {
    let render = |version: &str| {
        let args = ["template", "x", CHART, "-f", "-", "--kube-version", version];
        helm::helm(&args, &json!({}))
    };
    assert!(render("1.30.0").status.success());
    // Providers append words of theirs to it.
    assert!(render("v1.30.4-gke.200").status.success());
    let error = support::text(&render("1.29.9").stderr);
    assert!(error.contains(">=1.30.0-0"), "{error}");
}

/// One whose kubelets may be so old that they ignore `hostUsers: false`.
#[test]
fn user_namespaces_relax_no_level_where_a_kubelet_may_ignore_them() {
    for (version, may_ignore) in [
        ("1.30.0", true),
        ("v1.32.4-gke.200", true),
        ("1.32.99", true),
        ("1.33.0", false),
        ("v1.33.0-eks-1234567", false),
        ("1.37.1", false),
    ] {
        let args = ["template", "x", CHART, "-f", "-", "--kube-version", version];
        let output = helm::helm(&args, &json!({}));
        let rendered = support::text(&output.stdout);
        assert!(rendered.contains("- serve\n"), "{version}");
        let said = rendered.contains("- --ignore-user-namespaces\n");
        assert_eq!(said, may_ignore, "{version}");
    }
}

/// Otherwise each replica begins with a `Warning Unhealthy` event. The kubelet rounds
/// the start of a container down to a second, so a delay of one second can be none.
#[test]
fn no_probe_runs_before_a_replica_has_had_a_second_to_start() {
    let objects = helm::PODSEAL.objects(&json!({}));
    let mut containers = Vec::new();
    for object in objects
        .iter()
        .filter(|object| object["kind"] == "Deployment")
    {
        let of_pod = &object["spec"]["template"]["spec"]["containers"];
        containers.extend(of_pod.as_array().expect("containers"));
    }
    assert_eq!(containers.len(), 1, "{containers:#?}");
    for probe in ["livenessProbe", "readinessProbe"] {
        let delay = containers[0][probe]["initialDelaySeconds"].as_u64();
        assert!(delay >= Some(2), "{probe}: {delay:?}");
    }
    assert_eq!(containers[0].get("startupProbe"), None, "it warns as well");
}

/// An image is built as that of the crate's version, and the chart asks for its own.
#[test]
fn the_chart_asks_for_the_image_that_is_built_today() {
    let version = env!("CARGO_PKG_VERSION");
    let says = |file: &str, line: &str| {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the file is there");
        assert!(text.contains(line), "{file} does not say {line:?}");
    };
    says(
        "charts/podseal/Chart.yaml",
        &format!("\nappVersion: {version}\n"),
    );
    says("Dockerfile", &format!("\nARG VERSION={version}\n"));
    says(
        "docs/quick-start.md",
        &format!("docker build -t podseal:{version} ."),
    );
}

/// Holds a generated file to `text`; with `UPDATE` in the environment, writes it.
fn keep(path: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, text).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "{path} is out of date: UPDATE=1 cargo test --test chart renderings"
    );
}
