//! Changes as people read them, and the pull requests of a project: those of tasks and those of people. Decides what the
//! change of a task is at any point of its life, which branches are orch's own, and which branch of a person's there is
//! anything to open a pull request for. It changes no task; the one thing it does outside, opening a pull request because a
//! person asks for it, finds the open one again however often it is asked for.

use crate::engine::Engine;
use crate::project::Project;
use crate::tickets::item_of_branch;
use orch_core::ids::{Actor, ProjectKey, Sha, WorkItem};
use orch_core::policy::Act;
use orch_core::source::odd_name;
use orch_core::task::Task;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_ports::diff::{Diff, DiffLimits};
use orch_ports::forge::{PullRequest, PullState};
use orch_store::TaskFilter;

/// An answer, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<T> {
    /// The answer.
    Given(T),
    /// There is none, and this is why.
    Refused {
        /// Why.
        why: String,
        /// What to do about it, where something can be done.
        hint: Option<String>,
    },
}

impl<T> Reply<T> {
    fn no(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), hint: None }
    }
    fn but(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), hint: Some(hint.into()) }
    }
}

/// What a branch changes, or a merge has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where it begins: where the branch left the default branch, or what the merge came on top of.
    pub from: Sha,
    /// Where it ends: the head, or the commit of the merge.
    pub to: Sha,
    /// Is it on the default branch?
    pub merged: bool,
    /// The difference.
    pub diff: Diff,
}

/// A pull request and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Pull {
    /// As the forge shows it.
    pub pull: PullRequest,
    /// The task that it belongs to.
    pub task: Option<WorkItem>,
    /// Author of its newest commit, where that is known here; anybody may write anything there.
    pub author: Option<String>,
}

/// What became of the wish for a pull request.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedPull {
    /// It is open.
    pub pull: Pull,
    /// It was so before.
    pub existed: bool,
}

/// The commit that a task has on the default branch, and what it came on top of, where that is known.
fn landed_as(task: &Task) -> Option<(&Sha, Option<&Sha>)> {
    let landing = &task.landing;
    let merged = landing.merged.as_ref().map(|m| (&m.commit, &m.tree));
    let (commit, tree) = merged.or_else(|| landing.landed.as_ref().map(|l| (&l.commit, &l.tree)))?;
    let base = match &landing.intent {
        Some(intent) if intent.tree == *tree => Some(&intent.base),
        // The default branch was moved to the head itself: its first parent may be another commit of the branch.
        _ if task.branch.head.as_ref() == Some(commit) => task.branch.base.as_ref(),
        _ => None,
    };
    Some((commit, base))
}

impl Engine {
    /// What a task changes: what its branch would bring to the default branch, and once it is merged, what it brought.
    pub async fn change_of(&self, task: &Task, limits: DiffLimits) -> Result<Reply<Change>, Fault> {
        let project = self.project(&task.project)?;
        let item = &task.work_item;
        if let Some((commit, base)) = landed_as(task) {
            return self.merged_change(&project, commit, base, limits).await;
        }
        let Some(head) = &task.branch.head else {
            return Ok(Reply::but(format!("{item} has no branch yet: nothing is changed"), format!("orch why {item}")));
        };
        if !self.has(&project, head).await? {
            return Ok(Reply::no(format!("commit {} of {item} is in no repository any more", head.short())));
        }
        let main = project.forge.default_branch(&project.key).await?;
        let base = self.parted(&project, &main, head).await?.or_else(|| task.branch.base.clone());
        match base {
            Some(from) => self.change(&project, from, head, false, limits).await,
            None => Ok(Reply::no(format!("the branch of {item} has no commit in common with `{main}`"))),
        }
    }

