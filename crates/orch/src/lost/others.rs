//! A tracker's or a forge's file that is gone beside a whole database: what is lost with it, and what is made again of what
//! the tasks know. Numbers stay what they are, so that none is given out twice.

use super::Gone;
use crate::config::Config;
use orch_adapters::git_forge::PullAgain;
use orch_adapters::local_tracker::{LocalTracker, TicketAgain};
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{GateId, ProjectKey, Sha};
use orch_core::run_of::RunOf;
use orch_core::task::{Phase, Task};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::forge::{CommitStatus, StatusState};
use orch_ports::tracker::TicketState;
use orch_store::Fact;
use orch_store::{Evidence, Memory, SqliteStore, TaskFilter, Tasks};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is made again of one task.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Again {
    /// `SHOP-12`
    pub item: String,
    /// Its title.
    pub title: String,
    /// The state its ticket gets, if the tracker is gone.
    pub ticket: Option<&'static str>,
    /// The number of its pull request, if the forge is gone and it has one.
    pub pull_request: Option<u64>,
    /// The commit that is known as its merge.
    pub merged: Option<String>,
    #[serde(skip)]
    project: ProjectKey,
    #[serde(skip)]
    lost_ticket: Option<TicketAgain>,
    #[serde(skip)]
    lost_pull: Option<PullAgain>,
}

impl Again {
    /// What becomes of it.
    pub fn says(&self) -> String {
        let ticket = self.ticket.map(|state| format!("its ticket is made again, at {state}"));
        let pull = self.pull_request.map(|number| match &self.merged {
            Some(commit) => {
                format!("pull request {number} is made again, merged as {}", commit.get(..10).unwrap_or(commit))
            }
            None => format!("pull request {number} is made again"),
        });
        ticket.into_iter().chain(pull).collect::<Vec<_>>().join("; ")
    }
}

/// What of a file no task knows.
pub fn lost(gone: &[Gone]) -> Vec<&'static str> {
    let mut lost = Vec::new();
    if gone.contains(&Gone::Tracker) {
        lost.extend(["comments on tickets", "what people did to a ticket and orch had not taken up yet"]);
    }
    if gone.contains(&Gone::Forge) {
        lost.extend([
            "comments and reviews on pull requests",
            "results of checks, but for the newest of orch's own CI on open tasks",
            "pull requests of the earlier branches of a task",
        ]);
    }
    lost
}

/// What can be made again, task by task, in order of their numbers.
///
/// # Errors
/// A database that cannot be read.
pub async fn look(config: &Config, store: &SqliteStore, gone: &[Gone]) -> Result<Vec<Again>, Fault> {
    let mut tasks = store.tasks(TaskFilter { closed: true, ..TaskFilter::default() }).await?;
    tasks.sort_by(|a, b| (&a.project, a.number).cmp(&(&b.project, b.number)));
    let mut again = Vec::new();
    for task in &tasks {
        let lost_ticket = if gone.contains(&Gone::Tracker) { Some(ticket(store, task).await?) } else { None };
        let lost_pull = if gone.contains(&Gone::Forge) { pull(config, store, task).await? } else { None };
        if lost_ticket.is_none() && lost_pull.is_none() {
            continue;
        }
        again.push(Again {
            item: task.work_item.to_string(),
            title: task.title.clone(),
            ticket: lost_ticket.as_ref().map(|t| t.state.as_str()),
            pull_request: lost_pull.as_ref().map(|p| p.number),
            merged: lost_pull.as_ref().and_then(|p| p.merged.as_ref()).map(ToString::to_string),
            project: task.project.clone(),
            lost_ticket,
            lost_pull,
        });
    }
    Ok(again)
}

async fn ticket(store: &SqliteStore, task: &Task) -> Result<TicketAgain, Fault> {
    let seen = store.recall(&Fact::TicketSeen(task.project.clone(), task.number)).await?;
    let seen = seen.and_then(|text| TicketState::parse(&text)).unwrap_or(TicketState::Backlog);
    Ok(TicketAgain {
        number: task.number,
        title: task.title.clone(),
        body: task.body.clone(),
        state: orch_core::ticket::state(task).unwrap_or(seen),
        created_at: task.created_at,
    })
}

