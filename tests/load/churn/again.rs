//! A namespace that comes again and again under one name, of another team each time: how old
//! are the labels that replicas apply?

use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use support::controlplane::RUNNER;

use super::jobs::{Jobs, NAMESPACES};

/// The most that a label may be old: ten seconds, and some time for a busy machine.
const FRESHNESS: Duration = Duration::from_secs(10 + 5);
/// The pause between two questions for what changes.
const PAUSE: Duration = Duration::from_millis(25);

impl Jobs<'_> {
    /// One name, of another team each time: by the rule, then by labels.
    pub(super) fn create_again_and_again(&self) {
        let name = "ci-job-again";
        while !self.is_over() {
            for profile in [None, Some("root"), Some("rootless")] {
                self.create_namespace(name, profile);
                let created = Instant::now();
                while !self.is_over() && !self.has_everywhere(name, profile, created) {
                    // Nothing announces what a replica has seen.
                    thread::sleep(PAUSE);
                }
                self.try_again(name, profile, created);
                self.remove_namespace(name);
            }
        }
    }

    /// Whether each replica applies this profile, the rule's by default. It fails if one does
    /// not in time.
    fn has_everywhere(&self, name: &str, profile: Option<&str>, created: Instant) -> bool {
        let expected = profile.unwrap_or("soak");
        let mut is_right = true;
        for (span, applied) in self.cluster.profiles(name, profile.is_some()) {
            if applied == expected {
                continue;
            }
            is_right = false;
            if self.cluster.away.overlap(span) {
                continue;
            }
            let age = span.start.saturating_duration_since(created);
            let mut oldest = self.oldest_label.lock().expect("no holder panics");
            *oldest = age.max(*oldest);
            drop(oldest);
            let is_other = ["soak", "root", "rootless"].contains(&&*applied);
            if age > FRESHNESS || !is_other {
                self.fail(format!("{name}, {expected} for {age:.1?}: {applied}"));
                return true;
            }
        }
        is_right
    }

    /// Creates a pod there once each replica in the Service applies the profile. One that drains
    /// may still be behind, and where two differ the pod is denied.
    fn try_again(&self, name: &str, profile: Option<&str>, created: Instant) {
        let pod = cases::job("again");
        let path = format!("{NAMESPACES}/{name}/pods?dryRun=All");
        while !self.is_over() {
            let answer = self.insist(RUNNER, &Method::POST, &path, Some(&pod));
            let build = &answer.body["spec"]["containers"][0];
            let user = build["securityContext"]["runAsUser"].as_i64();
            let is_right = match profile {
                None => user.is_some_and(|user| self.cluster.users.at(answer.span).contains(&user)),
                Some("root") => user == Some(0),
                Some(_) => user == Some(1000),
            };
            if answer.code == 201 && is_right {
                return;
            }
            let age = answer.span.start.saturating_duration_since(created);
            let is_behind = (answer.code == 201 && user.is_some()) || answer.code == 403;
            if age > FRESHNESS || !is_behind {
                let (code, message) = (answer.code, &answer.body["message"]);
                return self.fail(format!(
                    "{name}, {profile:?} for {age:.1?}: {code} {message}, user {user:?}"
                ));
            }
            // Nothing announces the end of a replica that drains.
            thread::sleep(PAUSE);
        }
    }
}
