//! The record of a repository's default branch, one for all projects on it: where orch saw it last, and everything that
//! came in otherwise than by orch's own merges, kept for good. It decides what is news and who hears of it. It may never
//! take orch's own merge for somebody else's, and never move the record on before whoever must hear of it can: a crash in
//! between repeats and loses nothing.

mod documents;
mod guarded;
mod landed;
mod record;

pub(crate) use documents::asked as documents_asked;
pub(crate) use guarded::secrets;
pub use record::{DocumentsAsked, MainMove, MainRecord};

use crate::engine::Engine;
use crate::project::Project;
use landed::Landing;
use orch_core::event::Event;
use orch_core::ids::{ProjectKey, Sha, WorkItem};
use orch_core::phase::PhaseKind;
use orch_core::task::{ApprovalKind, MergeIntent, Phase, Task, WaitReason};
use orch_ports::Fault;
use orch_ports::git::CommitLine;
use orch_ports::notifier::Notice;
use orch_store::{Cause, TaskFilter};
use record::{Merge, key, read, read_move, turn, write};

/// Most commits of one move that are kept with author and subject.
const KEPT: usize = 20;
/// Most moves that are looked through for what a task's merge is prepared on.
const BACK: u64 = 20;
/// Source of what is sent to tasks.
const SOURCE: &str = "main";

/// The watcher's look. What it did, if it did anything.
pub(crate) async fn watch(engine: &Engine, project: &Project) -> Result<Option<String>, Fault> {
    let before = read(engine, &project.repository).await?;
    let remote = project.forge.remote(&project.key).await?;
    let tip = if remote.is_here() {
        let branch = project.forge.default_branch(&project.key).await?;
        project.forge.branch_head(&project.key, &branch).await?
    } else {
        engine.tip(project).await?
    };
    let Some(tip) = tip else { return Ok(None) };
    let turn = turn(engine, project);
    let mut moved = None;
    if before.as_ref().is_none_or(|record| record.tip != tip) {
        // Whoever holds the lease may be merging, and looks for itself. Who had merged before this was read has moved the
        // record on before it gave the lease back, which the second reading shows.
        let leases = engine.ports.store.leases().await?;
        if leases.iter().any(|lease| lease.project == project.repository && lease.holder.is_some()) {
            return Ok(None);
        }
        let _held = turn.lock().await;
        if read(engine, &project.repository).await? != before {
            return Ok(None);
        }
        engine.tip(project).await?;
        moved = look_at(engine, project, &tip).await?.1;
    }
    let held = turn.lock().await;
    let Some(mut record) = read(engine, &project.repository).await? else { return Ok(None) };
    tell(engine, project, &mut record).await?;
    drop(held);
    release(engine, project, &record, moved.is_some()).await?;
    Ok(moved.map(|m| format!("project {}: somebody else has moved main to {}", project.repository, m.to.short())))
}

/// A look at a tip that was just fetched, under the merge lease.
pub(crate) async fn look(engine: &Engine, project: &Project, tip: &Sha) -> Result<MainRecord, Fault> {
    let turn = turn(engine, project);
    let _held = turn.lock().await;
    let (mut record, _) = look_at(engine, project, tip).await?;
    tell(engine, project, &mut record).await?;
    Ok(record)
}

async fn look_at(engine: &Engine, project: &Project, tip: &Sha) -> Result<(MainRecord, Option<MainMove>), Fault> {
    let now = engine.ports.clock.now();
    let Some(mut record) = read(engine, &project.repository).await? else {
        let record = MainRecord::first(tip, now);
        write(engine, &key(&project.repository), &record).await?;
        return Ok((record, None));
    };
    if record.tip == *tip {
        return Ok((record, None));
    }
    // A worker that was away may bring an old tip, which would look like a main that was taken back.
    let branch = project.forge.default_branch(&project.key).await?;
    if project.forge.branch_head(&project.key, &branch).await?.as_ref() != Some(tip) {
        return Err(Fault::transient("the default branch moved while it was looked at"));
    }
    let moved = moved_to(engine, project, &mut record, tip).await?;
    Ok((record, moved))
}

