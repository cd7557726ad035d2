//! One value of every variant of everything that is stored. The matches are exhaustive on purpose: a new variant does
//! not compile until it has a sample.
#![allow(dead_code, unreachable_pub)]

use crate::common::{World, anna, bob, fault, must, sha, tree};
use orch_core::conflict::{Conflict, ConflictKind, ConflictPath, Marks, Resolution, Resolved, Side, Take};
use orch_core::effect::{Effect, NotMerged, Outcome, Warning};
use orch_core::event::Event;
use orch_core::ids::{Environment, GateId, Time};
use orch_core::landing::{AfterMerge, Documents, History, LandingPlan};
use orch_core::pipeline::{Cursor, Pipeline};
use orch_core::source::Source;
use orch_core::task::{
    ApprovalKind, BeforeRevert, BlockReason, Blocker, BlockerState, DoneOutcome, Finished, Landed, Life, MergeIntent,
    Merged, NewTask, NoChange, OnHold, Phase, ProductionFailure, RedBase, Rejected, Returned, Reverting, Task,
    WaitReason, WayOut, WayTaken,
};
use orch_core::verdict::{FaultKind, Finding, Severity, Verdict, WaitFor};
use orch_core::word::Word;

const T: Time = Time(1_700_000_000_000);

/// Every index below `n` must be visited.
fn complete<T>(values: Vec<T>, n: usize, index: fn(&T) -> usize) -> Vec<T> {
    for i in 0..n {
        assert!(values.iter().any(|v| index(v) == i), "variant {i} has no sample");
    }
    values
}

fn finding() -> Finding {
    Finding {
        id: Some("R1".into()),
        severity: Severity::P0,
        file: Some("a.rs".into()),
        line: Some(7),
        text: "wrong".into(),
    }
}

fn intent() -> MergeIntent {
    MergeIntent { head: sha(3), base: sha(1), tree: tree(3), lease_epoch: 4 }
}

fn blockers() -> Vec<Blocker> {
    let path = vec!["DEMO-1".into(), "DEMO-3".into(), "DEMO-1".into()];
    vec![
        Blocker::open(&"DEMO-2".into()),
        Blocker { item: "DEMO-3".into(), state: BlockerState::Cycle { path } },
        Blocker { item: "DEMO-4".into(), state: BlockerState::Gone },
    ]
}

fn ticket() -> NewTask {
    let mut pipeline = Pipeline::lite();
    pipeline.stages.truncate(1);
    let landing = LandingPlan::default();
    let (project, title, body) = ("DEMO".into(), "t".into(), "b".into());
    NewTask { project, number: 1, title, body, pipeline, landing, repository: None, source: None }
}

