//! What is read of Kubernetes' objects. Fields that are missing are empty.
//!
//! | file | objects |
//! |---|---|
//! | `admission` | configurations of webhooks, and admission policies |
//! | `nodes` | nodes, their taints and kubelets |
//! | `pods` | pods, Deployments and events |
//! | `quotas` | ResourceQuotas and LimitRanges |
//! | [`mod@self`] | what these share |

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub struct List<T> {
    /// Of the list itself.
    #[serde(default)]
    pub metadata: ListMetadata,
    /// Its objects.
    #[serde(default = "Vec::new", deserialize_with = "or_default")]
    pub items: Vec<T>,
}

/// The metadata of a list.
#[derive(Debug, Default, Deserialize)]
pub struct ListMetadata {
    /// The token for the next page.
    #[serde(rename = "continue", default)]
    pub next: Option<String>,
}

/// Objects may have `null` where Go has no value.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares a struct whose fields are all optional in JSON.
macro_rules! object {
    ($(#[doc = $doc:expr] $name:ident { $(#[doc = $of:expr] $field:ident: $type:ty,)* })*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                #[doc = $of]
                #[serde(deserialize_with = "or_default")]
                pub $field: $type,
            )*
        }
    )*};
}

mod admission;
mod nodes;
mod pods;
mod quotas;

pub use self::admission::*;
pub use self::nodes::*;
pub use self::pods::*;
pub use self::quotas::*;

/// Labels, annotations, or the data of a ConfigMap.
pub type Map = BTreeMap<String, String>;

object! {
    /// The metadata of an object.
    Metadata {
        /// Its name.
        name: String,
        /// Its namespace, unless it has none.
        namespace: String,
        /// Its labels.
        labels: Map,
        /// Its annotations.
        annotations: Map,
        /// When it was created.
        creation_timestamp: String,
    }
    /// An object of which only the metadata is read.
    Named {
        /// Its metadata.
        metadata: Metadata,
    }
    /// The version of the API server.
    Version {
        /// Such as `v1.37.1`.
        git_version: String,
    }
    /// Which objects are selected by their labels.
    Selector {
        /// All of these.
        match_labels: Map,
        /// All of these, too.
        match_expressions: Vec<Requirement>,
    }
    /// A requirement of a selector.
    Requirement {
        /// The label.
        key: String,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        operator: String,
        /// Of the first two.
        values: Vec<String>,
    }
    /// A reference by name.
    ObjectName {
        /// The name.
        name: String,
    }
    /// A Secret or ConfigMap.
    Data {
        /// Its values; those of a Secret are base64.
        data: Map,
    }
}

impl Selector {
    /// Whether it selects all.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// As a query of a list.
    pub fn query(&self) -> String {
        let pairs = self.match_labels.iter();
        let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        super::look::escaped(&pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_missing_fields_are_empty() {
        let list = r#"{"metadata": {}, "items": [{"metadata": {"name": "a", "labels": null}, "status": {"allocatable": {"cpu": "2"}}}]}"#;
        let list: List<Node> = serde_json::from_str(list).expect("a list");
        assert_eq!(list.items[0].metadata.name, "a");
        assert!(list.items[0].metadata.labels.is_empty());
        let none: List<Node> = serde_json::from_str(r#"{"items": null}"#).expect("a list");
        assert!(none.items.is_empty());
    }
}
