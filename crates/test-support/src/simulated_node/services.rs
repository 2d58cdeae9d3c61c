//! The controller of endpoints, and the addresses of Services.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Api, Trouble, is_leaving, is_ready, name};
use super::kubelet::Kubelet;
use crate::balancer::Balancer;

/// How long calls still reach a pod that is stopping: endpoints learn of it later
/// than the pod does.
const LAG: Duration = Duration::from_millis(400);

pub(super) struct Services {
    api: Api,
    /// By the port of a Service.
    ports: BTreeMap<u16, Port>,
}

/// A port of this host that is a Service's.
struct Port {
    balancers: Vec<Balancer>,
    /// Where it leads, and until when if no longer.
    endpoints: BTreeMap<SocketAddr, Option<Instant>>,
}

impl Services {
    pub(super) fn new(api: Api) -> Services {
        Services {
            api,
            ports: BTreeMap::new(),
        }
    }

    /// Leads every Service that selects pods to those that are ready.
    pub(super) fn turn(&mut self, pods: &[Value], kubelet: &Kubelet) -> Result<(), Trouble> {
        let services = self.api.list("/api/v1", "services")?;
        let mut seen = Vec::new();
        for service in &services {
            let Some(selector) = service["spec"]["selector"].as_object() else {
                continue;
            };
            if service["spec"]["type"] != "ExternalName" {
                let patch = json!({"spec": {"type": "ExternalName", "externalName": "localhost"}});
                let object = format!("services/{}", name(service));
                self.api.patch("/api/v1", &object, &patch)?;
            }
            let has = |pod: &&Value| {
                let labels = &pod["metadata"]["labels"];
                selector.iter().all(|(key, value)| labels[key] == *value)
            };
            let ready = pods.iter().filter(has).filter(|pod| is_ready(pod));
            let ready: Vec<_> = ready.filter(|pod| !is_leaving(pod)).collect();
            for port in service["spec"]["ports"].as_array().into_iter().flatten() {
                let number = port["port"]
                    .as_u64()
                    .and_then(|port| u16::try_from(port).ok());
                let number = number.expect("the API server has checked it");
                let target = |pod: &&Value| kubelet.address(pod, &port["targetPort"]);
                let endpoints: Vec<_> = ready
                    .iter()
                    .copied()
                    .filter_map(|pod| target(&pod))
                    .collect();
                self.lead(number, &endpoints)?;
                seen.push(number);
            }
        }
        self.ports.retain(|port, _| seen.contains(port));
        Ok(())
    }

    fn lead(&mut self, number: u16, endpoints: &[SocketAddr]) -> Result<(), Trouble> {
        let port = match self.ports.entry(number) {
            std::collections::btree_map::Entry::Occupied(port) => port.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert(Port::open(number)?),
        };
        port.lead_to(endpoints);
        Ok(())
    }
}

impl Port {
    fn open(number: u16) -> Result<Port, Trouble> {
        let mut balancers = Vec::new();
        // `localhost` is either.
        for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            match Balancer::at(SocketAddr::new(address, number)) {
                Ok(balancer) => balancers.push(balancer),
                Err(error) if error.kind() == ErrorKind::AddrInUse || balancers.is_empty() => {
                    return Err(Trouble::Wrong(format!(
                        "the Service's port {number} cannot be had on this host: {error}"
                    )));
                }
                // No IPv6 here.
                Err(_) => (),
            }
        }
        Ok(Port {
            balancers,
            endpoints: BTreeMap::new(),
        })
    }

    fn lead_to(&mut self, endpoints: &[SocketAddr]) {
        let now = Instant::now();
        for (address, end) in &mut self.endpoints {
            match endpoints.contains(address) {
                true => *end = None,
                // The balancer minds it: on a busy machine this is not called in time.
                false => *end = end.or(Some(now + LAG)),
            }
        }
        self.endpoints
            .extend(endpoints.iter().map(|address| (*address, None)));
        self.endpoints
            .retain(|_, end| end.is_none_or(|end| end > now));
        let all: Vec<_> = self
            .endpoints
            .iter()
            .map(|(address, end)| (*address, *end))
            .collect();
        for balancer in &self.balancers {
            balancer.set(all.clone());
        }
    }
}
