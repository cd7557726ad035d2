//! Hooks that bring revisions to staging and production and back, and the watch over production.

use super::{fault, transient};
use crate::gates::changes_protected;
use crate::outside;
use crate::sim::{Flight, Live, Sim};
use crate::site::{Place, Plan, Run};
use orch_core::effect::Outcome;
use orch_core::ids::{Environment, GateId, JobId, Seq, Sha, StageId, WorkItem};
use orch_core::retry::{Charge, Tried};
use orch_core::task::{ApprovalKind, DoneOutcome};
use orch_core::verdict::FaultKind;
use orch_store::{ArtefactRow, Deployment};

impl Sim {
    fn hook_log(&mut self, f: &Flight, name: &str, stage: &StageId, revision: &Sha, ok: bool) -> Live<bool> {
        let row = ArtefactRow {
            task: f.task.id,
            stage: stage.clone(),
            run: f.job.id.seq,
            name: name.into(),
            sha256: "0".repeat(64),
            bytes: if ok { b"1".to_vec() } else { b"2".to_vec() },
            subject: revision.to_string(),
            at: self.now,
        };
        let fence = f.job.fence();
        self.evidence("put_artefacts", fence, async |s| s.put_artefacts(fence, vec![row]).await)
    }

    fn bring(&mut self, f: &Flight, environment: Environment, revision: &Sha, ok: bool, rollback: bool) -> Live<bool> {
        outside::invariant_no_hook_runs_before_its_approval(&f.task, environment)?;
        let site = self.site(&f.task.project)?;
        outside::invariant_production_runs_what_is_merged(site, environment, revision)?;
        if let Some(env) = site.envs.get_mut(&environment) {
            env.running = Some(revision.clone());
            env.brought.push(revision.clone());
            if ok {
                env.came_up.push(revision.clone());
            }
        }
        let deployment = Deployment {
            project: f.task.project.clone(),
            environment,
            revision: revision.clone(),
            task: f.task.id,
            ok,
            rollback,
            at: self.now,
        };
        let fence = f.job.fence();
        self.evidence("put_deployment", fence, async |s| s.put_deployment(fence, deployment).await)
    }

    pub(super) fn deploy(
        &mut self,
        f: &Flight,
        environment: Environment,
        revision: &Sha,
        stage: &StageId,
        again: bool,
        since: Seq,
    ) -> Live<Option<Tried>> {
        let site = self.site(&f.task.project)?;
        let mine = |job: &JobId| job.task == f.task.id && (since..f.job.id.seq).contains(&job.seq);
        let of_earlier = |job: &JobId, run: &Run| {
            mine(job) && run.place == Place::Environment(environment) && run.revision.as_ref() == Some(revision)
        };
        let earlier: Vec<Run> =
            site.runs.iter().filter(|((job, _), run)| of_earlier(job, run)).map(|(_, run)| run.clone()).collect();
        if earlier.iter().any(|run| !run.over) {
            return Ok(Some(transient("an earlier run of the hook is still at work")));
        }
        let recorded = earlier.into_iter().rfind(Run::answered);
        let started = recorded.is_some() || site.runs.keys().any(|(job, _)| *job == f.job.id);
        if again && !started && self.is_staged(f, revision)? {
            return Ok(Some(Tried::Outcome(Outcome::Deployed { skipped: Some("it runs there".into()), ended: 0 })));
        }
        let unapproved = changes_protected(&f.task, GateId::SecurityGate)
            .filter(|subject| f.task.approved(ApprovalKind::Protected, subject).is_none());
        let setup = &self.site(&f.task.project)?.setup;
        let (hook, name) = match environment {
            Environment::Staging => (setup.staging_hook, "15-staging-log.md"),
            Environment::Production => (setup.production_hook, "14-deploy-log.md"),
        };
        if !hook {
            return Ok(Some(Tried::Outcome(Outcome::Deployed { skipped: Some("nothing to deploy".into()), ended: 0 })));
        }
        if !started && self.is_on_hold(f) {
            self.seen.count("answer", "deploy: on hold");
            return Ok(Some(Tried::Outcome(Outcome::Cancelled)));
        }
        if environment == Environment::Production
            && !started
            && let Some((failed, by)) = self.held(f, revision)?
        {
            return Ok(Some(Tried::Outcome(Outcome::Held { revision: failed, by })));
        }
        // What the hook of the branch runs is for a person first.
        if let (Environment::Staging, false, Some(subject)) = (environment, started, unapproved) {
            return Ok(Some(Tried::Outcome(Outcome::ApprovalNeeded { subject, shown: Vec::new() })));
        }
        let plan = if self.hit("deploy fails", 400) { Plan::Fails } else { Plan::Well };
        let plan = if self.hit("hook lost", 100) { Plan::Lost } else { plan };
        let run = match recorded {
            Some(run) => run,
            None => match self.supervised(f, Place::Environment(environment), plan)? {
                None => return Ok(None),
                Some(Err(ended)) => return Ok(Some(ended)),
                Some(Ok(run)) => run,
            },
        };
        if run.killed && f.stop {
            return Ok(Some(Tried::Outcome(Outcome::Cancelled)));
        }
        if run.killed || run.plan == Plan::Lost {
            return Ok(Some(super::again(Charge::Transient, true, FaultKind::Transient, "the hook was stopped")));
        }
        if self.hit("check cannot be made", 150) {
            let fault = fault(FaultKind::Permanent, "no checkout for the check");
            return Ok(Some(Tried::Outcome(Outcome::Failed { fault })));
        }
        let ok = run.plan == Plan::Well;
        let kept = self.hook_log(f, name, stage, revision, ok)? && self.bring(f, environment, revision, ok, false)?;
        Ok(Some(if kept { Tried::Outcome(Outcome::Deployed { skipped: None, ended: 0 }) } else { transient("fenced") }))
    }

