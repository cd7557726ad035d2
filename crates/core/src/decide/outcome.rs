//! What the outcome of a job means for the task. Only the job the phase names is listened to: everything else is a late
//! word from the past.

use super::{Cx, Step as Answer};
use crate::conflict;
use crate::effect::{Effect, NotMerged, Outcome};
use crate::ids::{Environment, Role, Seq, Sha, Time};
use crate::origin::Origin;
use crate::pipeline::Step;
use crate::remark::Remark;
use crate::task::{ApprovalKind, BlockReason, DoneOutcome, Merged, Phase, WaitReason};
use crate::verdict::{FaultNote, Finding, Verdict};
use crate::word::Word;

impl Cx<'_> {
    pub(super) fn job_ended(&mut self, job: Seq, outcome: &Outcome) -> Answer {
        match &self.d.task.phase {
            Phase::Working { job: mine, .. } if *mine == job => {}
            Phase::Stopping { job: mine, by, since, .. } if *mine == job => {
                let (by, since) = (by.clone(), *since);
                self.stopped(outcome, by, since);
                return Ok(());
            }
            Phase::Idle
            | Phase::Working { .. }
            | Phase::Waiting { .. }
            | Phase::Stopping { .. }
            | Phase::Blocked { .. }
            | Phase::Cancelled { .. }
            | Phase::Done { .. } => return Self::side_ended(outcome),
        }
        let Some(step) = self.d.task.step().cloned() else {
            self.impossible("the pipeline has no such step");
            return Ok(());
        };
        if let Some(no) = self.d.task.wait.base.as_mut().and_then(|red| red.rejected.take()) {
            self.rejected_while_looking(no);
            return Ok(());
        }
        if std::mem::take(&mut self.d.task.production.rolling_back) {
            self.rollback_ended(&step, outcome);
            return Ok(());
        }
        if matches!(outcome, Outcome::Opened { .. } | Outcome::Published { .. } | Outcome::Updated { .. }) {
            // The branch is there again, and is made again for nobody who removes it once more.
            self.d.task.branch.again = false;
            self.d.task.branch.judged = None;
            // The branch is opened behind what cleans up after the life before.
            self.d.task.lives.before = None;
        }
        match (step, outcome) {
            (Step::Open, Outcome::BaseGreen { .. } | Outcome::BaseRed { .. } | Outcome::BaseUnclear { .. }) => {
                self.base_judged(outcome);
            }
            (Step::Open, Outcome::BaseGone) => {
                self.say("the default branch was rewritten since it was judged; it is judged again");
                self.enter();
            }
            (Step::Open, Outcome::Opened { head, base }) => {
                self.d.task.branch.head = Some(head.clone());
                self.d.task.branch.base = Some(base.clone());
                let source = self.d.task.branch.source.clone();
                if self.d.task.production.reverting.is_some() {
                    self.say(format!("the change is taken back as {}; it goes through the same gates", head.short()));
                    self.copied(head);
                } else if let Some(source) = source {
                    let at = source.head.short();
                    self.say(format!("{} at {at} is copied to {}", source.name, self.d.task.branch.name));
                    self.copied(head);
                } else {
                    self.say(format!("branch {} is open", self.d.task.branch.name));
                    self.next();
                }
            }
            (Step::Open, Outcome::NotTaken { findings }) => self.returned(Origin::Branch, findings.clone()),
            (Step::Open, Outcome::Conflict { files, .. }) if self.d.task.production.reverting.is_some() => {
                self.revert_conflicts(files);
            }
            (Step::Agent { .. }, Outcome::Opened { head, base }) if self.d.task.branch.head.is_none() => {
                self.d.task.branch.head = Some(head.clone());
                self.d.task.branch.base = Some(base.clone());
                self.say(format!("branch {} is open", self.d.task.branch.name));
                if self.d.task.production.reverting.as_ref().is_some_and(|r| !r.by_hand) {
                    self.reverted(head);
                } else {
                    self.enter();
                }
            }
            (Step::Agent { .. }, Outcome::Conflict { files, .. }) if self.d.task.branch.head.is_none() => {
                self.revert_conflicts(files);
            }
            (Step::Agent { role }, Outcome::AgentFinished { question, resolved }) => {
                self.d.task.wait.question.clone_from(question);
                self.d.task.wait.said = None;
                self.hear(&role, resolved);
                self.say(format!("the {role} is finished"));
                self.next();
            }
            (Step::Agent { role }, Outcome::AgentSaid { word, resolved }) => {
                self.d.task.wait.question = None;
                self.d.task.wait.said = None;
                self.hear(&role, resolved);
                self.say(format!("the {role} is finished"));
                self.hear_word(&role, word);
                self.next();
            }
            (Step::Publish, Outcome::Published { head, empty, discarded, unresolved, refused }) => {
                self.published(head, *empty, discarded, unresolved, refused);
            }
            (Step::Publish, Outcome::NotTaken { findings }) => self.not_taken(findings),
            // An agent's step opens the branch of a second generation.
            // A gate looks for it where a person let the task go on.
            (
                Step::Publish | Step::Update | Step::Open | Step::Agent { .. } | Step::Gate { .. },
                Outcome::BranchMoved { now },
            ) => {
                self.say(if now.is_some() { "somebody else pushed to the branch" } else { "the branch is gone" });
                let retry = self.d.task.at;
                self.block(BlockReason::BranchMoved { now: now.clone() }, retry);
            }
            (Step::PullRequest, Outcome::PullRequestOpen { number }) => {
                if self.d.task.branch.pull_request != Some(*number) {
                    self.say(format!("pull request {number} is open"));
                }
                self.d.task.branch.pull_request = Some(*number);
                self.next();
            }
            (
                Step::Gate { gate, on_fail, on_inconclusive, exact },
                Outcome::Judged { head, verdict, notes, warning },
            ) => {
                if self.judged_commit().as_ref() == Some(head) {
                    self.note(gate, notes);
                    // Looked at again and again while it waits, it says the same again and again.
                    if let (Some(warning), None) = (warning, self.waited_here()) {
                        self.emit(Effect::Notify { key: warning.key.clone(), text: warning.text.clone() });
                    }
                    match (verdict, warning) {
                        // What saw less than it should is never written as a plain pass.
                        (Verdict::Pass, Some(warning)) => {
                            let head = format!("{gate}: ");
                            let why = warning.text.split_once(&head).map_or(&*warning.text, |(_, why)| why);
                            self.say(format!("{head}pass, degraded: {why}"));
                        }
                        (Verdict::Pass, None) => self.say(format!("{gate}: pass")),
                        _ => {}
                    }
                    self.judged(gate, &on_fail, on_inconclusive, exact, head, verdict);
                } else {
                    self.enter();
                }
            }
            (Step::Gate { gate, on_fail, on_inconclusive, .. }, Outcome::Failed { fault }) => {
                self.cannot_tell(gate, &on_fail, on_inconclusive, fault);
            }
            (Step::Deploy { .. }, Outcome::Held { revision, by }) => self.held(revision, by),
            (Step::Deploy { environment }, Outcome::Deployed { skipped, ended }) => {
                self.say_what_was_ended(environment, *ended);
                let name = format!("{environment}: ");
                self.d.task.production.not_deployed.retain(|n| !n.starts_with(&name));
                match skipped {
                    Some(why) => self.d.task.production.not_deployed.push(format!("{environment}: {why}")),
                    None => self.say(format!("{environment}: the deploy is over")),
                }
                self.next();
            }
            (
                Step::Deploy { environment: Environment::Staging } | Step::Restage,
                Outcome::ApprovalNeeded { subject, shown },
            ) => {
                self.approval_before_hook(subject, shown);
            }
            // Not staged again is the good case; the gate behind it says why it was.
            (Step::Restage, Outcome::Deployed { skipped, ended }) => {
                self.say_what_was_ended(Environment::Staging, *ended);
                if skipped.is_none() {
                    self.say("staging: what will land was brought there again");
                }
                self.next();
            }
            (Step::Update, Outcome::Updated { head, base, repatched: true, .. })
                if self.d.task.pipeline.patch_judged_at().is_some() =>
            {
                self.repatched(head, base);
            }
            (Step::Update, Outcome::Updated { head, base, voids: true, .. })
                if self.d.task.pipeline.approval_at().is_some() =>
            {
                self.voided(head, base);
            }
            (Step::Update, Outcome::Updated { head, base, .. }) if !self.holds_lease() => {
                // The branch has moved all the same; it is ours and known.
                self.d.task.branch.head = Some(head.clone());
                self.d.task.branch.base = Some(base.clone());
                self.d.task.landing.prepared = Some(head.clone());
                self.say("the merge lease was lost; the merge is prepared again");
                self.update_again();
            }
            (Step::Update, Outcome::Updated { head, base, tree, .. }) => self.updated(head, base, tree),
            (Step::Update, Outcome::ApprovalNeeded { subject, shown }) => self.approval_of_main(subject, shown),
            (Step::Update, Outcome::Conflict { onto, files, record }) => self.conflict(onto, files, record.as_ref()),
            (Step::Update, Outcome::NotTaken { findings }) => {
                let stage = self.developers_stage().and_then(|at| self.d.task.pipeline.stages.get(at));
                let to = stage.map_or_else(|| self.d.task.stage().clone(), |s| s.id.clone());
                self.back(&to, findings.clone(), Origin::PrepareMerge);
            }
            (Step::Update | Step::Merge, Outcome::LeaseLost) => {
                self.say("the merge lease was lost; the merge is prepared again");
                self.update_again();
            }
            (Step::Merge, Outcome::Merged { commit, tree }) => self.merged(commit, tree),
            (Step::Merge, Outcome::LandedOtherwise { commit, tree, by }) => {
                self.landed_otherwise(commit, tree, by.as_ref());
                self.take_landed();
            }
            (Step::Merge, Outcome::NotMerged { why }) => match why {
                NotMerged::BaseMoved | NotMerged::HeadMoved => {
                    self.say("main or the branch moved before the merge; it is prepared again");
                    self.update_again();
                }
                NotMerged::OnHold => {
                    self.say("it is not merged, and not asked for while somebody holds it");
                    self.d.task.landing.asked = false;
                    let at = self.start_of_merging();
                    self.move_to(at);
                }
                NotMerged::Refused { text } => {
                    self.say(format!("the forge refused the merge: {text}"));
                    let retry = self.start_of_merging();
                    self.block(BlockReason::MergeRefused { why: text.clone() }, retry);
                }
            },
            (Step::Watch, Outcome::Watched { outcome }) => self.watched(*outcome),
            (Step::Watch, Outcome::Failed { fault }) => {
                self.say(format!("the watch could not tell: {}", fault.text));
                self.done(DoneOutcome::Inconclusive);
            }
            (_, Outcome::OverBudget { spent_micro_usd, limit_micro_usd, run_micro_usd, at_most }) => {
                let why = BlockReason::BudgetSpent {
                    spent_micro_usd: *spent_micro_usd,
                    limit_micro_usd: *limit_micro_usd,
                    run_micro_usd: *run_micro_usd,
                    at_most: *at_most,
                };
                self.say("its agents have cost what they may");
                self.block(why, self.d.task.at);
            }
            (_, Outcome::Failed { fault }) => self.job_failed(fault),
            // It was stopped for what the task takes now.
            (_, Outcome::Cancelled) if self.d.task.landing.landed.is_some() => self.take_landed(),
            (_, Outcome::Cancelled) if self.d.task.wait.on_hold.is_some() => {
                self.say("what was to begin next does not begin");
                self.enter();
            }
            (_, Outcome::Cancelled) => {
                // Nobody cancelled this task: the run was stopped under us. It is done again, not counted.
                self.say("the run was stopped from outside; it starts again");
                self.enter();
            }
            // The job is over and will not speak again: ignoring this would leave the task waiting for ever.
            (_, outcome) => self.impossible(&format!("the job ended with what it cannot end with: {outcome:?}")),
        }
        Ok(())
    }

    /// A service that a hook started and that is gone again must not surprise anybody.
    fn say_what_was_ended(&mut self, environment: Environment, ended: u32) {
        let what = match ended {
            0 => return,
            1 => "1 process".to_owned(),
            n => format!("{n} processes"),
        };
        self.say(format!(
            "{environment}: {what} that the hook left running ended with it ([project.deploy] detach keeps a service)"
        ));
    }

    fn side_ended(outcome: &Outcome) -> Answer {
        match outcome {
            Outcome::Failed { fault } => Err(format!("a side effect failed: {}", fault.text)),
            _ => Err("a side effect or a late word: the task does not wait for it".into()),
        }
    }

    /// Nothing of the run was taken. A question it asked is still one; otherwise the role delivers again.
    fn not_taken(&mut self, findings: &[Finding]) {
        if let Some(question) = self.d.task.wait.question.clone() {
            let role = self.d.task.pipeline.role(self.d.task.at.stage).cloned().unwrap_or_else(|| "agent".into());
            self.say(format!("the {role} asks: {question}"));
            self.say_findings(findings);
            self.d.task.findings.notes.extend(findings.iter().map(|f| Remark::Text(f.text.clone())));
            return self.wait(WaitReason::Answer { role, question }, None, None);
        }
        if matches!(self.d.task.wait.said, Some(Word::Unable { .. } | Word::Return { .. })) {
            self.say_findings(findings);
            self.d.task.findings.notes.extend(findings.iter().map(|f| Remark::Text(f.text.clone())));
            self.take_word();
            return;
        }
        self.role_again(findings.to_vec(), Origin::Commit);
    }

    fn published(&mut self, head: &Sha, empty: bool, discarded: &[String], unresolved: &[String], refused: &[Finding]) {
        let moved = self.d.task.branch.head.as_ref() != Some(head);
        self.d.task.branch.head = Some(head.clone());
        // Also of a head that stayed where it was: perhaps nobody has asked for its checks yet, and the gate behind this
        // would wait for them. Of one that was judged it costs a look.
        let developer = self.d.task.pipeline.role(self.d.task.at.stage).is_some_and(|r| *r == Role::Developer);
        // What waits for a person, goes back or is to change nothing is no head that lands.
        let task = &self.d.task;
        let speaks = task.wait.question.is_some() || task.wait.said.is_some() || task.findings.no_change.is_some();
        let enough = speaks || developer && self.is_asked_enough();
        if self.policy.own_ci && self.d.task.pipeline.role(self.d.task.at.stage).is_some() && !enough {
            self.emit(Effect::EnsureCi { commit: head.clone() });
        }
        if !discarded.is_empty() {
            self.say(format!("not taken, outside this role's business: {}", discarded.join(", ")));
            let text = "These changes were not taken, because they are not this role's business";
            self.d.task.findings.notes.push(Remark::Text(format!("{text}: {}", discarded.join(", "))));
        }
        if let Some(question) = self.d.task.wait.question.clone() {
            let role = self.d.task.pipeline.role(self.d.task.at.stage).cloned().unwrap_or_else(|| "agent".into());
            self.say(format!("the {role} asks: {question}"));
            return self.wait(WaitReason::Answer { role, question }, None, None);
        }
        if self.take_word() {
            return;
        }
        if !unresolved.is_empty() || !refused.is_empty() {
            return self.repair_refused(unresolved, refused);
        }
        if let Some(conflict) = self.d.task.landing.conflict.take() {
            for path in conflict::not_in_conflict(&conflict) {
                self.say(format!("`resolved` also names {path}, which was not in conflict"));
            }
            self.say("the conflict with the default branch is resolved");
            self.d.task.branch.base = Some(conflict.onto.clone());
            self.d.task.landing.resolved.push(conflict);
        }
        if self.declares_no_change(empty) {
            return;
        }
        if developer && empty {
            let finding = Finding::must_fix(
                "no code was changed: the branch has the same code as the default branch; if nothing has to be changed, say so \
                 with the reason, in `no_change` of the result file",
            );
            return self.role_again(vec![finding], Origin::Commit);
        }
        if developer && self.has_repaired_nothing() {
            return;
        }
        if moved {
            self.say(format!("pushed {}", head.short()));
        }
        self.next();
    }

    /// The hook waits for a person; the step is entered again once there is a yes to exactly these changes.
    fn approval_before_hook(&mut self, subject: &str, shown: &[String]) {
        if self.d.task.wait.hold.is_none() {
            self.say("staging: the branch changes what the hook runs; a person has to approve that first");
        }
        // A lease is never held while a person is awaited: the merge is prepared again afterwards.
        if self.d.task.pipeline.in_lease_span(self.d.task.at) {
            self.d.task.wait.hold = None;
            self.d.task.at = self.start_of_merging();
        }
        let (what, subject, shown) = (ApprovalKind::Protected, subject.to_owned(), shown.to_vec());
        self.wait(WaitReason::Approval { what, subject, shown }, None, None);
    }

    fn merged(&mut self, commit: &Sha, tree: &crate::ids::Digest) {
        let tested = self.d.task.landing.intent.as_ref().map(|i| i.tree.clone());
        self.d.task.landing.merged = Some(Merged { commit: commit.clone(), tree: tree.clone(), at: self.now });
        self.d.task.lives.before_revert = None;
        match tested {
            Some(tested) if tested != *tree => {
                self.say("what landed is not what was tested: the merge queue of this repository is frozen");
                let retry = self.d.task.at;
                self.block(BlockReason::WrongTree { tested, landed: tree.clone() }, retry);
            }
            _ => {
                self.say(format!("merged as {}", commit.short()));
                self.next();
            }
        }
    }

    fn watched(&mut self, outcome: DoneOutcome) {
        let merged = self.d.task.landing.merged.as_ref().map(|m| m.commit.clone());
        match (outcome, merged) {
            (DoneOutcome::Degraded, Some(failed)) if self.policy.auto_rollback => {
                self.say("production is degraded: rolling back");
                self.roll_back(failed);
            }
            _ => self.done(outcome),
        }
    }

    /// This gate has its answer.
    pub(super) fn settled(&mut self) {
        if self.d.task.wait.unsure.is_some_and(|u| u.at == self.d.task.at) {
            self.d.task.wait.unsure = None;
        }
    }

    pub(super) fn roll_back(&mut self, failed: Sha) {
        self.d.task.production.rolling_back = true;
        self.work(Effect::Rollback { environment: Environment::Production, failed });
    }

    /// A rollback that could not be carried out is a failed rollback, told at once: production is down.
    fn rollback_ended(&mut self, step: &Step, outcome: &Outcome) {
        let (ok, text) = match outcome {
            Outcome::RolledBack { ok, text } => (*ok, text.clone()),
            Outcome::Failed { fault } => (false, format!("production could not be brought back: {}", fault.text)),
            Outcome::Cancelled => {
                self.say("the rollback was stopped from outside; what it was for is looked at again");
                return self.enter();
            }
            other => (false, format!("the rollback ended with what it cannot end with: {other:?}")),
        };
        if let Step::Gate { .. } = step {
            self.say(&text);
            self.production_failed(&text);
        } else {
            self.say(text);
            self.done(if ok { DoneOutcome::RolledBack } else { DoneOutcome::Degraded });
        }
    }

    fn job_failed(&mut self, fault: &FaultNote) {
        let what = self.d.task.step().map_or_else(String::new, |s| match s {
            Step::Agent { role } => format!("run the {role}"),
            Step::Open => "open the branch".into(),
            Step::Publish => "commit and push the work".into(),
            Step::PullRequest => "open the pull request".into(),
            Step::Gate { gate, .. } => format!("judge {gate}"),
            Step::Deploy { environment } => format!("deploy to {environment}"),
            Step::Restage => "bring the prepared commit to staging".into(),
            Step::Update => "prepare the merge".into(),
            Step::Merge => "merge".into(),
            Step::ApproveProduction => "ask for approval".into(),
            Step::Watch => "watch production".into(),
        });
        self.say(format!("could not {what}: {}", fault.text));
        let retry = self.d.task.at;
        self.block(BlockReason::JobFailed { what, fault: fault.clone() }, retry);
    }

    /// The job of a task that is being cancelled has ended. What has landed has landed: then it came too late.
    fn stopped(&mut self, outcome: &Outcome, by: crate::ids::Actor, since: Time) {
        let merging = matches!(self.d.task.step(), Some(Step::Merge));
        match outcome {
            Outcome::Merged { commit, tree } => {
                self.say("it could not be ended any more: the change is merged");
                self.merged(commit, tree);
            }
            Outcome::LandedOtherwise { commit, tree, by: who } => {
                self.landed_otherwise(commit, tree, who.as_ref());
                self.ended(by);
            }
            _ if self.d.task.landing.landed.as_ref().is_some_and(|l| l.counts(self.policy)) => {
                self.say("it could not be ended any more: the change is merged");
                self.take_landed();
            }
            Outcome::Failed { fault } if merging => {
                self.say("it cannot be cancelled before it is known whether the change is merged");
                self.job_failed(fault);
            }
            // What was opened meanwhile must be known, or nobody closes it.
            Outcome::PullRequestOpen { number } => {
                self.d.task.branch.pull_request = Some(*number);
                self.ended(by);
            }
            Outcome::Cancelled => self.ended(by),
            _ if merging => self.withdraw(by, since),
            _ => self.ended(by),
        }
    }

    /// Nothing has landed, and a request of a worker that was taken for dead may still be on its way to the forge. So the
    /// merge's executor, which sees that the task is being cancelled, closes the pull request and reads back once more.
    fn withdraw(&mut self, by: crate::ids::Actor, since: Time) {
        let (Some(pull_request), Some(intent)) = (self.d.task.branch.pull_request, self.d.task.landing.intent.clone())
        else {
            return self.ended(by);
        };
        self.say("it is not merged; its pull request is closed, so that nothing under way can merge it");
        let job = self.emit(Effect::Merge { pull_request, intent });
        self.d.task.phase = Phase::Stopping { job, by, since, finish: None };
    }
}
