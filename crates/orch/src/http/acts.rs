//! What people do to a task. A handler only turns a request into an event; whether it may happen is decided where all
//! events are decided, and a refusal carries that answer's own words.

use super::body::Raw;
use super::guard::Caller;
use super::tasks::find;
use super::{AppState, Problem};
use crate::config::problem::nearest;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, WorkItem};
use orch_core::task::{Asked, Task, WayOut};
use orch_engine::commands::Answer;
use serde_json::{Value, json};

pub(super) type Reply = Result<Json<Value>, Problem>;

/// Largest priority, and with its sign turned round the smallest.
const PRIORITY_MOST: i32 = 1_000;

pub(super) async fn start(state: State<AppState>, id: Path<String>, caller: Extension<Caller>, body: Raw) -> Reply {
    plain(state, id, caller, &body, "start", |by| Event::Started { by }).await
}

pub(super) async fn cancel(state: State<AppState>, id: Path<String>, caller: Extension<Caller>, body: Raw) -> Reply {
    plain(state, id, caller, &body, "cancel", |by| Event::CancelAsked { by }).await
}

pub(super) async fn retry(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let way = body.fields(&["as"])?.text("as")?.map(|word| way(&word)).transpose()?;
    let task = find(&state, &id).await?;
    let by = caller.actor.clone();
    let event = match way {
        Some(way) => Event::WayChosen { by, way },
        None => Event::RetryAsked { by },
    };
    ask(&state, &task, "retry", &caller, event).await.map(Json)
}

/// A way out by its word.
fn way(word: &str) -> Result<WayOut, Problem> {
    WayOut::parse(word).ok_or_else(|| {
        let problem = Problem::bad(format!("`as`: there is no way out `{}`", word.escape_debug()));
        match nearest(word, WayOut::ALL.iter().map(|way| way.as_str())) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(WayOut::offer()),
        }
    })
}

pub(super) async fn plain(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: &Raw,
    verb: &str,
    event: fn(Actor) -> Event,
) -> Reply {
    body.fields(&[])?;
    let task = find(&state, &id).await?;
    let event = event(caller.actor.clone());
    ask(&state, &task, verb, &caller, event).await.map(Json)
}

pub(super) async fn approve(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let mut fields = body.fields(&["gate", "comment", "subject"])?;
    let gate = fields.text("gate")?.map(|name| gate(&name)).transpose()?;
    let (comment, subject) = (fields.text("comment")?, fields.text("subject")?);
    let task = find(&state, &id).await?;
    // What is answered as approved is what was read here: something else that is asked by then is not approved with it.
    let subject = subject.or_else(|| task.asked().map(|asked| asked.subject.to_owned()));
    let event = Event::Approved { by: caller.actor.clone(), gate, subject, comment };
    let mut answer = ask(&state, &task, "approve", &caller, event).await?;
    if let Some(Asked { what, subject, shown }) = task.asked() {
        answer["approved"] = json!({ "what": what.as_str(), "subject": subject, "shown": shown });
    }
    Ok(Json(answer))
}

pub(super) async fn reject(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let mut fields = body.fields(&["gate", "comment"])?;
    let gate = fields.text("gate")?.map(|name| gate(&name)).transpose()?;
    let comment = fields.text("comment")?.unwrap_or_default();
    let task = find(&state, &id).await?;
    let event = Event::Rejected { by: caller.actor.clone(), gate, comment };
    ask(&state, &task, "reject", &caller, event).await.map(Json)
}

pub(super) async fn answer(state: State<AppState>, id: Path<String>, caller: Extension<Caller>, body: Raw) -> Reply {
    said(state, id, caller, &body, "answer", |by, text| Event::Answered { by, text }).await
}

/// A comment goes to the ticket and into every brief that follows.
pub(super) async fn comment(state: State<AppState>, id: Path<String>, caller: Extension<Caller>, body: Raw) -> Reply {
    said(state, id, caller, &body, "comment", |by, text| Event::Commented { by, text }).await
}

/// Something a person says, in a text.
async fn said(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: &Raw,
    verb: &str,
    event: fn(Actor, String) -> Event,
) -> Reply {
    let text = body.fields(&["text"])?.needed("text")?;
    let task = find(&state, &id).await?;
    let event = event(caller.actor.clone(), text);
    ask(&state, &task, verb, &caller, event).await.map(Json)
}

/// How early its jobs are claimed among those of its project.
pub(super) async fn priority(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Reply {
    let given = body.fields(&["priority"])?.number("priority")?;
    let given = given.and_then(|n| i32::try_from(n).ok()).filter(|n| (-PRIORITY_MOST..=PRIORITY_MOST).contains(n));
    let priority = given
        .ok_or_else(|| Problem::bad(format!("`priority` must be a number from -{PRIORITY_MOST} to {PRIORITY_MOST}")))?;
    let task = find(&state, &id).await?;
    let event = Event::Prioritised { by: caller.actor.clone(), priority };
    ask(&state, &task, "priority", &caller, event).await.map(Json)
}

/// The same key for the same task and verb is one wish.
pub(super) fn key_of(state: &AppState, item: &WorkItem, verb: &str, caller: &Caller) -> String {
    match &caller.key {
        Some(key) => format!("{item}:{verb}:given:{key}"),
        None => format!("{item}:{verb}:{}", state.fresh_key()),
    }
}

/// Asks the engine.
pub(super) async fn ask(
    state: &AppState,
    task: &Task,
    verb: &str,
    caller: &Caller,
    event: Event,
) -> Result<Value, Problem> {
    let item = &task.work_item;
    let answer = state.engine.ask(item, &key_of(state, item, verb, caller), event).await?;
    answered(state, item, answer).await
}

/// The engine's answer: the task as it is afterwards, or a refusal in its words.
pub(super) async fn answered(state: &AppState, item: &WorkItem, answer: Answer) -> Result<Value, Problem> {
    match answer {
        Answer::Done(task) => {
            let view = state.engine.show(&task).await?;
            serde_json::to_value(view)
                .map_err(|e| Problem::from(orch_ports::Fault::bug(format!("show task {item}: {e}"))))
        }
        Answer::Refused(why) => Err(Problem::refused(format!("{item}: {why}")).hint(format!("orch why {item}"))),
    }
}

/// A gate by any of its names; what is approved has a name of its own, too.
fn gate(name: &str) -> Result<GateId, Problem> {
    match name.trim() {
        "analysis" => return Ok(GateId::AnalysisApproved),
        "production" => return Ok(GateId::DeployStatus),
        _ => {}
    }
    GateId::parse(name).ok_or_else(|| {
        let problem = Problem::bad(format!("`gate`: there is no gate `{}`", name.escape_debug()));
        match nearest(name, GateId::ALL.iter().map(|g| g.as_str())) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("`orch gate list` shows them"),
        }
    })
}
