//! What an agent says of its work as a whole, and what becomes of it: it is unable, the analysis is wrong, nothing has to be
//! changed. A word is taken once the work that came with it is on the branch, so that nothing that was made is lost for it. None
//! costs a round or an attempt, none loops by itself, and none ends a task that nobody else has looked at.

use super::Cx;
use crate::cost::{Cause, Charged};
use crate::ids::{GateId, Role, StageId};
use crate::origin::Origin;
use crate::pipeline::{Cursor, Step};
use crate::remark::Remark;
use crate::task::{ApprovalKind, BlockReason, DoneOutcome, NoChange, Returned, WaitReason};
use crate::verdict::Finding;
use crate::word::{Word, bounded};

/// The stage a task can be returned to.
const ANALYSIS: &str = "analysis";
/// Roles that may return a task to it.
const RETURNING: [Role; 3] = [Role::Architect, Role::Developer, Role::Reviewer];
impl Cx<'_> {
    /// An agent's turn has ended with a word. What a role cannot say counts for nothing, and it is told so.
    pub(super) fn hear_word(&mut self, role: &Role, word: &Word) {
        let why_not = match word {
            Word::NoChange { .. } if *role == Role::Developer => None,
            Word::NoChange { .. } => Some("only the developer says that nothing has to be changed".to_owned()),
            Word::Return { .. } if !RETURNING.contains(role) => {
                Some(format!("the {role} does not return a task to analysis"))
            }
            Word::Return { stage, .. } if stage != ANALYSIS => {
                Some(format!("a task can be returned to `{ANALYSIS}` and to no other stage"))
            }
            Word::Unable { .. } | Word::Return { .. } => None,
        };
        let Some(why_not) = why_not else {
            self.d.task.wait.said = Some(word.clone());
            return;
        };
        let text = format!("`{}` in the result file of the {role} counts for nothing: {why_not}", word.key());
        self.say(&text);
        self.d.task.findings.notes.push(Remark::Text(text));
    }

    /// The word that came with what has just been published, or could not be. `false`: the work itself is judged.
    pub(super) fn take_word(&mut self) -> bool {
        let (role, said) = (self.role_here(), self.d.task.wait.said.take());
        match said {
            Some(Word::Unable { reason }) => self.unable(role, &reason),
            Some(Word::Return { reason, .. }) => self.return_to_analysis(role, &reason),
            Some(Word::NoChange { reason }) => {
                self.d.task.wait.said = Some(Word::NoChange { reason });
                return false;
            }
            None => return false,
        }
        true
    }

    /// A role cannot do its work: a person looks, and nobody pays.
    pub(super) fn unable(&mut self, role: Role, reason: &str) {
        let reason = bounded(reason);
        let reason = if reason.is_empty() { "it does not say why".to_owned() } else { reason };
        if self.d.task.wait.hold.is_none() {
            self.say(format!("the {role} is unable to do its work: {reason}"));
        }
        // A lease is never held while a person is awaited: the merge is prepared again afterwards.
        if self.d.task.pipeline.in_lease_span(self.d.task.at) {
            self.d.task.wait.hold = None;
            self.d.task.at = self.start_of_merging();
        }
        self.wait(WaitReason::Unable { role, why: reason }, None, None);
    }

    /// What the analysis asks for cannot be built: it is written anew, approved anew, and everything behind it is done again on
    /// the branch as it is.
    fn return_to_analysis(&mut self, role: Role, reason: &str) {
        let reason = bounded(reason);
        let to = self.d.task.pipeline.position(&StageId::from(ANALYSIS)).filter(|stage| *stage < self.d.task.at.stage);
        let Some(to) = to else {
            let text = format!("it returns the task to its analysis, and this pipeline has none: {reason}");
            return self.unable(role, &text);
        };
        if self.d.task.landing.conflict.is_some() {
            let text =
                format!("it returns the task to its analysis while a conflict with main is not resolved: {reason}");
            return self.unable(role, &text);
        }
        let by = role.to_string();
        let finding = Finding::must_fix(format!("the {by} returned the task to its analysis: {reason}"));
        let Charged { spent, max, exhausted } =
            Cause::WrongAnalysis.cost().charge(&mut self.d.task, self.policy, &StageId::from(ANALYSIS));
        self.raise(&[finding], &Origin::Role(role.clone()), false);
        let task = &mut self.d.task;
        task.approvals.retain(|a| a.what != ApprovalKind::Analysis);
        task.landing.passed.clear();
        task.landing.patch_changes = 0;
        task.landing.voided = 0;
        let findings = &mut task.findings;
        findings.returned.push(Returned { by: by.clone(), reason: reason.clone() });
        (findings.refused, findings.answered, findings.no_change) = (None, false, None);
        if exhausted {
            let returns = findings.returned.clone();
            self.say(format!("the {by} returns it to its analysis; all {max} returns are spent: {reason}"));
            return self.block(BlockReason::ReturnsSpent { returns }, Cursor { stage: to, step: 0 });
        }
        self.say(format!("the {by} returns it to its analysis ({spent} of {max}): {reason}"));
        self.enter_stage(to);
    }

    /// The developer has declared that nothing has to be changed, and what it left is published. `false`: it has not.
    pub(super) fn declares_no_change(&mut self, empty: bool) -> bool {
        let Some(Word::NoChange { reason }) = self.d.task.wait.said.take() else { return false };
        let task = &self.d.task;
        let contradiction = if !empty {
            "`no_change` says that nothing has to be changed, and the branch changes code: take the change away, or leave out \
             `no_change`"
        } else if task.under_repair().is_some() || task.production.reverting.is_some() {
            "`no_change` says that nothing has to be changed, and production failed: what was merged is to be repaired or taken \
             back"
        } else {
            let run = task.run.unwrap_or_default();
            let reason = bounded(&reason);
            self.say(format!("the developer declares that nothing has to be changed: {reason}"));
            self.d.task.findings.no_change = Some(NoChange { reason, run, judged: false });
            match self.review_ahead() {
                Some(stage) => self.enter_stage(stage),
                None => self.nothing_to_change(),
            }
            return true;
        };
        self.role_again(vec![Finding::must_fix(contradiction)], Origin::Commit);
        true
    }

    /// The stage behind this one in which a reviewer judges.
    fn review_ahead(&self) -> Option<usize> {
        let task = &self.d.task;
        let judges = |s: &Step| matches!(s, Step::Gate { gate: GateId::ReviewerVerdict, .. });
        let merge = task.pipeline.merge_at()?;
        (task.at.stage + 1..=merge.stage)
            .find(|stage| task.pipeline.stages[*stage].steps.iter().any(judges) && task.pipeline.role(*stage).is_some())
    }

    /// Does it stand where nothing was to be changed, and nobody reviews?
    pub(super) fn is_declared_alone(&self) -> bool {
        self.d.task.findings.no_change.is_some()
            && matches!(self.d.task.step(), Some(Step::Publish))
            && self.role_here() == Role::Developer
            && self.review_ahead().is_none()
    }

    /// The declaration stands, unless a person has to say so and has not.
    pub(super) fn nothing_to_change(&mut self) {
        let task = &self.d.task;
        let (Some(declared), Some(head)) = (task.findings.no_change.clone(), task.branch.head.clone()) else {
            return self.impossible("nobody has declared that nothing has to be changed");
        };
        let subject = format!("{head}-{}", declared.run);
        let asks = self.policy.confirm_no_change || !declared.judged;
        if asks && task.approved(ApprovalKind::NoChange, &subject).is_none() {
            self.say("a person confirms that nothing has to be changed");
            let judged = if declared.judged { "the reviewer agrees" } else { "no reviewer has judged it" };
            let shown = vec![format!("the developer says: {}", declared.reason.replace('\n', " ")), judged.to_owned()];
            return self.wait(WaitReason::Approval { what: ApprovalKind::NoChange, subject, shown }, None, None);
        }
        self.done(DoneOutcome::NothingToChange);
    }

    /// Who sent back the head that the developer has left as it was; `None`: it was not sent back, or is another one now.
    fn left_as_it_was(&self) -> Option<Vec<String>> {
        let task = &self.d.task;
        if task.branch.head.is_none() || task.findings.refused != task.branch.head {
            return None;
        }
        let raised = task.findings.raised.iter().filter(|r| r.from != Origin::Commit);
        let asking: Vec<String> = raised.map(|r| r.from.to_string()).collect();
        (!asking.is_empty()).then_some(asking)
    }

    /// Is nothing to be asked about the head any more, because one repair before this one changed nothing either?
    pub(super) fn is_asked_enough(&self) -> bool {
        self.d.task.findings.answered && self.left_as_it_was().is_some()
    }

    /// A repair that leaves the head as it was sent back. What made it red may have passed, and whoever reviews may take the
    /// answer: that is found out once. A second one in a row is not judged, and a person looks. `false`: it goes to be judged.
    pub(super) fn has_repaired_nothing(&mut self) -> bool {
        let Some(asking) = self.left_as_it_was() else {
            self.d.task.findings.answered = false;
            return false;
        };
        let asking = asking.join(", ");
        if !self.is_asked_enough() {
            self.d.task.findings.answered = true;
            self.say(format!("the repair changed nothing: {asking} is asked once more, and no third time"));
            return false;
        }
        let text = format!(
            "the repair changed nothing, like the one before it: the branch is as {asking} sent it back, and the same code is not \
             judged again"
        );
        // The one before it was an attempt, too.
        let task = &mut self.d.task;
        task.spent.role_attempts = task.spent.role_attempts.max(1);
        self.role_again(vec![Finding::must_fix(text)], Origin::Commit);
        true
    }

    /// Has what said no asked again, before anybody works on it: a person may have repaired the branch, or what it runs on.
    pub(super) fn asks_first(&mut self, from: &Origin) -> bool {
        let at = self.d.task.at;
        let at = match self.d.task.step().cloned() {
            Some(Step::Gate { gate, .. }) if from.gate() == Some(gate) => self.asked_at(gate, at),
            Some(Step::Update) if *from == Origin::PrepareMerge => at,
            _ => return false,
        };
        self.ask_again_at(at, from);
        true
    }

    /// The same where a repair changed nothing: what said no to this very head is a program in this stage.
    pub(super) fn asks_first_what_stands(&mut self) -> bool {
        let task = &self.d.task;
        if task.branch.head.is_none() || task.findings.refused != task.branch.head {
            return false;
        }
        let programs = [GateId::CiGreen, GateId::TestsLocal];
        let raised = task.findings.raised.iter().rev().find_map(|r| match task.pipeline.step(r.at) {
            Some(Step::Gate { gate, .. }) if programs.contains(gate) && r.from == Origin::from(*gate) => {
                (r.at.stage == task.at.stage).then(|| (r.at, r.from.clone()))
            }
            _ => None,
        });
        let Some((at, from)) = raised else { return false };
        self.ask_again_at(at, &from);
        true
    }

    fn ask_again_at(&mut self, at: Cursor, from: &Origin) {
        self.d.task.spent.granted = true;
        self.say(format!("{from} is asked again before anybody works on it"));
        let ci = matches!(self.d.task.pipeline.step(at), Some(Step::Gate { gate: GateId::CiGreen, .. }));
        if let (true, true, Some(commit)) = (ci, self.policy.own_ci, self.judged_commit()) {
            self.emit(crate::effect::Effect::EnsureCi { commit });
        }
        self.move_to(at);
    }

    /// What staging said is said by its hook: that runs again.
    fn asked_at(&mut self, gate: GateId, at: Cursor) -> Cursor {
        let steps = self.d.task.pipeline.stages.get(at.stage).map_or(&[][..], |s| &s.steps[..]);
        let deploy = steps.iter().take(at.step).rposition(|s| matches!(s, Step::Deploy { .. }));
        match (gate, deploy) {
            (GateId::StagingStatus, Some(step)) => {
                self.d.task.production.hooks_from = self.d.task.next_seq;
                Cursor { stage: at.stage, step }
            }
            _ => at,
        }
    }

    /// Who works in this stage.
    pub(super) fn role_here(&self) -> Role {
        self.d.task.pipeline.role(self.d.task.at.stage).cloned().unwrap_or_else(|| "agent".into())
    }

    /// The step at which the role of this stage begins.
    pub(super) fn agent_here(&self) -> Cursor {
        let at = self.d.task.at;
        let steps = self.d.task.pipeline.stages.get(at.stage).map_or(&[][..], |s| &s.steps[..]);
        let agent = steps.iter().take(at.step + 1).rposition(|s| matches!(s, Step::Agent { .. }));
        Cursor { stage: at.stage, step: agent.unwrap_or(0) }
    }
}
