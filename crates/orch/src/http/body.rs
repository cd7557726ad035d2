//! Bodies of requests: one JSON object, read field by field, so that a refusal names the field and a slip of the hand
//! is not taken for a wish.

use super::Problem;
use crate::config::problem::nearest;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest time a body may take to come to its end.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// The raw body.
pub(super) struct Raw(Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await.map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come to its end in time")
        })?;
        read.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 2 MiB")
            }
            _ => Problem::bad("the body could not be read to its end"),
        })
    }
}

impl Raw {
    /// Its fields; nothing at all is an object without fields. Other fields than the known ones are refused.
    pub(super) fn fields(&self, known: &[&str]) -> Result<Fields, Problem> {
        if self.0.iter().all(u8::is_ascii_whitespace) {
            return Ok(Fields(Map::new()));
        }
        let map = match serde_json::from_slice(&self.0) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err(Problem::bad("the body must be a JSON object")),
            Err(error) => return Err(Problem::bad(format!("the body is not JSON: {error}"))),
        };
        if let Some(unknown) = map.keys().find(|k| !known.contains(&k.as_str())) {
            let problem = Problem::bad(format!("`{}`: there is no such field here", unknown.escape_debug()));
            return Err(match nearest(unknown, known.iter().copied()) {
                Some(name) => problem.hint(format!("did you mean `{name}`?")),
                None if known.is_empty() => problem.hint("this takes no fields"),
                None => problem.hint(format!("fields: {}", known.join(", "))),
            });
        }
        Ok(Fields(map))
    }
}

/// Fields of a body.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// A text, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::bad(format!("`{name}` must be a text"))),
        }
    }
    /// A text that must be there and say something.
    pub(super) fn needed(&mut self, name: &str) -> Result<String, Problem> {
        let text = self.text(name)?.ok_or_else(|| Problem::bad(format!("`{name}` is missing")))?;
        if text.trim().is_empty() {
            return Err(Problem::bad(format!("`{name}` is empty")));
        }
        Ok(text)
    }
    /// A whole number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(n)) if n.is_i64() => Ok(n.as_i64()),
            Some(_) => Err(Problem::bad(format!("`{name}` must be a whole number"))),
        }
    }
    /// Names: a list of texts that say something; none if it is not there.
    pub(super) fn names(&mut self, name: &str) -> Result<Vec<String>, Problem> {
        let wrong = || Problem::bad(format!("`{name}` must be a list of names"));
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .into_iter()
                .map(|value| match value {
                    Value::String(text) if !text.trim().is_empty() => Ok(text),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }
    /// A yes or no; no if it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Problem::bad(format!("`{name}` must be true or false"))),
        }
    }
}
