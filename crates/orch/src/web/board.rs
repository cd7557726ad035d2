//! The board: every open task in the column of its stage, what each waits for, and the newest closed ones below.

use super::words::{Moment, phase_tone, phase_word, usd};
use super::{Wanted, refused, render};
use crate::http::{AppState, Problem};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use orch_core::ids::Time;
use orch_core::pipeline::Pipeline;
use orch_engine::view::TaskView;
use orch_store::{QueueCounts, TaskFilter};

/// Closed tasks shown.
const CLOSED: usize = 20;
/// Closed and open tasks looked through to find them.
const LOOK: u32 = 200;

#[derive(Template)]
#[template(path = "board.html")]
struct Board {
    columns: Vec<Column>,
    open: usize,
    /// Open tasks a person must act on.
    calls: Vec<Card>,
    closed: Vec<Card>,
    counts: QueueCounts,
    concurrency: usize,
    draining: bool,
    failing: Vec<(String, String)>,
    backing_off: usize,
    nothing_yet: bool,
    project: String,
}

struct Column {
    stage: String,
    cards: Vec<Card>,
}

#[derive(Clone)]
struct Card {
    id: String,
    title: String,
    tone: &'static str,
    word: String,
    line: String,
    command: Option<String>,
    since: Moment,
    round: u32,
    cost: String,
    pull_request: Option<u64>,
}

impl Card {
    fn of(view: &TaskView, now: Time) -> Self {
        let outcome = view.outcome.as_deref();
        let since = view.waiting.as_ref().map(|w| w.since.as_str()).or(view.done_at.as_deref());
        Self {
            id: view.id.clone(),
            title: view.title.clone(),
            tone: phase_tone(&view.phase, outcome),
            word: phase_word(&view.phase, outcome),
            line: view.line.clone(),
            command: view.waiting.as_ref().and_then(|w| w.command.clone()),
            since: Moment::read(since.unwrap_or(&view.updated_at), now),
            round: view.round,
            cost: usd(view.cost_usd),
            pull_request: view.pull_request,
        }
    }
}

pub(super) async fn page(State(state): State<AppState>, Query(wanted): Query<Wanted>) -> Response {
    match board(&state).await {
        Ok((board, events)) => render(&state, &wanted, "Board", &events, &board),
        Err(problem) => refused(&state, &problem),
    }
}

async fn board(state: &AppState) -> Result<(Board, String), Problem> {
    let engine = &state.engine;
    let now = engine.clock().now();
    // Read before the tasks: what happens in between makes the page look again.
    let newest = crate::http::newest_event(state).await?;
    let queue = engine.queue().await?;
    let open = engine.store().tasks(TaskFilter::default()).await?;
    let mut stages: Vec<String> = Vec::new();
    for pipeline in engine.projects().values().map(|p| &p.pipeline).chain(open.iter().map(|t| &t.pipeline)) {
        weave(&mut stages, pipeline);
    }
    let mut columns: Vec<Column> = stages.into_iter().map(|stage| Column { stage, cards: Vec::new() }).collect();
    let mut calls = Vec::new();
    for task in &open {
        let view = engine.show(task).await?;
        let card = Card::of(&view, now);
        if matches!(view.phase.as_str(), "awaiting_approval" | "needs_input" | "blocked") {
            calls.push(card.clone());
        }
        if let Some(column) = columns.iter_mut().find(|c| c.stage == view.stage) {
            column.cards.push(card);
        }
    }
    let recent = engine.store().tasks(TaskFilter { project: None, closed: true, limit: LOOK }).await?;
    let mut closed = Vec::new();
    for task in recent.iter().filter(|t| t.is_closed()).take(CLOSED) {
        closed.push(Card::of(&engine.show(task).await?, now));
    }
    let backing_off = queue.resilience.get("backing_off").and_then(|v| v.as_array()).map_or(0, Vec::len);
    let board = Board {
        nothing_yet: open.is_empty() && closed.is_empty(),
        project: engine.projects().keys().next().map_or_else(|| "KEY".into(), ToString::to_string),
        columns,
        open: open.len(),
        calls,
        closed,
        counts: queue.counts,
        concurrency: queue.max_concurrency,
        draining: queue.draining,
        failing: engine.failing_watchers(),
        backing_off,
    };
    Ok((board, format!("/api/v1/events?after={newest}")))
}

/// Puts a pipeline's stages among those there are, each after the one before it in the pipeline.
fn weave(stages: &mut Vec<String>, pipeline: &Pipeline) {
    let mut place = 0;
    for stage in &pipeline.stages {
        if let Some(at) = stages.iter().position(|s| s == stage.id.as_str()) {
            place = at + 1;
        } else {
            stages.insert(place, stage.id.to_string());
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_two_pipelines_share_their_columns_in_order() {
        let mut stages = Vec::new();
        weave(&mut stages, &Pipeline::lite());
        weave(&mut stages, &Pipeline::full());
        let full: Vec<String> = Pipeline::full().stages.iter().map(|s| s.id.to_string()).collect();
        assert_eq!(stages, full);
    }
}
