//! How tasks live in a benchmark: real tasks on the built-in pipelines, real verbs of the store, and outcomes as if every
//! agent, gate and forge had answered at once. What is measured is what the store does for a job, nothing else.

use anyhow::{Result, bail};
use orch_core::effect::{Effect, Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{Actor, Digest, Sha, TaskId, Time};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_core::task::NewTask;
use orch_store::contract::world::well;
use orch_store::{Cause, ClaimRequest, Job, Share, StepRequest, Stepped, Store};
use std::fmt::Write as _;
use std::time::SystemTime;

/// A ticket of ordinary length.
const BODY: &str = "The status page shows when the service was started but not which version is running.\n\n\
    Acceptance criteria:\n- The page shows the version beside the name.\n- The version is the one in VERSION, not a copy.\n\
    - A missing VERSION file shows `unknown` and does not break the page.\n\nNotes: the page is rendered by page.sh; \
    there is a test for it. Please do not add a dependency for this. The support team reads the page on small screens, \
    so the version must not push the name out of sight.\n";

pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis() as i64)
}

pub(super) fn anna() -> Actor {
    Actor::new("local:anna")
}

/// Nobody is waited for, and every job belongs to the way of the task.
pub(super) fn policy() -> Policy {
    Policy { starters: vec![anna()], approvers: vec![anna()], own_ci: false, ..Policy::default() }
}

pub(super) fn claim(lane: Lane, worker: &str) -> ClaimRequest {
    ClaimRequest {
        lane,
        worker: worker.to_owned(),
        now: now(),
        lease_ms: 30_000,
        share: Share::default(),
        except: Vec::new(),
        terms: std::collections::BTreeMap::new(),
    }
}

pub(super) fn step(task: TaskId, cause: Cause, event: Event) -> StepRequest {
    StepRequest { task, cause, event, policy: policy(), now: now(), worker: "bench".into(), lease_ttl_ms: 300_000 }
}

/// Ends a claimed job well.
pub(super) fn settle(job: &Job) -> StepRequest {
    step(job.id.task, Cause::Job(job.fence()), Event::JobEnded { job: job.id.seq, outcome: outcome(job) })
}

/// A started task: which one, and the lane its first job is in.
pub(super) async fn begin(store: &dyn Store, project: &str, number: u64, pipeline: Pipeline) -> Result<(TaskId, Lane)> {
    let title = "Show the version on the status page".to_owned();
    let new = NewTask {
        project: project.into(),
        number,
        title,
        body: BODY.to_owned(),
        pipeline,
        landing: LandingPlan::default(),
        repository: None,
        source: None,
    };
    let (task, _) = store.create_task(new, now()).await?;
    let stepped = store.step(step(task.id, Cause::Engine, Event::Started { by: anna() })).await?;
    match next_lane(&stepped) {
        Some(lane) => Ok((task.id, lane)),
        None => bail!("a task that was started has no job: {stepped:?}"),
    }
}

/// The lane of the job a step made, messages aside.
pub(super) fn next_lane(stepped: &Stepped) -> Option<Lane> {
    match stepped {
        Stepped::Applied { lanes, .. } => lanes.iter().copied().find(|l| *l != Lane::Message),
        Stepped::Ignored { .. } | Stepped::Fenced => None,
    }
}

fn hex(seed: u64, digits: usize) -> String {
    let mixed = |n: u64| (seed ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.rotate_left(17);
    let mut text = String::new();
    for n in 1..=4 {
        let _ = write!(text, "{:016x}", mixed(n));
    }
    text.truncate(digits);
    text
}

/// The answer of a world in which everything goes well, with identifiers as long as real ones.
fn outcome(job: &Job) -> Outcome {
    let seed = (job.id.task.0.unsigned_abs() << 8) + u64::from(job.id.seq);
    let sha = || Sha::new(hex(seed, 40));
    let base = Sha::new(hex(job.id.task.0.unsigned_abs(), 40));
    match &job.effect {
        Effect::OpenBranch => Outcome::Opened { head: sha(), base },
        Effect::Publish { .. } => Outcome::Published {
            head: sha(),
            empty: false,
            discarded: Vec::new(),
            unresolved: Vec::new(),
            refused: Vec::new(),
        },
        Effect::Update { head, .. } => Outcome::Updated {
            head: head.clone(),
            base,
            tree: Digest::new(hex(seed, 40)),
            repatched: false,
            voids: false,
        },
        _ => well(job),
    }
}
