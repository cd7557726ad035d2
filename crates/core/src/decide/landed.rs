//! A main that somebody else moves: what it means for a task whose merge is prepared on top of it, and for one whose own
//! pull request came in that way. What a person who may approve has merged and what was tested is the task's merge; about
//! everything else one question is asked, with no lease held. The queue is frozen for none of it.

use super::{Cx, Step as Answer};
use crate::ids::{Actor, Digest, Sha};
use crate::pipeline::Step;
use crate::task::{ApprovalKind, Landed, Merged, Phase, WaitReason, WayOut};

impl Cx<'_> {
    /// The journal says what the merge is prepared on.
    pub(super) fn main_moved(&mut self, tip: &Sha, shown: &[String]) -> Answer {
        if self.d.task.is_closed() {
            return Err("it is over".into());
        }
        self.say(format!("somebody else has moved main to {}:", tip.short()));
        for line in shown {
            self.say(format!("- {line}"));
        }
        Ok(())
    }

    /// Only orch may move main here, and somebody else has: nothing is prepared on top of it before a person says yes.
    pub(super) fn approval_of_main(&mut self, tip: &str, shown: &[String]) {
        if self.d.task.wait.hold.is_none() {
            self.say("somebody else has moved main, which only orch may; a person has to approve what came in");
        }
        let (what, subject, shown) = (ApprovalKind::Main, tip.to_owned(), shown.to_vec());
        self.wait(WaitReason::Approval { what, subject, shown }, None, None);
    }

    /// Somebody else has merged its pull request.
    pub(super) fn landed(&mut self, landed: Landed) -> Answer {
        let task = &self.d.task;
        if task.is_closed() {
            return Err("it is over".into());
        }
        if let Some(merged) = &task.landing.merged {
            return Err(format!("it is merged already, as {}", merged.commit.short()));
        }
        // Tasks that were stored before merges were remembered still have those that production did not take.
        let failed = task.production.failures.iter().map(|failure| &failure.merged.commit);
        if task.landing.earlier.iter().chain(failed).any(|commit| *commit == landed.commit) {
            return Err("that is the merge of an earlier branch of it".into());
        }
        if task.pipeline.merge_at().is_none() {
            return Err("its pipeline merges nothing".into());
        }
        let merging = matches!(task.step(), Some(Step::Merge));
        if merging && matches!(task.phase, Phase::Working { .. } | Phase::Stopping { .. }) || task.merge_unknown() {
            return Err("its merge is under way, and what became of it is read back by itself".into());
        }
        if task.landing.landed.as_ref().is_some_and(|known| known.commit == landed.commit) {
            return Err("that is known already".into());
        }
        let by = landed.by.as_ref().map_or_else(|| "somebody".to_owned(), ToString::to_string);
        self.say(format!("its pull request was merged as {}, by {by} and not by orch", landed.commit.short()));
        self.d.task.landing.landed = Some(landed);
        match self.d.task.phase {
            Phase::Working { job, .. } => {
                self.say("the job under way is being stopped");
                self.d.stop = Some(job);
            }
            Phase::Stopping { .. } => {}
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Blocked { .. }
            | Phase::Cancelled { .. }
            | Phase::Done { .. } => self.take_landed(),
        }
        Ok(())
    }

    /// The merge's own executor has found that somebody else merged something that was not tested.
    pub(super) fn landed_otherwise(&mut self, commit: &Sha, tree: &Digest, by: Option<&Actor>) {
        let who = by.map_or_else(|| "somebody".to_owned(), ToString::to_string);
        self.say(format!("its pull request was merged as {}, by {who} and not by orch", commit.short()));
        let head = self.d.task.branch.head.clone().unwrap_or_else(|| commit.clone());
        let (commit, tree, by) = (commit.clone(), tree.clone(), by.cloned());
        self.d.task.landing.landed = Some(Landed { commit, tree, head, by, tested: false });
    }

    /// It is on main. Either that is the task's merge, or a person says what it is.
    pub(super) fn take_landed(&mut self) {
        let Some(landed) = self.d.task.landing.landed.clone() else { return };
        if landed.counts(self.policy) {
            return self.take_as_merge();
        }
        let (subject, shown) = (landed.commit.to_string(), landed.shown(self.policy));
        self.say("a person says whether that is its merge");
        self.d.task.wait.hold = None;
        self.d.task.wait.unsure = None;
        self.wait(WaitReason::Approval { what: ApprovalKind::Landed, subject, shown }, None, None);
    }

    /// What somebody else merged is the task's merge: what follows a merge follows now.
    pub(super) fn take_as_merge(&mut self) {
        let Some(to) = self.behind_merge() else { return self.impossible("the pipeline merges nothing") };
        let Some(landed) = self.forget_the_way() else { return };
        self.say(format!("{} is taken as its merge", landed.commit.short()));
        if to.stage < self.d.task.pipeline.stages.len() {
            self.enter_stage_at(to);
        } else {
            self.done(crate::task::DoneOutcome::NotWatched);
        }
    }

    /// A person does not want what somebody else merged: a branch that takes it back goes through the gates.
    pub(super) fn take_landed_back(&mut self, by: &Actor, way: WayOut) -> Answer {
        let item = &self.d.task.work_item;
        if way != WayOut::Revert {
            return Err(format!(
                "`orch approve {item}` takes what somebody else merged as its merge, `orch task retry {item} --as revert` takes it back"
            ));
        }
        self.say(format!("{by} chooses: {} ({})", way.as_str(), way.means()));
        if self.forget_the_way().is_some() {
            self.revert();
        }
        Ok(())
    }

    /// The task ends without what somebody else merged: that stays on main, is no news any more, and is known to its next life.
    pub(super) fn leave_landed(&mut self) {
        let Some(landed) = self.d.task.landing.landed.take() else { return };
        self.say(format!("what somebody else merged stays on main as {}", landed.commit.short()));
        self.d.task.landing.earlier.push(landed.commit.clone());
        self.d.task.lives.landed = Some(landed.commit);
    }

    /// Writes the merge down; what was open on the way to it is settled by it.
    fn forget_the_way(&mut self) -> Option<Landed> {
        let task = &mut self.d.task;
        let landed = task.landing.landed.take()?;
        task.landing.merged = Some(Merged { commit: landed.commit.clone(), tree: landed.tree.clone(), at: self.now });
        task.lives.before_revert = None;
        task.landing.intent = task.landing.intent.take().filter(|intent| intent.head == landed.head);
        task.landing.conflict = None;
        task.wait.question = None;
        task.findings.raised.clear();
        task.findings.open.clear();
        task.findings.from = None;
        task.findings.at = None;
        Some(landed)
    }
}