/// Main is at `tip`: what is news of it is kept, and the record moves on.
async fn moved_to(
    engine: &Engine,
    project: &Project,
    record: &mut MainRecord,
    tip: &Sha,
) -> Result<Option<MainMove>, Fault> {
    let (git, at, of) = (&engine.ports.git, &project.key, &project.repository);
    let known = git.resolve(at, &format!("{}^{{commit}}", record.tip)).await?.is_some();
    let rewound = !known || !git.is_ancestor(at, &record.tip, tip).await?;
    let landings = landed::landings(engine, project, record, known, tip).await?;
    let own = landings.iter().filter(|l| l.by_orch()).map(Landing::merge);
    let own: Vec<Merge> = own.chain(documents::merged(engine, project, record).await?).collect();
    let others = beside(engine, at, tip, record, known, own.iter()).await?;
    if !rewound && others.is_empty() {
        // A merge of orch's own that was read back late.
        record.tip = tip.clone();
        write(engine, &key(of), record).await?;
        return Ok(None);
    }
    for landing in landings.iter().filter(|l| !l.by_orch()) {
        landing.send(engine, of, SOURCE, "").await?;
    }
    let of_people: Vec<Merge> = landings.iter().filter(|l| !l.by_orch()).map(Landing::merge).collect();
    let strangers = beside(engine, at, tip, record, known, own.iter().chain(&of_people)).await?;
    let protected = if !known {
        vec!["what it was before is not in the repository any more, so nobody can say what came in".into()]
    } else if strangers.is_empty() && !rewound {
        // Pull requests of tasks: a person who may approve has merged them, or one is asked.
        Vec::new()
    } else {
        guarded::came_in(engine, project, &record.tip, tip, rewound).await?
    };
    let mut commits = if known { others } else { Vec::new() };
    let mut gone = if known && rewound {
        git.commits(at, &record.tip, std::slice::from_ref(tip), KEPT + 1).await?
    } else {
        Vec::new()
    };
    let more = KEPT < commits.len() || KEPT < gone.len();
    commits.truncate(KEPT);
    gone.truncate(KEPT);
    let n = record.moves + 1;
    let tasks = landings.iter().filter(|l| !l.by_orch()).map(|l| l.task.work_item.clone()).collect();
    let (from, seen_at) = (record.tip.clone(), engine.ports.clock.now());
    let moved = MainMove { n, from, to: tip.clone(), seen_at, rewound, commits, gone, more, protected, tasks };
    write(engine, &orch_store::Fact::MainMove(of.clone(), n), &moved).await?;
    record.moves = n;
    record.tip = tip.clone();
    record.seen_at = seen_at;
    if project.merging.only_orch && record.pending.is_none() {
        record.pending = Some(n);
    }
    write(engine, &key(of), record).await?;
    for line in moved.lines() {
        tracing::info!(project = %of, tip = tip.short(), "somebody else has moved main: {line}");
    }
    Ok(Some(moved))
}

/// What came in beside these pull requests, and one more than is kept.
async fn beside<'a>(
    engine: &Engine,
    project: &ProjectKey,
    tip: &Sha,
    record: &MainRecord,
    known: bool,
    merges: impl Iterator<Item = &'a Merge>,
) -> Result<Vec<CommitLine>, Fault> {
    let (mut without, mut commits) = (Vec::new(), Vec::new());
    if known {
        without.push(record.tip.clone());
    }
    for merge in merges {
        without.push(merge.head.clone());
        commits.push(&merge.commit);
    }
    let all = engine.ports.git.commits(project, tip, &without, KEPT + 1 + commits.len()).await?;
    Ok(all.into_iter().filter(|c| !commits.contains(&&c.id)).collect())
}

