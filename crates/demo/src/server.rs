//! Runs `podseal serve` as a child process, and sends reviews as the API server does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// The timeout of each step. A review takes less than a millisecond.
const WAIT: Duration = Duration::from_secs(5);

/// A running `podseal serve`, which is stopped on drop.
pub(crate) struct Server {
    child: Child,
    log: UnboundedReceiver<String>,
    tls: TlsConnector,
    /// The address that it logged.
    pub(crate) address: String,
    reviews: u32,
    /// The certificate, its key, and the namespaces.
    _folder: TempDir,
}

/// The result of a review.
pub(crate) enum Answer {
    /// The pod is created, with this content.
    Created(Value),
    /// The pod is denied, by this webhook and for this reason.
    Denied {
        webhook: &'static str,
        message: String,
    },
}

impl Server {
    /// Starts podseal with a temporary certificate and these namespaces, and waits until it
    /// serves.
    pub(crate) async fn start(namespaces: &Value) -> anyhow::Result<Server> {
        let folder = TempDir::new().context("cannot create a temporary folder")?;
        let file = |name: &str| folder.path().join(name);
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
        write(&file("tls.crt"), &cert.pem())?;
        write(&file("tls.key"), &signing_key.serialize_pem())?;
        write(&file("namespaces.yaml"), &namespaces.to_string())?;

        let binary = podseal()?;
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--status-listen", "127.0.0.1:0"])
            // There is no other replica.
            .args(["--drain", "0s"])
            .arg("--tls-cert-file")
            .arg(file("tls.crt"))
            .arg("--tls-private-key-file")
            .arg(file("tls.key"))
            .arg("--namespaces")
            .arg(file("namespaces.yaml"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, log) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // An error means that the demo has failed.
                let _ = sender.send(line);
            }
        });

        let mut server = Server {
            child,
            log,
            tls: connector(cert.der().clone())?,
            address: String::new(),
            reviews: 0,
            _folder: folder,
        };
        let serving = server
            .logged("that it serves", |event| event["message"] == "serving")
            .await?;
        let serving: Value = serde_json::from_str(&serving)?;
        let address = serving["address"].as_str();
        server.address = address
            .context("podseal serves, but logged no address")?
            .to_owned();
        Ok(server)
    }

    /// Sends the reviews of the API server when the runner creates `pod`: first to the
    /// mutating webhook, then to the validating one. Returns the result, and the record of
    /// the decisive webhook.
    pub(crate) async fn create(
        &mut self,
        pod: &Value,
        namespace: &str,
    ) -> anyhow::Result<(Answer, String)> {
        let (corrected, record) = self.review("mutate", pod, namespace).await?;
        let Answer::Created(after) = &corrected else {
            return Ok((corrected, record));
        };
        let (judged, judgement) = self.review("validate", after, namespace).await?;
        match judged {
            Answer::Denied { .. } => Ok((judged, judgement)),
            Answer::Created(_) => Ok((corrected, record)),
        }
    }

    async fn review(
        &mut self,
        webhook: &'static str,
        pod: &Value,
        namespace: &str,
    ) -> anyhow::Result<(Answer, String)> {
        self.reviews += 1;
        let uid = format!("5ea1ab1e-0000-4000-8000-{:012}", self.reviews);
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": uid,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "name": pod["metadata"]["name"],
                "namespace": namespace,
                "operation": "CREATE",
                "userInfo": {"username": crate::story::GITLAB_RUNNER},
                "object": pod,
                "dryRun": false,
            },
        });
        let path = format!("/{webhook}?timeout=5s");
        let posted = timeout(WAIT, self.post(&path, review.to_string())).await;
        let answer = posted.context("podseal did not answer in time")??;
        let answer: Value = serde_json::from_slice(&answer).context("the response is not JSON")?;
        let response = &answer["response"];
        ensure!(
            response["uid"] == *uid,
            "the response is not for review {uid}"
        );

        let record = self
            .logged("its decision", |event| event["uid"] == *uid)
            .await?;
        let answer = if response["allowed"] == true {
            Answer::Created(patched(pod, &response["patch"])?)
        } else {
            let message = response["status"]["message"].as_str();
            let message = message.context("a denial without a message")?.to_owned();
            Answer::Denied { webhook, message }
        };
        Ok((answer, record))
    }

    /// Posts `body` as the API server would, on a new connection.
    async fn post(&self, path: &str, body: String) -> anyhow::Result<Bytes> {
        let stream = TcpStream::connect(&self.address).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = self.tls.connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(path)
            .header("host", &self.address)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        connection.abort();
        ensure!(status == StatusCode::OK, "podseal responded with {status}");
        Ok(answer)
    }

    /// Stops podseal as the kubelet does, and checks its exit code.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let kill = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .context("cannot run kill")?;
        ensure!(kill.success(), "kill could not send SIGTERM to podseal");
        let ended = async {
            loop {
                match self.child.try_wait()? {
                    Some(status) => return anyhow::Ok(status),
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let status = timeout(WAIT, ended)
            .await
            .context("podseal did not exit within 5 s of SIGTERM")??;
        ensure!(status.success(), "podseal exited with {status}");
        Ok(())
    }

    /// The next log line whose event `is` the wanted one.
    async fn logged(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<String> {
        let mut passed = Vec::new();
        let found = async {
            while let Some(line) = self.log.recv().await {
                // The error with which podseal exits is not JSON.
                let event = serde_json::from_str(&line).unwrap_or(Value::Null);
                if is(&event) {
                    return Ok(line);
                }
                passed.push(line);
            }
            bail!("podseal exited before it logged {what}")
        };
        match timeout(WAIT, found).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(ended)) => Err(anyhow!("{ended}; its output: {}", passed.join("\n"))),
            Err(_) => bail!("podseal did not log {what} within 5 s"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if podseal has exited, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The podseal that was built with the demo.
fn podseal() -> anyhow::Result<PathBuf> {
    let demo = std::env::current_exe().context("cannot find the path of the demo")?;
    let binary = demo.with_file_name("podseal");
    ensure!(
        binary.is_file(),
        "there is no {}; build it with `make demo`",
        binary.display()
    );
    Ok(binary)
}

/// `pod` with the patch of a response applied, if there is one.
fn patched(pod: &Value, patch: &Value) -> anyhow::Result<Value> {
    let mut pod = pod.clone();
    if let Some(patch) = patch.as_str() {
        let patch = STANDARD.decode(patch).context("the patch is not base64")?;
        let patch: json_patch::Patch =
            serde_json::from_slice(&patch).context("the patch is not a JSON Patch")?;
        json_patch::patch(&mut pod, &patch).context("the patch does not apply to the pod")?;
    }
    Ok(pod)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A TLS client that trusts only this certificate.
fn connector(certificate: CertificateDer<'static>) -> anyhow::Result<TlsConnector> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate)?;
    let config = ClientConfig::builder()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
