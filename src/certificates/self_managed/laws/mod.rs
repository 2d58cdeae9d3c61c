//! Many replicas in a world of faults, in simulated time: what holds for every
//! one of their histories.

mod world;

use proptest::prelude::*;
use world::{DAY, OVERLAP, REPLICAS, World};

/// What may happen.
#[derive(Debug, Clone)]
enum Happening {
    /// Time passes.
    Pass(u64),
    /// A replica gets on with its round by one read or write.
    Act(usize),
    /// A write of a replica's comes to nothing, or it never learns that it
    /// came to something.
    Lose(usize, bool),
    /// A replica is another process, which remembers nothing.
    Restart(usize),
    /// A replica's time of day is this many seconds off.
    Jump(usize, i64),
    /// Somebody asks for a new authority.
    Rotate,
    /// The Secret is deleted.
    Delete,
    /// An old copy of the Secret takes its place.
    Revert(proptest::sample::Index),
    /// A configuration is installed, if it is not, without a `caBundle`.
    Install(usize),
    /// Somebody has a configuration trust another authority, and that alone.
    Edit(usize),
    /// A configuration is deleted.
    Uninstall(usize),
}

/// Happenings under which nothing may fail, with clocks off by this much.
fn happenings(off: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Happening>> {
    let replica = 0..REPLICAS;
    let one = prop_oneof![
        8 => (0..OVERLAP.as_secs() / 4).prop_map(Happening::Pass),
        24 => replica.clone().prop_map(Happening::Act),
        1 => (replica.clone(), any::<bool>()).prop_map(|(r, w)| Happening::Lose(r, w)),
        1 => replica.clone().prop_map(Happening::Restart),
        1 => (replica, off).prop_map(|(r, off)| Happening::Jump(r, off)),
        2 => Just(Happening::Rotate),
        1 => Just(Happening::Delete),
        1 => any::<proptest::sample::Index>().prop_map(Happening::Revert),
        1 => (0..2_usize).prop_map(Happening::Install),
        2 => (0..2_usize).prop_map(Happening::Edit),
        1 => (0..2_usize).prop_map(Happening::Uninstall),
    ];
    proptest::collection::vec(one, 0..240)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The clocks are off by anything that leaves the first leaf valid.
    #[test]
    fn what_is_served_has_been_trusted_for_the_waiting_time(
        happenings in happenings(-20 * 60 * 60..29 * DAY)
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
            world.check();
        }
        world.calm_down(World::check);
        world.assert_settled();
    }

    /// By clocks that are off by years everything has expired, or is not yet
    /// valid; what is made by them is of use to those whose clock is right.
    #[test]
    fn all_comes_right_after_any_jump(happenings in happenings(-900 * DAY..900 * DAY)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        world.calm_down(|_| ());
        world.assert_settled();
    }
}
