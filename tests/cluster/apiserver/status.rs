//! The status of podseal with a real API server.

use support::podseal::Podseal;

use crate::PLANE;

#[test]
fn podseal_is_ready_once_it_has_listed_the_namespaces_and_its_self_probe_has_passed() {
    let podseal = Podseal::for_cluster(&PLANE);
    podseal.await_event(|event| event["message"] == "ready");
    let checks = "[+]certificate ok\n[+]namespaces ok\n[+]self-probe ok\n[+]shutdown ok\n\
        readyz check passed\n";
    assert_eq!(podseal.status("/readyz?verbose"), (200, checks.to_owned()));
    let line = |words: &str| {
        let lines = podseal.lines();
        lines.iter().position(|line| line.contains(words))
    };
    let listed = line("listed the namespaces that opt in").expect("it is logged");
    assert!(listed < line("\"ready\"").expect("it is logged"));
}
