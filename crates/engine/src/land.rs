//! Landing a person's own branch: which task does it, and what is refused before there is one. The branch is looked at on the
//! forge when it is asked for, and that commit is what the task lands.

use crate::commands::{self, Answer};
use crate::engine::Engine;
use crate::project::Project;
use crate::tickets;
use orch_artefacts::markdown;
use orch_core::event::Event;
use orch_core::ids::{Actor, ProjectKey, Sha};
use orch_core::landing::{AfterMerge, Documents, LandingPlan};
use orch_core::plain::is_odd;
use orch_core::policy::Act;
use orch_core::source::{Source, odd_name, ticket_text};
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::git::Written;
use orch_store::TaskFilter;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

/// Commits that a ticket lists.
const LISTED: usize = 50;
/// Longest title, characters.
const TITLE: usize = 120;

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Project.
    pub project: ProjectKey,
    /// The branch on the forge.
    pub branch: String,
    /// The commit the person has looked at: the branch must stand there. Nothing: wherever it stands.
    pub head: Option<Sha>,
    /// What the ticket and the commit are called; nothing: as the branch's commits say.
    pub title: Option<String>,
    /// Who asks.
    pub by: Actor,
}

/// What became of it.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum LandAnswer {
    /// A task lands it.
    Taken {
        /// Which.
        task: Task,
        /// The commit it lands.
        head: Sha,
        /// Was it landing exactly this already?
        already: bool,
    },
    /// It cannot be landed, and this is why.
    Refused(String),
}

impl Engine {
    /// Lands a person's branch. The same request again finds the task that does it.
    pub async fn land(&self, wish: &Wish) -> Result<LandAnswer, Fault> {
        let project = self.project(&wish.project)?;
        let (name, by) = (&wish.branch, &wish.by);
        if let Some(why) = odd_name(name) {
            return Ok(LandAnswer::Refused(why));
        }
        if !project.policy.may(by, Act::Land) {
            let what = format!("land branches of {}", project.key);
            return Ok(LandAnswer::Refused(project.policy.refusal(by, Act::Land, &what)));
        }
        let turn = self.turn_to_land(&project.key);
        let mut asked = turn.lock().await;
        *asked += 1;
        let nth = *asked;
        let (head, tip) = match self.looked_at(&project, name).await? {
            Ok(found) => found,
            Err(why) => return Ok(LandAnswer::Refused(why)),
        };
        if let Some(seen) = wish.head.as_ref().filter(|seen| !head.as_str().starts_with(seen.as_str())) {
            return Ok(LandAnswer::Refused(format!(
                "{name} stands at {}, not at {}: look again",
                head.short(),
                seen.short()
            )));
        }
        if let Some(task) = self.landing_of(&project, name).await? {
            return self.again(task, head, by, nth).await;
        }
        let written = self.ports.git.written(&project.key, &head, &[tip], LISTED).await?;
        self.anew(&project, wish, head, &written, nth).await
    }

    /// Where the branch and the default branch stand now; `Err`: why it cannot be landed.
    async fn looked_at(&self, project: &Project, name: &str) -> Result<Result<(Sha, Sha), String>, Fault> {
        let (git, key) = (&self.ports.git, &project.key);
        let remote = project.forge.remote(key).await?;
        let default_branch = project.forge.default_branch(key).await?;
        if name == default_branch {
            return Ok(Err(format!("{name} is the default branch: it is what branches land on")));
        }
        let about = tickets::item_of_branch(key, name);
        if let Some(item) = about.as_ref().filter(|_| name.starts_with("land/")) {
            return Ok(Err(format!(
                "{name} is called as orch calls its own copies ({item}): push it under another name"
            )));
        }
        if let Some(item) = about
            && let Some(task) = self.ports.store.task_by_item(&item).await?
            && !task.is_closed()
            && (task.branch.name == name || task.branch.old.iter().any(|(old, _)| old == name))
        {
            return Ok(Err(format!("{name} is the branch of {item}, which is under way: see `orch why {item}`")));
        }
        git.fetch(key, &remote).await?;
        let Some(head) = git.forge_branch(key, name).await? else {
            return Ok(Err(format!("there is no branch {name} at {}: push it there first", remote.url)));
        };
        let Some(tip) = git.forge_branch(key, &default_branch).await? else {
            return Ok(Err(format!("there is no branch {default_branch} at {}", remote.url)));
        };
        if git.is_ancestor(key, &head, &tip).await? {
            return Ok(Err(format!("{default_branch} has all of {name} ({}) already: nothing to land", head.short())));
        }
        if git.merge_bases(key, &head, &tip).await?.is_empty() {
            return Ok(Err(format!("{name} shares no history with {default_branch}")));
        }
        Ok(Ok((head, tip)))
    }

