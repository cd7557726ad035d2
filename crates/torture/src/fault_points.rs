//! Fault points: every outside call and every durable write stands between two named places at which a plan can kill
//! the process, lose the answer, refuse the call or pause the worker. Only in builds of orch with the feature `fault-points`;
//! nothing of this is in a production binary.
//!
//! The wrappers and the registry [`registry`] are made from the same lines, one per method. The traits have no default
//! methods, so a method without its line does not compile, and one that is called without its points cannot be written.

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Faults, Injected, VARIABLE};

use orch_core::conflict::{Conflict, Shown};
use orch_core::effect::Lane;
use orch_core::event::Event;
use orch_core::ids::{Actor, Digest, Environment, GateId, JobId, ProjectKey, Seq, Sha, TaskId, Time, WorkItem};
use orch_core::task::{NewTask, Task};
use orch_engine::{Options, Ports, Project, ReaperOptions};
use orch_ports::attachment::Attachment;
use orch_ports::clock::{BootTime, Clock};
use orch_ports::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, OutOfService, PullRequest, Review, Right};
use orch_ports::git::{
    Author, BroughtIn, Carry, Changed, FileWrite, Git, OneCommit, PrepareWorktree, PushAnswer, Shelf, Snapshot,
    Snapshotted, Updated, Worktree,
};
use orch_ports::notifier::{Notice, Notifier};
use orch_ports::probe::{Probe, ProbeAnswer};
use orch_ports::supervisor::{ExitRecord, RunSpec, RunState, Supervisor};
use orch_ports::tracker::{CallBudget, Comment, Ticket, TicketState, Tracker};
use orch_ports::{Fault, Remote};
use orch_store::{
    ArtefactRow, Beat, Cause, ClaimRequest, DeliveryRow, DeliverySource, Deployment, Fence, InboxRow, Job, JournalRow,
    Judgement, LeaseRow, NewDelivery, OpenSample, QueueCounts, Reaped, Requeue, RunRow, Standing, StepRequest, Stepped,
    Store, StoreError, TaskFilter, UnknownJob,
};
use orch_store::{Deliveries, Evidence, Fact, Journal, Memory, Queue, Tasks};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A port with a fault point on each side of every call.
struct Wrapped<P: ?Sized> {
    inner: Arc<P>,
    faults: Arc<Faults>,
}

impl<P: ?Sized> Wrapped<P> {
    fn new(inner: &Arc<P>, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), faults: Arc::clone(faults) })
    }
}

impl Faults {
    /// The faults that the environment plans.
    ///
    /// # Errors
    /// A plan that cannot be read, or a log that cannot be written.
    pub fn of(env: &BTreeMap<String, String>) -> Result<Arc<Self>, Fault> {
        Self::planned(env, &registry().collect::<Vec<_>>())
    }

    /// All ports of the engine, wrapped.
    pub fn ports(self: &Arc<Self>, ports: Ports) -> Ports {
        Ports {
            store: Wrapped::new(&ports.store, self),
            git: Wrapped::new(&ports.git, self),
            supervisor: Wrapped::new(&ports.supervisor, self),
            probe: Wrapped::new(&ports.probe, self),
            notifier: Wrapped::new(&ports.notifier, self),
            clock: ports.clock,
        }
    }

    /// A project whose forge and tracker are wrapped.
    pub fn project(self: &Arc<Self>, project: Project) -> Project {
        Project { forge: Wrapped::new(&project.forge, self), tracker: Wrapped::new(&project.tracker, self), ..project }
    }

    /// Claims as short-lived as the plan wants them, so that a worker is overtaken within seconds.
    pub fn options(&self, options: Options) -> Options {
        match self.claim_ms() {
            Some(claim_ms) => {
                let reaper = ReaperOptions { interval_ms: 200, ..options.reaper };
                Options { claim_ms, sweep_ms: 200, reaper, ..options }
            }
            None => options,
        }
    }

