//! The table of the Standards: which controls there are, and at which level.

use serde::{Deserialize, Serialize};

use super::subject::Subject;
use super::{
    apparmor, capabilities, host_namespaces, host_ports, host_probes, host_process,
    privilege_escalation, privileged, proc_mount, run_as_non_root, run_as_user, seccomp, selinux,
    sysctls, volumes,
};

/// What a pod is held to. Each level asks for more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Known ways out of the container are closed.
    Baseline,
    /// Hardened as current practice has it.
    Restricted,
}

impl Level {
    /// Every level, the most permissive first.
    pub const ALL: [Level; 3] = [Level::Privileged, Level::Baseline, Level::Restricted];

    /// The level as the Standards and namespace labels write it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }

    /// The level called `name`.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The level below, at which a control is its weaker twin.
    pub fn lowered(self) -> Level {
        match self {
            Level::Restricted => Level::Baseline,
            Level::Baseline | Level::Privileged => Level::Privileged,
        }
    }
}

/// Controls that ask for one thing at different levels. What is granted is a
/// family: its restricted control, its baseline one, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named as the controls they hold")]
pub enum Family {
    WindowsHostProcess,
    HostNamespaces,
    Privileged,
    Capabilities,
    Volumes,
    HostPorts,
    HostProbesAndHostLifecycle,
    AppArmorProfile,
    SeLinuxOptions,
    ProcMount,
    SeccompProfile,
    Sysctls,
    AllowPrivilegeEscalation,
    RunAsNonRoot,
    RunAsUser,
}

impl Family {
    /// Every family, in the order of the Standards.
    pub const ALL: [Family; 15] = [
        Family::WindowsHostProcess,
        Family::HostNamespaces,
        Family::Privileged,
        Family::Capabilities,
        Family::Volumes,
        Family::HostPorts,
        Family::HostProbesAndHostLifecycle,
        Family::AppArmorProfile,
        Family::SeLinuxOptions,
        Family::ProcMount,
        Family::SeccompProfile,
        Family::Sysctls,
        Family::AllowPrivilegeEscalation,
        Family::RunAsNonRoot,
        Family::RunAsUser,
    ];

    /// The family's name: that of the field it is about, mostly, and of the
    /// reference's checks without the level.
    pub fn name(self) -> &'static str {
        match self {
            Family::WindowsHostProcess => "windowsHostProcess",
            Family::HostNamespaces => "hostNamespaces",
            Family::Privileged => "privileged",
            Family::Capabilities => "capabilities",
            Family::Volumes => "volumes",
            Family::HostPorts => "hostPorts",
            Family::HostProbesAndHostLifecycle => "hostProbesAndHostLifecycle",
            Family::AppArmorProfile => "appArmorProfile",
            Family::SeLinuxOptions => "seLinuxOptions",
            Family::ProcMount => "procMount",
            Family::SeccompProfile => "seccompProfile",
            Family::Sysctls => "sysctls",
            Family::AllowPrivilegeEscalation => "allowPrivilegeEscalation",
            Family::RunAsNonRoot => "runAsNonRoot",
            Family::RunAsUser => "runAsUser",
        }
    }
}

/// A control of the Standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as the reference's checks")]
pub enum Control {
    WindowsHostProcess,
    HostNamespaces,
    Privileged,
    CapabilitiesBaseline,
    HostPathVolumes,
    HostPorts,
    HostProbesAndHostLifecycle,
    AppArmorProfile,
    SeLinuxOptions,
    ProcMount,
    SeccompProfileBaseline,
    Sysctls,
    RestrictedVolumes,
    AllowPrivilegeEscalation,
    RunAsNonRoot,
    RunAsUser,
    ProcMountRestricted,
    SeccompProfileRestricted,
    CapabilitiesRestricted,
}

impl Control {
    /// Every control, in the order of the Standards.
    pub fn all() -> impl Iterator<Item = Control> {
        STANDARDS.iter().map(|rule| rule.control)
    }

    /// The ID of the reference's check.
    pub fn id(self) -> &'static str {
        self.rule().id
    }

    /// The name of the control in the Standards.
    pub fn name(self) -> &'static str {
        self.rule().name
    }

    /// The lowest level that asks for it.
    pub fn level(self) -> Level {
        self.rule().level
    }

    /// What is granted where this control is in the way.
    pub fn family(self) -> Family {
        self.rule().family
    }

    fn rule(self) -> &'static Rule {
        &STANDARDS[self as usize]
    }
}

