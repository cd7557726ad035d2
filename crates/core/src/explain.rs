//! What is this task waiting for, since when, and what ends it? One function answers for dashboard, API and command
//! line, from the stored phase alone. A state that cannot explain itself is a bug: a test visits them all.

use crate::budget::usd;
use crate::ids::{Time, WorkItem};
use crate::pipeline::Step;
use crate::source::shell_word;
use crate::task::{
    ApprovalKind, Asked, BlockReason, Blocker, BlockerState, DoneOutcome, OnHold, Phase, Task, WaitReason, WayOut,
};
use crate::verdict::FaultKind;
use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What for, a short sentence.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// Until when at most; a person is told then.
    pub until: Option<Time>,
    /// What ends it.
    pub ends_when: String,
    /// The command with which a person ends it, where one must or can.
    pub command: Option<String>,
    /// What a person is asked to approve, a line each.
    pub shown: Vec<String>,
}

/// Of what is shown, a sentence holds this many; the list has them all.
const IN_A_SENTENCE: usize = 10;

/// Explains a task; `None` once nothing will ever happen to it again.
pub fn explain(task: &Task) -> Option<Waiting> {
    plain(task).map(|waiting| held_over(task, waiting))
}

/// The hold in words, before whatever else is to be said of the task.
fn held_over(task: &Task, plain: Waiting) -> Waiting {
    let Some(OnHold { by, since, reason }) = &task.wait.on_hold else { return plain };
    let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let held = format!("held by {by}{why}");
    let release = format!("orch task release {}", task.work_item);
    match &task.phase {
        Phase::Waiting { why: WaitReason::OnHold, .. } => {
            Waiting { reason: held, since: *since, command: Some(release), ..plain }
        }
        Phase::Working { .. } => Waiting {
            reason: format!("{held}; still under way: {}", plain.reason),
            since: *since,
            ends_when: format!("{}; then nothing new begins before `{release}`", plain.ends_when),
            command: Some(release),
            ..plain
        },
        _ => Waiting {
            reason: format!("{held}; {}", plain.reason),
            ends_when: format!("{}; nothing begins before `{release}`", plain.ends_when),
            ..plain
        },
    }
}

