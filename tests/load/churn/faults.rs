//! What fails, and how often.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::cluster::Cluster;

/// One kind of fault. All kinds run side by side, each at its own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A new certificate.
    Certificate = 1,
    /// A new user in the profile, or one time in four a file that is broken for a while.
    Profile,
    /// A replica is killed, or one time in two restarted gracefully; another follows.
    Replica,
    /// All connections of a replica to the API server break, or one time in three they hang.
    Watch,
    /// The API server crashes.
    ApiServer,
}

impl Fault {
    pub(crate) const ALL: [Fault; 5] = [
        Fault::Certificate,
        Fault::Profile,
        Fault::Replica,
        Fault::Watch,
        Fault::ApiServer,
    ];

    /// Milliseconds from the end of one to the next. Some replicas live long enough to meet
    /// several of the others.
    fn pauses(self) -> Range<u64> {
        match self {
            Fault::Certificate | Fault::Profile => 200..3_000,
            Fault::Watch => 500..4_000,
            Fault::Replica => 2_000..20_000,
            Fault::ApiServer => 5_000..30_000,
        }
    }

    /// Causes it again and again, until the other end of the channel is dropped. Returns how
    /// often.
    pub(crate) fn repeat(
        self,
        cluster: &Cluster,
        random: &mut fastrand::Rng,
        until_over: &Receiver<()>,
    ) -> usize {
        for count in 0.. {
            let mut pauses = self.pauses();
            if count == 0 {
                // A short run has all of them, too.
                pauses.end = 2 * pauses.start;
            }
            let pause = Duration::from_millis(random.u64(pauses));
            if until_over.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return count;
            }
            self.cause(cluster, random);
        }
        unreachable!("the range has no end")
    }

    fn cause(self, cluster: &Cluster, random: &mut fastrand::Rng) {
        match self {
            Fault::Certificate => cluster.rotate_certificate(),
            Fault::Profile => {
                if random.u8(..4) > 0 {
                    cluster.change_profile(random.i64(1001..60_000));
                } else {
                    cluster.break_profile(Duration::from_millis(random.u64(100..2_000)));
                }
            }
            Fault::Replica => {
                let mut old = cluster.take_replica();
                if random.bool() {
                    cluster.killed.note(|| {
                        old.process.signal("KILL");
                        old.process.end();
                    });
                } else {
                    old.process.signal("TERM");
                    assert_eq!(old.process.end(), Some(0), "{:#?}", old.lines());
                }
                cluster.add_replica();
            }
            Fault::Watch => {
                let replicas = cluster.replicas();
                let network = &replicas[random.usize(..replicas.len())].network;
                if random.u8(..3) > 0 {
                    network.cut();
                    network.heal();
                } else {
                    network.lose_connections();
                }
            }
            Fault::ApiServer => cluster.restart_apiserver(),
        }
    }
}
