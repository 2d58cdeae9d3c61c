//! The machine, the date and the programs.

use std::process::Command;

use procfs::Current;
use serde::Serialize;

use super::common::program;

/// The machine, the date and the programs.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The number of processors.
    pub(crate) cores: usize,
    /// Their model.
    pub(crate) processor: String,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Its version.
    pub(crate) kernel: String,
    /// The day, in UTC.
    pub(crate) date: String,
    /// podseal's version and commit.
    pub(crate) podseal: String,
    /// The version and commit of the baseline.
    pub(crate) baseline: Option<String>,
    /// The version of the load generator.
    pub(crate) oha: String,
    /// Whether the run was short, and its figures not reliable.
    pub(crate) quick: bool,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn this(quick: bool) -> Machine {
        let processors = procfs::CpuInfo::current().expect("the kernel tells its processors");
        let memory = procfs::Meminfo::current().expect("the kernel tells its memory");
        let kernel = procfs::sys::kernel::Version::current().expect("the kernel tells its version");
        Machine {
            cores: processors.num_cores(),
            processor: processors.model_name(0).unwrap_or("unknown").to_owned(),
            memory: memory.mem_total,
            kernel: format!("{}.{}.{}", kernel.major, kernel.minor, kernel.patch),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            podseal: version(&mut Command::new(program::binary())),
            baseline: program::baseline().map(|binary| version(&mut Command::new(binary))),
            oha: version(&mut super::load::oha()),
            quick,
        }
    }

    /// Everything as one line.
    pub(crate) fn line(&self) -> String {
        let Machine {
            cores,
            processor,
            memory,
            kernel,
            date,
            podseal,
            baseline,
            oha,
            quick,
        } = self;
        let baseline = baseline.as_ref().map(|it| format!(" against {it}"));
        let baseline = baseline.unwrap_or_default();
        let gib = *memory as f64 / f64::from(1 << 30);
        let short = if *quick {
            " A short run: its figures are not reliable."
        } else {
            ""
        };
        format!(
            "{date}, {cores} cores ({processor}), {gib:.0} GiB, Linux {kernel}; {podseal}{baseline}, {oha}.{short}"
        )
    }
}

fn version(command: &mut Command) -> String {
    let output = command.arg("--version").output();
    let output = output.expect("the program can be started");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
