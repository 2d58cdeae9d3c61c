//! What the chart renders for `helm test`, and tells in its notes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane};
use support::podseal::{Certificate, Podseal};
use support::{run, text};

mod support;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podseal");

/// The real helm, which reads nothing that the person at this machine has set up.
fn helm(home: &Path, args: &[&str]) -> Output {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
        let output = run(Command::new(script), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        Path::new(text(&output.stdout).trim()).join("helm")
    });
    let mut command = Command::new(&*HELM);
    command.env_clear().env("HOME", home).args(args);
    run(command, "")
}

fn helm_prints(args: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let output = helm(home.path(), args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn with_values<'a>(args: &[&'a str], values: &[&'a str]) -> Vec<&'a str> {
    let set = values.iter().flat_map(|value| ["--set", *value]);
    args.iter().copied().chain(set).collect()
}

/// All that the release `release` of the namespace `seal` is made of.
fn rendered(release: &str, values: &[&str]) -> Vec<Value> {
    let args = ["template", release, CHART, "--namespace", "seal"];
    let yaml = helm_prints(&with_values(&args, values));
    let all: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    all.into_iter().filter(|object| !object.is_null()).collect()
}

fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"] == "test"
}

fn only(objects: &[Value], which: impl Fn(&Value) -> bool) -> Value {
    let found: Vec<_> = objects.iter().filter(|object| which(object)).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

fn hook_pod(objects: &[Value]) -> Value {
    only(objects, |object| is_hook(object) && object["kind"] == "Pod")
}

/// What is told after an installation.
fn notes(release: &str, values: &[&str]) -> String {
    let args = [
        "install",
        release,
        CHART,
        "--namespace",
        "seal",
        "--dry-run=client",
    ];
    let told = helm_prints(&with_values(&args, values));
    let (_, notes) = told.split_once("\nNOTES:\n").expect("notes");
    notes.to_owned()
}

/// The ways to a certificate, and what holds the authority then.
const MODES: &[(&[&str], &str, &str)] = &[
    (&[], "secret", "podseal-tls"),
    (&["certificates.mode=cert-manager"], "secret", ""),
    (
        &[
            "certificates.mode=existing-secret",
            "certificates.existingSecret.name=mine",
        ],
        "secret",
        "mine",
    ),
    (
        &[
            "certificates.mode=existing-secret",
            "certificates.existingSecret.name=mine",
            "certificates.existingSecret.caBundle=PEM",
        ],
        "configMap",
        "podseal-probe",
    ),
];

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
        let objects: Vec<Value> = serde_saphyr::from_multiple(&helm_prints(&args)).expect("YAML");
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
            stdout.contains("podseal answers at https://podseal.podseal.svc:"),
            "{stdout}"
        );
        // With another's it fails: the authority counts.
        let output = run_as_pod(&pod, &Certificate::new().pem).expect("it ran before");
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(
            stdout.contains("an authority that --ca-file does not hold"),
            "{stdout}"
        );
    }
}

#[test]
fn the_notes_fit_a_terminal_and_name_the_profiles_there_are() {
    let notes = notes("podseal", &[]);
    let lines: Vec<_> = notes.lines().collect();
    assert!(lines.len() <= 50, "{} lines:\n{notes}", lines.len());
    let long: Vec<_> = lines
        .iter()
        .filter(|line| line.chars().count() > 100)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
    let output = run(podseal(&["profiles"]), "");
    let profiles = text(&output.stdout);
    let profiles = profiles.lines().take_while(|line| !line.is_empty());
    let profiles: Vec<_> = profiles.filter_map(|line| line.split(' ').next()).collect();
    let is_profile = |line: &&&str| {
        let name = line.trim().split(' ').next().unwrap_or_default();
        line.starts_with("  ") && profiles.contains(&name)
    };
    let told = lines.iter().filter(is_profile);
    let told: Vec<_> = told
        .filter_map(|line| line.trim().split(' ').next())
        .collect();
    assert_eq!(told, profiles, "in the order of `podseal profiles`");
}

fn podseal(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(args);
    command
}

