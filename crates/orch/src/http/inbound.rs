//! Webhooks of other servers. Whoever reaches this port may send here: what is not signed with a secret of the configuration
//! is turned away, and nothing of it is kept. An answer of 2xx says that the delivery is on disk; what it means is found out
//! later. A sender that is slow loses its connection to one that is not, wherever places are short.

use super::{AppState, Problem};
use crate::listen::AtWork;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use orch_adapters::{gitea, plane};
use orch_engine::inbound::Received;
use std::time::Duration;

/// Largest body of a delivery, bytes. Polling finds what a larger one would have told.
const BODY_MAX: usize = 1024 * 1024;
/// Longest time a body may take to come to its end. Gitea itself gives up after 5 s.
const BODY_WITHIN: Duration = Duration::from_secs(10);

const GITEA: &str = "/webhook/gitea";
const PLANE: &str = "/webhook/plane";

/// One address for each sender.
pub(super) fn routes() -> Router<AppState> {
    let limited = || DefaultBodyLimit::max(BODY_MAX);
    Router::new()
        .route(GITEA, post(async |state, request| take(gitea::hook::SOURCE, state, request).await).layer(limited()))
        .route(PLANE, post(async |state, request| take(plane::hook::SOURCE, state, request).await).layer(limited()))
}

/// Is it a request that is opened by a signature?
pub(super) fn is_webhook(request: &Request) -> bool {
    *request.method() == Method::POST && [GITEA, PLANE].contains(&request.uri().path())
}

async fn take(source: &str, State(state): State<AppState>, request: Request) -> Response {
    match taken(source, &state, request).await {
        Ok(status) => status.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn taken(source: &str, state: &AppState, request: Request) -> Result<StatusCode, Problem> {
    let headers = request.headers().clone();
    let work = request.extensions().get::<AtWork>().cloned();
    let reading = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, &()));
    let read = match work {
        Some(work) => work.waiting(reading).await,
        None => reading.await,
    };
    let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come to its end in time");
    let body = read.map_err(slow)?.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            state.engine.too_large(source);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the delivery is larger than 1 MiB")
        }
        _ => Problem::bad("the body could not be read to its end"),
    })?;
    let received = state.engine.receive(source, &|name| text(&headers, name), &body).await.map_err(|fault| {
        tracing::error!(source, %fault, "a delivery could not be kept");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_kept",
            "the delivery could not be kept; polling finds its news",
        )
    })?;
    match received {
        Received::Kept => Ok(StatusCode::ACCEPTED),
        Received::Again => Ok(StatusCode::OK),
        Received::Refused => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "signature",
            "this was not signed with a secret that orch knows",
        )
        .hint(format!("set the same secret there and in [{source}] webhook_secret; content type: application/json"))),
        Received::NotSetUp | Received::Unknown => {
            let message = format!("webhooks of {source} are not taken in");
            Err(Problem::missing(message).hint(format!("set [{source}] webhook_secret or webhook_secret_file")))
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
