//! What gates work with: commands of the project, papers of the run, and what is known of tests. Where the task is in the
//! pipeline it comes from the store; by hand, from whoever runs the gate.

use crate::effects::{Cx, hex, judge_base};
use crate::flaky;
use crate::layers;
use crate::prepare::{Phase, Runs};
use crate::quarantine::{self, Quarantine};
use crate::review::{self, LastReview};
use crate::shell::{self, Command};
use orch_core::effect::Effect;
use orch_core::ids::{Environment, Seq, Sha, Time};
use orch_ports::Fault;
use orch_ports::supervisor::{ExitRecord, RunState};
use orch_store::{ArtefactRow, Job};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// How far back among the deploys of a project to staging those of a task are looked for.
const STAGED: u32 = 100;

/// A command of the project that a gate has run: its tests, or what tells of its image.
#[derive(Clone, Debug)]
pub struct ProjectCommand<'a> {
    /// Name of its run: `tests`, `tests-2`.
    pub name: String,
    /// For people: `tests on 1a2b3c`.
    pub what: String,
    /// Shell line.
    pub line: &'a str,
    /// Commit to check out.
    pub commit: &'a Sha,
    /// Environment beyond the cleared basis and the project's.
    pub env: BTreeMap<String, String>,
    /// Run the project's setup before it.
    pub setup: bool,
}

/// How a command ended.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CommandRun {
    /// Exit 0?
    pub ok: bool,
    /// Did it end by itself, with a code of its own?
    #[serde(skip)]
    pub exited: bool,
    /// For people.
    pub end: String,
    /// Last lines.
    pub tail: String,
    /// Where its whole output is.
    pub log: String,
    /// The project's setup, if it is what failed: the command did not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_setup: Option<String>,
    /// How long it took, milliseconds.
    #[serde(skip)]
    pub took_ms: u64,
    /// What the machine lacked at its end, by orch's own look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacked: Option<String>,
    /// What it printed.
    #[serde(skip)]
    pub output: String,
}

/// What differs between a gate in the pipeline and one run by hand.
#[async_trait::async_trait]
pub trait Bench: Send + Sync {
    /// An artefact of the run that is judged.
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Names of the artefacts there are.
    async fn papers(&self) -> Result<Vec<String>, Fault>;
    /// Keeps a document the gate itself writes, and reads it back.
    async fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault>;
    /// Runs a command of the project in a clean checkout.
    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault>;
    /// Tests that are known to fail by chance, by name. By hand nobody knows.
    async fn flaky(&self) -> Result<BTreeSet<String>, Fault> {
        Ok(BTreeSet::new())
    }
    /// Remembers tests that were red and green on one tree; `on_main`: those of them that were so on the default branch.
    async fn note_flaky(&self, _tests: &BTreeSet<String>, _on_main: &BTreeSet<String>) -> Result<(), Fault> {
        Ok(())
    }
    /// Tests that a person has put into quarantine. By hand without a configuration there are none.
    async fn quarantine(&self) -> Result<Quarantine, Fault> {
        Ok(Quarantine::new())
    }
    /// Remembers that a command was green on a commit: what has its tree need not be judged again.
    async fn was_green(&self, _commit: &Sha, _line: &str) -> Result<(), Fault> {
        Ok(())
    }
    /// The revisions of this task that came up on staging, newest first. By hand nobody knows.
    async fn staged(&self) -> Result<Option<Vec<Sha>>, Fault> {
        Ok(None)
    }
    /// When orch was last asked to run CI on this commit and has not answered yet, or last began a run of it for that. By
    /// hand nobody is asked.
    async fn ci_asked_at(&self, _commit: &Sha) -> Result<Option<Time>, Fault> {
        Ok(None)
    }
    /// The review before the run that is judged; by hand there is none, and every review is a first one.
    async fn last_review(&self) -> Result<Option<LastReview>, Fault> {
        Ok(None)
    }
}

/// How long a run took, milliseconds.
pub fn took_ms(exit: &ExitRecord) -> u64 {
    u64::try_from(exit.ended.since_ms(exit.started)).unwrap_or(0)
}

/// Papers and tests of a task in the pipeline.
pub(crate) struct TaskBench<'a> {
    cx: &'a Cx,
    run: Option<Seq>,
    /// Longest run of a command, milliseconds, where the gate has a limit of its own.
    limit: Option<u64>,
    /// Name of the last run that was begun.
    last: Mutex<String>,
    /// Tests in quarantine, read once: a verdict and the name under which it is remembered speak of the same.
    quarantine: tokio::sync::OnceCell<Quarantine>,
}

