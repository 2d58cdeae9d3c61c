//! An API server for tests, whose answers are written in advance: failures that a real one does
//! not make on demand.

use std::future::{Future, Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::client::Body;

use super::look::Cluster;

/// The status code, and the body.
type Answer = (u16, Vec<u8>);

/// An API server that gives these answers in turn, and keeps as whom it was asked.
#[derive(Clone, Default)]
pub(super) struct ApiServer {
    answers: Arc<Mutex<Vec<Answer>>>,
    users: Arc<Mutex<Vec<Option<String>>>>,
}

impl ApiServer {
    pub(super) fn new(answers: Vec<Answer>) -> ApiServer {
        ApiServer {
            answers: Arc::new(Mutex::new(answers)),
            users: Arc::default(),
        }
    }

    /// One whose answers are of the kind `Status`.
    pub(super) fn with_codes(codes: &[u16]) -> ApiServer {
        let answer = |code: &u16| {
            let status = if *code < 400 { "Success" } else { "Failure" };
            let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": status, "message": "as you say", "reason": "", "code": code});
            (*code, status.to_string().into_bytes())
        };
        ApiServer::new(codes.iter().map(answer).collect())
    }

    pub(super) fn run<T, F: Future<Output = T>>(&self, act: impl FnOnce(Cluster) -> F) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime")
            .block_on(async { act(Cluster::new(kube::Client::new(self.clone(), "default"))).await })
    }

    /// As whom it was asked; nobody else, if none.
    pub(super) fn users(&self) -> Vec<Option<String>> {
        self.users.lock().expect("a lock").clone()
    }
}

impl tower_service::Service<Request<Body>> for ApiServer {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Ready<Result<Response<Body>, kube::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let user = request.headers().get("impersonate-user");
        let user = user.map(|user| user.to_str().expect("text").to_owned());
        self.users.lock().expect("a lock").push(user);
        let (code, body) = self.answers.lock().expect("a lock").remove(0);
        let answer = Response::builder().status(code).body(Body::from(body));
        ready(Ok(answer.expect("an answer")))
    }
}
