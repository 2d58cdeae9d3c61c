//! One try: from the name to the last answer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::Certificate;
use super::connect::{connect, least, told};
use super::failure::Trouble;
use super::retry::{Probe, Step, What};
use super::review::{Question, shown};
use super::trust::Seen;
use crate::certificates::identity::provider;
use admission::text::remark;

/// The most bytes of an answer that are read: those of podseal are a thousandth.
pub(super) const LARGEST: usize = 1 << 20;
/// How long a step may take: an API server's own default for a webhook.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take at least, however little is left: the last try is to
/// tell what is wrong, and not that it had no time.
pub(super) const LEAST: Duration = Duration::from_secs(1);

/// What came of a try.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) steps: Vec<Step>,
    pub(super) certificate: Option<Certificate>,
    pub(super) trouble: Option<Trouble>,
}

impl Attempt {
    /// Tries once, until about `deadline`.
    pub(super) async fn make(probe: &Probe, deadline: Instant) -> Attempt {
        let mut attempt = Attempt::default();
        attempt.trouble = attempt.go(probe, deadline).await.err();
        attempt
    }

    async fn go(&mut self, probe: &Probe, deadline: Instant) -> Result<(), Trouble> {
        let target = probe.target.to_string();
        let mut addresses = self
            .step(What::Lookup, time(deadline, LEAST), async {
                let addresses = look_up(&probe.target.host, probe.target.port).await?;
                let told: Vec<_> = addresses.iter().map(|at| at.ip().to_string()).collect();
                Ok((addresses, told.join(", ")))
            })
            .await
            .unwrap_or_else(|| {
                Err(Trouble::NameNotFound {
                    host: probe.target.host.clone(),
                    error: "no answer from the resolver".to_owned(),
                })
            })?;
        let to_connect = time(deadline, least(addresses.len()));
        let stream = self
            .step(What::Connect, to_connect, connect(&addresses, to_connect))
            .await
            .unwrap_or_else(|| Err(Trouble::Silent(told(&addresses))))?;
        if let Ok(peer) = stream.peer_addr() {
            // Should a second connection be needed, none before it takes its time.
            addresses.sort_by_key(|address| *address != peer);
        }
        let (config, seen) = probe.authorities.client();
        let connector = TlsConnector::from(config);
        let shaken = self
            .step(What::Handshake, time(deadline, LEAST), async {
                let name = probe.target.name.clone();
                match connector.connect(name, stream).await {
                    Ok(stream) => {
                        let about = handshake(&stream, certificate(&seen).as_ref());
                        Ok((stream, about))
                    }
                    Err(error) => {
                        let shown = certificate(&seen);
                        Err(of_handshake(&error, probe, &seen, shown.as_ref()))
                    }
                }
            })
            .await;
        self.certificate = certificate(&seen);
        let stream = shaken.unwrap_or(Err(Trouble::NoHandshake))?;
        let mut conversation = Conversation::begin(stream, seen).await?;
        for what in [What::Mutate, What::Validate] {
            let question = Question::new(&probe.namespace, provider().secure_random);
            let to_answer = time(deadline, LEAST);
            let answered = self
                .step(what, to_answer, async {
                    if conversation.has_ended().await {
                        // A replica that stops says so with each answer.
                        conversation = again(probe, &addresses, to_answer).await?;
                    }
                    conversation.ask(what, &target, &question).await?;
                    Ok(((), "answered, and allowed the pod".to_owned()))
                })
                .await;
            answered.unwrap_or(Err(Trouble::NoAnswer))?;
        }
        Ok(())
    }

    /// Takes a step and notes it; nothing where it took longer than `time`.
    async fn step<T>(
        &mut self,
        what: What,
        time: Duration,
        step: impl Future<Output = Result<(T, String), Trouble>>,
    ) -> Option<Result<T, Trouble>> {
        let start = Instant::now();
        let taken = timeout(time, step).await.ok();
        let (detail, taken) = match taken {
            Some(Ok((found, detail))) => (Some(detail), Some(Ok(found))),
            Some(Err(trouble)) => (None, Some(Err(trouble))),
            None => (None, None),
        };
        self.steps.push(Step {
            what,
            detail,
            took: start.elapsed(),
        });
        taken
    }
}