pub fn events() -> Vec<Event> {
    let values = vec![
        Event::Started { by: bob() },
        Event::JobEnded { job: 3, outcome: Outcome::Sent },
        Event::TimerFired,
        Event::Nudged { what: "CI reported".into() },
        Event::LeaseFreed,
        Event::Approved {
            by: anna(),
            gate: Some(GateId::AnalysisApproved),
            subject: Some("digest".into()),
            comment: None,
        },
        Event::Approved { by: anna(), gate: None, subject: None, comment: None },
        Event::Rejected { by: anna(), gate: None, comment: "no".into() },
        Event::Rejected { by: anna(), gate: Some(GateId::AnalysisApproved), comment: "no".into() },
        Event::Answered { by: bob(), text: "blue".into() },
        Event::CancelAsked { by: bob() },
        Event::RetryAsked { by: bob() },
        Event::Commented { by: anna(), text: "mind the limits".into() },
        Event::Prioritised { by: anna(), priority: -3 },
        Event::Noticed { key: "k".into(), text: "the forge does not answer".into() },
        Event::PutOnHold { by: anna(), reason: Some("the release is frozen".into()) },
        Event::PutOnHold { by: anna(), reason: None },
        Event::Released { by: bob() },
        Event::EditAsked { by: bob(), title: Some("t".into()), body: Some("b".into()) },
        Event::EditAsked { by: bob(), title: None, body: None },
        Event::FinishAsked { by: bob(), reason: "done by hand".into() },
        Event::RevertAsked { by: bob(), reason: Some("too loud".into()) },
        Event::RevertAsked { by: bob(), reason: None },
        Event::BegunAgain { by: bob(), ticket: Box::new(ticket()) },
        Event::AfterSet { by: bob(), add: vec!["DEMO-2".into()], remove: vec!["DEMO-3".into()] },
        Event::BlockersSeen {
            open: blockers(),
            looked_at: vec!["DEMO-2".into(), "DEMO-3".into(), "DEMO-4".into(), "DEMO-5".into()],
        },
        Event::Attached { by: bob(), name: "a.png".into(), size: 7, sha256: "e3b0c442".into() },
        Event::TicketEdited { title: "t".into(), body: "b".into() },
        Event::WayChosen { by: bob(), way: WayOut::Deploy },
        Event::WayChosen { by: bob(), way: WayOut::Repair },
        Event::WayChosen { by: bob(), way: WayOut::Revert },
        Event::WayChosen { by: bob(), way: WayOut::Accept },
        Event::MainMoved { tip: sha(9), shown: vec!["1a2b3c Eve: hello".into()] },
        Event::Landed { commit: sha(9), tree: tree(9), head: sha(3), by: Some(anna()), tested: true },
        Event::Landed { commit: sha(9), tree: tree(9), head: sha(3), by: None, tested: false },
        Event::LandAsked { by: anna(), head: sha(9) },
    ];
    complete(values, 27, |v| match v {
        Event::Started { .. } => 0,
        Event::JobEnded { .. } => 1,
        Event::TimerFired => 2,
        Event::Nudged { .. } => 3,
        Event::LeaseFreed => 4,
        Event::Approved { .. } => 5,
        Event::Rejected { .. } => 6,
        Event::Answered { .. } => 7,
        Event::CancelAsked { .. } => 8,
        Event::RetryAsked { .. } => 9,
        Event::Commented { .. } => 14,
        Event::Prioritised { .. } => 15,
        Event::Noticed { .. } => 16,
        Event::PutOnHold { .. } => 17,
        Event::Released { .. } => 18,
        Event::EditAsked { .. } => 19,
        Event::FinishAsked { .. } => 20,
        Event::RevertAsked { .. } => 21,
        Event::BegunAgain { .. } => 22,
        Event::AfterSet { .. } => 23,
        Event::BlockersSeen { .. } => 24,
        Event::Attached { .. } => 25,
        Event::TicketEdited { .. } => 10,
        Event::WayChosen { .. } => 11,
        Event::MainMoved { .. } => 12,
        Event::Landed { .. } => 13,
        Event::LandAsked { .. } => 26,
    })
}

