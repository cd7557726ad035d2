//! The outside of one project: its forge, CI, environments, tickets, agents and hooks. It survives every crash of orch,
//! keeps its own record of what was really done to it, and knows nothing of orch's database.

use crate::repo::{Repo, Tree, hash, red};
use orch_core::conflict::Resolution;
use orch_core::ids::{Actor, Digest, Environment, JobId, ProjectKey, Seq, Sha, TaskId, Time};
use orch_core::landing::LandingPlan;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_ports::tracker::Ticket;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullState {
    Open,
    Closed,
    Merged,
}

#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) branch: String,
    pub(crate) state: PullState,
    pub(crate) merge_commit: Option<Sha>,
    /// Head when it was merged; an open one shows its branch.
    pub(crate) head: Option<Sha>,
    /// Who merged it, as the forge says it.
    pub(crate) merged_by: Option<Actor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CiState {
    Green,
    Red,
    Broken,
}

/// A report of CI, visible from a time on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ci {
    pub(crate) state: CiState,
    pub(crate) from: Time,
}

/// A merge the forge carried out.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    pub(crate) task: TaskId,
    pub(crate) branch: String,
    /// What was asked for.
    pub(crate) asked: Sha,
    /// What landed.
    pub(crate) commit: Sha,
    pub(crate) tree: Digest,
    /// Tip before it.
    pub(crate) onto: Sha,
    /// The forge did something else than it was asked.
    pub(crate) forge_lied: bool,
    /// By a worker that did not look at its lease again.
    pub(crate) blind: bool,
    /// By somebody on the forge, whether or not it says who.
    pub(crate) by_hand: bool,
}

/// What the forge answers to a merge.
#[derive(Clone, Debug)]
pub(crate) enum MergeAnswer {
    Merged,
    HeadMoved,
    BaseMoved,
    Refused(String),
}

/// How a program under a supervisor will end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Well,
    /// An agent that wants an answer first.
    Asks(String),
    /// One that says something of its work as a whole.
    Says(orch_core::word::Word),
    Fails,
    Transient,
    Denied,
    /// The supervisor is killed.
    Lost,
}

/// A program under a supervisor: it outlives orch.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) place: Place,
    pub(crate) over: bool,
    pub(crate) killed: bool,
    /// What it cost, millionths of a dollar.
    pub(crate) cost: u64,
    /// What it made lies in its working directory: once, however often its end is read.
    pub(crate) left: bool,
    /// What a hook was to bring to its environment.
    pub(crate) revision: Option<Sha>,
}

impl Run {
    /// It came to an end of its own: its record says how.
    pub(crate) fn answered(&self) -> bool {
        self.over && !self.killed && matches!(self.plan, Plan::Well | Plan::Fails)
    }
}

/// What a running program has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Worktree(TaskId),
    Environment(Environment),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    pub(crate) running: Option<Sha>,
    /// Everything that was ever brought here, in order.
    pub(crate) brought: Vec<Sha>,
    /// What of it came up.
    pub(crate) came_up: Vec<Sha>,
}

/// What an agent left in the working directory of a task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    pub(crate) code: Tree,
    /// Papers by name; 1 says yes, 2 says no, 3 is garbled.
    pub(crate) papers: Tree,
    pub(crate) strayed: bool,
    /// What the developer says of the paths in conflict.
    pub(crate) said: Resolution,
    /// Its clone does not show all of its files.
    pub(crate) hidden: bool,
    /// The run that left it, and whether it is on the branch.
    pub(crate) run: Seq,
    pub(crate) published: bool,
}

