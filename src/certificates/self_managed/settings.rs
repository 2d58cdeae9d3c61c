//! What is kept, by which names, and for how long.

use std::time::Duration;

use rustls::pki_types::{DnsName, InvalidDnsNameError};

use super::api_objects::Names;
use super::clock::{self, Clock};
use super::state::Lifetimes;

/// What to keep, and how.
#[derive(Clone)]
pub struct Settings {
    /// The names of the objects.
    pub names: Names,
    /// How long what is valid.
    pub lifetimes: Lifetimes,
    /// Gives the time.
    pub clock: Clock,
}

impl Settings {
    /// The usual, for these names.
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

    /// Whether certificates can be made for them.
    ///
    /// # Errors
    /// When the names of Service and namespace make no DNS name.
    pub fn check(&self) -> Result<(), InvalidDnsNameError> {
        self.server_names().map(drop)
    }

    /// The names by which the API server calls.
    pub(super) fn server_names(&self) -> Result<Vec<String>, InvalidDnsNameError> {
        let name = format!("{}.{}.svc", self.names.service, self.names.namespace);
        DnsName::try_from(name.as_str())?;
        Ok(vec![format!("{name}.cluster.local"), name])
    }
}
