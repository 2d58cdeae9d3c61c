//! What can be known of a profile before any job meets it.
//!
//! | severity | when |
//! |---|---|
//! | error | the API server would refuse the pod, the kubelet never start it, or the profile contradicts itself |
//! | warning | Podman fails in it, as it was measured to (`docs/profiles.md`) |

use std::fmt;

use super::spelling::nearest;
use super::{ContainerFields, PodFields, Profile, Rules};
use crate::admission::grants;
use crate::admission::home_path::HomePath;
use crate::admission::job::Role;
use crate::admission::plan::same_capability;
use crate::admission::security_context::{Field, LocalProfile, Scalar, SecurityContext};
use crate::admission::text::quoted;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The profile is not taken.
    Error,
    /// It is, and will likely disappoint.
    Warning,
}

/// Something that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The field, from the top.
    pub path: Vec<&'static str>,
    /// Why, as a clause.
    pub told: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.join("."), self.told)
    }
}

/// The last id in a pod with a user namespace of its own (Kubernetes 1.37, "User
/// Namespaces").
const LAST_MAPPED_ID: i64 = 65_535;
/// The last id that the API server takes.
const LAST_ID: i64 = 2_147_483_647;
/// What the API server lets a pod's annotations take, keys and values together.
const ANNOTATIONS: usize = 256 * 1024;

/// What the older annotations of AppArmor begin with.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io";

