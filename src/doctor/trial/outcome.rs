//! How a trial ended, by its pod, its log and its events.

use super::Outcome;
use super::observation::{MARK, Observation};
use crate::doctor::finding::quote;
use crate::doctor::objects::Pod;
use crate::symptoms::{JOB_LOG, Symptom, find};

/// How far a pod is.
pub(super) enum State {
    Ended(String),
    Waits(String),
    Never(NotEnded),
}

/// How far `pod` is.
pub(super) fn state(pod: &Pod) -> State {
    let status = &pod.status;
    let mut containers = status.container_statuses.iter();
    let build = containers.find(|container| container.name == "build");
    if let Some(ended) = build.and_then(|build| build.state.terminated.as_ref()) {
        let how = format!("ended with {} {}", ended.exit_code, ended.reason);
        return State::Ended(quote(how.trim_end()));
    }
    if status.phase == "Failed" {
        let why = format!("{} {}", status.reason, status.message);
        return State::Never(quote(&why).into());
    }
    let waiting = build.and_then(|build| build.state.waiting.clone());
    let waiting = waiting.unwrap_or_default();
    let what = format!("{} {}", status.phase, waiting.reason);
    let is_pull = matches!(
        waiting.reason.as_str(),
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
    );
    let is_over = matches!(
        waiting.reason.as_str(),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError"
    );
    match is_pull || is_over {
        true => State::Never(NotEnded {
            why: quote(format!("{what} {}", waiting.message).trim_end()),
            is_pull,
        }),
        false => State::Waits(quote(what.trim_end())),
    }
}

/// The outcome by the log of a container that ended.
pub(super) fn of_log(log: &str, end: &str) -> (Option<Observation>, Outcome) {
    let observation = Observation::read(log);
    let built = observation.as_ref().and_then(|seen| seen.built);
    let symptom = find(JOB_LOG, log);
    let line = line_with(symptom, log);
    let outcome = match built {
        Some(true) => Outcome::Built,
        Some(false) => Outcome::Failed {
            message: line.unwrap_or_else(|| "it printed nothing".to_owned()),
            symptom: symptom.map(|symptom| symptom.id),
        },
        None => {
            let said = line.map(|line| format!(": {line}")).unwrap_or_default();
            not_tried(&format!("{end} before the build did{said}"))
        }
    };
    (observation, outcome)
}

/// The outcome of a container that did not end, by the events of its pod.
pub(super) fn of_events(events: &str, why: &str) -> Outcome {
    let symptom = find(JOB_LOG, events);
    let said = line_with(symptom, events);
    let said = said.map(|line| format!(": {line}")).unwrap_or_default();
    Outcome::NotTried {
        message: quote(&format!("{why}{said}")),
        symptom: symptom.map(|symptom| symptom.id),
    }
}

pub(super) fn not_tried(why: &str) -> Outcome {
    Outcome::NotTried {
        message: quote(why),
        symptom: None,
    }
}

/// The line of `text` with a symptom, or else its last one.
fn line_with(symptom: Option<&Symptom>, text: &str) -> Option<String> {
    let is_shown = |line: &&str| !line.trim().is_empty() && !line.starts_with(MARK);
    let mut lines = text.lines().filter(is_shown);
    let line = match symptom {
        Some(symptom) => lines.find(|line| symptom.is_in(line)),
        None => lines.next_back(),
    };
    line.map(quote)
}

/// Why nothing was built or failed to.
pub(super) struct NotEnded {
    pub(super) why: String,
    /// Whether the image could not be pulled, which says nothing of Podman.
    pub(super) is_pull: bool,
}

impl From<String> for NotEnded {
    fn from(why: String) -> NotEnded {
        NotEnded {
            why,
            is_pull: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_line_that_troubleshooting_knows_or_the_last_one() {
        let log = "podseal-doctor attr=none\nSTEP 1\nERRO[0] newuidmap: write to uid_map failed: Operation not permitted\nexit 125\npodseal-doctor build=failed\n";
        let (_, outcome) = of_log(log, "ended with 1");
        let Outcome::Failed { message, symptom } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(symptom, Some("newuidmap"));
        assert!(message.starts_with("ERRO[0] newuidmap"), "{message}");
        let log = "podseal-doctor attr=none\none\ntwo\n\npodseal-doctor build=failed\n";
        let (_, unknown) = of_log(log, "ended with 1");
        let last = Outcome::Failed {
            message: "two".to_owned(),
            symptom: None,
        };
        assert_eq!(unknown, last);
    }

    #[test]
    fn a_container_that_ended_before_its_build_tried_nothing() {
        for log in [
            "exec /bin/sh: no such file or directory\n",
            "podseal-doctor attr=none\nKilled\n",
        ] {
            let (_, outcome) = of_log(log, "ended with 137 OOMKilled");
            let Outcome::NotTried { message, .. } = &outcome else {
                panic!("{outcome:?}");
            };
            assert!(
                message.starts_with("ended with 137 OOMKilled before"),
                "{message}"
            );
        }
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_no_failure_of_podman() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"status": {
            "phase": "Pending", "containerStatuses": [{"name": "build", "state": {"waiting": {
                "reason": "ErrImagePull", "message": "unauthorized: missing:1"}}}],
        }}))
        .expect("a pod");
        let State::Never(why) = state(&pod) else {
            panic!("it waits");
        };
        assert!(why.is_pull);
        assert_eq!(why.why, "Pending ErrImagePull unauthorized: missing:1");
    }
}