pub fn effects() -> Vec<Effect> {
    let judge = |gate, exact, run| Effect::Judge { gate, stage: "review".into(), head: sha(2), exact, run, since: T };
    let mut values = vec![
        Effect::OpenBranch,
        Effect::RunAgent { role: "developer".into(), stage: "development".into(), round: 1 },
        Effect::Publish { role: "developer".into(), stage: "development".into(), run: 3 },
        Effect::EnsurePullRequest,
        Effect::Deploy {
            environment: Environment::Staging,
            revision: sha(2),
            stage: "deploy-staging".into(),
            again: false,
            since: 0,
        },
        Effect::Rollback { environment: Environment::Production, failed: sha(3) },
        Effect::Update { head: sha(2), lease_epoch: 4 },
        Effect::Merge { pull_request: 5, intent: intent() },
        Effect::Watch { revision: sha(3), since: T },
        Effect::EnsureCi { commit: sha(2) },
        Effect::SyncTicket,
        Effect::Notify { key: "DEMO-1-7".into(), text: "DEMO-1 is blocked".into() },
        Effect::Comment { key: "comment-DEMO-1-7".into(), text: "local:anna: mind the limits".into() },
        Effect::CleanUp,
        Effect::NoteFindings {
            pull_request: 5,
            gate: GateId::ReviewerVerdict,
            run: 6,
            findings: vec![Finding { severity: Severity::P3, ..finding() }],
        },
        judge(GateId::CiGreen, true, None),
    ];
    values.extend(GateId::ALL.iter().map(|gate| judge(*gate, false, Some(6))));
    values.push(Effect::Deploy {
        environment: Environment::Production,
        revision: sha(3),
        stage: "deploy".into(),
        again: false,
        since: 12,
    });
    values.push(Effect::JudgeBase);
    values.push(Effect::EditTicket { title: Some("t".into()), body: None, by: bob() });
    complete(values, 18, |v| match v {
        Effect::JudgeBase => 17,
        Effect::EditTicket { .. } => 16,
        Effect::OpenBranch => 0,
        Effect::RunAgent { .. } => 1,
        Effect::Publish { .. } => 2,
        Effect::EnsurePullRequest => 3,
        Effect::Judge { .. } => 4,
        Effect::Deploy { .. } => 5,
        Effect::Rollback { .. } => 6,
        Effect::Update { .. } => 7,
        Effect::Merge { .. } => 8,
        Effect::Watch { .. } => 9,
        Effect::EnsureCi { .. } => 10,
        Effect::SyncTicket => 11,
        Effect::Notify { .. } => 12,
        Effect::CleanUp => 13,
        Effect::NoteFindings { .. } => 14,
        Effect::Comment { .. } => 15,
    })
}