/// A line of the table.
pub(super) struct Rule {
    pub(super) control: Control,
    id: &'static str,
    name: &'static str,
    pub(super) family: Family,
    pub(super) level: Level,
    /// Whether a restricted control of the family takes its place there.
    pub(super) replaced: bool,
    pub(super) check: fn(&mut Subject<'_, '_, '_>),
}

/// Every control, in the order of the Standards' page.
// One control a line, so that it reads as the table it is.
#[rustfmt::skip]
pub(super) const STANDARDS: [Rule; 19] = [
    Rule { control: Control::WindowsHostProcess, id: "windowsHostProcess", name: "HostProcess", family: Family::WindowsHostProcess, level: Level::Baseline, replaced: false, check: host_process::baseline },
    Rule { control: Control::HostNamespaces, id: "hostNamespaces", name: "Host Namespaces", family: Family::HostNamespaces, level: Level::Baseline, replaced: false, check: host_namespaces::baseline },
    Rule { control: Control::Privileged, id: "privileged", name: "Privileged Containers", family: Family::Privileged, level: Level::Baseline, replaced: false, check: privileged::baseline },
    Rule { control: Control::CapabilitiesBaseline, id: "capabilities_baseline", name: "Capabilities", family: Family::Capabilities, level: Level::Baseline, replaced: true, check: capabilities::baseline },
    Rule { control: Control::HostPathVolumes, id: "hostPathVolumes", name: "HostPath Volumes", family: Family::Volumes, level: Level::Baseline, replaced: true, check: volumes::baseline },
    Rule { control: Control::HostPorts, id: "hostPorts", name: "Host Ports", family: Family::HostPorts, level: Level::Baseline, replaced: false, check: host_ports::baseline },
    Rule { control: Control::HostProbesAndHostLifecycle, id: "hostProbesAndHostLifecycle", name: "Host Probes / Lifecycle Hooks", family: Family::HostProbesAndHostLifecycle, level: Level::Baseline, replaced: false, check: host_probes::baseline },
    Rule { control: Control::AppArmorProfile, id: "appArmorProfile", name: "AppArmor", family: Family::AppArmorProfile, level: Level::Baseline, replaced: false, check: apparmor::baseline },
    Rule { control: Control::SeLinuxOptions, id: "seLinuxOptions", name: "SELinux", family: Family::SeLinuxOptions, level: Level::Baseline, replaced: false, check: selinux::baseline },
    Rule { control: Control::ProcMount, id: "procMount", name: "/proc Mount Type", family: Family::ProcMount, level: Level::Baseline, replaced: true, check: proc_mount::baseline },
    Rule { control: Control::SeccompProfileBaseline, id: "seccompProfile_baseline", name: "Seccomp", family: Family::SeccompProfile, level: Level::Baseline, replaced: true, check: seccomp::baseline },
    Rule { control: Control::Sysctls, id: "sysctls", name: "Sysctls", family: Family::Sysctls, level: Level::Baseline, replaced: false, check: sysctls::baseline },
    Rule { control: Control::RestrictedVolumes, id: "restrictedVolumes", name: "Volume Types", family: Family::Volumes, level: Level::Restricted, replaced: false, check: volumes::restricted },
    Rule { control: Control::AllowPrivilegeEscalation, id: "allowPrivilegeEscalation", name: "Privilege Escalation", family: Family::AllowPrivilegeEscalation, level: Level::Restricted, replaced: false, check: privilege_escalation::restricted },
    Rule { control: Control::RunAsNonRoot, id: "runAsNonRoot", name: "Running as Non-root", family: Family::RunAsNonRoot, level: Level::Restricted, replaced: false, check: run_as_non_root::restricted },
    Rule { control: Control::RunAsUser, id: "runAsUser", name: "Running as Non-root user", family: Family::RunAsUser, level: Level::Restricted, replaced: false, check: run_as_user::restricted },
    Rule { control: Control::ProcMountRestricted, id: "procMount_restricted", name: "/proc Mount Type", family: Family::ProcMount, level: Level::Restricted, replaced: false, check: proc_mount::restricted },
    Rule { control: Control::SeccompProfileRestricted, id: "seccompProfile_restricted", name: "Seccomp", family: Family::SeccompProfile, level: Level::Restricted, replaced: false, check: seccomp::restricted },
    Rule { control: Control::CapabilitiesRestricted, id: "capabilities_restricted", name: "Capabilities", family: Family::Capabilities, level: Level::Restricted, replaced: false, check: capabilities::restricted },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_stands_at_its_own_line_of_the_table() {
        for (line, rule) in STANDARDS.iter().enumerate() {
            assert_eq!(rule.control as usize, line, "{}", rule.id);
        }
    }

    #[test]
    fn exactly_the_baseline_controls_with_a_restricted_twin_are_replaced() {
        for rule in &STANDARDS {
            let is_twin = |other: &Rule| {
                other.family == rule.family
                    && other.level == Level::Restricted
                    && rule.level == Level::Baseline
            };
            assert_eq!(STANDARDS.iter().any(is_twin), rule.replaced, "{}", rule.id);
        }
    }

    #[test]
    fn a_family_is_called_the_same_in_a_profile_and_in_a_message() {
        for family in Family::ALL {
            let written = serde_json::to_value(family).expect("a string");
            assert_eq!(written, family.name());
        }
    }
}
