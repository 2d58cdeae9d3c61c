//! What became of requests.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::durations::Durations;
use super::label::label;
use super::series::{Counters, NamedCounters};
use admission::decision::record::Webhook;
use admission::decision::{Answer, Decision, Outcome};
use admission::namespace::Mode;
use admission::profile::Profiles;
use admission::standards::{Family, Level};

label! {
    /// What a review is about.
    Operation = "operation" {
        /// A pod is created.
        Create = "CREATE",
        /// A pod is changed.
        Update = "UPDATE",
        /// Anything else, which podseal is not registered for.
        Other = "OTHER",
    }
}

label! {
    /// What the policy says to a review.
    DecisionLabel = "decision" {
        /// The pod may pass as it is.
        Allow = "allow",
        /// The pod may pass with a patch.
        Mutate = "mutate",
        /// The pod may not pass.
        Deny = "deny",
    }
}

label! {
    /// Why a request was given no review.
    Refused = "reason" {
        /// The body is no review.
        Malformed = "malformed",
        /// The body is larger than the limit.
        TooLarge = "too_large",
        /// The body did not arrive in time.
        BodyTimeout = "body_timeout",
        /// The body ended before its time.
        Truncated = "truncated",
        /// Not POST.
        Method = "method",
        /// None of the webhooks' paths.
        Path = "path",
    }
}

label! {
    /// Why a request was turned away that would have been answered at another
    /// time.
    Shed = "reason" {
        /// As many reviews as may be were under way.
        Concurrency = "concurrency",
        /// The bodies that were being read held all the memory there is for them.
        Memory = "memory",
        /// The webhook's entry is for other namespace rules than this replica has.
        Rules = "rules",
    }
}

/// The figures of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    decided: Counters<(Webhook, Operation, DecisionLabel, Mode)>,
    durations: Durations<(Webhook,)>,
    violations: Counters<(Family, Level)>,
    pub(super) changes: NamedCounters,
    refused: Counters<(Refused,)>,
    shed: Counters<(Shed,)>,
    in_flight: Gauge,
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct RequestInProgress<'m>(&'m Gauge);

impl Operation {
    /// The operation that a review names.
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
        let requests = RequestMetrics {
            decided: Counters::default(),
            durations: Durations::default(),
            violations: Counters::default(),
            changes: NamedCounters::new("profile", names),
            refused: Counters::default(),
            shed: Counters::default(),
            in_flight: Gauge::default(),
        };
        registry.register(
            "requests",
            "Reviews answered, by what the policy said and the mode of the namespace",
            requests.decided.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from the whole body to the answer, with the look-up of the namespace and the \
             record",
            requests.durations.clone(),
        );
        registry.register(
            "violations",
            "Reviews of pods that violate a control, by the level of the namespace; each control \
             once a review",
            requests.violations.clone(),
        );
        registry.register(
            "changes",
            "Changes to pods that patches made, by profile",
            requests.changes.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests that were no review, or came too slowly",
            requests.refused.clone(),
        );
        registry.register(
            "shed",
            "Requests turned away for now, to be tried again",
            requests.shed.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests being read or reviewed",
            requests.in_flight.clone(),
        );
        requests
    }

    /// A request has come; it is in flight until what this returns is dropped.
    pub fn begin(&self) -> RequestInProgress<'_> {
        self.in_flight.inc();
        RequestInProgress(&self.in_flight)
    }

    /// A review was answered, and that took `duration`.
    pub fn decided(
        &self,
        webhook: Webhook,
        operation: Operation,
        decision: &Decision<'_>,
        duration: Duration,
    ) {
        let verdict = DecisionLabel::of(&decision.outcome);
        self.decided
            .count((webhook, operation, verdict, decision.mode()));
        self.durations.observe((webhook,), duration);
        let Some(policy) = &decision.policy else {
            return;
        };
        // A pod can hold as many violations as it holds bytes; the families of
        // one pod are a handful.
        for family in &decision.violations.families {
            self.violations.count((*family, policy.level));
        }
        if let Answer::Patch(_) = decision.answer() {
            self.changes.add(policy.name, decision.changes.len() as u64);
        }
    }

    /// A request was given no review.
    pub fn refused(&self, why: Refused) {
        self.refused.count((why,));
    }

    /// A request was turned away.
    pub fn shed(&self, why: Shed) {
        self.shed.count((why,));
    }
}

impl Drop for RequestInProgress<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
