//! Tasks: making one, listing them, and everything that can be read of one.

use super::body::Raw;
use super::guard::Caller;
use super::views::{EvidenceBody, JournalView, runs as run_views};
use super::{AppState, Problem};
use crate::config::problem::nearest;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use orch_core::event::Event;
use orch_core::ids::{ProjectKey, TaskId, WorkItem};
use orch_core::task::{Phase, Task};
use orch_engine::commands::Answer;
use orch_engine::view::TaskView;
use orch_store::TaskFilter;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest title, characters.
const TITLE_MAX: usize = 300;
/// Longest text of a ticket, bytes.
const TEXT_MAX: usize = 1024 * 1024;
/// Tasks per answer.
const LIST_MAX: u32 = 200;
/// Rows of the journal per answer.
const JOURNAL_MAX: u32 = 1_000;

/// Which tasks.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    project: Option<String>,
    all: Option<String>,
    limit: Option<String>,
    before: Option<String>,
}

/// From where on.
#[derive(Deserialize)]
pub(super) struct AfterQuery {
    after: Option<String>,
}

pub(super) async fn list(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let project = match query.project {
        Some(key) => Some(listed_project(&state, &key).await?),
        None => None,
    };
    let closed = query.all.is_some_and(|all| !matches!(all.as_str(), "false" | "0" | "no"));
    let limit = number(query.limit.as_deref(), "limit")?.unwrap_or(i64::from(LIST_MAX)).clamp(1, i64::from(LIST_MAX));
    let before = number(query.before.as_deref(), "before")?.map(TaskId);
    let limit = u32::try_from(limit).unwrap_or(LIST_MAX);
    let (tasks, next) =
        state.engine.list(TaskFilter { project, closed, limit, before, ..TaskFilter::default() }).await?;
    Ok(Json(json!({ "tasks": tasks, "next": next.map(|id| id.0) })))
}

