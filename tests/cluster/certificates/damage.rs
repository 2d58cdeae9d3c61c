//! What becomes of a Secret that is deleted, damaged, or an old copy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podseal::metrics::certificates::Upkeep;
use serde_json::{Value, json};
use support::controlplane::await_condition;

use crate::certificates::site::Site;

type Damage = (&'static str, fn(&mut Value));

/// Ways to damage a Secret that keep its keys, as its type demands.
const DAMAGES: [Damage; 8] = [
    ("the leaf's key is empty", |s| {
        s["data"]["tls.key"] = json!("")
    }),
    ("the leaf is no PEM", |s| {
        s["data"]["tls.crt"] = json!("eA==")
    }),
    ("the leaf is an authority's", |s| {
        s["data"]["tls.crt"] = s["data"]["ca.crt"].clone();
    }),
    ("the bundle is gone", |s| drop(remove(s, "ca.crt"))),
    ("the bundle is cut off", |s| {
        let whole = STANDARD.decode(s["data"]["ca.crt"].as_str().expect("text"));
        let whole = whole.expect("base64");
        s["data"]["ca.crt"] = STANDARD.encode(&whole[..whole.len() / 2]).into();
    }),
    ("the authority's key is gone", |s| drop(remove(s, "ca.key"))),
    ("the authority's key is the leaf's", |s| {
        s["data"]["ca.key"] = s["data"]["tls.key"].clone();
    }),
    ("the generation is no number", |s| {
        s["metadata"]["annotations"]["podseal.io/ca-generation"] = json!("many");
    }),
];

fn remove(secret: &mut Value, key: &str) -> Option<Value> {
    secret["data"].as_object_mut().expect("data").remove(key)
}

#[test]
fn a_deleted_secret_is_restored_and_nothing_else_changes() {
    let site = Site::new("deleted");
    site.install();
    let replicas = [site.replica(), site.replica()];
    let leaf = replicas.each_ref().map(|replica| replica.await_leaf());
    site.await_trusted(1);
    let (bundle, key) = (site.bundle(), site.data("ca.key"));
    site.delete_secret();
    await_condition(
        "there is a Secret again",
        || site.secret().is_some(),
        String::new,
    );
    assert_eq!((site.bundle(), site.data("ca.key")), (bundle, key));
    assert_eq!(site.leaf(), leaf[0]);
    for replica in &replicas {
        assert_eq!(replica.served().as_ref(), Some(&leaf[0]));
        assert_eq!(site.handshake(replica), Ok(()));
    }
}

#[test]
fn a_damaged_secret_is_repaired_from_memory_and_the_same_certificate_is_served() {
    let site = Site::new("damaged");
    site.install();
    let replica = site.replica();
    let leaf = replica.await_leaf();
    site.await_trusted(1);
    let data = site.secret().expect("a Secret")["data"].clone();
    for (what, damage) in DAMAGES {
        site.edit_secret(damage);
        let is_mended = || {
            let secret = site.secret().expect("it stays");
            let generation = &secret["metadata"]["annotations"]["podseal.io/ca-generation"];
            secret["data"] == data && generation == "1"
        };
        await_condition("the Secret is mended", is_mended, || what.to_owned());
        assert_eq!(replica.served().as_ref(), Some(&leaf), "{what}");
        assert_eq!(site.handshake(&replica), Ok(()), "{what}");
    }
    assert!(replica.status.count(Upkeep::Repair) >= DAMAGES.len() as u64);
    site.await_trusted(1);
}

#[test]
fn after_a_restart_an_intact_authority_key_issues_a_new_leaf_and_the_authority_stays() {
    let site = Site::new("salvaged");
    site.install();
    let leaf = site.left_behind(0);
    let bundle = site.bundle();
    site.edit_secret(|secret| secret["data"]["tls.key"] = json!(""));
    let replica = site.replica();
    let renewed = replica.await_leaf();
    assert_ne!(renewed, leaf);
    assert_eq!(site.bundle(), bundle);
    site.await_trusted(1);
    assert_eq!(site.handshake(&replica), Ok(()));
}

#[test]
fn after_a_restart_a_lost_authority_key_is_replaced_and_both_authorities_are_trusted() {
    let site = Site::new("keyless");
    site.install();
    let leaf = site.left_behind(0);
    let lost = site.bundle();
    site.edit_secret(|secret| drop(remove(secret, "ca.key")));
    let replica = site.replica();
    assert_eq!(replica.await_leaf(), leaf, "it can be served on");
    // From the first moment to the last an API server gets through.
    let is_over = || {
        assert_eq!(site.handshake(&replica), Ok(()));
        replica.served().is_some_and(|served| served != leaf) && site.bundle().len() == 1
    };
    await_condition("another authority is in use", is_over, String::new);
    assert!(!site.bundle().contains(&lost[0]));
    site.await_trusted(1);
}

#[test]
fn an_old_copy_of_the_secret_is_replaced_by_the_replicas_newer_state() {
    let site = Site::new("copy");
    site.install();
    let replica = site.replica();
    let first = replica.await_leaf();
    site.await_trusted(1);
    let copy = site.secret().expect("a Secret");
    site.ask_to_rotate();
    let second = replica.await_that("the leaf is another's", |leaf| *leaf != first);
    site.edit_secret(|secret| {
        secret["data"] = copy["data"].clone();
        secret["metadata"]["annotations"] = copy["metadata"]["annotations"].clone();
    });
    let is_back = || {
        assert_eq!(replica.served().as_ref(), Some(&second));
        assert_eq!(site.handshake(&replica), Ok(()));
        site.leaf() == second
    };
    await_condition("the newer Secret is back", is_back, String::new);
    site.await_trusted(1);
}
