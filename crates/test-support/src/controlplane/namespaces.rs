//! Namespaces, as their users and their controller change them.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use super::{ADMIN, ControlPlane};

const PATH: &str = "/api/v1/namespaces";
/// The number of concurrent requests that create many.
const HANDS: usize = 8;

impl ControlPlane {
    /// Creates a namespace.
    ///
    /// # Panics
    /// If the API server does not accept it.
    pub fn create_namespace(&self, namespace: &Value) {
        let (code, answer) = self.request(ADMIN, Method::POST, PATH, Some(namespace));
        assert_eq!(code, 201, "{answer:#}");
    }

    /// Creates so many namespaces.
    ///
    /// # Panics
    /// If the API server does not accept one.
    pub fn create_namespaces(&self, count: usize, namespace: impl Fn(usize) -> Value + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..HANDS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        self.create_namespace(&namespace(number));
                    }
                });
            }
        });
    }

    /// Deletes a namespace without objects, as its controller does at the end.
    ///
    /// # Panics
    /// If there is none.
    pub fn remove_namespace(&self, name: &str) {
        let path = format!("{PATH}/{name}");
        let (code, namespace) = self.request(ADMIN, Method::DELETE, &path, None);
        assert_eq!(code, 200, "{namespace:#}");
        self.finalize_namespace(namespace);
    }

    /// Removes the finalizers of a namespace that is being deleted.
    ///
    /// # Panics
    /// If the API server does not accept it.
    pub fn finalize_namespace(&self, mut namespace: Value) {
        namespace["spec"]["finalizers"] = json!([]);
        let name = namespace["metadata"]["name"].as_str().expect("a name");
        let path = format!("{PATH}/{name}/finalize");
        let (code, answer) = self.request(ADMIN, Method::PUT, &path, Some(&namespace));
        assert_eq!(code, 200, "{answer:#}");
    }
}
