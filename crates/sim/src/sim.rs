//! One simulated life of a few tasks: the real `decide` behind the real store, everything else modelled. This file holds
//! what is known during a life and the verbs of the store, each checked as it is used.

use crate::choices::Choices;
use crate::helpers::Plan;
use crate::invariants as inv;
use crate::ledger::Ledger;
use crate::memory::MemoryStore;
use crate::node::Node;
use crate::report::{Coverage, Violation};
use crate::site::Site;
use crate::words;
use crate::{Life, On, Profile};
use futures::executor::block_on;
use orch_core::effect::Outcome;
use orch_core::event::Event;
use orch_core::ids::{ProjectKey, TaskId, Time};
use orch_core::retry::{Next, Tried};
use orch_core::task::Task;
use orch_store::sqlite::{Durability, OpenOptions, SqliteStore};
use orch_store::{Cause, Fence, Job, LeaseRow, StepRequest, Stepped, Store, StoreClock, StoreError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Life of a claim without a heartbeat.
pub(crate) const CLAIM_MS: i64 = 10_000;
/// Life of a merge lease without a renewal.
pub(crate) const TTL_MS: i64 = 60_000;
/// Lines of the scenario that are kept for a report.
const KEPT: usize = 40;

/// `Err` ends the life.
pub(crate) type Live<T> = Result<T, Violation>;

/// A claim in the hands of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) job: Job,
    /// Process whose worker it is.
    pub(crate) process: u32,
    /// The task as it was when the work began.
    pub(crate) task: Task,
    pub(crate) ended: Option<End>,
    /// Neither works nor renews its claim: a process that is paused.
    pub(crate) asleep: bool,
    pub(crate) stop: bool,
    /// Renews its claim for ever, and does nothing.
    pub(crate) hung: bool,
    /// Does not look at its lease again before it merges.
    pub(crate) blind: bool,
}

impl Flight {
    /// Does it do anything?
    pub(crate) fn works(&self) -> bool {
        !self.asleep && !self.hung && self.ended.is_none()
    }
}

/// What is to be reported of a claim.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// It was tried.
    Tried(Tried),
    /// It was not even tried.
    Refused(Next),
}

/// Everything that is going on.
pub(crate) struct Sim {
    pub(crate) choices: Choices,
    on: On,
    store: Option<Box<dyn Store>>,
    file: Option<tempfile::TempDir>,
    pub(crate) now: Time,
    /// The store is measured by it, milliseconds.
    clock: Arc<AtomicI64>,
    /// The engine whose turn it is, and the other one if there are two.
    pub(crate) node: Node,
    pub(crate) other: Option<Node>,
    /// Number of the newest process.
    pub(crate) processes: u32,
    pub(crate) sites: BTreeMap<ProjectKey, Site>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) ledger: Ledger,
    pub(crate) faults_on: bool,
    /// Scales how often faults happen in this life, per cent.
    pub(crate) roughness: u64,
    /// The kind of crash this life is after, and the phases it has met.
    pub(crate) prey: &'static str,
    pub(crate) hunted: BTreeSet<&'static str>,
    /// Is what all agents may cost in a day limited?
    pub(crate) days_are_limited: bool,
    /// Do all projects have one repository?
    pub(crate) one_repository: bool,
    /// Outside services that are down.
    pub(crate) down: BTreeSet<String>,
    /// Does anybody tell of changed tickets?
    pub(crate) hints: bool,
    /// What people do to tickets in a quiet life.
    pub(crate) plans: BTreeMap<(ProjectKey, u64), Plan>,
    pub(crate) keys: u64,
    /// What was seen of blockers and is not told yet.
    pub(crate) late_looks: Vec<(TaskId, Event)>,
    pub(crate) steps: u64,
    pub(crate) seen: Coverage,
    trace: bool,
    /// What happened, and in which step.
    pub(crate) story: VecDeque<(u64, String)>,
}

impl Sim {
    pub(crate) fn new(life: &Life, choices: Choices) -> Live<Self> {
        let file = if life.on == On::File {
            Some(
                tempfile::tempdir()
                    .map_err(|e| Violation::new("the_simulation_can_run", format!("no directory: {e}")))?,
            )
        } else {
            None
        };
        let mut sim = Self {
            choices,
            on: life.on,
            store: None,
            file,
            now: Time(1_800_000_000_000),
            clock: Arc::new(AtomicI64::new(100_000)),
            node: Node::default(),
            other: None,
            processes: 0,
            sites: BTreeMap::new(),
            tasks: BTreeMap::new(),
            flights: Vec::new(),
            ledger: Ledger::default(),
            faults_on: false,
            roughness: 100,
            prey: crate::crash::CRASH_NOW,
            hunted: BTreeSet::new(),
            days_are_limited: false,
            one_repository: false,
            down: BTreeSet::new(),
            hints: true,
            plans: BTreeMap::new(),
            keys: 0,
            late_looks: Vec::new(),
            steps: 0,
            seen: Coverage::default(),
            trace: life.trace,
            story: VecDeque::new(),
        };
        sim.open()?;
        Ok(sim)
    }

