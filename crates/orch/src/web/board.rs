//! The board: every open task in the column of its stage, what each waits for, and the newest closed ones below.

use super::words::{Moment, phase_tone, phase_word, usd};
use super::{Wanted, refused, render};
use crate::http::{AppState, Problem};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use orch_core::ids::Time;
use orch_core::phase::PhaseKind;
use orch_core::pipeline::Pipeline;
use orch_engine::view::TaskView;
use orch_store::{QueueCounts, TaskFilter};
use std::collections::BTreeMap;

/// Closed tasks shown.
const CLOSED: u32 = 20;
/// Tasks shown per column; how many more there are is said.
const CARDS: u32 = 50;
/// Tasks shown that wait for a person.
const CALLS: u32 = 100;

#[derive(Template)]
#[template(path = "board.html")]
struct Board {
    columns: Vec<Column>,
    open: u64,
    /// Open tasks a person must act on.
    calls: Vec<Card>,
    closed: Vec<Card>,
    counts: QueueCounts,
    concurrency: usize,
    draining: bool,
    /// What is paused: a line, and the command that ends it.
    paused: Vec<(String, String)>,
    failing: Vec<(String, String)>,
    /// What keeps projects or the instance from going on.
    troubles: Vec<String>,
    /// Budgets of days, months and projects: which, and what became of it.
    budgets: Vec<(String, String)>,
    /// What of the configuration file is not in force.
    configuration: Option<String>,
    backing_off: usize,
    nothing_yet: bool,
    project: String,
}

struct Column {
    stage: String,
    /// The newest of them.
    cards: Vec<Card>,
    /// How many there are.
    count: u64,
    /// How many are not shown.
    more: u64,
}

/// Phases in which a person must act.
const CALLING: &[PhaseKind] =
    &[PhaseKind::AwaitingApproval, PhaseKind::NeedsInput, PhaseKind::Blocked, PhaseKind::ProductionFailed];
/// Phases of tasks that are over.
const OVER: &[PhaseKind] = &[PhaseKind::Done, PhaseKind::Cancelled];

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
            cost: usd(&view.cost),
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
    let newest = state.engine.store().journal_head().await?;
    let queue = engine.queue().await?;
    let counts: BTreeMap<String, u64> = engine.store().open_by_stage().await?.into_iter().collect();
    let mut stages: Vec<String> = Vec::new();
    for pipeline in engine.projects().values().map(|p| &p.pipeline) {
        weave(&mut stages, pipeline);
    }
    // Tasks finish on the pipeline they began with, which no project may have any more.
    stages.extend(counts.keys().filter(|s| !stages.contains(s)).cloned().collect::<Vec<_>>());
    let cards = async |filter: TaskFilter| -> Result<Vec<Card>, Problem> {
        Ok(engine.list(filter).await?.0.iter().map(|view| Card::of(view, now)).collect())
    };
    let mut columns = Vec::new();
    for stage in stages {
        let count = counts.get(&stage).copied().unwrap_or(0);
        let filter = TaskFilter { stage: Some(stage.clone()), limit: CARDS, ..TaskFilter::default() };
        let cards = if count == 0 { Vec::new() } else { cards(filter).await? };
        let more = count.saturating_sub(cards.len() as u64);
        columns.push(Column { stage, cards, count, more });
    }
    let waiting = TaskFilter { phases: CALLING, limit: CALLS, ..TaskFilter::default() };
    let calls = cards(waiting).await?;
    let over = TaskFilter { closed: true, phases: OVER, limit: CLOSED, ..TaskFilter::default() };
    let closed = cards(over).await?;
    let open: u64 = counts.values().sum();
    let backing_off = queue.resilience.get("backing_off").and_then(|v| v.as_array()).map_or(0, Vec::len);
    let board = Board {
        nothing_yet: open == 0 && closed.is_empty(),
        project: engine.projects().keys().next().map_or_else(|| "KEY".into(), ToString::to_string),
        columns,
        open,
        calls,
        closed,
        counts: queue.counts,
        concurrency: queue.max_concurrency,
        draining: queue.draining,
        paused: queue.paused.iter().map(|pause| (pause.line(), pause.ends.clone())).collect(),
        failing: engine.failing_watchers(),
        budgets: queue.budgets.into_iter().map(|budget| (budget.what, budget.line)).collect(),
        troubles: queue.troubles.into_iter().map(|trouble| trouble.why).collect(),
        configuration: state.reload.as_ref().and_then(|reload| reload.pending()).map(|pending| pending.text),
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
