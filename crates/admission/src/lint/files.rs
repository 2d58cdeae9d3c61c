//! The profiles of several files, which may extend each other and the built-in
//! ones.

use std::collections::BTreeMap;
use std::fmt;

use super::{Severity, check};
use crate::profile::{Profile, ProfileError, Profiles, Written};
use crate::text::{quoted, remark as escaped};

/// How many profiles there may be in addition to the built-in ones. Each is a value
/// of a metric's label.
const MOST: usize = 100;
/// Built-in profiles that are newer than the last minor version. One of the same name
/// that a cluster already has is used instead, for one minor version.
const NEW_NAMES: [&str; 1] = ["root"];
/// How many bytes of a file's name are shown.
const FILE: usize = 400;

/// A file of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFile {
    /// Its name, for messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A message about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file's name.
    pub file: String,
    /// Whether its profile can be used.
    pub severity: Severity,
    /// Where, and what.
    pub error: ProfileError,
}

impl fmt::Display for Remark {
    /// `mine.yaml:6:7: …`, which editors and terminals can link to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", escaped(&self.file, FILE))?;
        if let Some(position) = self.error.position {
            write!(f, "{}:{}:", position.line, position.column)?;
        }
        write!(f, " {}", self.error.bounded())
    }
}

/// All profiles, with warnings; or why they cannot be used. One invalid file is
/// enough for that, since all jobs would be denied in a namespace with that
/// profile.
pub fn read(files: &[ProfileFile]) -> Result<(Profiles, Vec<Remark>), Vec<Remark>> {
    if files.len() > MOST {
        let message = format!(
            "{} profiles are more than the {MOST} there may be",
            files.len()
        );
        let position = None;
        let error = ProfileError { position, message };
        return Err(vec![remark(&files[MOST].name, Severity::Error, error)]);
    }
    let mut remarks = Vec::new();
    let mut written: BTreeMap<String, (&str, Written)> = BTreeMap::new();
    for file in files {
        let found = Written::from_yaml(&file.text).and_then(|profile| {
            let other = written.get(&profile.name).map(|(other, _)| *other);
            let is_built_in = Profiles::built_in().get(&profile.name).is_some()
                && !NEW_NAMES.contains(&profile.name.as_str());
            let taken = other.or(is_built_in.then_some("podseal itself"));
            match taken {
                None => Ok(profile),
                Some(other) => {
                    let name = quoted(&profile.name);
                    let message =
                        format!("name: {name} is already used by {other}; use another name");
                    let position = profile.position(&["name"]);
                    Err(ProfileError { position, message })
                }
            }
        });
        match found {
            Ok(profile) => {
                written.insert(profile.name.clone(), (file.name.as_str(), profile));
            }
            Err(error) => remarks.push(remark(&file.name, Severity::Error, error)),
        }
    }
    let mut resolver = Resolver {
        written: &written,
        resolved: BTreeMap::new(),
        remarks,
    };
    for name in written.keys() {
        resolver.resolve_chain(name);
    }
    let Resolver {
        resolved,
        mut remarks,
        ..
    } = resolver;
    remarks.sort_by_key(|remark| (remark.severity != Severity::Error, remark.file.clone()));
    if remarks
        .iter()
        .any(|remark| remark.severity == Severity::Error)
    {
        return Err(remarks);
    }
    let built_in = Profiles::built_in().iter();
    let built_in = built_in.filter(|profile| !resolved.contains_key(profile.name.as_str()));
    let mut profiles: Vec<_> = built_in.cloned().collect();
    profiles.extend(resolved.into_values().flatten());
    let profiles = profiles.into_iter().collect();
    Ok((profiles, remarks))
}

fn remark(file: &str, severity: Severity, error: ProfileError) -> Remark {
    let file = file.to_owned();
    Remark {
        file,
        severity,
        error,
    }
}

struct Resolver<'w> {
    written: &'w BTreeMap<String, (&'w str, Written)>,
    /// None, for one that cannot be used.
    resolved: BTreeMap<&'w str, Option<Profile>>,
    remarks: Vec<Remark>,
}

impl<'w> Resolver<'w> {
    /// Resolves the profile `name` after those that it extends. Not
    /// recursively, since a chain may be long.
    fn resolve_chain(&mut self, name: &'w str) {
        let mut chain = vec![name];
        while let Some((base, _)) = chain.last().and_then(|name| {
            let base = self.written[*name].1.extends.as_deref()?;
            self.written.get_key_value(base)
        }) && !self.resolved.contains_key(base.as_str())
            && !chain.contains(&base.as_str())
        {
            chain.push(base);
        }
        for name in chain.into_iter().rev() {
            self.resolve(name);
        }
    }