/// orch's own merge has landed as `commit`. The record knows before anybody else does, so that nobody takes it for
/// somebody else's; what the forge merged it on top of, and nobody had seen, is news all the same.
pub(crate) async fn merged(
    engine: &Engine,
    project: &Project,
    intent: &MergeIntent,
    commit: &Sha,
) -> Result<(), Fault> {
    let turn = turn(engine, project);
    let held = turn.lock().await;
    let merge = Merge { head: intent.head.clone(), commit: commit.clone() };
    moved_on(engine, project, &merge).await?;
    let record = read(engine, &project.repository).await?;
    drop(held);
    match record {
        Some(record) => release(engine, project, &record, true).await,
        None => Ok(()),
    }
}

/// The record follows a merge of orch's own.
async fn moved_on(engine: &Engine, project: &Project, merge: &Merge) -> Result<(), Fault> {
    let (git, at, commit) = (&engine.ports.git, &project.key, &merge.commit);
    let of = &project.repository;
    let seen_at = engine.ports.clock.now();
    let Some(mut record) = read(engine, of).await? else {
        let record = MainRecord::first(commit, seen_at);
        return write(engine, &key(of), &record).await;
    };
    if record.tip == *commit || git.resolve(at, &format!("{}^{{commit}}", record.tip)).await?.is_none() {
        return Ok(());
    }
    // Seen already, or a main that was taken back: the next look says it.
    if git.is_ancestor(at, commit, &record.tip).await? || !git.is_ancestor(at, &record.tip, commit).await? {
        return Ok(());
    }
    let without = [record.tip.clone(), merge.head.clone()];
    let others = git.commits(at, commit, &without, 2).await?;
    if let Some(other) = others.into_iter().find(|c| c.id != *commit) {
        moved_to(engine, project, &mut record, &other.id).await?;
    }
    record.tip = commit.clone();
    record.seen_at = seen_at;
    write(engine, &key(of), &record).await
}

/// What came of a merge that was asked for, if one was: the record follows it, and forgets that it was asked for. One that
/// may still happen is forgotten only where nobody asks any more.
pub(crate) async fn documents_read_back(
    engine: &Engine,
    project: &Project,
    item: &WorkItem,
    given_up: bool,
) -> Result<(), Fault> {
    let turn = turn(engine, project);
    let _held = turn.lock().await;
    let Some(record) = read(engine, &project.repository).await? else { return Ok(()) };
    let Some(asked) = record.documents.iter().find(|d| d.work_item == *item) else { return Ok(()) };
    match documents::merge(project, asked).await? {
        Some(merge) => moved_on(engine, project, &merge).await?,
        None if !given_up => return Ok(()),
        None => {}
    }
    let Some(mut record) = read(engine, &project.repository).await? else { return Ok(()) };
    record.documents.retain(|d| d.work_item != *item);
    write(engine, &key(&project.repository), &record).await
}

/// Tells people what they must hear, each move once, until they have been told.
async fn tell(engine: &Engine, project: &Project, record: &mut MainRecord) -> Result<(), Fault> {
    let at = &project.repository;
    while record.told < record.moves {
        let n = record.told + 1;
        if let Some(moved) = read_move(engine, at, n).await?.filter(MainMove::is_news) {
            let how = if moved.rewound { "rewound" } else { "moved, and what is protected changed with it," };
            let text = format!(
                "{at}: main was {how} by somebody else, to {}: {} (`orch project main {at}`)",
                moved.to.short(),
                moved.lines().join("; ")
            );
            let notice = Notice { work_item: None, text, key: format!("main-{at}-{}-{n}", moved.to) };
            if let Err(fault) = engine.ports.notifier.tell(&notice).await {
                // The watcher tries again: nothing of the record waits for it.
                tracing::warn!(%fault, "could not tell a person");
                return Ok(());
            }
        }
        record.told = n;
        write(engine, &key(at), record).await?;
    }
    Ok(())
}

