//! Others nobody asked: strangers who push, close and delete on the forge.

use crate::sim::{Live, Sim};
use crate::site::PullState;
use orch_core::ids::{Actor, ProjectKey};
use orch_core::task::Task;

impl Sim {
    /// Strangers on the forge.
    pub(crate) fn stranger(&mut self) -> Live<()> {
        let Some(task) = self.open_task() else { return Ok(()) };
        let project = task.project.clone();
        if self.hit("stranger pushes to main", 300) {
            return self.outsider_pushes(&project);
        }
        if task.branch.source.is_some() && self.choices.chance("author goes on", 200) {
            return self.author_pushes(&project, task.number, false).map(|_| ());
        }
        let unmerged = task.landing.merged.is_none() && task.branch.head.is_some();
        if unmerged && self.hit("stranger pushes to the branch", 100) {
            let content = self.choices.below("content", 10_000) as u64 * 8 + 4;
            let site = self.site(&project)?;
            if let Some(head) = site.branches.get(&task.branch.name).cloned() {
                let mut tree = site.repo.tree(&head);
                tree.insert("stranger".into(), content);
                let commit = site.repo.commit(&[head], tree, "stranger");
                site.branches.insert(task.branch.name.clone(), commit.clone());
                self.say(|| format!("   a stranger pushes {} to {}", commit.short(), task.branch.name));
            }
        } else if unmerged && self.hit("branch deleted", 25) {
            self.site(&project)?.branches.remove(&task.branch.name);
            self.say(|| format!("   {} is deleted by a stranger", task.branch.name));
        } else if unmerged && self.hit("pull request closed", 40) {
            let site = self.site(&project)?;
            for pull in site.pulls.values_mut().filter(|p| p.branch == task.branch.name && p.state == PullState::Open) {
                pull.state = PullState::Closed;
            }
            self.say(|| format!("   the pull request of {} is closed by a stranger", task.branch.name));
        } else if unmerged && self.hit("person merges by hand", 250) {
            self.merges_by_hand(&task)?;
        }
        Ok(())
    }

    /// Somebody merges the pull request of a task on the forge: a person who may approve, one who may not, or one of whom
    /// the forge says nothing.
    fn merges_by_hand(&mut self, task: &Task) -> Live<()> {
        let by = match self.choices.below("by whom", 4) {
            0 | 1 => Some(Actor::new("local:anna")),
            2 => Some(Actor::new("local:sam")),
            _ => None,
        };
        let as_it_is = self.choices.chance("as it is", 400);
        let Some(number) = task.branch.pull_request else { return Ok(()) };
        if let Some(commit) = self.site(&task.project)?.merge_by_hand(number, task.id, by.clone(), as_it_is) {
            self.site(&task.project)?.strangers.insert(commit.clone());
            self.say(|| format!("   {by:?} merges the pull request of {} as {}", task.work_item, commit.short()));
        }
        Ok(())
    }

    pub(crate) fn outsider_pushes(&mut self, project: &ProjectKey) -> Live<()> {
        let file = format!("f{}", self.choices.below("file", 6));
        let n = self.choices.below("content", 10_000) as u64;
        let site = self.site(project)?;
        let tip = site.main.clone();
        let mut tree = site.repo.tree(&tip);
        // Strangers break nothing by themselves here: red is what orch's own merges must not make.
        for more in 0..20 {
            tree.insert(file.clone(), (n + more) * 8 + 5);
            if crate::repo::red(&tree).is_none() {
                break;
            }
        }
        let commit = site.repo.commit(&[tip], tree, "outsider");
        site.main = commit.clone();
        site.strangers.insert(commit.clone());
        self.say(|| format!("   an outsider pushes {} to main of {project}", commit.short()));
        Ok(())
    }
}
