//! A small world around a store: a clock that is moved by hand, a worker, and an outside that says yes to everything
//! unless a story says otherwise. Task changes go through `decide`, as in the product.

use crate::{Beat, Cause, Charge, ClaimRequest, Fence, Job, Requeue, Share, StepRequest, Stepped, Store};
use futures::executor::block_on;
use orch_core::budget::Terms;
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, TaskId, Time};
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::{DoneOutcome, NewTask, Task};
use orch_core::verdict::{FaultKind, FaultNote, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub const LEASE_MS: i64 = 10_000;
pub const TTL_MS: i64 = 300_000;

pub struct World {
    pub store: Arc<dyn Store>,
    pub policy: Policy,
    pub now: Time,
    /// Moves the clock of the store.
    pub clock: Arc<AtomicI64>,
    pub worker: String,
    pub share: Share,
    pub except: Vec<orch_core::ids::ProjectKey>,
    pub terms: BTreeMap<ProjectKey, Terms>,
    keys: u64,
}

pub fn anna() -> Actor {
    Actor::new("local:anna")
}
pub fn fault(kind: FaultKind) -> FaultNote {
    FaultNote::new(kind, "the forge said 500")
}

impl World {
    /// A world around a store that is measured by this clock.
    pub fn new(store: Arc<dyn Store>, clock: Arc<AtomicI64>) -> Self {
        let policy = Policy { approvers: vec![anna()], own_ci: false, ..Policy::default() };
        Self {
            store,
            policy,
            now: Time(1_000_000),
            clock,
            worker: "w1".into(),
            share: Share::default(),
            except: Vec::new(),
            terms: BTreeMap::new(),
            keys: 0,
        }
    }

    pub fn pass_ms(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// A task of a small pipeline, started.
    pub fn started(&mut self, project: &str, number: u64) -> TaskId {
        let id = self.create(project, number, Pipeline::lite());
        self.tell(id, Event::Started { by: anna() });
        id
    }

    /// The same in the repository of another project.
    pub fn started_in(&mut self, repository: &str, project: &str, number: u64) -> TaskId {
        let id = self.create_in(Some(repository), project, number, Pipeline::lite());
        self.tell(id, Event::Started { by: anna() });
        id
    }

    pub fn create(&mut self, project: &str, number: u64, pipeline: Pipeline) -> TaskId {
        self.create_in(None, project, number, pipeline)
    }

    fn create_in(&mut self, repository: Option<&str>, project: &str, number: u64, pipeline: Pipeline) -> TaskId {
        let (title, body) = (format!("ticket {number}"), "please".to_owned());
        let new = NewTask {
            project: project.into(),
            number,
            title,
            body,
            pipeline,
            landing: orch_core::landing::LandingPlan::default(),
            repository: repository.map(ProjectKey::from),
            source: None,
        };
        block_on(self.store.create_task(new, self.now)).unwrap().0.id
    }

    pub fn task(&self, id: TaskId) -> Task {
        block_on(self.store.task(id)).unwrap().unwrap()
    }
    pub fn word(&self, id: TaskId) -> &'static str {
        self.task(id).phase_word()
    }

    /// An event from outside, by way of the inbox.
    pub fn tell(&mut self, id: TaskId, event: Event) -> Stepped {
        self.keys += 1;
        let key = format!("k{}", self.keys);
        let row = block_on(self.store.put_inbox("test", &key, id, event.clone(), self.now)).unwrap().unwrap();
        self.step(id, Cause::Inbox(row), event)
    }

    pub fn step(&self, task: TaskId, cause: Cause, event: Event) -> Stepped {
        self.try_step(task, cause, event).unwrap()
    }

    pub fn try_step(&self, task: TaskId, cause: Cause, event: Event) -> Result<Stepped, crate::StoreError> {
        let (policy, now, worker) = (self.policy.clone(), self.now, self.worker.clone());
        block_on(self.store.step(StepRequest { task, cause, event, policy, now, worker, lease_ttl_ms: TTL_MS }))
    }

    pub fn claim(&self, lane: Lane) -> Option<Job> {
        block_on(self.store.claim(self.request(lane))).unwrap()
    }

    pub fn request(&self, lane: Lane) -> ClaimRequest {
        let (worker, now, share) = (self.worker.clone(), self.now, self.share);
        let (except, terms) = (self.except.clone(), self.terms.clone());
        ClaimRequest { lane, worker, now, lease_ms: LEASE_MS, share, except, terms }
    }

    pub fn end(&self, job: &Job, outcome: Outcome) -> Stepped {
        self.step(job.id.task, Cause::Job(job.fence()), Event::JobEnded { job: job.id.seq, outcome })
    }

    pub fn end_well(&self, job: &Job) -> Stepped {
        self.end(job, well(job))
    }
    pub fn beat(&self, fence: Fence) -> Beat {
        block_on(self.store.heartbeat(fence, LEASE_MS, TTL_MS)).unwrap()
    }
    pub fn put_back(&self, job: &Job, requeue: Requeue) -> bool {
        block_on(self.store.requeue(job.fence(), requeue)).unwrap()
    }
    pub fn open_jobs(&self) -> Vec<Job> {
        block_on(self.store.open_jobs(None)).unwrap()
    }

    /// The open job the task waits for.
    pub fn job_of(&self, id: TaskId) -> Job {
        let seq = self.task(id).job().expect("the task waits for a job");
        self.open_jobs().into_iter().find(|j| j.id.task == id && j.id.seq == seq).expect("that job is open")
    }

    /// Claims the job the task waits for; others that come first are put back as they were.
    pub fn claim_of(&mut self, id: TaskId) -> Job {
        let wanted = self.job_of(id);
        let mut others = Vec::new();
        let job = loop {
            let job = self.claim(wanted.lane).expect("the job can be claimed");
            if job.id == wanted.id {
                break job;
            }
            others.push(job);
        };
        for other in others {
            let (not_before, fault) = (other.available_at, fault(FaultKind::Transient));
            assert!(self.put_back(
                &other,
                Requeue { charge: Charge::Transient, new_run: false, not_before, fault, parked: None }
            ));
        }
        job
    }

    /// Does jobs of this task well until its phase has this name.
    pub fn go_to(&mut self, id: TaskId, word: &str) {
        for _ in 0..200 {
            if self.word(id) == word {
                return;
            }
            let job = self.claim_of(id);
            self.end_well(&job);
        }
        panic!("the task never gets to {word}: {:?}", self.task(id).phase);
    }

    /// Does everything that can be done.
    pub fn settle(&mut self) {
        while let Some(job) = Lane::ALL.iter().find_map(|lane| self.claim(*lane)) {
            self.end_well(&job);
        }
    }
}

/// What comes of an effect in a world where everything works.
pub fn well(job: &Job) -> Outcome {
    match &job.effect {
        Effect::JudgeBase => Outcome::BaseGreen { text: "green".into(), commit: None },
        Effect::OpenBranch => Outcome::Opened { head: "h0".into(), base: "main0".into() },
        Effect::RunAgent { .. } => {
            Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() }
        }
        Effect::Publish { .. } => {
            let head = format!("h{}-{}", job.id.task.0, job.id.seq).into();
            Outcome::Published { head, empty: false, discarded: Vec::new(), unresolved: Vec::new(), refused: vec![] }
        }
        Effect::EnsurePullRequest => Outcome::PullRequestOpen { number: job.id.task.0 as u64 },
        Effect::Judge { head, .. } => {
            Outcome::Judged { head: head.clone(), verdict: Verdict::Pass, notes: Vec::new(), warning: None }
        }
        Effect::Deploy { .. } => Outcome::Deployed { skipped: None, ended: 0 },
        Effect::Rollback { .. } => Outcome::RolledBack { ok: true, text: "back".into() },
        Effect::Update { head, .. } => Outcome::Updated {
            head: head.clone(),
            base: "main1".into(),
            tree: format!("tree-{head}").into(),
            repatched: false,
            voids: false,
        },
        Effect::Merge { intent, .. } => Outcome::Merged { commit: intent.head.clone(), tree: intent.tree.clone() },
        Effect::Watch { .. } => Outcome::Watched { outcome: DoneOutcome::Healthy },
        Effect::EnsureCi { .. }
        | Effect::SyncTicket
        | Effect::Notify { .. }
        | Effect::CleanUp
        | Effect::Comment { .. }
        | Effect::EditTicket { .. }
        | Effect::NoteFindings { .. } => Outcome::Sent,
    }
}

/// What happened, if something did.
pub fn applied(stepped: Stepped) -> (Vec<Lane>, Option<orch_core::ids::JobId>, Vec<TaskId>) {
    match stepped {
        Stepped::Applied { lanes, stop, freed, .. } => (lanes, stop, freed),
        other => panic!("nothing was applied: {other:?}"),
    }
}