    /// Resolves the profile `name`, whose base is resolved unless it is on a cycle.
    fn resolve(&mut self, name: &'w str) {
        if self.resolved.contains_key(name) {
            return;
        }
        let (file, written) = &self.written[name];
        let (profile, remarks) = match self.base(written) {
            Ok(base) => match written.resolve(base.as_ref()) {
                Ok(profile) => {
                    let remarks = check(&profile).into_iter().map(|finding| {
                        let position = written.position(&finding.path);
                        let message = finding.to_string();
                        remark(file, finding.severity, ProfileError { position, message })
                    });
                    let old_names = written.deprecated.iter().map(|object| {
                        let position = written.position(&[&object[..], &["ifUnset"]].concat());
                        let message = format!(
                            "{}.default: is deprecated; its name is ifUnset now",
                            object.join(".")
                        );
                        remark(
                            file,
                            Severity::Deprecation,
                            ProfileError { position, message },
                        )
                    });
                    let taken = NEW_NAMES.contains(&name).then(|| {
                        let message = format!(
                            "name: {} is a built-in profile since this version; podseal uses \
                             yours, and will reject it in the next minor version; rename it",
                            quoted(name)
                        );
                        let position = written.position(&["name"]);
                        remark(
                            file,
                            Severity::Deprecation,
                            ProfileError { position, message },
                        )
                    });
                    let remarks = remarks.chain(old_names).chain(taken).collect();
                    (Some(profile), remarks)
                }
                Err(error) => (None, vec![remark(file, Severity::Error, error)]),
            },
            // The error of its base is already reported.
            Err(None) => (None, Vec::new()),
            Err(Some(error)) => (None, vec![remark(file, Severity::Error, error)]),
        };
        self.remarks.extend(remarks);
        self.resolved.insert(name, profile);
    }

