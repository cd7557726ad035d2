//! What follows from where a task stands, whatever brought it there: who holds the merge lease, what the ticket shows,
//! who is told. Deciding these in one place is what keeps a forgotten branch from leaking a lease.

use super::{Cx, LeaseOp};
use crate::effect::Effect;
use crate::explain;
use crate::lease::{self, Hold};
use crate::task::{Phase, Task, WaitReason, WayOut};

impl Cx<'_> {
    pub(super) fn finish(&mut self, before: &Task) {
        self.settle_lease();
        self.tell(before);
        self.show(before);
        self.d.task.updated_at = self.now;
    }

    fn settle_lease(&mut self) {
        if self.holds_lease() && lease::hold(&self.d.task, self.now) == Hold::Free {
            self.d.lease = LeaseOp::Free;
        }
    }

    /// Failures and wishes reach a person once; success is quiet.
    fn tell(&mut self, before: &Task) {
        let after = &self.d.task;
        let item = after.work_item.clone();
        let news = match (&before.phase, &after.phase) {
            (was, is) if was == is => None,
            (_, Phase::Blocked { why, .. }) => Some(format!("{item} is blocked: {}", explain::blocked(after, why))),
            (_, Phase::Waiting { why: why @ (WaitReason::Approval { .. } | WaitReason::Answer { .. }), .. })
                if after.wait.hold.is_some_and(|h| !h.asked) =>
            {
                Some(format!("{item} needs you: {}", explain::reason(why)))
            }
            (_, Phase::Waiting { why: why @ WaitReason::Unable { .. }, .. })
                if after.wait.hold.is_some_and(|h| !h.asked) =>
            {
                Some(format!("{item} needs you: {}", explain::reason(why)))
            }
            (_, Phase::Waiting { why: WaitReason::Production { revision, cause, now }, .. })
                if after.wait.hold.is_some_and(|h| !h.asked) =>
            {
                Some(format!(
                    "{item}: production failed on {}: {cause}\n{now}\nChoose with `orch task retry {item} --as {}`: {}",
                    revision.short(),
                    WayOut::CHOICE,
                    WayOut::offer()
                ))
            }
            (_, Phase::Done { outcome, .. }) if !outcome.is_well() => {
                Some(format!("{item} is done, but production is {}", outcome.as_str().replace('_', " ")))
            }
            _ => None,
        };
        let asks = |why: &WaitReason| {
            matches!(
                why,
                WaitReason::Approval { .. }
                    | WaitReason::Answer { .. }
                    | WaitReason::Unable { .. }
                    | WaitReason::Production { .. }
            )
        };
        if matches!(&after.phase, Phase::Waiting { why, .. } if asks(why))
            && let Some(hold) = self.d.task.wait.hold.as_mut()
        {
            hold.asked = true;
        }
        if let Some(text) = news {
            let key = format!("{item}-{}", self.d.task.next_seq);
            self.emit(Effect::Notify { key, text });
        }
    }

    /// The ticket follows what people would call progress: the stage, and who must act.
    fn show(&mut self, before: &Task) {
        let after = &self.d.task;
        // A person may have moved the ticket on, and be stopped at once by another reason.
        let stopped =
            matches!(after.phase, Phase::Blocked { .. } | Phase::Waiting { why: WaitReason::Production { .. }, .. });
        let blocked_again = stopped && before.phase != after.phase;
        // Whoever is to approve something else now must read that.
        let asked_anew = matches!((before.asked(), after.asked()), (Some(was), Some(is)) if was.subject != is.subject);
        if before.stage() != after.stage() || shown(after) != shown(before) || blocked_again || asked_anew {
            self.emit(Effect::SyncTicket);
        }
    }
}

/// What of a phase a ticket shows.
fn shown(task: &Task) -> u8 {
    match &task.phase {
        Phase::Idle => 0,
        _ if task.asked().is_some() => 2,
        Phase::Waiting { why: WaitReason::Answer { .. } | WaitReason::Unable { .. }, .. } => 3,
        Phase::Blocked { .. } | Phase::Waiting { why: WaitReason::Production { .. }, .. } => 4,
        Phase::Working { .. } | Phase::Stopping { .. } | Phase::Waiting { .. } => 1,
        Phase::Cancelled { .. } => 5,
        Phase::Done { .. } => 6,
    }
}
