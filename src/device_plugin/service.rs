//! The kubelet's calls, and the answers.

use std::pin::Pin;
use std::sync::Arc;

use device_plugin_api::v1beta1::device_plugin_server::DevicePlugin;
use device_plugin_api::v1beta1::{
    AllocateRequest, AllocateResponse, ContainerAllocateResponse,
    ContainerPreferredAllocationRequest, ContainerPreferredAllocationResponse, Device as ApiDevice,
    DevicePluginOptions, DeviceSpec, Empty, ListAndWatchResponse, PreStartContainerRequest,
    PreStartContainerResponse, PreferredAllocationRequest, PreferredAllocationResponse,
};
use device_plugin_api::{HEALTHY, UNHEALTHY};
use futures::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::device::{Device, DeviceState, PATH};
use super::resource::DeviceIds;
use crate::metrics::device_plugin::{AllocationOutcome, DevicePluginMetrics};
use admission::text::quoted;

/// What a container may do with the device: not create it.
const PERMISSIONS: &str = "rw";

/// Answers the kubelet's calls. Clones share their streams.
#[derive(Clone)]
pub struct PluginService {
    ids: DeviceIds,
    device: Device,
    state: watch::Receiver<DeviceState>,
    /// How many streams of devices are open. The kubelet has one.
    watching: Arc<watch::Sender<usize>>,
    metrics: Arc<DevicePluginMetrics>,
}

impl PluginService {
    /// The service of a plugin with these devices, whose state changes to that of `state`.
    pub fn new(
        ids: DeviceIds,
        device: Device,
        state: watch::Receiver<DeviceState>,
        metrics: Arc<DevicePluginMetrics>,
    ) -> PluginService {
        PluginService {
            ids,
            device,
            state,
            watching: Arc::default(),
            metrics,
        }
    }

    /// The same service at a new socket, whose streams are counted by themselves.
    pub(super) fn at_new_socket(&self) -> PluginService {
        PluginService {
            watching: Arc::default(),
            ..self.clone()
        }
    }

    /// How many streams of devices are open.
    pub(super) fn watching(&self) -> watch::Receiver<usize> {
        self.watching.subscribe()
    }

    fn devices(&self, state: DeviceState) -> ListAndWatchResponse {
        let health = if state.is_present() {
            HEALTHY
        } else {
            UNHEALTHY
        };
        let device = |id| ApiDevice {
            id,
            health: health.to_owned(),
        };
        ListAndWatchResponse {
            devices: self.ids.all().map(device).collect(),
        }
    }

    /// Whether all of `ids` are the plugin's.
    fn know<'i>(&self, ids: impl IntoIterator<Item = &'i String>) -> Result<(), Status> {
        match ids.into_iter().find(|id| !self.ids.contains(id)) {
            None => Ok(()),
            Some(id) => Err(Status::invalid_argument(format!(
                "unknown device ID {}; the IDs are those that ListAndWatch lists",
                quoted(id)
            ))),
        }
    }

    fn allocate_all(&self, request: &AllocateRequest) -> Result<AllocateResponse, Status> {
        let containers = &request.container_requests;
        self.know(
            containers
                .iter()
                .flat_map(|container| &container.devices_ids),
        )?;
        // The last reported state may be a moment old, and the runtime's error would not say
        // what to do.
        let state = self.device.state();
        if !state.is_present() {
            return Err(Status::failed_precondition(state.to_string()));
        }
        let container = |_| ContainerAllocateResponse {
            devices: vec![DeviceSpec {
                container_path: PATH.to_owned(),
                host_path: PATH.to_owned(),
                permissions: PERMISSIONS.to_owned(),
            }],
        };
        Ok(AllocateResponse {
            container_responses: containers.iter().map(container).collect(),
        })
    }

    /// The first of the available IDs, after those that must be included.
    fn prefer(
        &self,
        request: &ContainerPreferredAllocationRequest,
    ) -> Result<ContainerPreferredAllocationResponse, Status> {
        let (must, available) = (
            &request.must_include_device_i_ds,
            &request.available_device_i_ds,
        );
        self.know(must.iter().chain(available))?;
        let others = available.iter().filter(|id| !must.contains(id));
        let size = usize::try_from(request.allocation_size).unwrap_or(0);
        let device_i_ds: Vec<_> = must.iter().chain(others).take(size).cloned().collect();
        if must.len() > size || device_i_ds.len() < size {
            return Err(Status::invalid_argument(format!(
                "cannot choose {} of {} available device IDs, {} of which must be included",
                request.allocation_size,
                available.len(),
                must.len()
            )));
        }
        Ok(ContainerPreferredAllocationResponse { device_i_ds })
    }
}

#[tonic::async_trait]
impl DevicePlugin for PluginService {
    type ListAndWatchStream =
        Pin<Box<dyn Stream<Item = Result<ListAndWatchResponse, Status>> + Send>>;

    /// The devices are all alike and need no preparation.
    async fn get_device_plugin_options(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<DevicePluginOptions>, Status> {
        Ok(Response::new(DevicePluginOptions::default()))
    }

    async fn list_and_watch(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let mut state = self.state.clone();
        state.mark_changed();
        let watching = Watching::begin(&self.watching);
        let start = (self.clone(), state, None, watching);
        let stream =
            futures::stream::unfold(start, async |(service, mut state, last, watching)| {
                loop {
                    // An error means that podseal is shutting down.
                    state.changed().await.ok()?;
                    let now = *state.borrow_and_update();
                    // Of a change from one problem to another, the kubelet would learn nothing.
                    if last != Some(now.is_present()) {
                        let devices = service.devices(now);
                        let next = (service, state, Some(now.is_present()), watching);
                        return Some((Ok(devices), next));
                    }
                }
            });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_preferred_allocation(
        &self,
        request: Request<PreferredAllocationRequest>,
    ) -> Result<Response<PreferredAllocationResponse>, Status> {
        let containers = &request.get_ref().container_requests;
        let responses: Result<_, _> = containers.iter().map(|one| self.prefer(one)).collect();
        Ok(Response::new(PreferredAllocationResponse {
            container_responses: responses?,
        }))
    }

    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let response = self.allocate_all(request.get_ref());
        let outcome = match &response {
            Ok(_) => AllocationOutcome::Allocated,
            Err(status) => {
                tracing::warn!(error = status.message(), "refused an allocation");
                AllocationOutcome::Refused
            }
        };
        self.metrics.allocation_ended(outcome);
        response.map(Response::new)
    }

    async fn pre_start_container(
        &self,
        request: Request<PreStartContainerRequest>,
    ) -> Result<Response<PreStartContainerResponse>, Status> {
        self.know(&request.get_ref().devices_ids)?;
        Ok(Response::new(PreStartContainerResponse {}))
    }
}

/// Counts a stream of devices for as long as it is open.
struct Watching(Arc<watch::Sender<usize>>);

impl Watching {
    fn begin(streams: &Arc<watch::Sender<usize>>) -> Watching {
        streams.send_modify(|open| *open += 1);
        Watching(Arc::clone(streams))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