/// How the project is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) staging_hook: bool,
    pub(crate) production_hook: bool,
    pub(crate) local_tests: bool,
    pub(crate) review_on_forge: bool,
    pub(crate) shadow_security: bool,
    pub(crate) landing: LandingPlan,
    /// Is what one run may cost limited, and what those of the project may in a day?
    pub(crate) runs_are_capped: bool,
    pub(crate) project_day: bool,
    /// Does the forge dismiss an approval when main has changed the same files?
    pub(crate) dismisses: bool,
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) key: ProjectKey,
    pub(crate) setup: Setup,
    pub(crate) repo: Repo,
    pub(crate) main: Sha,
    pub(crate) branches: BTreeMap<String, Sha>,
    pub(crate) pulls: BTreeMap<u64, Pull>,
    pub(crate) ci: BTreeMap<Sha, Ci>,
    pub(crate) reviewed: BTreeSet<Sha>,
    /// Tasks whose approval the forge dismissed, because main has changed the same files.
    pub(crate) dismissed: BTreeSet<TaskId>,
    pub(crate) envs: BTreeMap<Environment, Env>,
    pub(crate) runs: BTreeMap<(JobId, u32), Run>,
    pub(crate) left: BTreeMap<TaskId, Left>,
    /// The tracker: tickets by number, orch's comments on them, and the list that was read last.
    pub(crate) tickets: BTreeMap<u64, Ticket>,
    pub(crate) comments: BTreeMap<TaskId, String>,
    pub(crate) listed: Vec<Ticket>,
    /// Pipelines of the tasks to be made of tickets.
    pub(crate) pipelines: BTreeMap<u64, Pipeline>,
    /// Notices by key, and what they said.
    pub(crate) notices: BTreeMap<String, String>,
    pub(crate) landed: Vec<Landed>,
    /// Heads that resolve what was in conflict, as this world sees it.
    pub(crate) honest: BTreeSet<Sha>,
    /// Trees outsiders put on main: nobody tested them.
    pub(crate) strangers: BTreeSet<Sha>,
    /// Branches of people, and where they left them.
    pub(crate) theirs: BTreeMap<String, Sha>,
}

impl Site {
    pub(crate) fn new(key: ProjectKey, setup: Setup) -> Self {
        let mut repo = Repo::default();
        let tree = (0..4).map(|n| (format!("f{n}"), 3 + 88 * n)).collect();
        let main = repo.commit(&[], tree, key.as_str());
        let mut envs: BTreeMap<Environment, Env> = BTreeMap::new();
        for env in [Environment::Staging, Environment::Production] {
            envs.insert(env, Env { running: Some(main.clone()), brought: vec![main.clone()], came_up: Vec::new() });
        }
        Self {
            key,
            setup,
            repo,
            main,
            branches: BTreeMap::new(),
            pulls: BTreeMap::new(),
            ci: BTreeMap::new(),
            reviewed: BTreeSet::new(),
            dismissed: BTreeSet::new(),
            envs,
            runs: BTreeMap::new(),
            left: BTreeMap::new(),
            tickets: BTreeMap::new(),
            comments: BTreeMap::new(),
            listed: Vec::new(),
            pipelines: BTreeMap::new(),
            notices: BTreeMap::new(),
            landed: Vec::new(),
            honest: BTreeSet::new(),
            strangers: BTreeSet::new(),
            theirs: BTreeMap::new(),
        }
    }

    /// Pushes `to` where the branch is at `expect`; otherwise says where it is.
    pub(crate) fn push(&mut self, branch: &str, to: &Sha, expect: Option<&Sha>) -> Result<(), Option<Sha>> {
        let now = self.branches.get(branch);
        if now == Some(to) {
            return Ok(());
        }
        if now == expect {
            self.branches.insert(branch.to_owned(), to.clone());
            return Ok(());
        }
        Err(now.cloned())
    }

    /// The files of a head as one commit on a tip it contains; the tip itself where there is nothing to add.
    pub(crate) fn one_commit(&mut self, head: &Sha, tip: &Sha) -> Sha {
        let tree = self.repo.tree(head);
        if tree == self.repo.tree(tip) {
            tip.clone()
        } else {
            self.repo.commit(std::slice::from_ref(tip), tree, "one commit")
        }
    }

    pub(crate) fn pull_head(&self, pull: &Pull) -> Option<Sha> {
        pull.head.clone().or_else(|| self.branches.get(&pull.branch).cloned())
    }

