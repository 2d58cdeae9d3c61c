//! The image store: whose configuration applies.
//!
//! The variables of [`VARIABLES`] override the image's configuration file, which a
//! profile does with them, and also the job's own. So where the job has one of them, the
//! profile's later ones, which would override that, are left out.

use std::collections::BTreeMap;

use crate::pod::Container;

/// What containers/storage reads, each overriding those before it (its
/// `types/options.go`, v1.57 to v1.65).
const VARIABLES: [&str; 3] = ["CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS"];

/// Whether the profile's variable `name`, which it sets where the job does not, would
/// override a variable of the job's own. `of_profile` is what it sets in any way.
pub(super) fn is_jobs(
    container: &Container<'_>,
    name: &str,
    of_profile: [&BTreeMap<String, String>; 2],
) -> bool {
    let position = VARIABLES.iter().position(|variable| *variable == name);
    let before = &VARIABLES[..position.unwrap_or_default()];
    before.iter().any(|variable| {
        container.env(variable).is_some_and(|(_, own)| {
            let value = own.value.as_deref().unwrap_or_default();
            let is_profiles =
                |of: &&BTreeMap<_, _>| of.get(*variable).is_some_and(|of| of == value);
            own.value_from.is_some() || !of_profile.iter().any(is_profiles)
        })
    })
}
