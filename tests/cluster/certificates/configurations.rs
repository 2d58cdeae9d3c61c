//! The `caBundle` of podseal's own two configurations, and nothing else of them.

use std::time::Instant;

use podseal::metrics::certificates::Upkeep;
use support::controlplane::await_condition;

use crate::certificates::site::Site;

/// An authority that is not the Secret's.
fn stranger() -> String {
    let names = ["stranger".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    made.cert.pem()
}

#[test]
fn a_configuration_that_is_not_installed_is_not_created() {
    let site = Site::new("away");
    let replica = site.replica();
    let leaf = replica.await_leaf();
    site.await_rounds(&replica);
    assert!(site.configuration("mutating").is_none());
    assert!(site.configuration("validating").is_none());
    site.install_one("validating");
    site.await_trusted(1);
    assert_eq!(site.handshake(&replica), Ok(()));
    assert!(site.configuration("mutating").is_none());
    site.uninstall("validating");
    site.await_rounds(&replica);
    assert!(site.configuration("validating").is_none());
    site.install();
    site.await_trusted(1);
    assert_eq!(site.trusted().len(), 4);
    assert_eq!(replica.served(), Some(leaf));
    assert_eq!(replica.status.count(Upkeep::Failure), 0);
}

#[test]
fn another_authority_in_a_configuration_is_removed_after_a_while_and_ours_is_there_at_once() {
    let site = Site::new("stranger");
    site.install();
    let replica = site.replica();
    replica.await_leaf();
    site.await_trusted(1);
    let set = Instant::now();
    site.set_bundle("mutating", &stranger());
    let gets_through = || site.handshake(&replica).is_ok();
    await_condition("an API server gets through", gets_through, String::new);
    let sizes: Vec<_> = site.trusted().iter().map(Vec::len).collect();
    if set.elapsed() < site.overlap {
        assert_eq!(sizes, [2, 1, 1, 1], "its server can still be reached");
    }
    site.await_trusted(1);
    assert!(set.elapsed() >= site.overlap);
}

#[test]
fn an_invalid_bundle_is_replaced() {
    let site = Site::new("garbage");
    site.install();
    let replica = site.replica();
    replica.await_leaf();
    site.await_trusted(1);
    for garbage in [
        "",
        "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
    ] {
        site.set_bundle("validating", garbage);
        let gets_through = || site.handshake(&replica).is_ok();
        await_condition("an API server gets through", gets_through, || {
            garbage.to_owned()
        });
    }
}

#[test]
fn nothing_else_of_a_configuration_is_changed() {
    let site = Site::new("touched");
    site.install();
    let strip = |kind| {
        let mut object = site.configuration(kind).expect("it is installed");
        for webhook in object["webhooks"].as_array_mut().expect("webhooks") {
            let client = webhook["clientConfig"].as_object_mut();
            client.expect("a client").remove("caBundle");
        }
        object["webhooks"].clone()
    };
    let before = (strip("mutating"), strip("validating"));
    let replica = site.replica();
    replica.await_leaf();
    site.await_trusted(1);
    assert_eq!((strip("mutating"), strip("validating")), before);
}
