//! podseal while its API server, or the network to it, fails: a response is right,
//! or it is a denial with the reason; and it is right again in the end.

use cases::review::{as_sent, review};
use serde_json::Value;
use support::block_on;
use support::podseal::Podseal;

mod api_server;
mod look_ups;
mod megabytes;
mod network;
mod protocol;

/// podseal's response for a job in a namespace.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    /// It was corrected by this profile.
    Profile(String),
    /// It was denied.
    Denied(u64, String),
}

impl Answer {
    fn profile(name: &str) -> Answer {
        Answer::Profile(name.to_owned())
    }

    fn is_denied(&self, reason: &str) -> bool {
        matches!(self, Answer::Denied(503, message) if message.contains(reason))
    }
}

/// A client that calls podseal as the API server does, with keep-alive.
struct Caller {
    client: reqwest::Client,
    url: String,
}

impl Caller {
    fn of(podseal: &Podseal) -> Caller {
        Caller {
            client: podseal.client().http1_only().build().expect("a client"),
            url: format!("{}/mutate", podseal.url),
        }
    }

    /// Asks about a job in `namespace`.
    fn call(&self, namespace: &str) -> Answer {
        block_on(self.send(namespace))
    }

    /// The same for some at once.
    fn call_all(&self, namespaces: &[String]) -> Vec<Answer> {
        block_on(futures::future::join_all(
            namespaces.iter().map(|namespace| self.send(namespace)),
        ))
    }

    async fn send(&self, namespace: &str) -> Answer {
        let pod = cases::fixture("default-with-service");
        self.send_pod(namespace, pod).await
    }

    async fn send_pod(&self, namespace: &str, pod: Value) -> Answer {
        let review = review("u", namespace, &pod);
        let request = self.client.post(&self.url).body(as_sent(&review));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let answer = answer.bytes().await.expect("a whole answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let response = &answer["response"];
        if response["allowed"] == true {
            let profile = &response["auditAnnotations"]["profile"];
            return Answer::profile(profile.as_str().unwrap_or("none at all"));
        }
        let status = &response["status"];
        assert_eq!(status["details"]["retryAfterSeconds"], 1, "{status}");
        Answer::Denied(
            status["code"].as_u64().expect("a code"),
            status["message"].as_str().expect("a message").to_owned(),
        )
    }
}

/// How often podseal has listed the namespaces.
fn lists(podseal: &Podseal) -> usize {
    let lines = podseal.lines();
    let is_list = |line: &&String| line.contains("listed the namespaces that opt in");
    lines.iter().filter(is_list).count()
}