impl<'a> TaskBench<'a> {
    pub(crate) fn new(cx: &'a Cx, run: Option<Seq>, limit: Option<u64>) -> Self {
        Self { cx, run, limit, last: Mutex::default(), quarantine: tokio::sync::OnceCell::new() }
    }
    /// Name of the run that is, or was last, under way.
    pub(crate) fn under_way(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Bench for TaskBench<'_> {
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(run) = self.run else { return Ok(None) };
        Ok(self.cx.store().artefact(self.cx.task.id, run, name).await?.map(|row| row.bytes))
    }

    async fn papers(&self) -> Result<Vec<String>, Fault> {
        let rows = self.cx.store().artefacts(self.cx.task.id).await?;
        Ok(rows.into_iter().filter(|r| Some(r.run) == self.run).map(|r| r.name).collect())
    }

    async fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let (cx, run) = (self.cx, self.cx.job.id.seq);
        let row = ArtefactRow {
            task: cx.task.id,
            stage: cx.task.stage().clone(),
            run,
            name: name.to_owned(),
            sha256: hex(&Sha256::digest(&bytes)),
            bytes,
            subject: cx.task.branch.head.as_ref().map(ToString::to_string).unwrap_or_default(),
            at: cx.now(),
        };
        Cx::fenced(cx.store().put_artefacts(cx.job.fence(), vec![row]).await?)?;
        let kept = cx.store().artefact(cx.task.id, run, name).await?;
        kept.map(|row| row.bytes).ok_or_else(|| Fault::bug(format!("{name} was kept and is not there")))
    }

    async fn ci_asked_at(&self, commit: &Sha) -> Result<Option<Time>, Fault> {
        let asks = |job: &Job| matches!(&job.effect, Effect::EnsureCi { commit: of } if of == commit);
        let open = self.cx.store().open_jobs(Some(self.cx.task.id)).await?;
        let asked: Vec<Job> = open.into_iter().filter(asks).collect();
        let runs = if asked.is_empty() { Vec::new() } else { self.cx.store().runs(self.cx.task.id).await? };
        let began = runs.iter().filter(|run| asked.iter().any(|job| job.id.seq == run.job)).map(|run| run.started);
        Ok(asked.iter().map(|job| job.created_at).chain(began).max())
    }

    async fn last_review(&self) -> Result<Option<LastReview>, Fault> {
        let Some(run) = self.run else { return Ok(None) };
        review::last(self.cx.store(), &self.cx.task, run).await
    }

    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&command.name);
        // One that has begun has what it needs.
        let begins = matches!(self.cx.engine.ports.supervisor.look(&self.cx.run_dir(&command.name))?, RunState::Absent);
        let layer = if command.setup && begins { layers::of(self.cx).await? } else { None };
        let command = Command {
            name: &command.name,
            what: command.what.clone(),
            line: command.line,
            commit: command.commit,
            timeout_ms: self.limit.unwrap_or(self.cx.project.test_timeout_ms),
            env: command.env.clone(),
            runs: if command.setup { Runs::SetupFirst } else { Runs::Command },
            detach: false,
            layer,
            keep: false,
        };
        let ran = shell::run(self.cx, &command).await?;
        let in_setup = !ran.exit.ok() && ran.phase == Phase::Setup;
        Ok(CommandRun {
            ok: ran.exit.ok(),
            exited: ran.exit.exited(),
            end: ran.exit.describe(),
            tail: ran.tail,
            log: ran.dir.display().to_string(),
            failed_setup: self.cx.project.preparation.setup.clone().filter(|_| in_setup),
            took_ms: took_ms(&ran.exit),
            lacked: ran.lacked,
            output: ran.output,
        })
    }

    async fn flaky(&self) -> Result<BTreeSet<String>, Fault> {
        flaky::known(self.cx).await
    }

    async fn note_flaky(&self, tests: &BTreeSet<String>, on_main: &BTreeSet<String>) -> Result<(), Fault> {
        flaky::note(self.cx, tests, on_main).await
    }

    async fn quarantine(&self) -> Result<Quarantine, Fault> {
        let read = || quarantine::of(self.cx.store(), &self.cx.project.key, self.cx.now());
        self.quarantine.get_or_try_init(read).await.cloned()
    }

    async fn was_green(&self, commit: &Sha, line: &str) -> Result<(), Fault> {
        judge_base::was_green(self.cx, commit, line).await
    }

    async fn staged(&self) -> Result<Option<Vec<Sha>>, Fault> {
        let known = self.cx.store().deployments(&self.cx.project.key, Environment::Staging, STAGED).await?;
        let mine = known.into_iter().filter(|d| d.ok && d.task == self.cx.task.id);
        Ok(Some(mine.map(|d| d.revision).collect()))
    }
}
