//! What people arrange about a task: that it is held for a while, and goes on. As with every act, a handler only turns a
//! request into an event.

use super::AppState;
use super::acts::{Reply, ask, plain};
use super::body::Raw;
use super::guard::Caller;
use super::tasks::find;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use orch_core::event::Event;

/// Nothing new of it begins.
pub(super) async fn hold(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let reason = body.fields(&["reason"])?.text("reason")?;
    let task = find(&state, &id).await?;
    let event = Event::PutOnHold { by: caller.actor.clone(), reason };
    ask(&state, &task, "hold", &caller, event).await.map(Json)
}

/// It goes on.
pub(super) async fn release(state: State<AppState>, id: Path<String>, caller: Extension<Caller>, body: Raw) -> Reply {
    plain(state, id, caller, &body, "release", |by| Event::Released { by }).await
}
