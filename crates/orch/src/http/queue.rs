//! The instance as a whole: what is queued, which projects there are, how their gates are switched, draining and pausing.

use super::body::{Fields, Raw};
use super::guard::Caller;
use super::{AppState, Problem};
use crate::reload::Applied;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use orch_core::ids::{GateId, ProjectKey};
use orch_core::pipeline::Step;
use orch_core::policy::Act;
use orch_engine::quarantine::{Quarantined, Refused};
use orch_engine::view::{QueueView, rfc3339};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Watchers as `/status` lists them.
const WATCHERS: [&str; 6] = ["inbox", "timers", "reaper", "disk", "reconcile", "main"];
/// How long the answer to a pause waits for agents to stand still, milliseconds.
const FREEZE_MS: u64 = 1_000;
/// Moves of a default branch that are shown.
const MOVES: usize = 100;

pub(super) async fn status(State(state): State<AppState>) -> Result<Json<Value>, Problem> {
    let engine = &state.engine;
    let by_stage: BTreeMap<String, u64> = engine.store().open_by_stage().await?.into_iter().collect();
    let open: u64 = by_stage.values().sum();
    let watchers: BTreeMap<&str, Value> = WATCHERS
        .iter()
        .map(|name| {
            let s = engine.watcher(name);
            (*name, json!({ "interval_ms": s.interval_ms, "last_run": s.last_run.map(rfc3339), "fault": s.fault }))
        })
        .collect();
    Ok(Json(json!({
        "service": "orchestrator",
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": rfc3339(state.started),
        "uptime_s": engine.clock().now().since_ms(state.started).max(0) / 1_000,
        "database": state.db_path.display().to_string(),
        "projects": engine.projects().keys().collect::<Vec<_>>(),
        "sandbox": engine.projects().values().next().map(|project| project.preparation.sandbox.shown()),
        "draining": engine.is_draining(),
        "paused": engine.paused(),
        "troubles": engine.troubles().await?,
        "configuration": state.reload.as_ref().and_then(|reload| reload.pending()),
        "watchers": watchers,
        "inbound": engine.inbound().await?,
        "polls": engine.paces().into_iter().collect::<BTreeMap<_, _>>(),
        "tasks": { "open": open, "by_stage": by_stage },
    })))
}

pub(super) async fn queue(State(state): State<AppState>) -> Result<Json<QueueView>, Problem> {
    Ok(Json(state.engine.queue().await?))
}

pub(super) async fn projects(State(state): State<AppState>) -> Json<Value> {
    let projects = state.engine.projects();
    let projects: Vec<Value> = projects
        .values()
        .map(|p| {
            let out = p.forge.out_of_service(&p.key);
            json!({
                "out_of_service": out.map(|o| json!({ "why": o.why, "since": rfc3339(o.since) })),
                "key": p.key, "pipeline": p.pipeline.name,
                "stages": p.pipeline.stages.iter().map(|s| &s.id).collect::<Vec<_>>(),
                "approvers": p.policy.approvers, "starters": p.policy.starters,
                "landers": p.policy.who_may(Act::Land),
                "production_approval": p.policy.production_approval,
                "deploys": { "staging": p.deploy.staging.is_some(), "production": p.deploy.production.is_some() },
                "health_url": p.deploy.health_url,
            })
        })
        .collect();
    Json(json!({ "projects": projects }))
}

