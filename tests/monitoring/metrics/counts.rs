//! What is counted, and as what.

use serde_json::{Value, json};
use support::podseal::Podseal;

use crate::metrics::{NAMESPACES, job, post, review, send};

#[test]
fn each_request_is_counted_as_what_became_of_it() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut privileged = job();
    privileged["metadata"]["labels"] = json!({});
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    privileged["spec"]["hostNetwork"] = true.into();
    send(
        &podseal,
        [
            post("/mutate", review("ci", "CREATE", &job())),
            post("/validate", review("ci", "CREATE", &privileged)),
            post("/validate", review("warns", "CREATE", &privileged)),
            post("/validate", review("plain", "CREATE", &privileged)),
            post("/validate", review("ci", "UPDATE", &job())),
            post("/validate", review("nowhere", "CREATE", &job())),
            post("/mutate", review("plain", "DELETE", &Value::Null)),
            post("/mutate", "{".to_owned()),
            post("/mutate", "x".repeat(8 << 20)),
            post("/elsewhere", String::new()),
            ("PUT".to_owned(), "/mutate".to_owned(), String::new()),
        ],
    );
    let expected = [
        (
            r#"requests_total{webhook="mutate",operation="CREATE",decision="mutate",mode="enforce"}"#,
            1.0,
        ),
        // One is of a namespace that nobody knows.
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="deny",mode="enforce"}"#,
            2.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="deny",mode="warn"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="UPDATE",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="UPDATE",decision="deny",mode="enforce"}"#,
            0.0,
        ),
        (
            r#"requests_total{webhook="mutate",operation="OTHER",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (r#"request_duration_seconds_count{webhook="mutate"}"#, 2.0),
        (r#"request_duration_seconds_count{webhook="validate"}"#, 5.0),
        (
            r#"request_duration_seconds_bucket{le="+Inf",webhook="validate"}"#,
            5.0,
        ),
        (
            r#"violations_total{control="privileged",level="restricted"}"#,
            0.0,
        ),
        (
            r#"violations_total{control="hostNamespaces",level="baseline"}"#,
            2.0,
        ),
        (r#"changes_total{profile="none"}"#, 0.0),
        (r#"refused_requests_total{reason="malformed"}"#, 1.0),
        (r#"refused_requests_total{reason="too_large"}"#, 1.0),
        (r#"refused_requests_total{reason="path"}"#, 1.0),
        (r#"refused_requests_total{reason="method"}"#, 1.0),
        ("requests_in_flight", 0.0),
    ];
    for (series, value) in expected {
        let series = format!("podseal_{series}");
        assert_eq!(podseal.metric(&series), Some(value), "{series}");
    }
    let changes = podseal.metric("podseal_changes_total{profile=\"rootless\"}");
    let record = podseal.await_event(|event| event["decision"] == "mutate");
    assert_eq!(changes, record["change_count"].as_f64());
    let violated =
        podseal.metric("podseal_violations_total{control=\"privileged\",level=\"baseline\"}");
    assert_eq!(violated, Some(2.0), "one enforced, one warned of");
    let sum = podseal.metric("podseal_request_duration_seconds_sum{webhook=\"validate\"}");
    assert!(sum.is_some_and(|sum| sum > 0.0 && sum < 60.0), "{sum:?}");
}

#[test]
fn the_figures_of_the_process_are_its_own() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let proc = format!("/proc/{}", podseal.process.pid);
    let status = std::fs::read_to_string(format!("{proc}/status")).expect("its status");
    let kib = |key: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
        value.and_then(|value| value.parse().ok()).expect("KiB")
    };
    let figure = |name: &str| podseal.metric(name).expect(name);
    let resident = figure("process_resident_memory_bytes") / 1024.0 / kib("VmRSS:");
    assert!((0.5..2.0).contains(&resident), "{resident}");
    let virtual_ = figure("process_virtual_memory_bytes") / 1024.0 / kib("VmSize:");
    assert!((0.5..2.0).contains(&virtual_), "{virtual_}");
    assert!(figure("process_open_fds") >= 5.0);
    assert!(figure("process_max_fds") >= figure("process_open_fds"));
    assert!(figure("process_cpu_seconds_total") < 60.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = now.expect("after 1970").as_secs_f64() - figure("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");
}