pub fn outcomes() -> Vec<Outcome> {
    let mut values = vec![
        Outcome::Opened { head: sha(2), base: sha(1) },
        Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() },
        Outcome::AgentFinished {
            question: Some("which colour?".into()),
            resolved: orch_core::conflict::Resolution::default(),
        },
        Outcome::Published {
            head: sha(2),
            empty: false,
            discarded: vec!["ci.yml".into()],
            unresolved: vec!["a.rs".into()],
            refused: vec![],
        },
        Outcome::NotTaken { findings: vec![finding()] },
        Outcome::BranchMoved { now: Some(sha(9)) },
        Outcome::BranchMoved { now: None },
        Outcome::PullRequestOpen { number: 5 },
        Outcome::Judged { head: sha(2), verdict: Verdict::Pass, notes: vec![], warning: None },
        Outcome::Judged {
            head: sha(2),
            verdict: Verdict::Pass,
            notes: vec![Finding { severity: Severity::P3, ..finding() }],
            warning: None,
        },
        Outcome::Deployed { skipped: None, ended: 0 },
        Outcome::Deployed { skipped: Some("nothing to deploy".into()), ended: 0 },
        Outcome::RolledBack { ok: true, text: "back on v1".into() },
        Outcome::Updated { head: sha(3), base: sha(1), tree: tree(3), repatched: false, voids: false },
        Outcome::Conflict { onto: sha(1), files: vec!["a.rs".into()], record: None },
        Outcome::LeaseLost,
        Outcome::Merged { commit: sha(3), tree: tree(3) },
        Outcome::NotMerged { why: NotMerged::HeadMoved },
        Outcome::NotMerged { why: NotMerged::BaseMoved },
        Outcome::NotMerged { why: NotMerged::OnHold },
        Outcome::NotMerged { why: NotMerged::Refused { text: "protected".into() } },
        Outcome::Sent,
        Outcome::Cancelled,
    ];
    values.extend(done_outcomes().map(|outcome| Outcome::Watched { outcome }));
    values.extend(fault_kinds().map(|kind| Outcome::Failed { fault: fault(kind, "asking the forge: 503") }));
    let warning = Some(Warning { key: "warning-DEMO-1".into(), text: "the feed is down".into() });
    values.push(Outcome::Judged { head: sha(2), verdict: Verdict::Pass, notes: vec![], warning });
    values.push(Outcome::Updated { head: sha(3), base: sha(1), tree: tree(3), repatched: true, voids: false });
    values.push(Outcome::AgentFinished { question: None, resolved: resolution() });
    values.push(Outcome::Published {
        head: sha(2),
        empty: false,
        discarded: vec![],
        unresolved: vec!["a.bin".into()],
        refused: vec![must("decide")],
    });
    values.push(Outcome::Conflict { onto: sha(1), files: vec!["a.bin".into()], record: Some(conflict()) });
    values.push(Outcome::Deployed { skipped: None, ended: 2 });
    values.push(Outcome::Held { revision: sha(3), by: "DEMO-2".into() });
    values.extend(later_outcomes().map(|outcome| Outcome::Watched { outcome }));
    let shown = vec!["deploy.sh: is changed".to_owned()];
    values.push(Outcome::ApprovalNeeded { subject: "digest".into(), shown });
    values.push(Outcome::Updated { head: sha(3), base: sha(1), tree: tree(3), repatched: false, voids: true });
    values.push(Outcome::LandedOtherwise { commit: sha(9), tree: tree(9), by: Some(anna()) });
    values.push(Outcome::OverBudget {
        spent_micro_usd: 5_250_000,
        limit_micro_usd: 5_000_000,
        run_micro_usd: None,
        at_most: false,
    });
    values.push(Outcome::OverBudget {
        spent_micro_usd: 4_000_000,
        limit_micro_usd: 5_000_000,
        run_micro_usd: Some(2_000_000),
        at_most: true,
    });
    values.push(Outcome::BaseGreen { text: "the base is green".into(), commit: None });
    values.push(Outcome::BaseRed { subject: "digest".into(), shown: vec!["`make test`: exit 1".into()], commit: None });
    values.push(Outcome::BaseUnclear { fault: fault(FaultKind::Permanent, "12 bytes are free in /x") });
    for word in words() {
        values.push(Outcome::AgentSaid { word, resolved: orch_core::conflict::Resolution::default() });
    }
    values.push(Outcome::BaseGreen { text: String::new(), commit: Some(sha(1)) });
    values.push(Outcome::BaseRed { subject: "digest".into(), shown: vec![], commit: Some(sha(1)) });
    values.push(Outcome::BaseGone);
    complete(values, 27, |v| match v {
        Outcome::BaseGone => 26,
        Outcome::AgentSaid { .. } => 25,
        Outcome::BaseGreen { .. } => 21,
        Outcome::BaseRed { .. } => 22,
        Outcome::BaseUnclear { .. } => 23,
        Outcome::Opened { .. } => 0,
        Outcome::AgentFinished { .. } => 1,
        Outcome::Published { .. } => 2,
        Outcome::BranchMoved { .. } => 3,
        Outcome::PullRequestOpen { .. } => 4,
        Outcome::Judged { .. } => 5,
        Outcome::Deployed { .. } => 6,
        Outcome::RolledBack { .. } => 7,
        Outcome::Updated { .. } => 8,
        Outcome::Conflict { .. } => 9,
        Outcome::LeaseLost => 10,
        Outcome::Merged { .. } => 11,
        Outcome::NotMerged { .. } => 12,
        Outcome::Watched { .. } => 13,
        Outcome::Sent => 14,
        Outcome::Failed { .. } => 15,
        Outcome::Cancelled => 16,
        Outcome::NotTaken { .. } => 17,
        Outcome::Held { .. } => 18,
        Outcome::ApprovalNeeded { .. } => 19,
        Outcome::LandedOtherwise { .. } => 20,
        Outcome::OverBudget { .. } => 24,
    })
}

