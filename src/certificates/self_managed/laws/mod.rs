//! Properties of many replicas with faults, in simulated time.

mod world;

use proptest::prelude::*;
use world::{DAY, OVERLAP, REPLICAS, World};

/// An event.
#[derive(Debug, Clone)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// A replica makes the next read or write of its round.
    Act(usize),
    /// A write of a replica is lost, or its response is.
    Lose(usize, bool),
    /// A replica restarts and loses its memory.
    Restart(usize),
    /// A replica's time of day is wrong by this many seconds.
    Jump(usize, i64),
    /// An operator requests a new CA.
    Rotate,
    /// The Secret is deleted.
    Delete,
    /// The Secret is replaced by an old copy.
    Revert(proptest::sample::Index),
    /// A configuration is created without a `caBundle`, if it does not exist.
    Install(usize),
    /// A configuration is edited to trust only another CA.
    Edit(usize),
    /// A configuration is deleted.
    Uninstall(usize),
}

/// Events under which nothing may fail, with clocks wrong by up to this much.
fn events(off: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Event>> {
    let replica = 0..REPLICAS;
    let one = prop_oneof![
        8 => (0..OVERLAP.as_secs() / 4).prop_map(Event::Pass),
        24 => replica.clone().prop_map(Event::Act),
        1 => (replica.clone(), any::<bool>()).prop_map(|(r, w)| Event::Lose(r, w)),
        1 => replica.clone().prop_map(Event::Restart),
        1 => (replica, off).prop_map(|(r, off)| Event::Jump(r, off)),
        2 => Just(Event::Rotate),
        1 => Just(Event::Delete),
        1 => any::<proptest::sample::Index>().prop_map(Event::Revert),
        1 => (0..2_usize).prop_map(Event::Install),
        2 => (0..2_usize).prop_map(Event::Edit),
        1 => (0..2_usize).prop_map(Event::Uninstall),
    ];
    proptest::collection::vec(one, 0..240)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The clocks are wrong by any time in which the first leaf is valid.
    #[test]
    fn what_is_served_has_been_trusted_for_the_waiting_time(
        events in events(-20 * 60 * 60..29 * DAY)
    ) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
            world.check();
        }
        world.calm_down(World::check);
        world.assert_settled();
    }

    /// With clocks wrong by years, certificates are expired or not yet valid; new ones must
    /// still be valid for clients with correct clocks.
    #[test]
    fn all_comes_right_after_any_jump(events in events(-900 * DAY..900 * DAY)) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
        }
        world.calm_down(|_| ());
        world.assert_settled();
    }
}
