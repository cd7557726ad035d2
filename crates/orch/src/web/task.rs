//! A task's page: where it stands, what it waits for, and everything anybody may want to know about how it was judged.

use super::change::{self, ChangeShown};
use super::words::{Moment, phase_tone, phase_word, short, span, tokens, usd, verdict};
use super::{Wanted, refused, render};
use crate::http::guard::page_opened;
use crate::http::tasks::find;
use crate::http::views::{GateView, RunView};
use crate::http::{AppState, Problem};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use orch_core::ids::{GateId, Time};
use orch_core::pipeline::Step;
use orch_core::task::Task;
use orch_engine::gates::PASS_DEGRADED;
use orch_engine::view::{EvidenceView, TaskView};
use orch_store::JournalRow;

/// Lines of the story shown; the API has all of them.
const STORY: usize = 300;
/// Longest text of an artefact or of evidence shown, characters; the API has all of it.
const TEXT: usize = 60_000;

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    id: String,
    project: String,
    title: String,
    tone: &'static str,
    word: String,
    line: String,
    stages: Vec<StageMark>,
    place: String,
    wait: Option<Wait>,
    change: Option<ChangeShown>,
    facts: Vec<(&'static str, String)>,
    created: Moment,
    updated: Moment,
    done: Option<Moment>,
    gates: Vec<GateRow>,
    not_reached: Vec<String>,
    not_checked: Vec<String>,
    runs: Vec<RunLine>,
    artefacts: Vec<Artefact>,
    approvals: Vec<ApprovalLine>,
    deployments: Vec<DeployLine>,
    body: String,
    story: Vec<StoryEntry>,
    story_cut: bool,
}

struct StageMark {
    name: String,
    /// `past`, `now` or `ahead`.
    state: &'static str,
}

struct Wait {
    reason: String,
    since: Moment,
    until: Option<Moment>,
    ends_when: String,
    command: Option<String>,
    /// What a person is asked to approve.
    shown: Vec<String>,
}

struct GateRow {
    gate: String,
    stage: String,
    last: Judged,
    earlier: Vec<Judged>,
}

struct Judged {
    tone: &'static str,
    word: &'static str,
    /// `shadow`, where it only looks on.
    mode: String,
    why: String,
    findings: Vec<FindingLine>,
    head: String,
    at: Moment,
    took: String,
    reused: bool,
    evidence: String,
}

struct FindingLine {
    severity: String,
    place: String,
    text: String,
}

struct RunLine {
    number: usize,
    what: String,
    program: String,
    tone: &'static str,
    end: String,
    started: Moment,
    took: String,
    tokens: String,
    cost: String,
    model: String,
    summary: String,
}

struct Artefact {
    name: String,
    digest: String,
    run: u32,
    text: String,
    lines: usize,
}

struct ApprovalLine {
    what: &'static str,
    subject: String,
    by: String,
    at: Moment,
}

struct DeployLine {
    environment: String,
    revision: String,
    tone: &'static str,
    word: &'static str,
    at: Moment,
}

struct StoryEntry {
    at: Moment,
    stage: String,
    text: String,
    /// Something that was asked and not done.
    ignored: bool,
}

pub(super) async fn page(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    if wanted.diff.is_some() && !page_opened(&state, &headers) {
        return change::ask_for_token(&state);
    }
    match build(&state, &id, &headers).await {
        Ok((page, after)) => {
            let title = format!("{} · {}", page.id, page.title);
            let events = format!("/api/v1/events?task={}&after={after}", path_segment(&page.id));
            render(&state, &wanted, &title, &events, &page)
        }
        Err(problem) => refused(&state, &problem),
    }
}

/// A work item in a query; keys of projects are plain, so this changes nothing as a rule.
fn path_segment(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
}

