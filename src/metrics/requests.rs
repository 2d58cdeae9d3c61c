//! Requests: what was decided, and how long it took.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::durations::Durations;
use super::label::label;
use super::series::{Counters, NamedCounters, Series, registered};
use admission::cautions::Id as CautionId;
use admission::decision::record::Webhook;
use admission::decision::{Answer, Decision, Outcome};
use admission::namespace::Mode;
use admission::profile::Profiles;
use admission::standards::{Family, Level};

label! {
    /// The operation of a review.
    Operation = "operation" {
        /// A pod is created.
        Create = "CREATE",
        /// A pod is updated.
        Update = "UPDATE",
        /// Any other; podseal is not registered for them.
        Other = "OTHER",
    }
}

label! {
    /// What the policy decides for a review.
    DecisionLabel = "decision" {
        /// The pod is allowed unchanged.
        Allow = "allow",
        /// The pod is allowed with a patch.
        Mutate = "mutate",
        /// The pod is denied, or would be in the mode `enforce`.
        Deny = "deny",
    }
}

label! {
    /// Why a request was refused without a review.
    Refused = "reason" {
        /// The body is not a review.
        Malformed = "malformed",
        /// The body is larger than the limit.
        TooLarge = "too_large",
        /// The body did not arrive in time.
        BodyTimeout = "body_timeout",
        /// The body ended early.
        Truncated = "truncated",
        /// The method is not POST.
        Method = "method",
        /// The path is not one of a webhook.
        Path = "path",
    }
}

label! {
    /// Why a request was rejected for now. The client can retry it.
    Shed = "reason" {
        /// The limit of concurrent reviews was reached.
        Concurrency = "concurrency",
        /// The memory limit for request bodies was reached.
        Memory = "memory",
        /// The record of a decision could not be written in time.
        AuditLog = "audit_log",
        /// The webhook configuration is for other namespace rules than this replica's.
        Rules = "rules",
    }
}

/// The metrics of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    decided: Counters<((Webhook, Operation), (DecisionLabel, Mode))>,
    durations: Series<Webhook, Durations>,
    violations: Counters<(Family, Level)>,
    cautions: Counters<CautionId>,
    pub(super) changes: NamedCounters,
    refused: Counters<Refused>,
    shed: Counters<Shed>,
    in_flight: Gauge,
}

/// A request in flight. Dropping it ends it.
#[derive(Debug)]
pub struct RequestInProgress<'m>(&'m Gauge);

impl Operation {
    /// The label for the operation of a review.
    pub fn of(operation: &str) -> Operation {
        match operation {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            _ => Operation::Other,
        }
    }
}

impl DecisionLabel {
    fn of(outcome: &Outcome) -> DecisionLabel {
        match outcome {
            Outcome::Allow(_) => DecisionLabel::Allow,
            Outcome::Mutate(_) => DecisionLabel::Mutate,
            Outcome::Deny(_) => DecisionLabel::Deny,
        }
    }
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry, profiles: &Profiles) -> RequestMetrics {
        let names = profiles.iter().map(|profile| profile.name.clone());
        let changes = NamedCounters::new("profile", names);
        registry.register(
            "changes",
            "Changes made to pods by patches, by profile",
            changes.family(),
        );
        RequestMetrics {
            decided: registered(
                registry,
                "requests",
                "Reviews decided, by the decision of the policy and the mode of the namespace",
            ),
            durations: registered(
                registry,
                "request_duration_seconds",
                "Time from the complete body to the answer, including the namespace look-up and \
                 the audit record",
            ),
            violations: registered(
                registry,
                "violations",
                "Reviews of pods that violate a control, by the level of the namespace; a review \
                 counts once for each control",
            ),
            cautions: registered(
                registry,
                "cautions",
                "Pods of jobs that something may keep from running, by what it is; a pod counts once \
                 for each",
            ),
            changes,
            refused: registered(
                registry,
                "refused_requests",
                "Requests that were not a review or arrived too slowly",
            ),
            shed: registered(
                registry,
                "shed",
                "Requests rejected for now, which the client can retry",
            ),
            in_flight: registered(
                registry,
                "requests_in_flight",
                "Requests being read or reviewed",
            ),
        }
    }

    /// Counts a request as in flight until the result is dropped.
    pub fn begin(&self) -> RequestInProgress<'_> {
        self.in_flight.inc();
        RequestInProgress(&self.in_flight)
    }

    /// Counts a decision.
    pub fn decided(&self, webhook: Webhook, operation: Operation, decision: &Decision<'_>) {
        let verdict = DecisionLabel::of(&decision.outcome);
        self.decided
            .of(((webhook, operation), (verdict, decision.mode())))
            .inc();
        let Some(policy) = &decision.policy else {
            return;
        };
        // By family: the number of violations grows with the size of the pod, the
        // number of families does not.
        for family in &decision.violations.families {
            self.violations.of((*family, policy.level)).inc();
        }
        // Both webhooks see a pod, unless the first one denies it.
        if webhook == Webhook::Validate || verdict == DecisionLabel::Deny {
            for caution in &decision.cautions {
                self.cautions.of(caution.id).inc();
            }
        }
        if let Answer::Patch(_) = decision.answer() {
            self.changes.add(policy.name, decision.changes.len() as u64);
        }
    }

    /// Counts an answer that took `duration`.
    pub fn answered(&self, webhook: Webhook, duration: Duration) {
        self.durations.of(webhook).observe(duration);
    }

    /// Counts a request that was refused.
    pub fn refused(&self, why: Refused) {
        self.refused.of(why).inc();
    }

    /// Counts a request that was rejected for now.
    pub fn shed(&self, why: Shed) {
        self.shed.of(why).inc();
    }
}

impl Drop for RequestInProgress<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