/// Where the default branch of a project is, as far as orch has seen, and what came in otherwise than by orch's merges.
pub(super) async fn main_of(State(state): State<AppState>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    let projects = state.engine.projects();
    let Some(key) = projects.keys().find(|k| k.as_str().eq_ignore_ascii_case(&key)) else {
        return Err(Problem::missing(format!("there is no project {}", key.escape_debug())));
    };
    let (record, moves) = state.engine.main_of(key, MOVES).await?.unzip();
    let moves: Vec<Value> = moves
        .unwrap_or_default()
        .iter()
        .map(|m| {
            json!({
                "n": m.n, "from": m.from, "to": m.to, "seen_at": rfc3339(m.seen_at), "rewound": m.rewound,
                "commits": m.commits, "gone": m.gone, "more": m.more, "protected": m.protected, "tasks": m.tasks,
                "lines": m.lines(),
            })
        })
        .collect();
    Ok(Json(json!({
        "project": key,
        "tip": record.as_ref().map(|r| &r.tip),
        "seen_at": record.as_ref().map(|r| rfc3339(r.seen_at)),
        "moved_by_others": record.as_ref().map_or(0, |r| r.moves),
        "waits_for_approval": record.as_ref().is_some_and(|r| r.pending.is_some()),
        "moves": moves,
    })))
}

/// Tests of a project that are known to fail by chance.
pub(super) async fn flaky(State(state): State<AppState>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    let key = known(&state, &key)?;
    let tests: Vec<Value> = orch_engine::flaky::of(&state.engine, &key)
        .await?
        .into_iter()
        .map(|(name, test)| {
            json!({
                "test": name, "on_main": test.on_main, "seen_first_by": test.item, "times": test.times,
                "first": rfc3339(test.first), "last": rfc3339(test.last),
            })
        })
        .collect();
    let let_be = orch_engine::flaky::in_quarantine(&state.engine, &key).await?;
    let let_be: Vec<Value> = let_be.into_iter().map(|(name, test)| let_fail(&name, &test)).collect();
    Ok(Json(json!({ "project": key, "tests": tests, "quarantine": let_be })))
}

fn named(fields: &mut Fields) -> Result<String, Problem> {
    fields.text("test")?.ok_or_else(|| Problem::bad("`test` is missing: the name of the test"))
}

fn unknown(message: String) -> Problem {
    Problem::missing(message).hint("`orch project flaky` lists them")
}

/// Forgets that a test fails by chance: the next time it does, it is judged anew.
pub(super) async fn forget_flaky(
    State(state): State<AppState>,
    Path(key): Path<String>,
    body: Raw,
) -> Result<Json<Value>, Problem> {
    let key = known(&state, &key)?;
    let test = named(&mut body.fields(&["test"])?)?;
    if !orch_engine::flaky::forget(&state.engine, &key, &test).await? {
        return Err(unknown(format!("{key} knows no test {} that fails by chance", test.escape_debug())));
    }
    Ok(Json(json!({ "project": key, "forgotten": test })))
}

fn let_fail(name: &str, test: &Quarantined) -> Value {
    json!({
        "test": name, "until": test.day, "ends": rfc3339(test.until), "by": test.by, "at": rfc3339(test.at),
        "because": test.because,
    })
}

