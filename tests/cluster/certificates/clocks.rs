//! Certificates in time: old ones, and clocks that jump.

use support::controlplane::await_condition;

use crate::certificates::site::Site;

const DAY: i64 = 24 * 60 * 60;

#[test]
fn a_secret_whose_leaf_has_expired_gets_a_new_one_of_the_same_authority() {
    let site = Site::new("expired");
    site.install();
    let expired = site.left_behind(-60 * DAY);
    let bundle = site.bundle();
    let replica = site.replica();
    replica.await_that("it serves another leaf", |leaf| *leaf != expired);
    assert_eq!(site.handshake(&replica), Ok(()));
    assert_eq!(site.bundle(), bundle);
}

#[test]
fn a_secret_whose_authority_has_expired_is_replaced_at_once() {
    let site = Site::with_overlap("ancient", std::time::Duration::from_secs(3600));
    site.install();
    let ancient = site.left_behind(-800 * DAY);
    let replica = site.replica();
    replica.await_that("it serves another leaf", |leaf| *leaf != ancient);
    let gets_through = || site.handshake(&replica).is_ok();
    await_condition("an API server gets through", gets_through, String::new);
}

#[test]
fn a_clock_ahead_by_weeks_renews_the_leaf_and_nothing_more() {
    let site = Site::new("ahead");
    site.install();
    let replica = site.replica();
    let leaf = replica.await_leaf();
    site.await_trusted(1);
    let bundle = site.bundle();
    replica.jump(25 * DAY);
    site.wake();
    replica.await_that("the leaf is renewed", |renewed| *renewed != leaf);
    assert_eq!(site.handshake(&replica), Ok(()), "by a clock that is right");
    assert_eq!(site.bundle(), bundle);
}

#[test]
fn a_clock_ahead_by_months_does_not_cut_the_waiting_time_short() {
    let site = Site::with_overlap("hasty", std::time::Duration::from_secs(3600));
    site.install();
    let replica = site.replica();
    let leaf = replica.await_leaf();
    site.await_trusted(1);
    site.ask_to_rotate();
    site.await_trusted(2);
    site.await_note();
    // By its time of day the wait is over now.
    replica.jump(2 * DAY);
    site.await_rounds(&replica);
    assert_eq!(replica.served(), Some(leaf));
    assert_eq!(site.bundle().len(), 2);
    assert_eq!(site.handshake(&replica), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_changes_nothing_and_stops_no_rotation() {
    let site = Site::new("back");
    site.install();
    let replica = site.replica();
    let leaf = replica.await_leaf();
    site.await_trusted(1);
    let bundle = site.bundle();
    replica.jump(-20 * 60 * 60);
    site.await_rounds(&replica);
    assert_eq!(replica.served().as_ref(), Some(&leaf));
    assert_eq!(site.bundle(), bundle);
    site.ask_to_rotate();
    site.await_trusted(2);
    site.await_note();
    replica.jump(-22 * 60 * 60);
    site.wake();
    let is_over = || {
        assert_eq!(site.handshake(&replica), Ok(()));
        replica.served().is_some_and(|served| served != leaf) && site.bundle().len() == 1
    };
    await_condition("another authority is in use", is_over, String::new);
}
