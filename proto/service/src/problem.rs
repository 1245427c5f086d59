//! What went wrong with a request, in JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

/// What went wrong with a request: a status, a code for programs and a message for people.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: String,
    message: String,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// There is no such place.
    #[must_use]
    pub fn not_found() -> Self {
        let message = "there is only what /openapi.json lists";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// There is, but not with this method.
    #[must_use]
    pub fn method() -> Self {
        let message = "not with this method: /openapi.json lists what there is";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let body = Json(json!({ "error": { "code": code, "message": message } }));
        let mut response = (status, body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
