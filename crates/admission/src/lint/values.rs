//! Which values a field may have by itself, but for those of the pod: `pod_fields`.

use std::collections::BTreeSet;

use super::{Findings, exposure};
use crate::gitlab::role::Role;
use crate::pod::limits::LAST_ID;
use crate::pod::names::{
    CAPABILITIES, is_container_name, is_extended_resource, is_label_value, is_quantity,
};
use crate::pod::place::List;
use crate::profile::home_path::HomePath;
use crate::profile::image_pattern;
use crate::profile::security_context::{LocalProfile, SecurityContext};
use crate::profile::{ContainerFields, Profile, Rules, Scope, grants};
use crate::standards::Family;
use crate::text::quoted;
use crate::text::spelling::nearest;

/// How many `emptyDirs` a container may have.
const EMPTY_DIRS: usize = 16;

impl Findings {
    pub(crate) fn itself(&mut self, profile: &Profile) {
        if !is_label_value(&profile.name) {
            self.error(
                &["name"],
                format!(
                    "{} is not a valid label value: letters, digits, '-', '_' and '.', at most 63, \
                     a letter or digit at both ends",
                    quoted(&profile.name)
                ),
            );
        }
        let summary = profile.summary.trim_end();
        if summary.is_empty() || summary.contains(char::is_control) {
            self.error(&["summary"], "describe in one line when to use it");
        }
        if profile.keep_user && profile.makes_build_root() {
            self.warning(
                &["keepUser"],
                "has no effect, since the profile makes build root; extend rootless or userns",
            );
        }
        match HomePath::parse(&profile.home.path) {
            Ok(HomePath::Mountable(_)) => {}
            Ok(HomePath::OfPodmanImage) => self.error(
                &["home", "path"],
                "is inside /home/podman, where a volume would hide the image's own configuration",
            ),
            Err(refusal) => self.error(&["home", "path"], refusal.to_string()),
        }
        if let Some(limit) = &profile.home.size_limit
            && !is_quantity(limit)
        {
            let problem = format!("{} is not a quantity, such as 10Gi", quoted(limit));
            self.error(&["home", "sizeLimit"], problem);
        }
    }

