//! Which projects share a repository, and those that came to share one otherwise than they were begun. Decides which of them
//! are not served, and says of each what is in the way and what to do: two copies of one repository would each miss what the
//! other merges, and a task that was begun under another lease would merge beside everybody else. It moves and removes
//! nothing.

use crate::config::Config;
use crate::config::check::firsts;
use crate::config::project::Project;
use crate::config::repository::is_at;
use orch_core::ids::ProjectKey;
use orch_ports::Fault;
use orch_store::{Store, TaskFilter};
use std::collections::BTreeMap;
use std::path::PathBuf;

impl Config {
    /// The repository of a project: the key of the first project that has it.
    pub fn repository(&self, project: &Project) -> ProjectKey {
        let at = self.projects.iter().position(|p| p.key == project.key);
        let first = at.and_then(|at| Some(&self.projects[*firsts(&self.projects).get(at)?]));
        ProjectKey::new(&first.unwrap_or(project).key)
    }

    /// Every project with its repository, in the order of the file.
    pub fn repositories(&self) -> Vec<(ProjectKey, ProjectKey)> {
        let key = |i: usize| ProjectKey::new(&self.projects[i].key);
        firsts(&self.projects).into_iter().enumerate().map(|(i, first)| (key(i), key(first))).collect()
    }

    /// The projects on one repository, in the order of the file.
    pub fn sharing(&self, repository: &ProjectKey) -> Vec<ProjectKey> {
        self.repositories().into_iter().filter(|(_, of)| of == repository).map(|(key, _)| key).collect()
    }
}

/// Most tasks that are named.
const NAMED: usize = 10;

/// Projects that are not served, and why.
pub(crate) type Refused = BTreeMap<ProjectKey, String>;

/// Looks at every project of a configuration.
///
/// # Errors
/// A store that cannot be read.
pub(crate) async fn refused(config: &Config, store: &dyn Store) -> Result<Refused, Fault> {
    let mut refused = Refused::new();
    for (project, (key, repository)) in config.projects.iter().zip(config.repositories()) {
        let why = match begun_elsewhere(config, store, &key, &repository).await? {
            Some(why) => Some(why),
            None if key == repository => copy_of_another(config, store, project, &key).await?,
            None => own_copies(config, project, &key, &repository),
        };
        refused.extend(why.map(|why| (key, why)));
    }
    Ok(refused)
}

/// Open tasks that go by another repository's lease.
async fn begun_elsewhere(
    config: &Config,
    store: &dyn Store,
    key: &ProjectKey,
    repository: &ProjectKey,
) -> Result<Option<String>, Fault> {
    let open = store.tasks(TaskFilter { project: Some(key.clone()), ..TaskFilter::default() }).await?;
    let mut others = open.iter().rev().filter(|task| task.repository() != repository);
    let Some(first) = others.next() else { return Ok(None) };
    let (old, named) = (first.repository(), std::iter::once(first).chain(others).map(|t| t.work_item.to_string()));
    let named: Vec<String> = named.take(NAMED).collect();
    Ok(Some(format!(
        "{} began in the repository that goes by the key {old}, and by {} that is {repository} now: put `repo` and the order \
         of the [[project]] tables back to what they were and start orch again; change them when these tasks are done or \
         cancelled",
        named.join(", "),
        config.file.display()
    )))
}

fn forge_copy(config: &Config, key: &ProjectKey) -> PathBuf {
    config.data_dir().join("forge").join(format!("{key}.git"))
}

/// What a project that is not the first of its repository has of its own from before.
fn own_copies(config: &Config, project: &Project, key: &ProjectKey, repository: &ProjectKey) -> Option<String> {
    let copy = forge_copy(config, key);
    if project.forge == "local" && copy.is_dir() {
        return Some(format!(
            "it shares the repository of {repository}, and {} is a copy of its own from before, with what was merged there: \
             stop orch, bring what only that copy has into the repository of {repository}, move it away, and start orch again",
            copy.display()
        ));
    }
    let mirror = config.repos_dir().join(format!("{key}.git"));
    mirror.is_dir().then(|| {
        format!(
            "it shares the repository of {repository}, and {} is its own private repository from before: stop orch, move it \
             away (it holds what was kept of old branches), and start orch again",
            mirror.display()
        )
    })
}

/// A copy of the repository that went by another key: beside a new one, what was merged there would be missing.
async fn copy_of_another(
    config: &Config,
    store: &dyn Store,
    project: &Project,
    key: &ProjectKey,
) -> Result<Option<String>, Fault> {
    if project.forge != "local" || forge_copy(config, key).is_dir() {
        return Ok(None);
    }
    let newest = TaskFilter { project: Some(key.clone()), closed: true, limit: 1, ..TaskFilter::default() };
    let before = store.tasks(newest).await?.first().map(|task| task.repository().clone());
    let others = config.sharing(key).into_iter().chain(before).filter(|other| other != key);
    let copy = others.map(|other| (forge_copy(config, &other), other));
    Ok(copy.into_iter().find(|(dir, _)| dir.is_dir() && !is_at(&project.repo, dir)).map(|(dir, other)| {
        format!(
            "its repository went by the key {other} before, and what was merged is in {}: stop orch, put the [[project]] of \
             {other} before this one, or name that directory in `repo`, and start orch again",
            dir.display()
        )
    }))
}