/// Puts a test into quarantine until the end of a day: while that lasts, its failures stop nothing and are shown.
pub(super) async fn quarantine_test(
    State(state): State<AppState>,
    Path(key): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<Json<Value>, Problem> {
    let key = known(&state, &key)?;
    let mut fields = body.fields(&["test", "until", "because"])?;
    let test = named(&mut fields)?;
    let until = fields.text("until")?;
    let until = until.ok_or_else(|| Problem::bad("`until` is missing: the last day of it, as 2026-12-31"))?;
    let because = fields.text("because")?.ok_or_else(|| Problem::bad("`because` is missing: why it may fail"))?;
    match orch_engine::flaky::quarantine(&state.engine, &key, &test, &until, (caller.actor, &because)).await {
        Ok(put) => Ok(Json(json!({ "project": key, "quarantine": let_fail(&test, &put) }))),
        Err(Refused::Said(text)) => Err(Problem::bad(text)),
        Err(Refused::NotAllowed(text)) => Err(Problem::refused(text)),
        Err(Refused::Fault(fault)) => Err(fault.into()),
    }
}

/// Releases a test from quarantine: from now on it counts again.
pub(super) async fn release_test(
    State(state): State<AppState>,
    Path(key): Path<String>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<Json<Value>, Problem> {
    let key = known(&state, &key)?;
    let test = named(&mut body.fields(&["test"])?)?;
    if !orch_engine::flaky::release(&state.engine, &key, &test, &caller.actor).await? {
        return Err(unknown(format!("no test {} of {key} is in quarantine", test.escape_debug())));
    }
    Ok(Json(json!({ "project": key, "released": test })))
}

pub(super) async fn gates(State(state): State<AppState>) -> Json<Value> {
    let projects = state.engine.projects();
    let gates: Vec<Value> = GateId::ALL
        .iter()
        .map(|gate| {
            let switches: BTreeMap<&str, Value> = projects
                .values()
                .map(|p| {
                    let (mode, why) = p.mode(*gate);
                    let stage =
                        p.pipeline.stages.iter().find(|s| {
                            s.steps.iter().any(|step| matches!(step, Step::Gate { gate: g, .. } if g == gate))
                        });
                    let stage = stage.map(|s| &s.id);
                    (p.key.as_str(), json!({ "mode": mode, "because": why, "stage": stage }))
                })
                .collect();
            json!({ "gate": gate, "projects": switches })
        })
        .collect();
    Json(json!({ "gates": gates }))
}

pub(super) async fn drain(State(state): State<AppState>, body: Raw) -> Result<Json<Value>, Problem> {
    body.fields(&[])?;
    state.engine.drain(true).await?;
    Ok(Json(json!({ "draining": true })))
}

/// Stops everything, or one project. The answer waits for agents to stand still, and says whether they do.
pub(super) async fn pause(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    body: Raw,
) -> Result<Json<Value>, Problem> {
    let project = body.fields(&["project"])?.text("project")?.map(|key| known(&state, &key)).transpose()?;
    state.engine.pause(project.as_ref(), &caller.actor).await?;
    let agents = state.engine.frozen(FREEZE_MS).await?;
    let agents = json!({ "frozen": agents.frozen, "running": agents.running });
    Ok(Json(json!({ "paused": state.engine.paused(), "agents": agents })))
}

/// Ends a drain and the pause of everything, or the pause of one project.
pub(super) async fn resume(State(state): State<AppState>, body: Raw) -> Result<Json<Value>, Problem> {
    let project = body.fields(&["project"])?.text("project")?.map(|key| known(&state, &key)).transpose()?;
    let engine = &state.engine;
    let pauses = engine.pauses();
    if let (Some(key), Some(all)) = (&project, &pauses.all)
        && !pauses.projects.contains_key(key)
    {
        let message = format!("{key} stands still because everything is paused, by {}", all.by);
        return Err(Problem::refused(message).hint("`orch resume` ends it"));
    }
    // First: an end that did not go on would look like a daemon that hangs.
    (state.left)(project.as_ref().map(ProjectKey::as_str));
    engine.resume(project.as_ref()).await?;
    Ok(Json(json!({ "draining": engine.is_draining(), "paused": engine.paused() })))
}

/// A project that is configured, or was when it was paused.
pub(super) fn known(state: &AppState, key: &str) -> Result<ProjectKey, Problem> {
    let (projects, pauses) = (state.engine.projects(), state.engine.pauses());
    let found = projects.keys().chain(pauses.projects.keys()).find(|k| k.as_str().eq_ignore_ascii_case(key)).cloned();
    found.ok_or_else(|| Problem::missing(format!("there is no project {}", key.escape_debug())))
}

/// Reads the configuration again, and says key by key what holds now and what a restart takes up.
pub(super) async fn reload(State(state): State<AppState>, body: Raw) -> Result<Json<Applied>, Problem> {
    body.fields(&[])?;
    let Some(reload) = &state.reload else {
        return Err(Problem::refused("there is no configuration file to read again"));
    };
    match reload.apply().await {
        Ok(applied) => Ok(Json(applied)),
        Err(refused) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_reloaded", refused.to_string())
            .hint("correct the file; `orch config check` checks it again")),
    }
}
