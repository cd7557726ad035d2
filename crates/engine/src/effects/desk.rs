//! The working directory of an agent's run: a fresh one, or one as the run before left it, if its session goes on.

use super::landing;
use crate::cx::Cx;
use crate::freshness::Fetched;
use orch_core::artefact;
use orch_core::ids::{Role, Sha, StageId};
use orch_ports::Fault;
use orch_ports::agent::{AgentProgram, EndClass, Resume};
use orch_ports::git::PrepareWorktree;
use std::path::{Path, PathBuf};

/// The session that the next run of a role may go on with: that of the attempt before, where the class of its end allows it
/// and nobody else has worked there since; or that of the run whose question was answered.
async fn resume(cx: &Cx, role: &Role, stage: &StageId, program: &dyn AgentProgram) -> Result<Option<Resume>, Fault> {
    let runs = cx.store().runs(cx.task.id).await?;
    let agents = runs.iter().rev().filter(|r| !r.is_command() && r.job >= cx.task.first_job());
    let Some(last) =
        agents.filter(|r| (r.job, r.attempt) < (cx.job.id.seq, cx.job.run_attempt)).max_by_key(|r| (r.job, r.attempt))
    else {
        return Ok(None);
    };
    if last.what.role() != Some(role) || last.stage != *stage || last.program != program.name() {
        return Ok(None);
    }
    // One that was never settled was lost with its supervisor.
    let after = last.class.unwrap_or(if last.ended.is_none() { EndClass::Crash } else { EndClass::Failed });
    let same_job = last.job == cx.job.id.seq;
    let goes_on = after.resumes() && (same_job || after == EndClass::Question);
    if !goes_on {
        return Ok(None);
    }
    let session = last.session.clone().or_else(|| program.live(Path::new(&last.dir))?.session);
    Ok(session.map(|session| Resume { session, after }))
}

/// Where an agent works, and on what.
pub(super) struct Desk {
    pub(super) fetched: Fetched,
    pub(super) base: Sha,
    pub(super) commit: Sha,
    /// The commit it sees: `commit`, with the papers of the task.
    pub(super) sees: Sha,
    pub(super) worktree: PathBuf,
    /// The session it goes on with, on the files as they were left.
    pub(super) resume: Option<Resume>,
}

/// A working directory: a fresh one, or one as the run before left it, if its session goes on. `after_setup`: with what the
/// setup left in the one that is there.
pub(super) async fn desk(cx: &Cx, role: &Role, stage: &StageId, after_setup: bool) -> Result<Desk, Fault> {
    let resume = resume(cx, role, stage, &**cx.project.program(role)).await?;
    // After a question everything it left has been taken.
    let as_left = resume.as_ref().is_some_and(|r| r.after != EndClass::Question);
    let fetched = cx.fetch().await?;
    let base = match (&cx.task.landing.conflict, &cx.task.branch.base) {
        (Some(conflict), _) => conflict.onto.clone(),
        (None, Some(base)) => base.clone(),
        (None, None) => fetched.tip.clone(),
    };
    let commit = cx.task.branch.head.clone().unwrap_or_else(|| base.clone());
    let desk = landing::desk(cx, &commit).await?;
    let artefact_dir = cx.task.artefact_dir();
    let remove: Vec<String> = artefact::own_verdicts(stage).map(|k| format!("{artefact_dir}/{}", k.name)).collect();
    cx.still_ours().await?;
    let prepare = PrepareWorktree {
        project: &cx.project.key,
        work_item: &cx.task.work_item,
        branch: &cx.task.branch.name,
        commit: &desk,
        base: &base,
        with_conflicts: cx.task.landing.conflict.is_some(),
        remove: &remove,
        attic: &cx.run_name(""),
        after_setup,
        as_left,
    };
    let worktree = cx.engine.ports.git.prepare_worktree(&prepare).await?;
    // A session on other files believes that its work is there.
    let resume = resume.filter(|_| !as_left || worktree.as_left);
    Ok(Desk { fetched, base, commit, sees: desk, worktree: worktree.dir, resume })
}
