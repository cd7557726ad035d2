//! A run's page: its output as it is written. Without a script it is the end of the log as of now.

use super::words::{Moment, span};
use super::{Wanted, refused, render};
use crate::http::logs::{From, PART_MAX, Stream, find_run, read};
use crate::http::tasks::find;
use crate::http::{AppState, Problem};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use orch_ports::masks::readable;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    id: String,
    title: String,
    number: usize,
    count: usize,
    what: String,
    program: String,
    model: String,
    sandbox: String,
    tone: &'static str,
    end: String,
    started: Moment,
    took: String,
    running: bool,
    log: String,
    next: u64,
    done: bool,
    cut: bool,
    errors: String,
    part_kib: u64,
}

pub(super) async fn page(
    State(state): State<AppState>,
    Path((id, n)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    match build(&state, &id, &n).await {
        Ok(page) => {
            let title = format!("{} run {} · {}", page.id, page.number, page.what);
            render(&state, &wanted, &title, "", &page)
        }
        Err(problem) => refused(&state, &problem),
    }
}

async fn build(state: &AppState, id: &str, n: &str) -> Result<RunPage, Problem> {
    let now = state.engine.clock().now();
    let task = find(state, id).await?;
    let (number, run) = find_run(state, &task, n).await?;
    let count = state.engine.store().runs(task.id).await?.len();
    let out = read(state, &task, &run, Stream::Stdout, From::End).await?;
    let err = read(state, &task, &run, Stream::Stderr, From::End).await?;
    let (tone, end) = match (run.ended.is_some(), run.ok) {
        (false, _) if out.done => ("bad", "lost".to_owned()),
        (false, _) => ("busy", "running".to_owned()),
        (true, Some(true)) => ("good", run.end.clone().unwrap_or_default()),
        (true, _) => ("bad", run.end.clone().unwrap_or_else(|| "ended badly".into())),
    };
    Ok(RunPage {
        id: task.work_item.to_string(),
        title: task.title.clone(),
        number,
        count,
        what: run.what.to_string(),
        program: run.program.clone(),
        model: run.model.clone().unwrap_or_default(),
        sandbox: run.sandbox.clone().unwrap_or_default(),
        tone,
        end,
        started: Moment::new(run.started, now),
        took: span(run.ended.unwrap_or(now).since_ms(run.started).max(0)),
        running: !out.done,
        log: readable(&String::from_utf8_lossy(&out.bytes)),
        next: out.next,
        done: out.done,
        cut: 0 < out.from,
        errors: readable(&String::from_utf8_lossy(&err.bytes)),
        part_kib: PART_MAX / 1024,
    })
}
