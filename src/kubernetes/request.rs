//! Sends a request to the API server, and returns its response as a stream.

use std::time::Duration;

use futures::StreamExt;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::Bytes;
use kube::client::Body;
use kube::core::Status;
use tokio::time::timeout;

use super::json_stream::JsonStream;

/// The maximum length of an error response. Those of the API server have a few hundred
/// bytes.
const ERROR: usize = 16 << 10;

/// Sends `request`. Each part of the response may take up to `patience`.
///
/// # Errors
/// When there is no response, or the API server returns an error.
pub(crate) async fn ask(
    client: &kube::Client,
    request: http::Request<Vec<u8>>,
    patience: Duration,
) -> kube::Result<JsonStream> {
    let chunks = chunks(client, request, patience).await?;
    Ok(JsonStream::new(chunks, patience))
}

/// Sends `request`, and returns its response, which may have `most` bytes. The caller limits
/// the time.
///
/// # Errors
/// When there is no response, it is longer, or the API server returns an error.
pub(crate) async fn ask_whole(
    client: &kube::Client,
    request: http::Request<Vec<u8>>,
    patience: Duration,
    most: usize,
) -> kube::Result<Vec<u8>> {
    let mut chunks = chunks(client, request, patience).await?;
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk?;
        if text.len() + chunk.len() > most {
            let error = format!("the response has more than {} MiB", most >> 20);
            return Err(kube::Error::Service(error.into()));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// The body of a response.
type Chunks = BodyDataStream<Body>;

async fn chunks(
    client: &kube::Client,
    request: http::Request<Vec<u8>>,
    patience: Duration,
) -> kube::Result<Chunks> {
    let answer = client.send(request.map(Body::from)).await?;
    let code = answer.status();
    let mut chunks = answer.into_body().into_data_stream();
    if code.is_success() {
        return Ok(chunks);
    }
    let mut text = Vec::new();
    while text.len() < ERROR
        && let Ok(Some(Ok(chunk))) = timeout(patience, chunks.next()).await
    {
        let chunk: Bytes = chunk;
        text.extend_from_slice(&chunk[..chunk.len().min(ERROR - text.len())]);
    }
    let status = serde_json::from_slice(&text).unwrap_or_else(|_| {
        // Not a `Status`: the response may be from a proxy.
        Status::failure(&String::from_utf8_lossy(&text), "Unknown")
    });
    let status = status.with_code(code.as_u16());
    Err(kube::Error::Api(status.boxed()))
}
