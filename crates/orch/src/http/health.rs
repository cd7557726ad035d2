//! Is it alive, is it ready, is it well? `/health` keeps its exact words for the probes people have; a watcher that
//! fails shows there before anybody misses what it should have found.

use super::{AppState, Problem};
use crate::reload::Pending;
use axum::Json;
use axum::extract::State;
use orch_engine::standing::Trouble;
use orch_engine::view::PauseView;
use serde::Serialize;

/// Answer of `/health`. Field order is part of what is pinned.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    service: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    troubles: Vec<Trouble>,
    /// What is paused. That is nothing that fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paused: Vec<PauseView>,
    /// What of the configuration file is not in force. That is nothing that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<Pending>,
}

#[derive(Serialize)]
struct Degraded {
    watcher: String,
    fault: String,
}

pub(super) async fn health(State(state): State<AppState>) -> Json<Health> {
    let failing = state.engine.failing_watchers();
    let degraded: Vec<Degraded> = failing.into_iter().map(|(watcher, fault)| Degraded { watcher, fault }).collect();
    let troubles = state.engine.troubles().await.unwrap_or_else(|fault| vec![Trouble::of_store(&fault.text)]);
    let configuration = state.reload.as_ref().and_then(|reload| reload.pending());
    let well = degraded.is_empty() && troubles.is_empty();
    Json(Health {
        status: if well { "ok" } else { "degraded" },
        service: "orchestrator",
        degraded,
        troubles,
        paused: state.engine.paused(),
        configuration,
    })
}

/// The process answers: nothing else is asked.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Can it work? Only with a store that can be read.
pub(super) async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    match state.engine.store().recall(&orch_store::Fact::Draining).await {
        Ok(_) => Ok("ok\n"),
        Err(error) => Err(Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            format!("the store cannot be read: {error}"),
        )),
    }
}
