//! The signals to stop.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and Ctrl-C, each time one comes.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they come here, and no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// One that comes a second or more later: some tools send the same one twice,
    /// to the process and to its group.
    pub(super) async fn another(&mut self) {
        let at_once = tokio::time::sleep(Duration::from_secs(1));
        let mut at_once = std::pin::pin!(at_once);
        loop {
            tokio::select! {
                () = at_once.as_mut() => break,
                _ = self.next() => {}
            }
        }
        self.next().await;
    }

    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
