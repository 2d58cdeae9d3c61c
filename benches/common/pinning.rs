//! A processor for the server and one for the load, so that neither waits for the other
//! and latency is the server's.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What runs on a processor of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    /// The server that is measured.
    Server,
    /// The load, and the reader of the server's log.
    Load,
}

impl Side {
    /// Its processor, if there are enough of those that this process may use.
    fn processor(self, usable: &CpuSet) -> Option<CpuSet> {
        let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| usable.is_set(*processor));
        let (server, load) = (processors.next()?, processors.next()?);
        let mut own = CpuSet::new();
        own.set(match self {
            Side::Server => server,
            Side::Load => load,
        });
        Some(own)
    }
}

/// Calls `start` on the side's processor. The processes and threads that it starts stay
/// there.
pub(crate) fn on<T>(side: Side, start: impl FnOnce() -> T) -> T {
    let usable = sched_getaffinity(None).expect("the kernel tells it");
    let Some(own) = side.processor(&usable) else {
        return start();
    };
    let pin = |processors| sched_setaffinity(None, processors).expect("they are this process's");
    pin(&own);
    let started = start();
    pin(&usable);
    started
}
