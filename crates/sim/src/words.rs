//! Short names: for the scenario a failing seed prints, and for counting what was visited.

use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::task::{BlockReason, Task, WaitReason};

pub(crate) fn effect(effect: &Effect) -> &'static str {
    match effect {
        Effect::OpenBranch => "open_branch",
        Effect::JudgeBase => "judge_base",
        Effect::RunAgent { .. } => "run_agent",
        Effect::Publish { .. } => "publish",
        Effect::EnsurePullRequest => "ensure_pull_request",
        Effect::Judge { .. } => "judge",
        Effect::Deploy { .. } => "deploy",
        Effect::Rollback { .. } => "rollback",
        Effect::Update { .. } => "update",
        Effect::Merge { .. } => "merge",
        Effect::Watch { .. } => "watch",
        Effect::EnsureCi { .. } => "ensure_ci",
        Effect::SyncTicket => "sync_ticket",
        Effect::Notify { .. } => "notify",
        Effect::Comment { .. } => "comment",
        Effect::EditTicket { .. } => "edit_ticket",
        Effect::CleanUp => "clean_up",
        Effect::NoteFindings { .. } => "note_findings",
    }
}

/// Every name `effect` gives.
pub(crate) const EFFECTS: &[&str] = &[
    "open_branch",
    "judge_base",
    "run_agent",
    "publish",
    "ensure_pull_request",
    "judge",
    "deploy",
    "rollback",
    "update",
    "merge",
    "watch",
    "ensure_ci",
    "sync_ticket",
    "notify",
    "comment",
    "edit_ticket",
    "clean_up",
    "note_findings",
];

pub(crate) fn wait(why: &WaitReason) -> &'static str {
    match why {
        WaitReason::Report { .. } => "report",
        WaitReason::CannotTell { .. } => "cannot_tell",
        WaitReason::Approval { what, .. } => match what {
            orch_core::task::ApprovalKind::Analysis => "approval of analysis",
            orch_core::task::ApprovalKind::Production => "approval of production",
            orch_core::task::ApprovalKind::Protected => "approval of protected changes",
            orch_core::task::ApprovalKind::Main => "approval of main",
            orch_core::task::ApprovalKind::Landed => "approval of a merge",
            orch_core::task::ApprovalKind::Base => "approval of a repair of the base",
            orch_core::task::ApprovalKind::NoChange => "approval of no change",
        },
        WaitReason::Answer { .. } => "answer",
        WaitReason::Lease { .. } => "lease",
        WaitReason::Production { .. } => "production",
        WaitReason::Held { .. } => "held",
        WaitReason::OnHold => "on_hold",
        WaitReason::After { .. } => "after",
        WaitReason::Unable { .. } => "unable",
    }
}

/// Every name `wait` gives.
pub(crate) const WAITS: &[&str] = &[
    "report",
    "cannot_tell",
    "approval of analysis",
    "approval of production",
    "approval of protected changes",
    "approval of a merge",
    "approval of a repair of the base",
    "answer",
    "lease",
    "production",
    "held",
    "on_hold",
    "after",
    "unable",
    "approval of no change",
];

pub(crate) fn block(why: &BlockReason) -> &'static str {
    match why {
        BlockReason::RoundsSpent { .. } => "rounds_spent",
        BlockReason::Returned { .. } => "returned",
        BlockReason::RoleFailed { .. } => "role_failed",
        BlockReason::ConflictLeft { .. } => "conflict_left",
        BlockReason::JobFailed { .. } => "job_failed",
        BlockReason::MergeRefused { .. } => "merge_refused",
        BlockReason::WrongTree { .. } => "wrong_tree",
        BlockReason::BranchMoved { .. } => "branch_moved",
        BlockReason::Rejected { .. } => "rejected",
        BlockReason::RollbackFailed { .. } => "rollback_failed",
        BlockReason::BudgetSpent { .. } => "budget_spent",
        BlockReason::ReturnsSpent { .. } => "returns_spent",
    }
}

/// Every name `block` gives a task of this version; `rollback_failed` is only read.
pub(crate) const BLOCKS: &[&str] = &[
    "rounds_spent",
    "role_failed",
    "conflict_left",
    "job_failed",
    "merge_refused",
    "wrong_tree",
    "branch_moved",
    "rejected",
    "budget_spent",
];

