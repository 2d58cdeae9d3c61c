//! Levels, controls and families of controls.

use serde::{Deserialize, Serialize};

/// A level of the Standards. Each requires more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Known privilege escalations are prevented.
    Baseline,
    /// Hardened by current best practices.
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

    /// The level below, with the less strict control of the same family.
    pub fn lowered(self) -> Level {
        match self {
            Level::Restricted => Level::Baseline,
            Level::Baseline | Level::Privileged => Level::Privileged,
        }
    }
}

/// Controls that restrict the same thing at different levels. A grant is for a
/// family: its restricted control, its baseline one, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named as the controls in them")]
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
        CONTROLS.iter().map(|facts| facts.control)
    }

    /// The ID of the reference's check.
    pub fn id(self) -> &'static str {
        self.facts().id
    }

    /// The name of the control in the Standards.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The lowest level that requires it.
    pub fn level(self) -> Level {
        self.facts().level
    }

    /// The family to grant where this control prevents something.
    pub fn family(self) -> Family {
        self.facts().family
    }

    fn facts(self) -> &'static Facts {
        &CONTROLS[self as usize]
    }
}

/// The facts about a control.
struct Facts {
    control: Control,
    id: &'static str,
    name: &'static str,
    family: Family,
    level: Level,
}

/// Every control, in the order of the Standards' page. `table` has their checks.
// One control a line, so that it reads as the table it is.
#[rustfmt::skip]
const CONTROLS: [Facts; 19] = [
    Facts { control: Control::WindowsHostProcess, id: "windowsHostProcess", name: "HostProcess", family: Family::WindowsHostProcess, level: Level::Baseline },
    Facts { control: Control::HostNamespaces, id: "hostNamespaces", name: "Host Namespaces", family: Family::HostNamespaces, level: Level::Baseline },
    Facts { control: Control::Privileged, id: "privileged", name: "Privileged Containers", family: Family::Privileged, level: Level::Baseline },
    Facts { control: Control::CapabilitiesBaseline, id: "capabilities_baseline", name: "Capabilities", family: Family::Capabilities, level: Level::Baseline },
    Facts { control: Control::HostPathVolumes, id: "hostPathVolumes", name: "HostPath Volumes", family: Family::Volumes, level: Level::Baseline },
    Facts { control: Control::HostPorts, id: "hostPorts", name: "Host Ports", family: Family::HostPorts, level: Level::Baseline },
    Facts { control: Control::HostProbesAndHostLifecycle, id: "hostProbesAndHostLifecycle", name: "Host Probes / Lifecycle Hooks", family: Family::HostProbesAndHostLifecycle, level: Level::Baseline },
    Facts { control: Control::AppArmorProfile, id: "appArmorProfile", name: "AppArmor", family: Family::AppArmorProfile, level: Level::Baseline },
    Facts { control: Control::SeLinuxOptions, id: "seLinuxOptions", name: "SELinux", family: Family::SeLinuxOptions, level: Level::Baseline },
    Facts { control: Control::ProcMount, id: "procMount", name: "/proc Mount Type", family: Family::ProcMount, level: Level::Baseline },
    Facts { control: Control::SeccompProfileBaseline, id: "seccompProfile_baseline", name: "Seccomp", family: Family::SeccompProfile, level: Level::Baseline },
    Facts { control: Control::Sysctls, id: "sysctls", name: "Sysctls", family: Family::Sysctls, level: Level::Baseline },
    Facts { control: Control::RestrictedVolumes, id: "restrictedVolumes", name: "Volume Types", family: Family::Volumes, level: Level::Restricted },
    Facts { control: Control::AllowPrivilegeEscalation, id: "allowPrivilegeEscalation", name: "Privilege Escalation", family: Family::AllowPrivilegeEscalation, level: Level::Restricted },
    Facts { control: Control::RunAsNonRoot, id: "runAsNonRoot", name: "Running as Non-root", family: Family::RunAsNonRoot, level: Level::Restricted },
    Facts { control: Control::RunAsUser, id: "runAsUser", name: "Running as Non-root user", family: Family::RunAsUser, level: Level::Restricted },
    Facts { control: Control::ProcMountRestricted, id: "procMount_restricted", name: "/proc Mount Type", family: Family::ProcMount, level: Level::Restricted },
    Facts { control: Control::SeccompProfileRestricted, id: "seccompProfile_restricted", name: "Seccomp", family: Family::SeccompProfile, level: Level::Restricted },
    Facts { control: Control::CapabilitiesRestricted, id: "capabilities_restricted", name: "Capabilities", family: Family::Capabilities, level: Level::Restricted },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_has_its_own_line_of_facts() {
        for (line, facts) in CONTROLS.iter().enumerate() {
            assert_eq!(facts.control as usize, line, "{}", facts.id);
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
