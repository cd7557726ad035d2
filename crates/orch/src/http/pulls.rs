//! What changes look like, and the pull requests of a project. The routes that show source code stand behind
//! `guard::token_needed`, although they only read.

use super::body::Raw;
use super::guard::Caller;
use super::tasks::find;
use super::{AppState, Problem};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use orch_core::ids::ProjectKey;
use orch_engine::pulls::{Change, Pull, Reply};
use orch_ports::diff::{DiffFile, DiffLimits};
use orch_ports::git::EntryKind;
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest title, characters.
const TITLE_MAX: usize = 300;
/// Longest text of a pull request, bytes.
const TEXT_MAX: usize = 64 * 1024;

/// How much of a difference.
#[derive(Deserialize)]
pub(super) struct DiffQuery {
    /// The files alone, without the text.
    stat: Option<String>,
}

impl DiffQuery {
    fn limits(&self) -> DiffLimits {
        let all = DiffLimits::default();
        match self.stat.as_deref() {
            None | Some("false" | "0" | "no") => all,
            Some(_) => DiffLimits { text: 0, ..all },
        }
    }
}

/// What was asked for, or the refusal.
pub(crate) fn given<T>(reply: Reply<T>) -> Result<T, Problem> {
    match reply {
        Reply::Given(value) => Ok(value),
        Reply::Refused { why, hint } => Err(match hint {
            Some(hint) => Problem::refused(why).hint(hint),
            None => Problem::refused(why),
        }),
    }
}

pub(super) async fn task_diff(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Value>, Problem> {
    let task = find(&state, &id).await?;
    let limits = query.limits();
    let change = given(state.engine.change_of(&task, limits).await?)?;
    let mut shown = change_view(&change, limits);
    shown["task"] = json!(task.work_item);
    Ok(Json(shown))
}

pub(super) async fn list(State(state): State<AppState>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    let key = project(&state, &key)?;
    let pulls = state.engine.pulls(&key).await?;
    let cut = orch_ports::forge::PULLS_LISTED <= pulls.len();
    Ok(Json(json!({ "project": key, "pulls": pulls.iter().map(pull_view).collect::<Vec<_>>(), "truncated": cut })))
}

pub(super) async fn diff(
    State(state): State<AppState>,
    Path((key, number)): Path<(String, String)>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Value>, Problem> {
    let key = project(&state, &key)?;
    let number = number.trim_start_matches('#').parse::<u64>().ok().filter(|n| 0 < *n);
    let number = number.ok_or_else(|| Problem::bad("a pull request is named by its number, 1 or more"))?;
    let limits = query.limits();
    let (pull, change) = given(state.engine.pull_change(&key, number, limits).await?)?;
    let mut shown = change_view(&change, limits);
    shown["pull"] = pull_view(&pull);
    Ok(Json(shown))
}

pub(super) async fn open(
    State(state): State<AppState>,
    Path(key): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut fields = body.fields(&["branch", "title", "body"])?;
    let branch = fields.needed("branch")?;
    let title = fields.text("title")?.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    if title.as_ref().is_some_and(|t| TITLE_MAX < t.chars().count() || t.chars().any(char::is_control)) {
        return Err(Problem::bad(format!("`title` must be one line of at most {TITLE_MAX} characters")));
    }
    let text = fields.text("body")?.unwrap_or_default();
    if TEXT_MAX < text.len() {
        return Err(Problem::bad("`body` is longer than 64 KiB"));
    }
    let key = project(&state, &key)?;
    let opened = given(state.engine.open_pull(&key, &caller.actor, &branch, (title.as_deref(), &text)).await?)?;
    let (number, by) = (opened.pull.pull.number, &caller.actor);
    if !opened.existed {
        tracing::info!(project = %key, number, %by, "a pull request was opened for a person's branch");
    }
    let status = if opened.existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "project": key, "existed": opened.existed, "pull": pull_view(&opened.pull) }))))
}

/// A project by its key; upper and lower case do not matter.
fn project(state: &AppState, key: &str) -> Result<ProjectKey, Problem> {
    let projects = state.engine.projects();
    let found = projects.keys().find(|k| k.as_str().eq_ignore_ascii_case(key.trim())).cloned();
    found.ok_or_else(|| {
        let all: Vec<&str> = projects.keys().map(ProjectKey::as_str).collect();
        Problem::missing(format!("there is no project `{}`", key.escape_debug()))
            .hint(format!("projects: {}", all.join(", ")))
    })
}

fn pull_view(pull: &Pull) -> Value {
    let p = &pull.pull;
    json!({
        "number": p.number, "title": p.title, "branch": p.head_branch, "head": p.head, "into": p.base_branch,
        "state": p.state, "author": pull.author, "task": pull.task, "url": p.url,
    })
}

/// A word for how a file changed.
pub(crate) fn how(file: &DiffFile) -> &'static str {
    match file.how {
        'A' => "added",
        'D' => "deleted",
        'T' => "kind changed",
        _ => "modified",
    }
}

/// What a path stands for, if it is no plain file.
pub(crate) fn kind(file: &DiffFile) -> &'static str {
    match file.kind {
        EntryKind::File => "file",
        EntryKind::Link => "link",
        EntryKind::Submodule => "submodule",
    }
}

fn change_view(change: &Change, limits: DiffLimits) -> Value {
    let diff = &change.diff;
    let counted = |pick: fn((u64, u64)) -> u64| -> u64 { diff.files.iter().filter_map(|f| f.lines).map(pick).sum() };
    let file = |f: &DiffFile| {
        json!({
            "path": f.path, "how": how(f), "kind": kind(f), "binary": f.binary,
            "added": f.lines.map(|l| l.0), "removed": f.lines.map(|l| l.1),
        })
    };
    json!({
        "from": change.from, "to": change.to, "merged": change.merged,
        "files": diff.files.iter().map(file).collect::<Vec<_>>(),
        "files_total": diff.total,
        // Of the files that are listed and have lines.
        "added": counted(|l| l.0), "removed": counted(|l| l.1),
        "text": (0 < limits.text).then_some(&diff.text),
        "truncated": {
            "files": (diff.files.len() as u64) < diff.total, "text": diff.text_cut,
            "long_files": diff.files_cut, "lines": diff.lines_cut,
            "counts": diff.files.iter().any(|f| f.lines.is_none() && !f.binary),
        },
    })
}
