//! A small TCP balancer: what a Service's virtual address is in a cluster.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An endpoint, and when it gets no more connections, if that is known.
type Endpoint = (SocketAddr, Option<Instant>);

/// Hands each connection to the next of its endpoints.
pub struct Balancer {
    /// The port it listens on.
    pub port: u16,
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
    serving: JoinHandle<()>,
}

impl Balancer {
    /// One without endpoints.
    pub fn start() -> Balancer {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Balancer::at(any).expect("a free port")
    }

    /// One without endpoints, at this address.
    pub fn at(address: SocketAddr) -> io::Result<Balancer> {
        let listener = crate::block_on(TcpListener::bind(address))?;
        let port = listener.local_addr().expect("an address").port();
        let endpoints = Arc::<Mutex<Vec<Endpoint>>>::default();
        let all = Arc::clone(&endpoints);
        let serving = crate::spawn(async move {
            let mut turn: usize = 0;
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let now = Instant::now();
                let all: Vec<_> = {
                    let all = all.lock().expect("no holder panics");
                    let open = all
                        .iter()
                        .filter(|(_, end)| end.is_none_or(|end| end > now));
                    open.map(|(endpoint, _)| *endpoint).collect()
                };
                if !all.is_empty() {
                    tokio::spawn(pass(client, all[turn % all.len()]));
                }
                turn += 1;
            }
        });
        Ok(Balancer {
            port,
            endpoints,
            serving,
        })
    }

    /// New connections go to this one too, from now on.
    pub fn add(&self, endpoint: SocketAddr) {
        self.all().push((endpoint, None));
    }

    /// This one gets no new connections; existing ones stay.
    pub fn remove(&self, endpoint: SocketAddr) {
        self.all().retain(|(other, _)| *other != endpoint);
    }

    /// New connections go to these from now on, until the moment that each has, and
    /// nowhere else.
    pub fn set(&self, endpoints: Vec<(SocketAddr, Option<Instant>)>) {
        *self.all() = endpoints;
    }

    fn all(&self) -> MutexGuard<'_, Vec<Endpoint>> {
        self.endpoints.lock().expect("no holder panics")
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// As a virtual address does, it does not read what it forwards, and tries no other
/// endpoint when one refuses.
async fn pass(mut client: TcpStream, endpoint: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(endpoint).await {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
