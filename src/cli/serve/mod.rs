//! `podseal serve`: the webhook.
//!
//! | file | what it does |
//! |---|---|
//! | `listen` | the ports |
//! | `signals` | the signals to stop |
//! | `tls` | arguments: where the certificate is from |
//! | `limits` | arguments: what clients may hold |

mod limits;
mod listen;
mod signals;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use self::listen::{address, listen};
use self::signals::Signals;
use super::args::kubeconfig::cluster_config;
use super::args::namespaces::read_namespaces;
use super::args::policy;
use crate::certificates::serving::Serving;
use crate::health::readiness::Readiness;
use crate::health::routes::{self, HealthState};
use crate::health::{port, readiness_log, self_probe};
use crate::live_config::current::LiveConfig;
use crate::live_config::reload::ProfileReload;
use crate::logging::setup;
use crate::metrics::Metrics;
use crate::namespaces::source::Namespaces;
use crate::server::Server;
use crate::webhook::review::ReviewHandler;
use crate::webhook::routes::router;
use admission::namespace::rules::NamespaceRules;
use admission::namespace::unnamed_runners::UnnamedRunners;

pub(super) const LONG_ABOUT: &str = "\
Serves the admission webhooks over TLS: POST /mutate and POST /validate, \
admission.k8s.io/v1; and \
for entries of namespace rules /mutate/rules-DIGEST and /validate/rules-DIGEST, see \
`podseal rules --help`.

The labels of namespaces come from the cluster that the pod's service account, or \
KUBECONFIG, points at; podseal watches namespaces and needs the verbs get, list and \
watch on them. With --namespaces they come from a file, and no cluster is asked for them.

The certificate comes from two files, which are read again when they change; or with \
--tls-mode self-managed podseal makes and renews it, shares it with its other replicas in a \
Secret, and keeps the caBundle of its two webhook configurations right. It needs get, list, \
watch and update on that Secret then, create where nobody made an empty one, and get, list, watch and patch on these \
configurations.

/livez, /readyz (?verbose lists its checks) and /metrics are on a port of their own, \
plain HTTP.

Every decision is one event in the log on standard error.

SIGTERM or Ctrl-C stops the server in good order: it serves on for --drain while every \
answer sends its client elsewhere, then what is in flight finishes. A second one, a second \
or more later, stops it at once.

Exit codes: 0 after a stop in good order, 1 after one at once, 2 for arguments or files \
that cannot be used.";

const EXAMPLES: &str = "\
Examples:
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key \\
      --listen 127.0.0.1:8443 --namespaces namespaces.yaml
  podseal serve --tls-mode self-managed
  curl 'http://localhost:8080/readyz?verbose'";

/// Arguments of `podseal serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Address and port to listen on; the default is all there is, IPv4 included, and IPv4 alone
    /// where there is no IPv6; port 0 takes a free one and logs it
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443", value_parser = address)]
    listen: SocketAddr,
    /// Address and port of /livez, /readyz and /metrics, which are plain HTTP; port 0 takes a free
    /// one and logs it
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080", value_parser = address)]
    status_listen: SocketAddr,
    #[command(flatten)]
    tls: tls::TlsArgs,
    /// Take namespaces from this file, as `kubectl get ns -o yaml` prints them (JSON does too), and
    /// ask no cluster; read once
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    namespaces: Option<PathBuf>,
    #[command(flatten)]
    rules: policy::PolicyArgs,
    #[command(flatten)]
    limits: limits::LimitArgs,
    /// The log's form: auto is text on a terminal and JSON elsewhere
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "auto",
        help_heading = "Log"
    )]
    log_format: LogFormat,
    /// The least severe events that are logged; decisions always are
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Log",
          value_parser = clap::builder::PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]))]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Auto,
    Json,
    Text,
}

/// Where the kubelet puts a pod's namespace, next to the service account's token.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// How often the profiles are read again though no change was seen.
const PROFILES_REREAD: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    start_logging(args.log_format, &args.log_level);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(args, start));
    // Waits for nothing: what had to finish has.
    runtime.shutdown_background();
    ended
}

