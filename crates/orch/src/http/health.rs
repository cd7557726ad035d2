//! Is it alive, is it ready, is it well? `/health` keeps its exact words for the probes people have; a watcher that
//! fails shows there before anybody misses what it should have found.

use super::{AppState, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

/// Answer of `/health`. Field order is part of what is pinned.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    service: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
}

#[derive(Serialize)]
struct Degraded {
    watcher: String,
    fault: String,
}

pub(super) async fn health(State(state): State<AppState>) -> Json<Health> {
    let failing = state.engine.failing_watchers();
    let degraded: Vec<Degraded> = failing.into_iter().map(|(watcher, fault)| Degraded { watcher, fault }).collect();
    Json(Health { status: if degraded.is_empty() { "ok" } else { "degraded" }, service: "orchestrator", degraded })
}

/// The process answers: nothing else is asked.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Can it work? Only with a store that can be read.
pub(super) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    match state.engine.store().setting("draining").await {
        Ok(_) => Ok("ok\n"),
        Err(error) => Err(Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            format!("the store cannot be read: {error}"),
        )),
    }
}
