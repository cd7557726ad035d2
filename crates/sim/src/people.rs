//! People, and others nobody asked: wishes at any time, sensible and not, twice or stale, by people who may and who may
//! not; strangers who push, close and delete.

use crate::sim::{Live, Sim};
use crate::site::{Ci, CiState, PullState};
use orch_core::event::Event;
use orch_core::ids::{Actor, GateId, ProjectKey, Sha, TaskId};
use orch_core::pipeline::Step;
use orch_core::task::{ApprovalKind, BlockReason, Phase, Task, WaitReason};
use orch_store::{Cause, Store};

/// Times a helpful person lets a task go on before giving it up.
const PATIENCE: u32 = 4;

impl Sim {
    fn open_task(&mut self) -> Option<Task> {
        let open: Vec<TaskId> = self.tasks.values().filter(|t| !t.is_closed()).map(|t| t.id).collect();
        let id = self.rng.pick(&open).copied()?;
        self.tasks.get(&id).cloned()
    }

    /// Puts a wish into the inbox and steps it, as command line, API and tracker do.
    pub(crate) fn ask(&mut self, task: TaskId, event: Event) -> Live<()> {
        self.keys += 1;
        let key = format!("k{}", self.keys);
        let at = self.now;
        let row = self.db(async |s| s.put_inbox("people", &key, task, event.clone(), at).await)?;
        let fresh = self.ledger.wishes.insert(key.clone());
        crate::invariants::ensure(row.is_some() == fresh, "a_wish_is_kept_once", || format!("{key}: {row:?}"))?;
        let Some(row) = row else { return Ok(()) };
        if self.hit("wish twice", 150) {
            let again = self.db(async |s| s.put_inbox("people", &key, task, event.clone(), at).await)?;
            crate::invariants::ensure(again.is_none(), "a_wish_is_kept_once", || format!("{key} twice: {again:?}"))?;
        }
        if self.hit("wish acknowledged, not stepped", 100) {
            return Ok(());
        }
        self.step(task, Cause::Inbox(row), event.clone())?;
        if self.hit("inbox row stepped twice", 100) {
            self.step(task, Cause::Inbox(row), event)?;
        }
        Ok(())
    }

    /// Somebody does something: often what the task waits for, sometimes anything.
    pub(crate) fn person(&mut self) -> Live<()> {
        let all: Vec<TaskId> = self.tasks.keys().copied().collect();
        let closed_too = self.rng.chance(100);
        let task =
            if closed_too { self.rng.pick(&all).and_then(|t| self.tasks.get(t)).cloned() } else { self.open_task() };
        let Some(task) = task else { return Ok(()) };
        let by: Actor = match self.rng.below(10) {
            0 => {
                self.seen.fault("wrong person");
                "local:mallory".into()
            }
            1..4 => "local:sam".into(),
            _ => "local:anna".into(),
        };
        let sensible = self.rng.chance(800);
        let event = match &task.phase {
            Phase::Idle if sensible => Event::Started { by },
            Phase::Waiting { why: WaitReason::Approval { subject, what }, .. } if sensible => {
                // Few tasks come as far as production: there a no has to be heard often enough to be visited.
                let no = if *what == ApprovalKind::Production { 600 } else { 350 };
                if self.hit("stale subject", 200) {
                    Event::Approved { by, gate: None, subject: Some(format!("not {subject}")) }
                } else if self.hit("person says no", no) {
                    Event::Rejected { by, comment: "not like this".into() }
                } else {
                    let seen = self.rng.chance(500).then(|| subject.clone());
                    Event::Approved { by, gate: None, subject: seen }
                }
            }
            Phase::Waiting { why: WaitReason::Answer { .. }, .. } if sensible => {
                Event::Answered { by, text: "blue".into() }
            }
            Phase::Blocked { .. } if sensible => Event::RetryAsked { by },
            Phase::Working { .. }
                if matches!(task.step(), Some(Step::PullRequest)) && self.hit("cancelled while opening", 300) =>
            {
                Event::CancelAsked { by }
            }
            Phase::Working { .. }
                if matches!(task.step(), Some(Step::Merge)) && self.hit("cancelled while merging", 600) =>
            {
                Event::CancelAsked { by }
            }
            _ => match self.rng.below(14) {
                0 => Event::Started { by },
                1 => Event::Approved { by, gate: Some(GateId::DeployStatus), subject: None },
                2 => Event::Rejected { by, comment: String::new() },
                3 => Event::Answered { by, text: "green".into() },
                4 if self.hit("cancelled at any time", 250) => Event::CancelAsked { by },
                5 => Event::RetryAsked { by },
                6 | 7 => {
                    self.seen.fault("ticket edited");
                    let n = self.rng.below(3);
                    Event::TicketEdited { title: format!("ticket {} v{n}", task.number), body: "please".into() }
                }
                _ => return Ok(()),
            },
        };
        self.ask(task.id, event)
    }

