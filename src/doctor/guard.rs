//! The policy that reserves podseal's labels, and its binding, without which it does nothing.

use super::command::Command;
use super::facts::{Facts, Release};
use super::finding::{Area, Finding, Severity, quote};
use super::look::Look;
use super::objects::{MatchConstraints, PolicyBinding, ValidatingPolicy};

/// The condition of the chart's policy.
const CONDITION: &str = "changes-labels-or-annotations";
/// What the chart's policy asks the API server.
const CHECK: &str = ".check('seal').allowed()";

/// What is to be said of it.
pub(super) fn finding(facts: &Facts, release: &Release) -> Finding {
    let name = format!("{}-guard", release.name);
    let of = |severity, id, what: String| {
        let place = format!("ValidatingAdmissionPolicy {}", quote(&name));
        Finding::new(Area::Installation, severity, id, place, what).page("docs/security.md")
    };
    let hidden = facts.policies.hidden().or_else(|| facts.bindings.hidden());
    if let Some(hidden) = hidden {
        return of(Severity::Unknown, "guard-hidden", hidden).page("docs/doctor.md#permissions");
    }
    let lacks = |what: String| {
        let template = "helm upgrade RELEASE charts/podseal --namespace NAMESPACE --reset-then-reuse-values --set namespaceGuard.enabled=true";
        of(Severity::Warning, "guard-missing", what)
            .why("anyone who can edit a namespace decides what its jobs are allowed to do")
            .fix(Command::new(template, &release.names()))
    };
    let policy = named(&facts.policies, |policy| policy.metadata.name == name);
    let Some(policy) = policy else {
        return lacks("it does not exist".to_owned());
    };
    let weakness = weakness(policy).or_else(|| {
        let binds = |binding: &PolicyBinding| binding.spec.policy_name == name && binds(binding);
        let binding = named(&facts.bindings, binds);
        binding
            .is_none()
            .then_some("no binding denies what it forbids everywhere")
    });
    match weakness {
        Some(weakness) => lacks(weakness.to_owned()),
        None => {
            let what = "reserves podseal's labels for those with the verb seal";
            of(Severity::Ok, "guard", what.to_owned())
        }
    }
}

fn named<T>(objects: &Look<Vec<T>>, is: impl Fn(&T) -> bool) -> Option<&T> {
    objects.seen()?.iter().find(|object| is(object))
}

/// In what the policy is less than the chart's.
fn weakness(policy: &ValidatingPolicy) -> Option<&'static str> {
    let spec = &policy.spec;
    let rules = &spec.match_constraints.resource_rules;
    let is_for = |operation| {
        rules
            .iter()
            .any(|rule| rule.is_for(operation, "namespaces"))
    };
    let mut validations = spec.validations.iter();
    let mut conditions = spec.match_conditions.iter();
    if spec.failure_policy != "Fail" {
        Some("its failurePolicy is not Fail")
    } else if !is_for("CREATE") || !is_for("UPDATE") || !is_everywhere(&spec.match_constraints) {
        Some("it is not for all namespaces that are created or changed")
    } else if conditions.any(|condition| condition.name != CONDITION) {
        Some("it has a matchCondition that the chart does not set")
    } else if !validations.any(|validation| validation.expression.contains(CHECK)) {
        Some("it does not ask for the verb seal")
    } else {
        None
    }
}

fn is_everywhere(constraints: &MatchConstraints) -> bool {
    constraints.namespace_selector.is_empty() && constraints.object_selector.is_empty()
}

/// Whether a binding denies, everywhere.
fn binds(binding: &PolicyBinding) -> bool {
    let mut actions = binding.spec.validation_actions.iter();
    let everywhere = binding.spec.match_resources.as_ref();
    let everywhere =
        everywhere.is_none_or(|own| own.resource_rules.is_empty() && is_everywhere(own));
    actions.any(|action| action == "Deny") && everywhere
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy() -> Value {
        json!({"metadata": {"name": "podseal-guard"}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {}, "objectSelector": {},
                "resourceRules": [{"apiGroups": [""], "operations": ["CREATE", "UPDATE"],
                    "resources": ["namespaces", "namespaces/*"]}],
            },
            "matchConditions": [{"name": CONDITION, "expression": "true"}],
            "validations": [{"expression": format!("x || authorizer{CHECK}")}],
        }})
    }

    #[test]
    fn a_policy_that_is_less_than_the_charts_is_not_taken_for_it() {
        let of = |change: fn(&mut Value)| {
            let mut policy = policy();
            change(&mut policy["spec"]);
            weakness(&serde_json::from_value(policy).expect("a policy"))
        };
        assert_eq!(of(|_| ()), None);
        let changes: [fn(&mut Value); 5] = [
            |spec| spec["failurePolicy"] = "Ignore".into(),
            |spec| spec["matchConstraints"]["resourceRules"][0]["operations"] = json!(["CREATE"]),
            |spec| spec["matchConstraints"]["namespaceSelector"]["matchLabels"] = json!({"a": "b"}),
            |spec| spec["matchConditions"][0]["name"] = "never".into(),
            |spec| spec["validations"][0]["expression"] = "true".into(),
        ];
        for change in changes {
            assert!(of(change).is_some());
        }
    }

    #[test]
    fn a_binding_that_does_not_deny_everywhere_binds_nothing() {
        let of = |spec: Value| {
            let binding = json!({"spec": spec});
            binds(&serde_json::from_value(binding).expect("a binding"))
        };
        assert!(of(json!({"validationActions": ["Deny", "Audit"]})));
        assert!(!of(json!({"validationActions": ["Audit"]})));
        let some = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
        assert!(!of(
            json!({"validationActions": ["Deny"], "matchResources": some})
        ));
    }
}