async fn build(state: &AppState, id: &str, headers: &HeaderMap) -> Result<(TaskPage, i64), Problem> {
    let now = state.engine.clock().now();
    let after = state.engine.store().journal_head().await?;
    let task = find(state, id).await?;
    let evidence = state.engine.evidence(&task.work_item).await?;
    let Some(evidence) = evidence else { return Err(Problem::missing(format!("there is no task {}", task.work_item))) };
    let (story, story_cut) = story(state, &task, now).await?;
    let (gates, not_reached) = gates(&task, &evidence, now);
    let view = &evidence.task;
    let outcome = view.outcome.as_deref();
    let page = TaskPage {
        id: view.id.clone(),
        project: view.project.clone(),
        title: view.title.clone(),
        tone: phase_tone(&view.phase, outcome),
        word: phase_word(&view.phase, outcome),
        line: view.line.clone(),
        stages: marks(&task),
        place: format!("stage {} of {}", task.at.stage + 1, task.pipeline.stages.len()),
        wait: view.waiting.as_ref().map(|w| Wait {
            reason: w.reason.clone(),
            since: Moment::read(&w.since, now),
            until: w.until.as_ref().map(|u| Moment::read(u, now)),
            ends_when: w.ends_when.clone(),
            command: w.command.clone(),
            shown: w.shown.clone(),
        }),
        change: change::shown(state, &task, headers).await,
        facts: facts(view),
        created: Moment::read(&view.created_at, now),
        updated: Moment::read(&view.updated_at, now),
        done: view.done_at.as_ref().map(|d| Moment::read(d, now)),
        gates,
        not_reached,
        not_checked: evidence.not_checked.clone(),
        runs: crate::http::views::runs(&evidence.runs).iter().map(|r| run_line(r, now)).rev().collect(),
        artefacts: evidence
            .artefacts
            .iter()
            .map(|a| Artefact {
                name: a.name.clone(),
                digest: short(&a.sha256).to_owned(),
                run: a.run,
                text: cut(&a.text),
                lines: a.text.lines().count(),
            })
            .collect(),
        approvals: evidence
            .approvals
            .iter()
            .map(|a| ApprovalLine {
                what: a.what.as_str(),
                subject: short(&a.subject).to_owned(),
                by: a.by.to_string(),
                at: Moment::new(a.at, now),
            })
            .collect(),
        deployments: evidence
            .deployments
            .iter()
            .map(|d| DeployLine {
                environment: d.environment.to_string(),
                revision: d.revision.short().to_owned(),
                tone: if d.ok { "good" } else { "bad" },
                word: match (d.rollback, d.ok) {
                    (true, true) => "rolled back",
                    (true, false) => "rollback failed",
                    (false, true) => "came up",
                    (false, false) => "did not come up",
                },
                at: Moment::new(d.at, now),
            })
            .collect(),
        body: cut(&task.body),
        story,
        story_cut,
    };
    Ok((page, after))
}

fn marks(task: &Task) -> Vec<StageMark> {
    let over = matches!(task.phase, orch_core::task::Phase::Done { .. });
    let mark = |(i, stage): (usize, &orch_core::pipeline::Stage)| StageMark {
        name: stage.id.to_string(),
        state: match i.cmp(&task.at.stage) {
            std::cmp::Ordering::Less => "past",
            std::cmp::Ordering::Equal if over => "past",
            std::cmp::Ordering::Equal => "now",
            std::cmp::Ordering::Greater => "ahead",
        },
    };
    task.pipeline.stages.iter().enumerate().map(mark).collect()
}

fn facts(view: &TaskView) -> Vec<(&'static str, String)> {
    let mut facts = vec![("branch", view.branch.clone())];
    if let Some(head) = &view.head {
        facts.push(("head", short(head).to_owned()));
    }
    if let Some(number) = view.pull_request {
        facts.push(("pull request", format!("#{number}")));
    }
    if let Some(commit) = &view.merge_commit {
        facts.push(("merged as", short(commit).to_owned()));
    }
    facts.push(("repairs", view.round.to_string()));
    facts.push(("runs", view.runs.to_string()));
    let of = view.budget_usd.map_or_else(String::new, |limit| format!(" of ${limit:.2}"));
    let reserved = view.reserved_usd.map_or_else(String::new, |reserved| format!(", ${reserved:.2} reserved"));
    facts.push(("cost", format!("{}{of}{reserved}", usd(&view.cost))));
    facts
}