/// The same without a person's hold.
fn plain(task: &Task) -> Option<Waiting> {
    let item = &task.work_item;
    let waiting = |reason: String, since: Time, ends_when: String, command: Option<String>| Waiting {
        reason,
        since,
        until: None,
        ends_when,
        command,
        shown: Vec::new(),
    };
    match &task.phase {
        Phase::Idle => Some(waiting(
            "it has not been started".into(),
            task.created_at,
            "somebody moves its ticket to In Progress or starts it".into(),
            Some(format!("orch task start {item}")),
        )),
        Phase::Working { since, .. } if task.landing.landed.is_some() => Some(waiting(
            "somebody else has merged its pull request, and the job under way is being stopped".into(),
            *since,
            "the job under way has ended".into(),
            None,
        )),
        Phase::Working { since, .. } if task.asked().is_some() => task.asked().map(|Asked { what, subject, shown }| {
            let (ends_when, command) = approval_ends(item, what);
            let why = WaitReason::Approval { what, subject: subject.to_owned(), shown: shown.to_vec() };
            let since = task.wait.hold.map_or(*since, |h| h.since);
            Waiting { shown: shown.to_vec(), ..waiting(reason(&why), since, ends_when, Some(command)) }
        }),
        Phase::Working { since, .. } => {
            let (reason, ends) = working(task);
            Some(waiting(reason, task.wait.hold.map_or(*since, |h| h.since), ends.into(), None))
        }
        Phase::Stopping { by, since, finish, .. } => {
            let what = if finish.is_some() { "finished" } else { "cancelled" };
            Some(waiting(format!("it is being {what} for {by}"), *since, "the job under way has ended".into(), None))
        }
        Phase::Waiting { why, since, until, recheck } => {
            let (ends_when, command) = match why {
                WaitReason::Report { .. } => ("it is reported; orch looks again by itself".to_owned(), None),
                WaitReason::CannotTell { fault } => match fault.kind {
                    FaultKind::Denied => ("somebody repairs the access; orch looks again by itself".into(), None),
                    FaultKind::Transient | FaultKind::Gone | FaultKind::Permanent | FaultKind::Bug => {
                        ("it can be told; orch looks again by itself".into(), None)
                    }
                },
                WaitReason::Approval { what, .. } => {
                    let (ends_when, command) = approval_ends(item, *what);
                    (ends_when, Some(command))
                }
                WaitReason::Answer { .. } => ("somebody answers".into(), Some(format!("orch answer {item} \"...\""))),
                WaitReason::Unable { role, .. } => (
                    format!(
                        "somebody removes what is in its way and lets the {role} try again, says more with `orch task comment \
                         {item}` or `orch task edit {item}` before, or ends it with `orch task cancel {item}`"
                    ),
                    Some(format!("orch task retry {item}")),
                ),
                WaitReason::Lease { .. } => ("the other task has merged or gives up".into(), None),
                WaitReason::Production { .. } => (
                    format!("a person chooses: {}", WayOut::offer()),
                    Some(format!("orch task retry {item} --as {}", WayOut::CHOICE)),
                ),
                WaitReason::Held { by, .. } => (
                    format!("{by} is deployed again, repaired, reverted or accepted; orch looks again by itself"),
                    Some(format!("orch why {by}")),
                ),
                WaitReason::After { open } => after(item, open),
                WaitReason::OnHold => ("somebody releases it".into(), Some(format!("orch task release {item}"))),
            };
            let shown = match why {
                WaitReason::Approval { shown, .. } => shown.clone(),
                _ => Vec::new(),
            };
            Some(Waiting { reason: reason(why), since: *since, until: until.or(*recheck), ends_when, command, shown })
        }
        Phase::Blocked { why: why @ BlockReason::Returned { .. }, since, .. } if task.branch.source.is_some() => {
            let name = task.branch.source.as_ref().map(|s| s.name.as_str()).unwrap_or_default();
            Some(waiting(
                block(why),
                *since,
                format!(
                    "its author pushes a repair to {name} and lands it again, somebody lets exactly this commit be judged again \
                     (`orch task retry {item}`), or cancels it"
                ),
                Some(format!("orch land {} --project {}", shell_word(name), task.project)),
            ))
        }
        Phase::Blocked { why, since, .. } => Some(waiting(
            blocked(task, why),
            *since,
            if task.landing.landed.is_some() {
                format!(
                    "somebody lets it be asked again, takes the change back with `orch task retry {item} --as revert`, \
                     or cancels the task and leaves the change on main"
                )
            } else if task.landing.merged.is_some() {
                format!("somebody repairs the cause and lets it go on, or chooses with --as {}", WayOut::CHOICE)
            } else if task.merge_unknown() {
                "somebody repairs the cause and lets it go on".into()
            } else {
                "somebody repairs the cause and lets it go on, or cancels it".into()
            },
            Some(format!("orch task retry {item}")),
        )),
        Phase::Cancelled { .. } | Phase::Done { .. } => None,
    }
}

/// What ends the wait for an approval, and the command for it.
fn approval_ends(item: &WorkItem, what: ApprovalKind) -> (String, String) {
    let ends_when = match what {
        ApprovalKind::Landed => format!(
            "an approver takes it as the task's merge (`orch approve {item}`) or does not (`orch reject {item}`), somebody \
             takes it back (`orch task retry {item} --as revert`), or cancels the task and leaves the change on main"
        ),
        ApprovalKind::Base => format!(
            "somebody repairs the default branch, the command or this machine (orch tries again by itself), or an \
             approver says that this ticket is to repair it: `orch approve {item}`"
        ),
        ApprovalKind::Main => {
            "an approver approves what came in, which counts for every task of the project, or rejects it".to_owned()
        }
        ApprovalKind::Analysis | ApprovalKind::Production | ApprovalKind::Protected | ApprovalKind::NoChange => {
            format!("an approver approves or rejects the {}", approval(what))
        }
    };
    (ends_when, format!("orch approve {item}"))
}

/// What ends the wait for other tasks.
fn after(item: &WorkItem, open: &[Blocker]) -> (String, Option<String>) {
    let names = |open: &[&Blocker]| open.iter().map(|b| b.item.to_string()).collect::<Vec<_>>();
    let all: Vec<&Blocker> = open.iter().collect();
    let stuck: Vec<&Blocker> = open.iter().filter(|b| b.state != BlockerState::Open).collect();
    if stuck.is_empty() {
        let why = open.first().map(|b| format!("orch why {}", b.item));
        return (format!("{} is done or cancelled: then it starts at once", names(&all).join(", ")), why);
    }
    let remove = format!("orch task after {item} --remove {}", names(&stuck).join(" "));
    (format!("somebody says that it does not wait for {} (`{remove}`)", names(&stuck).join(", ")), Some(remove))
}

