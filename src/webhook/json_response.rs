//! An answer that is JSON already.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// The response with this body.
pub(super) fn json_response(answer: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}
