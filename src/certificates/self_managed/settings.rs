//! The settings: names, lifetimes, and the clock.

use std::time::Duration;

use rustls::pki_types::{DnsName, InvalidDnsNameError};

use super::api_objects::Names;
use super::clock::{self, Clock};
use super::state::Lifetimes;

/// The settings of the reconciliation.
#[derive(Clone)]
pub struct Settings {
    /// The names of the objects.
    pub names: Names,
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
    /// The clock.
    pub clock: Clock,
}

impl Settings {
    /// The default lifetimes, for these names.
    pub fn new(names: Names, overlap: Duration) -> Settings {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Settings {
            names,
            lifetimes: Lifetimes {
                authority: DAY * 365,
                leaf: DAY * 30,
                overlap,
            },
            clock: clock::system(),
        }
    }

    /// Checks that certificates can be created for the names.
    ///
    /// # Errors
    /// When the names of Service and namespace form no DNS name.
    pub fn check(&self) -> Result<(), InvalidDnsNameError> {
        self.server_names().map(drop)
    }

    /// The DNS names that the API server uses.
    pub(super) fn server_names(&self) -> Result<Vec<String>, InvalidDnsNameError> {
        let name = format!("{}.{}.svc", self.names.service, self.names.namespace);
        DnsName::try_from(name.as_str())?;
        Ok(vec![format!("{name}.cluster.local"), name])
    }
}
