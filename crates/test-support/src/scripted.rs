//! An API server that answers by a script: for what a real one does too seldom
//! to wait for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// The list of namespaces, for the how-manieth time, counted from 0.
    List(usize),
    /// The page of the list with this token.
    Page(String),
    /// A watch, with its number.
    Watch(usize),
    /// One namespace.
    Get(String),
}

/// What is answered.
pub enum Reply {
    /// A whole answer.
    Json(u16, Value),
    /// The headers of a watch, these lines, and then `Then`.
    Lines(Vec<String>, Then),
    /// The header of an answer, and what this writes into its body.
    Body(WriteBody),
    /// Nothing, for ever.
    Silence,
    /// The end of the connection.
    HangUp,
}

/// Writes a body, of which the parts are written as they come.
pub type WriteBody = Box<dyn FnOnce(&mut Body) -> std::io::Result<()>>;

/// The body of an answer that is being written.
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

    /// Waits until the client has had enough.
    pub fn is_left(&mut self) -> std::io::Result<()> {
        silence(self.stream)
    }
}

/// How a watch goes on.
pub enum Then {
    /// Never.
    Silence,
    /// It ends.
    End,
    /// It ends when its time is up.
    EndInTime,
    /// The connection is closed.
    Cut,
}

/// The server.
pub struct Scripted {
    /// The port it listens on, without TLS.
    pub port: u16,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Scripted {
    /// Starts one that responds with `script`.
    pub fn start(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (script, asked) = (Arc::new(script), Arc::<Mutex<Vec<_>>>::default());
        let questions = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection can be accepted");
                let (script, asked) = (Arc::clone(&script), Arc::clone(&questions));
                // A client that is gone is no failure of the server's.
                thread::spawn(move || serve(&stream, &*script, &asked).unwrap_or(()));
            }
        });
        Scripted { port, asked }
    }

    /// How many requests `which` selects.
    pub fn asked(&self, which: impl Fn(&Question) -> bool) -> usize {
        let asked = self.asked.lock().expect("nobody panics with it");
        asked.iter().filter(|question| which(question)).count()
    }

    /// The text of a kubeconfig that leads here.
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
    script: &dyn Fn(&Question) -> Reply,
    asked: &Mutex<Vec<Question>>,
) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream).lines();
    while let Some(request) = requests.next() {
        let request = request?;
        // The rest of the header; a GET has no body.
        while !requests.next().unwrap_or(Ok(String::new()))?.is_empty() {}
        let question = question(&request, asked);
        match script(&question) {
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
                        thread::sleep(seconds_asked(&request));
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
                let timeout = request.contains("timeoutSeconds=");
                write(&mut Body {
                    stream,
                    timeout: timeout.then(|| seconds_asked(&request)),
                })?;
                (&*stream).write_all(END)?;
            }
            Reply::Silence => return silence(stream),
            Reply::HangUp => return stream.shutdown(std::net::Shutdown::Both),
        }
    }
    Ok(())
}

/// The end of a chunked answer.
const END: &[u8] = b"0\r\n\r\n";

/// The timeout that the client requests for the watch.
fn seconds_asked(request: &str) -> Duration {
    let (_, rest) = request.split_once("timeoutSeconds=").expect("a watch");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    let seconds = digits.and_then(|digits| digits.parse().ok());
    Duration::from_secs(seconds.expect("a number of seconds"))
}

/// Reads until the client has had enough.
fn silence(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
}

fn question(request: &str, asked: &Mutex<Vec<Question>>) -> Question {
    let mut asked = asked.lock().expect("nobody panics with it");
    let path = request.split(' ').nth(1).unwrap_or_default();
    let before = |is: fn(&Question) -> bool| asked.iter().filter(|q| is(q)).count();
    let question = match path.strip_prefix("/api/v1/namespaces/") {
        Some(name) => Question::Get(name.to_owned()),
        None if path.contains("watch=true") => {
            Question::Watch(before(|question| matches!(question, Question::Watch(_))))
        }
        None if path.contains("continue=") => {
            let (_, token) = path.split_once("continue=").expect("it is there");
            Question::Page(token.split('&').next().unwrap_or_default().to_owned())
        }
        None => Question::List(before(|question| matches!(question, Question::List(_)))),
    };
    asked.push(question.clone());
    question
}
