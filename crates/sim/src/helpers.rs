//! People who mean well once nothing fails any more, and repair what only a person can; and in quiet lives people who do
//! nothing but move tickets, by a plan.

use crate::sim::{Flight, Live, Sim};
use crate::site::{Ci, CiState, PullState};
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, Role, Sha, TaskId};
use orch_core::task::{BlockReason, Phase, Task, WaitReason, WayOut};
use orch_ports::tracker::{Shown, TicketState};

/// Times a helpful person lets a task go on before giving it up.
const PATIENCE: u32 = 4;

/// What is going to happen to a ticket in a quiet life, whenever that is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// It is edited before it is started.
    edited: bool,
    /// It is cancelled instead of approved.
    cancelled: bool,
    /// Its first developer is denied: it is blocked until somebody moves it on.
    stumbles: bool,
}

impl Sim {
    /// A person who means well, and repairs what only a person can.
    pub(crate) fn help(&mut self, patience: &mut std::collections::BTreeMap<TaskId, u32>) -> Live<()> {
        if !self.plans.is_empty() {
            return self.follow_a_plan();
        }
        self.starts_a_new_one()?;
        let Some(task) = self.open_task() else { return Ok(()) };
        let by = || Actor::new("local:anna");
        let event = match &task.phase {
            _ if task.wait.on_hold.is_some() => Event::Released { by: by() },
            Phase::Idle => Event::Started { by: by() },
            Phase::Waiting { why: WaitReason::Approval { subject, .. }, .. } => {
                Event::Approved { by: by(), gate: None, subject: Some(subject.clone()), comment: None }
            }
            Phase::Waiting { why: WaitReason::After { .. }, .. } => match self.frees_a_start(&task, by()) {
                Some(event) => event,
                None => return Ok(()),
            },
            Phase::Waiting { why: WaitReason::Answer { .. }, .. } => Event::Answered { by: by(), text: "blue".into() },
            Phase::Waiting { why: WaitReason::Unable { .. }, .. } => Event::RetryAsked { by: by() },
            // Whoever has repaired it often enough leaves it at that.
            Phase::Waiting { why: WaitReason::Production { .. }, .. }
                if patience.get(&task.id).is_some_and(|n| PATIENCE < *n) =>
            {
                Event::WayChosen { by: by(), way: WayOut::Accept }
            }
            Phase::Waiting { why: WaitReason::Production { .. }, .. } => self.a_way_out(by()),
            // Two failures that wait for each other: a person settles one of them.
            Phase::Waiting { why: WaitReason::Held { by: other, .. }, .. } => {
                let waits = |t: &&Task| matches!(&t.phase, Phase::Waiting { why: WaitReason::Held { by, .. }, .. } if *by == task.work_item);
                let each_other = self.tasks.values().filter(|t| t.work_item == *other).any(|t| waits(&t));
                if !each_other {
                    return Ok(());
                }
                Event::WayChosen { by: by(), way: WayOut::Accept }
            }
            Phase::Blocked { why, .. } => {
                self.repair(&task, why)?;
                // Its author has just repaired it, and others may have landed what does not go with that.
                let spent = patience.entry(task.id).or_default();
                if matches!(why, BlockReason::Returned { .. }) && *spent <= PATIENCE {
                    *spent += u32::from(self.choices.chance("loses patience", 200));
                    let event = self.lands_as_it_stands(&task, by())?;
                    return self.ask(task.id, event);
                }
                let spent = patience.entry(task.id).or_default();
                *spent += 1;
                match *spent {
                    n if n <= PATIENCE => Event::RetryAsked { by: by() },
                    n if n <= PATIENCE + 1 => Event::CancelAsked { by: by() },
                    _ if !task.production.failures.is_empty() && task.landing.merged.is_none() => {
                        Event::CancelAsked { by: by() }
                    }
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
        if matches!(why, BlockReason::Returned { .. }) {
            self.author_pushes(&task.project, task.number, true)?;
        }
        let site = self.site(&task.project)?;
        if let (BlockReason::BranchMoved { now: None }, Some(head)) = (why, &task.branch.head) {
            site.branches.entry(task.branch.name.clone()).or_insert_with(|| head.clone());
        }
        self.reopen(task)
    }

    /// Opens a closed pull request again. Whatever else a late worker opened for the branch meanwhile is closed first: a
    /// forge has one open pull request per branch.
    fn reopen(&mut self, task: &Task) -> Live<()> {
        let site = self.site(&task.project)?;
        let Some(number) = task.branch.pull_request else { return Ok(()) };
        if site.pulls.get(&number).is_none_or(|p| p.state != PullState::Closed) {
            return Ok(());
        }
        for (n, pull) in &mut site.pulls {
            if *n == number {
                pull.state = PullState::Open;
            } else if pull.branch == task.branch.name && pull.state == PullState::Open {
                pull.state = PullState::Closed;
            }
        }
        Ok(())
    }

    /// Runs CI again where its report was lost or worth nothing, and opens a closed pull request again.
    fn report_ci(&mut self, task: &Task) -> Live<()> {
        self.reopen(task)?;
        let now = self.now;
        let head: Option<Sha> = task.branch.head.clone();
        let site = self.site(&task.project)?;
        if let Some(head) = head
            && site.ci.get(&head).is_none_or(|c| c.state == CiState::Broken || now < c.from)
        {
            let state = site.truth(&head);
            site.ci.insert(head, Ci { state, from: now });
        }
        Ok(())
    }

    /// What people are going to do in a quiet life.
    pub(crate) fn plan(&mut self) {
        let all: Vec<(ProjectKey, u64)> =
            self.sites.values().flat_map(|s| s.tickets.keys().map(|n| (s.key.clone(), *n))).collect();
        for ticket in all {
            let pipeline = self.sites.get(&ticket.0).and_then(|s| s.pipelines.get(&ticket.1));
            let analysed = pipeline.is_some_and(|p| p.name == "full");
            let plan = Plan {
                edited: self.choices.chance("edited", 300),
                // What is asked first about these is the analysis; what is merged cannot be cancelled.
                cancelled: self.choices.chance("cancelled", 350) && analysed,
                stumbles: self.choices.chance("stumbles", 400),
            };
            self.plans.insert(ticket, plan);
        }
    }

    /// Does the plan want this developer to be denied? Once.
    pub(crate) fn stumbles(&mut self, f: &Flight, role: &Role) -> bool {
        let plan = self.plans.get_mut(&(f.task.project.clone(), f.task.number));
        role.as_str() == "developer" && plan.is_some_and(|p| std::mem::take(&mut p.stumbles))
    }

    /// Somebody looks at a ticket, and moves it if it is their turn. They see nothing but the tracker.
    fn follow_a_plan(&mut self) -> Live<()> {
        let all: Vec<(ProjectKey, u64)> = self.plans.keys().cloned().collect();
        let Some((project, number)) = self.choices.pick("ticket", &all, |t| t.1) else { return Ok(()) };
        let Some(ticket) = self.site(&project)?.tickets.get(&number).cloned() else { return Ok(()) };
        let plan = self.plans.get(&(project.clone(), number)).cloned().unwrap_or_default();
        let Shown::Known(state) = ticket.state else { return Ok(()) };
        let to = match state {
            TicketState::Backlog if plan.edited => {
                if let Some(plan) = self.plans.get_mut(&(project.clone(), number)) {
                    plan.edited = false;
                }
                return self.edit_ticket(&project, number, format!("ticket {number}, better"));
            }
            TicketState::Backlog | TicketState::Blocked => TicketState::InProgress,
            TicketState::AwaitingApproval if plan.cancelled => TicketState::Cancelled,
            TicketState::AwaitingApproval => TicketState::Approved,
            _ => return Ok(()),
        };
        self.move_ticket(&project, number, to, "local:anna".into())
    }
}
