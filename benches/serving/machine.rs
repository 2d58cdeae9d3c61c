//! What was measured, where and when.

use std::process::Command;

use procfs::Current;
use serde::Serialize;

use super::options;

/// The machine, the day and the program.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// How many processors.
    pub(crate) cores: usize,
    /// What they call themselves.
    pub(crate) processor: String,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Its version.
    pub(crate) kernel: String,
    /// The day, in UTC.
    pub(crate) date: String,
    /// podseal's commit, as it tells it itself.
    pub(crate) podseal: String,
    /// The same of the podseal that it is compared with.
    pub(crate) baseline: Option<String>,
    /// The load generator, as it tells it itself.
    pub(crate) oha: String,
    /// Whether the run was a short one, whose figures mean little.
    pub(crate) quick: bool,
}

impl Machine {
    /// This one, now.
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
            podseal: version(&mut Command::new(options::binary())),
            baseline: options::baseline().map(|binary| version(&mut Command::new(binary))),
            oha: version(&mut super::load::oha()),
            quick,
        }
    }

    /// All of it as one line.
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
            " A short run: its figures mean little."
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
