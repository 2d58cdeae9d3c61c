//! The effective value of a field, from the container's fields and the pod's.

use super::Pod;
use super::field::{Field, Scalar};
use super::place::Place;
use super::security_context::SecurityContext;

/// The effective value of `field` at `place`: the container's own, or the pod's.
pub(crate) fn effective<'a>(pod: &Pod<'a>, place: Place, field: Field) -> Option<Scalar<'a>> {
    let get = |context: &SecurityContext<'a>| context.get(field);
    let context = pod.security_context(place);
    // A container's SELinux options replace the pod's as a whole.
    if field == Field::SeLinuxType && context.is_some_and(|c| c.se_linux_options.is_some()) {
        return context.and_then(get);
    }
    let own = context.and_then(get);
    own.or_else(|| pod.security_context(Place::Pod).and_then(get))
}
