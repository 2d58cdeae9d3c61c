//! `podseal serve`: the webhook.
//!
//! | file | what it does |
//! |---|---|
//! | `audit_log` | arguments: where records go |
//! | `tls` | arguments: the serving certificate |
//! | `limits` | arguments: limits for clients |

mod audit_log;
mod limits;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::args::kubeconfig::cluster_config;
use super::args::listen::{address, listen};
use super::args::log::LogArgs;
use super::args::namespaces::read_namespaces;
use super::args::policy;
use super::signals::Signals;
use crate::audit_log::log::AuditLog;
use crate::certificates::serving::Serving;
use crate::health::readiness::Readiness;
use crate::health::routes::{self, HealthState};
use crate::health::{port, readiness_log, self_probe};
use crate::live_config::current::LiveConfig;
use crate::live_config::reload::ProfileReload;
use crate::logging::writer::LogWriter;
use crate::metrics::Metrics;
use crate::namespaces::source::Namespaces;
use crate::pod_events::PodEvents;
use crate::server::Server;
use crate::webhook::review::ReviewHandler;
use crate::webhook::routes::router;
use admission::namespace::rules::NamespaceRules;
use admission::namespace::unnamed_runners::UnnamedRunners;

pub(super) const LONG_ABOUT: &str = "\
Serve the admission webhook over TLS: POST /mutate and POST /validate (admission.k8s.io/v1), and \
/mutate/rules-DIGEST and /validate/rules-DIGEST for namespace rules (see `podseal rules --help`).

Namespaces: podseal watches the namespaces of the cluster that KUBECONFIG, or the pod's service \
account, points to. It requires the verbs get, list and watch on namespaces. With --namespaces, it \
reads them from a file instead.

Certificate: with --tls-mode files, podseal reads the serving certificate from two files, and again \
when they change. With --tls-mode self-managed, podseal creates and renews it, shares it between \
replicas in a Secret, and updates the caBundle of both webhook configurations. This requires get, \
list, watch and update on the Secret, create if the Secret does not exist, and get, list, watch and \
patch on the configurations.

Status: /livez, /readyz (/readyz?verbose lists its checks) and /metrics are served over plain HTTP \
on a separate port.

Log: podseal writes the record of each decision to standard error, or to the file of \
--audit-log-path, and answers only afterwards. While records cannot be written, it rejects reviews \
with code 429, and clients retry.

Shutdown: after SIGTERM or SIGINT (Ctrl-C), podseal continues to serve for --drain while it closes \
connections, then completes the requests in flight and exits. A second signal, at least one second \
later, stops it immediately.

Exit code: 0 after a graceful shutdown, 1 after an immediate one, 2 when an argument or a file \
cannot be used.";

const EXAMPLES: &str = "\
Examples:
  # Serve with a certificate from files
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key

  # Serve on this machine only, without a cluster
  podseal serve --tls-cert-file tls.crt --tls-private-key-file tls.key \\
      --listen 127.0.0.1:8443 --namespaces namespaces.yaml

  # Let podseal create and renew its certificate
  podseal serve --tls-mode self-managed

  # List the readiness checks
  curl 'http://localhost:8080/readyz?verbose'";

/// Arguments of `podseal serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Address and port that the webhook listens on
    ///
    /// The default is all addresses, IPv4 and IPv6; only IPv4 if the kernel has no IPv6. Port 0
    /// selects a free port and logs it.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8443", value_parser = address)]
    listen: SocketAddr,
    /// Address and port of /livez, /readyz and /metrics, over plain HTTP
    ///
    /// Port 0 selects a free port and logs it.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080", value_parser = address)]
    status_listen: SocketAddr,
    #[command(flatten)]
    tls: tls::TlsArgs,
    /// Read namespaces from this file instead of the cluster
    ///
    /// The format is the output of `kubectl get namespaces -o yaml` or `-o json`. The file is read
    /// once, at startup.
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    namespaces: Option<PathBuf>,
    #[command(flatten)]
    rules: policy::PolicyArgs,
    /// Create an event on each job's pod that may not run
    ///
    /// GitLab Runner prints the event into the job log when the job fails. Requires the verb create
    /// on events, and webhook configurations with sideEffects: NoneOnDryRun.
    #[arg(long, help_heading = "Policy")]
    pod_events: bool,
    #[command(flatten)]
    limits: limits::LimitArgs,
    #[command(flatten)]
    audit_log: audit_log::AuditLogArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Where the kubelet writes the pod's namespace, next to the service account's token.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// How often the profiles are read again, even without a file event.
const PROFILES_REREAD: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let log = args.log.start();
    let audit_log = args.audit_log.open(&log)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(args, &log.writer, audit_log.clone(), start));
    // Of reviews whose clients did not wait for the answer.
    audit_log.flush();
    // Everything that has to finish has finished.
    runtime.shutdown_background();
    ended
}

async fn serve(
    args: ServeArgs,
    log: &LogWriter,
    audit_log: AuditLog,
    start: Instant,
) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.listen != args.status_listen || args.listen.port() == 0,
        "--listen and --status-listen have the same address; set different ones"
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
    let of_logs = (audit_log.clone(), log.clone());
    metrics.show_log(move || of_logs.0.figures(&of_logs.1));
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
        tracing::info!(rules = %digest, "loaded the namespace rules");
    }
    if let Some(read) = read {
        let (rules, figures) = (rules.clone(), metrics.profiles.clone());
        let renewal = ProfileReload::new(read.folder, read.files, rules, figures);
        tokio::spawn(renewal.follow(PROFILES_REREAD));
    }
    tokio::spawn(warn_of_unnamed_runners(namespaces.clone(), rules.clone()));
    let pod_events = match args.pod_events {
        true => Some(pod_events(&metrics).await?),
        false => None,
    };
    let readiness = Readiness::new(serving.current(), namespaces.clone());
    let status = HealthState {
        readiness: readiness.clone(),
        rules: rules.clone(),
        audit_log: audit_log.clone(),
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
        audit_log,
        &args.limits.reviews(),
        Arc::clone(&metrics),
        pod_events,
    );
    let (stop_sender, stop) = tokio::sync::oneshot::channel();
    let server = Server {
        certificate: serving.current(),
        limits: args.limits.connections(),
        metrics: metrics.connections.clone(),
    };
    let served = server.serve(listener, router(webhook), async {
        // An error means that the sender was dropped, which ends the process anyway.
        let _ = stop.await;
    });
    let signalled = async {
        let signal = signals.next().await;
        readiness.stopping();
        // A stale copy of the Secret must not overwrite that of a new installation.
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

/// Warns once, after the first list of namespaces, of namespaces and rules that name
/// no runner although their profile grants more than the baseline.
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

/// Starts to create events on pods.
async fn pod_events(metrics: &Metrics) -> anyhow::Result<PodEvents> {
    let config = cluster_config("create events in", ", or remove --pod-events").await?;
    let client = kube::Client::try_from(config).context("cannot create a client for events")?;
    // In a pod, its name.
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| "podseal".to_owned());
    Ok(PodEvents::start(
        client,
        instance,
        metrics.pod_events.clone(),
    ))
}

async fn namespaces_from_cluster(
    namespace_rules: &NamespaceRules,
    most_waiting: usize,
    metrics: &Metrics,
) -> anyhow::Result<Namespaces> {
    let config = cluster_config("read namespaces from", ", or set --namespaces FILE").await?;
    let look_ups = metrics.look_ups.clone();
    Namespaces::from_cluster(config, namespace_rules, most_waiting, look_ups)
        .context("cannot create a client for the cluster")
}
