//! The signals that stop a command.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT (Ctrl-C), each time one arrives.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Handles the signals, which then no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: None,
        })
    }

    /// SIGHUP, too: the terminal of a command was closed, which has something to clean up.
    pub(super) fn and_hang_up(mut self) -> io::Result<Signals> {
        self.hang_up = Some(signal(SignalKind::hangup())?);
        Ok(self)
    }

    /// Waits for a signal a second or more from now: some tools send a signal twice,
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

    /// Waits for the next signal, and returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = hang_up => "SIGHUP",
        }
    }
}
