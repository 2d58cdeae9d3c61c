//! Deletes pods of trials, as whom that is allowed.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::doctor::look::{Cluster, escaped, message};

/// How long after a request to create a pod the pod can still appear: the API server ends a
/// request after 60 s, of which the doctor waited half.
const LATE: Duration = Duration::from_secs(35);
/// How long the API server may fail before a pod counts as left.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends a request as the user of the kubeconfig, and where that is not allowed, as the
/// runner, which may do all that a trial takes.
pub(super) async fn ask_as_either<T: DeserializeOwned>(
    cluster: &Cluster,
    runner: Option<&str>,
    method: &str,
    path: &str,
    body: &[u8],
) -> kube::Result<T> {
    let own = cluster.ask(method, path, None, body.to_vec()).await;
    match own {
        Err(kube::Error::Api(status)) if status.code == 403 && runner.is_some() => {
            cluster.ask(method, path, runner, body.to_vec()).await
        }
        own => own,
    }
}

/// Deletes a pod. `may_appear` where it is not known whether it was created.
///
/// # Errors
/// Why it may still be there.
pub async fn pod(
    cluster: &Cluster,
    runner: Option<&str>,
    namespace: &str,
    name: &str,
    may_appear: bool,
) -> Result<(), String> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}",
        escaped(namespace),
        escaped(name)
    );
    let body = br#"{"gracePeriodSeconds": 0}"#;
    let start = Instant::now();
    loop {
        let deleted = ask_as_either::<Value>(cluster, runner, "DELETE", &path, body).await;
        let why = match deleted {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if !may_appear || start.elapsed() >= LATE {
                    return Ok(());
                }
                None
            }
            Err(error) => Some((message(&error), is_final(&error))),
        };
        if let Some((why, is_final)) = why
            && (is_final || start.elapsed() >= PATIENCE)
        {
            return Err(why);
        }
        sleep(PAUSE).await;
    }
}

/// Whether the same request fails again.
fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::scripted_api_server::ApiServer;

    /// How a pod is deleted where the API server answers so, and as whom.
    fn deleted(codes: &[u16], may_appear: bool) -> (Result<(), String>, Vec<Option<String>>) {
        let server = ApiServer::with_codes(codes);
        let result = server.run(async |cluster| {
            pod(
                &cluster,
                Some("runner"),
                "ci",
                "podseal-doctor-1",
                may_appear,
            )
            .await
        });
        (result, server.users())
    }

    #[test]
    fn a_pod_that_appears_after_its_creation_seemed_to_fail_is_deleted() {
        let (result, requests) = deleted(&[404, 200], true);
        assert_eq!((result, requests.len()), (Ok(()), 2));
        let (result, requests) = deleted(&[404], false);
        assert_eq!((result, requests.len()), (Ok(()), 1));
    }

    #[test]
    fn it_is_deleted_as_the_runner_where_only_that_may() {
        let (result, users) = deleted(&[403, 200], false);
        assert_eq!(result, Ok(()));
        assert_eq!(users, [None, Some("runner".to_owned())]);
    }

    #[test]
    fn a_pod_that_nobody_may_delete_is_left_with_the_reason() {
        let (result, _) = deleted(&[403, 403], false);
        assert_eq!(result, Err("as you say (code 403)".to_owned()));
        let (result, _) = deleted(&[500, 200], false);
        assert_eq!(result, Ok(()));
    }
}
