//! A refusal in the one form all of them have: `{"error": {"code", "message", "hint"}}`. The code is for programs, the
//! message for people, the hint says what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use orch_core::fault_code::FaultCode;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_store::StoreError;
use serde_json::json;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A refusal without a hint.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None }
    }
    /// The request is wrong in itself.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
    /// There is no such thing.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
    /// The state of things does not allow it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "refused", message)
    }
    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "hint": self.hint });
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = match fault.kind {
            FaultKind::Transient => StatusCode::SERVICE_UNAVAILABLE,
            FaultKind::Denied => StatusCode::BAD_GATEWAY,
            FaultKind::Gone => StatusCode::NOT_FOUND,
            FaultKind::Permanent | FaultKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(%fault, "a request could not be answered");
        }
        let hint = match (fault.code, fault.kind) {
            (FaultCode::NoRoom, _) => Some("free some space on this machine; orch goes on by itself"),
            (FaultCode::NotInstalled, _) => Some("`orch doctor` says which programs are missing and how to get them"),
            (_, FaultKind::Transient) => Some("this passes by itself: try again in a moment"),
            (_, FaultKind::Denied) => Some("`orch doctor` says which credentials are missing"),
            (_, FaultKind::Gone | FaultKind::Permanent | FaultKind::Bug) => None,
        };
        Self { hint: hint.map(str::to_owned), ..Self::new(status, fault.code.as_str(), fault.text) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Fault::from(error).into()
    }
}