fn working(task: &Task) -> (String, &'static str) {
    let Some(step) = task.step() else {
        return ("it is at a step its pipeline does not have".into(), "a person looks");
    };
    match step {
        _ if task.production.rolling_back => {
            ("production is being brought back".into(), "the previous revision runs again, or cannot")
        }
        Step::Agent { .. } if task.branch.head.is_none() => {
            ("the branch is being opened".into(), "the branch is on the forge")
        }
        Step::Open if task.wait.base.as_ref().is_some_and(|red| red.rejected.is_some()) => (
            "a person rejected the repair of what fails on the default branch, and the look at it is being stopped"
                .into(),
            "the job under way has ended",
        ),
        Step::Open => ("the branch is being opened".into(), "the branch is on the forge"),
        Step::Agent { role } => {
            let round = if task.repairs() == 0 { String::new() } else { format!(" (repair {})", task.repairs()) };
            (format!("the {role} is at work{round}"), "the agent's turn ends or meets its time limit")
        }
        Step::Publish => ("the work is being committed and pushed".into(), "the branch is on the forge"),
        Step::PullRequest => ("the pull request is being opened".into(), "the forge has it"),
        Step::Gate { gate, .. } => (format!("{gate} is being judged"), "the gate answers"),
        Step::Deploy { environment } => {
            (format!("{environment} is being deployed"), "the deploy ends or meets its time limit")
        }
        Step::Restage => (
            "staging is being brought to what will land".into(),
            "it runs there, or the deploy ends or meets its time limit",
        ),
        Step::Update => ("the branch is being brought to the tip of main".into(), "the branch contains the tip"),
        Step::Merge => ("the forge is merging".into(), "the forge says for certain whether it has merged"),
        Step::ApproveProduction => ("production is being approved".into(), "it is approved"),
        Step::Watch => ("production is being watched".into(), "the watch window is over"),
    }
}

/// A wait in words.
pub fn reason(why: &WaitReason) -> String {
    match why {
        WaitReason::Report { what } => format!("waiting for {what}"),
        WaitReason::CannotTell { fault } => format!("cannot tell: {}", fault.text),
        WaitReason::Approval { what, subject, shown } => {
            let short: String = subject.chars().take(12).collect();
            let more = shown.len().saturating_sub(IN_A_SENTENCE);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            let some = shown.iter().take(IN_A_SENTENCE).map(String::as_str).collect::<Vec<_>>().join("; ");
            let shown = if shown.is_empty() { String::new() } else { format!(": {some}{more}") };
            if *what == ApprovalKind::Base {
                return format!("the base itself fails{shown}");
            }
            if *what == ApprovalKind::Landed {
                return format!("its pull request was merged as {short}, and not by orch{shown}");
            }
            format!("waiting for a person to approve the {} ({short}){shown}", approval(*what))
        }
        WaitReason::Answer { role, question } => format!("the {role} asks: {question}"),
        WaitReason::Unable { role, why } => format!("the {role} is unable to do its work: {why}"),
        WaitReason::Lease { holder: Some(item) } => format!("{item} is merging; one merge at a time"),
        WaitReason::Production { revision, cause, now } => {
            format!("production failed on {}: {} ({now})", revision.short(), cause.replace('\n', " / "))
        }
        WaitReason::Held { revision, by } => {
            format!("main contains {}, which production did not take ({by}): no deploy goes past it", revision.short())
        }
        WaitReason::After { open } => {
            format!("its start waits for {}", open.iter().map(Blocker::line).collect::<Vec<_>>().join("; "))
        }
        WaitReason::OnHold => "a person holds it".into(),
        WaitReason::Lease { holder: None } => "another task is merging; one merge at a time".into(),
    }
}

fn approval(what: ApprovalKind) -> &'static str {
    match what {
        ApprovalKind::Analysis => "analysis",
        ApprovalKind::Production => "production deploy",
        ApprovalKind::Protected => "protected changes",
        ApprovalKind::Main => "default branch as somebody else moved it",
        ApprovalKind::Landed => "merge by somebody else",
        ApprovalKind::Base => "repair of what fails on the default branch",
        ApprovalKind::NoChange => "declaration that nothing has to be changed",
    }
}

/// Most paths of a conflict that are named in a line.
const MAX_PATHS: usize = 10;

