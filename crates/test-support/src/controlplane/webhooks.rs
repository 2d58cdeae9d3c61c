//! The chart's webhooks, registered for podseal on this host.

use serde_json::json;

use super::{ADMIN, ControlPlane};
use crate::chart::rendered;

impl ControlPlane {
    /// Registers the webhooks that the chart renders with these values, each `NAME=JSON`, for
    /// servers with a certificate of `ca`. Without nodes the Service leads to `port` of this
    /// host.
    ///
    /// # Panics
    /// If helm or the API server does not accept them.
    pub fn register(&self, values: &[&str], ca: &str, port: u16) {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(ca);
        let mut items = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podseal"}}),
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "podseal", "namespace": "podseal"},
                "spec": {"type": "ExternalName", "externalName": "localhost",
                    "ports": [{"port": port}]}}),
        ];
        for mut object in rendered("webhooks", values).expect("the chart renders its webhooks") {
            for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
                webhook["clientConfig"]["caBundle"] = ca.clone().into();
                webhook["clientConfig"]["service"]["port"] = port.into();
            }
            items.push(object);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.apply(ADMIN, &list.to_string());
    }
}
