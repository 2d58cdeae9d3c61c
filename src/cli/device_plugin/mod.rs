//! `podseal device-plugin`: offers a node's `/dev/fuse` to its containers.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::args::listen::{address, listen};
use super::args::log::LogArgs;
use super::signals::Signals;
use crate::device_plugin::device::Device;
use crate::device_plugin::device_watch::DeviceWatch;
use crate::device_plugin::registration::Registration;
use crate::device_plugin::resource::{DeviceIds, ResourceName};
use crate::device_plugin::service::PluginService;
use crate::device_plugin::status::{self, PluginStatus};
use crate::health::port;
use crate::metrics::device_plugin::DevicePluginMetrics;

pub(super) const LONG_ABOUT: &str = "\
Offer a node's /dev/fuse to its containers, as an extended resource of the node. A container that \
requests the resource gets the device, without any other privilege. The profile root-fuse requests \
github.com/fuse.

podseal is then a device plugin of the kubelet (API v1beta1). It must run on each node that offers \
the device, as root, since the kubelet's folder belongs to root, but it needs no capability. The \
chart's DaemonSet runs it: set devicePlugin.enabled=true.

The resource is available while the node has /dev/fuse, which comes with the kernel module fuse. \
While it does not, the node has 0 of the resource, and the log says why. Containers that have the \
device keep it when podseal or the kubelet restarts.

Status: /livez, /readyz (/readyz?verbose lists its check, and what is wrong with the device) and \
/metrics are served over plain HTTP.

Exit code: 0 after SIGTERM or SIGINT (Ctrl-C), 2 when an argument or a folder cannot be used.";

const EXAMPLES: &str = "\
Examples:
  # Offer /dev/fuse of this node, as root
  podseal device-plugin

  # Let at most eight containers have it at the same time, under another name
  podseal device-plugin --resource example.com/fuse --count 8

  # In a container, which has the node's /dev at /node/dev
  podseal device-plugin --node-dev /node/dev

  # Show whether the kubelet knows the plugin
  curl 'http://localhost:8080/readyz?verbose'";

/// The most devices, as in the chart's schema: the kubelet gets a list of all of them.
const MOST: u32 = 10_000;

/// Arguments of `podseal device-plugin`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DevicePluginArgs {
    /// Name of the extended resource, as DOMAIN/NAME
    #[arg(long, value_name = "NAME", default_value = "github.com/fuse")]
    resource: ResourceName,
    /// How many containers of the node can have the device at the same time
    ///
    /// They share it, so the number only has to be large enough. At most 10000.
    #[arg(long, value_name = "NUMBER", default_value = "64", value_parser = count)]
    count: NonZeroU32,
    /// Folder of the kubelet's and its device plugins' sockets
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/kubelet/device-plugins"
    )]
    kubelet_dir: PathBuf,
    /// Folder that shows the node's /dev
    ///
    /// podseal only looks at the device, and never opens it.
    #[arg(long, value_name = "DIR", default_value = "/dev")]
    node_dev: PathBuf,
    /// Address and port of /livez, /readyz and /metrics, over plain HTTP
    ///
    /// Port 0 selects a free port and logs it.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080", value_parser = address)]
    status_listen: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
}

fn count(text: &str) -> Result<NonZeroU32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &NonZeroU32| number.get() <= MOST);
    number.ok_or_else(|| format!("must be a number from 1 to {MOST}"))
}

/// Runs the command.
pub fn run(args: DevicePluginArgs) -> anyhow::Result<ExitCode> {
    let _log = args.log.start();
    // One thread: a node has one kubelet.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: DevicePluginArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let metrics = Arc::new(DevicePluginMetrics::default());
    let device = Device::of(&args.node_dev).map_err(|error| {
        let folder = args.node_dev.display();
        anyhow!("cannot read --node-dev {folder}: {error}; set it to where the node's /dev is")
    })?;
    let (device_watch, state) = DeviceWatch::start(device.clone(), Arc::clone(&metrics));
    let ids = DeviceIds::new(args.count);
    let service = PluginService::new(ids, device, state.clone(), Arc::clone(&metrics));
    let registration = Registration::new(
        &args.kubelet_dir,
        args.resource.clone(),
        service,
        Arc::clone(&metrics),
    );
    let registration = registration.map_err(|error| unusable_folder(&args, &error))?;
    let (status_listener, status_address) = listen(args.status_listen, "--status-listen").await?;
    tracing::info!(
        resource = %args.resource,
        count = args.count,
        %status_address,
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("PODSEAL_COMMIT"),
        "starting"
    );
    let status = PluginStatus {
        registered: registration.registered(),
        device: state,
        metrics,
    };
    tokio::spawn(port::serve(status_listener, status::router(status)));
    tokio::spawn(device_watch.follow());
    tokio::select! {
        error = registration.keep() => Err(unusable_folder(&args, &error)),
        signal = signals.next() => {
            tracing::info!("received {signal}; stopped");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn unusable_folder(args: &DevicePluginArgs, error: &std::io::Error) -> anyhow::Error {
    let folder = args.kubelet_dir.display();
    anyhow!(
        "cannot use --kubelet-dir {folder}: {error}; it must be the folder device-plugins of the \
         kubelet's --root-dir, and podseal must run as root"
    )
}
