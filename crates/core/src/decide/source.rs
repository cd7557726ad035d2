//! A person's own branch: it goes through the same gates as what agents write, and nobody but the person repairs it. What
//! does not let it through ends with the person, at nobody's cost; it goes on when the person lands it again.

use super::{Cx, Step as Answer};
use crate::ids::{Actor, Sha};
use crate::origin::Origin;
use crate::pipeline::Cursor;
use crate::policy::{Act, Policy};
use crate::task::{BlockReason, Phase, Task};
use crate::verdict::Finding;

/// Where the person's branch is taken.
pub(super) const TAKEN: Cursor = Cursor { stage: 0, step: 0 };

impl Task {
    /// Is it landing exactly this commit of the person's branch, and nothing else?
    pub fn is_landing(&self, head: &Sha) -> bool {
        let going_on = matches!(self.phase, Phase::Working { .. } | Phase::Waiting { .. });
        let by_itself = self.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
        let source = self.branch.source.as_ref().filter(|s| s.head == *head);
        going_on && !by_itself && source.is_some() && self.landing.merged.is_none() && self.landing.landed.is_none()
    }
}

impl Task {
    /// Is what its person lands next this task's business? Not when it has landed, nor while orch takes it back by itself: new
    /// work gets a task of its own then.
    pub fn lands_next(&self) -> bool {
        let by_itself = self.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
        let returned = matches!(self.phase, Phase::Blocked { why: BlockReason::Returned { .. }, .. });
        self.landing.merged.is_none() && (!by_itself || returned)
    }
}

impl Task {
    /// Is this person an author of the change? Of a branch that a person wrote whoever asked for it to be landed, under any
    /// of their names; what agents wrote has no person as author.
    pub fn is_author(&self, policy: &Policy, who: &Actor) -> bool {
        let Some(source) = &self.branch.source else { return false };
        source.asked_by.iter().chain(&self.started_by).any(|author| policy.same_person(author, who))
    }
}

impl Policy {
    /// Does this person's approval of a task's change count? Not that of an author of it.
    pub fn approves(&self, task: Option<&Task>, by: &Actor) -> bool {
        self.may(by, Act::Approve) && !task.is_some_and(|task| task.is_author(self, by))
    }
}

impl Cx<'_> {
    /// May this person have it worked on? A person's own branch is another role's business than a ticket for agents.
    pub(super) fn may_begin(&self, by: &Actor, what: &str) -> Answer {
        match Act::begin(self.d.task.branch.source.is_some()) {
            Act::Land => self.allow(Act::Land, by, "land"),
            act => self.allow(act, by, what),
        }
    }

    /// What it is to say how it goes on: of a person's own branch whoever may land may, too.
    pub(super) fn steer(&self) -> Act {
        Act::Steer { own_branch: self.d.task.branch.source.is_some() }
    }

    /// This person has asked for the person's branch to be landed.
    pub(super) fn asked_by(&mut self, by: &Actor) {
        if let Some(source) = self.d.task.branch.source.as_mut().filter(|s| !s.asked_by.contains(by)) {
            source.asked_by.push(by.clone());
        }
    }

    /// Exactly what was refused is judged again, as a new visit: hooks run again, and so does CI that was red.
    pub(super) fn judge_again(&mut self, at: Cursor) {
        if let Some(source) = &self.d.task.branch.source {
            let (head, name) = (source.head.short().to_owned(), source.name.clone());
            self.say(format!("{head} is judged again; what was pushed to {name} since lands by landing it again"));
        }
        self.d.task.landing.intent = None;
        self.d.task.landing.prepared = None;
        self.enter_stage_at(at);
    }

    /// What a stranger pushed to orch's copy is not what anybody asked for: it is kept, and the copy is made anew.
    pub(super) fn put_aside(&mut self, pushed: &Sha) {
        let short = pushed.short().to_owned();
        self.say(format!(
            "{short} is put aside and kept: what lands is the commit that was asked for, on a copy made anew"
        ));
        self.d.task.branch.head = Some(pushed.clone());
    }

    /// Is it a person's branch that has not landed?
    pub(super) fn is_a_persons(&self) -> bool {
        self.d.task.branch.source.is_some() && self.d.task.landing.merged.is_none()
    }

    /// Something does not let the person's branch through.
    pub(super) fn returned(&mut self, from: Origin, findings: Vec<Finding>) {
        let findings = super::flow::or_say_so(findings, &from);
        let things = if findings.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", findings.len()) };
        let name = self.d.task.branch.source.as_ref().map(|s| s.name.clone()).unwrap_or_default();
        self.say(format!("{from}: {things}; {name} waits for its author"));
        self.say_findings(&findings);
        self.block(BlockReason::Returned { from, findings }, TAKEN);
    }

    /// A person lands the branch as it stands now.
    pub(super) fn land_asked(&mut self, by: &Actor, head: &Sha) -> Answer {
        self.may_begin(by, "land")?;
        let Some(source) = self.d.task.branch.source.clone() else {
            return Err("agents work on it: it lands no branch of a person".into());
        };
        let task = &self.d.task;
        if task.landing.merged.is_some() || task.landing.landed.is_some() {
            return Err(format!("{} has landed already; land what came later as another task", source.name));
        }
        if task.merge_unknown() {
            return Err("whether it is merged is not known: retry it first, then it can be told".into());
        }
        if let Some(reverting) = task.production.reverting.as_ref().filter(|r| !r.by_hand)
            && !matches!(&task.phase, Phase::Blocked { why: BlockReason::Returned { .. }, .. })
        {
            return Err(format!(
                "{} is being taken back; `orch task cancel {}` gives that up",
                reverting.commit.short(),
                task.work_item
            ));
        }
        match &task.phase {
            Phase::Waiting { .. } if task.is_landing(head) => {
                return Err(format!("it is landing exactly this, {}, already", head.short()));
            }
            Phase::Blocked { why: BlockReason::BranchMoved { now: Some(now) }, .. } => {
                let now = now.clone();
                self.put_aside(&now);
            }
            Phase::Blocked { why: BlockReason::BranchMoved { now: None }, .. } => self.d.task.branch.again = true,
            Phase::Idle | Phase::Waiting { .. } | Phase::Blocked { .. } => {}
            Phase::Working { .. } | Phase::Stopping { .. } => {
                return Err(format!(
                    "it is at work on {} as it stood at {}: land it again when that has ended, or cancel it first",
                    source.name,
                    source.head.short()
                ));
            }
            Phase::Cancelled { .. } | Phase::Done { .. } => {
                return Err("it is over: land the branch as another task".into());
            }
        }
        self.say(format!("{by} lands {} at {}", source.name, head.short()));
        self.asked_by(by);
        let task = &mut self.d.task;
        task.started_by.get_or_insert_with(|| by.clone());
        if let Some(source) = task.branch.source.as_mut() {
            source.head = head.clone();
        }
        if let Some(reverting) = task.production.reverting.as_mut() {
            // What orch took back by itself was refused: the author's branch does it in place of that.
            reverting.by_hand = true;
        }
        task.spent.role_attempts = 0;
        task.landing.conflict = None;
        task.landing.patch_changes = 0;
        task.landing.voided = 0;
        task.landing.intent = None;
        task.landing.prepared = None;
        task.findings.open.clear();
        task.findings.from = None;
        self.enter_stage_at(TAKEN);
        Ok(())
    }

    /// The copy of the person's branch, or what takes a landed one back, is there.
    pub(super) fn copied(&mut self, head: &Sha) {
        if self.policy.own_ci {
            self.emit(crate::effect::Effect::EnsureCi { commit: head.clone() });
        }
        self.next();
    }
}
