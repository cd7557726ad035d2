//! What people arrange about a task: that it is held for a while, that its ticket says something else, that it is finished
//! outside of orch or taken back. As with every act, a handler only turns a request into an event.

use super::acts::{Reply, answered, ask, key_of, plain};
use super::body::Raw;
use super::guard::Caller;
use super::tasks::find;
use super::{AppState, Problem};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use orch_core::event::Event;
use orch_core::ids::WorkItem;
use orch_engine::view::rfc3339;
use orch_ports::attachment::{Attachment, FILE_MOST};
use serde_json::json;

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

/// Its ticket says something else.
pub(super) async fn edit(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let mut fields = body.fields(&["title", "body"])?;
    let (title, body) = (fields.text("title")?, fields.text("body")?);
    if title.is_none() && body.is_none() {
        return Err(Problem::bad("`title` or `body` is missing"));
    }
    let task = find(&state, &id).await?;
    ask(&state, &task, "edit", &caller, Event::EditAsked { by: caller.actor.clone(), title, body }).await.map(Json)
}

/// It is finished outside of orch.
pub(super) async fn finish(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let reason = body.fields(&["reason"])?.needed("reason")?;
    let task = find(&state, &id).await?;
    ask(&state, &task, "finish", &caller, Event::FinishAsked { by: caller.actor.clone(), reason }).await.map(Json)
}

/// What is merged is taken back.
pub(super) async fn revert(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let reason = body.fields(&["reason"])?.text("reason")?;
    let task = find(&state, &id).await?;
    ask(&state, &task, "revert", &caller, Event::RevertAsked { by: caller.actor.clone(), reason }).await.map(Json)
}

/// Others are to be over before it starts.
pub(super) async fn after(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let mut fields = body.fields(&["add", "remove"])?;
    let (add, remove) = (fields.names("add")?, fields.names("remove")?);
    if add.is_empty() && remove.is_empty() {
        return Err(Problem::bad("`add` or `remove` is missing: a list of tasks"));
    }
    let task = find(&state, &id).await?;
    let item = &task.work_item;
    let key = key_of(&state, item, "after", &caller);
    let items = |names: Vec<String>| names.iter().map(|name| WorkItem::new(name.trim())).collect();
    let answer = state.engine.start_after(item, &key, &caller.actor, items(add), items(remove)).await?;
    answered(&state, item, answer).await.map(Json)
}

/// A file is put to its ticket; the body is the file.
pub(super) async fn attach(
    State(state): State<AppState>,
    Path((id, name)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let content = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("{} has more than {FILE_MOST} bytes, the most for a file", name.escape_debug());
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        }
        _ => Problem::bad("the file could not be read to its end"),
    })?;
    let task = find(&state, &id).await?;
    let item = &task.work_item;
    let key = format!("{}:{name}", key_of(&state, item, "attach", &caller));
    let answer = state.engine.attach(item, &key, &caller.actor, &name, &content).await?;
    answered(&state, item, answer).await.map(Json)
}

/// Files on its ticket.
pub(super) async fn files(State(state): State<AppState>, Path(id): Path<String>) -> Reply {
    let task = find(&state, &id).await?;
    let files = state.engine.attachments(&task.work_item).await?;
    let view = |f: &Attachment| {
        let at = rfc3339(f.at);
        json!({ "name": f.name, "size": f.size, "sha256": f.sha256, "by": f.by, "at": at })
    };
    Ok(Json(json!({ "files": files.iter().map(view).collect::<Vec<_>>() })))
}