    /// Opens the store; a file is closed first.
    pub(crate) fn open(&mut self) -> Live<()> {
        let clock = StoreClock::by_hand(&self.clock);
        let store = match &self.file {
            None if self.store.is_some() => return Ok(()),
            None if self.on == On::Memory => {
                self.store = Some(Box::new(MemoryStore::new(clock)));
                return Ok(());
            }
            None => SqliteStore::open_in_memory(clock),
            Some(dir) => {
                drop(self.store.take());
                let options = OpenOptions { durability: Durability::Off, holder: "sim".into(), clock };
                SqliteStore::open(dir.path().join("sim.db"), options)
            }
        };
        self.store = Some(Box::new(store.map_err(|e| inv::store_never_fails(&e))?));
        Ok(())
    }

    /// Runs a verb. Every error of the store is a violation: nothing in this world makes a disk fail.
    pub(crate) fn db<T>(&self, verb: impl AsyncFnOnce(&dyn Store) -> Result<T, StoreError>) -> Live<T> {
        let store = self.store.as_ref().ok_or_else(|| Violation::new("the_simulation_can_run", "no store"))?;
        block_on(verb(store.as_ref())).map_err(|e| inv::store_never_fails(&e))
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        self.story.push_back((self.steps, text()));
        if !self.trace && KEPT < self.story.len() {
            self.story.pop_front();
        }
    }

    /// Does this fault happen now? Counted when it does; never in the second, faultless half of a life.
    pub(crate) fn hit(&mut self, fault: &'static str, per_mille: u64) -> bool {
        let hit = self.faults_on && self.choices.chance(fault, (per_mille * self.roughness / 100).max(1));
        if hit {
            self.seen.fault(fault);
        }
        hit
    }

    pub(crate) fn site(&mut self, project: &ProjectKey) -> Live<&mut Site> {
        let missing = || Violation::new("the_simulation_can_run", format!("no site {project}"));
        self.sites.get_mut(project).ok_or_else(missing)
    }

