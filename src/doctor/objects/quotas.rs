//! What limits the pods of a namespace.

use serde::Deserialize;

use super::{Map, Metadata, or_default};

object! {
    /// A quota of a namespace.
    ResourceQuota {
        /// Its metadata.
        metadata: Metadata,
        /// Which pods it is for.
        spec: QuotaSpec,
        /// What is allowed, and used.
        status: QuotaStatus,
    }
    /// Which pods a quota is for.
    QuotaSpec {
        /// All of these; all pods, if none.
        scopes: Vec<String>,
        /// The same by expressions.
        scope_selector: Option<ScopeSelector>,
    }
    /// Scopes by expressions.
    ScopeSelector {
    }
    /// What a quota allows, and what is used.
    QuotaStatus {
        /// Allowed.
        hard: Map,
        /// Used.
        used: Map,
    }
    /// A range of a namespace.
    LimitRange {
        /// Its metadata.
        metadata: Metadata,
        /// Its ranges.
        spec: LimitRangeSpec,
    }
    /// The ranges.
    LimitRangeSpec {
        /// One for each kind.
        limits: Vec<Range>,
    }
    /// A range.
    Range {
        /// `Container`, `Pod` or `PersistentVolumeClaim`.
        r#type: String,
        /// The limits of a container that has none.
        default: Map,
        /// The requests of a container that has none.
        default_request: Map,
        /// The largest.
        max: Map,
        /// The smallest.
        min: Map,
    }
}
