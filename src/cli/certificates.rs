//! The arguments of `podseal serve` that say where its certificate is from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};

use crate::certificates::self_managed::{Names, Settings};

/// Where the serving certificate is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// From --tls-cert-file and --tls-private-key-file
    Files,
    /// Made by podseal, with an authority of its own, and kept in a Secret that all replicas share
    SelfManaged,
}

/// What is kept with `--tls-mode self-managed`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of --tls-mode self-managed")]
pub(super) struct SelfManaged {
    /// The Secret that holds the certificates; podseal creates it
    #[arg(long, value_name = "NAME", default_value = "podseal-tls")]
    tls_secret: String,
    /// The namespace podseal runs in [default: that of its service account, or of KUBECONFIG]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// The Service by which the API server calls podseal
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    service_name: String,
    /// The MutatingWebhookConfiguration whose caBundle is kept right; it is never created
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    mutating_webhook_configuration: String,
    /// The ValidatingWebhookConfiguration, likewise
    #[arg(long, value_name = "NAME", default_value = "podseal")]
    validating_webhook_configuration: String,
    /// How long both configurations trust a new authority before it is used, and the old one
    /// afterwards: more than an API server may take to see a change
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    ca_overlap: Duration,
}

impl Mode {
    /// The two files, where certificates are from files.
    pub(super) fn files<'a>(
        self,
        certificate: Option<&'a PathBuf>,
        key: Option<&'a PathBuf>,
    ) -> anyhow::Result<Option<(&'a Path, &'a Path)>> {
        match (self, certificate, key) {
            (Mode::Files, Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (Mode::Files, ..) => bail!(
                "--tls-cert-file and --tls-private-key-file are needed, or --tls-mode self-managed"
            ),
            (Mode::SelfManaged, None, None) => Ok(None),
            (Mode::SelfManaged, ..) => bail!(
                "with --tls-mode self-managed, --tls-cert-file and --tls-private-key-file have no \
                 place: podseal makes its certificate"
            ),
        }
    }
}

impl SelfManaged {
    /// What is kept, in `default_namespace` if the arguments name none.
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

/// A duration such as `10m` or `1h30m`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| no_duration())?;
    Duration::try_from(parsed).map_err(|_| no_duration())
}

fn no_duration() -> anyhow::Error {
    anyhow!("a duration looks like 10m, 90s or 1h30m")
}
