//! Metrics of the process, under the names that all exporters use.
//!
//! Read from `/proc` at each scrape, except the start time. A value that cannot be
//! read is left out.

use std::fmt;

use procfs::WithCurrentSystemInfo;
use procfs::process::{LimitValue, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::{EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Reads this process.
#[derive(Debug)]
pub(super) struct ThisProcess {
    /// In seconds since the Unix epoch. Read once: the kernel computes its boot time
    /// from the current clock, and an alert treats each change as a restart.
    start: Option<f64>,
}

impl ThisProcess {
    pub(super) fn new() -> ThisProcess {
        let stat = Process::myself().and_then(|process| process.stat());
        let start = stat.and_then(|stat| {
            let since_boot = stat.starttime as f64 / procfs::ticks_per_second() as f64;
            Ok(procfs::boot_time_secs()? as f64 + since_boot)
        });
        ThisProcess { start: start.ok() }
    }
}

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(process) = Process::myself() else {
            return Ok(());
        };
        if let Ok(stat) = process.stat() {
            let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
            let help = "User and system CPU time";
            let kind = MetricType::Counter;
            encoder
                .encode_descriptor("process_cpu_seconds", help, None, kind)?
                .encode_counter::<NoLabelSet, _, u64>(&cpu, None)?;
            let memory = [
                (
                    "process_resident_memory_bytes",
                    "Resident memory",
                    stat.rss_bytes().get(),
                ),
                ("process_virtual_memory_bytes", "Virtual memory", stat.vsize),
            ];
            for (name, help, bytes) in memory {
                gauge(&mut encoder, name, help, &bytes)?;
            }
        }
        if let Some(start) = self.start {
            let help = "Start time of the process since the Unix epoch";
            gauge(&mut encoder, "process_start_time_seconds", help, &start)?;
        }
        if let Ok(open) = process.fd_count() {
            let help = "Open file descriptors";
            gauge(&mut encoder, "process_open_fds", help, &(open as u64))?;
        }
        let limits = process.limits();
        if let Ok(LimitValue::Value(most)) = limits.map(|limits| limits.max_open_files.soft_limit) {
            let help = "Maximum number of open file descriptors";
            gauge(&mut encoder, "process_max_fds", help, &most)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeGaugeValue,
) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(value)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_start_time_is_read_once() {
        let mut process = ThisProcess::new();
        assert!(process.start > Some(1_000_000_000.0), "{process:?}");
        process.start = Some(1.5);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
        assert!(
            text.contains("\nprocess_start_time_seconds 1.5\n"),
            "{text}"
        );
    }
}