    /// Its base, if any; or why it cannot be used, unless that is already
    /// reported.
    fn base(&self, written: &Written) -> Result<Option<Profile>, Option<ProfileError>> {
        let Some(base) = written.extends.as_deref() else {
            return Ok(None);
        };
        if let Some(built_in) = Profiles::built_in().get(base)
            && !self.written.contains_key(base)
        {
            return Ok(Some(built_in.clone()));
        }
        if let Some(resolved) = self.resolved.get(base) {
            return resolved.clone().map(Some).ok_or(None);
        }
        if self.written.contains_key(base) {
            let message = format!("extends: {} extends this profile in turn", quoted(base));
            let position = written.position(&["extends"]);
            return Err(Some(ProfileError { position, message }));
        }
        let built_in = Profiles::built_in().iter();
        let built_in = built_in.map(|profile| profile.name.as_str());
        let known = built_in.chain(self.written.keys().map(String::as_str));
        let others = known.filter(|name| *name != written.name);
        Err(Some(written.unknown_base(others)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_read_as_if_unset_and_reported_as_deprecated() {
        let profile = |name: &str, base: &str, key: &str| {
            format!(
                "name: {name}\nsummary: x\nextends: {base}\npod:\n  {key}: {{hostUsers: false}}\n\
                 containers:\n  services:\n    {key}:\n      securityContext: {{runAsUser: 7}}\n"
            )
        };
        let (read_old, remarks) = read(&[
            file("base.yaml", &profile("base", "none", "ifUnset")),
            file("x.yaml", &profile("x", "base", "default")),
        ])
        .expect("profiles");
        let deprecated: Vec<_> = remarks
            .iter()
            .filter(|remark| remark.severity == Severity::Deprecation)
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            deprecated,
            [
                "x.yaml:5:3: pod.default: is deprecated; its name is ifUnset now",
                "x.yaml:8:5: containers.services.default: is deprecated; its name is ifUnset now",
            ]
        );
        let (read_new, remarks) = read(&[
            file("base.yaml", &profile("base", "none", "ifUnset")),
            file("x.yaml", &profile("x", "base", "ifUnset")),
        ])
        .expect("profiles");
        assert!(
            remarks
                .iter()
                .all(|remark| remark.severity != Severity::Deprecation)
        );
        assert_eq!(read_old.get("x"), read_new.get("x"));
        let x = read_old.get("x").expect("x");
        assert_eq!(x.pod.if_unset.host_users, Some(false));
    }

    #[test]
    fn a_null_default_removes_what_the_base_sets_if_unset() {
        let (profiles, _) = read(&[file(
            "x.yaml",
            "name: x\nsummary: y\nextends: rootless\ncontainers: {init: {default: null}}\n",
        )])
        .expect("profiles");
        let init = |name| &profiles.get(name).expect(name).containers.init.if_unset;
        assert_ne!(init("rootless"), &Default::default());
        assert_eq!(init("x"), &Default::default());
    }

    #[test]
    fn both_names_in_one_object_are_an_error_that_names_both() {
        let one = |yaml: &str| errors(&[file("x.yaml", &format!("name: x\nsummary: y\n{yaml}"))]);
        assert_eq!(
            one("pod:\n  ifUnset: {}\n  default: {}\n"),
            ["x.yaml:5:3: pod: both ifUnset and default, its old name, are set; use only ifUnset"]
        );
        assert_eq!(
            one("containers:\n  init:\n    default: {}\n    ifUnset: {}\n"),
            [
                "x.yaml:5:5: containers.init: both ifUnset and default, its old name, are set; use only ifUnset"
            ]
        );
    }

    #[test]
    fn an_invalid_value_in_default_is_reported_with_its_place() {
        let yaml = "name: x\nsummary: y\nextends: rootless\ncontainers:\n  init:\n    \
                    default:\n      securityContext:\n        runAsUser: x\n";
        let errors = errors(&[file("x.yaml", yaml)]);
        assert!(errors[0].starts_with("x.yaml:8:"), "{errors:?}");
        assert!(errors[0].contains("runAsUser: "), "{errors:?}");
    }

    fn file(name: &str, text: &str) -> ProfileFile {
        let (name, text) = (name.to_owned(), text.to_owned());
        ProfileFile { name, text }
    }

    fn errors(files: &[ProfileFile]) -> Vec<String> {
        let remarks = read(files).expect_err("refused");
        remarks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_profile_changes_the_one_it_extends_key_by_key_and_through_another() {
        let files = [
            file(
                "b.yaml",
                "name: b\nextends: a\ncontainers: {build: {home: false}}\n",
            ),
            file(
                "a.yaml",
                "name: a\nsummary: ours\nextends: rootless\nhome: {sizeLimit: 10Gi}\n\
                 containers: {build: {set: {securityContext: {runAsUser: 1234}}, \
                 capabilities: {add: [SETUID]}}}\n",
            ),
        ];
        let (profiles, _) = read(&files).expect("profiles");
        let b = profiles.get("b").expect("b");
        assert_eq!(b.summary, "ours");
        assert_eq!(b.home.size_limit.as_deref(), Some("10Gi"));
        assert_eq!(b.home.path, "/my_custom_dir");
        let build = &b.containers.build;
        assert_eq!(build.set.security_context.run_as_user, Some(1234));
        assert_eq!(
            build.set.security_context.allow_privilege_escalation,
            Some(true)
        );
        assert_eq!(build.capabilities.add, ["SETUID"], "a list replaces");
        assert!(!build.home && b.containers.helper.home);
        assert!(profiles.get("rootless").is_some(), "the built-in ones stay");
    }

    #[test]
    fn an_error_names_file_line_column_and_the_nearest_word() {
        let files = [
            file("a.yaml", "name: a\nsummary: x\nextends: rootles\n"),
            file("b.yaml", "name: b\nsummary: x\ncontainers:\n  biuld: {}\n"),
            file("c.yaml", "name: rootless\nsummary: x\n"),
            file("d.yaml", "name: d\nsummary: x\nextends: e\n"),
            file("e.yaml", "name: e\nsummary: x\nextends: d\n"),
            file(
                "f.yaml",
                "name: f\nsummary: x\nextends: privileged\ncontainers:\n  build:\n    set:\n      \
                 securityContext:\n        allowPrivilegeEscalation: false\n",
            ),
        ];
        let errors = errors(&files);
        let starts = [
            "a.yaml:3:1: extends: there is no profile \"rootles\"; did you mean rootless?",
            "b.yaml:4:3: did you mean `build`? unknown field `biuld`",
            "c.yaml:1:1: name: \"rootless\" is already used by podseal itself",
            "e.yaml:3:1: extends: \"d\" extends this profile in turn",
            "f.yaml:8:9: containers.build.set.securityContext.allowPrivilegeEscalation: false \
             together with privileged",
        ];
        assert_eq!(errors.len(), starts.len(), "{errors:#?}");
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.starts_with(start), "{error}\n{start}");
        }
    }
}
