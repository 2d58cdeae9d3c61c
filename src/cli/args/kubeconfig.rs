//! How to reach the cluster: by `KUBECONFIG`, or by the pod's service account.

use anyhow::anyhow;

/// How to reach the cluster, which is needed for `what`.
pub(in crate::cli) async fn cluster_config(
    what: &str,
    otherwise: &str,
) -> anyhow::Result<kube::Config> {
    // kube takes the process's default provider; two are compiled in nowhere.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // The errors name their causes themselves. What follows the first line shows
    // the file, which holds a token.
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
