//! A database of this instance that is gone. Decides whether an empty one may be begun: not where the others say that it
//! held something. Of tasks nobody would know any more, or numbers would be given out again. Beside anything else it is a
//! first start.

pub mod others;

use crate::cli::{Exit, Failure};
use crate::config::Config;
use crate::keep::{RESTORED, Restored};
use crate::vendors::all_served;
use orch_adapters::git_forge::GitForge;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{ProjectKey, Time};
use orch_core::task::NewTask;
use orch_engine::tickets::item_of_branch;
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::forge::Forge;
use orch_ports::tracker::{Ticket, Tracker};
use orch_store::Fact;
use orch_store::sqlite::OpenOptions;
use orch_store::{Memory, SqliteStore, Tasks};
use std::path::Path;
use std::sync::Arc;

/// What of this instance lies beside a database: names for people.
pub fn remains(data: &Path) -> Vec<&'static str> {
    let filled = |name: &str| std::fs::read_dir(data.join(name)).is_ok_and(|mut all| all.next().is_some());
    let mut found = Vec::new();
    if !LocalTracker::is_empty(&data.join("tracker.db")) {
        found.push("tickets (tracker.db)");
    }
    if !GitForge::is_empty(&data.join("forge")) {
        found.push("pull requests (forge/forge.db)");
    }
    if filled("runs") {
        found.push("runs (runs/)");
    }
    found
}

/// A file beside the database that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The tracker's.
    Tracker,
    /// The forge's.
    Forge,
}

impl Gone {
    /// Its file below the state directory.
    pub fn file(self) -> &'static str {
        match self {
            Self::Tracker => "tracker.db",
            Self::Forge => "forge/forge.db",
        }
    }
    /// What it held.
    fn held(self) -> &'static str {
        match self {
            Self::Tracker => "tickets",
            Self::Forge => "pull requests",
        }
    }
}

/// What is gone beside a database that knows better.
pub fn gone(config: &Config) -> Vec<Gone> {
    let Some((tasks, pulls)) = SqliteStore::knows(&config.db.path) else { return Vec::new() };
    let data = config.data_dir();
    let tracker = (tasks && LocalTracker::is_empty(&data.join("tracker.db"))).then_some(Gone::Tracker);
    let forge = (pulls && GitForge::is_empty(&data.join("forge"))).then_some(Gone::Forge);
    tracker.into_iter().chain(forge).collect()
}

/// Refuses to begin a new database, or a new file of the tracker or the forge, beside what the others know.
///
/// # Errors
/// Exit 3, with both ways out.
pub fn refuse(config: &Config) -> Result<(), Failure> {
    let path = &config.db.path;
    if !SqliteStore::is_blank(path) {
        return refuse_others(config);
    }
    let found = remains(config.data_dir());
    if found.is_empty() {
        return Ok(());
    }
    let what = if path.exists() { "is empty" } else { "is not there" };
    let text = format!(
        "the database {} {what}, but beside it are this instance's own {}: a new one would know none of their tasks",
        path.display(),
        found.join(", ")
    );
    Err(Failure::new(Exit::CannotTell, text).hint(
        "bring a backup back with `orch restore DIR`, or see what is lost with `orch db new` and begin anew with \
         `orch db new --yes`",
    ))
}

fn refuse_others(config: &Config) -> Result<(), Failure> {
    let gone = gone(config);
    if gone.is_empty() {
        return Ok(());
    }
    let shown = |one: &Gone| {
        let file = config.data_dir().join(one.file());
        let what = if file.exists() { "is empty" } else { "is not there" };
        format!("{} {what}, and the tasks of {} have {} in it", file.display(), config.db.path.display(), one.held())
    };
    let text = gone.iter().map(shown).collect::<Vec<_>>().join("; ");
    Err(Failure::new(Exit::CannotTell, format!("{text}: a new one would give their numbers out again")).hint(
        "bring a backup back with `orch restore DIR`, or see with `orch db new` what is lost and what is made again from the \
         tasks, and do it with `orch db new --yes`",
    ))
}

/// What no ticket and no branch can tell.
pub const LOST: &[&str] = &[
    "approvals, answers and verdicts of tasks that are not over",
    "the journal and the evidence of every task",
    "which revision was deployed where",
    "what agents have cost",
];

/// A ticket whose task is not known any more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LostTask {
    /// `SHOP-12`
    pub item: String,
    /// Its title.
    pub title: String,
    /// The ticket's state.
    pub state: String,
    /// The task's branch, if the forge has one.
    pub branch: Option<String>,
    /// Where that is.
    pub head: Option<String>,
    /// The commit by which it landed, if a pull request of that branch did.
    pub merged: Option<String>,
    /// Did it land a person's branch? Then no agent may begin with it.
    pub lands: bool,
    #[serde(skip)]
    project: usize,
    #[serde(skip)]
    ticket: Option<Ticket>,
}

impl LostTask {
    /// What becomes of it.
    pub fn says(&self) -> String {
        match (&self.merged, &self.branch) {
            (Some(commit), _) => {
                let short = commit.get(..10).unwrap_or(commit);
                format!("is on the default branch as {short}: no task is opened, close the ticket")
            }
            (None, _) if self.lands => {
                "was landing a person's branch: no task is opened; land the branch again with `orch land`, and close the ticket"
                    .into()
            }
            (None, Some(branch)) => format!("is opened again and goes on from {branch} when it is started"),
            (None, None) => "is opened again and begins from the start".into(),
        }
    }
}

