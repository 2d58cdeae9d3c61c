//! Limits of Kubernetes for pods.

/// The longest name of a container: a DNS label (Kubernetes 1.37,
/// `ValidateDNS1123Label` in `pkg/apis/core/validation`).
pub(crate) const CONTAINER_NAME: usize = 63;

/// Kubernetes limits an object's annotations, keys and values together
/// (`TotalAnnotationSizeLimitB`).
pub(crate) const ANNOTATIONS: usize = 256 * 1024;

/// The last id in a pod with a user namespace of its own: the kubelet maps 65,536
/// ids (Kubernetes 1.37, "User Namespaces"). Clusters assign higher ids themselves.
pub(crate) const LAST_MAPPED_ID: i64 = 65_535;

/// The last id that the API server accepts (`IsValidUserID`).
pub(crate) const LAST_ID: i64 = 2_147_483_647;