    /// A clock that the plan can set.
    pub fn clock(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Arc<dyn Clock> {
        Arc::new(Skewed { inner: Arc::clone(clock), faults: Arc::clone(self) })
    }
}

/// A wall clock that can be wrong. The boot clock cannot: nobody can set that one.
struct Skewed {
    inner: Arc<dyn Clock>,
    faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl Clock for Skewed {
    fn now(&self) -> Time {
        self.inner.now().plus_ms(self.faults.clock_ms())
    }
    fn boot(&self) -> BootTime {
        self.inner.boot()
    }
    async fn sleep_ms(&self, ms: u64) {
        self.inner.sleep_ms(ms).await;
    }
}

/// Wraps a trait, method by method; or a part `of` one. `by`: whose claim a call is for, where its arguments say so. `seen`: what the plan
/// learns from an answer.
macro_rules! points {
    ($port:literal, $points:ident, $trait:ident; $($rest:tt)*) => {
        points! { $port, $points, $trait of $trait; $($rest)* }
    };
    (
        $port:literal, $points:ident, $trait:ident of $whole:ident;
        $(async fn $m:ident(&self $(, $a:ident: $t:ty)* $(,)?) -> $ret:ty $(, by $by:expr)? $(, seen $seen:expr)?;)*
        $(sync fn $sm:ident(&self $(, $sa:ident: $st:ty)* $(,)?) -> $sret:ty;)*
        $(no point: $($plain:item)*)?
    ) => {
        const $points: &[&str] = &[
            $(concat!($port, ".", stringify!($m), ":before"), concat!($port, ".", stringify!($m), ":after"),)*
            $(concat!($port, ".", stringify!($sm), ":before"), concat!($port, ".", stringify!($sm), ":after"),)*
        ];

        #[async_trait::async_trait]
        impl $trait for Wrapped<dyn $whole> {
            $(async fn $m(&self $(, $a: $t)*) -> $ret {
                #[allow(unused_mut, unused_assignments)]
                let mut by = None;
                $(by = $by;)?
                self.faults.hit(concat!($port, ".", stringify!($m), ":before"), by).await?;
                let answer = self.inner.$m($($a),*).await;
                $($seen(&self.faults, by, &answer);)?
                self.faults.hit(concat!($port, ".", stringify!($m), ":after"), by).await?;
                answer
            })*
            $(fn $sm(&self $(, $sa: $st)*) -> $sret {
                self.faults.hit_here(concat!($port, ".", stringify!($sm), ":before"))?;
                let answer = self.inner.$sm($($sa),*);
                self.faults.hit_here(concat!($port, ".", stringify!($sm), ":after"))?;
                answer
            })*
            $($($plain)*)?
        }
    };
}

/// Answer of a verb.
type Verb<T> = Result<T, StoreError>;

/// Every fault point.
pub fn registry() -> impl Iterator<Item = &'static str> {
    [
        FORGE,
        TRACKER,
        GIT,
        SUPERVISOR,
        PROBE,
        NOTIFIER,
        STORE_TASKS,
        STORE_QUEUE,
        STORE_JOURNAL,
        STORE_DELIVERIES,
        STORE_EVIDENCE,
        STORE_MEMORY,
    ]
    .into_iter()
    .flatten()
    .copied()
}

points! { "forge", FORGE, Forge;
    async fn look_again(&self, project: &ProjectKey) -> Result<(), Fault>;
    async fn remote(&self, project: &ProjectKey) -> Result<Remote, Fault>;
    async fn default_branch(&self, project: &ProjectKey) -> Result<String, Fault>;
    async fn branch_head(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault>;
    async fn ensure_pull_request(
        &self,
        project: &ProjectKey,
        head_branch: &str,
        base_branch: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault>;
    async fn pull_request(&self, project: &ProjectKey, number: u64) -> Result<PullRequest, Fault>;
    async fn pull_requests(&self, project: &ProjectKey) -> Result<Vec<PullRequest>, Fault>;
    async fn close_pull_request(&self, project: &ProjectKey, number: u64) -> Result<(), Fault>;
    async fn statuses(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, Fault>;
    async fn set_status(&self, project: &ProjectKey, commit: &Sha, status: &CommitStatus) -> Result<(), Fault>;
    async fn reviews(&self, project: &ProjectKey, number: u64) -> Result<Vec<Review>, Fault>;
    async fn submit_review(&self, project: &ProjectKey, number: u64, review: &Review) -> Result<(), Fault>;
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault>;
    async fn merge(
        &self,
        project: &ProjectKey,
        number: u64,
        expect_head: &Sha,
        right: Right<'_>,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault>;
    no point:
    fn out_of_service(&self, project: &ProjectKey) -> Option<OutOfService> {
        self.inner.out_of_service(project)
    }
}

points! { "tracker", TRACKER, Tracker;
    async fn create(&self, project: &ProjectKey, title: &str, body: &str, by: &Actor, key: &str, above: u64)
        -> Result<Ticket, Fault>;
    async fn ticket(&self, project: &ProjectKey, number: u64) -> Result<Ticket, Fault>;
    async fn edit(&self, project: &ProjectKey, number: u64, title: &str, body: &str, by: &Actor) -> Result<(), Fault>;
    async fn changed_since(&self, project: &ProjectKey, since: Time) -> Result<Vec<Ticket>, Fault>;
    async fn set_state(&self, project: &ProjectKey, number: u64, state: TicketState, by: &Actor) -> Result<(), Fault>;
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault>;
    async fn attach(&self, project: &ProjectKey, number: u64, name: &str, content: &[u8], by: &Actor)
        -> Result<Attachment, Fault>;
    async fn attachments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault>;
    async fn attachment(&self, project: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault>;
    async fn comments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Comment>, Fault>;
    no point:
    fn calls_left(&self, project: &ProjectKey) -> Option<CallBudget> {
        self.inner.calls_left(project)
    }
    fn delivered_as(&self, project: &ProjectKey) -> Vec<String> {
        self.inner.delivered_as(project)
    }
}

points! { "git", GIT, Git;
    async fn fetch(&self, project: &ProjectKey, remote: &Remote) -> Result<(), Fault>;
    async fn forge_branch(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault>;
    async fn resolve(&self, project: &ProjectKey, rev: &str) -> Result<Option<Sha>, Fault>;
    async fn tree(&self, project: &ProjectKey, commit: &Sha) -> Result<Digest, Fault>;
    async fn code_digest(&self, project: &ProjectKey, commit: &Sha, artefact_dir: &str) -> Result<Digest, Fault>;
    async fn is_emptied(&self, project: &ProjectKey, base: &Sha, head: &Sha, artefact_dir: &str)
        -> Result<bool, Fault>;
    async fn patch_id(&self, project: &ProjectKey, base: &Sha, head: &Sha, artefact_dir: &str)
        -> Result<Digest, Fault>;
    async fn is_ancestor(&self, project: &ProjectKey, old: &Sha, new: &Sha) -> Result<bool, Fault>;
    async fn merge_bases(&self, project: &ProjectKey, one: &Sha, other: &Sha) -> Result<Vec<Sha>, Fault>;
    async fn written(&self, project: &ProjectKey, to: &Sha, without: &[Sha], limit: usize)
        -> Result<Vec<orch_ports::git::Written>, Fault>;
    async fn diff(&self, project: &ProjectKey, from: &Sha, to: &Sha, limits: orch_ports::diff::DiffLimits)
        -> Result<orch_ports::diff::Diff, Fault>;
    async fn commits(&self, project: &ProjectKey, to: &Sha, without: &[Sha], limit: usize)
        -> Result<Vec<orch_ports::git::CommitLine>, Fault>;
    async fn read_file(&self, project: &ProjectKey, commit: &Sha, path: &str) -> Result<Option<Vec<u8>>, Fault>;
    async fn list_files(&self, project: &ProjectKey, commit: &Sha, dir: &str) -> Result<Vec<String>, Fault>;
    async fn changed_files(&self, project: &ProjectKey, from: &Sha, to: &Sha) -> Result<Vec<Changed>, Fault>;
    async fn changed_lines(&self, project: &ProjectKey, from: &Sha, to: &Sha)
        -> Result<Vec<orch_ports::git::ChangedLines>, Fault>;
    async fn entries(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<orch_ports::git::Entry>, Fault>;
    async fn brought_in(&self, project: &ProjectKey, base: &Sha, head: &Sha) -> Result<BroughtIn, Fault>;
    async fn read_objects(&self, project: &ProjectKey, ids: &[String]) -> Result<Vec<Vec<u8>>, Fault>;
    async fn prepare_worktree(&self, prepare: &PrepareWorktree<'_>) -> Result<Worktree, Fault>;
    async fn snapshot(&self, snapshot: &Snapshot<'_>) -> Result<Snapshotted, Fault>;
    async fn commit_files(
        &self,
        project: &ProjectKey,
        parent: &Sha,
        files: &[FileWrite],
        message: &str,
        at: Time,
    ) -> Result<Sha, Fault>;
    async fn squash(
        &self,
        project: &ProjectKey,
        head: &Sha,
        onto: &Sha,
        message: &str,
        author: &Author,
        at: Time,
    ) -> Result<Sha, Fault>;
    async fn update(&self, project: &ProjectKey, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault>;
    async fn one_commit(&self, one: &OneCommit<'_>) -> Result<Updated, Fault>;
    async fn carry(&self, carry: &Carry<'_>) -> Result<Sha, Fault>;
    async fn delete_branch(
        &self, project: &ProjectKey, remote: &Remote, branch: &str, protected: &str, expect: &Sha
    ) -> Result<PushAnswer, Fault>;
    async fn keep_history(&self, project: &ProjectKey, name: &str, commit: &Sha) -> Result<(), Fault>;
    async fn kept(&self, project: &ProjectKey, shelf: Shelf) -> Result<Vec<(String, Sha)>, Fault>;
    async fn let_go(&self, project: &ProjectKey, shelf: Shelf, name: &str) -> Result<(), Fault>;
    async fn push_history(&self, project: &ProjectKey, remote: &Remote, name: &str, commit: &Sha) -> Result<(), Fault>;
    async fn conflicts(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault>;
    async fn conflict(&self, project: &ProjectKey, head: &Sha, onto: &Sha) -> Result<Option<Conflict>, Fault>;
    async fn conflict_shown(&self, project: &ProjectKey, commit: &Sha, record: &Conflict, over: &Sha, artefact_dir: &str) -> Result<Shown, Fault>;
    async fn push(
        &self,
        project: &ProjectKey,
        remote: &Remote,
        branch: &str,
        protected: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<PushAnswer, Fault>;
    async fn checkout(&self, project: &ProjectKey, commit: &Sha, dir: &Path) -> Result<(), Fault>;
    async fn worktrees(&self) -> Result<Vec<(ProjectKey, WorkItem)>, Fault>;
    async fn remove_worktree(&self, project: &ProjectKey, work_item: &WorkItem) -> Result<(), Fault>;
    no point:
    fn worktree_path(&self, project: &ProjectKey, work_item: &WorkItem) -> PathBuf {
        self.inner.worktree_path(project, work_item)
    }
    fn repository(&self, project: &ProjectKey) -> PathBuf {
        self.inner.repository(project)
    }
}

points! { "supervisor", SUPERVISOR, Supervisor;
    async fn ensure(&self, dir: &Path, spec: &RunSpec) -> Result<ExitRecord, Fault>;
    sync fn look(&self, dir: &Path) -> Result<RunState, Fault>;
    sync fn cancel(&self, dir: &Path) -> Result<(), Fault>;
    sync fn freeze(&self, dir: &Path) -> Result<(), Fault>;
    sync fn thaw(&self, dir: &Path) -> Result<(), Fault>;
    sync fn is_frozen(&self, dir: &Path) -> Result<bool, Fault>;
}

points! { "probe", PROBE, Probe;
    async fn get(&self, url: &str, timeout_ms: u64) -> Result<ProbeAnswer, Fault>;
}

points! { "notifier", NOTIFIER, Notifier;
    async fn tell(&self, notice: &Notice) -> Result<(), Fault>;
}

points! { "store", STORE_TASKS, Tasks of Store;
    async fn create_task(&self, new: NewTask, now: Time) -> Verb<(Task, bool)>;
    async fn step(&self, request: StepRequest) -> Verb<Stepped>, by fence_of(&request.cause), seen Faults::stepped;
    async fn task(&self, id: TaskId) -> Verb<Option<Task>>;
    async fn task_by_item(&self, item: &WorkItem) -> Verb<Option<Task>>;
    async fn tasks(&self, filter: TaskFilter) -> Verb<Vec<Task>>;
    async fn overviews(&self, filter: TaskFilter) -> Verb<Vec<(Task, Standing)>>;
    async fn standing(&self, task: TaskId, job: Option<Seq>) -> Verb<Standing>;
    async fn open_projects(&self) -> Verb<Vec<ProjectKey>>;
    async fn highest_number(&self, project: &ProjectKey) -> Verb<u64>;
    async fn closed_between(&self, after: (Time, TaskId), until: Time, limit: u32) -> Verb<Vec<(TaskId, Time)>>;
    async fn due(&self, now: Time) -> Verb<Vec<TaskId>>;
    async fn next_wake(&self) -> Verb<Option<Time>>;
    async fn open_by_stage(&self) -> Verb<Vec<(String, u64)>>;
}

points! { "store", STORE_QUEUE, Queue of Store;
    async fn claim(&self, request: ClaimRequest) -> Verb<Option<Job>>, seen Faults::claimed;
    async fn claim_one(&self, id: JobId, request: ClaimRequest) -> Verb<Option<Job>>, seen Faults::claimed;
    async fn heartbeat(&self, fence: Fence, lease_ms: i64, lease_ttl_ms: i64) -> Verb<Beat>,
        by Some(fence);
    async fn requeue(&self, fence: Fence, requeue: Requeue) -> Verb<bool>, by Some(fence);
    async fn reap(&self) -> Verb<Vec<Reaped>>, seen Faults::reaped;
    async fn take_back(&self, fence: Fence) -> Verb<Option<Reaped>>;
    async fn release(&self, worker: &str) -> Verb<u64>;
    async fn unpark(&self, service: &str, now: Time) -> Verb<Vec<Lane>>;
    async fn hurry(&self, beyond: Time, now: Time) -> Verb<u64>;
    async fn recover(&self, worker: &str, lease_ttl_ms: i64) -> Verb<Vec<Reaped>>;
    async fn renew_leases(&self, worker: &str, lease_ttl_ms: i64) -> Verb<()>;
    async fn reclaim_leases(&self) -> Verb<Vec<(ProjectKey, Option<WorkItem>, Vec<TaskId>)>>;
    async fn leases(&self) -> Verb<Vec<LeaseRow>>;
    async fn holds_lease(&self, task: TaskId, epoch: u64) -> Verb<Option<orch_core::lease::Held>>;
    async fn job(&self, id: JobId) -> Verb<Option<Job>>;
    async fn open_jobs(&self, task: Option<TaskId>) -> Verb<Vec<Job>>;
    async fn open_sample(&self, limit: u32) -> Verb<OpenSample>;
    async fn running_jobs(&self) -> Verb<Vec<Job>>;
    async fn unknown_jobs(&self) -> Verb<Vec<UnknownJob>>;
    async fn recent_jobs(&self, limit: u32) -> Verb<Vec<Job>>;
    async fn counts(&self, now: Time) -> Verb<QueueCounts>;
}

points! { "store", STORE_JOURNAL, Journal of Store;
    async fn put_inbox(&self, source: &str, key: &str, task: TaskId, event: Event, at: Time) -> Verb<Option<i64>>;
    async fn dealt(&self, source: &str, key: &str) -> Verb<Option<orch_store::Dealt>>;
    async fn pending_inbox(&self, limit: u32) -> Verb<Vec<InboxRow>>;
    async fn journal(&self, task: Option<TaskId>, after: i64, limit: u32) -> Verb<Vec<JournalRow>>;
    async fn journal_head(&self) -> Verb<i64>;
    async fn journal_tail(&self, task: TaskId, limit: u32) -> Verb<Vec<JournalRow>>;
    async fn drop_bodies(&self, after: i64, until: Time, limit: u32) -> Verb<i64>;
    async fn person_ids(&self, names: Vec<String>) -> Verb<Vec<(String, i64)>>;
    async fn named(&self) -> Verb<Vec<orch_core::ids::Actor>>;
    async fn forget_person(&self, forget: orch_store::Forget) -> Verb<orch_store::Forgotten>;
}

points! { "store", STORE_DELIVERIES, Deliveries of Store;
    async fn put_delivery(&self, new: NewDelivery) -> Verb<Option<i64>>;
    async fn open_deliveries(&self, limit: u32) -> Verb<Vec<DeliveryRow>>;
    async fn end_deliveries(&self, ended: Vec<(i64, Option<String>)>, now: Time) -> Verb<()>;
    async fn delivery_sources(&self, sources: Vec<String>) -> Verb<Vec<DeliverySource>>;
    async fn drop_deliveries(&self, bodies: Time, rows: Time, limit: u32) -> Verb<u64>;
}

points! { "store", STORE_EVIDENCE, Evidence of Store;
    async fn put_judgement(&self, fence: Fence, judgement: Judgement) -> Verb<bool>, by Some(fence);
    async fn judgements(&self, task: TaskId) -> Verb<Vec<Judgement>>;
    async fn judgement(&self, task: TaskId, gate: GateId, key: &str) -> Verb<Option<Judgement>>;
    async fn last_judgement(&self, task: TaskId, gate: GateId) -> Verb<Option<Judgement>>;
    async fn put_artefacts(&self, fence: Fence, rows: Vec<ArtefactRow>) -> Verb<bool>, by Some(fence);
    async fn artefact(&self, task: TaskId, run: Seq, name: &str) -> Verb<Option<ArtefactRow>>;
    async fn artefacts(&self, task: TaskId) -> Verb<Vec<ArtefactRow>>;
    async fn put_run(&self, fence: Fence, run: RunRow) -> Verb<bool>, by Some(fence);
    async fn runs(&self, task: TaskId) -> Verb<Vec<RunRow>>;
    async fn used(&self, from: Time, until: Time) -> Verb<Vec<orch_store::Used>>;
    async fn put_deployment(&self, fence: Fence, deployment: Deployment) -> Verb<bool>, by Some(fence);
    async fn deployments(&self, project: &ProjectKey, environment: Environment, limit: u32) -> Verb<Vec<Deployment>>;
    async fn spending(&self, whose: orch_store::Whose, from: Time) -> Verb<orch_core::budget::Sums>;
    async fn drop_evidence(&self, task: TaskId) -> Verb<u64>;
}

points! { "store", STORE_MEMORY, Memory of Store;
    async fn remember(&self, fact: &Fact, value: &str, now: Time) -> Verb<()>;
    async fn recall(&self, fact: &Fact) -> Verb<Option<String>>;
    async fn forget(&self, fact: &Fact) -> Verb<()>;
    async fn forget_ended(&self, now: Time) -> Verb<u64>;
}

fn fence_of(cause: &Cause) -> Option<Fence> {
    match cause {
        Cause::Job(fence) => Some(*fence),
        Cause::Inbox(_) | Cause::Engine => None,
    }
}
