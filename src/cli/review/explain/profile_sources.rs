//! Which profile sets a field, and where in its file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::args::policy::LoadedFolder;
use admission::profile::{BUILT_IN, Profile, Profiles, Written};

/// The profile that sets a field, and where.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FieldSource {
    /// The profile that sets it: the namespace's, or one that it extends.
    pub(super) profile: String,
    /// The path of the field in the profile; empty for the profile itself.
    pub(super) field: String,
    /// The profile's file; none if it is built in.
    pub(super) file: Option<String>,
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
}

/// The profiles as written, and their files.
pub(super) struct ProfileSources<'q> {
    profiles: &'q Profiles,
    written: BTreeMap<String, (Option<&'q str>, Written)>,
}

impl<'q> ProfileSources<'q> {
    pub(super) fn of(profiles: &'q Profiles, read: Option<&'q LoadedFolder>) -> ProfileSources<'q> {
        let files = read.map(|read| read.files.as_slice()).unwrap_or_default();
        let files = files
            .iter()
            .map(|file| (Some(file.name.as_str()), file.text.as_str()));
        let built_in = BUILT_IN.into_iter().map(|(_, text)| (None, text));
        let written = built_in.chain(files).filter_map(|(file, text)| {
            let written = Written::from_yaml(text).ok()?;
            Some((written.name.clone(), (file, written)))
        });
        ProfileSources {
            profiles,
            written: written.collect(),
        }
    }

    /// Which of `profile` and those it extends sets `path`.
    pub(super) fn at(&self, profile: &Profile, path: &[&str]) -> FieldSource {
        let origin = match self.setter(profile, path) {
            Some(profile) => &profile.name,
            None => self.profiles.origin(profile, path),
        };
        let (file, written) = self.file(origin).unzip();
        let position = written.and_then(|written| written.position(path));
        FieldSource {
            profile: origin.to_owned(),
            field: path.join("."),
            file: file.map(str::to_owned),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
        }
    }

    /// Whether `profile` or one it extends sets `path`; otherwise podseal's default
    /// applies.
    pub(super) fn says(&self, profile: &Profile, path: &[&str]) -> bool {
        self.setter(profile, path).is_some()
    }

    /// The first of `profile` and those it extends that sets `path`.
    fn setter<'p>(&'p self, profile: &'p Profile, path: &[&str]) -> Option<&'p Profile> {
        self.bases(profile).find_map(|profile| {
            let (_, written) = self.written.get(&profile.name)?;
            written.has(path).then_some(profile)
        })
    }

    /// `profile`, the one it extends, and so on.
    fn bases<'p>(&'p self, profile: &'p Profile) -> impl Iterator<Item = &'p Profile> {
        std::iter::successors(Some(profile), |profile| {
            self.profiles.get(profile.extends.as_deref()?)
        })
    }

    /// The file of the profile `name`; none if it is built in.
    fn file(&self, name: &str) -> Option<(&'q str, &Written)> {
        let (file, written) = self.written.get(name)?;
        Some(((*file)?, written))
    }

    /// The sources of `profile`, of the one it extends, and so on.
    pub(super) fn chain(&self, profile: &Profile) -> Vec<FieldSource> {
        let place = |profile: &Profile| FieldSource {
            profile: profile.name.clone(),
            field: String::new(),
            file: self.file(&profile.name).map(|(file, _)| file.to_owned()),
            line: None,
            column: None,
        };
        self.bases(profile).map(place).collect()
    }
}
