//! What people arrange about a task beside its way along the pipeline: that it is held for a while. One place decides that
//! nothing of a held task begins: `enter`, where every step begins.

use super::{Cx, Step as Answer};
use crate::ids::Actor;
use crate::task::{OnHold, Phase, Unsure, WaitReason};

/// Longest reason, bytes: it is in every step of the task.
const REASON_MOST: usize = 4 * 1024;

impl Cx<'_> {
    /// What is under way is finished; a job that nobody has begun ends at once, and the merge lease is free with it.
    pub(super) fn put_on_hold(&mut self, by: &Actor, reason: Option<&str>) -> Answer {
        self.allow(self.policy.may_start(by), by, "hold")?;
        match self.d.task.phase {
            Phase::Cancelled { .. } | Phase::Done { .. } => return Err("it is over: there is nothing to hold".into()),
            Phase::Stopping { .. } => return Err("it is being ended already".into()),
            Phase::Idle | Phase::Working { .. } | Phase::Waiting { .. } | Phase::Blocked { .. } => {}
        }
        let item = &self.d.task.work_item;
        if let Some(OnHold { by, .. }) = &self.d.task.wait.on_hold {
            return Err(format!("{by} holds it already; `orch task release {item}` lets it go on"));
        }
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        is_short(reason.unwrap_or_default())?;
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        self.say(format!("held by {by}{why}"));
        let reason = reason.map(ToOwned::to_owned);
        self.d.task.wait.on_hold = Some(OnHold { by: by.clone(), since: self.now, reason });
        match &self.d.task.phase {
            Phase::Working { job, .. } => self.d.hold_back = Some(*job),
            // orch would look again by itself.
            Phase::Waiting {
                why:
                    WaitReason::Report { .. }
                    | WaitReason::CannotTell { .. }
                    | WaitReason::Lease { .. }
                    | WaitReason::Held { .. },
                ..
            } => self.rest(),
            _ => {}
        }
        self.emit(crate::effect::Effect::SyncTicket);
        Ok(())
    }

    /// Goes on exactly where it was held.
    pub(super) fn released(&mut self, by: &Actor) -> Answer {
        self.allow(self.policy.may_start(by), by, "release")?;
        if self.d.task.wait.on_hold.take().is_none() {
            return Err("it is not held".into());
        }
        self.say(format!("released by {by}"));
        if matches!(self.d.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. }) {
            self.d.task.wait.hold = None;
            self.enter();
        }
        self.emit(crate::effect::Effect::SyncTicket);
        Ok(())
    }

    /// Waits for a person's release in the place of the step under the cursor. No lease is held meanwhile, so that a merge is
    /// prepared again; how long a gate has waited already is kept.
    pub(super) fn rest(&mut self) {
        let at = self.d.task.at;
        if let Some(hold) = self.waited_here() {
            self.d.task.wait.unsure = Some(Unsure { at, hold });
        }
        self.d.task.wait.hold = None;
        if self.d.task.pipeline.in_lease_span(at) {
            self.d.task.at = self.start_of_merging();
        }
        self.wait(WaitReason::OnHold, None, None);
    }
}

/// May this be kept with the task?
pub(super) fn is_short(reason: &str) -> Result<(), String> {
    if reason.len() <= REASON_MOST {
        return Ok(());
    }
    Err(format!("the reason is {} bytes long, and {REASON_MOST} are the most", reason.len()))
}
