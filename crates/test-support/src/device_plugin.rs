//! The real `podseal device-plugin`, as a process, with folders that stand in for the
//! kubelet's and for the node's `/dev`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use crate::log::ProcessLog;
use crate::podseal::{metric, status};
use crate::tether::Tethered;
use crate::wait::await_condition;

/// A running device plugin.
pub struct DevicePlugin {
    /// Its process.
    pub process: Tethered,
    status_url: String,
    log: Arc<ProcessLog>,
}

impl DevicePlugin {
    /// Starts it for a kubelet and a node's `/dev` in these folders, with what `complete`
    /// adds to the command.
    pub fn start(kubelet: &Path, dev: &Path, complete: impl FnOnce(&mut Command)) -> DevicePlugin {
        let mut command = Command::new(crate::program());
        command.args(["device-plugin", "--log-format=json"]);
        command.arg("--status-listen=127.0.0.1:0");
        command.arg("--kubelet-dir").arg(kubelet);
        command.arg("--node-dev").arg(dev);
        complete(&mut command);
        let (process, stderr) = Tethered::piped(&command);
        let log = ProcessLog::of(stderr);
        let starting = log.await_event(|event| event["message"] == "starting");
        let address = starting["status_address"].as_str().expect("an address");
        DevicePlugin {
            process,
            status_url: format!("http://{address}"),
            log,
        }
    }

    /// Waits for the first log event that `wanted` selects.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.log.await_event(wanted)
    }

    /// The messages of the log so far.
    pub fn messages(&self) -> Vec<String> {
        let events = self.log.lines().into_iter();
        let events = events.map(|line| serde_json::from_str(&line).expect("JSON"));
        events
            .map(|event: Value| event["message"].as_str().expect("a message").to_owned())
            .collect()
    }

    /// Waits for a message with this in it.
    pub fn await_message(&self, part: &str) -> Value {
        self.await_event(|event| {
            event["message"]
                .as_str()
                .is_some_and(|text| text.contains(part))
        })
    }

    /// What the status port answers at `path`: the code and the text.
    pub fn status(&self, path: &str) -> (u16, String) {
        status(&self.status_url, path)
    }

    /// The value of a metric, named without what all have in common.
    pub fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.status_url, &format!("podseal_device_plugin_{series}"))
    }

    /// Waits until a metric has this value.
    pub fn await_metric(&self, series: &str, value: f64) {
        let reached = || self.metric(series) == Some(value);
        await_condition(series, reached, || format!("{:?}", self.metric(series)));
    }
}
