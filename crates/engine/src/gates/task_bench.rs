//! What gates work with where the task is in the pipeline: papers of the run that is judged, commands under supervisors, and
//! what the store knows of tests.

use super::bench::{Bench, CommandRun, ProjectCommand, took_ms};
use crate::base_known;
use crate::cx::Cx;
use crate::flaky;
use crate::layers;
use crate::prepare::{Phase, Runs};
use crate::quarantine::{self, Quarantine};
use crate::review::{self, LastReview};
use crate::shell::{self, Command};
use crate::text::hex;
use orch_core::effect::Effect;
use orch_core::ids::{Environment, Seq, Sha, Time};
use orch_ports::Fault;
use orch_ports::supervisor::RunState;
use orch_store::{ArtefactRow, Job};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// How far back among the deploys of a project to staging those of a task are looked for.
const STAGED: u32 = 100;

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
        base_known::was_green(self.cx, commit, line).await
    }

    async fn staged(&self) -> Result<Option<Vec<Sha>>, Fault> {
        let known = self.cx.store().deployments(&self.cx.project.key, Environment::Staging, STAGED).await?;
        let mine = known.into_iter().filter(|d| d.ok && d.task == self.cx.task.id);
        Ok(Some(mine.map(|d| d.revision).collect()))
    }
}
