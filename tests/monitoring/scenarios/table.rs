//! For each alert what it is for.

use super::Change::{Gone, In, Rise, Set};
use super::Scenario;
use super::Who::{Plugin, Pod, Release};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        alert: "PodsealDown",
        after: 6,
        changes: &[("up", Release, Gone)],
        fires: &[(Release, &[], "No replica of podseal in podseal responds")],
    },
    Scenario {
        alert: "PodsealDown",
        after: 6,
        changes: &[("up", Release, Set(0.0))],
        fires: &[(Release, &[], "No replica of podseal in podseal responds")],
    },
    Scenario {
        alert: "PodsealReplicaMissing",
        after: 16,
        changes: &[("up", Pod(1), Set(0.0))],
        fires: &[(
            Release,
            &[],
            "Replicas of podseal in podseal that respond: 1",
        )],
    },
    Scenario {
        alert: "PodsealRestarting",
        after: 20,
        changes: &[("process_start_time_seconds", Pod(0), Rise(20.0))],
        fires: &[(
            Pod(0),
            &[],
            "podseal's pod podseal-5d9c7-a keeps restarting",
        )],
    },
    Scenario {
        alert: "PodsealCertificateMissing",
        after: 11,
        changes: &[("podseal_certificate_expiry_timestamp_seconds", Pod(1), Gone)],
        fires: &[(
            Pod(1),
            &[],
            "podseal's pod podseal-5d9c7-b has no serving certificate",
        )],
    },
    Scenario {
        alert: "PodsealCertificateExpiresSoon",
        after: 16,
        changes: &[(
            "podseal_certificate_expiry_timestamp_seconds",
            Pod(0),
            In(5.0),
        )],
        fires: &[(
            Pod(0),
            &[],
            "The certificate of podseal's pod podseal-5d9c7-a expires in 5d 0h 0m 0s",
        )],
    },
    Scenario {
        alert: "PodsealAuthorityExpiresSoon",
        after: 61,
        changes: &[(
            r#"podseal_ca_expiry_timestamp_seconds{ca="current"}"#,
            Pod(0),
            In(80.0),
        )],
        fires: &[(
            Pod(0),
            &[("ca", "current")],
            "The CA of podseal's pod podseal-5d9c7-a expires in 80d 0h 0m 0s",
        )],
    },
    Scenario {
        alert: "PodsealClientAuthorityExpiresSoon",
        after: 61,
        changes: &[(
            r#"podseal_ca_expiry_timestamp_seconds{ca="client"}"#,
            Pod(1),
            In(20.0),
        )],
        fires: &[(
            Pod(1),
            &[("ca", "client")],
            "A CA in the --client-ca of podseal's pod podseal-5d9c7-b expires in 20d 0h 0m 0s",
        )],
    },
    Scenario {
        alert: "PodsealCertificateReloadFailing",
        after: 11,
        changes: &[(
            r#"podseal_certificate_reload_failing{certificate="serving"}"#,
            Pod(1),
            Set(1.0),
        )],
        fires: &[(
            Pod(1),
            &[("certificate", "serving")],
            "podseal's pod podseal-5d9c7-b cannot reload its files (serving)",
        )],
    },
    Scenario {
        alert: "PodsealCertificateUpkeepFailing",
        after: 21,
        changes: &[(
            r#"podseal_certificate_upkeep_total{what="failure"}"#,
            Pod(0),
            Rise(1.0),
        )],
        fires: &[(
            Pod(0),
            &[("what", "failure")],
            "podseal's pod podseal-5d9c7-a cannot maintain its certificate",
        )],
    },
    Scenario {
        alert: "PodsealHandshakesRefused",
        after: 30,
        changes: &[(
            r#"podseal_tls_handshake_failures_total{reason="peer_alert"}"#,
            Release,
            Rise(0.2),
        )],
        fires: &[(
            Release,
            &[],
            "Clients do not trust the certificate of podseal in podseal",
        )],
    },
    Scenario {
        alert: "PodsealClientsRefused",
        after: 60,
        changes: &[(
            r#"podseal_tls_handshake_failures_total{reason="client_certificate"}"#,
            Pod(1),
            Rise(0.1),
        )],
        fires: &[(
            Pod(1),
            &[("reason", "client_certificate")],
            "podseal's pod podseal-5d9c7-b rejects clients because of their certificate",
        )],
    },
    Scenario {
        alert: "PodsealProfilesReloadFailing",
        after: 11,
        changes: &[("podseal_profiles_reload_failing", Pod(0), Set(1.0))],
        fires: &[(
            Pod(0),
            &[],
            "podseal's pod podseal-5d9c7-a cannot reload the profiles",
        )],
    },
    Scenario {
        alert: "PodsealLookUpsFailing",
        after: 12,
        changes: &[(
            r#"podseal_namespace_lookups_total{outcome="timed_out"}"#,
            Pod(0),
            Rise(0.5),
        )],
        fires: &[(Release, &[], "podseal in podseal cannot look up namespaces")],
    },
    Scenario {
        alert: "PodsealCacheStale",
        after: 11,
        changes: &[("podseal_namespace_cache_fresh", Pod(0), Set(0.0))],
        fires: &[(
            Pod(0),
            &[],
            "podseal's pod podseal-5d9c7-a has lost its watch on namespaces",
        )],
    },
    Scenario {
        alert: "PodsealShedding",
        after: 12,
        changes: &[
            (
                r#"podseal_shed_total{reason="concurrency"}"#,
                Pod(0),
                Rise(1.0),
            ),
            (
                r#"podseal_requests_total{webhook="mutate",operation="CREATE",decision="mutate",mode="enforce"}"#,
                Release,
                Rise(20.0),
            ),
        ],
        fires: &[(Release, &[], "podseal in podseal sheds reviews")],
    },
    Scenario {
        alert: "PodsealAuditLogFailing",
        after: 12,
        changes: &[("podseal_audit_log_failing", Pod(1), Set(1.0))],
        fires: &[(
            Pod(1),
            &[],
            "podseal's pod podseal-5d9c7-b cannot write its audit log",
        )],
    },
    // A reader that is too slow, now and then.
    Scenario {
        alert: "PodsealAuditLogFailing",
        after: 17,
        changes: &[
            (
                r#"podseal_shed_total{reason="audit_log"}"#,
                Pod(0),
                Rise(1.0),
            ),
            (
                r#"podseal_requests_total{webhook="mutate",operation="CREATE",decision="mutate",mode="enforce"}"#,
                Release,
                Rise(200.0),
            ),
        ],
        fires: &[(
            Pod(0),
            &[],
            "podseal's pod podseal-5d9c7-a cannot write its audit log",
        )],
    },
    Scenario {
        alert: "PodsealSlow",
        after: 12,
        changes: &[
            (
                r#"podseal_request_duration_seconds_bucket{le="2.5",webhook="mutate"}"#,
                Release,
                Rise(10.0),
            ),
            (
                r#"podseal_request_duration_seconds_bucket{le="5.0",webhook="mutate"}"#,
                Release,
                Rise(10.0),
            ),
            (
                r#"podseal_request_duration_seconds_bucket{le="+Inf",webhook="mutate"}"#,
                Release,
                Rise(10.0),
            ),
        ],
        fires: &[(
            Release,
            &[],
            "1% of the responses of podseal in podseal take 2.485s or more",
        )],
    },
    Scenario {
        alert: "PodsealRequestsRefused",
        after: 17,
        changes: &[(
            r#"podseal_refused_requests_total{reason="malformed"}"#,
            Pod(0),
            Rise(0.5),
        )],
        fires: &[(
            Release,
            &[("reason", "malformed")],
            "podseal in podseal receives invalid requests (malformed)",
        )],
    },
    Scenario {
        alert: "PodsealDevicePluginNotRegistered",
        after: 16,
        changes: &[("podseal_device_plugin_registered", Plugin(1), Set(0.0))],
        fires: &[(
            Plugin(1),
            &[],
            "The kubelet of the node node-y does not know podseal's device plugin",
        )],
    },
    Scenario {
        alert: "PodsealDevicePluginNotRegistered",
        after: 16,
        changes: &[
            ("podseal_device_plugin_registered", Plugin(0), Gone),
            ("podseal_device_plugin_device_healthy", Plugin(0), Gone),
            ("up", Plugin(0), Set(0.0)),
        ],
        fires: &[(
            Plugin(0),
            &[],
            "The kubelet of the node node-x does not know podseal's device plugin",
        )],
    },
    Scenario {
        alert: "PodsealDeviceMissing",
        after: 16,
        changes: &[("podseal_device_plugin_device_healthy", Plugin(0), Set(0.0))],
        fires: &[(Plugin(0), &[], "The node node-x has no /dev/fuse")],
    },
];
