//! A toleration in a profile.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pod;
use crate::pod::names::{is_label_value, is_qualified};

/// One of `spec.tolerations`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Toleration {
    /// The key of the taint; with none, every taint is tolerated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Equal` or `Exists`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// The value of the taint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; with none, every effect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effect: String,
    /// How long the pod stays on the node, with `NoExecute` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

impl Toleration {
    /// Whether a pod has it: without an operator it is `Equal`.
    pub(crate) fn is(&self, other: &pod::Toleration<'_>) -> bool {
        *self.key == *other.key
            && or_equal(&self.operator) == or_equal(&other.operator)
            && *self.value == *other.value
            && *self.effect == *other.effect
            && self.toleration_seconds == other.toleration_seconds
    }

    /// Why the API server would refuse it, as a clause.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let is_equal = self.operator != "Exists";
        if !["", "Equal", "Exists"].contains(&self.operator.as_str()) {
            Some("the operator is Equal or Exists")
        } else if !["", "NoSchedule", "PreferNoSchedule", "NoExecute"]
            .contains(&self.effect.as_str())
        {
            Some("the effect is NoSchedule, PreferNoSchedule or NoExecute")
        } else if self.key.is_empty() && is_equal {
            Some("without a key the operator is Exists")
        } else if !self.key.is_empty() && !is_qualified(&self.key) {
            Some("the key is not the key of a taint")
        } else if !is_equal && !self.value.is_empty() {
            Some("with the operator Exists there is no value")
        } else if !self.value.is_empty() && !is_label_value(&self.value) {
            Some("the value is not the value of a taint")
        } else if self.toleration_seconds.is_some() && self.effect != "NoExecute" {
            Some("tolerationSeconds is for the effect NoExecute")
        } else {
            None
        }
    }
}

fn or_equal(operator: &str) -> &str {
    match operator {
        "" => "Equal",
        operator => operator,
    }
}

impl<'a> From<&'a Toleration> for pod::Toleration<'a> {
    fn from(toleration: &'a Toleration) -> Self {
        pod::Toleration {
            key: toleration.key.as_str().into(),
            operator: toleration.operator.as_str().into(),
            value: toleration.value.as_str().into(),
            effect: toleration.effect.as_str().into(),
            toleration_seconds: toleration.toleration_seconds,
        }
    }
}

/// As kubectl writes it: `key=value:effect`.
impl fmt::Display for Toleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        if !self.effect.is_empty() {
            write!(f, ":{}", self.effect)?;
        }
        if self.operator == "Exists" {
            f.write_str(if self.key.is_empty() {
                "op=Exists"
            } else {
                " op=Exists"
            })?;
        }
        match self.toleration_seconds {
            Some(seconds) => write!(f, " for {seconds}s"),
            None => Ok(()),
        }
    }
}
