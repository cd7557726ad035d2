//! The turns of one engine, or of two side by side that know nothing of each other: which of them acts is chance.

use crate::invariants as inv;
use crate::node::{Node, worker};
use crate::sim::{Live, Sim, TTL_MS};
use orch_core::ids::JobId;
use orch_core::lease::{Hold, hold};
use std::collections::BTreeSet;

impl Sim {
    /// From here on a second engine works on the store.
    pub(crate) fn begin_a_second(&mut self) {
        self.processes += 1;
        self.other = Some(Node { process: self.processes, ..Node::default() });
        self.seen.count("watcher", "two engines");
    }

    /// Whose turn it is, if there are two.
    pub(crate) fn take_turns(&mut self) {
        if self.other.is_some() && self.choices.chance("the other engine", 500) {
            self.change_over();
        }
    }

    /// It is the other one's turn.
    fn change_over(&mut self) {
        if let Some(other) = &mut self.other {
            std::mem::swap(&mut self.node, other);
        }
    }

    /// It is the turn of this process.
    pub(crate) fn turn_of(&mut self, process: u32) {
        if self.node.process != process {
            self.change_over();
        }
    }

    pub(crate) fn worker(&self) -> String {
        worker(self.node.process)
    }

    /// Processes that live, the one whose turn it is first.
    pub(crate) fn processes(&self) -> impl Iterator<Item = u32> {
        [self.node.process].into_iter().chain(self.other.as_ref().map(|node| node.process))
    }

    /// The process of this engine, or of all, is another one now. Claims and leases are taken over at once where the store
    /// has one owner at a time; what others may have runs out.
    pub(crate) fn start_again(&mut self, all: bool) -> Live<()> {
        let gone: BTreeSet<u32> = self.processes().take(if all { 2 } else { 1 }).collect();
        self.flights.retain(|f| !gone.contains(&f.process));
        for node in [Some(&mut self.node), self.other.as_mut().filter(|_| all)].into_iter().flatten() {
            self.processes += 1;
            node.begin_again(self.processes);
        }
        // A file that is opened anew has one owner: what is shared by two is a store that stays open.
        if self.other.is_some() {
            return Ok(());
        }
        self.open()?;
        let (worker, held) = (self.worker(), self.ledger.held());
        let taken = self.db(async |s| s.recover(&worker, TTL_MS).await)?;
        let back: BTreeSet<JobId> = taken.iter().map(|r| r.job).collect();
        inv::ensure(held == back, "recover_takes_everything_back", || {
            format!("claimed were {held:?}, taken back {back:?}")
        })?;
        self.taken_back(&taken)?;
        // Whoever still needs a lease has it for a full time, and nobody else has one.
        self.ledger.lease_until.clear();
        for task in self.db(async |s| s.leases().await)?.into_iter().filter_map(|l| l.task) {
            if let Some(task) = self.tasks.get(&task)
                && hold(task, task.updated_at) != Hold::Free
            {
                self.ledger.lease_until.insert(task.id, self.ms() + TTL_MS);
            }
        }
        Ok(())
    }
}
