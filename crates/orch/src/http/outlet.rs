//! The one way out: every answer passes here, whoever made it. Decides in which writing a foreign text may leave: without the
//! keys orch knows, and without characters that control what shows them. A handler cannot forget it.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use orch_core::plain;
use orch_ports::masks;

/// What an answer is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Page,
    Text,
    Events,
}

impl Kind {
    /// `None`: nothing foreign is in it (styles, scripts, pictures of orch's own).
    fn of(response: &Response) -> Option<Self> {
        let named = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        match named.split(';').next()?.trim() {
            "application/json" => Some(Self::Json),
            "text/html" => Some(Self::Page),
            "text/plain" => Some(Self::Text),
            "text/event-stream" => Some(Self::Events),
            _ => None,
        }
    }

    fn clean(self, text: &str) -> String {
        match self {
            Self::Json => plain::in_json(&masks::mask_json(text)).into_owned(),
            Self::Events => plain::in_json(&events(text)).into_owned(),
            Self::Page => plain::in_page(&masks::mask(text)).into_owned(),
            Self::Text => masks::readable(text),
        }
    }
}

/// Events, each line of data masked as the JSON it is.
fn events(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("data: ") {
        Some(data) => format!("data: {}", masks::mask_json(data)),
        None => masks::mask(line).into_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// An answer as it may be read by anybody who may ask for it.
pub(super) async fn readable(response: Response) -> Response {
    let Some(kind) = Kind::of(&response) else { return response };
    let (mut parts, body) = response.into_parts();
    if kind == Kind::Events {
        // One event is one piece.
        let events = body.into_data_stream().map(move |piece| {
            piece.map(|bytes| Bytes::from(kind.clean(&String::from_utf8_lossy(&bytes)).into_bytes()))
        });
        return Response::from_parts(parts, Body::from_stream(events));
    }
    // The answer to HEAD keeps the length that GET would have.
    if body.is_end_stream() {
        return Response::from_parts(parts, body);
    }
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(kind.clean(&String::from_utf8_lossy(&bytes))))
        }
        // An answer that broke off was nobody's but ours.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
