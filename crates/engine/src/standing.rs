//! Which projects can be worked on, and what the instance as a whole is short of: a repository out of service, a project
//! that left the configuration, a directory that cannot be written, draining. Decides that such a project's jobs wait and
//! cost nothing, and says why wherever people look. It may never fail a job for any of it: what is wrong here is wrong
//! outside, ends by itself when it is repaired, and concerns no other project.

use crate::engine::Engine;
use crate::files::probe;
use crate::people;
use crate::services;
use crate::text::rfc3339;
use crate::watchers::report::Report;
use crate::who_may::{WhoMay, not_configured, people_of};
use orch_core::effect::Effect;
use orch_core::ids::{ProjectKey, Time};
use orch_ports::Fault;
use orch_store::{Charge, Job, Requeue, TaskFilter};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How soon a job of a project that cannot be worked on looks again by itself, milliseconds.
const LOOK_MS: i64 = 30_000;
/// Most tasks that are named at once.
const NAMED: u32 = 500;

/// Something that keeps work from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `repository`, `configuration`, `directory` or `store`.
    pub kind: &'static str,
    /// The project, where it is one project's.
    pub project: Option<String>,
    /// What is wrong, and what ends it.
    pub why: String,
    /// Since when, if that is known.
    pub since: Option<String>,
    /// Open tasks that wait for it, the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

impl Trouble {
    /// The store cannot be read.
    pub fn of_store(why: &str) -> Self {
        let why = format!("the store cannot be read: {why}");
        Self { kind: "store", project: None, why, since: None, tasks: Vec::new() }
    }
}

/// Does this job have to wait for its project? It goes back to the queue then, and pays nothing.
pub(crate) fn park(engine: &Engine, job: &Job) -> Option<Requeue> {
    let later = |text: String, service: String| Requeue {
        charge: Charge::Nothing,
        new_run: false,
        not_before: engine.ports.clock.now().plus_ms(LOOK_MS),
        fault: Fault::transient(text).note(),
        parked: Some(service),
    };
    let projects = engine.projects();
    let Some(project) = projects.get(&job.project) else {
        // A notice needs no project, and is how people hear of it.
        let needs = !matches!(job.effect, Effect::Notify { .. });
        return needs.then(|| later(not_configured(&job.project), format!("project:{}", job.project)));
    };
    if !job.effect.needs_repository() {
        return None;
    }
    let out = project.forge.out_of_service(&job.project)?;
    Some(later(format!("its repository is out of service: {}", out.why), format!("forge:{}", job.project)))
}

/// Says at the start what cannot be worked on, and lets go on what waited for a project that is back.
pub(crate) async fn at_start(engine: &Engine) -> Result<(), Fault> {
    take_up(engine).await?;
    for trouble in engine.troubles().await? {
        let tasks = if trouble.tasks.is_empty() { String::new() } else { format!(" ({})", trouble.tasks.join(", ")) };
        tracing::warn!("{}{tasks}", trouble.why);
    }
    Ok(())
}

/// Keeps who the people of each project are, and wakes what waited for its project to be configured.
pub(crate) async fn take_up(engine: &Engine) -> Result<(), Fault> {
    let store = &engine.ports.store;
    people::take_up(engine).await?;
    for project in engine.projects().values() {
        let of = &project.policy;
        let (starters, approvers, landers) = (of.starters.clone(), of.approvers.clone(), of.landers.clone());
        let who = WhoMay { starters, approvers, landers, people: of.people.clone() };
        let text = serde_json::to_string(&who).map_err(|e| Fault::bug(e.to_string()))?;
        if store.recall(&people_of(&project.key)).await?.as_ref() != Some(&text) {
            store.remember(&people_of(&project.key), &text, engine.ports.clock.now()).await?;
        }
        let lanes = store.unpark(&format!("project:{}", project.key), engine.ports.clock.now()).await?;
        lanes.iter().filter_map(|lane| engine.wake.get(lane)).for_each(tokio::sync::Notify::notify_one);
    }
    Ok(())
}

/// Looks at every repository that is out of service.
pub(crate) async fn look_again(engine: &Engine, report: &mut Report) {
    for project in engine.projects().values() {
        if project.forge.out_of_service(&project.key).is_none() {
            continue;
        }
        report.found += 1;
        // Why it still cannot be served is what its standing says.
        if project.forge.look_again(&project.key).await.is_ok() {
            report.acted += 1;
            report.last = Some(format!("project {}: its repository is in service again", project.key));
            services::answers_again(engine, &format!("forge:{}", project.key)).await;
        }
    }
}

/// Directories the engine must be able to write; one that cannot be, with the reason.
fn unwritable(dirs: &BTreeSet<PathBuf>) -> Vec<(PathBuf, String)> {
    dirs.iter().filter_map(|dir| Some((dir.clone(), probe(dir).err()?.to_string()))).collect()
}

impl Engine {
    /// What is wrong with a project, in a sentence; `None`: it can be worked on.
    pub fn project_out(&self, project: &ProjectKey) -> Option<(String, Option<Time>)> {
        match self.projects().get(project) {
            None => Some((not_configured(project), None)),
            Some(known) => {
                let out = known.forge.out_of_service(project)?;
                Some((format!("the repository of {project} is out of service: {}", out.why), Some(out.since)))
            }
        }
    }

    /// Everything that keeps work from going on, the projects' troubles first.
    pub async fn troubles(&self) -> Result<Vec<Trouble>, Fault> {
        let mut found = Vec::new();
        let projects = self.projects();
        for project in projects.values() {
            if let Some(out) = project.forge.out_of_service(&project.key) {
                let ends = if out.by_itself { "orch looks again by itself" } else { "a restart looks again" };
                found.push(Trouble {
                    kind: "repository",
                    project: Some(project.key.to_string()),
                    why: format!(
                        "project {} is out of service: {}; {ends}, the other projects go on",
                        project.key, out.why
                    ),
                    since: Some(rfc3339(out.since)),
                    tasks: Vec::new(),
                });
            }
        }
        let mut without: BTreeMap<ProjectKey, Vec<String>> = BTreeMap::new();
        for key in self.ports.store.open_projects().await?.into_iter().filter(|key| !projects.contains_key(key)) {
            let filter = TaskFilter { project: Some(key.clone()), limit: NAMED, ..TaskFilter::default() };
            let open = self.ports.store.tasks(filter).await?;
            without.insert(key, open.iter().rev().map(|t| t.work_item.to_string()).collect());
        }
        for (project, tasks) in without {
            let n = tasks.len();
            let tasks_wait = if n == 1 { "1 open task waits".to_owned() } else { format!("{n} open tasks wait") };
            found.push(Trouble {
                kind: "configuration",
                why: format!("{}; {tasks_wait} until then", not_configured(&project)),
                project: Some(project.to_string()),
                since: None,
                tasks: tasks.into_iter().take(10).collect(),
            });
        }
        let dirs = self.options.written_dirs.clone();
        let broken = tokio::task::spawn_blocking(move || unwritable(&dirs)).await.unwrap_or_default();
        found.extend(broken.into_iter().map(|(dir, why)| Trouble {
            kind: "directory",
            project: None,
            why: format!("{} cannot be written: {why}; orch goes on by itself when it can", dir.display()),
            since: None,
            tasks: Vec::new(),
        }));
        Ok(found)
    }
}
