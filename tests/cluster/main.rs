//! What needs a real control plane, and not the chart.
//!
//! One control plane serves all tests but one, which stops it. A site, which is a
//! module here or a test, has a podseal of its own. It is called for the
//! namespaces that have the site's label, and no other is. Names of namespaces
//! are unique: each site has prefixes of its own.

use std::sync::LazyLock;

use support::controlplane::ControlPlane;

mod apiserver;
mod certificates;
mod fleet;
mod own_profiles;
mod pod_events;
mod pod_security_labels;
mod profile_attacks;
mod replicas_differ;
mod short_lived_namespaces;

static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
