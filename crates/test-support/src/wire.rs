//! A client with its own TLS, HTTP/1.1 and HTTP/2, so that it can do what a
//! well-behaved library would not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::podseal::Podseal;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A TLS connection to podseal.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    /// Received, and not looked at yet.
    buffer: Vec<u8>,
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The header's lines, in lower case.
    pub header: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether it announces the end of the connection.
    pub fn is_last(&self) -> bool {
        self.header.contains("\r\nconnection: close")
    }
}

/// A request over HTTP/1.1, head and body.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: podseal\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The address podseal listens on.
pub fn address(podseal: &Podseal) -> &str {
    podseal.url.strip_prefix("https://").expect("a URL")
}

/// The TLS side of a client that trusts podseal, and offers this protocol.
pub fn tls_config(ca: &str, alpn: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

impl Wire {
    /// A connection for HTTP/1.1.
    pub async fn http1(podseal: &Podseal) -> Wire {
        Wire::connect(podseal, b"http/1.1")
            .await
            .expect("a handshake")
    }

    /// A connection for HTTP/2, after the preface and empty settings.
    pub async fn http2(podseal: &Podseal) -> Wire {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let wire = Wire::http2_from(localhost, podseal).await;
        wire.expect("a handshake, and the preface is sent")
    }

    /// The same from this address, which is one of this host.
    pub async fn http2_from(source: IpAddr, podseal: &Podseal) -> io::Result<Wire> {
        let mut wire = Wire::connect_from(source, podseal, b"h2").await?;
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        wire.send(&frame(4, 0, 0, b"")).await?;
        Ok(wire)
    }

    /// A connection after its handshake.
    pub async fn connect(podseal: &Podseal, alpn: &[u8]) -> io::Result<Wire> {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Wire::connect_from(localhost, podseal, alpn).await
    }

    /// The same from this address, which is one of this host.
    pub async fn connect_from(source: IpAddr, podseal: &Podseal, alpn: &[u8]) -> io::Result<Wire> {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls_config(&podseal.ca, alpn)));
        let socket = TcpSocket::new_v4()?;
        // Without a port: the kernel then selects one for each destination.
        socket.bind(SocketAddr::new(source, 0))?;
        let stream = socket.connect(podseal.address()).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, stream).await?;
        Ok(Wire {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Posts over HTTP/1.1, and waits for the answer.
    pub async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.send(&post(path, body)).await?;
        self.answer().await
    }

    /// The next answer over HTTP/1.1.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let end = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.receive().await?,
            }
        };
        let header = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = header
            .split_once("content-length: ")
            .map_or("0", |(_, rest)| {
                rest.split("\r\n").next().expect("a line has a first part")
            });
        let length: usize = length.parse().expect("a length");
        while self.buffer.len() < end + length {
            self.receive().await?;
        }
        let code = header[9..12].parse().expect("a status code");
        let body = self.buffer[end..end + length].to_vec();
        self.buffer.drain(..end + length);
        Ok(Answer { code, header, body })
    }

    /// The next HTTP/2 frame: its type, its stream and its payload. A PING is
    /// answered.
    pub async fn frame(&mut self) -> io::Result<(u8, u32, Vec<u8>)> {
        while self.buffer.len() < 9 {
            self.receive().await?;
        }
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        let (length, kind) = (number(&self.buffer[..3]) as usize, self.buffer[3]);
        let stream = number(&self.buffer[5..9]);
        while self.buffer.len() < 9 + length {
            self.receive().await?;
        }
        let payload = self.buffer[9..9 + length].to_vec();
        let is_ping = kind == 6 && self.buffer[4] == 0;
        self.buffer.drain(..9 + length);
        if is_ping {
            self.send(&frame(6, 1, 0, &payload)).await?;
        }
        Ok((kind, stream, payload))
    }

    /// Reads frames until one of this type comes.
    pub async fn await_frame(&mut self, kind: u8) -> io::Result<(u32, Vec<u8>)> {
        loop {
            let (this, stream, payload) = self.frame().await?;
            if this == kind {
                return Ok((stream, payload));
            }
        }
    }

    /// Waits for the server to close the connection; what it sent before is
    /// returned.
    pub async fn closed(mut self) -> Vec<u8> {
        while self.receive().await.is_ok() {}
        self.buffer
    }

    /// Whether the connection is open: nothing has come, and no end.
    pub async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let read = timeout(Duration::from_millis(1), self.stream.read(&mut byte)).await;
        match read {
            Err(_) => true,
            Ok(Ok(1)) => {
                self.buffer.push(byte[0]);
                true
            }
            Ok(_) => false,
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        match read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// An HTTP/2 frame (RFC 9113, section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of `POST /mutate`, without an index (RFC 7541): `flags` say
/// whether they and the stream end with them.
pub fn post_headers(stream: u32, flags: u8) -> Vec<u8> {
    // 0x83 :method POST, 0x87 :scheme https, 0x04 :path literal, 0x01 :authority.
    let mut block = vec![0x83, 0x87, 0x04, 7];
    block.extend(b"/mutate");
    block.extend([0x01, 7]);
    block.extend(b"podseal");
    frame(1, flags, stream, &block)
}