pub fn words() -> Vec<Word> {
    let values = vec![
        Word::Unable { reason: "no network".into() },
        Word::Return { stage: "analysis".into(), reason: "AC-2 contradicts AC-1".into() },
        Word::NoChange { reason: "it is there already".into() },
    ];
    complete(values, 3, |v| match v {
        Word::Unable { .. } => 0,
        Word::Return { .. } => 1,
        Word::NoChange { .. } => 2,
    })
}

fn resolution() -> Resolution {
    let takes =
        Take::ALL.iter().map(|take| Resolved { path: take.as_str().into(), take: *take, why: "shipped".into() });
    Resolution {
        takes: takes.collect(),
        unreadable: vec!["entry 5 has no `path`".into()],
        broken: Some("not JSON".into()),
    }
}

/// A path of every kind; the first with everything that may be known of one, the others with as little as there may be.
pub fn conflict() -> Conflict {
    use ConflictKind::{
        AddAdd, Binary, Content, DeleteModify, FileDirectory, Mode, Other, Rename, Submodule, Symlink, Types,
    };
    let side = |n: u64| Some(Side { mode: "100644".into(), oid: sha(n).to_string() });
    let bare = |kind| ConflictPath {
        path: "a.bin".into(),
        raw: None,
        kind,
        marked: false,
        ancestor: None,
        branch: None,
        base: None,
        written: None,
        alike: Marks::default(),
    };
    let kinds = [AddAdd, Binary, DeleteModify, FileDirectory, Types, Symlink, Mode, Rename, Submodule, Other];
    let mut paths = vec![ConflictPath {
        raw: Some("61".into()),
        marked: true,
        ancestor: side(1),
        branch: side(2),
        base: side(3),
        written: side(4),
        alike: Marks { open: 1, ancestor: 2, middle: 3, close: 4 },
        ..bare(Content)
    }];
    paths.extend(kinds.into_iter().map(bare));
    Conflict {
        labels: vec![sha(2).to_string(), sha(1).to_string()],
        paths,
        answer: resolution(),
        refused: 1,
        ..Conflict::of_files(sha(1), vec!["a.bin".into()])
    }
}

fn done_outcomes() -> impl Iterator<Item = DoneOutcome> {
    use DoneOutcome::{Degraded, Healthy, Inconclusive, NotWatched, RolledBack};
    [Healthy, Degraded, RolledBack, Inconclusive, NotWatched].into_iter()
}

fn later_outcomes() -> impl Iterator<Item = DoneOutcome> {
    [DoneOutcome::Accepted, DoneOutcome::Reverted, DoneOutcome::Finished, DoneOutcome::NothingToChange].into_iter()
}

pub fn fault_kinds() -> impl Iterator<Item = FaultKind> {
    use FaultKind::{Bug, Denied, Gone, Permanent, Transient};
    [Transient, Denied, Gone, Permanent, Bug].into_iter()
}

pub fn verdicts() -> Vec<Verdict> {
    let values = vec![
        Verdict::Pass,
        Verdict::Wait { why: WaitFor::Report { what: "`build`".into() }, until: Some(T), recheck: None },
        Verdict::Wait {
            why: WaitFor::Approval { what: ApprovalKind::Analysis, subject: "digest".into(), shown: Vec::new() },
            until: None,
            recheck: Some(T),
        },
        Verdict::Wait {
            why: WaitFor::Approval {
                what: ApprovalKind::Protected,
                subject: "digest".into(),
                shown: vec![".github/workflows/ci.yml is changed".into()],
            },
            until: None,
            recheck: None,
        },
        Verdict::Fail { findings: vec![finding(), must("no place")] },
        Verdict::Unreadable { findings: vec![must("12-review.md is missing")] },
        Verdict::Inconclusive { fault: fault(FaultKind::Transient, "the forge is down") },
        Verdict::Skipped { why: "switched off".into() },
        Verdict::Wait { why: WaitFor::Unable { reason: "no network".into() }, until: None, recheck: None },
    ];
    complete(values, 6, |v| match v {
        Verdict::Pass => 0,
        Verdict::Wait { .. } => 1,
        Verdict::Fail { .. } => 2,
        Verdict::Unreadable { .. } => 3,
        Verdict::Inconclusive { .. } => 4,
        Verdict::Skipped { .. } => 5,
    })
}

