//! The API server, as controllers and kubelets use it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::controlplane::{ADMIN, ControlPlane};

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The API server is away or busy: the next look is the next try.
    Away,
    /// What a controller would report as an event.
    Wrong(String),
}

/// One namespace.
#[derive(Clone)]
pub(super) struct Api {
    http: reqwest::Client,
    pub(super) port: u16,
    pub(super) authority: String,
    pub(super) namespace: String,
}

impl Api {
    pub(super) fn new(plane: &ControlPlane, namespace: &str) -> Api {
        let authority = plane.certificate();
        Api {
            http: crate::https_client(&authority).build().expect("a client"),
            port: plane.apiserver_port(),
            authority,
            namespace: namespace.to_owned(),
        }
    }

    /// The objects of a kind, such as `/api/v1` and `pods`.
    pub(super) fn list(&self, group: &str, kind: &str) -> Result<Vec<Value>, Trouble> {
        let path = self.path(group, kind);
        match self.send(Method::GET, &path, None)? {
            (200, mut list) => Ok(match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            }),
            (code, answer) => Err(wrong(&format!("GET {path}"), code, &answer)),
        }
    }

    /// An object, such as `secrets/podseal-tls`, if there is one.
    pub(super) fn get(&self, group: &str, object: &str) -> Result<Option<Value>, Trouble> {
        self.write(Method::GET, &self.path(group, object), None)
    }

    /// Creates an object, or a subresource of one.
    pub(super) fn post(
        &self,
        group: &str,
        kind: &str,
        object: &Value,
    ) -> Result<Option<Value>, Trouble> {
        self.write(Method::POST, &self.path(group, kind), Some(object))
    }

    /// Merges a patch into an object.
    pub(super) fn patch(&self, group: &str, object: &str, patch: &Value) -> Result<(), Trouble> {
        self.write(Method::PATCH, &self.path(group, object), Some(patch))?;
        Ok(())
    }

    /// Deletes exactly this pod: at once, or within its grace period.
    pub(super) fn delete_pod(&self, pod: &Value, at_once: bool) -> Result<(), Trouble> {
        let path = self.path("/api/v1", &format!("pods/{}", name(pod)));
        let mut options = json!({"preconditions": {"uid": pod["metadata"]["uid"]}});
        if at_once {
            options["gracePeriodSeconds"] = 0.into();
        }
        self.write(Method::DELETE, &path, Some(&options))?;
        Ok(())
    }

    fn path(&self, group: &str, rest: &str) -> String {
        format!("{group}/namespaces/{}/{rest}", self.namespace)
    }

    /// Nothing, where the object has changed or gone in the meantime.
    fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Trouble> {
        let what = format!("{method} {path}");
        match self.send(method, path, body)? {
            (200..=299, answer) => Ok(Some(answer)),
            (404 | 409, _) => Ok(None),
            (_, answer) if is_terminating(&answer) => Ok(None),
            (code, answer) => Err(wrong(&what, code, &answer)),
        }
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Trouble> {
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        let content = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut request = self.http.request(method, url).bearer_auth(ADMIN);
        if let Some(body) = body {
            request = request
                .header("content-type", content)
                .body(body.to_string());
        }
        let answer = crate::block_on(async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.bytes().await?))
        });
        let (code, body) = answer.map_err(|_: reqwest::Error| Trouble::Away)?;
        match code {
            429 | 500.. => Err(Trouble::Away),
            _ => Ok((code, serde_json::from_slice(&body).unwrap_or_default())),
        }
    }
}

/// The name of an object.
pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("it has a name")
}

/// Whether an object is being deleted.
pub(super) fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether a pod's condition is true.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut all = conditions.into_iter().flatten();
    all.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether `current` has all values of `wanted`. The API server omits zeros.
pub(super) fn says(current: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(fields) => fields.iter().all(|(key, value)| says(&current[key], value)),
        Value::Array(items) => {
            let same = current
                .as_array()
                .is_some_and(|all| all.len() == items.len());
            same && items
                .iter()
                .enumerate()
                .all(|(i, item)| says(&current[i], item))
        }
        Value::Number(number) if number.as_u64() == Some(0) => {
            current.is_null() || current == wanted
        }
        _ => current == wanted,
    }
}

/// Nothing is created in a namespace that is going; no controller minds.
fn is_terminating(answer: &Value) -> bool {
    let causes = answer["details"]["causes"].as_array();
    let mut all = causes.into_iter().flatten();
    all.any(|cause| cause["reason"] == "NamespaceTerminating")
}

fn wrong(what: &str, code: u16, answer: &Value) -> Trouble {
    Trouble::Wrong(format!("{what}: {code}: {}", answer["message"]))
}
