//! The default branch as it is, judged before a task's first agent: nobody works on top of what fails by itself. What is
//! red there holds the task, costs nothing, and is looked at again until it is green or a person says that the ticket is
//! there to repair it.

use super::Cx;
use crate::effect::{Effect, Outcome};
use crate::pipeline::Step;
use crate::task::{ApprovalKind, BlockReason, Hold, RedBase, Rejected, WaitReason};
use crate::verdict::FaultNote;

/// So many times the first pause is the longest between two looks. A look runs nothing while what was run is the same and
/// red: when that is run again the executor knows.
const LOOKS: i64 = 10;

impl Cx<'_> {
    /// Is the default branch to be judged before this task's branch is opened? Where an agent will work on top of it.
    pub(super) fn base_comes_first(&self) -> bool {
        let task = &self.d.task;
        let agents = task.pipeline.stages.iter().flat_map(|s| &s.steps).any(|s| matches!(s, Step::Agent { .. }));
        self.policy.base_first
            && agents
            && task.branch.head.is_none()
            && task.branch.source.is_none()
            && task.production.reverting.is_none()
    }

    /// It was judged: the branch is opened on top of it, or the task waits.
    pub(super) fn base_judged(&mut self, outcome: &Outcome) {
        self.d.task.findings.base.clear();
        match outcome {
            Outcome::BaseRed { subject, shown, .. } if self.d.task.approved(ApprovalKind::Base, subject).is_none() => {
                return self.base_is_red(subject, shown);
            }
            Outcome::BaseRed { shown, .. } => {
                self.say("the base itself fails, and this ticket is to repair that");
                self.d.task.findings.base.clone_from(shown);
            }
            Outcome::BaseUnclear { fault } => return self.base_is_unclear(fault),
            Outcome::BaseGreen { text, .. } if !text.is_empty() => self.say(text),
            _ => {}
        }
        // What came up while it was judged comes first.
        self.d.task.wait.base = None;
        if self.is_stopped_here() {
            return;
        }
        self.d.task.wait.hold = None;
        // Main may have moved meanwhile: what was found is of this commit and of no other one.
        if let Outcome::BaseGreen { commit, .. } | Outcome::BaseRed { commit, .. } = outcome {
            self.d.task.branch.judged.clone_from(commit);
        }
        self.work(Effect::OpenBranch);
    }

    fn base_is_red(&mut self, subject: &str, shown: &[String]) {
        // Something else is another question: it is said, and people are told, as of the first.
        if self.d.task.wait.base.as_ref().is_none_or(|red| red.subject != subject) {
            self.say(format!("the base itself fails: {}", shown.join("; ")));
            self.d.task.wait.hold = Some(Hold { since: self.now, told: false, asked: false });
        }
        self.d.task.wait.base = Some(RedBase { subject: subject.to_owned(), shown: shown.to_vec(), rejected: None });
        let least = self.policy.recheck_ms;
        let waited_ms = self.waited_here().map_or(0, |hold| self.now.since_ms(hold.since));
        let recheck = self.now.plus_ms((waited_ms / 2).clamp(least, least.saturating_mul(LOOKS)));
        let (what, subject, shown) = (ApprovalKind::Base, subject.to_owned(), shown.to_vec());
        self.wait(WaitReason::Approval { what, subject, shown }, None, Some(recheck));
    }

    /// A person said no while it was looked at again, and that look is over now: as a no between two looks.
    pub(super) fn rejected_while_looking(&mut self, no: Rejected) {
        let (what, retry) = (Some(ApprovalKind::Base), self.d.task.at);
        self.block(BlockReason::Rejected { by: no.by, comment: no.comment, what }, retry);
    }

    /// The machine is to blame: there is nothing a person could approve.
    fn base_is_unclear(&mut self, fault: &FaultNote) {
        self.d.task.wait.base = None;
        if self.waited_here().is_none() {
            self.say(format!("the base cannot be judged: {}", fault.text));
        }
        let since = self.waited_here().map_or(self.now, |hold| hold.since);
        let recheck = self.now.plus_ms(self.policy.later_ms(self.now.since_ms(since)));
        let until = since.plus_ms(self.policy.tell_after_ms);
        self.wait(WaitReason::CannotTell { fault: fault.clone() }, Some(until), Some(recheck));
    }
}