    /// What keeps a revision from production: an unrepaired failure of another task.
    fn held(&mut self, f: &Flight, revision: &Sha) -> Live<Option<(Sha, WorkItem)>> {
        let project = f.task.project.clone();
        let known = self.db(async |s| s.deployments(&project, Environment::Production, 50).await)?;
        let Some(site) = self.sites.get(&project) else { return Ok(None) };
        for task in self.tasks.values().filter(|t| t.project == project && t.id != f.task.id && !t.is_closed()) {
            let last = known.iter().find(|d| d.task == task.id && !d.rollback);
            let just = last.filter(|d| !d.ok && task.landing.merged.as_ref().is_some_and(|m| m.commit == d.revision));
            for (failed, repaired) in task.production_holds(just.map(|deployed| &deployed.revision)) {
                let repaired = repaired.is_some_and(|r| site.repo.is_ancestor(&r, revision));
                if site.repo.is_ancestor(&failed, revision) && !repaired {
                    return Ok(Some((failed, task.work_item.clone())));
                }
            }
        }
        Ok(None)
    }

    /// Has code like this come up on staging for the task?
    pub(crate) fn is_staged(&mut self, f: &Flight, head: &Sha) -> Live<bool> {
        let project = f.task.project.clone();
        let known = self.db(async |s| s.deployments(&project, Environment::Staging, 100).await)?;
        let repo = &self.site(&project)?.repo;
        let same = |d: &Deployment| repo.code_id(&d.revision) == repo.code_id(head);
        Ok(known.iter().any(|d| d.ok && d.task == f.task.id && same(d)))
    }

    pub(super) fn roll_back(&mut self, f: &Flight, environment: Environment, failed: &Sha) -> Live<Option<Tried>> {
        let project = f.task.project.clone();
        let known = self.db(async |s| s.deployments(&project, environment, 50).await)?;
        let Some(previous) = known.into_iter().find(|d| d.ok && d.revision != *failed).map(|d| d.revision) else {
            let text = "nothing else ever ran there".to_owned();
            return Ok(Some(Tried::Outcome(Outcome::RolledBack { ok: true, text })));
        };
        let plan = if self.hit("rollback fails", 600) { Plan::Fails } else { Plan::Well };
        let run = match self.supervised(f, Place::Environment(environment), plan)? {
            None => return Ok(None),
            Some(Err(ended)) => return Ok(Some(ended)),
            Some(Ok(run)) => run,
        };
        let ok = run.plan == Plan::Well && !run.killed;
        let kept = self.bring(f, environment, &previous, ok, true)?;
        let text = format!("back on {}: {ok}", previous.short());
        Ok(Some(if kept { Tried::Outcome(Outcome::RolledBack { ok, text }) } else { transient("fenced") }))
    }

    pub(super) fn watch(&mut self, f: &Flight, revision: &Sha) -> Live<Option<Tried>> {
        if !f.stop && self.choices.chance("goes on", 300) {
            return Ok(None);
        }
        let (sick, blind) = (self.hit("production sick", 550), self.hit("probe blind", 500));
        let hook = self.site(&f.task.project)?.setup.production_hook;
        let outcome = match (hook, sick, blind) {
            (false, ..) => DoneOutcome::NotWatched,
            (_, true, _) => DoneOutcome::Degraded,
            (_, _, true) => DoneOutcome::Inconclusive,
            _ => DoneOutcome::Healthy,
        };
        let kept = self.hook_log(f, "16-post-deploy-log.md", &"done".into(), revision, !sick)?;
        Ok(Some(if kept { Tried::Outcome(Outcome::Watched { outcome }) } else { transient("fenced") }))
    }
}
