//! What the dry runs in a namespace tell: whether podseal is asked, and whether a job's pod gets
//! through.

use super::command::Command;
use super::dry_run::{Answer, Validated, denier};
use super::facts::{Facts, JobNamespace, is_podseals};
use super::finding::{Area, Finding, Severity, quote};
use super::job;
use super::policy::Source;
use crate::symptoms::{KUBERNETES_DENIED, NOT_ASKED, find};
use admission::namespace::Mode;
use admission::namespace::policy::Policy;

/// A quota that is full denies pods until others end.
const FULL: &str = "exceeded quota";
/// A quota denies containers without a value.
const LACKS: &str = "must specify";

/// A namespace in which pods were tried.
pub(super) struct Creation<'r> {
    pub(super) facts: &'r Facts,
    pub(super) job: &'r JobNamespace,
    pub(super) policy: &'r Policy<'r>,
    /// Whether a job exceeds a quota or a range even where nothing else runs.
    pub(super) never_fits: bool,
}

impl Creation<'_> {
    /// What is to be said of them.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.dry_run()];
        if self.job.validated == Validated::Accepted {
            let what = "a privileged pod of no job is accepted (dry run), though podseal denies it";
            findings.push(
                self.found(Severity::Error, "validate-not-asked", what.to_owned())
                    .why("the API server does not ask podseal to validate pods here, so none is checked")
                    .fix(self.configuration("validating"))
                    .page("docs/security.md"),
            );
        }
        findings
    }

    fn found(&self, severity: Severity, id: &'static str, what: String) -> Finding {
        let place = format!("namespace {}", quote(&self.job.namespace.name));
        Finding::new(Area::Namespaces, severity, id, place, what)
    }

    fn of(&self, severity: Severity, what: String) -> Finding {
        self.found(severity, "dry-run", what)
    }

    /// The pod, and as whom it was created.
    fn pod(&self) -> String {
        match (&self.job.dry_run.user, &self.job.dry_run.not_the_runner) {
            (Some(user), _) => format!("a job's pod as {}", quote(user)),
            (None, Some(_)) => "a job's pod as you, who are not its runner,".to_owned(),
            (None, None) => "a job's pod as you".to_owned(),
        }
    }

    fn configuration(&self, kind: &str) -> Command {
        let release = self.facts.release.as_ref();
        let name = release.map_or("podseal", |release| &release.name);
        let template = match kind {
            "validating" => "kubectl get validatingwebhookconfiguration NAME -o yaml",
            _ => "kubectl get mutatingwebhookconfiguration NAME -o yaml",
        };
        Command::new(template, &[("NAME", name)])
    }

    fn dry_run(&self) -> Finding {
        let pod = self.pod();
        let profile = quote(self.policy.name);
        match &self.job.dry_run.answer {
            Answer::Corrected => {
                let validated = match self.job.validated {
                    Validated::Denied => ", and a privileged one of no job is denied by it",
                    _ => "",
                };
                let what = format!(
                    "{profile}; {pod} is corrected by podseal and accepted{validated} (dry run)"
                );
                self.of(Severity::Ok, what)
            }
            Answer::Unchanged => self.unchanged(),
            Answer::Denied(message) => self.denied(message),
            Answer::Failed(message) => {
                let what = format!("whether {pod} is accepted could not be tried (dry run)");
                self.of(Severity::Unknown, what)
                    .quote("the connection", message)
            }
        }
    }

    /// The pod was accepted as it is.
    fn unchanged(&self) -> Finding {
        let pod = self.pod();
        let profile = quote(self.policy.name);
        let settings = self.facts.source.served().settings();
        let corrected = job::corrected(&self.job.namespace, &settings);
        let is_hidden = matches!(self.facts.source, Source::Hidden(_));
        if self.policy.mode == Mode::Audit {
            let what = format!("{profile} in the mode audit: {pod} is accepted as it is (dry run)");
            let name = &self.job.namespace.name;
            let template = "kubectl label namespace NAMESPACE podseal.io/mode-";
            return self
                .of(Severity::Warning, what)
                .why("in this mode podseal records what it would do, so jobs are not corrected and nothing is denied")
                .fix(Command::new(template, &[("NAMESPACE", name)]))
                .page("docs/policy.md");
        }
        if corrected.is_ok_and(|pod| pod == job::pod()) {
            let what = format!("{profile}, which changes nothing; {pod} is accepted (dry run)");
            return self.of(Severity::Ok, what);
        }
        if let Some(why) = &self.job.dry_run.not_the_runner {
            let what = format!("{profile}; {pod} is accepted as it is (dry run)");
            return self.not_tried(what, why);
        }
        let what = format!("{profile}, and {pod} is accepted as it is (dry run)");
        if is_hidden {
            return self
                .of(Severity::Unknown, what)
                .why("whether podseal changes it by profiles and settings of its own could not be read")
                .page("docs/doctor.md#permissions");
        }
        self.of(Severity::Error, what)
            .why("the API server does not ask podseal here, so jobs are neither corrected nor checked")
            .fix(self.configuration("mutating"))
            .page("docs/troubleshooting.md#the-job-is-not-corrected")
    }

    /// A pod of another user than the runner tells little.
    fn not_tried(&self, what: String, why: &str) -> Finding {
        self.of(Severity::Unknown, what)
            .why("the runner's was not tried, since you are not allowed to impersonate it")
            .quote("the API server", why)
            .page("docs/doctor.md#permissions")
    }

    fn denied(&self, message: &str) -> Finding {
        let run = &self.job.dry_run;
        let what = format!("{} is denied (dry run)", self.pod());
        if message.contains("failed calling webhook") {
            return self.not_asked(what, message);
        }
        if let Some(why) = &run.not_the_runner {
            return self.not_tried(what, why);
        }
        if run.user.is_none() && message.contains(" cannot create resource \"pods\" ") {
            return self
                .of(Severity::Unknown, what)
                .why("you are not allowed to create pods here, which a dry run takes")
                .quote("the API server", message)
                .page("docs/doctor.md#permissions");
        }
        match denier(message) {
            Some(webhook) if is_podseals(webhook) => self
                .of(Severity::Error, what)
                .why("podseal denies it, and so each job's")
                .quote(&format!("podseal, by {webhook}"), message)
                .page("docs/troubleshooting.md#podseal-denied-the-pod"),
            Some(webhook) => self.denied_by_another(what, webhook, message),
            None if message.contains("ValidatingAdmissionPolicy '") => {
                self.denied_by_another(what, "a ValidatingAdmissionPolicy", message)
            }
            None => self.denied_by_kubernetes(what, message),
        }
    }

    fn not_asked(&self, what: String, message: &str) -> Finding {
        let finding = self
            .of(Severity::Error, what)
            .quote("the API server", message);
        let is_podseals = message.contains("podseal.io\"");
        match find(NOT_ASKED, message).filter(|_| is_podseals) {
            Some(symptom) => finding.symptom(symptom),
            None if is_podseals => finding
                .why("the API server cannot reach podseal, so no job starts")
                .page("docs/troubleshooting.md#podseal-was-not-asked"),
            None => finding.why("the API server cannot reach another webhook, so no job starts"),
        }
    }

    /// Others may decide by what this pod does not share with a job's.
    fn denied_by_another(&self, what: String, by: &str, message: &str) -> Finding {
        let image = match self.job.newest() {
            Some(_) => "it has the images of the newest job",
            None => "no job's pod is there, so it has an image that does not exist",
        };
        let why = format!("{image}, and may be denied for what no job has");
        self.of(Severity::Warning, what).why(why).quote(by, message)
    }

    fn denied_by_kubernetes(&self, what: String, message: &str) -> Finding {
        let symptom = find(KUBERNETES_DENIED, message);
        let is_uncorrected = self.policy.mode == Mode::Audit
            && symptom.is_some_and(|symptom| symptom.id == "pod-security");
        let severity = match self.never_fits {
            false if message.contains(FULL) => Severity::Warning,
            _ if message.contains(LACKS) && self.job.newest().is_none() => Severity::Warning,
            _ if is_uncorrected => Severity::Warning,
            _ => Severity::Error,
        };
        let finding = self.of(severity, what).quote("the API server", message);
        match symptom {
            _ if is_uncorrected => finding
                .why("in the mode audit podseal corrects no pod, so it depends on the runner's own config.toml")
                .page("docs/policy.md"),
            Some(symptom) => finding.symptom(symptom),
            None => finding
                .why("so is each job's")
                .page("docs/troubleshooting.md#kubernetes-denied-the-pod"),
        }
    }
}
