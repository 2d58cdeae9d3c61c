//! The database of the API server.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{ControlPlane, await_condition, free_port, tail};
use crate::tether::Tethered;

/// etcd, and the port it serves clients on.
pub(super) fn start(bin: &Path, folder: &Path) -> (Tethered, u16) {
    let port = free_port();
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{}", free_port());
    let mut command = Command::new(bin.join("etcd"));
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--unsafe-no-fsync", "--log-level", "warn"])
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("default={peer}")]);
    let log = folder.join("etcd.log");
    let etcd = Tethered::start(&command, &log, Some(folder));
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    await_condition("etcd listens", answers, || tail(&log));
    (etcd, port)
}

impl ControlPlane {
    /// Makes etcd forget what was before now, as the API server has it do every
    /// few minutes: a client that continues its watch from there gets the error
    /// that it expired.
    pub fn compact(&self) {
        let etcd = |what: &str, body: Value| -> Value {
            let url = format!("http://127.0.0.1:{}/v3/kv/{what}", self.etcd_port);
            let request = self.http.post(url).body(body.to_string());
            crate::block_on(async {
                let response = request.send().await.expect("etcd answers");
                let code = response.status().as_u16();
                let body = response.bytes().await.expect("etcd answers whole");
                assert_eq!(code, 200, "{what}: {}", crate::text(&body));
                serde_json::from_slice(&body).expect("etcd answers JSON")
            })
        };
        // "YQ==" is an unused key; the response has the revision.
        let range = etcd("range", serde_json::json!({"key": "YQ=="}));
        let now = &range["header"]["revision"];
        etcd("compaction", serde_json::json!({"revision": now}));
    }
}
