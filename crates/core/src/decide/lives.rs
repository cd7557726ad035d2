//! What becomes of a task that was over: it is begun again on a new branch, or its change is taken back because a person
//! wants it. Neither may lose that something of it is merged, and nothing of the life before may count in the next one.

use super::arranged::is_short;
use super::{Cx, Step as Answer};
use crate::effect::Effect;
use crate::ids::Actor;
use crate::lives::keep_few;
use crate::pipeline::Cursor;
use crate::policy::Act;
use crate::slug;
use crate::source::shell_word;
use crate::task::{
    BeforeRevert, Branch, Findings, Landing, Life, NewTask, Phase, Production, Spent, Task, Wait, WayOut,
};
use std::sync::Arc;

impl Cx<'_> {
    /// A branch of its own from main, the pipeline of today, and none of the verdicts, approvals and findings of before. What
    /// people said and answered stays.
    pub(super) fn begun_again(&mut self, by: &Actor, ticket: &NewTask) -> Answer {
        self.allow(Act::Start, by, "start")?;
        if !self.d.task.is_closed() {
            return Err("it is under way already".into());
        }
        if let Some(source) = &self.d.task.branch.source {
            let land = format!("orch land {}", shell_word(&source.name));
            return Err(format!(
                "it landed a person's branch, and no agent begins with that: `{land}` lands what is there now"
            ));
        }
        let end = crate::explain::line(&self.d.task);
        let (now, jobs_before) = (self.now, self.d.task.next_seq);
        let budget_from_micro_usd = self.spent_micro_usd;
        let task = &mut self.d.task;
        // The pipeline is no part of what is stored of a task, and nothing of that life goes on.
        let mut before = Some(Box::new(Task { pipeline: Arc::default(), ..task.clone() }));
        keep_few(&mut before);
        let took_back = task.landing.merged.as_ref().and(task.production.reverting.as_ref()).map(|r| r.commit.clone());
        let landed = task.lives.landed.take();
        let merged = task.landing.merged.take().map(|merged| merged.commit).or(landed);
        let mut earlier = std::mem::take(&mut task.landing.earlier);
        earlier.extend(merged.clone());
        let (branch, pull_request) = (task.branch.name.clone(), task.branch.pull_request);
        task.lives.past.push(Life { branch, pull_request, merged, took_back, end, at: now, jobs_before });
        task.lives.before = before;
        task.lives.finished = None;
        task.lives.before_revert = None;
        task.lives.base = None;
        task.title.clone_from(&ticket.title);
        task.body.clone_from(&ticket.body);
        task.pipeline = Arc::new(ticket.pipeline.clone());
        task.repository = ticket.repository.clone().filter(|repository| *repository != task.project);
        let generation = task.branch.generation + 1;
        let mut old = std::mem::take(&mut task.branch.old);
        old.extend(task.branch.head.take().map(|head| (task.branch.name.clone(), head)));
        let name = slug::branch(&task.work_item, &task.title, generation);
        task.branch = Branch { name, generation, old, ..Branch::default() };
        task.landing = Landing { plan: Some(ticket.landing), earlier, ..Landing::default() };
        let Findings { comments, answers, .. } = std::mem::take(&mut task.findings);
        task.findings = Findings { answers, comments, ..Findings::default() };
        // What its start was to wait for, if it never began, still holds.
        let after = std::mem::take(&mut task.wait.after);
        task.wait = Wait { after, ..Wait::default() };
        task.spent = Spent { budget_from_micro_usd, ..Spent::default() };
        task.production = Production { hooks_from: jobs_before, ..Production::default() };
        task.run = None;
        task.approvals.clear();
        task.done_at = None;
        task.started_by = Some(by.clone());
        task.at = Cursor { stage: 0, step: 0 };
        let lives = task.lives.past.len() + 1;
        let branch = task.branch.name.clone();
        self.say(format!("begun again by {by}: life {lives}, on {branch}"));
        self.enter();
        Ok(())
    }

    /// Through the same gates, also where production was healthy.
    pub(super) fn revert_asked(&mut self, by: &Actor, reason: Option<&str>) -> Answer {
        self.allow(self.steer(), by, "revert")?;
        is_short(reason.unwrap_or_default())?;
        let why = reason.map(str::trim).filter(|r| !r.is_empty()).map_or_else(String::new, |r| format!(": {r}"));
        let task = &self.d.task;
        let item = &task.work_item;
        let merged = task.landing.merged.clone();
        let taken_back = task.production.reverting.is_some();
        match (&task.phase, merged) {
            // However production took that: taken back once more it would bring the unwanted change back.
            (phase, Some(revert)) if taken_back => {
                let commit = revert.commit.short();
                return Err(match phase {
                    Phase::Done { .. } | Phase::Cancelled { .. } => {
                        let again = match &task.branch.source {
                            Some(source) => format!("orch land {}` lands it", shell_word(&source.name)),
                            None => format!("orch task start {item}` begins it"),
                        };
                        format!("it was taken back already, as {commit}; `{again} again")
                    }
                    _ => format!("it was taken back already, as {commit}; what is open is how production takes that"),
                });
            }
            (Phase::Done { outcome, .. }, Some(merged)) => {
                let (base, failures) = (self.base_of(&merged.commit), task.production.failures.clone());
                let (outcome, done_at, at) = (*outcome, task.done_at, task.at);
                let before = BeforeRevert { merged, outcome, done_at, at, base, failures };
                self.say(format!("{by} wants it taken back{why}"));
                self.take_back_what_is_done(before);
            }
            (Phase::Done { .. } | Phase::Cancelled { .. }, None) => {
                let before = task.lives.past.iter().rev().find_map(|life| life.merged.as_ref());
                let landed = task.lives.landed.as_ref().or(before);
                let but = landed.map_or_else(String::new, |commit| {
                    format!(
                        " (what is on main as {} is not of this life: `git revert` takes that back)",
                        commit.short()
                    )
                });
                return Err(format!("nothing of it is merged: there is nothing to take back{but}"));
            }
            (_, None) if taken_back => {
                return Err(format!("it is being taken back already; `orch task cancel {item}` gives that up"));
            }
            (_, None) if task.landing.landed.is_none() && task.under_repair().is_none() => {
                return Err(format!("it is not merged: `orch task cancel {item}` ends it"));
            }
            (Phase::Working { .. } | Phase::Stopping { .. }, Some(merged)) => {
                let commit = merged.commit.short();
                return Err(format!("it is merged as {commit}, and production is being worked at: that ends first"));
            }
            _ => {
                if !why.is_empty() {
                    self.say(format!("{by} wants it taken back{why}"));
                }
                return self.way_chosen(by, WayOut::Revert);
            }
        }
        Ok(())
    }

    fn take_back_what_is_done(&mut self, before: BeforeRevert) {
        let task = &mut self.d.task;
        task.done_at = None;
        task.run = None;
        task.landing.updates = 0;
        self.revert();
        let task = &mut self.d.task;
        // What was accepted once holds up nobody while it is taken back.
        task.production.failures.clear();
        task.lives.base = None;
        task.lives.before_revert = Some(before);
    }

    /// What is merged stays merged: the task is what it was.
    pub(super) fn revert_given_up(&mut self, by: &Actor) {
        let Some(before) = self.d.task.lives.before_revert.take() else { return };
        self.say(format!("{by} gives it up; {} stays on main", before.merged.commit.short()));
        let task = &mut self.d.task;
        task.landing.merged = Some(before.merged);
        task.landing.intent = None;
        task.landing.conflict = None;
        task.landing.resolved.clear();
        task.landing.conflicts = 0;
        task.production.reverting = None;
        task.production.failures = before.failures;
        task.lives.base = before.base;
        task.wait = crate::task::Wait::default();
        task.findings.open.clear();
        task.findings.raised.clear();
        task.findings.from = None;
        task.findings.at = None;
        task.at = before.at;
        task.done_at = before.done_at;
        task.phase = Phase::Done { outcome: before.outcome, since: self.now };
        self.emit(Effect::CleanUp);
    }
}
