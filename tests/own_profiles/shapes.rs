//! Every kind of runner with every profile at every level: a pod that is what
//! the profile says, or a denial that names what cannot be.

use std::collections::BTreeMap;

use podseal::admission::policy::{Namespace, PROFILE, Settings};
use podseal::admission::profile::Profiles;
use podseal::admission::profile::files::{ProfileFile, read};
use podseal::admission::request::Request;
use podseal::admission::review::{Allowed, Outcome, correct};
use serde_json::Value;

use crate::support::view::View;
use crate::{CLUSTER, support, without_namespace};

const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];

/// What becomes of the pod: `stored`; `CONTAINER/FIELD`, where the correction
/// cannot be; or `CONTAINER:CONTROL,CONTROL` for all that the level forbids.
fn outcome(namespace: &str, name: &str, answer: &(u16, Value)) -> String {
    let (code, answer) = answer;
    if *code == 201 {
        return "stored".to_owned();
    }
    let message = answer["message"].as_str().unwrap_or_default();
    let told = message
        .strip_prefix("admission webhook \"")
        .and_then(|rest| rest.split_once(".podseal.io\" denied the request: "));
    let Some((webhook, told)) = told else {
        panic!("{namespace}: {answer:#}")
    };
    if webhook == "mutate" {
        let (place, rest) = told.split_once(", ").expect("a place");
        let (field, _) = rest.split_once(": ").expect("a field");
        return format!("{place}/{field}");
    }
    let record = CLUSTER.podseal.decision_on("validate", name);
    let mut by_container: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for violation in record["violations"].as_array().expect("violations") {
        let container = violation["container"].as_str().unwrap_or("pod").to_owned();
        let control = violation["control"].as_str().expect("a control");
        let controls = by_container.entry(container).or_default();
        if !controls.contains(&control.to_owned()) {
            controls.push(control.to_owned());
        }
    }
    let cells = by_container
        .iter()
        .map(|(container, controls)| format!("{container}:{}", controls.join(",")));
    cells.collect::<Vec<_>>().join(" ")
}

#[test]
fn dump() {
    let mut all: Vec<String> = Profiles::built_in().iter().map(|p| p.name.clone()).collect();
    all.extend(["rootless-apparmor","rootless-unconfined","buildah-chroot","dind-service","home-in-memory","openshift-nested","rootless-seccomp"].map(str::to_owned));
    let start = std::time::Instant::now();
    for profile in all {
        println!("== {profile}");
        for shape in ["default-with-service","privileged-nonroot","privileged-with-service","root-fuse","legacy-exec","umask-collector","honor-entrypoint","native-steps","suspendable","windows"] {
            let mut row = Vec::new();
            for level in LEVELS {
                let namespace = CLUSTER.namespace(Some(&profile), level);
                let mut pod = without_namespace(support::pod(shape));
                let name = format!("{shape}-{profile}-{level}");
                pod["metadata"]["name"] = name.as_str().into();
                let answer = CLUSTER.plane.try_pod(&namespace, &pod);
                row.push(outcome(&namespace, &name, &answer));
            }
            println!("{shape} | {}", row.join(" | "));
        }
    }
    println!("{:?}", start.elapsed());
}
