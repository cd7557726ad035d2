//! What becomes of a merged change that production did not take. A failed deploy is the world's or the change's fault, and
//! only a person can tell which: orch brings production back, says why once, and waits with four ways out. It spends no
//! developer's round by itself, never deploys a revision again without a person's word, and never cancels what is merged.

use super::{Cx, Step as Answer};
use crate::ids::{Actor, GateId, Role, Sha, StageId, WorkItem};
use crate::origin::Origin;
use crate::pipeline::{Cursor, Step};
use crate::production::LAST_LINES;
use crate::remark::Remark;
use crate::task::{
    ApprovalKind, BlockReason, DoneOutcome, Phase, ProductionFailure, Reverting, Task, WaitReason, WayOut, WayTaken,
};
use crate::verdict::Finding;

/// What production runs where nobody has looked.
const AS_BEFORE: &str = "what it ran before, as far as is known";
/// Lines of what was printed that a cause keeps, from its end.
const CAUSE_LINES: usize = 5;
/// Characters of each.
const CAUSE_CHARS: usize = 200;

/// Why production did not take it, as people read it: the last lines, for that is where programs say it. Of a log only
/// those that were printed, by whatever ran last.
pub(super) fn cause(findings: &[Finding]) -> String {
    let lines = findings.iter().flat_map(|f| f.text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let mut lines: Vec<&str> = lines.collect();
    if let Some(heading) = lines.iter().rposition(|line| line.starts_with(LAST_LINES)) {
        lines.drain(..=heading);
    }
    let last = &lines[lines.len().saturating_sub(CAUSE_LINES)..];
    let short: Vec<String> = last.iter().map(|line| line.chars().take(CAUSE_CHARS).collect()).collect();
    if short.is_empty() { "nothing was printed".into() } else { short.join("\n") }
}

impl Task {
    /// The revision whose failure in production waits for a repair or a revert that has not landed.
    pub(super) fn under_repair(&self) -> Option<&ProductionFailure> {
        self.production.failures.last().filter(|_| self.landing.merged.is_none())
    }
}

impl Cx<'_> {
    /// Production is as it can be had: a person chooses how it goes on.
    pub(super) fn production_failed(&mut self, now: &str) {
        if let Some(merged) = &self.d.task.landing.merged {
            let revision = merged.commit.short().to_owned();
            self.say(format!("production failed on {revision}; a person chooses: {}", WayOut::CHOICE));
        }
        self.stands_still(now, false);
    }

    fn stands_still(&mut self, now: &str, stopped: bool) {
        let Some(merged) = self.d.task.landing.merged.clone() else {
            return self.impossible("production failed on nothing that is merged");
        };
        let revision = merged.commit.clone();
        let cause = cause(&self.d.task.findings.open);
        let base = self.base_of(&revision);
        let failure = ProductionFailure {
            merged,
            base,
            cause: cause.clone(),
            now: now.to_owned(),
            at: self.now,
            answer: None,
            stopped,
        };
        self.d.task.production.failures.push(failure);
        self.ask_for_a_way(revision, cause, now.to_owned());
    }

    fn ask_for_a_way(&mut self, revision: Sha, cause: String, now: String) {
        self.d.task.wait.hold = None;
        self.d.task.wait.unsure = None;
        self.wait(WaitReason::Production { revision, cause, now }, None, None);
    }

    /// The tip of the default branch before a merge of this task.
    pub(super) fn base_of(&self, revision: &Sha) -> Option<Sha> {
        let task = &self.d.task;
        if let Some(known) = task.production.failures.iter().rev().find(|f| f.merged.commit == *revision) {
            return known.base.clone();
        }
        if let Some(known) = &task.lives.base {
            return Some(known.clone());
        }
        let intended = task.landing.intent.as_ref().map(|i| i.base.clone());
        // What somebody else put on main as it was, several commits perhaps, has no intent.
        intended.or_else(|| task.branch.base.clone().filter(|_| task.branch.head.as_ref() == Some(revision)))
    }

    /// The deploy waits, at nobody's cost, for a repair of what another task merged.
    pub(super) fn held(&mut self, revision: &Sha, by: &WorkItem) {
        if self.d.task.wait.hold.is_none() {
            let failed = revision.short();
            self.say(format!("not deployed: main contains {failed}, which production did not take ({by})"));
        }
        let recheck = self.now.plus_ms(self.policy.recheck_ms);
        self.wait(WaitReason::Held { revision: revision.clone(), by: by.clone() }, None, Some(recheck));
    }

    /// A person chooses. What is merged and stands still has the four ways, whatever stopped it.
    pub(super) fn way_chosen(&mut self, by: &Actor, way: WayOut) -> Answer {
        self.allow(self.steer(), by, "retry")?;
        let item = self.d.task.work_item.clone();
        match self.d.task.phase.clone() {
            Phase::Waiting { why: WaitReason::Production { .. }, .. } => {}
            // Deployed again by a person's word, it waits for another failure, and that may wait for this one.
            Phase::Waiting { why: WaitReason::Held { .. }, .. }
                if self
                    .d
                    .task
                    .production
                    .failures
                    .last()
                    .is_some_and(|f| Some(&f.merged) == self.d.task.landing.merged.as_ref()) => {}
            Phase::Blocked { why: BlockReason::WrongTree { .. }, .. } => {
                return Err(format!(
                    "what landed is not what was tested; look at it first, then `orch task retry {item}` accepts it"
                ));
            }
            // It stands still in another way than by its deploy's own end: what it waits for, or what stopped it, is the cause.
            Phase::Blocked { why, .. } if self.d.task.landing.merged.is_some() => {
                self.d.task.findings.open = vec![Finding::must_fix(crate::explain::block(&why))];
                self.d.task.findings.from = Some(Origin::Production.to_string());
                self.production_failed(AS_BEFORE);
            }
            Phase::Waiting { why, .. } if self.d.task.landing.merged.is_some() => {
                let cause = format!("{by} stops it: {}", crate::explain::reason(&why));
                self.say(&cause);
                self.d.task.findings.open = vec![Finding::must_fix(cause)];
                self.d.task.findings.from = Some(Origin::Production.to_string());
                self.stands_still(AS_BEFORE, true);
            }
            Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Landed, .. }, .. }
            | Phase::Blocked { .. }
                if self.d.task.landing.landed.is_some() =>
            {
                return self.take_landed_back(by, way);
            }
            Phase::Waiting { .. } | Phase::Blocked { .. } | Phase::Working { .. } | Phase::Stopping { .. }
                if self.d.task.under_repair().is_some() =>
            {
                return Err(format!(
                    "the change is being repaired; `orch task cancel {item}` gives the repair up, and then you choose"
                ));
            }
            _ => {
                return Err(format!(
                    "`{}` is for a merged change that production did not take; this one did not fail there",
                    way.as_str()
                ));
            }
        }
        self.say(format!("{by} chooses: {} ({})", way.as_str(), way.means()));
        let taken = WayTaken { way, by: by.clone(), at: self.now };
        if let Some(last) = self.d.task.production.failures.last_mut() {
            last.answer = Some(taken);
        }
        match way {
            WayOut::Deploy => self.deploy_again(),
            WayOut::Repair => self.repair(),
            WayOut::Revert => self.revert(),
            WayOut::Accept => self.done(DoneOutcome::Accepted),
        }
        Ok(())
    }

    /// The first step behind the merge, with hooks that run again.
    pub(super) fn deploy_again(&mut self) {
        let Some(to) = self.behind_merge() else { return self.impossible("the pipeline merges nothing") };
        self.d.task.findings.open.clear();
        self.d.task.findings.from = None;
        self.d.task.production.hooks_from = self.d.task.next_seq;
        self.enter_stage_at(to);
    }

    /// The first step behind the merge.
    pub(super) fn behind_merge(&self) -> Option<Cursor> {
        let pipeline = &self.d.task.pipeline;
        let merge = pipeline.merge_at()?;
        let same = Cursor { stage: merge.stage, step: merge.step + 1 };
        Some(if pipeline.step(same).is_some() { same } else { Cursor { stage: merge.stage + 1, step: 0 } })
    }

    /// A new branch from main, with the log in the brief. A person asked for it: the repairs are given back.
    fn repair(&mut self) {
        let findings = std::mem::take(&mut self.d.task.findings.open);
        let from = self.d.task.findings.from.take().map_or(Origin::Production, Origin::from);
        let findings = super::flow::or_say_so(findings, &from);
        let Some(to) = self.repaired_in() else { return self.impossible("no stage repairs what failed in production") };
        self.new_generation();
        if self.is_a_persons() {
            return self.returned(from, findings);
        }
        self.raise(&findings, &from, false);
        self.say_findings(&findings);
        self.enter_stage(to);
    }

    /// A new branch from main that begins with the change taken back. Nobody has to develop anything: it goes to the gates.
    pub(super) fn revert(&mut self) {
        let Some(merged) = self.d.task.landing.merged.clone() else {
            return self.impossible("there is nothing to take back");
        };
        let persons = self.d.task.branch.source.is_some();
        let Some(stage) = self.developed_in().or_else(|| persons.then_some(0)) else {
            return self.impossible("no stage of the pipeline develops");
        };
        let base = self.base_of(&merged.commit);
        let failed = self.d.task.production.failures.iter().any(|f| f.merged.commit == merged.commit && !f.stopped);
        let why = if failed { ", which failed in production" } else { "" };
        self.d.task.findings.open.clear();
        self.d.task.findings.from = None;
        self.new_generation();
        self.d.task.production.reverting = Some(Reverting { commit: merged.commit.clone(), base, by_hand: false });
        self.d.task.findings.notes.push(Remark::Text(format!(
            "This branch takes back {}{why}: what it removes is meant to go.",
            merged.commit.short()
        )));
        let steps = &self.d.task.pipeline.stages[stage].steps;
        let agent = steps.iter().position(|s| matches!(s, Step::Agent { .. })).unwrap_or(0);
        // Its branch is opened at the agent's step; what is on it then is published already.
        self.move_to(Cursor { stage, step: agent });
    }

    /// The branch of a revert is open: on to the gates behind the developer's work.
    pub(super) fn reverted(&mut self, head: &Sha) {
        let at = self.d.task.at;
        let steps = self.d.task.pipeline.stages.get(at.stage).map_or(&[][..], |s| &s.steps[..]);
        let publish = steps.iter().position(|s| matches!(s, Step::Publish)).unwrap_or(at.step);
        self.say(format!("the change is taken back as {}; it goes through the same gates", head.short()));
        if self.policy.own_ci {
            self.emit(crate::effect::Effect::EnsureCi { commit: head.clone() });
        }
        self.enter_stage_at(Cursor { stage: at.stage, step: publish + 1 });
    }

    /// What is taken back conflicts with what came later: the developer does it by hand.
    pub(super) fn revert_conflicts(&mut self, files: &[String]) {
        let Some(reverting) = self.d.task.production.reverting.as_mut() else {
            return self.impossible("a branch that was to be opened conflicts");
        };
        reverting.by_hand = true;
        let commit = reverting.commit.short().to_owned();
        self.say(format!("{commit} cannot be taken back by itself: {} conflict", files.join(", ")));
        let findings = files.iter().map(|file| Finding {
            file: Some(file.clone()),
            ..Finding::must_fix(format!(
                "take back what commit {commit} changed: later changes of this file stand in the way of doing it \
                 automatically"
            ))
        });
        let findings: Vec<Finding> = findings.collect();
        if self.is_a_persons() {
            return self.returned(Origin::Revert, findings);
        }
        self.raise(&findings, &Origin::Revert, false);
        self.enter();
    }

    /// A person gives a repair up. What is merged stays merged, so the question is open again.
    pub(super) fn repair_given_up(&mut self, by: &Actor) {
        let Some(failure) = self.d.task.production.failures.last().cloned() else { return };
        self.say(format!("{by} gives the repair up; what is merged stays merged"));
        let task = &mut self.d.task;
        task.landing.merged = Some(failure.merged.clone());
        task.landing.intent = None;
        task.run = None;
        task.landing.conflict = None;
        task.landing.resolved.clear();
        task.landing.conflicts = 0;
        task.wait.question = None;
        task.production.reverting = None;
        task.findings.open = vec![Finding::must_fix(failure.cause.clone())];
        task.findings.from = Some(Origin::Production.to_string());
        task.production.failures.push(ProductionFailure { at: self.now, answer: None, ..failure.clone() });
        if let Some(at) = task.pipeline.judges_production_at() {
            task.at = at;
        }
        self.ask_for_a_way(failure.merged.commit, failure.cause, failure.now);
    }

    /// Starts a new branch; everything that was about the old one is forgotten.
    fn new_generation(&mut self) {
        let task = &mut self.d.task;
        task.branch.generation += 1;
        // It was to be repaired, and has landed green.
        task.findings.base.clear();
        if let Some(head) = task.branch.head.take() {
            task.branch.old.push((task.branch.name.clone(), head));
        }
        task.branch.rename(&task.work_item, &task.title);
        task.branch.base = None;
        task.landing.conflict = None;
        task.landing.resolved.clear();
        task.landing.conflicts = 0;
        task.branch.pull_request = None;
        task.landing.intent = None;
        task.landing.earlier.extend(task.landing.merged.take().map(|merged| merged.commit));
        task.landing.landed = None;
        task.landing.prepared = None;
        task.production.reverting = None;
        task.spent.rounds = 0;
        task.spent.stage_rounds.clear();
        task.landing.patch_changes = 0;
        task.landing.passed.clear();
        task.production.not_deployed.clear();
    }

    /// Where what failed in production is repaired: where its gate goes back to.
    fn repaired_in(&self) -> Option<usize> {
        let pipeline = &self.d.task.pipeline;
        let gate = pipeline.judges_production_at().and_then(|at| pipeline.step(at));
        let to: Option<&StageId> = match gate {
            Some(Step::Gate { on_fail, .. }) => Some(on_fail),
            _ => None,
        };
        to.and_then(|to| pipeline.position(to)).or_else(|| self.developed_in())
    }

    fn developed_in(&self) -> Option<usize> {
        let develops = |s: &Step| matches!(s, Step::Agent { role: Role::Developer });
        self.d.task.pipeline.stages.iter().position(|s| s.steps.iter().any(develops))
    }
}

impl crate::pipeline::Pipeline {
    /// The gate that judges production.
    pub fn judges_production_at(&self) -> Option<Cursor> {
        let is = |s: &Step| matches!(s, Step::Gate { gate: GateId::DeployStatus, .. });
        self.stages
            .iter()
            .enumerate()
            .find_map(|(stage, s)| s.steps.iter().position(is).map(|step| Cursor { stage, step }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_the_end_of_what_was_printed() {
        let log =
            Finding::must_fix("# X-1 on production\n\n- hook: exit 1\n\n    one\n    two\n    three\n    port taken\n");
        assert_eq!(cause(&[log]), "- hook: exit 1\none\ntwo\nthree\nport taken");
        let parts =
            format!("# X-1\n\n- check: exit 1\n\n{LAST_LINES}hook\n\n    up\n\n{LAST_LINES}check\n\n    no answer\n");
        assert_eq!(cause(&[Finding::must_fix(parts)]), "no answer", "neither the log's own lines nor the hook's");
        assert_eq!(cause(&[Finding::must_fix("\n \n")]), "nothing was printed");
        assert_eq!(cause(&[Finding::must_fix("x".repeat(5_000))]).chars().count(), CAUSE_CHARS);
    }
}
