//! Why a pod is denied.

use serde_json::json;
use support::text;

use super::{explain, job, json_of};

#[test]
fn a_denial_lists_the_controls_and_what_the_profile_grants() {
    let pod = cases::fixture("privileged-with-service");
    let runner = "podseal.io/runner=system:serviceaccount:gitlab:gitlab-runner";
    let ours = ["--profiles", "profiles", "--profile", "ours"];
    let arguments = [&ours[..], &["--annotation", runner]].concat();
    let output = explain(&arguments, &pod);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    for part in [
        "\nbeyond the level baseline\n  privileged          docker: securityContext.privileged: \
         true\n",
        "\ngranted by the profile at baseline\n  appArmorProfile to build\n",
    ] {
        assert!(stdout.contains(part), "{stdout}");
    }
    let reviewed = json_of(&arguments, &pod);
    assert_eq!(reviewed["violations"][0]["control"], "privileged");
    let grants = json!([{"role": "build", "control": "appArmorProfile"}]);
    assert_eq!(reviewed["explain"]["grants"], grants);

    let mut nobodys = pod;
    nobodys["metadata"]["labels"] = json!({});
    let output = explain(&arguments, &nobodys);
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("  nothing: the pod is no job's\n"),
        "{stdout}"
    );
    assert_eq!(
        json_of(&arguments, &nobodys)["explain"]["grants"],
        json!([])
    );
}

#[test]
fn an_invalid_setting_is_shown_with_the_value_that_it_overrides() {
    let arguments = [
        "--profile",
        "rootless",
        "--annotation",
        "podseal.io/run-as-user=0",
    ];
    let output = explain(&arguments, &job());
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("\"0\" is not a user ID from 1 to 65535"),
        "{stdout}"
    );
    let row = "  run-as-user    0               argument --annotation\n                                 \
               overrides 1000: containers.build.set of\n                                 rootless\n";
    assert!(stdout.contains(row), "{stdout}");
}