    /// What a pull request changes, or has changed.
    pub async fn pull_change(
        &self,
        key: &ProjectKey,
        number: u64,
        limits: DiffLimits,
    ) -> Result<Reply<(Pull, Change)>, Fault> {
        let project = self.project(key)?;
        let pull = project.forge.pull_request(key, number).await?;
        let change = match (&pull.state, &pull.merge_commit) {
            (PullState::Merged, Some(commit)) => {
                let task = self.task_of(&project, &pull).await?;
                let own = task.as_ref().and_then(landed_as).filter(|(landed, _)| *landed == commit);
                match own {
                    Some((commit, base)) => self.merged_change(&project, commit, base, limits).await?,
                    None if *commit == pull.head => Reply::but(
                        format!(
                            "#{number} was merged by moving `{}` to it: where it began is not kept",
                            pull.base_branch
                        ),
                        format!("its last commit is {}", commit.short()),
                    ),
                    None => self.merged_change(&project, commit, None, limits).await?,
                }
            }
            _ if !self.has(&project, &pull.head).await? => {
                Reply::no(format!("commit {} of #{number} is in no repository any more", pull.head.short()))
            }
            _ => match self.parted(&project, &pull.base_branch, &pull.head).await? {
                Some(from) => self.change(&project, from, &pull.head, false, limits).await?,
                None => Reply::no(format!("#{number} has no commit in common with `{}`", pull.base_branch)),
            },
        };
        Ok(match change {
            Reply::Given(change) => Reply::Given((self.whose(&project, pull).await?, change)),
            Reply::Refused { why, hint } => Reply::Refused { why, hint },
        })
    }

    /// The open pull requests of a project, newest first, at most [`orch_ports::forge::PULLS_LISTED`].
    pub async fn pulls(&self, key: &ProjectKey) -> Result<Vec<Pull>, Fault> {
        let project = self.project(key)?;
        let open = TaskFilter { project: Some(key.clone()), ..TaskFilter::default() };
        let tasks = self.ports.store.tasks(open).await?;
        let mut pulls = Vec::new();
        for pull in project.forge.pull_requests(key).await? {
            let task = tasks.iter().find(|t| t.branch.pull_request == Some(pull.number));
            let author = self.author(&project, &pull.head).await;
            pulls.push(match task {
                Some(task) => Pull { pull, task: Some(task.work_item.clone()), author },
                None => self.whose(&project, pull).await?,
            });
        }
        Ok(pulls)
    }

    /// Sees to it that a person's branch has an open pull request into the default branch.
    pub async fn open_pull(
        &self,
        key: &ProjectKey,
        by: &Actor,
        branch: &str,
        (title, body): (Option<&str>, &str),
    ) -> Result<Reply<OpenedPull>, Fault> {
        let project = self.project(key)?;
        let (forge, git) = (&project.forge, &self.ports.git);
        let branch = branch.trim();
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        if let Some(why) = odd_name(branch) {
            return Ok(Reply::no(why));
        }
        if !project.policy.may(by, Act::Steer { own_branch: true }) {
            return Ok(Reply::but(
                format!("{by} may open no pull request in {key}"),
                "starters, approvers and landers of the project may: `orch project show`",
            ));
        }
        let named = branch.escape_debug();
        let main = forge.default_branch(key).await?;
        if branch == main {
            return Ok(Reply::no(format!("`{main}` is the default branch of {key}: it has no pull request")));
        }
        if let Some(item) = item_of_branch(key, branch) {
            let why = format!("`{named}` is a branch of {item}: orch opens its pull request itself");
            return Ok(match self.ports.store.task_by_item(&item).await? {
                Some(_) => Reply::but(why, format!("orch why {item}")),
                None => Reply::but(
                    format!("`{named}` has a name that orch keeps for branches of its tasks"),
                    "give the branch another name",
                ),
            });
        }
        if forge.branch_head(key, branch).await?.is_none() {
            let hint = format!("push it to {}, which orch works on", forge.remote(key).await?.url);
            return Ok(Reply::but(format!("there is no branch `{named}` in the repository of {key}"), hint));
        }
        let before = forge.pull_requests(key).await?;
        if let Some(open) = before.iter().find(|p| p.head_branch == branch) {
            let pull = self.whose(&project, open.clone()).await?;
            return Ok(Reply::Given(OpenedPull { pull, existed: true }));
        }
        git.fetch(key, &forge.remote(key).await?).await?;
        let (head, tip) = (git.forge_branch(key, branch).await?, git.forge_branch(key, &main).await?);
        let (Some(head), Some(tip)) = (head, tip) else {
            return Err(Fault::transient(format!("`{named}` or `{main}` went away while they were looked at")));
        };
        let Some(base) = git.merge_bases(key, &tip, &head).await?.into_iter().next() else {
            return Ok(Reply::no(format!("`{named}` has no commit in common with `{main}`")));
        };
        if base == head || git.tree(key, &base).await? == git.tree(key, &head).await? {
            return Ok(Reply::no(format!("`{named}` has nothing that `{main}` lacks")));
        }
        let newest = git.commits(key, &head, &[], 1).await?.into_iter().next().map(|c| c.subject);
        let newest = newest.filter(|subject| !subject.is_empty());
        let title = title.map(ToOwned::to_owned).or(newest).unwrap_or_else(|| branch.to_owned());
        let pull = forge.ensure_pull_request(key, branch, &main, &title, body).await?;
        // One that somebody opened meanwhile, or that is further back than the list goes, has an older number.
        let existed = before.first().is_some_and(|newest| pull.number <= newest.number);
        Ok(Reply::Given(OpenedPull { pull: self.whose(&project, pull).await?, existed }))
    }

