//! Tasks that are to be over before another one starts. They hold the start only: once it has begun, nothing of them counts any
//! more. One that was cancelled is over as well: whoever cancelled it knows who waits, for `why` says so.

use super::{Cx, Step as Answer};
use crate::ids::{Actor, WorkItem};
use crate::pipeline::Step;
use crate::task::{Blocker, Phase, WaitReason};

/// Most tasks that one waits for.
const MOST: usize = 50;

impl Cx<'_> {
    pub(super) fn after_set(&mut self, by: &Actor, add: &[WorkItem], remove: &[WorkItem]) -> Answer {
        self.allow(self.steer(), by, "arrange")?;
        let waits = matches!(self.d.task.phase, Phase::Waiting { why: WaitReason::After { .. }, .. });
        let held = matches!(self.d.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. })
            && matches!(self.d.task.step(), Some(Step::Open))
            && self.d.task.branch.head.is_none()
            && self.d.task.production.reverting.is_none();
        if !waits && !held && !matches!(self.d.task.phase, Phase::Idle) {
            return Err("it has begun: nothing holds its start any more".into());
        }
        let item = self.d.task.work_item.clone();
        if add.contains(&item) {
            return Err(format!("it cannot wait for itself ({item} -> {item})"));
        }
        let before = self.d.task.wait.after.clone();
        let after = &mut self.d.task.wait.after;
        after.retain(|known| !remove.contains(known));
        for new in add {
            if !after.contains(new) {
                after.push(new.clone());
            }
        }
        if MOST < after.len() {
            return Err(format!("a task waits for {MOST} others at most"));
        }
        if *after == before {
            return Err("it waits for exactly these already".into());
        }
        let names: Vec<&str> = after.iter().map(WorkItem::as_str).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        self.say(format!("{by}: it starts after {names}"));
        if waits {
            self.enter();
        }
        Ok(())
    }

    /// The start waits while others are to be over first. Entered again and again until they are.
    pub(super) fn waits_for_others(&mut self) -> bool {
        if self.d.task.wait.after.is_empty() || !matches!(self.d.task.step(), Some(Step::Open)) {
            return false;
        }
        let known = match &self.d.task.phase {
            Phase::Waiting { why: WaitReason::After { open }, .. } => open.clone(),
            _ => Vec::new(),
        };
        let of = |item: &WorkItem| known.iter().find(|b| b.item == *item).cloned();
        let open: Vec<Blocker> =
            self.d.task.wait.after.iter().map(|item| of(item).unwrap_or_else(|| Blocker::open(item))).collect();
        self.stay(open);
        true
    }

    fn stay(&mut self, open: Vec<Blocker>) {
        if self.d.task.wait.hold.is_none() {
            let lines: Vec<String> = open.iter().map(Blocker::line).collect();
            self.say(format!("its start waits for {}", lines.join("; ")));
        }
        let recheck = Some(self.now.plus_ms(self.policy.recheck_ms));
        self.wait(WaitReason::After { open }, None, recheck);
    }

    pub(super) fn blockers_seen(&mut self, open: &[Blocker], looked_at: &[WorkItem]) -> Answer {
        let Phase::Waiting { why: WaitReason::After { open: known }, .. } = self.d.task.phase.clone() else {
            return Err("its start waits for no other task".into());
        };
        // A look at what was to be waited for before says nothing of what was added since: that is open as far as is known.
        let of = |list: &[Blocker], item: &WorkItem| list.iter().find(|b| b.item == *item).cloned();
        let stands = |item: &WorkItem| match of(open, item) {
            None if looked_at.contains(item) => None,
            None => Some(of(&known, item).unwrap_or_else(|| Blocker::open(item))),
            seen => seen,
        };
        let open: Vec<Blocker> = self.d.task.wait.after.iter().filter_map(stands).collect();
        if open == known {
            return Err("they stand as they did".into());
        }
        let over = known.iter().filter(|b| !open.iter().any(|o| o.item == b.item));
        let over: Vec<&str> = over.map(|b| b.item.as_str()).collect();
        if !over.is_empty() {
            self.say(format!("{} is over", over.join(", ")));
        }
        if open.is_empty() {
            self.d.task.wait.after.clear();
            self.d.task.wait.hold = None;
            self.say("nothing holds its start any more");
            self.enter();
            return Ok(());
        }
        for blocker in open.iter().filter(|b| !known.contains(b)) {
            self.say(format!("its start waits for {}", blocker.line()));
        }
        self.stay(open);
        Ok(())
    }
}