    /// What the store's clock says, milliseconds.
    pub(crate) fn ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Time passes.
    pub(crate) fn pass_ms(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn lease(&self, repository: &ProjectKey) -> Live<LeaseRow> {
        let rows = self.db(async |s| s.leases().await)?;
        let none = || LeaseRow {
            project: repository.clone(),
            epoch: 0,
            holder: None,
            task: None,
            branch: None,
            worker: None,
            taken_at: None,
        };
        Ok(rows.into_iter().find(|l| l.project == *repository).unwrap_or_else(none))
    }

    /// Steps a task, and those whose lease became free by it, as the engine does.
    pub(crate) fn step(&mut self, task: TaskId, cause: Cause, event: Event) -> Live<Stepped> {
        let first = self.step_one(task, cause, event.clone())?;
        if let Stepped::Applied { task, .. } = &first {
            for waiting in self.waits_for_others(task, &event) {
                // Their own timers make up for it.
                if !self.hit("end of a blocker not told", 250) {
                    self.tell_blockers(waiting)?;
                }
            }
        }
        let mut waiting: VecDeque<TaskId> = VecDeque::new();
        if let Stepped::Applied { freed, .. } = &first {
            waiting.extend(freed);
        }
        while let Some(next) = waiting.pop_front() {
            // Their own timers make up for it.
            if self.hit("freed lease not told", 250) {
                continue;
            }
            if let Stepped::Applied { freed, .. } = self.step_one(next, Cause::Engine, Event::LeaseFreed)? {
                waiting.extend(freed);
            }
        }
        Ok(first)
    }

    pub(crate) fn step_one(&mut self, id: TaskId, cause: Cause, event: Event) -> Live<Stepped> {
        let Some(before) = self.tasks.get(&id).cloned() else {
            return Err(Violation::new("the_simulation_can_run", format!("no task {id}")));
        };
        let policy = self.site(&before.project)?.setup.policy.clone();
        let lease_before = self.lease(before.repository())?;
        let queued_before = self.db(async |s| s.open_jobs(Some(id)).await)?;
        let request = StepRequest {
            task: id,
            cause: cause.clone(),
            event: event.clone(),
            policy: policy.clone(),
            now: self.now,
            worker: self.worker(),
            lease_ttl_ms: TTL_MS,
        };
        let stepped = self.db(async |s| s.step(request).await)?;
        match &cause {
            Cause::Job(fence) => {
                let valid = self.ledger.holds(*fence);
                inv::invariant_fences_hold("settle", *fence, valid, !matches!(stepped, Stepped::Fenced))?;
                if valid {
                    inv::invariant_what_ended_runs_no_more(self, fence.job)?;
                    self.ledger.release(fence.job);
                    self.ledger.ended.insert(fence.job);
                }
            }
            Cause::Inbox(row) => {
                let fresh = self.ledger.stepped.insert(*row);
                inv::invariant_inbox_is_stepped_once(*row, fresh, &stepped)?;
            }
            Cause::Engine => {}
        }
        let lease = self.lease(before.repository())?;
        let (after, story) = match &stepped {
            Stepped::Fenced => {
                self.say(|| format!("{}: {} FENCED", before.work_item, words::event(&event)));
                inv::invariant_what_is_not_applied_changes_nothing(self, &before, &lease_before, &lease)?;
                return Ok(stepped);
            }
            Stepped::Ignored { why } => {
                self.say(|| format!("{}: {} ignored: {why}", before.work_item, words::event(&event)));
                inv::invariant_what_is_not_applied_changes_nothing(self, &before, &lease_before, &lease)?;
                return Ok(stepped);
            }
            Stepped::Applied { task, story, stop, .. } => {
                if let Some(stop) = stop {
                    for flight in self.flights.iter_mut().filter(|f| f.job.id == *stop) {
                        flight.stop = true;
                    }
                }
                (task.clone(), story.join("; "))
            }
        };
        self.say(|| {
            let (event, at) = (words::event(&event), words::place(&after));
            format!("{}: {event} -> {at} [{story}]", before.work_item)
        });
        self.tasks.insert(id, after.clone());
        self.seen.task(&after);
        self.seen.event(&before, &event);
        let open = self.db(async |s| s.open_jobs(Some(id)).await)?;
        let change = inv::Change {
            before: &before,
            after: &after,
            event: &event,
            policy: &policy,
            lease_before: &lease_before,
            lease: &lease,
            queued_before: &queued_before,
            open: &open,
        };
        self.ledger.note(&change);
        if let Event::JobEnded { job, outcome: Outcome::Published { head, .. } } = &event
            && before.job() == Some(*job)
            && self.sites.get(&after.project).is_some_and(|s| s.honest.contains(head))
        {
            self.ledger.conflicts.remove(&id);
        }
        for job in open.iter().filter(|j| before.next_seq <= j.id.seq) {
            self.seen.effect(&job.effect);
        }
        // A queued job that was stopped has ended without ever being claimed.
        for job in queued_before.iter().filter(|j| !open.iter().any(|o| o.id == j.id)) {
            inv::invariant_what_ended_runs_no_more(self, job.id)?;
            self.ledger.release(job.id);
            self.ledger.ended.insert(job.id);
        }
        inv::after_step(self, &change)?;
        Ok(stepped)
    }

    /// Asks the store to write evidence and checks that it does so for valid claims only.
    pub(crate) fn evidence(
        &mut self,
        what: &'static str,
        fence: Fence,
        verb: impl AsyncFnOnce(&dyn Store) -> Result<bool, StoreError>,
    ) -> Live<bool> {
        let kept = self.db(verb)?;
        inv::invariant_fences_hold(what, fence, self.ledger.holds(fence), kept)?;
        Ok(kept)
    }
}

/// Which pipeline a task of this life gets.
pub(crate) fn pipeline(profile: Profile, choices: &mut Choices) -> orch_core::pipeline::Pipeline {
    use orch_core::ids::GateId;
    use orch_core::pipeline::{OnInconclusive, Pipeline, Step};
    match profile {
        Profile::Full => Pipeline::full(),
        Profile::Lite => Pipeline::lite(),
        Profile::People => {
            let agents = if choices.chance("full", 500) { Pipeline::full() } else { Pipeline::lite() };
            if choices.chance("agents", 300) { agents } else { agents.without_agents() }
        }
        Profile::Mixed => match choices.below("pipeline", 5) {
            0 | 1 => Pipeline::full(),
            2 | 3 => Pipeline::lite(),
            _ => {
                // A project's own: not knowing is a warning for security, and a no for the tests.
                let mut own = Pipeline::lite();
                own.name = "own".into();
                for step in own.stages.iter_mut().flat_map(|s| &mut s.steps) {
                    match step {
                        Step::Gate { gate: GateId::SecurityGate, on_inconclusive, .. } => {
                            *on_inconclusive = OnInconclusive::PassWithWarning;
                        }
                        Step::Gate { gate: GateId::TestsLocal, on_inconclusive, .. } => {
                            *on_inconclusive = OnInconclusive::Fail;
                        }
                        _ => {}
                    }
                }
                own
            }
        },
    }
}
