//! A network between podseal and its API server that fails as networks do:
//! bytes and connections, since what is in them is encrypted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A TCP proxy on a loopback port.
pub struct Proxy {
    /// The port to connect to instead.
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many connections there were.
    count: usize,
    /// Connections with a lower number transfer no more data.
    dead_below: usize,
    /// What becomes of new connections.
    new: New,
    /// Both ends of every connection.
    open: Vec<TcpStream>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum New {
    #[default]
    Pass,
    Silent,
    Cut,
}

impl Proxy {
    /// Starts one to the port `to`.
    pub fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection can be accepted");
                accept(&shared, client, to);
            }
        });
        Proxy { port, state }
    }

    /// The existing connections transfer no more data, in either direction, and
    /// never end: a NAT lost them. New ones pass.
    pub fn lose_connections(&self) {
        self.with(|state| state.dead_below = state.count);
    }

    /// The same, and new connections are accepted and never answered.
    pub fn go_silent(&self) {
        self.with(|state| {
            state.dead_below = state.count;
            state.new = New::Silent;
        });
    }

    /// All connections are cut, and new ones at once.
    pub fn cut(&self) {
        self.with(|state| {
            state.new = New::Cut;
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// New connections pass again. What was lost stays lost.
    pub fn heal(&self) {
        self.with(|state| {
            state.dead_below = state.count;
            state.new = New::Pass;
        });
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no thread panics with it"));
    }
}

fn accept(shared: &Arc<Mutex<State>>, client: TcpStream, to: u16) {
    let mut state = shared.lock().expect("no thread panics with it");
    let number = state.count;
    state.count += 1;
    if state.new == New::Cut {
        return;
    }
    let server = match (state.new, TcpStream::connect(("127.0.0.1", to))) {
        (New::Silent, _) => {
            state.dead_below = state.count;
            state.open.push(client);
            return;
        }
        (_, Ok(server)) => server,
        // Dropped, and so closed: nothing is behind it.
        (_, Err(_)) => return,
    };
    let copy = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    state.open.extend([copy(&client), copy(&server)]);
    for (from, to) in [(copy(&client), copy(&server)), (server, client)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || pump(&shared, number, from, to));
    }
}

fn pump(shared: &Mutex<State>, number: usize, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 * 1024];
    let is_dead = || number < shared.lock().expect("no thread panics with it").dead_below;
    loop {
        let read = from.read(&mut bytes).unwrap_or(0);
        if is_dead() {
            if read == 0 {
                // Its end is lost like everything else.
                return;
            }
            continue;
        }
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
