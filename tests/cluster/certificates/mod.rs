//! Certificates that podseal makes and keeps itself, in front of a real API
//! server. The replicas are podseal's own task, each with a clock of its own;
//! `rotation.rs` has the program as a whole.
//!
//! Each test has a site of its own: a namespace, and configurations by a name of
//! theirs.

mod clocks;
mod configurations;
mod damage;
mod replica;
mod rotation;
mod site;

use site::Site;

#[test]
fn replicas_that_start_at_once_on_an_empty_cluster_share_one_authority() {
    let site = Site::new("start");
    site.install();
    let replicas = [site.replica(), site.replica(), site.replica()];
    for replica in &replicas {
        replica.await_leaf();
    }
    site.await_trusted(1);
    let leaf = site.leaf();
    for replica in &replicas {
        replica.await_that("it serves the Secret's leaf", |served| *served == leaf);
        assert_eq!(site.handshake(replica), Ok(()));
        assert_eq!(replica.status.trusted().len(), 1);
    }
}

#[test]
fn a_replica_that_starts_later_serves_the_same_certificate() {
    let site = Site::new("later");
    site.install();
    let first = site.replica();
    let leaf = first.await_leaf();
    site.await_trusted(1);
    let later = site.replica();
    assert_eq!(later.await_leaf(), leaf);
    assert_eq!(site.handshake(&later), Ok(()));
}

#[test]
fn the_secret_is_usable_by_people_and_other_programs() {
    let site = Site::new("secret");
    let replica = site.replica();
    let leaf = replica.await_leaf();
    let secret = site.secret().expect("it has been made");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(
        secret["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "podseal"
    );
    let names = ["ca.crt", "ca.key", "tls.crt", "tls.key"];
    let data = secret["data"].as_object().expect("data");
    assert_eq!(data.keys().collect::<Vec<_>>(), names);
    assert_eq!(site.leaf(), leaf);
}

#[test]
fn a_secret_of_another_owner_is_not_changed() {
    let site = Site::new("foreign");
    let secret = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "podseal-tls", "namespace": site.namespace},
        "data": {"tls.crt": "eA==", "tls.key": "eA=="},
        "type": "kubernetes.io/tls",
    });
    site.create_secret(&secret);
    let replica = site.replica();
    replica.await_failures(2);
    assert_eq!(site.secret().expect("it is there")["data"], secret["data"]);
    assert!(replica.current.borrow().is_none(), "it serves nothing");
}

#[test]
fn an_empty_secret_is_filled() {
    let site = Site::new("empty");
    site.create_secret(&serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "podseal-tls", "namespace": site.namespace},
    }));
    let leaf = site.replica().await_leaf();
    assert_eq!(site.leaf(), leaf);
}
