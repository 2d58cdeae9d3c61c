//! Merges a profile's capabilities into a container's.

use super::change::CapabilityList;
use super::editor::Corrector;
use crate::pod::Pod;
use crate::pod::capability::same_capability;
use crate::pod::place::Place;
use crate::profile::effective::EffectiveRules;
use crate::text::Text;

pub(super) fn merge_capabilities<'a>(
    corrector: &mut Corrector<'a, '_>,
    place: Place,
    rules: &EffectiveRules<'a>,
) {
    let wanted = rules.capabilities();
    if wanted.add.is_empty() && wanted.drop.is_empty() {
        return;
    }
    let has = |names: &[String], name: &str| names.iter().any(|one| same_capability(one, name));
    let adds = |name: &str| has(&wanted.add, name);
    let drops = |name: &str| has(&wanted.drop, name);
    let keeps = |name: &str| adds(name) || has(&wanted.allow, name);
    let drops_all = drops("ALL");

    // `ALL` in `drop` stays: capabilities in `add` apply on top of it.
    corrector.remove_capabilities(place, CapabilityList::Drop, |name| {
        adds(name) && !same_capability(name, "ALL")
    });
    corrector.remove_capabilities(place, CapabilityList::Add, |name| {
        !keeps(name) && (drops_all || drops(name))
    });
    for (list, names) in [
        (CapabilityList::Add, &wanted.add),
        (CapabilityList::Drop, &wanted.drop),
    ] {
        let missing = missing_capabilities(corrector.pod(), place, list, names);
        corrector.add_capabilities(place, list, missing);
    }
}

pub(super) fn missing_capabilities<'a>(
    pod: &Pod<'_>,
    place: Place,
    list: CapabilityList,
    wanted: &'a [String],
) -> Vec<Text<'a>> {
    let capabilities = pod
        .security_context(place)
        .and_then(|c| c.capabilities.as_ref());
    let there = capabilities.and_then(|capabilities| match list {
        CapabilityList::Add => capabilities.add.as_deref(),
        CapabilityList::Drop => capabilities.drop.as_deref(),
    });
    let there = there.unwrap_or_default();
    let is_there = |name: &String| there.iter().any(|have| same_capability(have, name));
    wanted
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| name.as_str().into())
        .collect()
}
