//! What is asked, and the proof that it is answered as it should be.

use std::path::PathBuf;

use cases::answer::corrected;
use cases::fixture;
use cases::review::review_of;
use serde_json::{Value, json};

use super::identity::Identity;
use super::server::Server;

/// The pod: a real job's, with a service.
pub(crate) const POD: &str = "default-with-service";
/// The profile of its namespace.
pub(crate) const PROFILE: &str = "rootless";
/// The namespace that [`review_of`] names.
pub(crate) const NAMESPACE: &str = "gitlab-ci";
/// Who creates it there.
const RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// The two reviews of creating [`POD`], as files that a load generator reads.
pub(crate) struct Reviews {
    folder: tempfile::TempDir,
}

impl Reviews {
    /// Writes them.
    pub(crate) fn write() -> Reviews {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let reviews = Reviews { folder };
        let pod = fixture(POD);
        // What is judged is the pod as it was corrected.
        let judged = corrected(&pod, PROFILE);
        for (path, pod) in [(reviews.mutate(), &pod), (reviews.validate(), &judged)] {
            std::fs::write(path, review_of(pod).to_string()).expect("the folder can be written");
        }
        reviews
    }

    /// The review that `/mutate` gets.
    pub(crate) fn mutate(&self) -> PathBuf {
        self.folder.path().join("mutate.json")
    }

    /// The review that `/validate` gets.
    pub(crate) fn validate(&self) -> PathBuf {
        self.folder.path().join("validate.json")
    }

    /// Sees to it that the pod is corrected and then passes, so that what is
    /// measured is a review that has something to do, and no denial.
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
