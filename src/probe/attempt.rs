//! One attempt: from resolving the host to the last response.

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

use super::certificate::CertificateSummary;
use super::config::ProbeConfig;
use super::connect::{addresses_text, connect, min_timeout};
use super::failure::Failure;
use super::limits::{MAX_ANSWER_BYTES, MIN_STAGE_TIMEOUT, STAGE_TIMEOUT};
use super::report::{Stage, Step};
use super::review::{TestReview, shown};
use super::trust::Recorded;
use crate::certificates::identity::provider;
use admission::text::remark;

/// The result of an attempt.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) steps: Vec<Step>,
    pub(super) certificate: Option<CertificateSummary>,
    pub(super) failure: Option<Failure>,
}

impl Attempt {
    /// Makes one attempt, until about `deadline`.
    pub(super) async fn make(config: &ProbeConfig, deadline: Instant) -> Attempt {
        let mut attempt = Attempt::default();
        attempt.failure = attempt.run(config, deadline).await.err();
        attempt
    }

    async fn run(&mut self, config: &ProbeConfig, deadline: Instant) -> Result<(), Failure> {
        let target = config.target.to_string();
        let mut addresses = self
            .step(Stage::Lookup, time(deadline, MIN_STAGE_TIMEOUT), async {
                let addresses = look_up(&config.target.host, config.target.port).await?;
                let ips: Vec<_> = addresses.iter().map(|at| at.ip().to_string()).collect();
                Ok((addresses, ips.join(", ")))
            })
            .await
            .unwrap_or_else(|| {
                Err(Failure::NameNotFound {
                    host: config.target.host.clone(),
                    error: "no answer from the resolver".to_owned(),
                })
            })?;
        let to_connect = time(deadline, min_timeout(addresses.len()));
        let stream = self
            .step(Stage::Connect, to_connect, connect(&addresses, to_connect))
            .await
            .unwrap_or_else(|| Err(Failure::Silent(addresses_text(&addresses))))?;
        if let Ok(peer) = stream.peer_addr() {
            // A second connection then uses this address first.
            addresses.sort_by_key(|address| *address != peer);
        }
        let (tls, recorded) = config.authorities.client();
        let connector = TlsConnector::from(tls);
        let shaken = self
            .step(Stage::Handshake, time(deadline, MIN_STAGE_TIMEOUT), async {
                let name = config.target.name.clone();
                match connector.connect(name, stream).await {
                    Ok(stream) => {
                        let about = handshake(&stream, certificate(&recorded).as_ref());
                        Ok((stream, about))
                    }
                    Err(error) => {
                        let shown = certificate(&recorded);
                        Err(of_handshake(&error, config, &recorded, shown.as_ref()))
                    }
                }
            })
            .await;
        self.certificate = certificate(&recorded);
        let stream = shaken.unwrap_or(Err(Failure::NoHandshake))?;
        let mut conversation = Conversation::begin(stream, recorded).await?;
        for stage in [Stage::Mutate, Stage::Validate] {
            let review = TestReview::new(&config.namespace, provider().secure_random);
            let to_answer = time(deadline, MIN_STAGE_TIMEOUT);
            let answered = self
                .step(stage, to_answer, async {
                    if conversation.has_ended().await {
                        // A replica that shuts down closes the connection after a response.
                        conversation = again(config, &addresses, to_answer).await?;
                    }
                    conversation.ask(stage, &target, &review).await?;
                    Ok(((), "answered, and allowed the pod".to_owned()))
                })
                .await;
            answered.unwrap_or(Err(Failure::NoAnswer))?;
        }
        Ok(())
    }

