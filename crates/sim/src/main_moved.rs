//! The watcher of main, and the look of whoever prepares a merge, small enough to be read beside the real ones: pull requests
//! of tasks that somebody else merged are told to their tasks before the record of main moves on.

use crate::sim::{Live, Sim};
use crate::site::PullState;
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, ProjectKey, Sha};
use orch_core::pipeline::Step;
use orch_core::task::Task;
use orch_core::verdict::Verdict;
use orch_store::Cause;
use orch_store::Fact;

impl Sim {
    pub(crate) fn sweep_main(&mut self) -> Live<()> {
        let projects: Vec<ProjectKey> = self.sites.keys().cloned().collect();
        for project in projects {
            let lease = self.lease(&self.repository_of(&project))?;
            if lease.holder.is_none() {
                self.look_at_main(&project)?;
            }
        }
        Ok(())
    }

    fn look_at_main(&mut self, project: &ProjectKey) -> Live<()> {
        let (fact, now) = (Fact::Main(project.clone()), self.now);
        let tip = self.site(project)?.main.clone();
        if self.db(async |s| s.recall(&fact).await)?.as_deref() == Some(tip.as_str()) {
            return Ok(());
        }
        let open: Vec<Task> = self
            .tasks
            .values()
            .filter(|t| t.project == *project && !t.is_closed() && t.landing.merged.is_none())
            .cloned()
            .collect();
        for task in open {
            self.tell_landed(&task, "")?;
        }
        // The process dies here: the next look tells everybody again.
        if !self.hit("record of main is late", 200) {
            self.db(async |s| s.remember(&fact, tip.as_str(), now).await)?;
        }
        Ok(())
    }

    /// The look of whoever prepares the merge of this very task. Does it know by now that somebody else has merged it?
    pub(crate) fn landed_meanwhile(&mut self, task: &Task, job: &str) -> Live<bool> {
        self.look_at_main(&task.project.clone())?;
        if self.tasks.get(&task.id).is_some_and(|t| t.landing.landed.is_none()) {
            self.tell_landed(task, job)?;
        }
        Ok(self.tasks.get(&task.id).is_some_and(|t| t.landing.landed.is_some()))
    }

    pub(crate) fn tell_landed(&mut self, task: &Task, job: &str) -> Live<()> {
        let site = self.site(&task.project)?;
        let pull =
            task.branch.pull_request.and_then(|n| site.pulls.get(&n)).filter(|p| p.state == PullState::Merged).cloned();
        let Some((commit, head, by)) = pull.and_then(|p| Some((p.merge_commit?, p.head?, p.merged_by))) else {
            return Ok(());
        };
        if by == Some(Actor::orch()) {
            return Ok(());
        }
        let tree = self.site(&task.project)?.repo.tree_id(&commit);
        let tested = self.tested(task, &commit)?;
        let event = Event::Landed { commit: commit.clone(), tree, head, by, tested };
        let (id, at, key) = (task.id, self.now, format!("landed-{}-{commit}{job}", task.id.0));
        let put = self.db(async |s| s.put_inbox("main", &key, id, event.clone(), at).await)?;
        let Some(row) = put else { return Ok(()) };
        self.seen.count("answer", "main: merged by somebody else");
        if self.hit("merge by hand acknowledged, not stepped", 150) {
            return Ok(());
        }
        self.step(id, Cause::Inbox(row), event)?;
        Ok(())
    }

    /// Has exactly this code passed?
    fn tested(&mut self, task: &Task, commit: &Sha) -> Live<bool> {
        let id = task.id;
        let judgements = self.db(async |s| s.judgements(id).await)?;
        let site = self.site(&task.project)?;
        let code = site.repo.code_id(commit);
        let mut passed = false;
        for gate in [GateId::TestsLocal, GateId::CiGreen] {
            let stands = |s: &Step| matches!(s, Step::Gate { gate: g, .. } if *g == gate);
            if !task.pipeline.stages.iter().flat_map(|s| &s.steps).any(stands) {
                continue;
            }
            let mut mine = judgements.iter().rev().filter(|j| j.gate == gate);
            match mine.find(|j| site.repo.code_id(&j.head) == code).map(|j| &j.verdict) {
                Some(Verdict::Pass) => passed = true,
                Some(Verdict::Skipped { .. }) => {}
                _ => return Ok(false),
            }
        }
        Ok(passed)
    }
}
