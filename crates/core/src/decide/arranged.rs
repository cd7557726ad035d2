//! What people arrange about a task beside its way along the pipeline: that it is held for a while, that its ticket says
//! something else, that it is finished outside of orch. One place decides that nothing of a held task begins: `enter`, where
//! every step begins.

use super::people::latest_text;
use super::{Cx, Step as Answer};
use crate::effect::Effect;
use crate::ids::Actor;
use crate::pipeline::Step;
use crate::source;
use crate::task::{DoneOutcome, Finished, OnHold, Phase, Unsure, WaitReason, WayOut};

/// Longest reason, bytes: it is in every step of the task.
const REASON_MOST: usize = 4 * 1024;
/// Longest title of a ticket, characters.
const TITLE_MOST: usize = 300;
/// Longest text of a ticket, bytes.
const BODY_MOST: usize = 1024 * 1024;

impl Cx<'_> {
    /// What is under way is finished; a job that nobody has begun ends at once, and the merge lease is free with it.
    pub(super) fn put_on_hold(&mut self, by: &Actor, reason: Option<&str>) -> Answer {
        self.allow(self.steer(), by, "hold")?;
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
            Phase::Waiting { why, .. } if why.is_looked_at() => self.rest(),
            _ => {}
        }
        self.emit(Effect::SyncTicket);
        Ok(())
    }

    /// Goes on exactly where it was held.
    pub(super) fn released(&mut self, by: &Actor) -> Answer {
        self.allow(self.steer(), by, "release")?;
        if self.d.task.wait.on_hold.take().is_none() {
            return Err("it is not held".into());
        }
        self.say(format!("released by {by}"));
        if matches!(self.d.task.phase, Phase::Waiting { why: WaitReason::OnHold, .. }) {
            self.d.task.wait.hold = None;
            self.enter();
        }
        self.emit(Effect::SyncTicket);
        Ok(())
    }

    /// Does something else come before the step under the cursor? Then the task is on its way there.
    pub(super) fn is_stopped_here(&mut self) -> bool {
        if self.d.task.landing.landed.is_some() {
            self.take_landed();
            return true;
        }
        if self.d.task.wait.on_hold.is_some() && !self.d.task.merge_is_asked_again() {
            self.rest();
            return true;
        }
        self.waits_for_others()
    }

    /// Waits for a person's release in the place of the step under the cursor. No lease is held meanwhile, so that a merge is
    /// prepared again; how long a gate has waited already is kept.
    pub(super) fn rest(&mut self) {
        let at = self.d.task.at;
        // A gate for which the merge is prepared again is counted by its own place, not by that of the update.
        let counted = |u: Unsure| u.at != at && u.at.stage == at.stage && self.start_of_merging() == at;
        if let Some(hold) = self.waited_here()
            && !self.d.task.wait.unsure.is_some_and(counted)
        {
            self.d.task.wait.unsure = Some(Unsure { at, hold });
        }
        self.d.task.wait.hold = None;
        if self.d.task.pipeline.in_lease_span(at) {
            self.d.task.at = self.start_of_merging();
        }
        self.wait(WaitReason::OnHold, None, None);
    }

    /// The ticket gets its text by a job; the next brief has it at once.
    pub(super) fn edit_asked(&mut self, by: &Actor, title: Option<&str>, body: Option<&str>) -> Answer {
        self.allow(self.steer(), by, "edit")?;
        let title = title.map(str::trim);
        if self.d.task.branch.source.is_some() && body.is_some_and(|body| !source::is_of_landing(body)) {
            return Err("it lands a person's branch, and the first line of its text says which: leave that line".into());
        }
        if title.is_none() && body.is_none() {
            return Err("nothing is to be changed: give a title, a text, or both".into());
        }
        if let Some(title) = title {
            let one_line = !title.is_empty() && !title.chars().any(char::is_control);
            if !one_line || TITLE_MOST < title.chars().count() {
                return Err(format!("a title is one line of at most {TITLE_MOST} characters"));
            }
        }
        if body.is_some_and(|body| BODY_MOST < body.len()) {
            return Err(format!("a text has at most {BODY_MOST} bytes"));
        }
        let (title_now, body_now) = latest_text(&self.d.task);
        let (new_title, new_body) = (title.unwrap_or(&title_now).to_owned(), body.unwrap_or(&body_now).to_owned());
        let closed = self.d.task.is_closed();
        if !closed && (&new_title, &new_body) == (&title_now, &body_now) {
            return Err("that is what its ticket says already".into());
        }
        self.say(format!("{by} edits the ticket"));
        let (title, body) = (title.map(ToOwned::to_owned), body.map(ToOwned::to_owned));
        self.emit(Effect::EditTicket { title, body, by: by.clone() });
        // One that is over is told nothing of its ticket; begun again it reads it anew.
        if closed { Ok(()) } else { self.ticket_edited(&new_title, &new_body) }
    }

    /// The file is with the ticket; whoever works on the task next is given it.
    pub(super) fn attached(&mut self, by: &Actor, name: &str, size: u64, sha256: &str) -> Answer {
        self.allow(self.steer(), by, "attach files to")?;
        if self.d.task.is_closed() {
            return Err("it is over: nobody would read it".into());
        }
        if self.d.task.branch.source.is_some() {
            return Err("it lands a person's branch: no agent would read it".into());
        }
        let digest = sha256.get(..12).unwrap_or(sha256);
        self.say(format!("{by} attached {name} ({size} bytes, sha256 {digest}); the next agent has it"));
        Ok(())
    }

    /// It ends as done, and orch merges nothing for it. What runs is ended as for a cancel.
    pub(super) fn finish_asked(&mut self, by: &Actor, reason: &str) -> Answer {
        self.allow(self.steer(), by, "finish")?;
        let reason = reason.trim();
        if reason.is_empty() {
            return Err("say why it is finished: the reason stays with its evidence".into());
        }
        is_short(reason)?;
        let task = &self.d.task;
        let item = &task.work_item;
        match &task.phase {
            Phase::Cancelled { .. } | Phase::Done { .. } => return Err("it is over already".into()),
            Phase::Stopping { .. } => return Err("it is being ended already".into()),
            Phase::Idle | Phase::Working { .. } | Phase::Waiting { .. } | Phase::Blocked { .. } => {}
        }
        if let (Some(_), Some(landed)) = (&task.lives.before_revert, &task.landing.landed) {
            let commit = landed.commit.short();
            return Err(format!("its revert is merged as {commit}; `orch why {item}` says how that ends"));
        }
        if task.lives.before_revert.is_some() {
            return Err(format!("its change is being taken back; `orch task cancel {item}` gives that up"));
        }
        if let Some(failure) = task.under_repair() {
            let failed = failure.merged.commit.short();
            return Err(format!(
                "{failed} failed in production and is being repaired; `orch task cancel {item}` gives the repair up, then \
                 `orch task retry {item} --as {}` leaves production as it is",
                WayOut::Accept.as_str()
            ));
        }
        if let (None, Some(reverting)) = (&task.landing.merged, &task.production.reverting) {
            let commit = reverting.commit.short();
            return Err(format!(
                "{commit} is on main and is being taken back; `orch task cancel {item}` gives that up"
            ));
        }
        if let Some(merged) = &task.landing.merged {
            let commit = merged.commit.short();
            return Err(format!(
                "it is merged as {commit}, and production is not settled; `orch task retry {item} --as {}` leaves \
                 production as it is, once it stands still",
                WayOut::Accept.as_str()
            ));
        }
        if task.merge_unknown() {
            return Err("whether it is merged is not known: retry it first, then it can be told".into());
        }
        let Phase::Working { job, .. } = task.phase else {
            self.finished(by, reason);
            return Ok(());
        };
        match task.step() {
            Some(Step::Merge) => return Err("a merge is under way: its outcome is awaited first".into()),
            Some(Step::Deploy { .. } | Step::Restage) => return Err("a deploy is under way: it ends first".into()),
            _ => {}
        }
        self.say(format!("{by} finishes it; the job under way is being stopped"));
        let finish = Some(reason.to_owned());
        self.d.task.phase = Phase::Stopping { job, by: by.clone(), since: self.now, finish };
        self.d.stop = Some(job);
        Ok(())
    }

    /// The job of a task that is being ended is over.
    pub(super) fn ended(&mut self, by: Actor) {
        match &self.d.task.phase {
            Phase::Stopping { finish: Some(reason), .. } => {
                let reason = reason.clone();
                self.finished(&by, &reason);
            }
            _ => self.cancelled(by),
        }
    }

    fn finished(&mut self, by: &Actor, reason: &str) {
        self.leave_landed();
        self.say(format!("finished outside of orch by {by}: {reason}"));
        let task = &mut self.d.task;
        task.wait.hold = None;
        task.wait.base = None;
        task.wait.on_hold = None;
        task.done_at = Some(self.now);
        task.lives.finished = Some(Finished { by: by.clone(), reason: reason.to_owned(), at: self.now });
        task.phase = Phase::Done { outcome: DoneOutcome::Finished, since: self.now };
        self.emit(Effect::CleanUp);
    }
}

/// May this be kept with the task?
pub(super) fn is_short(reason: &str) -> Result<(), String> {
    if reason.len() <= REASON_MOST {
        return Ok(());
    }
    Err(format!("the reason is {} bytes long, and {REASON_MOST} are the most", reason.len()))
}
