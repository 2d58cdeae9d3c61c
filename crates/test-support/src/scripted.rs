//! An API server that responds with a script: for what a real one does too rarely to
//! wait for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The list of namespaces, with the number of earlier ones of its kind.
    List(usize),
    /// The page of the list with this token.
    Page(String),
    /// A watch, with the number of earlier ones of its kind.
    Watch(usize),
    /// One namespace.
    Get(String),
}

/// The response.
pub enum Reply {
    /// A complete response.
    Json(u16, Value),
    /// The headers of a watch, these lines, and then `Then`.
    Lines(Vec<String>, Then),
    /// The header of a response, and what this writes into its body.
    Body(WriteBody),
    /// No response, ever.
    Silence,
    /// The end of the connection.
    HangUp,
}

/// Writes a body, of which the parts are written as they come.
pub type WriteBody = Box<dyn FnOnce(&mut Body) -> std::io::Result<()>>;

/// The body of a response that is being written.
pub struct Body<'s> {
    stream: &'s TcpStream,
    /// The timeout that the client requested.
    pub timeout: Option<Duration>,
}

impl Body<'_> {
    /// Writes a part of it.
    pub fn write(&mut self, part: &[u8]) -> std::io::Result<()> {
        let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
        chunk.extend_from_slice(part);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk)
    }

    /// Waits until the client closes the connection.
    pub fn is_left(&mut self) -> std::io::Result<()> {
        silence(self.stream)
    }
}

/// How a watch continues.
pub enum Then {
    /// Without any more data.
    Silence,
    /// It ends.
    End,
    /// It ends when its time is up.
    EndInTime,
    /// The connection is closed.
    Cut,
}

/// The namespaces that a list or a watch is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Those with podseal's label, or the one of a GET.
    Labelled,
    /// Those without, for namespace rules.
    Unlabelled,
}

/// The server.
pub struct Scripted {
    /// The port it listens on, without TLS.
    pub port: u16,
    received: Arc<Mutex<Received>>,
}

/// All requests so far, the oldest first.
type Received = Vec<(Kind, Request)>;

impl Scripted {
    /// Starts one that responds with `script`, whatever namespaces a list is for.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
        Scripted::start_for_kinds(move |_, request| script(request))
    }

    /// The same, with a script that knows which namespaces a list or a watch is for.
    pub fn start_for_kinds(
        script: impl Fn(Kind, &Request) -> Reply + Send + Sync + 'static,
    ) -> Scripted {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (script, received) = (Arc::new(script), Arc::<Mutex<Received>>::default());
        let all = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection can be accepted");
                let (script, received) = (Arc::clone(&script), Arc::clone(&all));
                // A client that is gone is not an error of the server.
                thread::spawn(move || serve(&stream, &*script, &received).unwrap_or(()));
            }
        });
        Scripted { port, received }
    }

    /// How many requests `which` selects.
    pub fn received(&self, which: impl Fn(&Request) -> bool) -> usize {
        let received = self.received.lock().expect("no thread panics with it");
        let selected = received.iter().filter(|(_, request)| which(request));
        selected.count()
    }

    /// The text of a kubeconfig for this server.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: x, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             contexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n\
             users: [{{name: x, user: {{token: x}}}}]\n",
            self.port
        )
    }
}

/// A namespace of `profile`.
pub fn namespace(name: &str, profile: &str, version: &str) -> Value {
    json!({"metadata": {
        "name": name,
        "resourceVersion": version,
        "labels": {"podseal.io/profile": profile},
    }})
}

/// A list of these namespaces.
pub fn list(namespaces: &[Value]) -> Reply {
    Reply::Json(
        200,
        json!({"metadata": {"resourceVersion": "1"}, "items": namespaces}),
    )
}

/// A line of a watch.
pub fn line(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn serve(
    stream: &TcpStream,
    script: &dyn Fn(Kind, &Request) -> Reply,
    received: &Mutex<Received>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        // The rest of the header; a GET has no body.
        while !lines.next().unwrap_or(Ok(String::new()))?.is_empty() {}
        let (kind, request) = read_request(&line, received);
        match script(kind, &request) {
            Reply::Json(code, body) => {
                let body = body.to_string();
                let length = body.len();
                let head = "content-type: application/json\r\ncontent-length";
                let answer = format!("HTTP/1.1 {code} x\r\n{head}: {length}\r\n\r\n{body}");
                (&*stream).write_all(answer.as_bytes())?;
            }
            Reply::Lines(lines, then) => {
                let mut answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
                for line in lines {
                    answer.push_str(&format!("{:x}\r\n{line}\n\r\n", line.len() + 1));
                }
                (&*stream).write_all(answer.as_bytes())?;
                match then {
                    Then::EndInTime => {
                        thread::sleep(timeout_of(&line));
                        (&*stream).write_all(END)?;
                    }
                    Then::End => (&*stream).write_all(END)?,
                    Then::Silence => return silence(stream),
                    Then::Cut => return stream.shutdown(std::net::Shutdown::Both),
                }
            }
            Reply::Body(write) => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                (&*stream).write_all(head)?;
                let timeout = line.contains("timeoutSeconds=");
                write(&mut Body {
                    stream,
                    timeout: timeout.then(|| timeout_of(&line)),
                })?;
                (&*stream).write_all(END)?;
            }
            Reply::Silence => return silence(stream),
            Reply::HangUp => return stream.shutdown(std::net::Shutdown::Both),
        }
    }
    Ok(())
}

/// The end of a chunked response.
const END: &[u8] = b"0\r\n\r\n";

/// The timeout that the client requests for the watch.
fn timeout_of(line: &str) -> Duration {
    let (_, rest) = line.split_once("timeoutSeconds=").expect("a watch");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    let seconds = digits.and_then(|digits| digits.parse().ok());
    Duration::from_secs(seconds.expect("a number of seconds"))
}

/// Reads until the client closes the connection.
fn silence(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
}

fn read_request(line: &str, received: &Mutex<Received>) -> (Kind, Request) {
    let mut received = received.lock().expect("no thread panics with it");
    let path = line.split(' ').nth(1).unwrap_or_default();
    let kind = match path.contains("labelSelector=%21podseal.io%2Fprofile") {
        true => Kind::Unlabelled,
        false => Kind::Labelled,
    };
    let before = |is: fn(&Request) -> bool| {
        let of_kind = received.iter().filter(|(other, _)| *other == kind);
        of_kind.filter(|(_, request)| is(request)).count()
    };
    let request = match path.strip_prefix("/api/v1/namespaces/") {
        Some(name) => Request::Get(name.to_owned()),
        None if path.contains("watch=true") => {
            Request::Watch(before(|request| matches!(request, Request::Watch(_))))
        }
        None if path.contains("continue=") => {
            let (_, token) = path.split_once("continue=").expect("it is there");
            Request::Page(token.split('&').next().unwrap_or_default().to_owned())
        }
        None => Request::List(before(|request| matches!(request, Request::List(_)))),
    };
    received.push((kind, request.clone()));
    (kind, request)
}
