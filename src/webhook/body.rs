//! Reads the body of a request, with limits of size, time and memory.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::fairness::budget::Reservation;
use admission::request::UID_LENGTH;

/// The largest review: an object of 3 MiB twice, and the rest of the review.
pub const MAX_BODY_BYTES: usize = 7 * 1024 * 1024;

/// How much of a body is searched for its uid. The API server writes the uid before
/// the object.
const BEGINNING: usize = 4096;

/// A body and its memory reservation.
pub struct BufferedBody {
    /// The body.
    pub bytes: Vec<u8>,
    /// Its memory.
    pub memory: Reservation,
}

/// Why a body cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over [`MAX_BODY_BYTES`].
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The client closed the connection.
    #[error("the body ended early")]
    Truncated,
    /// The client took too long.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// Other reviews use the available memory.
    #[error("too many large reviews at once; try again")]
    NoMemory {
        /// The review's uid, if it is near the beginning.
        uid: Option<String>,
    },
}

/// Reads `body` within `time`. `memory` creates an empty reservation for it.
///
/// Memory is reserved as bytes arrive, not by `Content-Length`, so that clients cannot
/// reserve memory without sending data.
pub async fn read(
    body: Body,
    memory: impl Fn() -> Reservation,
    time: Duration,
) -> Result<BufferedBody, BodyError> {
    match tokio::time::timeout(time, read_on(body, memory)).await {
        Ok(read) => read,
        Err(_) => Err(BodyError::TooSlow),
    }
}

async fn read_on(
    mut body: Body,
    memory: impl Fn() -> Reservation,
) -> Result<BufferedBody, BodyError> {
    let mut held = BufferedBody {
        bytes: Vec::new(),
        memory: memory(),
    };
    let mut length = 0;
    let mut uid = None;
    let mut is_shed = false;
    while let Some(data) = next(&mut body).await? {
        length += data.len();
        if length > MAX_BODY_BYTES {
            return Err(BodyError::TooLarge);
        }
        // Clients read the response only after they sent the body, so the rest of a shed
        // body is read and discarded.
        if !is_shed && !held.take(&data) {
            is_shed = true;
            uid = beginning(&held.bytes, &data);
            held = BufferedBody {
                bytes: Vec::new(),
                memory: memory(),
            };
        }
    }
    if is_shed {
        return Err(BodyError::NoMemory { uid });
    }
    Ok(held)
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    match body.frame().await {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(_)) => Err(BodyError::Truncated),
    }
}

impl BufferedBody {
    fn take(&mut self, data: &[u8]) -> bool {
        let length = self.bytes.len() + data.len();
        if length > self.bytes.capacity() {
            let capacity = length.next_power_of_two();
            // Reallocation may require both buffers for a moment.
            if !self.memory.grow_to(capacity + self.bytes.capacity()) {
                return false;
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.memory.shrink_to(self.bytes.capacity());
        }
        self.bytes.extend_from_slice(data);
        true
    }
}

/// The uid at the beginning of a body, which consists of two parts.
fn beginning(held: &[u8], data: &[u8]) -> Option<String> {
    let mut bytes = held[..held.len().min(BEGINNING)].to_vec();
    let rest = BEGINNING - bytes.len();
    bytes.extend_from_slice(&data[..data.len().min(rest)]);
    uid(&bytes)
}

/// `request.uid` of a review that may be incomplete. With it, a shed review gets a
/// response that the API server accepts.
pub fn uid(review: &[u8]) -> Option<String> {
    let mut uid = None;
    let review = &review[..review.len().min(BEGINNING)];
    let mut json = serde_json::Deserializer::from_slice(review);
    // Ends with an error at the uid, or at the end of the beginning.
    let _ = FindString(&["request", "uid"], &mut uid).deserialize(&mut json);
    uid.filter(|uid: &String| uid.len() <= UID_LENGTH)
}

/// Finds the string at this path.
struct FindString<'f>(&'f [&'f str], &'f mut Option<String>);

impl<'de> DeserializeSeed<'de> for FindString<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.is_empty() {
            *self.1 = Some(String::deserialize(deserializer)?);
            Err(D::Error::custom("found"))
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for FindString<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let FindString([first, rest @ ..], uid) = self else {
            return Ok(());
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *first {
                map.next_value_seed(FindString(rest, uid))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fairness::budget::Budget;

    #[test]
    fn finds_the_uid_of_a_review_that_is_cut() {
        let review =
            br#"{"kind":"AdmissionReview","request":{"kind":{"uid":"no"},"uid":"u-1","object":{"#;
        assert_eq!(uid(review).as_deref(), Some("u-1"));
        assert_eq!(uid(&review[..60]), None);
        assert_eq!(uid(br#"{"request":{"uid":7}}"#), None);
        assert_eq!(uid(br#"{"uid":"u-1"}"#), None);
        assert_eq!(uid(b"[[[["), None);
        let long = format!(r#"{{"request":{{"uid":"{:129}"}}}}"#, "");
        assert_eq!(
            uid(long.as_bytes()),
            None,
            "it would come back at any length"
        );
    }

    #[tokio::test]
    async fn sheds_what_memory_does_not_hold_and_gives_the_memory_back() {
        let memory = Budget::new(4096);
        let empty = || memory.reserve(0).expect("nothing is always there");
        let review = format!(r#"{{"request":{{"uid":"u","object":"{:5000}"}}}}"#, "");
        let time = Duration::from_secs(5);
        let shed = read(Body::from(review), empty, time).await;
        let uid = Some("u".to_owned());
        assert_eq!(shed.err(), Some(BodyError::NoMemory { uid }));
        let small = read(Body::from("x".repeat(4096)), empty, time).await;
        assert_eq!(small.ok().map(|held| held.bytes.len()), Some(4096));
        assert!(memory.reserve(4096).is_some());
    }
}
