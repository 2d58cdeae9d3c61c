//! Untrusted texts for fields that a control or a profile reads.

use serde_json::{Value, json};

use crate::fixture;
use crate::job_log::RETRIED;

/// What an attacker might write: the phrases GitLab Runner retries on, a line
/// break, an escape code, and much of it.
pub fn hostile() -> Vec<String> {
    let phrases = RETRIED.map(|phrase| format!("x{phrase}x"));
    let bare = RETRIED.map(str::to_owned);
    let rest = ["a\nb\u{1b}[31m\u{202e}.", "é語\"\\\u{2028}", "."].map(|text| text.repeat(200));
    phrases.into_iter().chain(bare).chain(rest).collect()
}

/// Everything that is text and that a control reads.
pub fn with_text(text: &str, many: usize) -> Value {
    let mut pod = fixture("default-with-service");
    let key = format!("container.apparmor.security.beta.kubernetes.io/{text}");
    pod["metadata"]["annotations"][key] = text.into();
    let volumes = (0..many).map(|_| json!({"name": text, "hostPath": {"path": text}}));
    let spec = &mut pod["spec"];
    spec["volumes"]
        .as_array_mut()
        .expect("volumes")
        .extend(volumes);
    spec["securityContext"] = json!({"sysctls": [{"name": text}]});
    let context = json!({
        "procMount": text,
        "capabilities": {"add": vec![text; many], "drop": vec![text; many]},
        "seLinuxOptions": {"type": text, "user": text, "role": text},
        "seccompProfile": {"type": text, "localhostProfile": text},
        "appArmorProfile": {"type": text, "localhostProfile": text},
    });
    let probe = json!({"httpGet": {"host": text}});
    for container in spec["containers"].as_array_mut().expect("containers") {
        container["securityContext"] = context.clone();
        container["livenessProbe"] = probe.clone();
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        // As long as the name of a container may be.
        let named = format!("{list}{text}");
        let named = &named[..named.floor_char_boundary(63)];
        let list = spec.as_object_mut().expect("a spec").entry(list);
        let list = list.or_insert(json!([])).as_array_mut().expect("a list");
        list.push(json!({"name": named, "securityContext": context, "livenessProbe": probe}));
    }
    pod
}
