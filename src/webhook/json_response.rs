//! An answer that is JSON already.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::fairness::budget::Reservation;

/// The response with this body.
pub(super) fn json_response(answer: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The same, charged to `memory` until the connection has sent it. A client that does
/// not read leaves its answers with the connection, for as long as that lasts.
pub(super) fn charged_json_response(mut answer: Vec<u8>, mut memory: Reservation) -> Response {
    answer.shrink_to_fit();
    memory.shrink_to(answer.capacity());
    let answer = Bytes::from_owner(ChargedAnswer {
        answer,
        _memory: memory,
    });
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

struct ChargedAnswer {
    answer: Vec<u8>,
    _memory: Reservation,
}

impl AsRef<[u8]> for ChargedAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}