    pub(crate) fn ensure_pull(&mut self, branch: &str) -> u64 {
        let open = self.pulls.iter().find(|(_, p)| p.branch == branch && p.state == PullState::Open);
        if let Some((number, _)) = open {
            return *number;
        }
        let number = self.pulls.len() as u64 + 1;
        let pull =
            Pull { branch: branch.to_owned(), state: PullState::Open, merge_commit: None, head: None, merged_by: None };
        self.pulls.insert(number, pull);
        number
    }

    /// Compare and merge: only this head, and only as a fast-forward of the default branch. `lies`: merges all the same
    /// when the default branch has moved on, which makes a tree nobody tested.
    pub(crate) fn merge(&mut self, number: u64, expect: &Sha, task: TaskId, blind: bool, lies: bool) -> MergeAnswer {
        let Some(pull) = self.pulls.get(&number).cloned() else {
            return MergeAnswer::Refused("there is no such pull request".into());
        };
        if pull.state != PullState::Open {
            return MergeAnswer::Refused("the pull request is not open".into());
        }
        if self.pull_head(&pull).as_ref() != Some(expect) {
            return MergeAnswer::HeadMoved;
        }
        let onto = self.main.clone();
        let forward = self.repo.is_ancestor(&onto, expect);
        if !forward && !lies {
            return MergeAnswer::BaseMoved;
        }
        let commit = if lies {
            let (mut tree, _) = self.repo.merged(expect, &onto);
            tree.insert("stamp".into(), hash(expect.as_str()) | 7);
            self.repo.commit(&[onto.clone(), expect.clone()], tree, "merged by the forge")
        } else {
            expect.clone()
        };
        self.main = commit.clone();
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.state = PullState::Merged;
            pull.merge_commit = Some(commit.clone());
            pull.head = Some(expect.clone());
            pull.merged_by = Some(Actor::orch());
        }
        let tree = self.repo.tree_id(&commit);
        self.landed.push(Landed {
            task,
            branch: pull.branch,
            asked: expect.clone(),
            commit,
            tree,
            onto,
            forge_lied: lies,
            blind,
            by_hand: false,
        });
        MergeAnswer::Merged
    }

    /// Somebody merges an open pull request on the forge: as it is where that can be, else by a commit of the forge's own.
    /// What conflicts or breaks main is not merged.
    pub(crate) fn merge_by_hand(
        &mut self,
        number: u64,
        task: TaskId,
        by: Option<Actor>,
        as_it_is: bool,
    ) -> Option<Sha> {
        let pull = self.pulls.get(&number).filter(|p| p.state == PullState::Open).cloned()?;
        let head = self.pull_head(&pull)?;
        let onto = self.main.clone();
        if self.repo.is_ancestor(&head, &onto) {
            return None;
        }
        let commit = if as_it_is && self.repo.is_ancestor(&onto, &head) {
            head.clone()
        } else {
            let (tree, conflicts) = self.repo.merged(&head, &onto);
            if !conflicts.is_empty() {
                return None;
            }
            self.repo.commit(&[onto.clone(), head.clone()], tree, "merged by hand")
        };
        let tree = self.repo.tree(&commit);
        if red(&tree).is_some() || tree.values().any(|content| *content == crate::repo::MARKERS) {
            return None;
        }
        self.main = commit.clone();
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.state = PullState::Merged;
            pull.merge_commit = Some(commit.clone());
            pull.head = Some(head.clone());
            pull.merged_by = by;
        }
        let tree = self.repo.tree_id(&commit);
        self.landed.push(Landed {
            task,
            branch: pull.branch,
            asked: head,
            commit: commit.clone(),
            tree,
            onto,
            forge_lied: false,
            blind: false,
            by_hand: true,
        });
        Some(commit)
    }

    /// What CI would truthfully say.
    pub(crate) fn truth(&self, commit: &Sha) -> CiState {
        if red(&self.repo.tree(commit)).is_some() { CiState::Red } else { CiState::Green }
    }
}
