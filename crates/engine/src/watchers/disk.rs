//! Keeps the working directories of tasks within their limit. One is made anew from the branch whenever an agent needs
//! it, so that of a task nobody works on can go; one that may hold work not committed yet never does. Lets go what is
//! kept of branches when its time is over.

use super::report::Report;
use crate::engine::Engine;
use orch_core::ids::WorkItem;
use orch_core::pipeline::Step;
use orch_core::task::Task;
use orch_ports::Fault;
use orch_ports::git::Shelf;
use std::path::Path;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    forget(engine, &mut report).await?;
    super::retention::sweep(engine, &mut report).await?;
    let max = engine.options.worktrees_max_bytes;
    if max == 0 {
        return Ok(report);
    }
    let git = &engine.ports.git;
    let mut there: Vec<(Task, u64)> = Vec::new();
    // From the directories to their tasks: there are few of those, and ever more tasks.
    for (project, item) in git.worktrees().await? {
        let Some(task) = engine.ports.store.task_by_item(&item).await? else { continue };
        let dir = git.worktree_path(&project, &item);
        let bytes = tokio::task::spawn_blocking(move || size(&dir)).await.unwrap_or(0);
        there.push((task, bytes));
    }
    let mut stays = None;
    let mut total: u64 = there.iter().map(|(_, bytes)| bytes).sum();
    there.sort_by_key(|(task, _)| (!task.is_closed(), task.updated_at));
    for (task, bytes) in there {
        if total <= max {
            break;
        }
        report.found += 1;
        if !is_spare(&task) {
            continue;
        }
        if let Err(fault) = git.remove_worktree(&task.project, &task.work_item).await {
            // The others may have what is needed.
            stays = Some(fault);
            continue;
        }
        total = total.saturating_sub(bytes);
        report.acted += 1;
        report.last = Some(format!("removed the working directory of {} ({} MB)", task.work_item, bytes / 1_000_000));
    }
    if let Some(fault) = stays {
        return Err(fault);
    }
    Ok(report)
}

/// Lets kept commits of tasks go that were closed long ago, by the time of the task and not of any file.
async fn forget(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let kept = &engine.options.retention;
    let shelves = [(Shelf::History, kept.history_ms, "history_days"), (Shelf::Attic, kept.attic_ms, "attic_days")];
    let (git, store, now) = (&engine.ports.git, &engine.ports.store, engine.ports.clock.now());
    for (shelf, kept_ms, key) in shelves {
        let Some(kept_ms) = kept_ms else { continue };
        for project in engine.projects().keys() {
            for (name, _) in git.kept(project, shelf).await? {
                let task = match shelf {
                    Shelf::History => match name.split_once('/') {
                        Some((item, _)) => store.task_by_item(&WorkItem::new(item)).await?,
                        None => None,
                    },
                    Shelf::Attic => match super::retention::job_of(&name) {
                        Some(job) => store.task(job.task).await?,
                        None => None,
                    },
                };
                // What belongs to no task that is known is somebody else's.
                let Some(task) = task.filter(|t| t.project == *project) else { continue };
                if task.is_closed() && kept_ms <= now.since_ms(task.updated_at) {
                    git.let_go(project, shelf, &name).await?;
                    report.found += 1;
                    report.acted += 1;
                    let item = &task.work_item;
                    report.last = Some(format!("let commits of {item} go ({name}): `[retention] {key}` is over"));
                }
            }
        }
    }
    Ok(())
}

/// Everything of it is on the branch, and nobody is at work in it.
fn is_spare(task: &Task) -> bool {
    task.is_closed() || (task.job().is_none() && !matches!(task.step(), Some(Step::Agent { .. } | Step::Publish)))
}

/// Size of a directory, links not followed; what cannot be read counts as nothing.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(m) if m.is_dir() => size(&entry.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_as_large_as_its_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x"), [0; 100]).unwrap();
        std::fs::write(dir.path().join("y"), [0; 23]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("loop")).unwrap();
        let links = std::fs::symlink_metadata(dir.path().join("loop")).unwrap().len();
        assert_eq!(size(dir.path()), 123 + links);
    }
}
