//! The hook's pod, as it is rendered, and its command, as its pod would run it.

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::podseal::{Certificate, Podseal};
use support::{run, text};

use crate::helm_test::notes::notes;
use crate::helm_test::{CHART, MODES, hook_pod, is_hook, only, printed, rendered, with_values};

#[test]
fn the_pod_keeps_to_the_level_restricted_and_gets_neither_keys_nor_a_token() {
    for (values, kind, name) in MODES {
        let objects = rendered("podseal", values);
        let pod = hook_pod(&objects);
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        // By podseal's own judgement.
        let mut review = Command::new(env!("CARGO_BIN_EXE_podseal"));
        let judged = [
            "--profile",
            "none",
            "--level",
            "restricted",
            "-o",
            "json",
            "-",
        ];
        review.arg("review").args(judged);
        let output = run(review, &pod.to_string());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["violations"], json!([]));
        // The one volume is the authority's certificate.
        let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
        assert_eq!(volumes.len(), 1);
        let source = &volumes[0][kind];
        let reference = source["secretName"].as_str().or(source["name"].as_str());
        let deployment = only(&objects, |object| object["kind"] == "Deployment");
        let served = &deployment["spec"]["template"]["spec"];
        match *name {
            // Of the Secret that podseal serves from.
            "" => assert_eq!(
                reference,
                served["volumes"][0]["secret"]["secretName"].as_str()
            ),
            name => assert_eq!(reference, Some(name)),
        }
        if *kind == "secret" {
            assert_eq!(
                source["items"],
                json!([{"key": "ca.crt", "path": "ca.crt"}])
            );
        }
        // It is the image that serves.
        assert_eq!(
            pod["spec"]["containers"][0]["image"],
            served["containers"][0]["image"]
        );
        let hook = &pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"];
        assert_eq!(hook, "before-hook-creation,hook-succeeded");
    }
}

#[test]
fn what_runs_as_a_test_is_a_hook_and_nothing_else_is() {
    for (values, kind, _) in MODES {
        let objects = rendered("podseal", values);
        let of_test =
            |object: &&Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == "test";
        let tests: Vec<_> = objects.iter().filter(of_test).collect();
        assert_eq!(tests.len(), if *kind == "configMap" { 2 } else { 1 });
        assert!(tests.iter().all(|object| is_hook(object)));
        assert_eq!(
            objects.iter().filter(|object| is_hook(object)).count(),
            tests.len()
        );
    }
}

/// Whether `labels` are all in `all`.
fn selects(labels: &Value, all: &Value) -> bool {
    let labels = labels.as_object().expect("labels");
    labels.iter().all(|(key, value)| all[key] == *value)
}

#[test]
fn the_network_policy_lets_the_pod_in_and_the_service_never_leads_to_it() {
    let values = ["networkPolicy.apiServerCIDRs={10.0.0.1/32}"];
    let objects = rendered("podseal", &values);
    let labels = hook_pod(&objects)["metadata"]["labels"].clone();
    let policy = only(&objects, |object| object["kind"] == "NetworkPolicy");
    let from = policy["spec"]["ingress"][0]["from"]
        .as_array()
        .expect("peers");
    let peers = from.iter().filter(|peer| !peer["podSelector"].is_null());
    let peers: Vec<_> = peers
        .map(|peer| &peer["podSelector"]["matchLabels"])
        .collect();
    assert_eq!(peers.len(), 1, "{policy:#}");
    assert!(selects(peers[0], &labels), "{policy:#}");
    assert!(!selects(
        &policy["spec"]["podSelector"]["matchLabels"],
        &labels
    ));
    let service = only(&objects, |object| object["kind"] == "Service");
    assert!(
        !selects(&service["spec"]["selector"], &labels),
        "{service:#}"
    );
}

#[test]
fn where_only_api_servers_are_answered_there_is_no_test_and_the_notes_say_so() {
    let values = ["serve.clientCA.configMap=clients"];
    assert!(!rendered("podseal", &values).iter().any(is_hook));
    let notes = notes("podseal", &values);
    assert!(notes.contains("there is no helm test"), "{notes}");
    assert!(!notes.contains("helm test podseal"), "{notes}");
}

/// Runs the pod's command where the host of its URL is this one, and its volume
/// holds `ca`: `/etc` is a folder of the test's, for this process alone. Nothing
/// where the machine does not allow that.
fn run_as_pod(pod: &Value, ca: &str) -> Option<Output> {
    let container = &pod["spec"]["containers"][0];
    let args = container["args"].as_array().expect("arguments");
    let args: Vec<_> = args
        .iter()
        .map(|arg| arg.as_str().expect("a string"))
        .collect();
    let (_, host) = args[1].split_once("https://").expect("a URL");
    let host = host.split(':').next().expect("a host");
    let etc = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        std::fs::write(etc.path().join(name), content).expect("the folder can be written");
    };
    let mounted = container["volumeMounts"][0]["mountPath"]
        .as_str()
        .expect("a path");
    let folder = mounted.strip_prefix("/etc/").expect("it is in /etc");
    std::fs::create_dir_all(etc.path().join(folder)).expect("a folder");
    write(&format!("{folder}/ca.crt"), ca);
    write("hosts", &format!("127.0.0.1 {host}\n"));
    write("nsswitch.conf", "hosts: files\n");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "pod"]);
        command
    };
    if !run(unshare("mount --bind /tmp /tmp"), "").status.success() {
        eprintln!("the pod's command is not run: this machine allows no mounts of one's own");
        return None;
    }
    let mut command = unshare(r#"mount --bind "$1" /etc && shift && exec "$@""#);
    command
        .arg(etc.path())
        .arg(env!("CARGO_BIN_EXE_podseal"))
        .args(args);
    Some(run(command, ""))
}

#[test]
fn the_pods_command_finds_podseal_by_the_services_name_and_its_authority() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    let default = "{kind: Namespace, metadata: {name: default}}";
    std::fs::write(&namespaces, default).expect("the file can be written");
    let certificate = Certificate::new();
    let podseal = Podseal::replica(&certificate, |command| {
        command.arg("--namespaces").arg(namespaces.path());
    });
    let port = format!("service.port={}", podseal.address().port());
    let bundle = format!("certificates.existingSecret.caBundle={}", podseal.ca);
    let mine = "certificates.existingSecret.name=mine";
    // The certificate's name is of the Service podseal in the namespace podseal.
    let template = ["template", "podseal", CHART, "--namespace", "podseal"];
    let own = with_values(&template, &[&port]);
    let existing = ["certificates.mode=existing-secret", mine, &port, &bundle];
    let existing = with_values(&template, &existing);
    for (args, in_config_map) in [(own, false), (existing, true)] {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&printed(&args)).expect("YAML");
        let ca = match in_config_map {
            false => podseal.ca.clone(),
            true => {
                let of_hook = |object: &Value| is_hook(object) && object["kind"] == "ConfigMap";
                let map = only(&objects, of_hook);
                map["data"]["ca.crt"].as_str().expect("PEM").to_owned()
            }
        };
        let pod = hook_pod(&objects);
        let Some(output) = run_as_pod(&pod, &ca) else {
            return;
        };
        let stdout = text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{stdout}{}",
            text(&output.stderr)
        );
        assert!(
            stdout.contains("podseal at https://podseal.podseal.svc:"),
            "{stdout}"
        );
        // With another's it fails: the authority counts.
        let output = run_as_pod(&pod, &Certificate::new().pem).expect("it ran before");
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(
            stdout.contains("an authority that is not in --ca-file"),
            "{stdout}"
        );
    }
}
