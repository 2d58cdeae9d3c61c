//! The record of a decision, as `podseal serve` writes it: complete, of the
//! documented schema, and is one bounded line, whatever untrusted text is in it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use admission::standards::Family;
use boon::{Compiler, SchemaIndex, Schemas};
use cases::answer::corrected;
use cases::fixture;
use records::{
    HOSTILE, by_stranger, hostile, job, record_of, response_in, review_in, update_in, with_home,
    with_violations,
};
use serde_json::{Value, json};

mod jq;
pub(crate) mod records;

const SCHEMA: &str = include_str!("../../docs/audit-log.schema.json");
const PAGE: &str = include_str!("../../docs/audit-log.md");

/// Longer lines are cut in two by Docker and containerd.
const LONGEST: usize = 16 * 1024;

static COMPILED: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let url = schema["$id"].as_str().expect("an id").to_owned();
    compiler.add_resource(&url, schema).expect("a URL");
    let index = compiler.compile(&url, &mut schemas).expect("a schema");
    (schemas, index)
});

/// Checks what every record must be.
fn check(record: &Value, line: &str) {
    let (schemas, index) = &*COMPILED;
    if let Err(error) = schemas.validate(record, *index) {
        panic!("{error}\n{record:#}");
    }
    assert!(
        record.is_object() && line.len() < LONGEST,
        "{} bytes",
        line.len()
    );
    let strange =
        |c: &char| !(matches!(c, ' '..='~' | '…') || !c.is_ascii() && c.is_alphanumeric());
    assert_eq!(line.chars().find(strange), None, "{line}");
    let counts = [
        ("violations", "violation_count"),
        ("changes", "change_count"),
        ("groups", "group_count"),
    ];
    for (list, count) in counts {
        let listed = record[list].as_array().expect("a list").len();
        let count = record[count].as_u64().expect("a count");
        assert!(listed as u64 <= count, "{list}: {listed} of {count}");
    }
}

#[test]
fn every_record_fits_the_schema_on_one_bounded_line_and_has_its_mode() {
    let long = HOSTILE.repeat(20);
    let pods = [
        job(),
        with_violations(),
        with_home("/etc"),
        with_home(&long),
        fixture("pause-pod"),
        hostile(&long, 20),
    ];
    let mut seen = BTreeSet::new();
    for (namespace, mode) in [
        ("plain", "enforce"),
        ("enforce", "enforce"),
        ("warn", "warn"),
        ("audit", "audit"),
        ("strict", "enforce"),
        ("strict-audit", "audit"),
        ("odd", "enforce"),
        ("unnamed", "enforce"),
        ("granting", "enforce"),
        ("elsewhere", "enforce"),
        ("ci-job-17", "enforce"),
        ("ci-job-18", "warn"),
    ] {
        for (pod, webhook) in pods
            .iter()
            .flat_map(|pod| [(pod, "mutate"), (pod, "validate")])
        {
            for review in [
                review_in(namespace, pod),
                update_in(namespace, &job(), pod),
                by_stranger(review_in(namespace, pod), &long),
            ] {
                let (record, line) = record_of(webhook, review);
                check(&record, &line);
                assert_eq!(record["mode"], mode, "{record:#}");
                let decision = record["decision"].as_str().expect("a decision");
                seen.insert(format!("{webhook} {mode} {decision}"));
            }
        }
    }
    for mode in ["enforce", "warn", "audit"] {
        for decision in ["allow", "mutate", "deny"] {
            let expected = format!("mutate {mode} {decision}");
            assert!(seen.contains(&expected), "{expected}: {seen:?}");
            let expected = format!("validate {mode} {decision}");
            let possible = decision != "mutate";
            assert_eq!(seen.contains(&expected), possible, "{expected}: {seen:?}");
        }
    }
}