    fn empty_dirs(&mut self, at: &[&'static str], paths: &[String]) {
        if paths.len() > EMPTY_DIRS {
            self.error(at, format!("there are more than {EMPTY_DIRS} paths"));
        }
        let mut seen = BTreeSet::new();
        for path in paths.iter().take(EMPTY_DIRS) {
            match HomePath::parse(path) {
                Ok(HomePath::Mountable(normal)) if !seen.insert(normal.clone()) => {
                    self.error(at, format!("{} is listed twice", quoted(path)));
                }
                Ok(_) => {}
                Err(refusal) => self.error(at, format!("{} {refusal}", quoted(path))),
            }
        }
    }

    /// Rules for containers that are chosen by their image or name.
    pub(crate) fn bound(&mut self, profile: &Profile) {
        for pattern in profile.containers.images.keys() {
            if let Some(problem) = image_pattern::problem(pattern) {
                self.error(
                    &["containers", "images"],
                    format!("{} {problem}", quoted(pattern)),
                );
            }
        }
        for name in profile.containers.init_containers.keys() {
            let problem = match Role::of(List::Init, name) {
                Role::Init => Some("is the runner's; use init instead"),
                _ if !is_container_name(name) => Some("is no name of a container"),
                _ => None,
            };
            if let Some(problem) = problem {
                self.error(
                    &["containers", "initContainers"],
                    format!("{} {problem}", quoted(name)),
                );
            }
        }
        for (scope, rules) in profile.containers.all() {
            let path = match scope {
                Scope::Role(_) => continue,
                Scope::Image(_) => ["containers", "images"],
                Scope::InitContainer(_) => ["containers", "initContainers"],
            };
            self.rules(path, rules);
            let is_granted = rules.grants.baseline.contains(&Family::Capabilities);
            if !rules.capabilities.allow.is_empty() && !is_granted {
                self.warning(
                    &path,
                    format!(
                        "capabilities.allow of {} has no effect at the level baseline without \
                         grants: {{baseline: [capabilities]}}",
                        exposure::named(scope)
                    ),
                );
            }
        }
    }

    pub(crate) fn container(&mut self, profile: &Profile, role: Role) {
        self.rules(["containers", role.key()], profile.containers.role(role));
        self.together(profile, role);
    }

    fn rules(&mut self, path: [&'static str; 2], rules: &Rules) {
        let at = |rest: &[&'static str]| [&path[..], rest].concat();
        for (kind, fields) in [("set", &rules.set), ("ifUnset", &rules.if_unset)] {
            self.fields(&at(&[kind]), fields);
        }
        for (key, names) in [
            ("add", &rules.capabilities.add),
            ("drop", &rules.capabilities.drop),
            ("allow", &rules.capabilities.allow),
        ] {
            for name in names {
                self.capability(&at(&["capabilities", key]), name);
            }
        }
        if let Some(name) = rules.capabilities.in_both() {
            let problem = format!("{} is both in add or allow and in drop", quoted(name));
            self.error(&at(&["capabilities"]), problem);
        }
        self.empty_dirs(&at(&["emptyDirs"]), &rules.empty_dirs);
        for (kind, fields) in [("set", &rules.set), ("ifUnset", &rules.if_unset)] {
            let Some(home) = fields.env.get("HOME") else {
                continue;
            };
            let path = at(&[kind, "env"]);
            if rules.home {
                self.error(
                    &path,
                    "HOME together with home: true; set home.path instead",
                );
            } else if let Err(refusal) = HomePath::parse(home) {
                self.error(&path, format!("HOME {refusal}"));
            }
        }
        // A control whose field no profile can set has no value to admit.
        let mut baseline = rules.grants.baseline.iter();
        if let Some(family) = baseline.find(|family| !grants::is_settable(**family)) {
            let problem = format!(
                "{} is not a field that a profile sets, so there is no value to admit",
                family.name()
            );
            self.error(&at(&["grants", "baseline"]), problem);
        }
    }

    fn fields(&mut self, path: &[&'static str], fields: &ContainerFields) {
        let at = |key: &'static str| [path, &[key]].concat();
        for (resource, amount) in &fields.resources.limits {
            let path = [path, &["resources", "limits"]].concat();
            if !is_extended_resource(resource) {
                let problem = format!(
                    "{} is not an extended resource (a qualified name such as github.com/fuse, \
                     outside kubernetes.io); leave cpu and memory to the runner's config.toml",
                    quoted(resource)
                );
                self.error(&path, problem);
            }
            // The API server writes 1000 as 1k, and then it would
            // differ.
            if !amount.parse().is_ok_and(|amount: u16| amount < 1000)
                || amount.len() > 1 && amount.starts_with(['0', '+'])
            {
                let problem = format!(
                    "{} is not a whole number from 0 to 999, as the number of devices must be",
                    quoted(amount)
                );
                self.error(&path, problem);
            }
        }
        for name in fields.env.keys() {
            let is_printable = |c: char| (' '..='~').contains(&c) && c != '=';
            if name.is_empty() || !name.chars().all(is_printable) {
                let problem = format!(
                    "{} is not a valid name of an environment variable",
                    quoted(name)
                );
                self.error(&at("env"), problem);
            }
        }
        if let Some(name) = fields.env.iter().find(|(_, value)| value.contains('\0')) {
            let problem = format!("{} has a zero byte in its value", quoted(name.0));
            self.error(&at("env"), problem);
        }
        for (key, is_there) in [
            ("fsGroup", fields.security_context.fs_group.is_some()),
            (
                "fsGroupChangePolicy",
                fields.security_context.fs_group_change_policy.is_some(),
            ),
            (
                "supplementalGroups",
                !fields.security_context.supplemental_groups.is_empty(),
            ),
        ] {
            if is_there {
                let at = [path, &["securityContext", key]].concat();
                self.error(&at, "is a field of the pod only; set it under pod");
            }
        }
        self.confinement(&at("securityContext"), &fields.security_context);
    }

    /// Checks the values of a securityContext, of a pod or of a container.
    pub(super) fn confinement(&mut self, path: &[&'static str], context: &SecurityContext) {
        let at = |key: &'static str| [path, &[key]].concat();
        for (key, id) in [
            ("runAsUser", context.run_as_user),
            ("runAsGroup", context.run_as_group),
        ] {
            if id.is_some_and(|id| !(0..=LAST_ID).contains(&id)) {
                self.error(&at(key), format!("an id is between 0 and {LAST_ID}"));
            }
        }
        if context
            .proc_mount
            .as_deref()
            .is_some_and(|mount| !["Default", "Unmasked"].contains(&mount))
        {
            self.error(&at("procMount"), "is Default or Unmasked");
        }
        if let Some(options) = &context.se_linux_options
            && (options.type_.is_empty() || options.type_.contains(char::is_control))
        {
            let problem = format!("{} is not an SELinux type", quoted(&options.type_));
            self.error(&at("seLinuxOptions"), problem);
        }
        for (key, profile) in [
            ("seccompProfile", &context.seccomp_profile),
            ("appArmorProfile", &context.app_armor_profile),
        ] {
            if let Some(profile) = profile {
                self.local_profile(&at(key), profile);
            }
        }
    }

    fn local_profile(&mut self, path: &[&'static str], profile: &LocalProfile) {
        let types = ["RuntimeDefault", "Unconfined", "Localhost"];
        let is_local = profile.type_ == "Localhost";
        let name = profile.localhost_profile.as_deref();
        if !types.contains(&profile.type_.as_str()) {
            let nearest = nearest(&profile.type_, types);
            let nearest = nearest
                .map(|name| format!("; did you mean {name}?"))
                .unwrap_or_default();
            let problem = format!(
                "{} is not one of {}{nearest}",
                quoted(&profile.type_),
                types.join(", ")
            );
            self.error(&[path, &["type"]].concat(), problem);
        } else if is_local && name.is_none_or(|name| name.trim().is_empty()) {
            self.error(
                path,
                "Localhost needs localhostProfile, the profile's name on the node",
            );
        } else if !is_local && name.is_some() {
            self.error(
                path,
                format!(
                    "localhostProfile is only for the type Localhost, not for {}",
                    profile.type_
                ),
            );
        } else if let Some(name) = name {
            let is_path = path.last() == Some(&"seccompProfile");
            let leads_out = name.starts_with('/') || name.split('/').any(|part| part == "..");
            if is_path && leads_out {
                self.error(
                    path,
                    "localhostProfile must be a path below the node's folder of profiles",
                );
            }
            if name.trim() != name || name.len() > 4095 || name.contains(char::is_control) {
                let problem = format!("localhostProfile {} is not a valid name", quoted(name));
                self.error(path, problem);
            }
        }
    }

    fn capability(&mut self, path: &[&'static str], name: &str) {
        let plain = name.to_ascii_uppercase();
        let plain = plain.strip_prefix("CAP_").unwrap_or(&plain);
        if plain != "ALL" && !CAPABILITIES.contains(&plain) {
            let nearest = nearest(plain, CAPABILITIES);
            let nearest = nearest
                .map(|name| format!("; did you mean {name}?"))
                .unwrap_or_default();
            self.error(
                path,
                format!("{} is not a capability{nearest}", quoted(name)),
            );
        }
    }
}