/// Every word of `Task::phase_word` that a built-in pipeline can show.
pub(crate) const PHASES: &[&str] = &[
    "idle",
    "rolling_back",
    "opening",
    "running",
    "publishing",
    "judging",
    "deploying",
    "preparing_merge",
    "merging",
    "watching",
    "waiting",
    "holding",
    "awaiting_approval",
    "needs_input",
    "production_failed",
    "waiting_for_lease",
    "on_hold",
    "waiting_for_others",
    "stopping",
    "blocked",
    "cancelled",
    "done",
];

pub(crate) const VERDICTS: &[&str] = &["pass", "wait", "fail", "unreadable", "inconclusive", "skipped"];
pub(crate) const OUTCOMES: &[&str] = &[
    "healthy",
    "degraded",
    "rolled_back",
    "inconclusive",
    "not_watched",
    "accepted",
    "reverted",
    "finished",
    "nothing_to_change",
];

pub(crate) fn place(task: &Task) -> String {
    let step = task.at.step;
    let lease = if task.pipeline.in_lease_span(task.at) { " (lease)" } else { "" };
    let job = task.job().map(|j| format!(" job {j}")).unwrap_or_default();
    format!("{}.{step} {}{job}{lease}", task.stage(), task.phase_word())
}

pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Opened { head, .. } => format!("opened {}", head.short()),
        Outcome::AgentFinished { question, .. } => {
            format!("agent finished{}", question.as_ref().map_or("", |_| ", asks"))
        }
        Outcome::AgentSaid { word, .. } => format!("agent finished, says {}", word.key()),
        Outcome::Published { head, empty, unresolved, .. } => {
            format!(
                "published {}{}{}",
                head.short(),
                if *empty { ", empty" } else { "" },
                if unresolved.is_empty() { "" } else { ", not resolved" }
            )
        }
        Outcome::NotTaken { .. } => "not taken".into(),
        Outcome::BranchMoved { now } => format!("branch moved to {}", now.as_ref().map_or("nothing", |n| n.short())),
        Outcome::Judged { head, verdict, .. } => format!("judged {} {}", head.short(), verdict.word()),
        Outcome::Updated { head, base, .. } => format!("updated {} on {}", head.short(), base.short()),
        Outcome::Conflict { onto, .. } => format!("conflict with {}", onto.short()),
        Outcome::Merged { commit, .. } => format!("merged {}", commit.short()),
        Outcome::Failed { fault } => format!("failed: {}", fault.text),
        other => format!("{other:?}"),
    }
}

pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::JobEnded { job, outcome: o } => format!("job {job} {}", outcome(o)),
        Event::Approved { by, subject, .. } => {
            format!("approved by {by} ({})", subject.as_ref().map_or("no subject", |s| s.get(..8).unwrap_or(s)))
        }
        other => format!("{}{}", other.name(), other.actor().map(|a| format!(" by {a}")).unwrap_or_default()),
    }
}

/// Every event that can be applied; a word of a person with what it is about.
pub(crate) const EVENTS: &[&str] = &[
    "started",
    "job_ended",
    "timer_fired",
    "nudged",
    "lease_freed",
    "analysis approved",
    "analysis rejected",
    "production approved",
    "production rejected",
    "answered",
    "cancel_asked",
    "retry_asked",
    "way_chosen",
    "put_on_hold",
    "released",
    "edit_asked",
    "finish_asked",
    "revert_asked",
    "begun_again",
    "after_set",
    "blockers_seen",
    "ticket_edited",
    "ticket edited before the start",
];

/// Rare answers that are worth a visit.
pub(crate) const ANSWERS: &[&str] = &[
    "inbox replayed",
    "lease reclaimed",
    "merge: lease lost",
    "merge: withdrawn",
    "update: conflict",
    "update: not taken",
    "update: lease lost",
];

/// What watchers find.
pub(crate) const WATCHERS: &[&str] = &[
    "circuit: closed",
    "circuit: job parked",
    "circuit: one job tries first",
    "disk: directory removed",
    "poll found approved",
    "poll found cancel_asked",
    "poll found retry_asked",
    "poll found started",
    "poll found ticket_edited",
    "reaper: hung claim taken back",
    "runner: poison quarantined",
    "two engines",
    "two engines: what a dead one claimed is taken over",
];
