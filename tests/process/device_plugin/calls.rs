//! The kubelet's calls, and others'.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use device_plugin_api::v1beta1::{
    AllocateRequest, ContainerAllocateRequest, ContainerPreferredAllocationRequest, Empty,
    PreStartContainerRequest, PreferredAllocationRequest,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use support::block_on;
use support::scripted_kubelet::{Channel, ScriptedKubelet};
use tower_service::Service;

use super::{HEALTHY, running, with_device};

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn allocate(containers: &[&[&str]]) -> AllocateRequest {
    let container = |devices: &&[&str]| ContainerAllocateRequest {
        devices_ids: ids(devices),
    };
    AllocateRequest {
        container_requests: containers.iter().map(container).collect(),
    }
}

#[test]
fn each_container_gets_the_device_to_read_and_write() {
    let Some(folders) = with_device() else {
        return;
    };
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin(&["--count=3"]);
    kubelet.await_devices(3, HEALTHY);
    let request = allocate(&[&["fuse-0"], &["fuse-1", "fuse-2"]]);
    let response = block_on(kubelet.plugin().allocate(request)).expect("devices");
    let containers = response.into_inner().container_responses;
    assert_eq!(containers.len(), 2);
    for container in containers {
        let [device] = &container.devices[..] else {
            panic!("one: {container:?}");
        };
        assert_eq!(
            (
                &*device.host_path,
                &*device.container_path,
                &*device.permissions
            ),
            ("/dev/fuse", "/dev/fuse", "rw")
        );
    }
    assert_eq!(
        plugin.metric("allocations_total{outcome=\"allocated\"}"),
        Some(1.0)
    );
}

#[test]
fn an_unknown_id_is_refused_and_shown_in_bounds() {
    let (_folders, kubelet, plugin) = running(3);
    let hostile = format!("fuse-1\n\u{1b}[31m{}", "x".repeat(100_000));
    for id in ["fuse-3", "fuse-01", "", &hostile] {
        let refused = block_on(kubelet.plugin().allocate(allocate(&[&["fuse-0"], &[id]])));
        let refused = refused.expect_err("a refusal");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let message = refused.message();
        assert!(message.starts_with("unknown device ID \""), "{message}");
        assert!(
            message.len() < 400 && !message.contains(['\n', '\u{1b}']),
            "{message}"
        );
        let request = PreStartContainerRequest {
            devices_ids: ids(&[id]),
        };
        let refused = block_on(kubelet.plugin().pre_start_container(request));
        assert_eq!(
            refused.expect_err("a refusal").code(),
            tonic::Code::InvalidArgument
        );
    }
    assert_eq!(
        plugin.metric("allocations_total{outcome=\"refused\"}"),
        Some(4.0)
    );
    assert!(plugin.messages().iter().all(|line| line.len() < 1000));
}

#[test]
fn the_optional_calls_are_not_asked_for_and_answered_all_the_same() {
    let (_folders, kubelet, _plugin) = running(4);
    let mut client = kubelet.plugin();
    let options = block_on(client.get_device_plugin_options(Empty {})).expect("options");
    let options = options.into_inner();
    assert!(!options.pre_start_required && !options.get_preferred_allocation_available);
    let request = PreStartContainerRequest {
        devices_ids: ids(&["fuse-0"]),
    };
    block_on(client.pre_start_container(request)).expect("it is ready");

    let mut prefer = |available: &[&str], must: &[&str], allocation_size| {
        let container = ContainerPreferredAllocationRequest {
            available_device_i_ds: ids(available),
            must_include_device_i_ds: ids(must),
            allocation_size,
        };
        let request = PreferredAllocationRequest {
            container_requests: vec![container],
        };
        let response = block_on(client.get_preferred_allocation(request))?;
        let mut containers = response.into_inner().container_responses;
        Ok::<_, tonic::Status>(containers.remove(0).device_i_ds)
    };
    let all = ["fuse-0", "fuse-1", "fuse-2", "fuse-3"];
    let chosen = prefer(&all, &["fuse-2"], 2).expect("a choice");
    assert_eq!(chosen, ["fuse-2", "fuse-0"]);
    let chosen = prefer(&all, &all, 4).expect("a choice");
    assert_eq!(chosen, all);
    for (available, must, size) in [
        (&all[..2], &all[..0], 3),
        (&all[..], &all[..3], 2),
        (&all[..], &all[..1], -1),
        (&["gpu-0"][..], &all[..0], 1),
    ] {
        let refused = prefer(available, must, size).expect_err("a refusal");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{size}");
    }
}

#[test]
fn a_message_that_cannot_be_decoded_is_refused_and_the_next_is_answered() {
    let (folders, kubelet, plugin) = running(2);
    let endpoint = kubelet.registrations().remove(0).endpoint;
    let path = folders.kubelet().join(endpoint);
    for (method, message) in [
        // A field that ends early, one that is longer than the message, and no UTF-8.
        ("Allocate", &[0, 0, 0, 0, 2, 0x0a, 0x7f][..]),
        (
            "Allocate",
            &[0, 0, 0, 0, 6, 0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe],
        ),
        ("Allocate", &[0, 0xff, 0xff, 0xff, 0xff]),
        ("PreStartContainer", &[7, 0, 0, 0, 0]),
        ("Unknown", &[0, 0, 0, 0, 0]),
    ] {
        let refused = block_on(async {
            let body = Full::new(Bytes::copy_from_slice(message));
            let uri = format!("http://localhost/v1beta1.DevicePlugin/{method}");
            let request = http::Request::post(uri).header("content-type", "application/grpc");
            let request = request
                .body(tonic::body::Body::new(body))
                .expect("a request");
            let mut channel = Channel::to(&path).await.expect("the socket listens");
            let response = channel.call(request).await.expect("an answer");
            let header = response.headers().get("grpc-status").cloned();
            let trailers = response.into_body().collect().await.expect("a body");
            let trailer = trailers
                .trailers()
                .and_then(|all| all.get("grpc-status"))
                .cloned();
            header.or(trailer).expect("a status")
        });
        assert_ne!(refused, "0", "{method} {message:?}");
    }
    block_on(kubelet.plugin().get_device_plugin_options(Empty {})).expect("an answer");
    plugin.await_metric("registered", 1.0);
}

#[test]
fn garbage_and_idle_connections_at_the_socket_do_not_keep_the_kubelet_from_it() {
    let (folders, kubelet, plugin) = running(2);
    let endpoint = kubelet.registrations().remove(0).endpoint;
    let path = folders.kubelet().join(endpoint);
    let connect = || UnixStream::connect(&path).expect("the socket listens");
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 70_000],
        // The preface of HTTP/2, and a frame that is longer than allowed.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    ] {
        let mut stream = connect();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        // It may close the connection before all is sent.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        // Closed, or reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 1000, "{answer:?}");
    }
    let idle: Vec<_> = (0..40).map(|_| connect()).collect();
    plugin.await_message("cannot accept a connection to the plugin's socket");
    block_on(kubelet.plugin().get_device_plugin_options(Empty {})).expect("an answer");
    drop(idle);
    plugin.await_metric("registered", 1.0);
    assert_eq!(kubelet.registrations().len(), 1);
}
