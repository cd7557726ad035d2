//! Moving along the pipeline: into a step, to the next one, back with findings. The cursor is changed here only.

use super::{Cx, LeaseOp};
use crate::cost::{Cause, Charged, Cost};
use crate::effect::Effect;
use crate::ids::{Environment, Role, StageId};
use crate::origin::Origin;
use crate::pipeline::{Cursor, Step};
use crate::remark::Remark;
use crate::task::{ApprovalKind, BlockReason, DoneOutcome, Hold, Phase, Raised, Task, Unsure, WaitReason};
use crate::verdict::{FaultKind, FaultNote, Finding};

impl Cx<'_> {
    /// Starts the step the cursor is at.
    pub(super) fn enter(&mut self) {
        if self.is_stopped_here() {
            return;
        }
        if self.is_declared_alone() {
            return self.nothing_to_change();
        }
        let task = &self.d.task;
        let stage = task.stage().clone();
        let Some(step) = task.step().cloned() else {
            let at = task.at;
            return self.impossible(&format!("the pipeline has no step {} in stage {}", at.step, at.stage));
        };
        // Behind `Update` nothing goes on without the lease: what is judged there must be what would land now. (The merge
        // itself is asked for again even so: whether it has happened only its executor can see, and that checks the epoch.)
        if self.d.task.pipeline.in_lease_span(self.d.task.at)
            && matches!(step, Step::Gate { .. } | Step::Restage)
            && !self.holds_lease()
        {
            self.prepare_again();
            return self.enter_update();
        }
        // What was judged holds for the branch that is opened next, and for no later one.
        self.d.task.branch.judged = None;
        match step {
            Step::Open if self.base_comes_first() => self.work(Effect::JudgeBase),
            Step::Open => {
                self.d.task.wait.base = None;
                self.work(Effect::OpenBranch);
            }
            // The branch of a second generation.
            Step::Agent { .. } if self.d.task.branch.head.is_none() => self.work(Effect::OpenBranch),
            Step::Agent { role } => {
                let round = self.d.task.repairs();
                if role == Role::Developer {
                    self.d.task.findings.no_change = None;
                }
                self.d.task.run = Some(self.d.task.next_seq);
                self.work(Effect::RunAgent { role, stage, round });
            }
            Step::Publish => {
                let role = self.d.task.pipeline.role(self.d.task.at.stage).cloned();
                match (role, self.d.task.run) {
                    (Some(role), Some(run)) => self.work(Effect::Publish { role, stage, run }),
                    _ => self.impossible("there is no run to publish"),
                }
            }
            Step::PullRequest if self.d.task.findings.no_change.is_some() => self.next(),
            Step::PullRequest => self.work(Effect::EnsurePullRequest),
            Step::Gate { gate, exact, .. } => {
                let Some(head) = self.judged_commit() else { return self.impossible("there is no head to judge") };
                let run = self.d.task.run;
                let since = self.waited_here().map_or(self.now, |h| h.since);
                self.work(Effect::Judge { gate, stage, head, exact, run, since });
            }
            Step::Deploy { environment } => {
                let revision = match environment {
                    Environment::Staging => self.d.task.branch.head.clone(),
                    Environment::Production => self.d.task.landing.merged.as_ref().map(|m| m.commit.clone()),
                };
                let Some(revision) = revision else { return self.impossible("there is no revision to deploy") };
                self.d.task.run = Some(self.d.task.next_seq);
                let since = self.d.task.production.hooks_from;
                self.work(Effect::Deploy { environment, revision, stage, again: false, since });
            }
            Step::Restage => {
                let Some(revision) = self.d.task.branch.head.clone() else {
                    return self.impossible("there is no head to stage again");
                };
                self.d.task.run = Some(self.d.task.next_seq);
                let since = self.d.task.production.hooks_from;
                self.work(Effect::Deploy { environment: Environment::Staging, revision, stage, again: true, since });
            }
            Step::Update => self.enter_update(),
            Step::Merge => match (self.d.task.branch.pull_request, self.d.task.landing.intent.clone()) {
                (Some(pull_request), Some(intent)) if Some(&intent.head) == self.d.task.branch.head.as_ref() => {
                    self.work(Effect::Merge { pull_request, intent });
                }
                _ => self.impossible("there is no prepared head to merge"),
            },
            Step::ApproveProduction => {
                let subject = self.d.task.landing.merged.as_ref().map(|m| m.commit.to_string()).unwrap_or_default();
                if !self.policy.production_approval
                    || self.d.task.approved(ApprovalKind::Production, &subject).is_some()
                {
                    self.next();
                } else {
                    self.say("production needs a person's approval");
                    self.wait(
                        WaitReason::Approval { what: ApprovalKind::Production, subject, shown: Vec::new() },
                        None,
                        None,
                    );
                }
            }
            Step::Watch => match self.d.task.landing.merged.clone() {
                Some(merged) if self.policy.watch => {
                    self.work(Effect::Watch { revision: merged.commit, since: self.now });
                }
                _ => self.done(DoneOutcome::NotWatched),
            },
        }
    }

    /// What gates judge here: the merge commit once there is one, else the head.
    pub(super) fn judged_commit(&self) -> Option<crate::ids::Sha> {
        let task = &self.d.task;
        task.landing.merged.as_ref().map(|m| m.commit.clone()).or_else(|| task.branch.head.clone())
    }

    /// `Update` is entered with the lease or not at all.
    fn enter_update(&mut self) {
        let Some(head) = self.d.task.branch.head.clone() else { return self.impossible("there is no head to update") };
        self.d.task.landing.intent = None;
        self.d.task.landing.asked = false;
        if self.d.task.landing.conflict.is_some() {
            // A half-repaired branch contains the tip, so that git would see no conflict any more.
            self.say("the conflict with the default branch is not resolved yet");
            return self.resolve_conflict();
        }
        let lease_epoch = match &self.lease.holder {
            Some((holder, _)) if *holder == self.d.task.id => self.lease.epoch,
            None => {
                self.d.lease = LeaseOp::Take;
                self.lease.epoch + 1
            }
            Some((_, item)) => {
                if self.d.task.wait.hold.is_none() {
                    self.say(format!("{item} is merging; this task waits for the merge lease"));
                }
                let recheck = Some(self.now.plus_ms(self.policy.lease_recheck_ms));
                return self.wait(WaitReason::Lease { holder: Some(item.clone()) }, None, recheck);
            }
        };
        self.work(Effect::Update { head, lease_epoch });
    }

    /// On to the next step, into the next stage if this one is through.
    pub(super) fn next(&mut self) {
        let at = self.d.task.at;
        let last = self.d.task.pipeline.stages.get(at.stage).is_none_or(|s| s.steps.len() <= at.step + 1);
        let spans = |step| self.d.task.pipeline.in_lease_span(Cursor { stage: at.stage, step });
        if spans(at.step) && spans(at.step + 1) && !self.holds_lease() {
            self.say("the merge lease was lost; the merge is prepared again");
            self.update_again();
        } else if !last {
            self.move_to(Cursor { stage: at.stage, step: at.step + 1 });
        } else if at.stage + 1 < self.d.task.pipeline.stages.len() {
            self.enter_stage(at.stage + 1);
        } else {
            self.done(DoneOutcome::NotWatched);
        }
    }

    /// Into the first step of a stage, as a new visit.
    pub(super) fn enter_stage(&mut self, stage: usize) {
        self.enter_stage_at(Cursor { stage, step: 0 });
    }

    /// The same, at a later step of it.
    pub(super) fn enter_stage_at(&mut self, to: Cursor) {
        let stage = to.stage;
        let task = &mut self.d.task;
        task.run = None;
        task.spent.role_attempts = 0;
        task.landing.updates = 0;
        task.wait.question = None;
        task.wait.said = None;
        task.wait.unsure = None;
        if stage < task.at.stage {
            // A new visit of staging is a new deploy there, also of what was there before.
            task.production.hooks_from = task.next_seq;
        }
        task.landing.approval_again = None;
        if task.at.stage < stage {
            task.spent.granted = false;
            task.findings.raised.retain(|r| stage <= r.at.stage);
            derive_findings(task);
            // Remarks were for whoever worked so far; what the ticket says now is for everybody.
            task.findings.notes.retain(Remark::is_edit);
        }
        self.move_to(to);
    }

    pub(super) fn move_to(&mut self, at: Cursor) {
        self.d.task.at = at;
        self.d.task.wait.hold = None;
        self.enter();
    }

    /// Waits; how long it has waited is kept while the step stays the same.
    pub(super) fn wait(&mut self, why: WaitReason, until: Option<crate::ids::Time>, recheck: Option<crate::ids::Time>) {
        let asks = matches!(why, WaitReason::Approval { what: ApprovalKind::Landed, .. });
        if self.d.task.landing.landed.is_some() && !asks {
            return self.take_landed();
        }
        if self.d.task.wait.on_hold.is_some() && why.is_looked_at() {
            return self.rest();
        }
        let now = self.now;
        let fresh = self.waited_here().unwrap_or(Hold { since: now, told: false, asked: false });
        let hold = *self.d.task.wait.hold.get_or_insert(fresh);
        self.d.task.phase = Phase::Waiting { why, since: hold.since, until, recheck };
    }

    /// How long this step has been waiting, counted over re-checks and over preparing the merge again.
    pub(super) fn waited_here(&self) -> Option<Hold> {
        let task = &self.d.task;
        task.wait.hold.or_else(|| task.wait.unsure.filter(|u| u.at == task.at).map(|u| u.hold))
    }

    /// Puts the cursor back on `Update` for the gate it is at; the gate's wait goes on counting.
    pub(super) fn prepare_again(&mut self) {
        let at = self.d.task.at;
        if let Some(hold) = self.waited_here() {
            self.d.task.wait.unsure = Some(Unsure { at, hold });
        }
        self.d.task.wait.hold = None;
        self.d.task.at = self.start_of_merging();
    }

    /// Opens what a repair of a conflict left, in place of what the repair before it left.
    pub(super) fn raise_refused(&mut self, findings: &[Finding], from: &Origin) {
        let at = self.d.task.at;
        self.d.task.findings.raised.retain(|r| r.at != at || r.from != *from);
        self.raise(findings, from, true);
    }

    /// Opens findings at this place. Those of places still ahead stay open: nobody has looked again yet.
    pub(super) fn raise(&mut self, findings: &[Finding], from: &Origin, keep_here: bool) {
        let task = &mut self.d.task;
        let at = task.at;
        task.findings.raised.retain(|r| at < r.at || keep_here && r.at == at);
        task.findings.raised.push(Raised { at, from: from.clone(), findings: findings.to_vec() });
        derive_findings(task);
    }

    /// What is to blame for going back to this stage.
    fn blame(&self, to: &StageId) -> Cause {
        let (task, pipeline) = (&self.d.task, &self.d.task.pipeline);
        let own = pipeline.position(to) == Some(task.at.stage)
            && pipeline.role(task.at.stage).is_some_and(|role| *role != Role::Developer);
        match (&task.landing.merged, own) {
            (Some(_), _) => Cause::Production,
            (None, true) => Cause::RedInOwnStage,
            (None, false) => Cause::Red,
        }
    }

    /// Back to a stage with findings: a round, or the end of the rounds.
    pub(super) fn back(&mut self, to: &StageId, findings: Vec<Finding>, from: Origin) {
        let findings = or_say_so(findings, &from);
        let cause = self.blame(to);
        if let (Cost::Nothing, Some(merged)) = (cause.cost(), self.d.task.landing.merged.clone()) {
            // What has landed is not repaired on its branch, and whether it is to blame a person says: production goes back
            // to the revision before, then the task waits (`production_failed`).
            self.say(format!("{from}: fail; production goes back to the previous revision"));
            self.d.task.findings.open = findings;
            self.d.task.findings.from = Some(from.to_string());
            return self.roll_back(merged.commit);
        }
        if self.is_a_persons() {
            return self.returned(from, findings);
        }
        let Some(stage) = self.d.task.pipeline.position(to) else {
            return self.impossible(&format!("there is no stage `{to}` to go back to"));
        };
        let task = &mut self.d.task;
        task.landing.patch_changes = 0;
        task.landing.voided = 0;
        let Charged { spent, max, exhausted } = cause.cost().charge(task, self.policy, to);
        let count = findings.len();
        let things = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
        self.raise(&findings, &from, false);
        self.d.task.findings.refused.clone_from(&self.d.task.branch.head);
        if exhausted {
            self.say(format!("{from}: {things}; all {max} repairs are spent"));
            self.say_findings(&findings);
            let retry = Cursor { stage, step: 0 };
            return self.block(BlockReason::RoundsSpent { from, findings }, retry);
        }
        self.say(format!("{from}: {things}; back to {to} (round {spent} of {max})"));
        self.say_findings(&findings);
        self.enter_stage(stage);
    }

    /// The findings in a line each; the next brief and the evidence have them whole.
    pub(super) fn say_findings(&mut self, findings: &[Finding]) {
        const SHOWN: usize = 5;
        for finding in findings.iter().take(SHOWN) {
            let place = match (&finding.file, finding.line) {
                (Some(file), Some(line)) => format!(" {file}:{line}"),
                (Some(file), None) => format!(" {file}"),
                (None, _) => String::new(),
            };
            let first: String = finding.text.lines().next().unwrap_or_default().chars().take(120).collect();
            self.say(format!("- {:?}{place}: {first}", finding.severity));
        }
        if SHOWN < findings.len() {
            self.say(format!("- and {} more", findings.len() - SHOWN));
        }
    }

    /// The stage's own role has to deliver (again) what nobody could read.
    pub(super) fn role_again(&mut self, findings: Vec<Finding>, from: Origin) {
        let findings = or_say_so(findings, &from);
        let at = self.d.task.at;
        let steps = self.d.task.pipeline.stages.get(at.stage).map_or(&[][..], |s| &s.steps[..]);
        let back = steps.iter().take(at.step + 1).rposition(|s| matches!(s, Step::Agent { .. } | Step::Deploy { .. }));
        let role =
            self.d.task.pipeline.role(at.stage).map_or_else(|| self.d.task.stage().to_string(), ToString::to_string);
        let retry = Cursor { stage: at.stage, step: back.unwrap_or(0) };
        let stage = self.d.task.stage().clone();
        let Charged { spent, max, exhausted } =
            Cause::NotDelivered.cost().charge(&mut self.d.task, self.policy, &stage);
        self.raise(&findings, &from, true);
        if exhausted {
            self.say(format!("{from}: the {role} has not delivered in {max} attempts"));
            self.say_findings(&findings);
            return self.block(BlockReason::RoleFailed { role, findings }, retry);
        }
        self.say(format!("{from}: cannot be judged; the {role} tries again (attempt {} of {max})", spent + 1));
        self.say_findings(&findings);
        self.move_to(retry);
    }

    pub(super) fn block(&mut self, why: BlockReason, retry: Cursor) {
        let answered = matches!(why, BlockReason::Rejected { what: Some(ApprovalKind::Landed), .. });
        if self.d.task.landing.landed.is_some() && !answered {
            return self.take_landed();
        }
        self.d.task.wait.hold = None;
        self.d.task.wait.base = None;
        self.d.task.wait.unsure = None;
        self.d.task.phase = Phase::Blocked { why, since: self.now, retry };
    }

    pub(super) fn done(&mut self, outcome: DoneOutcome) {
        let took_back = self.d.task.production.reverting.is_some() && self.d.task.landing.merged.is_some();
        let outcome = if took_back && outcome.is_well() { DoneOutcome::Reverted } else { outcome };
        self.say(format!("done: {}", outcome.as_str().replace('_', " ")));
        self.d.task.wait.hold = None;
        self.d.task.wait.on_hold = None;
        self.d.task.done_at = Some(self.now);
        self.d.task.phase = Phase::Done { outcome, since: self.now };
        self.emit(Effect::CleanUp);
    }

    /// A state the pipeline's own checks rule out. It must not loop and must not be silent: a person looks.
    pub(super) fn impossible(&mut self, what: &str) {
        let fault = FaultNote::new(FaultKind::Bug, what.to_owned());
        let retry = self.d.task.at;
        self.say(format!("cannot go on: {what}"));
        self.block(BlockReason::JobFailed { what: "go on".into(), fault }, retry);
    }
}

/// Red without a word is still red, but the next brief must not be empty.
pub(super) fn or_say_so(findings: Vec<Finding>, from: &Origin) -> Vec<Finding> {
    if findings.is_empty() { vec![Finding::must_fix(format!("{from} said no without saying why"))] } else { findings }
}

/// What the next brief carries: the newest first, nothing twice.
fn derive_findings(task: &mut Task) {
    task.findings.open.clear();
    let mut from: Vec<String> = Vec::new();
    for raised in task.findings.raised.iter().rev() {
        for finding in &raised.findings {
            if !task.findings.open.contains(finding) {
                task.findings.open.push(finding.clone());
            }
        }
        let one = raised.from.to_string();
        if !from.contains(&one) {
            from.push(one);
        }
    }
    task.findings.from = (!from.is_empty()).then(|| from.join(", "));
    task.findings.at = task.findings.raised.iter().map(|r| r.at).max();
}
