//! The arguments of `podseal serve` for its certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::certificates::files::CertificateFiles;
use crate::certificates::reload::CertificateReload;
use crate::certificates::self_managed::status::Status;
use crate::certificates::self_managed::{Names, Settings, keep};
use crate::certificates::serving::Serving;
use crate::cli::args::kubeconfig::cluster_config;
use crate::cli::args::time::time;
use crate::metrics::certificates::CertificateMetrics;

/// Source of the serving certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TlsMode {
    /// From --tls-cert-file and --tls-private-key-file
    Files,
    /// Created and renewed by podseal, with its own CA, in a Secret that all replicas share
    SelfManaged,
}

/// The certificate, and which clients are accepted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
#[group(id = "tls")]
pub(super) struct TlsArgs {
    /// Source of the serving certificate
    #[arg(long, value_enum, value_name = "MODE", default_value = "files")]
    tls_mode: TlsMode,
    /// PEM file with the serving certificate and its chain; read again when it changes
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// PEM file with the private key of the certificate; read again when it changes
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: Option<PathBuf>,
    /// PEM file with CAs; accept only clients with a certificate from one of them
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Interval, in seconds, to read these files again even if no change was detected
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    tls_reread_interval: u64,
    #[command(flatten)]
    self_managed: SelfManagedArgs,
}

/// The objects that `--tls-mode self-managed` maintains.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of --tls-mode self-managed")]
pub(super) struct SelfManagedArgs {
    /// Secret for the certificates; created if it does not exist and RBAC permits
    #[arg(long, value_name = "NAME", default_value = "podseal-tls")]
    tls_secret: String,
    /// Namespace that podseal runs in [default: that of its service account or of KUBECONFIG]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Service through which the API server calls podseal
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    service_name: String,
    /// MutatingWebhookConfiguration whose caBundle podseal updates; must exist
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    mutating_webhook_configuration: String,
    /// ValidatingWebhookConfiguration whose caBundle podseal updates; must exist
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    validating_webhook_configuration: String,
    /// Time for which both webhook configurations trust the old and the new CA
    ///
    /// This applies before podseal uses a new CA and again afterwards. It must be longer than an API
    /// server takes to see a change of its webhook configurations.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    ca_overlap: Duration,
}

impl TlsArgs {
    /// Starts to serve a certificate and to follow its changes, in tasks that end
    /// with the process. That is safe at any time: every write is complete by itself.
    pub(super) async fn start(
        self,
        serving: &Serving,
        figures: &CertificateMetrics,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let pair = self
            .tls_mode
            .pair(self.tls_cert_file, self.tls_private_key_file)?;
        // Client CAs first, so that every handshake is checked.
        let authorities = self.client_ca.map(CertificateFiles::client_ca);
        let is_self_managed = pair.is_none();
        let renewal = CertificateReload::start(
            authorities.into_iter().chain(pair).collect(),
            serving.clone(),
            figures.clone(),
            SystemTime::now,
        )?;
        tokio::spawn(renewal.follow(Duration::from_secs(self.tls_reread_interval)));
        if is_self_managed {
            let client = client().await?;
            let settings = self.self_managed.settings(client.default_namespace());
            settings.check().context("--service-name and --namespace")?;
            let status = Arc::new(Status::counted(figures.clone()));
            tokio::spawn(keep_until(stop, client, settings, serving.clone(), status));
        }
        Ok(())
    }
}

/// Maintains the certificates until `stop` is cancelled, and restarts after a panic:
/// otherwise they would expire weeks later, without a warning.
async fn keep_until(
    stop: CancellationToken,
    client: kube::Client,
    settings: Settings,
    serving: Serving,
    status: Arc<Status>,
) {
    loop {
        let (client, settings) = (client.clone(), settings.clone());
        let (serving, status) = (serving.clone(), Arc::clone(&status));
        let kept = tokio::spawn(keep(client, settings, serving, status, stop.clone())).await;
        if stop.is_cancelled() {
            return;
        }
        tracing::error!(
            ?kept,
            "certificate reconciliation ended unexpectedly; restarting it"
        );
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

async fn client() -> anyhow::Result<kube::Client> {
    let config = cluster_config("store the certificate in", "").await?;
    kube::Client::try_from(config).context("cannot create a client for the cluster")
}

impl TlsMode {
    /// The files of the certificate, in the mode `files`.
    fn pair(
        self,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> anyhow::Result<Option<CertificateFiles>> {
        match (self, certificate, key) {
            (TlsMode::Files, Some(certificate), Some(key)) => {
                Ok(Some(CertificateFiles::pair(certificate, key)))
            }
            (TlsMode::Files, ..) => {
                bail!("set --tls-cert-file and --tls-private-key-file, or --tls-mode self-managed")
            }
            (TlsMode::SelfManaged, None, None) => Ok(None),
            (TlsMode::SelfManaged, ..) => bail!(
                "with --tls-mode self-managed, --tls-cert-file and --tls-private-key-file cannot \
                 be used: podseal creates its certificate"
            ),
        }
    }
}

impl TlsArgs {
    /// The namespace that podseal runs in, if an argument sets it.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.self_managed.namespace.as_deref()
    }
}

impl SelfManagedArgs {
    /// The objects to maintain, in `default_namespace` if the arguments name none.
    pub(super) fn settings(&self, default_namespace: &str) -> Settings {
        let namespace = self.namespace.as_deref().unwrap_or(default_namespace);
        let names = Names {
            namespace: namespace.to_owned(),
            secret: self.tls_secret.clone(),
            service: self.service_name.clone(),
            mutating: self.mutating_webhook_configuration.clone(),
            validating: self.validating_webhook_configuration.clone(),
        };
        Settings::new(names, self.ca_overlap)
    }
}
