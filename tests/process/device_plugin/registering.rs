//! How the plugin registers, and registers again.

use std::time::{Duration, Instant};

use support::scripted_kubelet::{Answer, ScriptedKubelet};
use support::wait::await_condition;

use super::{Folders, UNHEALTHY, running};

#[test]
fn a_plugin_registers_its_resource_and_lists_as_many_devices_as_it_was_told() {
    let folders = Folders::new();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let arguments = ["--resource=example.com/fuse_2", "--count=5"];
    let plugin = folders.plugin(&arguments);
    kubelet.await_devices(5, UNHEALTHY);
    let registered = kubelet.registrations();
    let [registration] = &registered[..] else {
        panic!("once: {registered:?}");
    };
    assert_eq!(registration.version, "v1beta1");
    assert_eq!(registration.resource_name, "example.com/fuse_2");
    assert_eq!(folders.sockets(), [registration.endpoint.as_str()]);
    plugin.await_metric("registered", 1.0);
    assert_eq!(
        plugin.metric("registrations_total{outcome=\"accepted\"}"),
        Some(1.0)
    );
    assert_eq!(plugin.status("/readyz").0, 200);
}

#[test]
fn a_plugin_waits_for_a_kubelet_that_starts_later_and_logs_that_once() {
    let folders = Folders::new();
    let plugin = folders.plugin(&[]);
    let waits =
        plugin.await_message("cannot register with the kubelet: the kubelet does not answer");
    assert_eq!(waits["level"], "WARN");
    let unreachable = "registrations_total{outcome=\"unreachable\"}";
    let is_repeated = || plugin.metric(unreachable) >= Some(3.0);
    await_condition("attempts", is_repeated, || {
        format!("{:?}", plugin.metric(unreachable))
    });
    let (code, page) = plugin.status("/readyz");
    let reason = "[-]registration failed: the kubelet does not know the plugin yet, or no longer\n";
    assert!(code == 503 && page.contains(reason), "{page}");
    assert_eq!(plugin.status("/livez").0, 200);
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    kubelet.await_devices(64, UNHEALTHY);
    let messages = plugin.messages();
    let lines = messages
        .iter()
        .filter(|line| line.contains("does not answer"));
    assert_eq!(lines.count(), 1, "{messages:#?}");
}

#[test]
fn a_restarted_kubelet_gets_a_new_registration_at_once() {
    let (folders, kubelet, plugin) = running(64);
    let first = kubelet.registrations().remove(0).endpoint;
    // As a killed one: its connections end, and its socket stays.
    drop(kubelet);
    plugin.await_metric("registered", 0.0);
    plugin.await_message("registering again");
    // While it is away, the pauses get long.
    let unreachable = "registrations_total{outcome=\"unreachable\"}";
    let is_patient = || plugin.metric(unreachable) >= Some(4.0);
    await_condition("attempts", is_patient, || {
        format!("{:?}", plugin.metric(unreachable))
    });
    let start = Instant::now();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    kubelet.await_devices(64, UNHEALTHY);
    // The pause would be 8 seconds by now.
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    let endpoint = kubelet.registrations().remove(0).endpoint;
    assert_ne!(endpoint, first, "the kubelet has removed the first socket");
    assert_eq!(folders.sockets(), [endpoint]);
    plugin.await_metric("registered", 1.0);
}

#[test]
fn a_second_kubelet_gets_a_registration_although_the_first_still_watches() {
    let (folders, first, plugin) = running(64);
    let second = ScriptedKubelet::start(folders.kubelet());
    second.await_devices(64, UNHEALTHY);
    // The connections of a socket end with it, so only one kubelet can allocate.
    await_condition("the end", || first.devices().is_none(), String::new);
    assert_eq!(first.registrations().len(), 1);
    plugin.await_metric("registered", 1.0);
}

#[test]
fn a_plugin_that_the_kubelet_drops_registers_again_at_another_socket() {
    let folders = Folders::new();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin(&[]);
    for count in 1..=3 {
        kubelet.await_registrations(count);
        kubelet.await_devices(64, UNHEALTHY);
        kubelet.drop_plugin();
    }
    kubelet.await_registrations(4);
    let mut endpoints: Vec<_> = kubelet
        .registrations()
        .into_iter()
        .map(|registration| registration.endpoint)
        .collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    assert_eq!(endpoints.len(), 4, "{endpoints:?}");
    plugin.await_metric("registered", 1.0);
    let line = plugin.await_message("another device plugin registered the same resource");
    let message = line["message"].as_str().expect("a message");
    assert!(
        message.ends_with("a node must have one plugin of a resource; registering again"),
        "{message}"
    );
}