    async fn change(
        &self,
        project: &Project,
        from: Sha,
        to: &Sha,
        merged: bool,
        limits: DiffLimits,
    ) -> Result<Reply<Change>, Fault> {
        let diff = self.ports.git.diff(&project.key, &from, to, limits).await?;
        Ok(Reply::Given(Change { from, to: to.clone(), merged, diff }))
    }

    /// What a commit of the default branch brought, over `base` or else over its first parent.
    async fn merged_change(
        &self,
        project: &Project,
        commit: &Sha,
        base: Option<&Sha>,
        limits: DiffLimits,
    ) -> Result<Reply<Change>, Fault> {
        if !self.has(project, commit).await? {
            return Ok(Reply::no(format!("the merge {} is in no repository any more", commit.short())));
        }
        let from = match base {
            Some(base) => Some(base.clone()),
            None => self.ports.git.resolve(&project.key, &format!("{commit}^1")).await?,
        };
        match from {
            Some(from) => self.change(project, from, commit, true, limits).await,
            None => Ok(Reply::no(format!("the merge {} came on top of nothing", commit.short()))),
        }
    }

    /// Where the history of a branch of the forge, as it was last seen, and this commit parted.
    async fn parted(&self, project: &Project, branch: &str, head: &Sha) -> Result<Option<Sha>, Fault> {
        let git = &self.ports.git;
        match git.forge_branch(&project.key, branch).await? {
            Some(tip) => Ok(git.merge_bases(&project.key, &tip, head).await?.into_iter().next()),
            None => Ok(None),
        }
    }

    /// Is this commit in the private repository? What is not is asked of the forge.
    async fn has(&self, project: &Project, commit: &Sha) -> Result<bool, Fault> {
        let (git, key) = (&self.ports.git, &project.key);
        match git.resolve(key, commit.as_str()).await {
            Ok(Some(_)) => return Ok(true),
            // There is no private repository yet, or not any more.
            Err(fault) if fault.kind != FaultKind::Gone => return Err(fault),
            Ok(None) | Err(_) => {}
        }
        git.fetch(key, &project.forge.remote(key).await?).await?;
        Ok(git.resolve(key, commit.as_str()).await?.is_some())
    }

    async fn whose(&self, project: &Project, pull: PullRequest) -> Result<Pull, Fault> {
        let task = self.task_of(project, &pull).await?.map(|task| task.work_item);
        let author = self.author(project, &pull.head).await;
        Ok(Pull { pull, task, author })
    }

    /// The task of a pull request: its branch has the task's name.
    async fn task_of(&self, project: &Project, pull: &PullRequest) -> Result<Option<Task>, Fault> {
        match item_of_branch(&project.key, &pull.head_branch) {
            Some(item) => Ok(self.ports.store.task_by_item(&item).await?),
            None => Ok(None),
        }
    }

    /// Who made a commit, as far as that is known without asking the forge.
    async fn author(&self, project: &Project, commit: &Sha) -> Option<String> {
        let (git, key) = (&self.ports.git, &project.key);
        git.resolve(key, commit.as_str()).await.ok()??;
        let newest = git.commits(key, commit, &[], 1).await.ok()?;
        newest.into_iter().next().map(|c| c.author).filter(|name| !name.is_empty())
    }
}
