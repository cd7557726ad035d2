//! The people: who there is, and forgetting one of them. As draining and pausing, forgetting is for the holder of the token.

use super::body::Raw;
use super::{AppState, Problem};
use crate::config::problem::nearest;
use axum::Json;
use axum::extract::State;
use orch_engine::people::Asked;
use orch_store::Forgotten;
use serde_json::{Value, json};

/// Most names that are listed where none is near.
const NAMES_SHOWN: usize = 20;

pub(super) async fn list(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    let all = state.engine.people().await?;
    Ok(Json(json!({ "people": all.people, "others": all.others })))
}

/// Takes a person's names out of what orch keeps.
pub(super) async fn forget(State(state): State<AppState>, body: Raw) -> Result<Json<Value>, Problem> {
    let mut fields = body.fields(&["name", "mentions"])?;
    let (name, mentions) = (fields.needed("name")?, fields.flag("mentions")?);
    match state.engine.forget_person(&name, mentions).await? {
        Asked::Done { called, forgotten, before } => Ok(Json(json!({
            "called": called, "before": before, "rows": forgotten.rows, "mentions": forgotten.mentions,
            "documents": forgotten.documents, "scrubbed": forgotten.scrubbed, "stays": stays(&forgotten),
        }))),
        Asked::Configured(keys) => Err(Problem::refused(format!(
            "{} is configured and cannot be forgotten: {keys}",
            name.trim().escape_debug()
        ))
        .hint("remove that from the configuration, take it up with `orch reload`, and ask again")),
        Asked::Unknown(names) => {
            let problem = Problem::missing(format!("nobody is called `{}`", name.trim().escape_debug()));
            Err(match nearest(name.trim(), names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None if names.is_empty() => problem.hint("nobody is named in what orch keeps"),
                None => {
                    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
                    problem.hint(format!("names: {}", shown.join(", ")))
                }
            })
        }
    }
}

/// Where the name can still be, a sentence each.
fn stays(forgotten: &Forgotten) -> Vec<String> {
    let mut stays = vec![
        "git: commits, and the trailers Requested-by and Approved-by in their messages, are not rewritten".to_owned(),
        "the tracker and the forge: tickets, comments, pull requests and reviews are theirs (the built-in ones keep them in \
         tracker.db and forge/forge.db)"
            .to_owned(),
        "briefs and output of earlier runs, until [retention] ends them; the daemon's log".to_owned(),
        "backups, copies of the database and exported journals made before".to_owned(),
    ];
    if 0 < forgotten.documents {
        let (n, are) = (forgotten.documents, if forgotten.documents == 1 { "document" } else { "documents" });
        stays.push(format!(
            "{n} {are} of tasks that are not over: approvals are bound to them byte by byte; forget again when those tasks end"
        ));
    }
    let texts: u64 = forgotten.mentions.values().sum();
    if 0 < texts {
        let rows = if texts == 1 { "1 row has".to_owned() } else { format!("{texts} rows have") };
        stays.push(format!(
            "{rows} the name as a word of a text, which need not mean the person; `mentions` takes it out there, too"
        ));
    }
    if !forgotten.scrubbed {
        stays.push("unused parts of the database file, until the next start: something was reading it".to_owned());
    }
    stays
}
