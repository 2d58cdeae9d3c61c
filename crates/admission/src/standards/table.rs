//! The table of the Standards: which controls there are, and at which level.

use super::checks::{
    apparmor, capabilities, host_namespaces, host_ports, host_probes, host_process,
    privilege_escalation, privileged, proc_mount, run_as_non_root, run_as_user, seccomp, selinux,
    sysctls, volumes,
};
use super::control::Control;
use super::subject::Subject;

/// A line of the table.
pub(super) struct Rule {
    pub(super) control: Control,
    /// Whether a restricted control of the family replaces it at that level.
    pub(super) replaced: bool,
    pub(super) check: fn(&mut Subject<'_, '_, '_>),
}

/// Every control, in the order of the Standards' page.
// One control a line, so that it reads as the table it is.
#[rustfmt::skip]
pub(super) const STANDARDS: [Rule; 19] = [
    Rule { control: Control::WindowsHostProcess, replaced: false, check: host_process::baseline },
    Rule { control: Control::HostNamespaces, replaced: false, check: host_namespaces::baseline },
    Rule { control: Control::Privileged, replaced: false, check: privileged::baseline },
    Rule { control: Control::CapabilitiesBaseline, replaced: true, check: capabilities::baseline },
    Rule { control: Control::HostPathVolumes, replaced: true, check: volumes::baseline },
    Rule { control: Control::HostPorts, replaced: false, check: host_ports::baseline },
    Rule { control: Control::HostProbesAndHostLifecycle, replaced: false, check: host_probes::baseline },
    Rule { control: Control::AppArmorProfile, replaced: false, check: apparmor::baseline },
    Rule { control: Control::SeLinuxOptions, replaced: false, check: selinux::baseline },
    Rule { control: Control::ProcMount, replaced: true, check: proc_mount::baseline },
    Rule { control: Control::SeccompProfileBaseline, replaced: true, check: seccomp::baseline },
    Rule { control: Control::Sysctls, replaced: false, check: sysctls::baseline },
    Rule { control: Control::RestrictedVolumes, replaced: false, check: volumes::restricted },
    Rule { control: Control::AllowPrivilegeEscalation, replaced: false, check: privilege_escalation::restricted },
    Rule { control: Control::RunAsNonRoot, replaced: false, check: run_as_non_root::restricted },
    Rule { control: Control::RunAsUser, replaced: false, check: run_as_user::restricted },
    Rule { control: Control::ProcMountRestricted, replaced: false, check: proc_mount::restricted },
    Rule { control: Control::SeccompProfileRestricted, replaced: false, check: seccomp::restricted },
    Rule { control: Control::CapabilitiesRestricted, replaced: false, check: capabilities::restricted },
];

#[cfg(test)]
mod tests {
    use super::super::control::Level;
    use super::*;

    #[test]
    fn every_control_is_at_its_own_index_of_the_table() {
        for (line, rule) in STANDARDS.iter().enumerate() {
            assert_eq!(rule.control as usize, line, "{}", rule.control.id());
        }
    }

    #[test]
    fn exactly_the_baseline_controls_with_a_restricted_one_in_their_family_are_replaced() {
        for rule in &STANDARDS {
            let is_restricted_one = |other: &Rule| {
                other.control.family() == rule.control.family()
                    && other.control.level() == Level::Restricted
                    && rule.control.level() == Level::Baseline
            };
            assert_eq!(
                STANDARDS.iter().any(is_restricted_one),
                rule.replaced,
                "{}",
                rule.control.id()
            );
        }
    }
}