pub fn wait_reasons() -> Vec<WaitReason> {
    let mut values = vec![
        WaitReason::Report { what: "`build`".into() },
        WaitReason::Approval { what: ApprovalKind::Analysis, subject: "digest".into(), shown: Vec::new() },
        WaitReason::Approval { what: ApprovalKind::Production, subject: sha(3).to_string(), shown: Vec::new() },
        WaitReason::Approval {
            what: ApprovalKind::Protected,
            subject: "digest".into(),
            shown: vec!["the test `sums` is gone".into()],
        },
        WaitReason::Answer { role: "developer".into(), question: "which colour?".into() },
        WaitReason::Lease { holder: Some("DEMO-2".into()) },
        WaitReason::Lease { holder: None },
    ];
    values.extend(fault_kinds().map(|kind| WaitReason::CannotTell { fault: fault(kind, "asking the forge: 503") }));
    values.push(WaitReason::Production {
        revision: sha(3),
        cause: "hook: exit 1\nport 80 is taken".into(),
        now: "production is back on 1a2b3c".into(),
    });
    values.push(WaitReason::Held { revision: sha(3), by: "DEMO-2".into() });
    for what in [ApprovalKind::Main, ApprovalKind::Landed, ApprovalKind::Base] {
        values.push(WaitReason::Approval { what, subject: sha(9).to_string(), shown: vec!["anna merged it".into()] });
    }
    values.push(WaitReason::OnHold);
    values.push(WaitReason::After { open: blockers() });
    values.push(WaitReason::Unable { role: "tester".into(), why: "no network".into() });
    let shown = vec!["the developer says: it is there already".to_owned()];
    values.push(WaitReason::Approval { what: ApprovalKind::NoChange, subject: format!("{}-7", sha(2)), shown });
    complete(values, 10, |v| match v {
        WaitReason::Unable { .. } => 9,
        WaitReason::OnHold => 7,
        WaitReason::After { .. } => 8,
        WaitReason::Report { .. } => 0,
        WaitReason::CannotTell { .. } => 1,
        WaitReason::Approval { .. } => 2,
        WaitReason::Answer { .. } => 3,
        WaitReason::Lease { .. } => 4,
        WaitReason::Production { .. } => 5,
        WaitReason::Held { .. } => 6,
    })
}

fn returned() -> Returned {
    Returned { by: "developer".into(), reason: "AC-2 contradicts AC-1".into() }
}

pub fn block_reasons() -> Vec<BlockReason> {
    let values = vec![
        BlockReason::RoundsSpent { from: GateId::CiGreen.into(), findings: vec![finding()] },
        BlockReason::RoleFailed { role: "reviewer".into(), findings: vec![must("12-review.md is missing")] },
        BlockReason::JobFailed { what: "open the branch".into(), fault: fault(FaultKind::Denied, "401") },
        BlockReason::MergeRefused { why: "protected".into() },
        BlockReason::WrongTree { tested: tree(3), landed: tree(4) },
        BlockReason::BranchMoved { now: Some(sha(9)) },
        BlockReason::BranchMoved { now: None },
        BlockReason::Rejected { by: anna(), comment: "not on a Friday".into(), what: None },
        BlockReason::Rejected { by: anna(), comment: String::new(), what: None },
        BlockReason::RollbackFailed { why: "no previous revision".into() },
        BlockReason::BudgetSpent {
            spent_micro_usd: 5_250_000,
            limit_micro_usd: 5_000_000,
            run_micro_usd: None,
            at_most: false,
        },
        BlockReason::BudgetSpent {
            spent_micro_usd: 4_000_000,
            limit_micro_usd: 5_000_000,
            run_micro_usd: Some(2_000_000),
            at_most: true,
        },
        BlockReason::ConflictLeft { findings: vec![finding()] },
        BlockReason::Rejected { by: anna(), comment: String::new(), what: Some(ApprovalKind::Main) },
        BlockReason::Rejected { by: anna(), comment: "no".into(), what: Some(ApprovalKind::Landed) },
        BlockReason::Returned { from: GateId::CiGreen.into(), findings: vec![finding()] },
        BlockReason::ReturnsSpent { returns: vec![returned()] },
    ];
    complete(values, 12, |v| match v {
        BlockReason::ReturnsSpent { .. } => 11,
        BlockReason::RoundsSpent { .. } => 0,
        BlockReason::RoleFailed { .. } => 1,
        BlockReason::JobFailed { .. } => 2,
        BlockReason::MergeRefused { .. } => 3,
        BlockReason::WrongTree { .. } => 4,
        BlockReason::BranchMoved { .. } => 5,
        BlockReason::Rejected { .. } => 6,
        BlockReason::RollbackFailed { .. } => 7,
        BlockReason::BudgetSpent { .. } => 8,
        BlockReason::ConflictLeft { .. } => 9,
        BlockReason::Returned { .. } => 10,
    })
}

