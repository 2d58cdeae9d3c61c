//! Where the profiles say what they say.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::admission::profile::{Profile, Profiles, Written};
use crate::cli::rules::Read;

/// Who says a field, and where.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Place {
    /// The profile whose word it is: the namespace's, or one that it extends.
    pub(super) profile: String,
    /// The field, from the profile's top; empty for the profile itself.
    pub(super) field: String,
    /// The profile's file; none for a built-in one.
    pub(super) file: Option<String>,
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
}

/// The profiles, and the files they were read from.
pub(super) struct Places<'q> {
    profiles: &'q Profiles,
    files: BTreeMap<String, (&'q str, Written)>,
}

impl<'q> Places<'q> {
    pub(super) fn of(profiles: &'q Profiles, read: Option<&'q Read>) -> Places<'q> {
        let files = read.map(|read| read.files.as_slice()).unwrap_or_default();
        let written = files.iter().filter_map(|file| {
            let written = Written::from_yaml(&file.text).ok()?;
            Some((written.name.clone(), (file.name.as_str(), written)))
        });
        Places {
            profiles,
            files: written.collect(),
        }
    }

    /// Who of `profile` and those it extends says what is at `path`.
    pub(super) fn at(&self, profile: &Profile, path: &[&str]) -> Place {
        let origin = self.profiles.origin(profile, path);
        let file = self.files.get(origin);
        let position = file.and_then(|(_, written)| written.position(path));
        Place {
            profile: origin.to_owned(),
            field: path.join("."),
            file: file.map(|(file, _)| (*file).to_owned()),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
        }
    }

    /// `profile`, the one it extends, and so on.
    pub(super) fn chain(&self, profile: &Profile) -> Vec<Place> {
        let mut chain = Vec::new();
        let mut next = Some(profile);
        while let Some(profile) = next {
            let file = self.files.get(&profile.name);
            chain.push(Place {
                profile: profile.name.clone(),
                field: String::new(),
                file: file.map(|(file, _)| (*file).to_owned()),
                line: None,
                column: None,
            });
            let base = profile.extends.as_deref();
            next = base.and_then(|base| self.profiles.get(base));
        }
        chain
    }
}