/// The capabilities that Linux 6.18 has (`capabilities(7)`), without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// All that is wrong with `profile`, errors first.
pub fn check(profile: &Profile) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.itself(profile);
    findings.pod(&["pod", "set"], &profile.pod.set);
    findings.pod(&["pod", "default"], &profile.pod.default);
    for role in Role::ALL {
        findings.container(profile, role);
    }
    findings.podman(profile);
    let Findings(mut found) = findings;
    found.sort_by_key(|finding| finding.severity == Severity::Warning);
    found
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, path: &[&'static str], told: impl Into<String>) {
        let (severity, path, told) = (Severity::Error, path.to_vec(), told.into());
        self.0.push(Finding {
            severity,
            path,
            told,
        });
    }

    fn warning(&mut self, path: &[&'static str], told: impl Into<String>) {
        let (severity, path, told) = (Severity::Warning, path.to_vec(), told.into());
        self.0.push(Finding {
            severity,
            path,
            told,
        });
    }

    fn itself(&mut self, profile: &Profile) {
        if !is_label_value(&profile.name) {
            self.error(
                &["name"],
                format!(
                    "{} can be no label's value: letters, digits, '-', '_' and '.', at most 63, a \
                     letter or digit at both ends",
                    quoted(&profile.name)
                ),
            );
        }
        if profile.summary.trim().is_empty() {
            self.error(&["summary"], "say in one line when to use it");
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
            let told = format!("{} is no quantity, such as 10Gi", quoted(limit));
            self.error(&["home", "sizeLimit"], told);
        }
    }

    fn pod(&mut self, path: &[&'static str], fields: &PodFields) {
        let at = |key: &'static str| [path, &[key]].concat();
        let size: usize = fields
            .annotations
            .iter()
            .map(|(k, v)| k.len() + v.len())
            .sum();
        if size > ANNOTATIONS {
            let told = format!("{size} bytes are more than the {ANNOTATIONS} that a pod may have");
            self.error(&at("annotations"), told);
        }
        if let Some(key) = fields.annotations.keys().find(|key| !is_qualified(key)) {
            let told = format!("{} is no annotation's key", quoted(key));
            self.error(&at("annotations"), told);
        }
        // The field would not follow, and the API server refuses two that differ.
        if let Some(key) = fields
            .annotations
            .keys()
            .find(|key| key.starts_with(APPARMOR))
        {
            let told = format!(
                "{}: say appArmorProfile under containers instead",
                quoted(key)
            );
            self.error(&at("annotations"), told);
        }
        let of_containers = [
            Field::Privileged,
            Field::AllowPrivilegeEscalation,
            Field::ReadOnlyRootFilesystem,
            Field::ProcMount,
        ];
        for field in of_containers {
            if fields.security_context.get(field).is_some() {
                let at = [path, &["securityContext", field.key().1]].concat();
                self.error(
                    &at,
                    "is a field of containers only; say it under containers",
                );
            }
        }
        self.confinement(&at("securityContext"), &fields.security_context);
    }

    fn container(&mut self, profile: &Profile, role: Role) {
        let rules = profile.containers.role(role);
        let path = ["containers", role.key()];
        let at = |rest: &[&'static str]| [&path[..], rest].concat();
        for (kind, fields) in [("set", &rules.set), ("default", &rules.default)] {
            self.fields(&at(&[kind]), fields);
        }
        for (key, names) in [
            ("add", &rules.capabilities.add),
            ("drop", &rules.capabilities.drop),
        ] {
            for name in names {
                self.capability(&at(&["capabilities", key]), name);
            }
        }
        if let Some(name) = rules.capabilities.in_both() {
            let told = format!("{} is in both add and drop", quoted(name));
            self.error(&at(&["capabilities"]), told);
        }
        for kind in ["set", "default"] {
            let env = match kind {
                "set" => &rules.set.env,
                _ => &rules.default.env,
            };
            if rules.home && env.contains_key("HOME") {
                self.error(
                    &at(&[kind, "env"]),
                    "HOME beside home: true; say home.path instead",
                );
            }
        }
        // What no profile can set has no value that could be admitted.
        let mut baseline = rules.grants.baseline.iter();
        if let Some(family) = baseline.find(|family| !grants::is_settable(**family)) {
            let told = format!(
                "{} is nothing a profile sets, so there is no value to admit",
                family.name()
            );
            self.error(&at(&["grants", "baseline"]), told);
        }
        self.combination(profile, &path, rules);
    }

    fn fields(&mut self, path: &[&'static str], fields: &ContainerFields) {
        let at = |key: &'static str| [path, &[key]].concat();
        for (resource, amount) in &fields.resources.limits {
            let path = [path, &["resources", "limits"]].concat();
            if !is_extended_resource(resource) {
                let told = format!(
                    "{} is not an extended resource (a qualified name such as github.com/fuse, \
                     outside kubernetes.io); leave cpu and memory to the runner's config.toml",
                    quoted(resource)
                );
                self.error(&path, told);
            }
            if amount.is_empty() || amount.len() > 18 || !amount.bytes().all(|b| b.is_ascii_digit())
            {
                let told = format!(
                    "{} is no whole number, which devices are counted by",
                    quoted(amount)
                );
                self.error(&path, told);
            }
        }
        for name in fields.env.keys() {
            let is_printable = |c: char| (' '..='~').contains(&c) && c != '=';
            if name.is_empty() || !name.chars().all(is_printable) {
                let told = format!("{} is no name of an environment variable", quoted(name));
                self.error(&at("env"), told);
            }
        }
        self.confinement(&at("securityContext"), &fields.security_context);
    }

    /// What a securityContext says by itself, of a pod or of a container.
    fn confinement(&mut self, path: &[&'static str], context: &SecurityContext) {
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
            let told = format!(
                "{} is none of {}{nearest}",
                quoted(&profile.type_),
                types.join(", ")
            );
            self.error(&[path, &["type"]].concat(), told);
        } else if is_local && name.is_none_or(|name| name.trim().is_empty()) {
            self.error(
                path,
                "Localhost needs localhostProfile, the profile's name on the node",
            );
        } else if !is_local && name.is_some() {
            self.error(
                path,
                format!(
                    "localhostProfile goes with Localhost, not with {}",
                    profile.type_
                ),
            );
        } else if name.is_some_and(|name| {
            name.starts_with('/') || name.split('/').any(|part| part == "..") || name.len() > 4095
        }) {
            self.error(
                path,
                "localhostProfile is a name, or a path below the node's folder of profiles",
            );
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
            self.error(path, format!("{} is no capability{nearest}", quoted(name)));
        }
    }

    /// What two fields cannot be together, in one container.
    fn combination(&mut self, profile: &Profile, path: &[&'static str], rules: &Rules) {
        let in_context = |key| [path, &["set", "securityContext", key]].concat();
        let said = |field| said(profile, rules, field);
        let is = |field, value: bool| said(field).and_then(|s| s.bool()) == Some(value);
        let no_escalation = is(Field::AllowPrivilegeEscalation, false);
        if no_escalation && is(Field::Privileged, true) {
            self.error(
                &in_context("allowPrivilegeEscalation"),
                "false beside privileged: true, which the API server refuses",
            );
        }
        let mut added = rules.capabilities.add.iter();
        if no_escalation && added.any(|name| same_capability(name, "SYS_ADMIN")) {
            self.error(
                &in_context("allowPrivilegeEscalation"),
                "false beside the capability SYS_ADMIN, which the API server refuses",
            );
        }
        let user = said(Field::RunAsUser).and_then(|user| user.int());
        if user == Some(0) && is(Field::RunAsNonRoot, true) {
            self.error(
                &in_context("runAsNonRoot"),
                "true beside runAsUser: 0: the kubelet never starts such a container",
            );
        }
        let own_ids =
            [profile.pod.set.host_users, profile.pod.default.host_users].contains(&Some(false));
        let unmasked = said(Field::ProcMount).and_then(|mount| mount.text());
        if unmasked.as_deref() == Some("Unmasked") && !own_ids {
            self.error(
                &in_context("procMount"),
                "Unmasked without pod.set.hostUsers: false, which the API server refuses",
            );
        }
        let group = said(Field::RunAsGroup).and_then(|group| group.int());
        for (key, id) in [("runAsUser", user), ("runAsGroup", group)] {
            if own_ids && id.is_some_and(|id| id > LAST_MAPPED_ID) {
                let told = format!("a pod with hostUsers: false has ids up to {LAST_MAPPED_ID}");
                self.error(&in_context(key), told);
            }
        }
    }

    /// Where Podman is known to fail.
    fn podman(&mut self, profile: &Profile) {
        let build = &profile.containers.build;
        if *build == Rules::default() {
            return;
        }
        let context = |key| ["containers", "build", "set", "securityContext", key];
        let said = |field| said(profile, build, field);
        let user = said(Field::RunAsUser).and_then(|user| user.int());
        let privileged = said(Field::Privileged).and_then(|p| p.bool()) == Some(true);
        let escalation = said(Field::AllowPrivilegeEscalation).and_then(|e| e.bool());
        let is_somebody = user.is_some_and(|user| user > 0);
        if is_somebody && escalation == Some(false) && !privileged {
            self.warning(
                &context("allowPrivilegeEscalation"),
                "newuidmap gains no capability from its file: \"newuidmap: write to uid_map \
                 failed: Operation not permitted\"; leave it to true, or run as 0",
            );
        }
        let sys_admin = build
            .capabilities
            .add
            .iter()
            .any(|name| same_capability(name, "SYS_ADMIN"));
        let seccomp = said(Field::SeccompProfile).and_then(|seccomp| seccomp.confinement());
        if seccomp.is_some_and(|seccomp| &*seccomp.type_ == "RuntimeDefault")
            && !sys_admin
            && !privileged
        {
            self.warning(
                &context("seccompProfile"),
                "under RuntimeDefault without SYS_ADMIN Podman says \"cannot clone: Operation not \
                 permitted\"; leave it out, or take Unconfined or Localhost",
            );
        }
        if is_somebody && !build.home && !build.set.env.contains_key("HOME") {
            self.warning(
                &["containers", "build"],
                "a user without an entry in the image's passwd has HOME=/: \"could not lock config \
                 file //.gitconfig: Permission denied\"; say home: true",
            );
        }
        let has_device = [&build.set, &build.default]
            .into_iter()
            .any(|fields| !fields.resources.limits.is_empty());
        let cri_o = profile
            .pod
            .set
            .annotations
            .contains_key("io.kubernetes.cri-o.Devices");
        if user == Some(0) && !privileged && !has_device && !cri_o {
            self.warning(
                &["containers", "build", "set"],
                "root without a device: \"fuse: device not found\"; say a limit such as \
                 github.com/fuse: 1 under resources",
            );
        }
    }
}

/// What holds in a container of a pod, both of which say nothing by themselves.
fn said<'p>(profile: &'p Profile, rules: &'p Rules, field: Field) -> Option<Scalar<'p>> {
    let contexts = [
        &rules.set.security_context,
        &rules.default.security_context,
        &profile.pod.set.security_context,
        &profile.pod.default.security_context,
    ];
    contexts.into_iter().find_map(|context| context.get(field))
}

/// Whether `text` can be a label's value, and not the empty one.
fn is_label_value(text: &str) -> bool {
    is_name(text) && text.len() <= 63
}

fn is_name(text: &str) -> bool {
    let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    ends(bytes.first().copied())
        && ends(bytes.last().copied())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Whether `key` is a qualified name: `prefix/name`, or a name alone.
pub(in crate::admission) fn is_qualified(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((prefix, name)) => (Some(prefix), name),
    };
    is_label_value(name) && prefix.is_none_or(is_subdomain)
}

fn is_subdomain(domain: &str) -> bool {
    let is_label = |label: &str| {
        is_name(label)
            && !label.contains(['_', '.'])
            && !label.contains(|c: char| c.is_ascii_uppercase())
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}

/// Whether `name` is an extended resource (Kubernetes, "Resource Management for
/// Pods and Containers", v1.37): qualified, and outside `kubernetes.io`.
pub(in crate::admission) fn is_extended_resource(name: &str) -> bool {
    let outside = |(domain, _): (&str, &str)| {
        domain != "kubernetes.io"
            && !domain.ends_with(".kubernetes.io")
            && !domain.starts_with("requests.")
    };
    name.split_once('/').is_some_and(outside) && is_qualified(name)
}

/// Whether `text` is a quantity that a size can have: a number, at least 1, and
/// one of the suffixes.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffixes = [
        "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let is_number = !digits.is_empty()
        && digits.len() <= 15
        && digits.bytes().all(|b| b.is_ascii_digit())
        && digits.bytes().any(|b| b != b'0');
    is_number && suffixes.contains(&&text[digits.len()..])
}
