//! Tests that load the machine, or measure the resources that podseal takes.
//!
//! A test that needs the machine for itself takes it by [`alone`]. The others
//! run side by side by [`shared`].

use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use support::controlplane::ControlPlane;

mod all_attacks;
mod churn;
mod crowded;
mod faults;
mod hostile_clients;
mod killed;
mod outages;

/// Serves all tests but those that stop it, give it flags or count what is in it.
static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);

static MACHINE: RwLock<()> = RwLock::new(());

/// Waits until no other test runs, and keeps the others waiting.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no test runs that needs the machine for itself.
fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}
