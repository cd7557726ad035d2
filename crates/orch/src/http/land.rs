//! Landing a person's own branch: the request, and which task lands it.

use super::body::Raw;
use super::guard::Caller;
use super::tasks::known_project;
use super::{AppState, Problem};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use orch_core::ids::Sha;
use orch_core::source::odd_name;
use orch_engine::land::{LandAnswer, Wish};
use serde_json::{Value, json};

/// Fewest and most hexadecimal digits of a commit.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=64;
/// Longest title, characters.
const TITLE_MAX: usize = 300;

pub(super) async fn land(
    State(state): State<AppState>,
    Path(key): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut fields = body.fields(&["branch", "head", "title"])?;
    let project = known_project(&state, &key)?;
    let branch = fields.needed("branch")?;
    if let Some(why) = odd_name(&branch) {
        return Err(Problem::bad(format!("`branch`: {why}")));
    }
    let head = fields.text("head")?.map(|text| commit(&text)).transpose()?;
    let title = fields.text("title")?.map(|text| text.trim().to_owned());
    if title.as_ref().is_some_and(|t| t.is_empty() || TITLE_MAX < t.chars().count() || t.chars().any(char::is_control))
    {
        return Err(Problem::bad(format!("`title` must be one line of at most {TITLE_MAX} characters")));
    }
    let wish = Wish { project, branch, head, title, by: caller.actor };
    match state.engine.land(&wish).await? {
        LandAnswer::Taken { task, head, already } => {
            let view = state.engine.show(&task).await?;
            let status = if already { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(json!({ "task": view, "branch": wish.branch, "head": head, "already": already }))))
        }
        LandAnswer::Refused(why) => Err(Problem::refused(why)
            .hint("`orch task list` shows what is under way, and `git ls-remote` the branches there")),
    }
}

/// A commit by its id, or by the first digits of it.
fn commit(text: &str) -> Result<Sha, Problem> {
    let text = text.trim().to_ascii_lowercase();
    if DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Sha::new(text));
    }
    Err(Problem::bad(format!("`head` must be a commit's id, of {} to {} digits", DIGITS.start(), DIGITS.end())))
}
