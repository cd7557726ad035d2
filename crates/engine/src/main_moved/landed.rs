//! Pull requests of tasks that came in with a main that somebody else moved: which, by whom, and whether what landed is what
//! was tested. It only looks and tells; what it means for a task is decided where everything is.

use super::record::{MainRecord, Merge};
use crate::engine::Engine;
use crate::project::Project;
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, ProjectKey, Sha};
use orch_core::pipeline::Step;
use orch_core::task::{Landed, Task};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_store::TaskFilter;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A task's pull request that is on main.
pub(super) struct Landing {
    pub(super) task: Task,
    pub(super) landed: Landed,
}

impl Landing {
    /// A merge orch asked for, perhaps long ago: the `merge` step reads it back.
    pub(super) fn by_orch(&self) -> bool {
        self.landed.by == Some(Actor::orch())
    }

    pub(super) fn merge(&self) -> Merge {
        Merge { head: self.landed.head.clone(), commit: self.landed.commit.clone() }
    }

    /// Tells its task. `at` tells looks apart that must each be heard.
    pub(super) async fn send(
        &self,
        engine: &Engine,
        repository: &ProjectKey,
        source: &str,
        at: &str,
    ) -> Result<(), Fault> {
        let Landed { commit, tree, head, by, tested } = self.landed.clone();
        let key = format!("landed-{repository}-{}-{commit}{at}", self.task.id.0);
        let event = Event::Landed { commit, tree, head, by, tested };
        crate::commands::send(engine, source, &key, &self.task, event).await?;
        Ok(())
    }
}

/// Every one that is on `tip`, of all projects on the repository: what another project's task brought in by orch is orch's
/// own.
pub(super) async fn landings(
    engine: &Engine,
    project: &Project,
    record: &MainRecord,
    known: bool,
    tip: &Sha,
) -> Result<Vec<Landing>, Fault> {
    let (git, at) = (&engine.ports.git, &project.key);
    let mut tasks = Vec::new();
    for of in engine.sharing(&project.repository) {
        // One that cannot be asked now stops nobody else.
        if of.key != project.key && of.forge.out_of_service(&of.key).is_some() {
            continue;
        }
        let filter = TaskFilter { project: Some(of.key.clone()), ..TaskFilter::default() };
        tasks.extend(engine.ports.store.tasks(filter).await?.into_iter().map(|task| (Arc::clone(&of), task)));
    }
    let mut found = Vec::new();
    for (of, task) in tasks {
        let (Some(number), Some(head), None) =
            (task.branch.pull_request, task.branch.head.clone(), &task.landing.merged)
        else {
            continue;
        };
        let merged = merged(&of, number).await?;
        let (commit, head, by) = match merged {
            Some(merged) => merged,
            // Pushed there as it is; nobody says by whom.
            None if git.resolve(at, &format!("{head}^{{commit}}")).await?.is_some()
                && git.is_ancestor(at, &head, tip).await?
                && !(known && git.is_ancestor(at, &head, &record.tip).await?) =>
            {
                (head.clone(), head, None)
            }
            None => continue,
        };
        let there = git.resolve(at, &format!("{commit}^{{commit}}")).await?.is_some();
        if there && git.is_ancestor(at, &commit, tip).await? {
            found.push(landing(engine, &of, task, commit, head, by).await?);
        }
    }
    Ok(found)
}

/// The task's own pull request, if somebody else than orch has merged it.
pub(super) async fn merged_by_others(
    engine: &Engine,
    project: &Project,
    task: &Task,
) -> Result<Option<Landing>, Fault> {
    let (Some(number), None) = (task.branch.pull_request, &task.landing.merged) else { return Ok(None) };
    let Some((commit, head, by)) = merged(project, number).await? else { return Ok(None) };
    if by == Some(Actor::orch()) || engine.ports.git.resolve(&project.key, commit.as_str()).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(landing(engine, project, task.clone(), commit, head, by).await?))
}

/// Commit, head and who, if the forge says that it is merged.
async fn merged(project: &Project, number: u64) -> Result<Option<(Sha, Sha, Option<Actor>)>, Fault> {
    let pull = match project.forge.pull_request(&project.key, number).await {
        Ok(pull) => pull,
        Err(fault) if fault.kind == orch_core::verdict::FaultKind::Gone => return Ok(None),
        Err(fault) => return Err(fault),
    };
    match (pull.state, pull.merge_commit) {
        (PullState::Merged, Some(commit)) => Ok(Some((commit, pull.head, pull.merged_by))),
        (PullState::Merged, None) => {
            Err(Fault::transient(format!("pull request {number} is merged, but its commit is not known yet")))
        }
        (PullState::Open | PullState::Closed, _) => Ok(None),
    }
}

async fn landing(
    engine: &Engine,
    project: &Project,
    task: Task,
    commit: Sha,
    head: Sha,
    by: Option<Actor>,
) -> Result<Landing, Fault> {
    let tree = engine.ports.git.tree(&project.key, &commit).await?;
    let tested = tested(engine, project, &task, &commit).await?;
    Ok(Landing { task, landed: Landed { commit, tree, head, by, tested } })
}

/// Have the tests and CI of the task passed for exactly the code of this commit? What has no such gate, or has them all
/// switched off, was tested by nobody.
async fn tested(engine: &Engine, project: &Project, task: &Task, commit: &Sha) -> Result<bool, Fault> {
    let (git, at, dir) = (&engine.ports.git, &project.key, task.artefact_dir());
    let steps = task.pipeline.stages.iter().flat_map(|s| &s.steps);
    let stands = |id: GateId| steps.clone().any(|s| matches!(s, Step::Gate { gate, .. } if *gate == id));
    let code = git.code_digest(at, commit, &dir).await?;
    let judgements = engine.ports.store.judgements(task.id).await?;
    let mut same: BTreeMap<Sha, bool> = BTreeMap::new();
    let mut passed = false;
    for id in [GateId::TestsLocal, GateId::CiGreen].into_iter().filter(|id| stands(*id)) {
        let mut last = None;
        for judgement in judgements.iter().rev().filter(|j| j.gate == id) {
            let head = &judgement.head;
            if !same.contains_key(head) {
                let there = git.resolve(at, &format!("{head}^{{commit}}")).await?.is_some();
                let is = there && git.code_digest(at, head, &dir).await? == code;
                same.insert(head.clone(), is);
            }
            if same.get(head) == Some(&true) {
                last = Some(&judgement.verdict);
                break;
            }
        }
        match last {
            Some(Verdict::Pass) => passed = true,
            Some(Verdict::Skipped { .. }) => {}
            _ => return Ok(false),
        }
    }
    Ok(passed)
}