async fn pull(config: &Config, store: &SqliteStore, task: &Task) -> Result<Option<PullAgain>, Fault> {
    let Some(number) = task.branch.pull_request else { return Ok(None) };
    let configured = config.projects.iter().find(|p| p.key == task.project.as_str());
    let intent = task.landing.intent.as_ref().filter(|_| task.landing.merged.is_none());
    Ok(Some(PullAgain {
        number,
        title: task.title.clone(),
        branch: task.branch.name.clone(),
        base: configured.map_or_else(|| "main".to_owned(), |p| p.default_branch.clone()),
        head: intent.map(|i| i.head.clone()).or_else(|| task.branch.head.clone()),
        merged: task.landing.merged.as_ref().map(|m| m.commit.clone()),
        // Of a project that is not configured there is no repository to ask.
        begun: intent.filter(|_| configured.is_some()).map(|i| (i.base.clone(), i.tree.as_str().to_owned())),
        closed: matches!(task.phase, Phase::Cancelled { .. }),
        statuses: match &task.branch.head {
            Some(head) if !task.is_closed() => ci(store, task, head).await?.into_iter().collect(),
            _ => Vec::new(),
        },
    }))
}

/// What orch's own CI said of a head: by its run, or because its gate let the head pass.
async fn ci(store: &SqliteStore, task: &Task, head: &Sha) -> Result<Option<CommitStatus>, Fault> {
    let runs = store.runs(task.id).await?;
    let ran = runs.iter().rev().find(|r| matches!(r.what, RunOf::Ci(_)) && r.revision.as_ref() == Some(head));
    let ran = ran.and_then(|r| Some((r.ok?, r.end.clone().unwrap_or_default())));
    let passed = || async {
        let judged = store.judgements(task.id).await?;
        Ok::<_, Fault>(
            judged.iter().any(|j| j.gate == GateId::CiGreen && j.head == *head && j.verdict == Verdict::Pass),
        )
    };
    let (state, description) = match ran {
        Some((true, _)) => (StatusState::Success, "green".to_owned()),
        Some((false, end)) => (StatusState::Failure, end),
        None if passed().await? => (StatusState::Success, "green".to_owned()),
        None => return Ok(None),
    };
    Ok(Some(CommitStatus { context: "ci".into(), state, description, url: None, at: task.updated_at }))
}

/// Makes the files anew. What orch knows of its tickets is written first: cut off anywhere, asking again finishes it.
///
/// # Errors
/// A file that cannot be made.
pub async fn begin(config: &Config, store: &SqliteStore, gone: &[Gone], again: Vec<Again>) -> Result<(), Fault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let data = config.data_dir();
    let mut tickets_of: BTreeMap<ProjectKey, Vec<TicketAgain>> = BTreeMap::new();
    let mut pulls_of: BTreeMap<ProjectKey, Vec<PullAgain>> = BTreeMap::new();
    for one in again {
        if let Some(ticket) = one.lost_ticket {
            let (project, number, now) = (&one.project, ticket.number, clock.now());
            store.remember(&Fact::TicketId(project.clone(), number), &ticket.id(), now).await?;
            store.remember(&Fact::TicketSeen(project.clone(), number), ticket.state.as_str(), now).await?;
            tickets_of.entry(one.project.clone()).or_default().push(ticket);
        }
        if let Some(pull) = one.lost_pull {
            pulls_of.entry(one.project).or_default().push(pull);
        }
    }
    if gone.contains(&Gone::Tracker) {
        let tracker = LocalTracker::open(&data.join("tracker.db"), Arc::clone(&clock))?;
        for (project, tickets) in tickets_of {
            store.remember(&Fact::TrackerCursor(project.clone()), "0", clock.now()).await?;
            tracker.make_again(&project, tickets).await?;
        }
    }
    if gone.contains(&Gone::Forge) {
        let forge = crate::vendors::all_served(config, clock).await?;
        for (project, pulls) in pulls_of {
            forge.make_again(&project, pulls).await?;
        }
    }
    Ok(())
}