/// Tasks, of whichever project, that wait for an approval of main go on where there is one, and ask again where main has
/// moved on; so do those that wait because it fails by itself.
async fn release(engine: &Engine, project: &Project, record: &MainRecord, moved: bool) -> Result<(), Fault> {
    let waits = project.merging.only_orch && record.pending.is_some();
    let mut waiting = Vec::new();
    for of in engine.sharing(&project.repository) {
        let filter = TaskFilter {
            project: Some(of.key.clone()),
            phases: &[PhaseKind::AwaitingApproval],
            ..TaskFilter::default()
        };
        waiting.extend(engine.ports.store.tasks(filter).await?);
    }
    for task in waiting {
        let Phase::Waiting { why: WaitReason::Approval { what, subject, .. }, .. } = &task.phase else { continue };
        let goes_on = match what {
            ApprovalKind::Main => !waits || *subject != record.tip.as_str(),
            // Perhaps it is repaired. Where this is missed it is looked at all the same, only later.
            ApprovalKind::Base => moved,
            _ => false,
        };
        if goes_on {
            let what = format!("main is at {}", record.tip.short());
            engine.step(task.id, Cause::Engine, Event::Nudged { what }).await?;
        }
    }
    Ok(())
}

/// What a person has to approve before a merge is prepared on this tip: the lines that are shown. A task that has the
/// approval accepts the tip for all of its repository.
pub(crate) async fn unapproved(engine: &Engine, project: &Project, task: &Task) -> Result<Option<Vec<String>>, Fault> {
    if !project.merging.only_orch {
        return Ok(None);
    }
    let turn = turn(engine, project);
    let held = turn.lock().await;
    let Some(mut record) = read(engine, &project.repository).await? else { return Ok(None) };
    let Some(first) = record.pending else { return Ok(None) };
    if task.approved(ApprovalKind::Main, record.tip.as_str()).is_some() {
        record.pending = None;
        write(engine, &key(&project.repository), &record).await?;
        drop(held);
        release(engine, project, &record, false).await?;
        return Ok(None);
    }
    let mut shown = Vec::new();
    for n in (first..=record.moves).rev().take(KEPT) {
        if let Some(moved) = read_move(engine, &project.repository, n).await? {
            shown.extend(moved.lines());
        }
    }
    Ok(Some(shown))
}

/// The task's journal says what came in otherwise and its merge is prepared on, each move once.
pub(crate) async fn tell_task(engine: &Engine, project: &Project, task: &Task, tip: &Sha) -> Result<(), Fault> {
    let (git, at, of) = (&engine.ports.git, &project.key, &project.repository);
    let (Some(base), Some(record)) = (&task.branch.base, read(engine, of).await?) else { return Ok(()) };
    if base == tip {
        return Ok(());
    }
    let mut new = Vec::new();
    for n in (1..=record.moves).rev().take(usize::try_from(BACK).unwrap_or(usize::MAX)) {
        let Some(moved) = read_move(engine, of, n).await? else { continue };
        if git.resolve(at, &format!("{}^{{commit}}", moved.to)).await?.is_none() {
            continue;
        }
        if git.is_ancestor(at, &moved.to, base).await? {
            break;
        }
        if git.is_ancestor(at, &moved.to, tip).await? {
            new.push(moved);
        }
    }
    for moved in new.into_iter().rev() {
        let shown = moved.lines();
        let event = Event::MainMoved { tip: moved.to, shown };
        crate::commands::send(engine, SOURCE, &format!("moved-{}-{}", task.id.0, moved.n), task, event).await?;
    }
    Ok(())
}

/// Has somebody else merged the pull request of this very task? Then the task knows it.
pub(crate) async fn own_landed(engine: &Engine, project: &Project, task: &Task, at: &str) -> Result<bool, Fault> {
    if let Some(landing) = landed::merged_by_others(engine, project, task).await? {
        landing.send(engine, &project.repository, SOURCE, at).await?;
    }
    Ok(engine.task(task.id).await?.landing.landed.is_some())
}
