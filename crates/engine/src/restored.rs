//! A database that was brought back from a copy may be older than the world. Decides what such a database may still do
//! by itself: nothing that was on a default branch when it came back is brought to production without production's own
//! word or a person's, because the copy cannot know what was deployed after it was made.

use crate::cx::Cx;
use crate::engine::Engine;
use orch_core::effect::Outcome;
use orch_core::ids::{ProjectKey, Sha, WorkItem};
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::notifier::Notice;
use orch_store::Fact;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Longest wait for production's answer, milliseconds.
const PROBE_MS: u64 = 10_000;

/// Where a default branch is.
#[derive(Clone, Debug)]
pub struct Tip {
    /// A repository that has it.
    pub repository: PathBuf,
    /// Its tip.
    pub commit: Sha,
}

/// Notes where a project's default branch is as the copy comes back.
///
/// # Errors
/// A forge that does not answer: the copy cannot be compared yet.
pub async fn note(engine: &Engine, key: &ProjectKey, made_at: &str) -> Result<Tip, Fault> {
    let project = engine.project(key)?;
    let remote = project.forge.remote(key).await?;
    let branch = project.forge.default_branch(key).await?;
    let git = &engine.ports.git;
    git.fetch(key, &remote).await?;
    let tip = git.forge_branch(key, &branch).await?;
    let tip = tip.ok_or_else(|| Fault::permanent(format!("project {key}: the forge has no branch `{branch}`")))?;
    engine
        .ports
        .store
        .remember(&Fact::Restored(key.clone()), &format!("{tip} {made_at}"), engine.ports.clock.now())
        .await?;
    Ok(Tip { repository: git.repository(key), commit: tip })
}

/// What the copy does not know of the work items that landed (name and commit), a sentence each.
///
/// # Errors
/// A store that cannot be read.
pub async fn unknown(engine: &Engine, landed: &BTreeMap<String, String>) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    for (item, commit) in landed {
        let short = commit.get(..10).unwrap_or(commit);
        match engine.ports.store.task_by_item(&WorkItem::new(item)).await? {
            None => out.push(format!("{item} landed as {short}; this database has no task of it")),
            Some(task) if !knows(&task, commit) => out.push(format!(
                "{item} landed as {short}; here it is still `{}`: `orch task cancel {item}` if nothing is left to do",
                task.phase_word()
            )),
            Some(_) => {}
        }
    }
    Ok(out)
}

/// Does the task know that this landed? What an earlier branch or life of it brought in, it does; and one that is over has
/// nothing that could be done twice.
fn knows(task: &Task, commit: &str) -> bool {
    let landing = &task.landing;
    let known = landing.merged.iter().map(|m| &m.commit).chain(&landing.earlier).any(|known| known.as_str() == commit);
    known || landing.merged.is_some() || task.is_closed()
}

/// Claims nothing until a person says `orch resume`, and notifies one. To be asked before the engine runs.
///
/// # Errors
/// A store that cannot be written.
pub async fn hold(engine: &Engine, text: String, key: String) -> Result<(), Fault> {
    engine.drain(true).await?;
    tracing::warn!("{text}");
    if let Err(fault) = engine.ports.notifier.tell(&Notice { work_item: None, text, key }).await {
        tracing::warn!(%fault, "a person could not be notified");
    }
    Ok(())
}

/// What stands between a deploy and production.
pub(crate) enum Doubt {
    /// Nothing.
    None,
    /// Production says that it runs this, or something that contains it.
    Live(Sha),
    /// A person has to say.
    Ask(Outcome),
}

/// May this revision go to production without a question? Asked before a hook is begun.
pub(crate) async fn doubt(cx: &Cx, revision: &Sha) -> Result<Doubt, Fault> {
    let (store, git, project) = (cx.store(), &cx.engine.ports.git, &cx.project.key);
    let Some(noted) = store.recall(&Fact::Restored(project.clone())).await? else { return Ok(Doubt::None) };
    let (tip, made_at) = noted.split_once(' ').unwrap_or((&noted, ""));
    let tip = Sha::new(tip);
    if git.resolve(project, tip.as_str()).await?.is_none() || git.resolve(project, revision.as_str()).await?.is_none() {
        cx.fetch().await?;
    }
    // What landed after the copy came back was never deployed by anybody else.
    if *revision != tip && !git.is_ancestor(project, revision, &tip).await? {
        return Ok(Doubt::None);
    }
    // A person who asks again has decided: that is another job than the one that asked.
    let asked_fact = Fact::DeployAsked(cx.task.id, revision.clone());
    let asked = store.recall(&asked_fact).await?;
    if asked.as_deref().is_some_and(|seq| seq != cx.job.id.seq.to_string()) {
        return Ok(Doubt::None);
    }
    if let Some(url) = &cx.project.deploy.health_url
        && let Ok(answer) = cx.engine.ports.probe.get(url, PROBE_MS).await
        && let Some(running) = answer.revision
        && let Some(running) = git.resolve(project, &running).await?
        && git.is_ancestor(project, revision, &running).await?
    {
        return Ok(Doubt::Live(running));
    }
    store.remember(&asked_fact, &cx.job.id.seq.to_string(), cx.now()).await?;
    let item = &cx.task.work_item;
    let fault = Fault::denied(format!(
        "orch's database came back from a copy of {made_at}, and {} was on the default branch by then: production may \
         run it already, and it is not deployed twice without a person. Look at production; `orch task retry {item}` \
         deploys it",
        revision.short()
    ));
    Ok(Doubt::Ask(Outcome::Failed { fault: fault.note() }))
}