#[test]
fn a_refused_version_is_logged_once_with_what_to_do_and_tried_again_ever_more_rarely() {
    let folders = Folders::new();
    let refused = "requested API version \"v1beta1\" is not supported by kubelet. Supported version is \
         [\"v2\"]\n\u{1b}[31mforged";
    let refusals = vec![Answer::Refuse(refused.to_owned()); 3];
    let kubelet = ScriptedKubelet::answering(folders.kubelet(), refusals);
    let start = Instant::now();
    let plugin = folders.plugin(&[]);
    let line = plugin.await_message("the kubelet refused the plugin");
    let message = line["message"].as_str().expect("a message");
    assert!(
        message.contains("Supported version is [\"v2\"]"),
        "{message}"
    );
    assert!(
        message.contains("install a podseal that was released for"),
        "{message}"
    );
    assert!(!message.contains(['\n', '\u{1b}']), "{message}");
    kubelet.await_devices(64, UNHEALTHY);
    assert_eq!(kubelet.registrations().len(), 4);
    // The pauses: half a second, one, two.
    assert!(start.elapsed() > Duration::from_millis(3_400));
    let messages = plugin.messages();
    let lines = messages.iter().filter(|line| line.contains("refused"));
    assert_eq!(lines.count(), 1, "{messages:#?}");
    assert_eq!(
        plugin.metric("registrations_total{outcome=\"refused\"}"),
        Some(3.0)
    );
}

#[test]
fn an_endless_refusal_is_cut_and_a_socket_that_the_kubelet_cannot_reach_is_explained() {
    let folders = Folders::new();
    let refusals = [
        Answer::Refuse("x".repeat(5_000)),
        Answer::Refuse("failed to dial device plugin: context deadline exceeded".to_owned()),
    ];
    let _kubelet = ScriptedKubelet::answering(folders.kubelet(), refusals);
    let plugin = folders.plugin(&[]);
    let long = plugin.await_message("xxx…; see the kubelet's log");
    assert!(
        long["message"]
            .as_str()
            .is_some_and(|text| text.len() < 1000)
    );
    plugin.await_message("deadline exceeded; the folder of --kubelet-dir must be");
}

#[test]
fn a_kubelet_that_answers_too_late_is_not_asked_again_if_it_watches_the_devices() {
    let folders = Folders::new();
    let slow = Answer::AcceptAfter(Duration::from_secs(600));
    let kubelet = ScriptedKubelet::answering(folders.kubelet(), [slow]);
    let plugin = folders.plugin(&[]);
    kubelet.await_devices(64, UNHEALTHY);
    // After its patience of 30 seconds.
    plugin.await_message("the kubelet did not answer within 30s");
    plugin.await_metric("registered", 1.0);
    assert_eq!(kubelet.registrations().len(), 1);
    assert_eq!(
        plugin.metric("registrations_total{outcome=\"timed_out\"}"),
        Some(1.0)
    );
}

#[test]
fn a_kubelet_that_accepts_a_plugin_and_does_not_watch_it_is_asked_again() {
    let folders = Folders::new();
    let answers = [Answer::AcceptWithoutWatch];
    let kubelet = ScriptedKubelet::answering(folders.kubelet(), answers);
    let plugin = folders.plugin(&[]);
    kubelet.await_registrations(1);
    assert_eq!(plugin.metric("registered"), Some(0.0));
    kubelet.await_devices(64, UNHEALTHY);
    assert_eq!(kubelet.registrations().len(), 2);
    plugin.await_message("the kubelet does not watch the plugin's devices; registering again");
}

#[test]
fn two_plugins_of_one_resource_leave_each_others_sockets_alone() {
    let folders = Folders::new();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let first = folders.plugin(&[]);
    kubelet.await_registrations(1);
    let second = folders.plugin(&["--count=3"]);
    kubelet.await_devices(3, UNHEALTHY);
    assert_eq!(folders.sockets().len(), 2);
    assert_eq!(kubelet.registrations().len(), 2);
    for plugin in [first, second] {
        plugin.await_metric("registered", 1.0);
    }
}