#[test]
fn hundreds_of_violations_are_counted_and_the_first_are_listed() {
    for text in [HOSTILE, "plain"] {
        for namespace in ["enforce", "strict"] {
            let pod = hostile(text, 300);
            let (record, line) = record_of("validate", update_in(namespace, &job(), &pod));
            check(&record, &line);
            assert!(record["violation_count"].as_u64() > Some(600), "{record:#}");
            let listed = record["violations"].as_array().expect("a list");
            assert!(!listed.is_empty(), "{record:#}");
            let (record, line) = record_of("mutate", review_in(namespace, &pod));
            check(&record, &line);
            assert_eq!(record["decision"], "mutate");
            let changes = record["changes"].as_array().expect("a list");
            assert!(!changes.is_empty(), "{record:#}");
        }
    }
}

#[test]
fn the_record_of_a_rejection_is_complete_by_itself() {
    let mut pod = corrected(&with_violations(), "rootless");
    pod["metadata"]["ownerReferences"] = json!([
        {"kind": "Other", "name": "first"}, {"kind": "ReplicaSet", "name": "owner", "controller": true}]);
    let mut review = review_in("warn", &pod);
    review["request"]["dryRun"] = true.into();
    let (record, line) = record_of("validate", review);
    check(&record, &line);
    let runner = "system:serviceaccount:gitlab:gitlab-runner";
    for (field, value) in [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("webhook", json!("validate")),
        ("operation", json!("CREATE")),
        ("namespace", json!("warn")),
        ("pod", pod["metadata"]["name"].clone()),
        ("owner", json!("ReplicaSet/owner")),
        ("user", json!(runner)),
        (
            "groups",
            json!(["system:serviceaccounts", "system:authenticated"]),
        ),
        ("job_id", json!("9876543210")),
        ("project_id", json!("61234567")),
        ("project", json!("platform_images/playground")),
        ("profile", json!("rootless")),
        ("level", json!("baseline")),
        ("mode", json!("warn")),
        ("decision", json!("deny")),
        ("code", json!(403)),
        ("dry_run", json!(true)),
        (
            "violation_count",
            json!(record["violations"].as_array().map(Vec::len)),
        ),
    ] {
        assert_eq!(record[field], value, "{field}: {record:#}");
    }
    let message = record["message"].as_str().expect("a message");
    let uid = record["uid"].as_str().expect("a uid");
    assert!(
        message.contains("spec.hostPID") && message.contains(uid),
        "{message}"
    );
    assert!(record["duration_us"].as_u64() > Some(0), "{record:#}");
    let host_pid = json!({"control": "hostNamespaces", "container": null, "field": "spec.hostPID", "value": "true"});
    let privileged = json!({"control": "privileged", "container": "svc-9",
        "field": "securityContext.privileged", "value": "true"});
    let violations = record["violations"].as_array().expect("violations");
    assert!(
        violations.contains(&host_pid) && violations.contains(&privileged),
        "{record:#}"
    );
}

#[test]
fn a_record_and_the_audit_annotations_have_the_namespace_rule_and_the_settings() {
    let (record, line) = record_of("mutate", review_in("ci-job-17", &job()));
    check(&record, &line);
    assert_eq!(record["decision"], "mutate");
    assert_eq!(
        (&record["profile"], &record["default_rule"]),
        (&json!("rootless"), &json!("jobs"))
    );
    let settings = json!({"run-as-user": "2000", "home": "/work/home"});
    assert_eq!(record["settings"], settings);

    let (record, line) = record_of("validate", review_in("ci-job-18", &job()));
    check(&record, &line);
    assert_eq!(
        (&record["mode"], &record["decision"]),
        (&json!("warn"), &json!("deny"))
    );
    assert_eq!(
        record["default_rule"], "lenient-jobs",
        "and its mode applies, not the less strict one of the namespace's label"
    );
    let settings = json!({"run-as-user": "1234", "home": "/\\u{a}\\u{1b}[31m{\\u{202e}"});
    assert_eq!(
        record["settings"], settings,
        "the namespace's own word counts"
    );

    let (record, line) = record_of("mutate", review_in("enforce", &job()));
    check(&record, &line);
    assert!(record.get("default_rule").is_none() && record.get("settings").is_none());

    let response = response_in("mutate", "ci-job-18");
    let annotations = &response["auditAnnotations"];
    assert_eq!(annotations["default-rule"], "lenient-jobs");
    let settings = "run-as-user=1234,home=/\\u{a}\\u{1b}[31m{\\u{202e}";
    assert_eq!(annotations["settings"], settings);
    let annotations = &response_in("mutate", "enforce")["auditAnnotations"];
    assert!(annotations.get("default-rule").is_none() && annotations.get("settings").is_none());
}

