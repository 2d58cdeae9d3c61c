//! What needs a real control plane, and not the chart.

mod apiserver;
mod certificates;
mod fleet;
mod own_profiles;
mod pod_security_labels;
mod profile_attacks;
mod replicas_differ;