    /// Runs and records a step. Returns none if it takes longer than `time`.
    async fn step<T>(
        &mut self,
        stage: Stage,
        time: Duration,
        step: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Option<Result<T, Failure>> {
        let start = Instant::now();
        let taken = timeout(time, step).await.ok();
        let (detail, taken) = match taken {
            Some(Ok((found, detail))) => (Some(detail), Some(Ok(found))),
            Some(Err(failure)) => (None, Some(Err(failure))),
            None => (None, None),
        };
        self.steps.push(Step {
            stage,
            detail,
            took: start.elapsed(),
        });
        taken
    }
}

/// The timeout of a step that begins now.
fn time(deadline: Instant, least: Duration) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    left.clamp(least, STAGE_TIMEOUT)
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let not_found = |error: String| Failure::NameNotFound {
        host: host.to_owned(),
        error,
    };
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found
        .map_err(|error| {
            // The standard library's error has a redundant prefix.
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

fn certificate(recorded: &Recorded) -> Option<CertificateSummary> {
    CertificateSummary::read(recorded.leaf()?, SystemTime::now())
}

fn handshake(stream: &TlsStream<TcpStream>, certificate: Option<&CertificateSummary>) -> String {
    let version = match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    };
    let Some(certificate) = certificate else {
        return version.to_owned();
    };
    let (names, until) = (certificate.names(), &certificate.not_after);
    let days = match certificate.days_left {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    format!("{version}, certificate for {names}, until {until}, {days} left")
}

fn of_handshake(
    error: &io::Error,
    config: &ProbeConfig,
    recorded: &Recorded,
    shown: Option<&CertificateSummary>,
) -> Failure {
    let failure = Failure::of_handshake(error, &config.target.host, shown);
    match failure {
        // With TLS 1.2, the server rejects the client before the handshake ends.
        Failure::Tls(_) | Failure::BrokeOff(_) if recorded.asked_for_certificate() => {
            Failure::ClientCertificate
        }
        failure => failure,
    }
}

/// Opens another connection. Only failures are reported.
async fn again(
    config: &ProbeConfig,
    addresses: &[SocketAddr],
    time: Duration,
) -> Result<Conversation, Failure> {
    let (stream, _) = connect(addresses, time).await?;
    let (tls, recorded) = config.authorities.client();
    let stream = TlsConnector::from(tls)
        .connect(config.target.name.clone(), stream)
        .await
        .map_err(|error| {
            of_handshake(&error, config, &recorded, certificate(&recorded).as_ref())
        })?;
    Conversation::begin(stream, recorded).await
}

/// A connection after its handshake.
struct Conversation {
    sender: SendRequest<Full<Bytes>>,
    recorded: Arc<Recorded>,
}

impl Conversation {
    async fn begin(
        stream: TlsStream<TcpStream>,
        recorded: Arc<Recorded>,
    ) -> Result<Conversation, Failure> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(64 * 1024);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::BrokeOff(error.to_string()))?;
        // Its errors appear in the response.
        tokio::spawn(connection);
        Ok(Conversation { sender, recorded })
    }

    /// Whether the connection is closed.
    async fn has_ended(&mut self) -> bool {
        self.sender.ready().await.is_err()
    }

    async fn ask(&mut self, stage: Stage, host: &str, review: &TestReview) -> Result<(), Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!(
                "{}?timeout={}s",
                stage.path(),
                STAGE_TIMEOUT.as_secs()
            ))
            .header(HOST, host)
            .header(
                USER_AGENT,
                concat!("podseal-probe/", env!("CARGO_PKG_VERSION")),
            )
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(review.body.clone()))
            .expect("the host was part of a URL");
        let response = self.sender.send_request(request).await;
        let response = response.map_err(|error| self.of_answer(&error))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => Failure::TooLarge,
            Err(error) => Failure::BrokeOff(remark(&error.to_string(), 200)),
        })?;
        let body = body.to_bytes();
        match code {
            StatusCode::OK => review.check(&body),
            StatusCode::TOO_MANY_REQUESTS => Err(Failure::Busy(shown(&body))),
            code => Err(Failure::Http {
                code: code.as_u16(),
                text: shown(&body),
            }),
        }
    }

    fn of_answer(&self, error: &hyper::Error) -> Failure {
        // With TLS 1.3, the server rejects the client after the handshake.
        if self.recorded.asked_for_certificate() {
            return Failure::ClientCertificate;
        }
        let cause = error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string);
        let cause = remark(&cause, 200);
        match error.is_parse() || error.is_parse_too_large() {
            true => Failure::NotHttp(cause),
            false => Failure::BrokeOff(cause),
        }
    }
}
