//! Evidence and the inbox. Evidence is written by the job that found it, while its claim holds.

use super::state::{Inbox, Result, State};
use orch_core::event::Event;
use orch_core::ids::{TaskId, Time};
use orch_store::memory::Owner;
use orch_store::{ArtefactRow, Dealt, Fence, InboxRow, RunRow, StoreError, Used, queue};
use std::collections::BTreeMap;
use std::sync::Arc;

impl State {
    /// Writes evidence about a task, if this claim may.
    pub(super) fn put(&mut self, fence: Fence, task: TaskId, how: impl FnOnce(&mut Self)) -> Result<bool> {
        if fence.job.task != task {
            return Err(StoreError::Bug(format!("job {} writes evidence for task {task}", fence.job)));
        }
        let held = queue::held(self, fence)?.is_some();
        if held {
            how(self);
        }
        Ok(held)
    }

    pub(super) fn put_artefacts(&mut self, fence: Fence, rows: Vec<ArtefactRow>) -> Result<bool> {
        if queue::held(self, fence)?.is_none() {
            return Ok(false);
        }
        if let Some(other) = rows.iter().find(|a| a.task != fence.job.task) {
            return Err(StoreError::Bug(format!("job {} writes evidence for task {}", fence.job, other.task)));
        }
        for row in rows {
            self.artefacts.retain(|a| (a.task, a.run, &a.name) != (row.task, row.run, &row.name));
            self.artefacts.push(row);
        }
        Ok(true)
    }

    /// Runs of a task, each as it was written last, the oldest first.
    pub(super) fn runs_of(&self, task: TaskId) -> Vec<RunRow> {
        let mine = self.runs.iter().filter(|r| r.task == task);
        let last: BTreeMap<_, _> = mine.map(|r| ((r.job, r.attempt, &r.dir), r)).collect();
        let mut runs: Vec<RunRow> = last.into_values().cloned().collect();
        runs.sort_by(|a, b| (a.job, a.attempt, a.started, &a.dir).cmp(&(b.job, b.attempt, b.started, &b.dir)));
        runs
    }

    pub(super) fn used(&self, from: Time, until: Time) -> Vec<Used> {
        let mut all: BTreeMap<_, Used> = BTreeMap::new();
        for task in self.now.tasks.values() {
            let runs = self.runs_of(task.id);
            let fits = |r: &&RunRow| from <= r.started && r.started < until && r.ended.is_some() && !r.is_command();
            for run in runs.iter().filter(fits) {
                let one = Used::of(run, task.project.as_str(), task.work_item.as_str());
                let key = (task.id, one.what.clone(), one.model.clone(), one.at);
                match all.get_mut(&key) {
                    Some(sum) => sum.add(&one),
                    None => drop(all.insert(key, one)),
                }
            }
        }
        all.into_values().collect()
    }

    pub(super) fn drop_evidence(&mut self, task: TaskId) -> u64 {
        if self.now.tasks.get(&task).is_none_or(|t| !t.is_closed()) {
            return 0;
        }
        let before = self.judgements.len() + self.artefacts.len();
        self.judgements.retain(|j| j.task != task);
        self.artefacts.retain(|a| a.task != task);
        self.facts.retain(|fact, _| fact.owner() != Owner::Task(task));
        (before - self.judgements.len() - self.artefacts.len()) as u64
    }

    pub(super) fn put_inbox(&mut self, source: &str, key: &str, task: TaskId, event: Event, at: Time) -> Option<i64> {
        if self.now.inbox.iter().any(|row| row.source == source && row.key == key) {
            return None;
        }
        let (source, key) = (source.to_owned(), key.to_owned());
        self.now.inbox.push(Arc::new(Inbox { source, key, task, event: Some(event), at, done_at: None, note: None }));
        Some(self.now.inbox.len() as i64)
    }

    pub(super) fn dealt(&self, source: &str, key: &str) -> Option<Dealt> {
        let at = self.now.inbox.iter().position(|row| row.source == source && row.key == key)?;
        Some(match &self.now.inbox[at] {
            row if row.done_at.is_none() => Dealt::Waits(at as i64 + 1),
            row => row.note.clone().map_or(Dealt::Taken, Dealt::Ignored),
        })
    }

    pub(super) fn pending(&self, limit: u32) -> Vec<InboxRow> {
        let open = self.now.inbox.iter().enumerate().filter(|(_, row)| row.done_at.is_none());
        let rows = open.filter_map(|(at, row)| {
            let event = row.event.clone()?;
            Some(InboxRow { id: at as i64 + 1, source: row.source.clone(), task: row.task, event, at: row.at })
        });
        rows.take(limit as usize).collect()
    }

    pub(super) fn drop_bodies(&mut self, after: i64, until: Time, limit: u32) -> i64 {
        let from = usize::try_from(after).unwrap_or(0);
        let rows = self.now.inbox.iter_mut().skip(from).take(limit as usize);
        let mut last = after;
        for row in rows.take_while(|row| row.done_at.is_some_and(|at| at <= until)) {
            Arc::make_mut(row).event = None;
            last += 1;
        }
        last
    }
}