/// The gates that have judged, in the order of the task's pipeline, and the names of those that have not.
fn gates(task: &Task, evidence: &EvidenceView, now: Time) -> (Vec<GateRow>, Vec<String>) {
    let mut order: Vec<(GateId, String)> = Vec::new();
    let in_pipeline = task.pipeline.stages.iter().flat_map(|stage| {
        stage.steps.iter().filter_map(|step| match step {
            Step::Gate { gate, .. } => Some((*gate, stage.id.to_string())),
            _ => None,
        })
    });
    for (gate, stage) in in_pipeline.chain(evidence.judgements.iter().map(|j| (j.gate, j.stage.to_string()))) {
        if !order.iter().any(|(known, _)| *known == gate) {
            order.push((gate, stage));
        }
    }
    let (mut rows, mut not_reached) = (Vec::new(), Vec::new());
    for (gate, stage) in order {
        let mut all =
            evidence.judgements.iter().filter(|j| j.gate == gate).rev().map(|j| judged(&GateView::from(j), now));
        match all.next() {
            Some(last) => rows.push(GateRow { gate: gate.to_string(), stage, last, earlier: all.collect() }),
            None => not_reached.push(gate.to_string()),
        }
    }
    (rows, not_reached)
}

fn judged(view: &GateView, now: Time) -> Judged {
    let (tone, word) = if view.degraded.is_empty() { verdict(view.verdict) } else { ("warn", PASS_DEGRADED) };
    let findings = view.findings.iter().map(|f| FindingLine {
        severity: format!("{:?}", f.severity),
        place: match (&f.file, f.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            (None, _) => String::new(),
        },
        text: f.text.clone(),
    });
    let evidence = match &view.evidence {
        serde_json::Value::Null => String::new(),
        value => cut(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())),
    };
    Judged {
        tone,
        word,
        mode: if view.mode == "enforce" { String::new() } else { view.mode.clone() },
        why: view.why.clone().unwrap_or_else(|| view.degraded.join("; ")),
        findings: findings.collect(),
        head: short(&view.head).to_owned(),
        at: Moment::read(&view.at, now),
        took: span(view.took_ms.max(0)),
        reused: view.reused,
        evidence,
    }
}

fn run_line(run: &RunView, now: Time) -> RunLine {
    let started = Moment::read(&run.started_at, now);
    let ms = |text: &str| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).ok();
    let until = run.ended_at.as_deref().and_then(ms).unwrap_or(now.0);
    let took = ms(&run.started_at).map_or_else(String::new, |from| span((until - from).max(0)));
    let (tone, end) = match (run.ended_at.is_some(), run.ok) {
        (false, _) => ("busy", "running".to_owned()),
        (true, Some(true)) => ("good", run.end.clone().unwrap_or_else(|| "ended".into())),
        (true, _) => ("bad", run.end.clone().unwrap_or_else(|| "ended badly".into())),
    };
    RunLine {
        number: run.number,
        what: run.what.clone(),
        program: run.program.clone(),
        tone,
        end,
        started,
        took,
        tokens: match run.input_tokens.saturating_add(run.output_tokens) {
            0 => String::new(),
            _ => format!("{} in, {} out", tokens(run.input_tokens), tokens(run.output_tokens)),
        },
        cost: if run.cost_usd == 0.0 && run.cost_unread.is_none() { String::new() } else { usd(&run.cost) },
        model: run.model.clone().unwrap_or_default(),
        summary: run.summary.clone().unwrap_or_default(),
    }
}

/// The newest lines of the journal, newest first, and whether older ones are left out.
async fn story(state: &AppState, task: &Task, now: Time) -> Result<(Vec<StoryEntry>, bool), Problem> {
    let limit = u32::try_from(STORY + 1).unwrap_or(u32::MAX);
    let mut rows = state.engine.store().journal_tail(task.id, limit).await?;
    let cut = STORY < rows.len();
    rows.truncate(STORY);
    let entry = |row: &JournalRow| StoryEntry {
        at: Moment::new(row.at, now),
        stage: row.stage.to_string(),
        text: match (&row.ignored, &row.actor) {
            (Some(why), Some(actor)) => format!("{} by {actor}, refused: {why}", row.event.replace('_', " ")),
            _ => row.story.join("; "),
        },
        ignored: row.ignored.is_some(),
    };
    Ok((rows.iter().map(entry).collect(), cut))
}

/// A text of bearable length, saying so where it was cut.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\n… cut here; the whole text is in the API", &text[..at]),
    }
}
