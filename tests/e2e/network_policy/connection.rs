//! Connections that are tried: from where, and what becomes of them.

use std::time::Duration;

use serde_json::{Value, json};
use support::text;
use support::wait::await_value;

use crate::replicas::Replica;
use crate::site::{Namespace, Site};

/// Where a connection comes from: the command that runs another one there.
pub(super) struct Source<'s> {
    site: &'s Site,
    name: String,
    enter: Vec<String>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Connects,
    /// No reply: the policy drops it.
    TimesOut,
}

pub(super) use Outcome::{Connects, TimesOut};

impl<'s> Source<'s> {
    pub(super) fn new(site: &'s Site, name: &str, enter: &[&str]) -> Source<'s> {
        Source {
            site,
            name: name.to_owned(),
            enter: enter.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    pub(super) fn node(site: &'s Site) -> Source<'s> {
        Source::new(site, "the node", &["env"])
    }

    /// A replica of podseal, whose image has no shell.
    pub(super) fn replica(site: &'s Site, replica: &Replica) -> Source<'s> {
        let pid = replica.pid(&site.node);
        Source::new(site, "podseal", &["nsenter", "--target", &pid, "--net"])
    }

    pub(super) fn run(&self, command: &[&str]) -> std::process::Output {
        let enter: Vec<_> = self.enter.iter().map(String::as_str).collect();
        let args = [&enter[1..], command].concat();
        self.site.node.run(enter[0], &args, "")
    }

    fn connect(&self, address: &str, port: u16) -> Outcome {
        let connect = format!("</dev/tcp/{address}/{port}");
        let output = self.run(&["timeout", "2", "bash", "-c", &connect]);
        match output.status.code() {
            Some(0) => Connects,
            Some(124) => TimesOut,
            // A refusal would say nothing of the policy: something has to listen.
            code => panic!(
                "{} to {address}:{port}: {code:?} {}",
                self.name,
                text(&output.stderr)
            ),
        }
    }

    /// Waits until a connection ends so: a changed policy takes a moment.
    #[track_caller]
    pub(super) fn expect(&self, address: &str, port: u16, expected: Outcome) {
        await_value(
            &format!("{} to {address}:{port}: {expected:?}", self.name),
            Duration::from_secs(20),
            || {
                // One that times out by a busy machine would say nothing.
                let outcome = self.connect(address, port);
                let is_certain = outcome == Connects || self.connect(address, port) == outcome;
                (outcome == expected && is_certain).then_some(())
            },
            || self.site.node.component_log("network-policies"),
        );
    }
}

/// A pod that serves ports 443 and 8000, and has a shell.
pub(super) struct Client {
    namespace: String,
    name: String,
    pub(super) address: String,
}

impl Client {
    pub(super) fn new(namespace: &Namespace<'_>, name: &str, labels: &Value) -> Client {
        Client::in_namespace(namespace.site, &namespace.name, name, labels)
    }

    pub(super) fn in_namespace(site: &Site, namespace: &str, name: &str, labels: &Value) -> Client {
        let serve = "busybox httpd -f -p 443 & exec busybox httpd -f -p 8000";
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "client",
                    "image": "node.test/helper:1",
                    "command": ["sh", "-c", serve],
                    "readinessProbe": {"tcpSocket": {"port": 443}, "periodSeconds": 1},
                }],
            },
        });
        site.node.apply(&pod.to_string());
        let pod = format!("pod/{name}");
        let condition = ["wait", "--for=condition=Ready", "--timeout=60s", &pod];
        site.node
            .kubectl(&[&condition[..], &["--namespace", namespace]].concat());
        let pod = site.node.get(&["--namespace", namespace, &pod]);
        Client {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            address: pod["status"]["podIP"]
                .as_str()
                .expect("an address")
                .to_owned(),
        }
    }

    pub(super) fn source<'s>(&self, site: &'s Site) -> Source<'s> {
        let name = format!("{}/{}", self.namespace, self.name);
        let exec = ["kubectl", "exec", "--namespace", &self.namespace];
        Source::new(site, &name, &[&exec[..], &[&self.name, "--"]].concat())
    }
}