    /// One at a time in each project, and the number of the wish in this process.
    fn turn_to_land(&self, project: &ProjectKey) -> Arc<tokio::sync::Mutex<u64>> {
        let mut all = self.landing.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(project.clone()).or_default())
    }

    /// The open task that lands this branch.
    async fn landing_of(&self, project: &Project, name: &str) -> Result<Option<Task>, Fault> {
        let filter = TaskFilter { project: Some(project.key.clone()), ..TaskFilter::default() };
        let tasks = self.ports.store.tasks(filter).await?;
        let lands = |t: &Task| t.lands_next() && t.branch.source.as_ref().is_some_and(|s| s.name == name);
        Ok(tasks.into_iter().find(lands))
    }

    /// A task lands it already: with this very commit, or from now on with it.
    async fn again(&self, task: Task, head: Sha, by: &Actor, nth: u64) -> Result<LandAnswer, Fault> {
        if task.is_landing(&head) {
            return Ok(LandAnswer::Taken { task, head, already: true });
        }
        let item = task.work_item.clone();
        // What was refused a moment ago is asked again, not taken for known.
        let key = format!("{item}:land:{}:{nth}", self.options.worker);
        let event = Event::LandAsked { by: by.clone(), head: head.clone() };
        Ok(match commands::send(self, "people", &key, &task, event).await? {
            Answer::Done(task) => LandAnswer::Taken { task, head, already: false },
            Answer::Refused(why) => LandAnswer::Refused(format!("{item} lands it: {why}")),
        })
    }

    /// A ticket and a task for it. A process that ends in between finds the same ticket when it is asked again.
    async fn anew(
        &self,
        project: &Project,
        wish: &Wish,
        head: Sha,
        written: &[Written],
        nth: u64,
    ) -> Result<LandAnswer, Fault> {
        let (name, by) = (&wish.branch, &wish.by);
        let pipeline = project.pipeline.without_agents();
        if let Some(why) = pipeline.problems().first() {
            return Ok(LandAnswer::Refused(format!(
                "the pipeline `{}` lands nothing without its agents: {why}",
                project.pipeline.name
            )));
        }
        let filter = TaskFilter { project: Some(project.key.clone()), closed: true, ..TaskFilter::default() };
        let of_this = |t: &&Task| t.branch.source.as_ref().is_some_and(|s| s.name == *name);
        let before = self.ports.store.tasks(filter).await?.iter().filter(of_this).count();
        let key = format!("land:{name}:{head}:{before}");
        let (title, body) = (title(wish, written), body(name, &head, written));
        let above = tickets::given_out(&*self.ports.store, &project.key).await?;
        let ticket = project.tracker.create(&project.key, &title, &body, by, &key, above).await?;
        let plan = LandingPlan { documents: Documents::Evidence, after_merge: AfterMerge::Evidence, ..project.landing };
        let source = Source::new(name.clone(), head.clone());
        let task = commands::adopt_as(self, project, &ticket, (pipeline, plan), Some(source)).await?;
        self.begun(&project.key, &ticket).await?;
        let item = task.work_item.clone();
        let key = format!("{item}:land:{}:{nth}", self.options.worker);
        Ok(match commands::send(self, "people", &key, &task, Event::Started { by: by.clone() }).await? {
            Answer::Done(task) => LandAnswer::Taken { task, head, already: false },
            Answer::Refused(why) => LandAnswer::Refused(format!("{item} was made and not started: {why}")),
        })
    }
}

/// What the ticket is called.
fn title(wish: &Wish, written: &[Written]) -> String {
    let first = match written {
        [one] => one.message.lines().next().unwrap_or_default(),
        _ => "",
    };
    let title = wish.title.as_deref().unwrap_or(first);
    let title: String = title.chars().map(|c| if is_odd(c) { ' ' } else { c }).take(TITLE).collect();
    let title = title.trim();
    if title.is_empty() { format!("Land {}", wish.branch) } else { title.to_owned() }
}

/// What the ticket says.
fn body(name: &str, head: &Sha, written: &[Written]) -> String {
    let mut text = ticket_text(&markdown::code(name), head);
    if !written.is_empty() {
        text.push_str("\nIts commits:\n\n");
    }
    for one in written {
        let short = |text: &str| text.chars().take(TITLE).collect::<String>();
        let first = markdown::prose(&short(one.message.lines().next().unwrap_or_default()));
        let _ = writeln!(text, "- {} {first} ({})", one.id.short(), markdown::prose(&short(&one.author.name)));
    }
    if written.len() == LISTED {
        text.push_str("- and perhaps more\n");
    }
    text
}
