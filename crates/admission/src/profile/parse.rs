//! Parses a profile and resolves it against the one that it extends.

use serde_json::{Map, Value};

use super::Profile;
use super::error::{ProfileError, keys, of_type};
use super::place::{Outline, Position};
use super::revision::revision;
use crate::gitlab::role::Role;
use crate::text::spelling::nearest;
use crate::text::{quoted, unquoted};

/// How many bytes a profile may have: ten times what the largest needs.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// How many aliases an anchor may have. With more, a small file would expand to a lot.
const MAX_ALIASES: usize = 20;

/// A profile as in its file, without the fields of the profile that it extends.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its own name.
    pub name: String,
    /// The profile that it extends.
    pub extends: Option<String>,
    /// The objects with `default`, the old name of `ifUnset`.
    pub(crate) deprecated: Vec<Vec<&'static str>>,
    fields: Value,
    outline: Outline,
}

impl Written {
    /// Parses a profile.
    ///
    /// # Errors
    /// If it is too large, no YAML, or has a field that a profile does not have.
    pub fn from_yaml(yaml: &str) -> Result<Written, ProfileError> {
        if yaml.len() > MAX_BYTES {
            let message = format!(
                "the profile has {} bytes; the maximum is {MAX_BYTES}",
                yaml.len()
            );
            return Err(ProfileError::at(None, message));
        }
        let of_yaml = |error: serde_saphyr::Error| ProfileError::of_yaml(&error);
        let mut fields: Value =
            serde_saphyr::from_str_with_options(yaml, options()).map_err(of_yaml)?;
        if fields.is_null() {
            return Err(ProfileError::at(None, "the file is empty".to_owned()));
        }
        let mut outline = Outline::of(yaml);
        let deprecated = rename_default(&mut fields, &mut outline)?;
        // A null removes a value of the base; no field's type accepts it. The types are
        // read from JSON only: reading them from YAML too would add half a MiB to the program.
        let read: Profile = serde_path_to_error::deserialize(without_nulls(&fields))
            .map_err(|error| ProfileError::of_field(&outline, &error))?;
        // serde also reads an object from a list, without any keys.
        let written = serde_json::to_value(&read).expect("a profile can be written");
        if let Some(path) = list_for_object(&fields, &written) {
            let message = "invalid type: a list, expected fields, each as key: value";
            let (at, path) = (outline.nearest(&path), path.join("."));
            let message = match path.as_str() {
                "" => message.to_owned(),
                path => format!("{path}: {message}"),
            };
            return Err(ProfileError::at(at, message));
        }
        Ok(Written {
            name: read.name,
            extends: read.extends,
            deprecated,
            fields,
            outline,
        })
    }

    /// The profile with the fields of `base`, if it extends one.
    ///
    /// # Errors
    /// If it is too large, or has a value of the wrong type.
    pub fn resolve(&self, base: Option<&Profile>) -> Result<Profile, ProfileError> {
        let mut value = match base {
            None => Value::Object(Map::new()),
            Some(base) => serde_json::to_value(base).expect("a profile can be serialized"),
        };
        merge(&mut value, &self.fields);
        let size = value.to_string().len();
        if size > MAX_BYTES {
            let message = format!(
                "with its aliases and the profile that it extends, the profile has {size} bytes; \
                 the maximum is {MAX_BYTES}"
            );
            return Err(ProfileError::at(self.position(&["extends"]), message));
        }
        let mut profile: Profile = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = keys(error.path());
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            ProfileError::at(self.position(&path), of_type(&path, error.inner()))
        })?;
        // The revision depends on the result only, not on what it extends.
        profile.extends = None;
        profile.revision = revision(&profile);
        profile.extends = self.extends.clone();
        Ok(profile)
    }

    /// The error of a profile that extends an unknown one.
    pub fn unknown_base<'k>(&self, known: impl IntoIterator<Item = &'k str>) -> ProfileError {
        let base = self.extends.as_deref().unwrap_or_default();
        let known: Vec<_> = known.into_iter().collect();
        let nearest = nearest(base, known.iter().copied());
        let nearest = match nearest {
            Some(name) => format!("; did you mean {}? Known", unquoted(name)),
            None => "; known".to_owned(),
        };
        // Names in other files, which are not checked yet.
        let known: Vec<_> = known.into_iter().map(unquoted).collect();
        let message = format!(
            "extends: there is no profile {}{nearest} profiles: {}",
            quoted(base),
            known.join(", ")
        );
        ProfileError::at(self.outline.find(&["extends"]), message)
    }

    /// Whether its own file has a value at `path`.
    pub fn has(&self, path: &[&str]) -> bool {
        let mut path = path.iter();
        let value = path.try_fold(&self.fields, |value, key| value.get(key));
        value.is_some_and(|value| !value.is_null())
    }

    /// The position of the field at `path`, or of the nearest object around it; for a
    /// field of the profile that it extends, the position of `extends`.
    pub fn position(&self, path: &[&str]) -> Option<Position> {
        let by_name = || self.outline.find(&["name"]);
        let extends = || self.outline.find(&["extends"]).or_else(by_name);
        self.outline.nearest(path).or_else(extends)
    }
}

/// Renames each `default` to `ifUnset`, as merging needs one name for both. Returns the
/// objects that have it.
fn rename_default(
    fields: &mut Value,
    outline: &mut Outline,
) -> Result<Vec<Vec<&'static str>>, ProfileError> {
    const OLD: &str = "default";
    const NEW: &str = "ifUnset";
    let roles = Role::ALL.map(|role| vec!["containers", role.key()]);
    let mut renamed = Vec::new();
    for path in std::iter::once(vec!["pod"]).chain(roles) {
        let at = path
            .iter()
            .try_fold(&mut *fields, |value, key| value.get_mut(*key));
        let Some(Value::Object(rules)) = at else {
            continue;
        };
        if !rules.contains_key(OLD) {
            continue;
        }
        let old = [&path[..], &[OLD]].concat();
        if rules.contains_key(NEW) {
            let message = format!(
                "{}: both {NEW} and {OLD}, its old name, are set; use only {NEW}",
                path.join(".")
            );
            return Err(ProfileError::at(outline.find(&old), message));
        }
        let value = rules.remove(OLD).expect("it has the key");
        rules.insert(NEW.to_owned(), value);
        outline.rename(&old, NEW);
        renamed.push(path);
    }
    Ok(renamed)
}

/// The same options for both passes. `yes` is a string and not a boolean.
fn options() -> serde_saphyr::Options {
    let mut aliases = serde_saphyr::options::AliasLimits::default();
    aliases.max_alias_expansions_per_anchor = MAX_ALIASES;
    serde_saphyr::options! { strict_booleans: true, alias_limits: aliases }
}

/// The path of the first list in `fields` which is an object in `written`.
fn list_for_object<'f>(fields: &'f Value, written: &Value) -> Option<Vec<&'f str>> {
    match (fields, written) {
        (Value::Array(_), Value::Object(_)) => Some(Vec::new()),
        (Value::Object(fields), Value::Object(written)) => {
            fields.iter().find_map(|(key, value)| {
                let mut path = list_for_object(value, written.get(key)?)?;
                path.insert(0, key);
                Some(path)
            })
        }
        _ => None,
    }
}

/// Merges `over` into `under`: objects key by key; other values are replaced.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match value {
                    // It removes the value of the base.
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
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(key, value)| (key.clone(), without_nulls(value)));
            Value::Object(kept.collect())
        }
        value => value.clone(),
    }
}
