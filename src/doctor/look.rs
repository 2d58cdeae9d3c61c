//! Reads objects of the cluster. What may not be read is a result, not an error.

use std::time::Duration;

use futures::AsyncReadExt;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::finding::quote;
use super::objects::List;
use crate::kubernetes::error::core_of;
use crate::kubernetes::request::ask_whole;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many objects a page of a list has.
const PAGE: usize = 500;
/// How many objects of a list of the cluster are read.
const MOST: usize = 20_000;
/// How many objects of a list of a namespace are read. Its other objects are left out.
pub(super) const SOME: usize = 2_000;
/// How many bytes a page of a list may have.
const BYTES: usize = 64 << 20;
/// How often a request is sent that the API server has no time for.
const ATTEMPTS: u32 = 4;
/// The time before the second one. It doubles each time.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of reading an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// It was read.
    Seen(T),
    /// There is none.
    Absent,
    /// The user of the kubeconfig may not read it; the API server's message.
    NotAllowed(String),
    /// It could not be read, and why.
    Failed(String),
}

impl<T> Look<T> {
    /// The object, if it was read.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Look::Seen(object) => Some(object),
            _ => None,
        }
    }

    /// Why it was not read, where it may exist.
    pub fn hidden(&self) -> Option<String> {
        match self {
            Look::Seen(_) | Look::Absent => None,
            Look::NotAllowed(message) => Some(format!("not allowed to look: {message}")),
            Look::Failed(message) => Some(format!("could not look: {message}")),
        }
    }

    fn from_error(error: &kube::Error) -> Look<T> {
        let message = core_of(error);
        match error {
            kube::Error::Api(status) if status.code == 404 => Look::Absent,
            kube::Error::Api(status) if status.code == 403 => Look::NotAllowed(message),
            // Whoever it is would be told 403: the API server does not know the user at all.
            kube::Error::Api(status) if status.code == 401 => {
                Look::Failed(format!("your credentials are not accepted: {message}"))
            }
            _ => Look::Failed(message),
        }
    }
}

/// The cluster, as the user of the kubeconfig sees it.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

impl Cluster {
    /// The cluster of `client`.
    pub fn new(client: kube::Client) -> Cluster {
        Cluster { client }
    }

    /// Sends a request, as `user` where one is given.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Vec<u8>,
    ) -> kube::Result<T> {
        match timeout(PATIENCE, self.answer(method, path, user, body)).await {
            Ok(answer) => serde_json::from_slice(&answer?).map_err(kube::Error::SerdeError),
            Err(_) => Err(kube::Error::Service(late().into())),
        }
    }

    /// The body of an answer. Asks again where the API server is too busy.
    async fn answer(
        &self,
        method: &str,
        path: &str,
        user: Option<&str>,
        body: Vec<u8>,
    ) -> kube::Result<Vec<u8>> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let mut request = http::Request::builder()
                .method(method)
                .uri(path)
                .header("accept", "application/json")
                .header("content-type", "application/json");
            if let Some(user) = user {
                request = request.header("impersonate-user", user);
            }
            let request = request.body(body.clone()).map_err(kube::Error::HttpError)?;
            match ask_whole(&self.client, request, PATIENCE, BYTES).await {
                Err(kube::Error::Api(status)) if status.code == 429 && attempt < ATTEMPTS => {
                    sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// The object at `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Look<T> {
        match self.ask("GET", path, None, Vec::new()).await {
            Ok(object) => Look::Seen(object),
            Err(error) => Look::from_error(&error),
        }
    }

    /// The first `limit` bytes at `path`, such as of a log, as `user` where one is given. It
    /// may have any bytes, and the limit may cut a character.
    pub(super) async fn text(&self, path: &str, user: Option<&str>, limit: usize) -> Look<String> {
        let mut request = http::Request::get(path);
        if let Some(user) = user {
            request = request.header("impersonate-user", user);
        }
        let answer = async {
            let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
            let stream = self.client.request_stream(request).await?;
            let mut bytes = Vec::new();
            let read = stream.take(limit as u64).read_to_end(&mut bytes).await;
            read.map_err(|error| kube::Error::Service(error.into()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match timeout(PATIENCE, answer).await {
            Ok(Ok(text)) => Look::Seen(text),
            Ok(Err(error)) => Look::from_error(&error),
            Err(_) => Look::Failed(late()),
        }
    }

    /// The objects of the list at `path`, which may have a query.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Look<Vec<T>> {
        match self.up_to(MOST, path).await {
            Look::Seen(objects) if objects.len() >= MOST => {
                Look::Failed(format!("there are {MOST} or more"))
            }
            objects => objects,
        }
    }

    /// The first objects of the list at `path`.
    pub(super) async fn some<T: DeserializeOwned>(&self, path: &str) -> Look<Vec<T>> {
        self.up_to(SOME, path).await
    }

    async fn up_to<T: DeserializeOwned>(&self, most: usize, path: &str) -> Look<Vec<T>> {
        let mut objects = Vec::new();
        let mut page = String::new();
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{mark}limit={PAGE}{page}");
            let list: List<T> = match self.ask("GET", &path, None, Vec::new()).await {
                Ok(list) => list,
                Err(error) => return Look::from_error(&error),
            };
            objects.extend(list.items);
            match list.metadata.next {
                Some(next) if next.is_empty() => return Look::Seen(objects),
                None => return Look::Seen(objects),
                Some(_) if objects.len() >= most => return Look::Seen(objects),
                // A token of the API server's, which may have any byte.
                Some(next) => page = format!("&continue={}", escaped(&next)),
            }
        }
    }
}

fn late() -> String {
    format!("no answer in {} s", PATIENCE.as_secs())
}

/// A segment of a path, or a value of a query.
pub(super) fn escaped(text: &str) -> String {
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match keeps(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The message of an error.
pub(super) fn message(error: &kube::Error) -> String {
    quote(&core_of(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::scripted_api_server::ApiServer;

    #[test]
    fn a_query_value_is_escaped() {
        assert_eq!(escaped("a=b, ä"), "a%3Db%2C%20%C3%A4");
    }

    #[test]
    fn a_log_that_is_no_utf_8_is_read_up_to_its_limit() {
        let server = ApiServer::new(vec![(200, b"STEP \xc3\nok, and more".to_vec())]);
        let log = server.run(async |cluster| cluster.text("/log", Some("runner"), 9).await);
        assert_eq!(log, Look::Seen("STEP \u{fffd}\nok".to_owned()));
        assert_eq!(server.users(), [Some("runner".to_owned())]);
    }

    #[test]
    fn only_what_may_exist_is_hidden() {
        assert_eq!(Look::<()>::Absent.hidden(), None);
        let forbidden: Look<()> = Look::NotAllowed("nodes is forbidden".to_owned());
        let hidden = forbidden.hidden().expect("hidden");
        assert_eq!(hidden, "not allowed to look: nodes is forbidden");
    }
}