#[test]
fn the_notes_warn_of_what_the_values_risk_and_of_nothing_else() {
    let dashboard = &["metrics.dashboard.enabled=true"][..];
    let monitored = &[
        "metrics.dashboard.enabled=true",
        "metrics.podMonitor.enabled=true",
    ];
    let existing = MODES[2].0;
    let bundled = MODES[3].0;
    let cases: &[(&[&str], &str, bool)] = &[
        (&["webhooks.enabled=false"], "podseal is never called", true),
        (&["webhooks.enabled=true"], "podseal is never called", false),
        (&["replicas=1"], "WARNING  replicas=1: ", true),
        (&["replicas=3"], "WARNING  replicas", false),
        (
            &["networkPolicy.enabled=false"],
            "whoever reaches podseal's port",
            true,
        ),
        (&[], "whoever reaches podseal's port", false),
        (existing, "caBundle is empty", true),
        (bundled, "caBundle is empty", false),
        (dashboard, "dashboard and alerts see nothing", true),
        (
            &["metrics.prometheusRule.enabled=true"],
            "dashboard and alerts see nothing",
            true,
        ),
        (monitored, "dashboard and alerts see nothing", false),
        (&[], "namespaceGuard.enabled=false", true),
        (
            &["namespaceGuard.enabled=true"],
            "namespaceGuard.enabled=false",
            false,
        ),
        (
            &["devicePlugin.enabled=true"],
            "WARNING  devicePlugin",
            true,
        ),
        (&[], "WARNING  devicePlugin", false),
        (&[], "WARNING", false),
    ];
    for (values, words, told) in cases {
        let notes = notes("podseal", values);
        assert_eq!(notes.contains(words), *told, "{values:?}: {words}\n{notes}");
    }
}

/// The commands among the notes that begin so.
fn commands(notes: &str, begin: &str) -> Vec<String> {
    let lines = notes.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_commands_of_the_notes_do_what_is_said_in_a_release_of_any_name() {
    let plane = ControlPlane::start();
    plane.apply(
        ADMIN,
        "{apiVersion: v1, kind: Namespace, metadata: {name: seal}}",
    );
    plane.apply(
        ADMIN,
        "{apiVersion: v1, kind: Namespace, metadata: {name: ci}}",
    );
    let home = tempfile::tempdir().expect("a folder");
    let kubeconfig = plane.kubeconfig(ADMIN).display().to_string();
    let helm = |args: &[&str]| {
        let args = [args, &["--kubeconfig", &kubeconfig]].concat();
        let output = helm(home.path(), &args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    let kubectl = |command: &str| {
        let args: Vec<_> = command.split(' ').skip(1).collect();
        let output = plane.kubectl(ADMIN, &args, "");
        assert!(
            output.status.success(),
            "{command}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    let configurations = || {
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
        kubectl(&format!("kubectl get {kinds} -o name"))
            .lines()
            .count()
    };
    let told = helm(&["install", "blue", CHART, "--namespace", "seal"]);
    assert_eq!(configurations(), 2);
    // A namespace is labelled, and its runner named.
    for command in [
        commands(&told, "kubectl label"),
        commands(&told, "kubectl annotate"),
    ] {
        assert_eq!(command.len(), 1, "{told}");
        kubectl(&command[0]);
    }
    let mut pod = support::pod("default-with-service");
    pod["metadata"]["namespace"] = "ci".into();
    let (code, refused) = plane.create_pod("ci", &pod);
    assert_eq!(code, 500, "nothing serves: {refused}");
    // What is looked at is there, by these names.
    let rollout = commands(&told, "kubectl rollout status");
    assert_eq!(
        rollout,
        ["kubectl rollout status --namespace seal deployment/blue-podseal"]
    );
    kubectl("kubectl get --namespace seal deployment/blue-podseal");
    let logs = commands(&told, "kubectl logs");
    assert_eq!(logs.len(), 1, "{told}");
    let selector = logs[0]
        .split(' ')
        .find(|word| word.contains('='))
        .expect("a selector");
    let (key, value) = selector.split_once('=').expect("a label");
    let deployment = kubectl("kubectl get --namespace seal deployment/blue-podseal -o json");
    let deployment: Value = serde_json::from_str(&deployment).expect("JSON");
    assert_eq!(
        deployment["spec"]["template"]["metadata"]["labels"][key],
        value
    );
    // Break glass.
    let delete = commands(&told, "kubectl delete");
    assert_eq!(delete.len(), 1, "{told}");
    kubectl(&delete[0]);
    assert_eq!(configurations(), 0);
    let created = || {
        let (code, answer) = plane.try_pod("ci", &pod);
        (code == 201).then_some(()).ok_or(answer)
    };
    let is_created = || created().is_ok();
    support::controlplane::await_condition("a pod is created", is_created, || {
        format!("{:?}", created())
    });
    // Until the next upgrade, unless a value says otherwise.
    let upgrade = ["upgrade", "blue", CHART, "--namespace", "seal"];
    helm(&upgrade);
    assert_eq!(configurations(), 2);
    helm(&with_values(&upgrade, &["webhooks.enabled=false"]));
    assert_eq!(configurations(), 0);
    // Helm keeps the values of before where none are given.
    helm(&upgrade);
    assert_eq!(configurations(), 0);
    helm(&with_values(&upgrade, &["webhooks.enabled=true"]));
    assert_eq!(configurations(), 2);
    let uninstall = commands(&told, "helm uninstall");
    let args: Vec<_> = uninstall[0].split(' ').skip(1).collect();
    helm(&args);
    assert_eq!(configurations(), 0);
}
