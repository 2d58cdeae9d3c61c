//! Reads a profile, with what it extends.

use serde_json::{Map, Value};

use super::Profile;
use super::error::{ProfileError, keys, of_type};
use super::place::{Outline, Position};
use super::revision::revision;
use crate::gitlab::role::Role;
use crate::text::spelling::nearest;
use crate::text::{quoted, unquoted};

/// How many bytes a profile may have: ten times what the longest needs.
pub(super) const LARGEST: usize = 64 * 1024;

/// How often an anchor may be referred to: more would make a lot of a small file.
const ALIASES: usize = 20;

/// A profile as somebody wrote it, before what it extends is filled in.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its own name.
    pub name: String,
    /// The profile it changes.
    pub extends: Option<String>,
    /// The objects that say `default`, which is the old name of `ifUnset`.
    pub(crate) deprecated: Vec<Vec<&'static str>>,
    says: Value,
    outline: Outline,
}

impl Written {
    /// Reads one, and refuses what is no profile's.
    pub fn from_yaml(yaml: &str) -> Result<Written, ProfileError> {
        if yaml.len() > LARGEST {
            let told = format!(
                "{} bytes are more than the {LARGEST} a profile may have",
                yaml.len()
            );
            return Err(ProfileError::at(None, told));
        }
        let of_yaml = |error: serde_saphyr::Error| ProfileError::of_yaml(&error);
        let mut says: Value =
            serde_saphyr::from_str_with_options(yaml, options()).map_err(of_yaml)?;
        let mut outline = Outline::of(yaml);
        let deprecated = rename_default(&mut says, &mut outline)?;
        let read: Profile = match serde_saphyr::from_str_with_options(yaml, options()) {
            Ok(read) => read,
            // A `null` is of no field's type, and takes away what the base says.
            Err(error) => serde_path_to_error::deserialize(without_nulls(&says))
                .map_err(|in_field| ProfileError::of_field(&outline, &in_field, &error))?,
        };
        Ok(Written {
            name: read.name,
            extends: read.extends,
            deprecated,
            says,
            outline,
        })
    }

    /// The profile, as a change of `base` where it extends one.
    pub fn resolve(&self, base: Option<&Profile>) -> Result<Profile, ProfileError> {
        let mut value = match base {
            None => Value::Object(Map::new()),
            Some(base) => serde_json::to_value(base).expect("a profile can be written"),
        };
        merge(&mut value, &self.says);
        let size = value.to_string().len();
        if size > LARGEST {
            let told = format!(
                "with its aliases and what it extends it has {size} bytes, more than the {LARGEST} \
                 a profile may have"
            );
            return Err(ProfileError::at(self.position(&["extends"]), told));
        }
        let mut profile: Profile = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = keys(error.path());
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            ProfileError::at(self.position(&path), of_type(&path, error.inner()))
        })?;
        // What it says in the end counts, not how it comes to say so.
        profile.extends = None;
        profile.revision = revision(&profile);
        profile.extends = self.extends.clone();
        Ok(profile)
    }

    /// The error of a profile that extends one there is not.
    pub fn unknown_base<'k>(&self, known: impl IntoIterator<Item = &'k str>) -> ProfileError {
        let base = self.extends.as_deref().unwrap_or_default();
        let known: Vec<_> = known.into_iter().collect();
        let nearest = nearest(base, known.iter().copied());
        let nearest = match nearest {
            Some(name) => format!("; did you mean {}? There are", unquoted(name)),
            None => "; there are".to_owned(),
        };
        // Of another file, of which nothing is known to be in order.
        let known: Vec<_> = known.into_iter().map(unquoted).collect();
        let told = format!(
            "extends: there is no profile {}{nearest} {}",
            quoted(base),
            known.join(", ")
        );
        ProfileError::at(self.outline.find(&["extends"]), told)
    }

    /// Whether it says what is at `path` itself.
    pub fn says(&self, path: &[&str]) -> bool {
        let mut path = path.iter();
        let said = path.try_fold(&self.says, |value, key| value.get(key));
        said.is_some_and(|value| !value.is_null())
    }

    /// Where it says what is at `path`: there, or at the nearest object around it;
    /// or where it names the profile that says it.
    pub fn position(&self, path: &[&str]) -> Option<Position> {
        let around = (1..=path.len()).rev().map(|end| &path[..end]);
        let mut places = around.chain([&["extends"][..], &["name"]]);
        places.find_map(|path| self.outline.find(path))
    }
}

/// Calls each `default` of the profile `ifUnset`, as merging needs one name for
/// both. Returns the objects that said it.
fn rename_default(
    says: &mut Value,
    outline: &mut Outline,
) -> Result<Vec<Vec<&'static str>>, ProfileError> {
    const OLD: &str = "default";
    const NEW: &str = "ifUnset";
    let roles = Role::ALL.map(|role| vec!["containers", role.key()]);
    let mut renamed = Vec::new();
    for path in std::iter::once(vec!["pod"]).chain(roles) {
        let at = path
            .iter()
            .try_fold(&mut *says, |value, key| value.get_mut(*key));
        let Some(Value::Object(rules)) = at else {
            continue;
        };
        if !rules.contains_key(OLD) {
            continue;
        }
        let old = [&path[..], &[OLD]].concat();
        if rules.contains_key(NEW) {
            let told = format!(
                "{}: both {NEW} and {OLD}, its old name; give {NEW} only",
                path.join(".")
            );
            return Err(ProfileError::at(outline.find(&old), told));
        }
        let value = rules.remove(OLD).expect("it has the key");
        rules.insert(NEW.to_owned(), value);
        outline.rename(&old, NEW);
        renamed.push(path);
    }
    Ok(renamed)
}

/// One reading for both passes, and for a reader: `yes` is a word.
fn options() -> serde_saphyr::Options {
    let mut aliases = serde_saphyr::options::AliasLimits::default();
    aliases.max_alias_expansions_per_anchor = ALIASES;
    serde_saphyr::options! { strict_booleans: true, alias_limits: aliases }
}

/// Puts `over` over `under`: objects key by key, anything else as a whole.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match value {
                    // It takes away what the base says.
                    Value::Null => drop(under.remove(key)),
                    value => merge(under.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (under, over) => *under = without_nulls(over),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            let said = said.map(|(key, value)| (key.clone(), without_nulls(value)));
            Value::Object(said.collect())
        }
        value => value.clone(),
    }
}
