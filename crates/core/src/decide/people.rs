//! What people may do, and what time and chance may do: start, approve, refuse, answer, cancel, retry; timers, nudges
//! and freed leases.

use super::source::TAKEN;
use super::{Cx, Step as Answer};
use crate::effect::Effect;
use crate::ids::{Actor, GateId, Role, StageId};
use crate::origin::Origin;
use crate::pipeline::{Cursor, Step};
use crate::policy::Act;
use crate::remark::Remark;
use crate::task::{
    Answer as Answered, Approval, ApprovalKind, BlockReason, Comment, Phase, Rejected, Task, WaitReason, WayOut,
};
use crate::verdict::{FaultKind, Finding};

/// Longest comment, bytes: it is in every brief that follows, and in every step of the task.
const COMMENT_MOST: usize = 16 * 1024;
/// Comments that are kept for the briefs; all of them are on the ticket.
const COMMENTS: usize = 20;

/// May this go onto the ticket?
fn is_bearable(comment: &str) -> Result<(), String> {
    if comment.len() <= COMMENT_MOST {
        return Ok(());
    }
    let (long, most) = (comment.len(), COMMENT_MOST);
    Err(format!("the comment is {long} bytes long, and {most} are the most: put it into a file of the repository"))
}

/// What the ticket says now: as the task began with it, or as it was edited since.
pub(super) fn latest_text(task: &Task) -> (String, String) {
    let edited = task.findings.notes.iter().find_map(|note| match note {
        Remark::Edited { title, body } => Some((title.clone(), body.clone())),
        Remark::Text(_) => None,
    });
    edited.unwrap_or_else(|| (task.title.clone(), task.body.clone()))
}

impl Task {
    /// Title and text of its ticket as they are now, as far as is known.
    pub fn ticket_text(&self) -> (String, String) {
        latest_text(self)
    }
}