async fn serve(args: ServeArgs, start: Instant) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.listen != args.status_listen || args.listen.port() == 0,
        "--listen and --status-listen are the same address; give two"
    );
    let mounted = std::fs::read_to_string(OWN_NAMESPACE).ok();
    let own = args.tls.namespace().or(mounted.as_deref().map(str::trim));
    let (rules, read) = args.rules.rules(own)?;
    let serving = Serving::default();
    let mut metrics = Metrics::new(&rules.profiles(), serving.expiry());
    let stop_writing = CancellationToken::new();
    args.tls
        .start(&serving, &metrics.certificates, stop_writing.clone())
        .await?;
    let namespaces = match &args.namespaces {
        Some(path) => Namespaces::File(Arc::new(read_namespaces(path, rules.namespace_rules())?)),
        None => {
            let most_waiting = args.limits.reviews().look_ups_waiting();
            namespaces_from_cluster(rules.namespace_rules(), most_waiting, &metrics).await?
        }
    };
    let of_cache = namespaces.clone();
    metrics.show_namespace_cache(move || of_cache.cache_state());
    let metrics = Arc::new(metrics);
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let (listener, address) = listen(args.listen, "--listen").await?;
    let (status_listener, status_address) = listen(args.status_listen, "--status-listen").await?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(
        %address,
        %status_address,
        version,
        commit = env!("PODSEAL_COMMIT"),
        "serving"
    );
    if let Some(digest) = rules.digest() {
        tracing::info!(rules = %digest, "holding namespace rules");
    }
    if let Some(read) = read {
        let (rules, figures) = (rules.clone(), metrics.profiles.clone());
        let renewal = ProfileReload::new(read.folder, read.files, rules, figures);
        tokio::spawn(renewal.follow(PROFILES_REREAD));
    }
    tokio::spawn(warn_of_unnamed_runners(namespaces.clone(), rules.clone()));
    let readiness = Readiness::new(serving.current(), namespaces.clone());
    let status = HealthState {
        readiness: readiness.clone(),
        rules: rules.clone(),
        metrics: Arc::clone(&metrics),
    };
    tokio::spawn(port::serve(status_listener, routes::router(status)));
    let certificate = serving.current();
    tokio::spawn(self_probe::follow(address, certificate, readiness.clone()));
    let log = readiness_log::log(start);
    tokio::spawn(readiness_log::follow(
        readiness.clone(),
        SystemTime::now,
        log,
    ));
    let webhook = ReviewHandler::new(
        rules,
        namespaces,
        &args.limits.reviews(),
        Arc::clone(&metrics),
    );
    let (stop_sender, stop) = tokio::sync::oneshot::channel();
    let server = Server {
        certificate: serving.current(),
        limits: args.limits.connections(),
        metrics: metrics.connections.clone(),
    };
    let served = server.serve(listener, router(webhook), async {
        // The other end is only ever dropped with us.
        let _ = stop.await;
    });
    let signalled = async {
        let signal = signals.next().await;
        readiness.stopping();
        // What it remembers of the Secret must not overrule a new installation's.
        stop_writing.cancel();
        let drain = format!("{:?}", args.limits.drain());
        tracing::info!(drain, "received {signal}; draining for {drain}");
        let _ = stop_sender.send(());
        signals.another().await;
        tracing::warn!("received a second signal; stopping immediately");
    };
    Ok(tokio::select! {
        () = served => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        () = signalled => ExitCode::FAILURE,
    })
}

/// Says once, when the first list is there, whose jobs are denied because no runner
/// is named; or, where that is not required, who gets more than the baseline.
async fn warn_of_unnamed_runners(namespaces: Namespaces, rules: LiveConfig) {
    namespaces.wait_synced().await;
    let profiles = rules.profiles();
    let settings = rules.settings(&profiles);
    let found = UnnamedRunners::among(namespaces.known(), &settings);
    if found.is_empty() {
        return;
    }
    let consequence = if settings.require_runner {
        "their jobs are denied"
    } else {
        "anyone who can create pods there gets what the profile grants"
    };
    tracing::warn!(
        namespaces = %found.namespaces,
        namespace_count = found.namespaces.count(),
        namespace_rules = %found.rules,
        namespace_rule_count = found.rules.count(),
        require_runner = settings.require_runner,
        "the profile of these namespaces and namespace rules grants more than the baseline, and no \
         runner is named: {consequence}; to fix this, set the annotation podseal.io/runner on each \
         namespace and runner in each rule, such as system:serviceaccount:gitlab:gitlab-runner"
    );
}

async fn namespaces_from_cluster(
    namespace_rules: &NamespaceRules,
    most_waiting: usize,
    metrics: &Metrics,
) -> anyhow::Result<Namespaces> {
    let config = cluster_config("ask for namespaces", ", or give --namespaces FILE").await?;
    let look_ups = metrics.look_ups.clone();
    Namespaces::from_cluster(config, namespace_rules.label_keys(), most_waiting, look_ups)
        .context("cannot create a client for the cluster")
}

fn start_logging(format: LogFormat, level: &str) {
    use std::io::IsTerminal;
    let level = level.parse().expect("clap lets only these levels through");
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    setup::start(json, level);
}
