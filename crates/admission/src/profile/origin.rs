//! Which profile of a chain of `extends` a field comes from.

use serde_json::Value;

use super::{Profile, Profiles};

impl Profiles {
    /// The name of the profile that the field at `path` of `profile` comes from: the
    /// last in the chain of `extends` that has the same value.
    pub fn origin<'p>(&'p self, profile: &'p Profile, path: &[&str]) -> &'p str {
        let mut origin = profile;
        let mut value = at(profile, path);
        while let Some(base) = origin.extends.as_deref().and_then(|base| self.get(base)) {
            let of_base = at(base, path);
            if of_base != value {
                break;
            }
            (origin, value) = (base, of_base);
        }
        &origin.name
    }
}

fn at(profile: &Profile, path: &[&str]) -> Option<Value> {
    let value = serde_json::to_value(profile).expect("a profile can be serialized");
    let step = |value: Value, key: &&str| value.get(key).cloned();
    path.iter().try_fold(value, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Written;

    #[test]
    fn a_field_comes_from_the_first_profile_with_its_value() {
        let text = "name: mine\nsummary: x\nextends: rootless\n\
                    containers: {build: {set: {securityContext: {runAsUser: 7}}}}\n";
        let built_in = Profiles::built_in();
        let written = Written::from_yaml(text).expect("a profile");
        let mine = written
            .resolve(built_in.get("rootless"))
            .expect("a profile");
        let profiles: Profiles = built_in.iter().cloned().chain([mine]).collect();
        let mine = profiles.get("mine").expect("it is there");
        let context = ["containers", "build", "set", "securityContext"];
        let origin = |key| profiles.origin(mine, &[&context[..], &[key]].concat());
        assert_eq!(origin("runAsUser"), "mine");
        assert_eq!(origin("privileged"), "rootless");
    }
}