pub fn phases() -> Vec<Phase> {
    let retry = Cursor { stage: 1, step: 0 };
    let mut values = vec![
        Phase::Idle,
        Phase::Working { job: 3, since: T },
        Phase::Stopping { job: 3, by: bob(), since: T, finish: None },
        Phase::Stopping { job: 3, by: bob(), since: T, finish: Some("done by hand".into()) },
        Phase::Cancelled { by: bob(), since: T },
    ];
    values.extend(done_outcomes().map(|outcome| Phase::Done { outcome, since: T }));
    values.extend(wait_reasons().into_iter().map(|why| Phase::Waiting {
        why,
        since: T,
        until: Some(T),
        recheck: None,
    }));
    values.extend(block_reasons().into_iter().map(|why| Phase::Blocked { why, since: T, retry }));
    values.extend(later_outcomes().map(|outcome| Phase::Done { outcome, since: T }));
    complete(values, 7, |v| match v {
        Phase::Idle => 0,
        Phase::Working { .. } => 1,
        Phase::Waiting { .. } => 2,
        Phase::Stopping { .. } => 3,
        Phase::Blocked { .. } => 4,
        Phase::Cancelled { .. } => 5,
        Phase::Done { .. } => 6,
    })
}

/// A new task, one in the middle of preparing a merge for the second time, one that is done, and one of each kind of
/// trouble.
pub fn tasks() -> Vec<Task> {
    let newest = World::new(Pipeline::full()).task;
    let fresh = changed(&newest, |t| t.landing.plan = None);
    let mut w = World::at(Pipeline::lite(), "judge check_reviewer_verdict");
    w.judge(Verdict::Fail { findings: vec![finding()] });
    w.ok(Event::TicketEdited { title: "t".into(), body: "b".into() });
    w.until("judge check_security_gate exact");
    w.cannot_tell("the scanner is gone");
    let mut done = World::started(Pipeline::lite());
    done.finish();
    // As they were written before there was a plan of the landing, and a prepared head.
    let before = |task: &Task| {
        changed(task, |t| {
            (t.landing.prepared, t.landing.plan, t.started_by) = (None, None, None);
            t.production.hooks_from = 0;
            t.findings.refused = None;
        })
    };
    let now = changed(&fresh, |t| {
        t.landing.patch_changes = 2;
        t.landing.prepared.clone_from(&w.task.landing.prepared);
    });
    let resolved = changed(&fresh, |t| {
        (t.landing.conflict, t.landing.resolved, t.landing.conflicts) = (Some(conflict()), vec![conflict()], 2);
    });
    let failure = ProductionFailure {
        merged: Merged { commit: sha(3), tree: tree(3), at: T },
        base: Some(sha(1)),
        cause: "port 80 is taken".into(),
        now: "production is back on v1".into(),
        stopped: false,
        at: T,
        answer: Some(WayTaken { way: WayOut::Revert, by: anna(), at: T }),
    };
    let failed = changed(&fresh, |t| {
        (t.production.failures, t.production.hooks_from) = (vec![failure.clone()], 7);
        t.production.reverting = Some(Reverting { commit: sha(3), base: Some(sha(1)), by_hand: false });
    });
    let plan = LandingPlan { history: History::AsIs, documents: Documents::Evidence, ..LandingPlan::default() };
    let newest = changed(&newest, |t| {
        t.landing.plan = Some(plan);
        t.started_by.clone_from(&w.task.started_by);
        t.landing.approval_again = Some(Cursor { stage: 6, step: 3 });
        t.landing.voided = 1;
        t.branch.old = vec![("feature/DEMO-1-show".into(), sha(4))];
    });
    let by = Some(anna());
    let landed = Landed { commit: sha(9), tree: tree(9), head: sha(3), by, tested: true };
    let landed = changed(&newest, |t| t.landing.landed = Some(landed.clone()));
    let plan = LandingPlan { after_merge: AfterMerge::PullRequest, ..LandingPlan::default() };
    let late = changed(&landed, |t| t.landing.plan = Some(plan));
    let persons = changed(&late, |t| t.branch.source = Some(Source::new("anna/fix", sha(2))));
    let held = changed(&fresh, |t| {
        t.phase = Phase::Waiting { why: WaitReason::OnHold, since: T, until: None, recheck: None };
        t.wait.on_hold = Some(OnHold { by: anna(), since: T, reason: Some("the release is frozen".into()) });
        t.branch.judged = Some(sha(1));
        let rejected = Some(Rejected { by: anna(), comment: "somebody else repairs it".into() });
        t.wait.base = Some(RedBase { subject: "digest".into(), shown: vec!["`make test`: exit 1".into()], rejected });
    });
    let ended = changed(&fresh, |t| {
        let merged = Merged { commit: sha(3), tree: tree(3), at: T };
        let at = Cursor { stage: 1, step: 0 };
        let (cause, now) = ("port taken".to_owned(), "v1".to_owned());
        let failure =
            ProductionFailure { merged: merged.clone(), base: None, cause, now, at: T, answer: None, stopped: true };
        t.lives.before_revert = Some(BeforeRevert {
            merged,
            outcome: DoneOutcome::Healthy,
            done_at: Some(T),
            at,
            base: Some(sha(1)),
            failures: vec![failure],
        });
        t.lives.base = Some(sha(1));
        t.lives.landed = Some(sha(9));
        t.landing.asked = true;
        t.lives.finished = Some(Finished { by: anna(), reason: "done by hand".into(), at: T });
        t.lives.past = vec![Life {
            branch: "feature/DEMO-1-show".into(),
            pull_request: Some(5),
            merged: Some(sha(3)),
            took_back: Some(sha(2)),
            end: "done, healthy".into(),
            at: T,
            jobs_before: 30,
        }];
        t.lives.before = Some(Box::new(Task { pipeline: std::sync::Arc::default(), ..fresh.clone() }));
    });
    let said = changed(&fresh, |t| {
        t.wait.said = Some(Word::Unable { reason: "no network".into() });
        t.findings.no_change = Some(NoChange { reason: "it is there already".into(), run: 7, judged: true });
        (t.findings.refused, t.findings.answered) = (Some(sha(2)), true);
        t.findings.returned = vec![returned()];
        (t.spent.granted, t.spent.returns) = (true, 1);
    });
    let mut tasks =
        vec![fresh, before(&w.task), before(&done.task), now, resolved, failed, newest, landed, late, persons];
    tasks.extend([held, ended, said]);
    tasks
}

fn changed(task: &Task, change: impl FnOnce(&mut Task)) -> Task {
    let mut task = task.clone();
    change(&mut task);
    task
}
