//! The configuration of the Kubernetes client: from `KUBECONFIG`, or the pod's service account.

use anyhow::anyhow;

/// The configuration of the client. `what` and `otherwise` complete the error message.
pub(in crate::cli) async fn cluster_config(
    what: &str,
    otherwise: &str,
) -> anyhow::Result<kube::Config> {
    // kube uses the process's default provider. An error means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // The first line names the cause. Later lines quote the file, which contains a token.
    let first_line = |error: String| error.lines().next().unwrap_or_default().to_owned();
    if let Some(path) = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()) {
        let config = kube::Config::from_kubeconfig(&Default::default()).await;
        return config.map_err(|error| {
            let (path, error) = (path.display(), first_line(error.to_string()));
            anyhow!("cannot use the cluster of KUBECONFIG {path}: {error}")
        });
    }
    kube::Config::infer().await.map_err(|error| {
        let error = first_line(error.to_string());
        anyhow!("no cluster to {what}: run in a pod, or set KUBECONFIG{otherwise} ({error})")
    })
}