#[test]
fn the_record_of_a_rejected_update_names_the_job_and_the_violation() {
    let mut pod = job();
    let debug = json!({"name": "debug", "securityContext": {"privileged": true}});
    pod["spec"]["ephemeralContainers"] = json!([debug]);
    let mut review = update_in("enforce", &job(), &pod);
    let metadata = &mut review["request"]["object"]["metadata"];
    metadata["labels"] = json!({"project.runner.gitlab.com/id": "another"});
    let (record, line) = record_of("validate", review);
    check(&record, &line);
    for (field, value) in [
        ("operation", json!("UPDATE")),
        ("subresource", json!("ephemeralcontainers")),
        ("project_id", json!("61234567")),
        ("job_id", json!("9876543210")),
        ("decision", json!("deny")),
    ] {
        assert_eq!(record[field], value, "{field}: {record:#}");
    }
}

#[test]
fn a_pod_without_a_name_is_recorded_with_its_generate_name() {
    let mut pod = job();
    pod["metadata"]["name"] = Value::Null;
    pod["metadata"]["generateName"] = "runner-".into();
    let (record, line) = record_of("mutate", review_in("enforce", &pod));
    check(&record, &line);
    assert_eq!(
        (&record["pod"], &record["generate_name"]),
        (&json!(""), &json!("runner-"))
    );
}

#[test]
fn every_field_and_every_control_is_in_the_schema_and_documented() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let properties = schema["properties"].as_object().expect("properties");
    let violation = schema["$defs"]["violation"]["properties"].as_object();
    for (name, property) in properties.iter().chain(violation.expect("properties")) {
        assert!(property["description"].is_string(), "{name}");
        assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
    }
    let controls = Family::ALL.map(|family| json!(family.name()));
    let known = &schema["$defs"]["violation"]["properties"]["control"]["enum"];
    assert_eq!(known, &json!(controls));
}

#[test]
fn the_documented_commands_print_what_the_page_shows() {
    let violating = corrected(&with_violations(), "rootless");
    let mut cautioned = job();
    cautioned["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    let cautioned = corrected(&cautioned, "rootless");
    let records = [
        record_of("validate", review_in("enforce", &cautioned)).1,
        record_of("validate", review_in("enforce", &violating)).1,
        record_of("validate", review_in("enforce", &violating)).1,
        record_of("mutate", review_in("audit", &with_home("/etc"))).1,
        record_of("validate", review_in("audit", &with_home("/etc"))).1,
        record_of("validate", review_in("audit", &with_violations())).1,
        record_of(
            "validate",
            review_in("granting", &corrected(&job(), "privileged")),
        )
        .1,
        record_of("mutate", review_in("enforce", &with_home("/etc"))).1,
        r#"{"level":"INFO","message":"serving","target":"podseal"}"#.to_owned(),
    ];
    let printed: Vec<_> = jq::commands(PAGE)
        .iter()
        .map(|command| command.run(&records))
        .collect();
    let printed_for_each =
        "hostNamespaces\tspec.hostPID\ttrue\nprivileged\tsecurityContext.privileged\ttrue\n";
    assert_eq!(printed, [printed_for_each.repeat(3)]);
}