    /// Strangers on the forge.
    pub(crate) fn stranger(&mut self) -> Live<()> {
        let Some(task) = self.open_task() else { return Ok(()) };
        let project = task.project.clone();
        if self.hit("stranger pushes to main", 300) {
            return self.outsider_pushes(&project);
        }
        let unmerged = task.merged.is_none() && task.head.is_some();
        if unmerged && self.hit("stranger pushes to the branch", 100) {
            let content = (self.rng.next() % 10_000) * 8 + 4;
            let site = self.site(&project)?;
            if let Some(head) = site.branches.get(&task.branch).cloned() {
                let mut tree = site.repo.tree(&head);
                tree.insert("stranger".into(), content);
                let commit = site.repo.commit(&[head], tree, "stranger");
                site.branches.insert(task.branch.clone(), commit.clone());
                self.say(|| format!("   a stranger pushes {} to {}", commit.short(), task.branch));
            }
        } else if unmerged && self.hit("branch deleted", 25) {
            self.site(&project)?.branches.remove(&task.branch);
            self.say(|| format!("   {} is deleted by a stranger", task.branch));
        } else if unmerged && self.hit("pull request closed", 40) {
            let site = self.site(&project)?;
            for pull in site.pulls.values_mut().filter(|p| p.branch == task.branch && p.state == PullState::Open) {
                pull.state = PullState::Closed;
            }
            self.say(|| format!("   the pull request of {} is closed by a stranger", task.branch));
        }
        Ok(())
    }

    pub(crate) fn outsider_pushes(&mut self, project: &ProjectKey) -> Live<()> {
        let (file, n) = (format!("f{}", self.rng.below(6)), self.rng.next() % 10_000);
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

    /// A person who means well, and repairs what only a person can.
    pub(crate) fn help(&mut self, patience: &mut std::collections::BTreeMap<TaskId, u32>) -> Live<()> {
        let Some(task) = self.open_task() else { return Ok(()) };
        let by = || Actor::new("local:anna");
        let event = match &task.phase {
            Phase::Idle => Event::Started { by: by() },
            Phase::Waiting { why: WaitReason::Approval { subject, .. }, .. } => {
                Event::Approved { by: by(), gate: None, subject: Some(subject.clone()) }
            }
            Phase::Waiting { why: WaitReason::Answer { .. }, .. } => Event::Answered { by: by(), text: "blue".into() },
            Phase::Blocked { why, .. } => {
                self.repair(&task, why)?;
                let spent = patience.entry(task.id).or_default();
                *spent += 1;
                match *spent {
                    n if n <= PATIENCE => Event::RetryAsked { by: by() },
                    n if n <= PATIENCE + 1 => Event::CancelAsked { by: by() },
                    _ => return Ok(()),
                }
            }
            Phase::Waiting { why: WaitReason::Report { .. } | WaitReason::CannotTell { .. }, .. } => {
                return self.report_ci(&task);
            }
            _ => return Ok(()),
        };
        self.ask(task.id, event)
    }

    fn repair(&mut self, task: &Task, why: &BlockReason) -> Live<()> {
        let site = self.site(&task.project)?;
        if let (BlockReason::BranchMoved { now: None }, Some(head)) = (why, &task.head) {
            site.branches.entry(task.branch.clone()).or_insert_with(|| head.clone());
        }
        self.reopen(task)
    }

    /// Opens a closed pull request again. Whatever else a late worker opened for the branch meanwhile is closed first: a
    /// forge has one open pull request per branch.
    fn reopen(&mut self, task: &Task) -> Live<()> {
        let site = self.site(&task.project)?;
        let Some(number) = task.pull_request else { return Ok(()) };
        if site.pulls.get(&number).is_none_or(|p| p.state != PullState::Closed) {
            return Ok(());
        }
        for (n, pull) in &mut site.pulls {
            if *n == number {
                pull.state = PullState::Open;
            } else if pull.branch == task.branch && pull.state == PullState::Open {
                pull.state = PullState::Closed;
            }
        }
        Ok(())
    }

    /// Runs CI again where its report was lost or worth nothing, and opens a closed pull request again.
    fn report_ci(&mut self, task: &Task) -> Live<()> {
        self.reopen(task)?;
        let now = self.now;
        let head: Option<Sha> = task.head.clone();
        let site = self.site(&task.project)?;
        if let Some(head) = head
            && site.ci.get(&head).is_none_or(|c| c.state == CiState::Broken || now < c.from)
        {
            let state = site.truth(&head);
            site.ci.insert(head, Ci { state, from: now });
        }
        Ok(())
    }
}