/// How long a step that begins now may take.
fn time(deadline: Instant, least: Duration) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.clamp(least, PATIENCE)
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
    let not_found = |error: String| Trouble::NameNotFound {
        host: host.to_owned(),
        error,
    };
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found
        .map_err(|error| {
            // The standard library says twice what was not done.
            let error = error.to_string();
            let (_, reason) = error.rsplit_once(": ").unwrap_or(("", &error));
            not_found(remark(reason, 200))
        })?
        .take(16)
        .collect();
    match found.is_empty() {
        true => Err(not_found("it has no address".to_owned())),
        false => Ok(found),
    }
}

fn certificate(seen: &Seen) -> Option<Certificate> {
    Certificate::read(seen.leaf()?, SystemTime::now())
}

fn handshake(stream: &TlsStream<TcpStream>, certificate: Option<&Certificate>) -> String {
    let version = match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    };
    let Some(certificate) = certificate else {
        return version.to_owned();
    };
    let (names, until) = (certificate.names(), &certificate.not_after);
    let days = certificate.days_left;
    format!("{version}, certificate for {names}, until {until}, {days} days left")
}

fn of_handshake(
    error: &io::Error,
    probe: &Probe,
    seen: &Seen,
    shown: Option<&Certificate>,
) -> Trouble {
    let trouble = Trouble::of_handshake(error, &probe.target.host, shown);
    match trouble {
        // With TLS 1.2 the server tells before the handshake ends.
        Trouble::Tls(_) | Trouble::BrokeOff(_) if seen.was_asked_for_a_certificate() => {
            Trouble::ClientCertificate
        }
        trouble => trouble,
    }
}

/// Another connection, of which only failures are told.
async fn again(
    probe: &Probe,
    addresses: &[SocketAddr],
    time: Duration,
) -> Result<Conversation, Trouble> {
    let (stream, _) = connect(addresses, time).await?;
    let (config, seen) = probe.authorities.client();
    let stream = TlsConnector::from(config)
        .connect(probe.target.name.clone(), stream)
        .await
        .map_err(|error| of_handshake(&error, probe, &seen, certificate(&seen).as_ref()))?;
    Conversation::begin(stream, seen).await
}

/// A connection after its handshake.
struct Conversation {
    sender: SendRequest<Full<Bytes>>,
    seen: Arc<Seen>,
}

impl Conversation {
    async fn begin(stream: TlsStream<TcpStream>, seen: Arc<Seen>) -> Result<Conversation, Trouble> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(64 * 1024);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Trouble::BrokeOff(error.to_string()))?;
        // How it ends shows in the answer.
        tokio::spawn(connection);
        Ok(Conversation { sender, seen })
    }

    /// Whether no further question can be asked.
    async fn has_ended(&mut self) -> bool {
        self.sender.ready().await.is_err()
    }

    async fn ask(&mut self, what: What, host: &str, question: &Question) -> Result<(), Trouble> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}?timeout={}s", what.path(), PATIENCE.as_secs()))
            .header(HOST, host)
            .header(
                USER_AGENT,
                concat!("podseal-probe/", env!("CARGO_PKG_VERSION")),
            )
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(question.body.clone()))
            .expect("the host was part of a URL");
        let response = self.sender.send_request(request).await;
        let response = response.map_err(|error| self.of_answer(&error))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Trouble::TooLarge,
            Err(error) => Trouble::BrokeOff(remark(&error.to_string(), 200)),
        })?;
        let body = body.to_bytes();
        match code {
            StatusCode::OK => question.check(&body),
            StatusCode::TOO_MANY_REQUESTS => Err(Trouble::Busy(shown(&body))),
            code => Err(Trouble::Http {
                code: code.as_u16(),
                text: shown(&body),
            }),
        }
    }

    fn of_answer(&self, error: &hyper::Error) -> Trouble {
        // With TLS 1.3 the server tells after the handshake has ended.
        if self.seen.was_asked_for_a_certificate() {
            return Trouble::ClientCertificate;
        }
        let cause = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        let cause = remark(&cause, 200);
        match error.is_parse() || error.is_parse_too_large() {
            true => Trouble::NotHttp(cause),
            false => Trouble::BrokeOff(cause),
        }
    }
}