/// Why a task is blocked, in words.
pub fn blocked(task: &Task, why: &BlockReason) -> String {
    match (why, &task.branch.source) {
        (BlockReason::BranchMoved { now: Some(now) }, Some(source)) => format!(
            "somebody else pushed {} to {}, which is orch's copy of {}; a retry keeps that commit aside and makes the copy anew",
            now.short(),
            task.branch.name,
            source.name
        ),
        _ => block(why),
    }
}

/// A block in words.
pub fn block(why: &BlockReason) -> String {
    let first = |findings: &[crate::verdict::Finding]| {
        findings.first().map_or_else(String::new, |f| format!(": {}", f.text.lines().next().unwrap_or_default()))
    };
    match why {
        BlockReason::RoundsSpent { from, findings } => {
            format!("all repairs are spent; {from} still says no{}", first(findings))
        }
        BlockReason::Returned { from, findings } => {
            let place = findings.first().and_then(|f| f.file.as_deref()).map_or_else(String::new, |f| format!(": {f}"));
            let more = findings.len().saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            format!("{from} says no{place}{}{more}", first(findings))
        }
        BlockReason::RoleFailed { role, findings } => format!("the {role} did not deliver{}", first(findings)),
        BlockReason::ConflictLeft { findings } => {
            let each = findings.iter().map(|f| {
                let place = f.file.as_deref().map_or_else(String::new, |file| format!("{file}: "));
                format!("{place}{}", f.text.lines().next().unwrap_or_default())
            });
            let mut each: Vec<String> = each.take(MAX_PATHS + 1).collect();
            if MAX_PATHS < each.len() {
                each[MAX_PATHS] = format!("and {} more", findings.len() - MAX_PATHS);
            }
            format!("the conflict with the default branch is not resolved: {}", each.join("; "))
        }
        BlockReason::JobFailed { what, fault } => format!("could not {what}: {}", fault.text),
        BlockReason::MergeRefused { why } => format!("the forge refuses the merge: {why}"),
        BlockReason::WrongTree { tested, landed } => format!(
            "what landed ({landed}) is not what was tested ({tested}); the merge queue is frozen until somebody has looked"
        ),
        BlockReason::BranchMoved { now: Some(now) } => {
            format!("somebody else pushed {} to its branch; a retry goes on from there", now.short())
        }
        BlockReason::BranchMoved { now: None } => {
            "its branch on the forge was removed by somebody else, or names what \
             cannot be read (then remove it); a retry makes it again as orch pushed it"
                .into()
        }
        BlockReason::Rejected { by, comment, what } => {
            let comment = if comment.is_empty() { String::new() } else { format!(": {comment}") };
            format!("{by} rejected the {}{comment}", approval(what.unwrap_or(ApprovalKind::Production)))
        }
        BlockReason::RollbackFailed { why } => format!("production failed and could not be brought back: {why}"),
        BlockReason::ReturnsSpent { returns } => {
            let each = returns.iter().map(|r| format!("{}: {}", r.by, r.reason.lines().next().unwrap_or_default()));
            format!(
                "its analysis was found wrong {} times, and a person decides what is wanted: {}",
                returns.len(),
                each.collect::<Vec<_>>().join("; ")
            )
        }
        BlockReason::BudgetSpent { spent_micro_usd, limit_micro_usd, run_micro_usd, at_most } => {
            let most = if *at_most { "<= " } else { "" };
            let run = run_micro_usd.map_or_else(String::new, |run| format!(", and a run may cost {} USD", usd(run)));
            format!(
                "its agents have cost {most}{} USD, and {} USD is what they may{run} ([budget] task_usd); a retry grants as much again",
                usd(*spent_micro_usd),
                usd(*limit_micro_usd)
            )
        }
    }
}

/// One line for tables: what it does or waits for.
pub fn line(task: &Task) -> String {
    match (&task.phase, explain(task)) {
        (_, Some(waiting)) => waiting.reason,
        (Phase::Done { outcome: DoneOutcome::Finished, .. }, None) => match &task.lives.finished {
            Some(finished) => format!("done, finished outside of orch by {}: {}", finished.by, finished.reason),
            None => "done, finished outside of orch".into(),
        },
        (Phase::Done { outcome: DoneOutcome::NothingToChange, .. }, None) => match &task.findings.no_change {
            Some(declared) => format!("done, nothing to change: {}", declared.reason.replace('\n', " ")),
            None => "done, nothing to change".into(),
        },
        (Phase::Done { outcome, .. }, None) => format!("done, {}", outcome.as_str().replace('_', " ")),
        (Phase::Cancelled { by, .. }, None) => format!("cancelled by {by}"),
        (_, None) => String::new(),
    }
}
