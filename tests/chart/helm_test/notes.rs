//! What is told after an installation.

use std::process::Command;

use support::{run, text};

use crate::helm_test::{CHART, MODES, printed, with_values};

/// What is told after an installation.
pub(crate) fn notes(release: &str, values: &[&str]) -> String {
    let args = [
        "install",
        release,
        CHART,
        "--namespace",
        "seal",
        "--dry-run=client",
    ];
    let told = printed(&with_values(&args, values));
    let (_, notes) = told.split_once("\nNOTES:\n").expect("notes");
    notes.to_owned()
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
    let open = &[
        "hostNetwork=true",
        "serve.statusAddress=::",
        "metrics.podMonitor.enabled=true",
    ];
    let existing = MODES[2].0;
    let bundled = MODES[3].0;
    let rule = &[
        "namespaceRules[0].name=jobs",
        "namespaceRules[0].profile=none",
        "namespaceRules[0].namespaces.matchLabels.team=a",
    ][..];
    let old = &[
        "defaults[0].name=jobs",
        "defaults[0].profile=none",
        "defaults[0].namespaces.matchLabels.team=a",
    ][..];
    let guarded = &[rule, &["namespaceGuard.enabled=true"]].concat();
    let kind = "namespaceRules[0].namespaces.matchLabels.podseal\\.io/kind=job";
    let sealed = &[&guarded[..], &[kind]].concat();
    let cases: &[(&[&str], &str, bool)] = &[
        (&["webhooks.enabled=false"], "podseal is never called", true),
        (&["webhooks.enabled=true"], "podseal is never called", false),
        (&["replicas=1"], "WARNING  replicas=1: ", true),
        (&["replicas=3"], "WARNING  replicas", false),
        (
            &["networkPolicy.enabled=false"],
            "anyone who can reach podseal",
            true,
        ),
        (&[], "anyone who can reach podseal", false),
        (
            &["hostNetwork=true"],
            "WARNING  hostNetwork=true: the namespace seal must allow the level privileged:\n",
            true,
        ),
        (
            &["hostNetwork=true"],
            "replicas=2: each needs a node of its own, where the ports 8443 and 8080 are free.\n",
            true,
        ),
        (
            &["hostNetwork=true", "serve.webhookPort=10443"],
            "to port 10443 of the nodes, by a firewall or security group.\n",
            true,
        ),
        (&["hostNetwork=true"], "WARNING  serve.statusAddress", false),
        (
            open,
            "WARNING  serve.statusAddress=::: anyone who can reach port 8080 of the nodes can read the metrics.\n",
            true,
        ),
        (open, "metricsFrom is empty", false),
        (
            &["hostNetwork=true", "networkPolicy.enabled=false"],
            "WARNING  networkPolicy",
            false,
        ),
        (
            &["metrics.podMonitor.enabled=true"],
            "metricsFrom is empty",
            true,
        ),
        (existing, "caBundle is empty", true),
        (bundled, "caBundle is empty", false),
        (dashboard, "dashboard and alerts have no data", true),
        (
            &["metrics.prometheusRule.enabled=true"],
            "dashboard and alerts have no data",
            true,
        ),
        (monitored, "dashboard and alerts have no data", false),
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
        (
            &["profiles.configMap=theirs"],
            "until the ConfigMap theirs exists",
            true,
        ),
        (
            &["profiles.files.ours=name: ours\npod:\n  default: {hostUsers: false}\n"],
            "NOTE     profiles.files.ours: default is deprecated; rename it to ifUnset in: pod.\n",
            true,
        ),
        (
            &["profiles.files.ours=name: ours\npod:\n  ifUnset: {hostUsers: false}\n"],
            "deprecated",
            false,
        ),
        (
            old,
            "NOTE     defaults is deprecated; rename it to namespaceRules.\n",
            true,
        ),
        (old, "match one of the rules in namespaceRules (1)", true),
        (rule, "deprecated", false),
        (
            rule,
            "podseal applies to namespaces that match one of the rules in namespaceRules (1),",
            true,
        ),
        (rule, "and to those that\nyou label. Choose a profile", true),
        (&[], "namespaces that match", false),
        (rule, "namespaceGuard does not protect", false),
        (
            guarded,
            "namespaceGuard does not protect the labels that 1 of the rules match, such as\n         jobs. ",
            true,
        ),
        (sealed, "namespaceGuard does not protect", false),
        (&[], "WARNING", false),
    ];
    for (values, words, told) in cases {
        let notes = notes("podseal", values);
        assert_eq!(notes.contains(words), *told, "{values:?}: {words}\n{notes}");
    }
}

#[test]
fn the_notes_warn_of_rules_for_namespaces_that_nodes_may_need() {
    let longer = "or list such namespaces in webhooks.excludedNamespaces.";
    let without = |prefix: &str, more: &[&str]| {
        let prefix = format!("namespaceRules[0].namespaces.prefix={prefix}");
        let rule = [
            "namespaceRules[0].name=jobs",
            "namespaceRules[0].profile=none",
            &prefix,
        ];
        notes("podseal", &[&rule, more].concat())
    };
    for (prefix, such) in [
        (
            "c",
            ",\n         such as calico-system, cert-manager, cilium",
        ),
        ("ce", ",\n         such as cert-manager"),
        ("gate", ",\n         such as gatekeeper-system"),
        ("met", ",\n         such as metallb-system"),
        ("tigera-operator", ",\n         such as tigera-operator"),
        ("xy", ""),
    ] {
        let notes = without(prefix, &[]);
        let warning = format!(
            "WARNING  namespaceRules: rule jobs matches every namespace that begins with {prefix}{such}.\n"
        );
        assert!(
            notes.contains(&warning) && notes.contains(longer),
            "{prefix}: {notes}"
        );
        let long: Vec<_> = notes
            .lines()
            .filter(|line| line.chars().count() > 120)
            .collect();
        assert!(long.is_empty(), "{long:#?}");
    }
    let excluded = "webhooks.excludedNamespaces={cert-manager,cilium}";
    let notes = without("c", &[excluded]);
    assert!(
        notes.contains("begins with c,\n         such as calico-system.\n"),
        "{notes}"
    );
    let label = "namespaceRules[0].namespaces.matchLabels.team=a";
    for (prefix, more) in [
        ("xyz", &[][..]),
        ("cilium-test", &[]),
        ("cil", &[excluded]),
        // Whoever labels such a namespace means it.
        ("c", &[label]),
    ] {
        let notes = without(prefix, more);
        assert!(
            !notes.contains("matches every namespace"),
            "{prefix}: {notes}"
        );
    }
}
