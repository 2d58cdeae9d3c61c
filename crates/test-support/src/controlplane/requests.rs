//! Requests to the API server, as its users send them.

use std::process::{Command, Output};

use serde_json::Value;

use super::{ADMIN, ControlPlane, RUNNER};

impl ControlPlane {
    /// Runs kubectl as `user`, with `input` on its standard input.
    pub fn kubectl(&self, user: &str, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.bin.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig(user))
            .args(args);
        // kubectl caches discovery in HOME, where runs would meet.
        command.env("HOME", &self.folder);
        crate::run(command, input)
    }

    /// Asks the API server as `user`, and returns the code and the answer.
    ///
    /// # Panics
    /// If there is no whole answer.
    pub fn request(
        &self,
        user: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let answer = self.try_request(user, method, path, body);
        answer.expect("the API server answers")
    }

    /// The same, where the API server may be away.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub fn try_request(
        &self,
        user: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<(u16, Value)> {
        let url = format!("https://127.0.0.1:{}{path}", self.apiserver_port);
        let mut request = self.http.request(method, url).bearer_auth(user);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        crate::block_on(async {
            let response = request.send().await?;
            let code = response.status().as_u16();
            let body = response.bytes().await?;
            // While it starts, or is busy, it answers some by plain text.
            let text = |_| Value::String(crate::text(&body));
            Ok((code, serde_json::from_slice(&body).unwrap_or_else(text)))
        })
    }

    /// Creates `pod` in `namespace` as the runner does.
    pub fn create_pod(&self, namespace: &str, pod: &Value) -> (u16, Value) {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.request(RUNNER, reqwest::Method::POST, &path, Some(pod))
    }

    /// The result of a dry run that creates `pod` in `namespace`.
    pub fn try_pod(&self, namespace: &str, pod: &Value) -> (u16, Value) {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        self.request(RUNNER, reqwest::Method::POST, &path, Some(pod))
    }

    /// The pod as stored.
    pub fn stored_pod(&self, namespace: &str, name: &str) -> Value {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let (code, pod) = self.request(ADMIN, reqwest::Method::GET, &path, None);
        assert_eq!(code, 200, "{pod:#}");
        pod
    }

    /// Applies manifests as `user`.
    pub fn apply(&self, user: &str, manifests: &str) {
        let output = self.kubectl(user, &["apply", "-f", "-"], manifests);
        assert!(
            output.status.success(),
            "kubectl apply: {}",
            crate::text(&output.stderr)
        );
    }
}
