//! What bringing a branch to the tip of main means for its task: which verdicts stand, which are earned again, and when a
//! person decides whether it goes on.

use super::Cx;
use crate::effect::Effect;
use crate::ids::{GateId, Sha};
use crate::remark::Remark;
use crate::task::{BlockReason, MergeIntent};
use crate::verdict::FaultNote;

/// How often a change of main may void the forge's approval before a person is asked.
const MAX_VOIDED: u32 = 3;

impl Cx<'_> {
    pub(super) fn updated(&mut self, head: &Sha, base: &Sha, tree: &crate::ids::Digest) {
        let moved = self.d.task.branch.head.as_ref() != Some(head);
        let main_moved = self.d.task.branch.base.as_ref() != Some(base);
        self.d.task.branch.head = Some(head.clone());
        self.d.task.branch.base = Some(base.clone());
        self.d.task.landing.prepared = Some(head.clone());
        self.d.task.landing.passed.retain(|p| p.head == *head && !self.d.task.pipeline.in_lease_span(p.at));
        let lease_epoch = self.lease.epoch;
        self.d.task.landing.intent =
            Some(MergeIntent { head: head.clone(), base: base.clone(), tree: tree.clone(), lease_epoch });
        if moved {
            let what = if main_moved { "brought to the tip of main" } else { "prepared for the merge" };
            self.say(format!("{what} as {}; exactly this is judged again", head.short()));
        } else {
            self.say("contains the tip of main already");
        }
        // Also of a head that stayed where it was: of the branch perhaps only the parts it touches have run.
        if self.policy.own_ci {
            self.emit(Effect::EnsureCi { commit: head.clone() });
        }
        self.next();
    }

    /// A clean update can still make another change of it than the one that was reviewed and tested.
    pub(super) fn repatched(&mut self, head: &Sha, base: &Sha) {
        let Some(to) = self.d.task.pipeline.patch_judged_at() else {
            return self.impossible("nothing judges the patch");
        };
        let task = &mut self.d.task;
        task.branch.head = Some(head.clone());
        task.branch.base = Some(base.clone());
        task.landing.passed.retain(|p| p.head == *head);
        task.landing.intent = None;
        task.landing.prepared = None;
        task.landing.patch_changes += 1;
        let (times, max) = (task.landing.patch_changes, self.policy.max_developer_retries);
        let why = "main has changed what is around its changes";
        self.say(format!("brought to the tip of main as {}; {why}, so they are judged again", head.short()));
        if self.policy.own_ci {
            self.emit(Effect::EnsureCi { commit: head.clone() });
        }
        if max < times {
            // Each time costs a review: a person decides whether it is worth another one.
            let text = format!("{why} {times} times while it was reviewed and tested");
            let fault = FaultNote::new(crate::verdict::FaultKind::Transient, text);
            return self.block(BlockReason::JobFailed { what: "prepare the merge".into(), fault }, to);
        }
        self.d.task.findings.notes.push(Remark::Text(format!(
            "Judged again as a whole, with unchanged lines too: {why} since it was judged."
        )));
        self.enter_stage_at(to);
    }

    /// Main has changed files of the change, so that the forge's approval does not count for the prepared head: it is asked
    /// for again on that very head, with no lease held. Nothing else is judged twice for it.
    pub(super) fn voided(&mut self, head: &Sha, base: &Sha) {
        let Some(to) = self.d.task.pipeline.approval_at() else {
            return self.impossible("nothing asks for the forge's approval");
        };
        let back = self.start_of_merging();
        let task = &mut self.d.task;
        task.branch.head = Some(head.clone());
        task.branch.base = Some(base.clone());
        task.landing.prepared = Some(head.clone());
        task.landing.passed.retain(|p| p.head == *head);
        task.landing.intent = None;
        task.landing.voided += 1;
        task.landing.approval_again = Some(back);
        let times = task.landing.voided;
        let why = "main has changed files of this change";
        self.say(format!("brought to the tip of main as {}; {why}: its approval is asked for again", head.short()));
        if self.policy.own_ci {
            self.emit(Effect::EnsureCi { commit: head.clone() });
        }
        if MAX_VOIDED < times {
            // Each time costs a person a look: a person decides whether it goes on.
            let text = format!("{why} {times} times after the forge showed its approval");
            let fault = FaultNote::new(crate::verdict::FaultKind::Transient, text);
            return self.block(BlockReason::JobFailed { what: "prepare the merge".into(), fault }, to);
        }
        self.move_to(to);
    }

    /// On from a gate that let the task pass: to the next step, or to where the forge's approval was missing.
    pub(super) fn after_gate(&mut self, gate: GateId) {
        if gate == GateId::ReviewerVerdict && self.d.task.findings.no_change.is_some() {
            return self.nothing_to_change();
        }
        match self.d.task.landing.approval_again {
            Some(at) if gate == GateId::ReviewApproved => {
                self.d.task.landing.approval_again = None;
                self.move_to(at);
            }
            _ => self.next(),
        }
    }

    pub(super) fn update_again(&mut self) {
        self.d.task.landing.updates += 1;
        if self.policy.max_updates < self.d.task.landing.updates {
            let fault = FaultNote::new(
                crate::verdict::FaultKind::Transient,
                format!(
                    "main or the lease moved on {} times while the merge was prepared",
                    self.d.task.landing.updates
                ),
            );
            let retry = self.start_of_merging();
            return self.block(BlockReason::JobFailed { what: "prepare the merge".into(), fault }, retry);
        }
        let at = self.start_of_merging();
        self.move_to(at);
    }

    /// The `Update` step of this stage.
    pub(super) fn start_of_merging(&self) -> crate::pipeline::Cursor {
        let at = self.d.task.at;
        let step = self.d.task.pipeline.update_step(at.stage).unwrap_or(at.step);
        crate::pipeline::Cursor { stage: at.stage, step }
    }
}
