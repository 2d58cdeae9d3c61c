//! `podseal serve`: the webhook.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::certificates::{Mode, SelfManaged};
use crate::admission::policy::Settings;
use crate::admission::profile::Profiles;
use crate::certificates::identity::Identity;
use crate::certificates::self_managed::keep;
use crate::certificates::serving::Serving;
use crate::cluster::file::NamespaceFile;
use crate::cluster::namespaces::Namespaces;
use crate::webhook::http::{Webhook, router};
use crate::webhook::{log, server};

pub(super) const LONG_ABOUT: &str = "\
Serves the admission webhooks over TLS: POST /mutate and POST /validate, \
admission.k8s.io/v1.

The labels of namespaces come from the cluster that the pod's service account, or \
KUBECONFIG, points at; podseal watches namespaces and needs the verbs get, list and \
watch on them, nothing else. With --namespaces they come from a file, and no cluster \
is asked.

The certificate comes from two files, or with --tls-mode self-managed podseal makes and \
renews it, shares it with its other replicas in a Secret, and keeps the caBundle of its two \
webhook configurations right. It needs get, list, watch, create and update on that Secret \
then, and get, list, watch and patch on these configurations.

Every decision is one event in the log on standard error. SIGTERM stops the server: \
requests in flight finish first.";

const EXAMPLES: &str = "\
Examples:
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key \\
      --listen 127.0.0.1:8443 --namespaces namespaces.yaml
  podseal serve --tls-mode self-managed";

/// Arguments of `podseal serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one and logs it
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443")]
    listen: SocketAddr,
    /// Where the serving certificate is from
    #[arg(long, value_enum, value_name = "MODE", default_value = "files")]
    tls_mode: Mode,
    /// The serving certificate, with its chain, as PEM
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// The certificate's private key, as PEM
    #[arg(long, value_name = "FILE")]
    tls_private_key_file: Option<PathBuf>,
    /// Take namespaces from this file (YAML or JSON) and ask no cluster
    #[arg(long, value_name = "FILE")]
    namespaces: Option<PathBuf>,
    /// Deny jobs that are known by their labels alone where their profile grants more than the
    /// baseline, until the namespace names its runner in the annotation podseal.io/runner
    #[arg(long)]
    require_runner: bool,
    /// The log's form: auto is text on a terminal and JSON elsewhere
    #[arg(long, value_enum, default_value = "auto")]
    log_format: LogFormat,
    /// The least severe events that are logged; decisions always are
    #[arg(long, value_name = "LEVEL", default_value = "info",
          value_parser = clap::builder::PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]))]
    log_level: String,
    #[command(flatten)]
    self_managed: SelfManaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Auto,
    Json,
    Text,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    start_logging(args.log_format, &args.log_level);
    tokio::runtime::Runtime::new()
        .context("cannot start the runtime")?
        .block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let serving = Serving::default();
    let files = (
        args.tls_cert_file.as_ref(),
        args.tls_private_key_file.as_ref(),
    );
    match args.tls_mode.files(files.0, files.1)? {
        Some((certificate, key)) => serving.present(identity(certificate, key)?),
        None => keep_certificates(&args.self_managed, &serving).await?,
    }
    let namespaces = match &args.namespaces {
        Some(path) => Namespaces::File(Arc::new(namespaces_from_file(path)?)),
        None => Namespaces::from_cluster(cluster().await?),
    };
    let stop = server::stop_signal().context("cannot listen for signals")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| cannot_listen(args.listen, &error))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(%address, version, commit = env!("PODSEAL_COMMIT"), "serving");
    let settings = Settings {
        profiles: Profiles::built_in(),
        require_runner: args.require_runner,
    };
    let webhook = Webhook {
        settings,
        namespaces,
    };
    server::serve(listener, serving.current(), router(webhook), async {
        stop.await;
        tracing::info!("told to stop; finishing the requests in flight");
    })
    .await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the upkeep of the certificates. It ends with the process: nothing of
/// it is left half done, since every write stands for itself.
async fn keep_certificates(args: &SelfManaged, serving: &Serving) -> anyhow::Result<()> {
    let client = cluster().await?;
    let settings = args.settings(client.default_namespace());
    settings.check().context("--service-name and --namespace")?;
    let (status, stop) = (Arc::default(), CancellationToken::new());
    tokio::spawn(keep(client, settings, serving.clone(), status, stop));
    Ok(())
}

fn identity(certificate: &Path, key: &Path) -> anyhow::Result<Identity> {
    let read = |flag, path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {flag} {}", path.display()))
    };
    let (chain, secret) = (
        read("--tls-cert-file", certificate)?,
        read("--tls-private-key-file", key)?,
    );
    Identity::from_pem(&chain, &secret).with_context(|| {
        format!(
            "cannot serve {} with {}",
            certificate.display(),
            key.display()
        )
    })
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another process listens there",
        _ => "",
    };
    anyhow!("cannot listen on {address}: {error}{hint}")
}

async fn cluster() -> anyhow::Result<kube::Client> {
    // kube takes the process's default provider; two are compiled in nowhere.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // The error tells its causes itself.
    kube::Client::try_default().await.map_err(|error| {
        anyhow!(
            "no cluster to ask: run in a pod, or set KUBECONFIG; with --namespaces FILE and \
             --tls-mode files podseal needs none ({error})"
        )
    })
}

/// Reads the file that `--namespaces` names.
pub(super) fn namespaces_from_file(path: &Path) -> anyhow::Result<NamespaceFile> {
    let in_file = || format!("--namespaces {}", path.display());
    let text = std::fs::read_to_string(path).with_context(in_file)?;
    NamespaceFile::from_text(&text).with_context(in_file)
}

fn start_logging(format: LogFormat, level: &str) {
    use std::io::IsTerminal;
    let level = level.parse().expect("clap lets only these levels through");
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    log::start(json, level);
}
