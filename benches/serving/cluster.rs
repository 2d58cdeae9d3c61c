//! Measurements with a real API server: memory with many namespaces, and the time to
//! become ready.

use serde::Serialize;
use support::controlplane::{ControlPlane, PODSEAL};

use super::common::identity::Identity;
use super::common::program;
use super::common::say;
use super::common::server::{Memory, Server, time_to_ready};
use super::creation::{self, Creation};
use super::load::{Load, Protocol, Until};
use super::options::Effort;
use super::reviews::{self, NAMESPACE, Reviews};

/// The measurements with the API server.
#[derive(Debug, Serialize)]
pub(crate) struct WithCluster {
    /// The number of cached namespaces at the end.
    pub(crate) namespaces: usize,
    /// Milliseconds from start to ready, with one namespace.
    pub(crate) ready_ms: f64,
    /// Milliseconds from start to ready, with all namespaces.
    pub(crate) ready_with_all_ms: f64,
    /// Memory by the number of reviews.
    pub(crate) memory: Vec<(u64, Memory)>,
    /// The time to create a pod.
    pub(crate) creation: Creation,
}

/// Measures everything with one API server.
pub(crate) fn measure(effort: &Effort, identity: &Identity, reviews: &Reviews) -> WithCluster {
    say("with an API server");
    let plane = ControlPlane::start();
    plane.create_namespace(&reviews::namespace(NAMESPACE));
    say("the start");
    let ready_ms = time_to_ready(effort.starts, || podseal(&plane, identity));
    let creation = creation::measure(effort, &plane, identity, &podseal(&plane, identity));
    say(&format!("with {} namespaces", effort.namespaces));
    plane.create_namespaces(effort.namespaces - 1, |number| {
        reviews::namespace(&format!("team-{number}-pipelines"))
    });
    let ready_with_all_ms = time_to_ready(effort.starts, || podseal(&plane, identity));
    WithCluster {
        namespaces: effort.namespaces,
        ready_ms,
        ready_with_all_ms,
        memory: memory(effort, &plane, identity, reviews),
        creation,
    }
}

/// A podseal for the cluster.
fn podseal(plane: &ControlPlane, identity: &Identity) -> Server {
    let mut command = program::podseal(&program::binary(), identity);
    command.env("KUBECONFIG", plane.kubeconfig(PODSEAL));
    Server::start(&command)
}

/// The memory at the beginning and after each quarter of the reviews.
fn memory(
    effort: &Effort,
    plane: &ControlPlane,
    identity: &Identity,
    reviews: &Reviews,
) -> Vec<(u64, Memory)> {
    let server = podseal(plane, identity);
    server.await_ready();
    reviews.check(&server, identity);
    let load = |path, body, protocol| Load {
        server: &server,
        path,
        body,
        protocol,
    };
    let loads = [
        load("/mutate", reviews.mutate(), Protocol::Http1),
        load("/validate", reviews.validate(), Protocol::Http1),
        load("/mutate", reviews.mutate(), Protocol::Http2),
        load("/validate", reviews.validate(), Protocol::Http2),
    ];
    let mut memory = vec![(0, server.memory())];
    for quarter in 1..=4 {
        say(&format!(
            "the memory after quarter {quarter} of the reviews"
        ));
        for load in &loads {
            load.run(identity, Until::Requests(effort.reviews_in_memory / 16));
        }
        memory.push((effort.reviews_in_memory / 4 * quarter, server.memory()));
    }
    memory
}
