//! Responses from encoded JSON.

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::fairness::budget::Reservation;

/// A response with this JSON.
pub(super) fn json_response(answer: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// A response with this JSON, whose memory stays reserved until it is sent. Otherwise
/// clients that do not read could make connections buffer any amount of responses.
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