/// Every open ticket of the configured projects, and what the forge has of it.
///
/// # Errors
/// A tracker or forge that cannot be read.
pub async fn look(config: &Config) -> Result<Vec<LostTask>, Fault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let data = config.data_dir();
    let tracker = LocalTracker::open(&data.join("tracker.db"), Arc::clone(&clock))?;
    let forge = all_served(config, clock).await?;
    let mut lost = Vec::new();
    for (index, project) in config.projects.iter().enumerate() {
        let key = ProjectKey::new(&project.key);
        for ticket in tracker.changed_since(&key, Time(0)).await? {
            if ticket.state.is_over() {
                continue;
            }
            let item = format!("{}-{}", project.key, ticket.number);
            let log = forge.log(&key).await?;
            let copy = orch_core::slug::landing(&item.clone().into(), &ticket.title, 1);
            let is_copy =
                |branch: &str| branch.starts_with("land/") && item_of_branch(&key, branch) == Some(item.clone().into());
            let lands = orch_core::source::is_of_landing(&ticket.body)
                || forge.branch_head(&key, &copy).await?.is_some()
                || log.iter().any(|line| line.effect == "pull-opened" && is_copy(&line.detail));
            let branch = if lands { copy } else { orch_core::slug::branch(&item.clone().into(), &ticket.title, 1) };
            let head = forge.branch_head(&key, &branch).await?.map(|head| head.to_string());
            let opened = log
                .iter()
                .find(|line| line.effect == "pull-opened" && (line.detail == branch || lands && is_copy(&line.detail)));
            let number = opened.and_then(|line| line.number);
            let merged =
                log.iter().find(|line| line.effect == "merge-done" && number.is_some() && line.number == number);
            lost.push(LostTask {
                item,
                title: ticket.title.clone(),
                state: ticket.state.as_str().to_owned(),
                branch: head.is_some().then_some(branch),
                head,
                merged: merged.and_then(|line| line.new_base.as_ref()).map(ToString::to_string),
                lands,
                project: index,
                ticket: Some(ticket),
            });
        }
    }
    lost.sort_by_key(|one| (one.project, one.ticket.as_ref().map(|t| t.number)));
    Ok(lost)
}

/// The highest number that the branches of the forge's pull requests name: a tracker that is gone too, or older, must not
/// give it out again.
async fn given_out(config: &Config, key: &ProjectKey) -> Result<u64, Fault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let forge = all_served(config, clock).await?;
    let log = forge.log(key).await?;
    let opened = log.iter().filter(|line| line.effect == "pull-opened");
    Ok(opened.filter_map(|line| number_in(&line.detail, key)).max().unwrap_or(0))
}

/// The number in the name of a task's branch.
fn number_in(branch: &str, key: &ProjectKey) -> Option<u64> {
    item_of_branch(key, branch)?.as_str().rsplit_once('-')?.1.parse().ok()
}

/// Begins a new database, with a task that waits for its start for each ticket that has not landed.
///
/// # Errors
/// A database that cannot be made; nothing is begun then.
pub async fn begin(config: &Config, lost: &[LostTask]) -> Result<(), Fault> {
    let options = OpenOptions { holder: "orch db new".into(), ..OpenOptions::default() };
    let store = SqliteStore::open(&config.db.path, options)?;
    let now = SystemClock::new()?.now();
    for project in &config.projects {
        let given = given_out(config, &ProjectKey::new(&project.key)).await?;
        store.remember(&Fact::NumbersGiven(ProjectKey::new(&project.key)), &given.to_string(), now).await?;
    }
    for one in lost {
        let (Some(ticket), project) = (&one.ticket, &config.projects[one.project]) else { continue };
        // Otherwise a ticket that stands at In Progress would seem to have been moved there just now.
        let key = ProjectKey::new(&project.key);
        store.remember(&Fact::TicketSeen(key.clone(), ticket.number), ticket.state.as_str(), now).await?;
        store.remember(&Fact::TicketId(key, ticket.number), &ticket.id, now).await?;
        let Some(pipeline) = config.pipeline(project).filter(|_| one.merged.is_none() && !one.lands) else { continue };
        let new = NewTask {
            project: ProjectKey::new(&project.key),
            number: ticket.number,
            title: ticket.title.clone(),
            body: ticket.body.clone(),
            pipeline,
            landing: crate::wire::landing(config, project),
            repository: Some(config.repository(project)),
            source: None,
        };
        let (task, _) = store.create_task(new, now).await?;
        // What stands on its branch is its own work, which a person has just agreed to go on from.
        if let Some(head) = &one.head {
            store.remember(&Fact::Pushed(task.id, task.branch.name.clone()), head, now).await?;
        }
    }
    // What production runs is not known: nothing that is on a default branch already is deployed without a person.
    let restored = Restored { made_at: orch_engine::view::rfc3339(Time(0)), from: "nothing (`orch db new`)".into() };
    let body = serde_json::to_vec_pretty(&restored).map_err(|e| Fault::bug(e.to_string()))?;
    crate::instance::record::write_whole(&config.data_dir().join(RESTORED), &body)
        .map_err(|e| Fault::transient(format!("write {RESTORED}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::number_in;

    #[test]
    fn a_branch_of_a_task_names_its_number() {
        for (branch, key, number) in [
            ("feature/SHOP-12-show-the-version", "SHOP", Some(12)),
            ("feature/SHOP-12", "SHOP", Some(12)),
            ("land/SHOP-12-show", "SHOP", Some(12)),
            ("feature/SHOP-12-show-r2", "SHOP", Some(12)),
            ("feature/SHOP-X-12", "SHOP", None),
            ("feature/SHOP-X-12", "SHOP-X", Some(12)),
            ("feature/SHOPS-12", "SHOP", None),
            ("SHOP-12", "SHOP", None),
            ("feature/SHOP-", "SHOP", None),
        ] {
            assert_eq!(number_in(branch, &key.into()), number, "{branch}");
        }
    }
}
