//! The reviews, and the check that their responses are correct.

use std::path::PathBuf;

use cases::answer::corrected;
use cases::fixture;
use cases::review::review_of;
use serde_json::{Value, json};

use super::common::identity::Identity;
use super::common::server::Server;

/// The pod of a real job, with a service.
pub(crate) const POD: &str = "default-with-service";
/// The profile of its namespace.
pub(crate) const PROFILE: &str = "rootless";
/// The namespace that [`review_of`] names.
pub(crate) const NAMESPACE: &str = "gitlab-ci";
/// The user who creates it.
const RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// The two reviews of creating [`POD`], as files for the load generator.
pub(crate) struct Reviews {
    folder: tempfile::TempDir,
}

impl Reviews {
    /// Writes them.
    pub(crate) fn write() -> Reviews {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let reviews = Reviews { folder };
        let pod = fixture(POD);
        // The validating webhook reviews the corrected pod.
        let judged = corrected(&pod, PROFILE);
        for (path, pod) in [(reviews.mutate(), &pod), (reviews.validate(), &judged)] {
            std::fs::write(path, review_of(pod).to_string()).expect("the folder can be written");
        }
        reviews
    }

    /// The review for `/mutate`.
    pub(crate) fn mutate(&self) -> PathBuf {
        self.folder.path().join("mutate.json")
    }

    /// The review for `/validate`.
    pub(crate) fn validate(&self) -> PathBuf {
        self.folder.path().join("validate.json")
    }

    /// Checks that the pod is corrected and then allowed, so that the benchmark measures
    /// corrections and not denials.
    pub(crate) fn check(&self, server: &Server, identity: &Identity) {
        let answer = ask(server, identity, "/mutate", self.mutate());
        assert_eq!(answer["patchType"], "JSONPatch", "{answer:#}");
        let answer = ask(server, identity, "/validate", self.validate());
        assert_eq!(answer["allowed"], true, "{answer:#}");
    }
}

fn ask(server: &Server, identity: &Identity, path: &str, review: PathBuf) -> Value {
    let body = std::fs::read(review).expect("it was written");
    let client = support::https_client(&identity.ca).build();
    let url = format!("https://{}{path}", server.address);
    let request = client.expect("a client").post(url).body(body);
    let answer: Value = support::block_on(async {
        let response = request.send().await.expect("it answers");
        let bytes = response.bytes().await.expect("it answers whole");
        serde_json::from_slice(&bytes).expect("it answers JSON")
    });
    answer["response"].clone()
}

/// A namespace that opts in and names its runner.
pub(crate) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"podseal.io/profile": PROFILE},
            "annotations": {"podseal.io/runner": RUNNER},
        },
    })
}