impl Cx<'_> {
    /// May this person do this? `what` is the word for it: `approve`.
    pub(super) fn allow(&self, act: Act, who: &Actor, what: &str) -> Answer {
        if self.policy.may(who, act) {
            return Ok(());
        }
        let what = match act {
            Act::Land => format!("{what} branches of this project"),
            _ => format!("{what} tasks of this project"),
        };
        Err(self.policy.refusal(who, act, &what))
    }

    pub(super) fn started(&mut self, by: &Actor) -> Answer {
        self.may_begin(by, "start")?;
        match self.d.task.phase {
            Phase::Idle => {
                self.say(format!("started by {by}"));
                self.d.task.started_by = Some(by.clone());
                self.asked_by(by);
                self.enter();
                Ok(())
            }
            Phase::Cancelled { .. } | Phase::Done { .. } => {
                Err("it is over; begun again, its ticket is read anew".into())
            }
            _ => Err("it is started already".into()),
        }
    }

    /// Anybody who may start a task may add to it while it is under way.
    pub(super) fn commented(&mut self, by: &Actor, text: &str) -> Answer {
        self.allow(self.steer(), by, "comment on")?;
        if text.trim().is_empty() {
            return Err("the comment is empty".into());
        }
        is_bearable(text)?;
        if self.d.task.is_closed() {
            return Err("it is over: nobody would read it".into());
        }
        self.say(format!("{by} commented; the next brief has it"));
        let comments = &mut self.d.task.findings.comments;
        comments.push(Comment { by: by.clone(), text: text.to_owned() });
        comments.drain(..comments.len().saturating_sub(COMMENTS));
        self.comment(&format!("{by}: {text}"));
        Ok(())
    }

    pub(super) fn prioritised(&mut self, by: &Actor, priority: i32) -> Answer {
        self.allow(self.steer(), by, "prioritise")?;
        if self.d.task.is_closed() {
            return Err("it is over: nothing of it is claimed any more".into());
        }
        if self.d.task.priority == priority {
            return Err(format!("its priority is {priority} already"));
        }
        self.say(format!("priority {priority} by {by}"));
        self.d.task.priority = priority;
        Ok(())
    }

    /// People hear of it, whatever the task does.
    pub(super) fn noticed(&mut self, key: &str, text: &str) {
        self.say(text);
        self.emit(Effect::Notify { key: key.to_owned(), text: text.to_owned() });
    }

    fn comment(&mut self, text: &str) {
        let key = format!("comment-{}-{}", self.d.task.work_item, self.d.task.next_seq);
        self.emit(Effect::Comment { key, text: text.to_owned() });
    }

    pub(super) fn approved(
        &mut self,
        by: &Actor,
        gate: Option<GateId>,
        seen: Option<&str>,
        comment: Option<&str>,
    ) -> Answer {
        self.allow(Act::Approve, by, "approve")?;
        let Some((what, subject)) = self.d.task.asked().map(|asked| (asked.what, asked.subject.to_owned())) else {
            return Err("it does not wait for an approval".into());
        };
        waits_at(gate, what)?;
        if seen.is_some_and(|seen| seen != subject) {
            return Err("what was approved is not what is shown now: look again".into());
        }
        is_bearable(comment.unwrap_or_default())?;
        self.say(format!("{} approved by {by}", what.as_str()));
        self.d.task.approvals.push(Approval { what, subject, by: by.clone(), at: self.now });
        if let Some(comment) = comment.filter(|c| !c.trim().is_empty()) {
            self.comment(&format!("Approved by {by}: {comment}"));
        }
        // What is looked at again meanwhile is looked at to its end, and then the approval counts.
        if !matches!(self.d.task.phase, Phase::Waiting { why: WaitReason::Approval { .. }, .. }) {
            return Ok(());
        }
        let wait = &mut self.d.task.wait;
        wait.hold = None;
        wait.unsure = wait.unsure.filter(|unsure| unsure.at != self.d.task.at);
        if what == ApprovalKind::Landed {
            self.take_as_merge();
        } else {
            self.enter();
        }
        Ok(())
    }

    pub(super) fn rejected(&mut self, by: &Actor, gate: Option<GateId>, comment: &str) -> Answer {
        self.allow(Act::Approve, by, "reject")?;
        let Some(what) = self.d.task.asked().map(|asked| asked.what) else {
            return Err("it does not wait for an approval".into());
        };
        waits_at(gate, what)?;
        self.say(format!("{} rejected by {by}", what.as_str()));
        if let (Phase::Working { job, .. }, Some(red)) = (&self.d.task.phase, &mut self.d.task.wait.base) {
            self.d.stop = Some(*job);
            red.rejected = Some(Rejected { by: by.clone(), comment: comment.to_owned() });
            return Ok(());
        }
        let back_to = match what {
            ApprovalKind::Analysis | ApprovalKind::Protected => self.on_fail_here(),
            // Where nobody reviews, it goes back to whoever declared it.
            ApprovalKind::NoChange => self.on_fail_here().or_else(|| Some(self.d.task.stage().clone())),
            ApprovalKind::Production | ApprovalKind::Main | ApprovalKind::Landed | ApprovalKind::Base => None,
        };
        if let Some(on_fail) = back_to {
            let text = if comment.is_empty() { "rejected without a comment" } else { comment };
            self.back(&on_fail, vec![Finding::must_fix(text)], Origin::Person(by.clone()));
        } else {
            let retry = self.d.task.at;
            let what = (what != ApprovalKind::Production).then_some(what);
            self.block(BlockReason::Rejected { by: by.clone(), comment: comment.to_owned(), what }, retry);
        }
        Ok(())
    }

    /// Where the gate under the cursor goes back to; on the way to a merge, where its gate does.
    fn on_fail_here(&self) -> Option<StageId> {
        let back = |step: &Step| match step {
            Step::Gate { on_fail, .. } => Some(on_fail.clone()),
            _ => None,
        };
        let task = &self.d.task;
        let here = task.step()?;
        let mergeable = |s: &&Step| matches!(s, Step::Gate { gate: GateId::BranchMergeable, .. });
        match here {
            Step::Update => task.pipeline.stages.get(task.at.stage)?.steps.iter().find(mergeable).and_then(back),
            // A hook that waits for a person goes back to where the gate behind it does.
            Step::Deploy { .. } => {
                task.pipeline.stages.get(task.at.stage)?.steps.get(task.at.step..)?.iter().find_map(back)
            }
            other => back(other),
        }
    }

    pub(super) fn answered(&mut self, by: &Actor, text: &str) -> Answer {
        self.allow(Act::Start, by, "answer")?;
        let Phase::Waiting { why: WaitReason::Answer { question, .. }, .. } = self.d.task.phase.clone() else {
            if let Phase::Waiting { why: WaitReason::Unable { role, .. }, .. } = &self.d.task.phase {
                let item = &self.d.task.work_item;
                return Err(format!(
                    "the {role} asks nothing: say more with `orch task comment {item}`, then `orch task retry {item}`"
                ));
            }
            return Err("it has no open question".into());
        };
        self.say(format!("answered by {by}"));
        self.d.task.wait.question = None;
        self.d.task.findings.answers.push(Answered { question, answer: text.to_owned(), by: by.clone() });
        let agent = self.agent_here();
        self.move_to(agent);
        Ok(())
    }

    pub(super) fn cancel_asked(&mut self, by: &Actor) -> Answer {
        self.allow(self.steer(), by, "cancel")?;
        if let Some(merged) = &self.d.task.landing.merged {
            let (item, commit) = (&self.d.task.work_item, merged.commit.short());
            return Err(match self.d.task.phase {
                Phase::Done { .. } => "it is over already".to_owned(),
                Phase::Waiting { .. } | Phase::Blocked { .. } => format!(
                    "it is merged as {commit}: what has landed cannot be cancelled. Choose with `orch task retry {item} --as {}`: {}",
                    WayOut::CHOICE,
                    WayOut::offer()
                ),
                _ => format!(
                    "it is merged as {commit}: what has landed cannot be cancelled, only taken back once it stands still"
                ),
            });
        }
        if self.d.task.merge_unknown() {
            return Err("whether it is merged is not known: retry it first, then it can be told".into());
        }
        if let (Some(_), Some(landed)) = (&self.d.task.lives.before_revert, &self.d.task.landing.landed) {
            let (item, commit) = (&self.d.task.work_item, landed.commit.short());
            let way = match self.d.task.phase {
                Phase::Blocked { .. } => format!("`orch task retry {item}` asks again whether that"),
                _ => format!("`orch approve {item}` says that it"),
            };
            return Err(format!("its revert is merged as {commit}: {way} is what became of it"));
        }
        match self.d.task.phase {
            Phase::Cancelled { .. } | Phase::Done { .. } => Err("it is over already".into()),
            Phase::Stopping { .. } => Err("it is being cancelled already".into()),
            Phase::Working { job, .. } => {
                self.say(format!("cancelled by {by}; the job under way is being stopped"));
                self.d.task.phase = Phase::Stopping { job, by: by.clone(), since: self.now, finish: None };
                // A merge cannot be recalled: its outcome is awaited.
                if !matches!(self.d.task.step(), Some(Step::Merge)) {
                    self.d.stop = Some(job);
                }
                Ok(())
            }
            Phase::Idle | Phase::Waiting { .. } | Phase::Blocked { .. } => {
                self.cancelled(by.clone());
                Ok(())
            }
        }
    }

    pub(super) fn cancelled(&mut self, by: Actor) {
        if let (Some(_), Some(landed)) = (&self.d.task.lives.before_revert, &self.d.task.landing.landed) {
            // It is on main: what was to be given up has happened.
            self.say(format!(
                "the revert itself was merged as {}: it cannot be given up any more",
                landed.commit.short()
            ));
            return self.take_landed();
        }
        self.leave_landed();
        if self.d.task.lives.before_revert.is_some() {
            return self.revert_given_up(&by);
        }
        if self.d.task.under_repair().is_some() {
            return self.repair_given_up(&by);
        }
        self.say(format!("cancelled by {by}"));
        self.d.task.wait.hold = None;
        self.d.task.wait.base = None;
        self.d.task.wait.on_hold = None;
        self.d.task.phase = Phase::Cancelled { by, since: self.now };
        self.emit(Effect::CleanUp);
    }

    pub(super) fn retry_asked(&mut self, by: &Actor) -> Answer {
        self.may_begin(by, "retry")?;
        if let Phase::Waiting { why: WaitReason::Production { .. }, .. } = self.d.task.phase {
            // Try again: nothing but the deploy has failed.
            return self.way_chosen(by, WayOut::Deploy);
        }
        if let Phase::Waiting { why: WaitReason::Unable { role, .. }, .. } = &self.d.task.phase {
            let role = role.clone();
            self.say(format!("{by} lets the {role} try again"));
            let agent = self.agent_here();
            self.move_to(agent);
            return Ok(());
        }
        let Phase::Blocked { why, retry, .. } = self.d.task.phase.clone() else {
            return Err("it is not blocked: there is nothing to retry".into());
        };
        self.say(format!("{by} lets it go on"));
        let unknown = self.d.task.merge_unknown();
        let task = &mut self.d.task;
        task.landing.asked = unknown;
        task.spent.role_attempts = 0;
        task.landing.updates = 0;
        task.landing.patch_changes = 0;
        task.landing.conflicts = 0;
        if let Some(conflict) = task.landing.conflict.as_mut() {
            conflict.refused = 0;
        }
        task.landing.voided = 0;
        match why {
            BlockReason::RoundsSpent { from, .. } => {
                task.spent.rounds = 0;
                task.spent.stage_rounds.clear();
                if self.asks_first(&from) {
                    return Ok(());
                }
                self.d.task.run = None;
            }
            BlockReason::ReturnsSpent { .. } => {
                task.spent.returns = 0;
                self.enter_stage_at(retry);
                return Ok(());
            }
            BlockReason::BranchMoved { now: Some(now) } => {
                // What was pushed has resolved nothing that is recorded; merged anew, its markers carry its own name.
                if let Some(conflict) = task.landing.conflict.as_mut().filter(|c| !c.labels.is_empty()) {
                    conflict.labels.push(now.to_string());
                }
                task.branch.head = Some(now.clone());
                if self.is_a_persons() {
                    self.put_aside(&now);
                    self.judge_again(TAKEN);
                    return Ok(());
                }
                if self.policy.own_ci {
                    self.emit(Effect::EnsureCi { commit: now });
                }
                let at = self.after_a_stranger(retry);
                self.d.task.findings.no_change = None;
                self.enter_stage_at(at);
                return Ok(());
            }
            BlockReason::BranchMoved { now: None } => task.branch.again = true,
            BlockReason::WrongTree { .. } => {
                // The person has looked and accepts what landed.
                self.next();
                return Ok(());
            }
            BlockReason::BudgetSpent { .. } => task.spent.budget_from_micro_usd = self.spent_micro_usd,
            BlockReason::Returned { .. } => {
                self.judge_again(retry);
                return Ok(());
            }
            BlockReason::RoleFailed { .. } if self.asks_first_what_stands() => return Ok(()),
            BlockReason::RoleFailed { .. }
            | BlockReason::ConflictLeft { .. }
            | BlockReason::JobFailed { .. }
            | BlockReason::MergeRefused { .. }
            | BlockReason::Rejected { .. }
            | BlockReason::RollbackFailed { .. } => {}
        }
        self.move_to(retry);
        Ok(())
    }

    /// Where a task goes on whose branch a stranger pushed to. What was pushed has been judged by nobody: a stage that was
    /// writing writes again on top of it; a stage behind development goes back to development's gates, so that CI,
    /// review and tests see it.
    fn after_a_stranger(&self, retry: Cursor) -> Cursor {
        let stages = &self.d.task.pipeline.stages;
        let develops = |s: &Step| matches!(s, Step::Agent { role: Role::Developer });
        let development = stages.iter().position(|s| s.steps.iter().any(develops));
        match development {
            // Also where a gate of development itself was asked again: nobody was writing.
            Some(stage)
                if stage < retry.stage
                    || stage == retry.stage && matches!(self.d.task.step(), Some(Step::Gate { .. })) =>
            {
                let publish = stages[stage].steps.iter().position(|s| matches!(s, Step::Publish));
                Cursor { stage, step: publish.map_or(0, |p| p + 1) }
            }
            _ => Cursor { stage: retry.stage, step: 0 },
        }
    }

    pub(super) fn ticket_edited(&mut self, title: &str, body: &str) -> Answer {
        if self.d.task.is_closed() {
            return Err("it is over".into());
        }
        if self.d.task.title == title
            && self.d.task.body == body
            && !self.d.task.findings.notes.iter().any(Remark::is_edit)
        {
            return Err("nothing changed".into());
        }
        if self.d.task.branch.source.is_some() && !matches!(self.d.task.phase, Phase::Idle) {
            // No brief carries it: the commit that lands says it, if it is not made yet.
            let task = &mut self.d.task;
            title.clone_into(&mut task.title);
            body.clone_into(&mut task.body);
            self.say("the ticket was edited");
            return Ok(());
        }
        if matches!(self.d.task.phase, Phase::Idle) {
            let task = &mut self.d.task;
            title.clone_into(&mut task.title);
            body.clone_into(&mut task.body);
            task.branch.rename(&task.work_item, title);
            self.say("the ticket was edited before the start");
            return Ok(());
        }
        // Only the latest text counts; one edited back needs no remark at all.
        let note = Remark::Edited { title: title.to_owned(), body: body.to_owned() };
        if self.d.task.findings.notes.contains(&note) {
            return Err("this edit is noted already".into());
        }
        self.d.task.findings.notes.retain(|n| !n.is_edit());
        if self.d.task.title == title && self.d.task.body == body {
            self.say("the ticket was edited back to what it was");
            return Ok(());
        }
        self.say("the ticket was edited; the next brief says so");
        self.d.task.findings.notes.push(note);
        Ok(())
    }

    pub(super) fn timer_fired(&mut self) -> Answer {
        let Phase::Waiting { why, until, recheck, .. } = self.d.task.phase.clone() else {
            return Err("nothing waits for a timer".into());
        };
        let mut acted = false;
        if let (Some(until), Some(hold)) = (until, self.d.task.wait.hold.as_mut())
            && until <= self.now
            && !hold.told
        {
            hold.told = true;
            let here = self.d.task.at;
            if let Some(unsure) = self.d.task.wait.unsure.as_mut()
                && (unsure.at == here || Some(here.step) == self.d.task.pipeline.update_step(here.stage))
            {
                unsure.hold.told = true;
            }
            acted = true;
            let item = &self.d.task.work_item;
            let what = crate::explain::reason(&why);
            let text = format!("{item} has been waiting too long: {what}");
            let key = format!("{item}-waits-{}", self.d.task.next_seq);
            self.say("it takes too long; a person is told");
            self.emit(Effect::Notify { key, text });
        }
        if recheck.is_some_and(|at| at <= self.now) {
            self.ask_ci_again(&why);
            self.enter();
            acted = true;
        }
        if acted { Ok(()) } else { Err("it is too early".into()) }
    }

    /// Own CI that told nothing about the code is run again with the look of its gate. Only by the time that was waited: its
    /// end wakes the gate too. A gate behind `update` waits at `update`.
    fn ask_ci_again(&mut self, why: &WaitReason) {
        let WaitReason::CannotTell { fault } = why else { return };
        let task = &self.d.task;
        let places = [Some(task.at), task.wait.unsure.map(|unsure| unsure.at)];
        let mut steps = places.into_iter().flatten().filter_map(|at| task.pipeline.step(at));
        let asks = steps.any(|step| matches!(step, Step::Gate { gate: GateId::CiGreen, .. }));
        if asks
            && self.policy.own_ci
            && fault.kind == FaultKind::Permanent
            && let Some(commit) = self.judged_commit()
        {
            self.emit(Effect::EnsureCi { commit });
        }
    }

    pub(super) fn nudged(&mut self, what: &str) -> Answer {
        match &self.d.task.phase {
            // Another task's approval may count for it, or main has moved on and something else is shown.
            Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Main, .. }, .. } => {
                self.d.task.wait.hold = None;
                self.enter();
                Ok(())
            }
            // Main has moved on: perhaps it is repaired.
            Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Base, .. }, .. } => {
                self.enter();
                Ok(())
            }
            Phase::Waiting { why, .. } if why.is_looked_at() => {
                self.enter();
                Ok(())
            }
            _ => Err(format!("nothing waits for this: {what}")),
        }
    }

    pub(super) fn lease_freed(&mut self) -> Answer {
        match &self.d.task.phase {
            Phase::Waiting { why: WaitReason::Lease { .. }, .. } => {
                self.enter();
                Ok(())
            }
            _ => Err("it does not wait for the merge lease".into()),
        }
    }
}

/// Whoever names a gate means what is asked there: is that what the task waits for?
fn waits_at(gate: Option<GateId>, what: ApprovalKind) -> Result<(), String> {
    let named = match gate {
        None => return Ok(()),
        Some(GateId::AnalysisApproved) => ApprovalKind::Analysis,
        Some(GateId::DeployStatus) => ApprovalKind::Production,
        Some(GateId::ReviewerVerdict | GateId::ReviewApproved) => ApprovalKind::NoChange,
        Some(GateId::SecurityGate | GateId::BranchMergeable) => ApprovalKind::Protected,
        Some(other) => return Err(format!("{other} is not something a person approves")),
    };
    if named == what {
        return Ok(());
    }
    Err(format!("it waits for an approval of {}, not of {}", what.as_str(), named.as_str()))
}
