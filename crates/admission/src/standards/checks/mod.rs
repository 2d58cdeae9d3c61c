//! The controls, one file each, which begins with what it forbids.

pub(super) mod apparmor;
pub(super) mod capabilities;
pub(super) mod host_namespaces;
pub(super) mod host_ports;
pub(super) mod host_probes;
pub(super) mod host_process;
pub(super) mod privilege_escalation;
pub(super) mod privileged;
pub(super) mod proc_mount;
pub(super) mod run_as_non_root;
pub(super) mod run_as_user;
pub(super) mod seccomp;
pub(super) mod selinux;
pub(super) mod sysctls;
pub(super) mod volumes;