pub(super) async fn create(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<(StatusCode, Json<TaskView>), Problem> {
    let mut fields = body.fields(&["project", "title", "body", "start", "after", "key"])?;
    let project = known_project(&state, &fields.needed("project")?)?;
    let title = fields.needed("title")?.trim().to_owned();
    if TITLE_MAX < title.chars().count() || title.chars().any(char::is_control) {
        return Err(Problem::bad(format!("`title` must be one line of at most {TITLE_MAX} characters")));
    }
    let text = fields.text("body")?.unwrap_or_default();
    if TEXT_MAX < text.len() {
        return Err(Problem::bad("`body` is longer than 1 MiB"));
    }
    let start = fields.flag("start")?;
    let after = fields.names("after")?;
    // Before a ticket is made: nothing is half done for a slip of the hand.
    let mut others = Vec::new();
    for name in &after {
        others.push(find(&state, name).await?.work_item);
    }
    let key = match fields.text("key")?.filter(|k| !k.trim().is_empty()).or(caller.key) {
        Some(key) if key.len() <= 200 => format!("given:{key}"),
        Some(_) => return Err(Problem::bad("`key` is longer than 200 bytes")),
        None => state.fresh_key(),
    };
    let task = state.engine.new_task(&project, &title, &text, &caller.actor, &key).await?;
    if !others.is_empty() {
        let item = &task.work_item;
        let (key, by) = (format!("{item}:after:{key}"), &caller.actor);
        let answer = state.engine.start_after(item, &key, by, others, Vec::new()).await?;
        // The same request again finds it arranged.
        if let (Answer::Refused(why), true) = (answer, state.engine.task(task.id).await?.wait.after.is_empty())
            && matches!(task.phase, Phase::Idle)
        {
            return Err(Problem::refused(format!("{item} was made, and waits for no other task: {why}"))
                .hint(format!("orch task after {item} {}", after.join(" "))));
        }
    }
    if start {
        let item = &task.work_item;
        let asked = state.engine.ask(item, &format!("{item}:start:{key}"), Event::Started { by: caller.actor }).await?;
        // The same request again finds it started: that is what was wished for.
        let now = state.engine.task(task.id).await?;
        if let (Answer::Refused(why), Phase::Idle) = (asked, &now.phase) {
            return Err(Problem::refused(format!("{item} was made but not started: {why}"))
                .hint(format!("orch task start {item}")));
        }
    }
    let task = state.engine.task(task.id).await?;
    Ok((StatusCode::CREATED, Json(state.engine.show(&task).await?)))
}

pub(super) async fn show(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<TaskView>, Problem> {
    let task = find(&state, &id).await?;
    Ok(Json(state.engine.show(&task).await?))
}

pub(super) async fn why(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let task = find(&state, &id).await?;
    let view = state.engine.show(&task).await?;
    let sentence = sentence(&view);
    let degraded = state.engine.degraded(task.id).await?;
    Ok(Json(json!({
        "id": view.id, "stage": view.stage, "phase": view.phase, "outcome": view.outcome,
        "waiting": view.waiting, "sentence": sentence, "degraded": degraded,
    })))
}

/// The whole answer in a sentence.
fn sentence(view: &TaskView) -> String {
    match &view.waiting {
        None => format!("{} is {}.", view.id, view.line),
        Some(w) => {
            let until =
                w.until.as_ref().map_or_else(String::new, |u| format!(", at the latest looked at again at {u}"));
            format!("{} ({}): {}, since {}; ends when {}{until}.", view.id, view.stage, w.reason, w.since, w.ends_when)
        }
    }
}

pub(super) async fn evidence(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<EvidenceBody>, Problem> {
    let task = find(&state, &id).await?;
    let evidence = state.engine.evidence(&task.work_item).await?;
    evidence.map(|e| Json(e.into())).ok_or_else(|| Problem::missing(format!("there is no task {}", task.work_item)))
}

pub(super) async fn runs(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let task = find(&state, &id).await?;
    let rows = state.engine.runs(&task).await?;
    Ok(Json(json!({ "runs": run_views(&rows) })))
}

pub(super) async fn journal(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<AfterQuery>,
) -> Result<Json<Value>, Problem> {
    let task = find(&state, &id).await?;
    let after = number(query.after.as_deref(), "after")?.unwrap_or(0);
    let rows = state.engine.journal(Some(&task.work_item), after, JOURNAL_MAX).await?;
    let next = rows.last().map_or(after, |r| r.id);
    Ok(Json(json!({ "journal": rows.iter().map(JournalView::from).collect::<Vec<_>>(), "next": next })))
}

/// The journal of all tasks, without a name in it: people are `person-<number>`.
pub(super) async fn whole_journal(
    State(state): State<AppState>,
    Query(query): Query<AfterQuery>,
) -> Result<Json<Value>, Problem> {
    let after = number(query.after.as_deref(), "after")?.unwrap_or(0);
    let rows = state.engine.nameless_journal(after, JOURNAL_MAX).await?;
    let next = rows.last().map_or(after, |r| r.id);
    Ok(Json(json!({ "journal": rows.iter().map(JournalView::from).collect::<Vec<_>>(), "next": next })))
}

/// A row id from a query.
pub(super) fn number(text: Option<&str>, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(n) if 0 <= n => Ok(Some(n)),
        _ => Err(Problem::bad(format!("`{name}` must be a number, 0 or more"))),
    }
}

/// A task by the name people use, or a refusal that knows the nearest one.
pub(crate) async fn find(state: &AppState, id: &str) -> Result<Task, Problem> {
    let store = state.engine.store();
    if let Some(task) = store.task_by_item(&WorkItem::new(id.trim())).await? {
        return Ok(task);
    }
    let known = store.tasks(TaskFilter { closed: true, limit: 500, ..TaskFilter::default() }).await?;
    let problem = Problem::missing(format!("there is no task `{}`", id.escape_debug()));
    Err(match nearest(id, known.iter().map(|t| t.work_item.as_str())) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem.hint("`orch task list --all` shows all there are"),
    })
}

/// A project by key, also one that left the configuration while it has open tasks.
async fn listed_project(state: &AppState, key: &str) -> Result<ProjectKey, Problem> {
    let open = state.engine.store().open_projects().await?;
    match open.into_iter().find(|k| k.as_str().eq_ignore_ascii_case(key.trim())) {
        Some(found) => Ok(found),
        None => known_project(state, key),
    }
}

/// A project by key; upper and lower case do not matter.
pub(super) fn known_project(state: &AppState, key: &str) -> Result<ProjectKey, Problem> {
    let projects = state.engine.projects();
    if let Some(found) = projects.keys().find(|k| k.as_str().eq_ignore_ascii_case(key.trim())) {
        return Ok(found.clone());
    }
    let all: Vec<&str> = projects.keys().map(ProjectKey::as_str).collect();
    Err(Problem::bad(format!("`project`: there is no project `{}`", key.escape_debug()))
        .hint(format!("projects: {}", all.join(", "))))
}
