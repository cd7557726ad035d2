//! What landed on main: once, by the forge, tested exactly as it landed, and by no other way.

use super::Line;
use crate::api::field;
use crate::repo::git_in;
use crate::world::{PERSON, World};
use anyhow::Result;
use orch_adapters::git_forge::{GitForge, LogEntry, ServedRepo};
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{Actor, ProjectKey};
use orch_ports::clock::Clock;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A merge the forge carried out.
pub(super) struct Merge {
    pub(super) item: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// Exactly one pull request and one merge for each task, told by the forge's log; the change itself is on main once.
pub(super) fn merges(world: &World, tasks: &[Value], project: &str, found: &mut Vec<String>) -> Result<Vec<Merge>> {
    let log = forge_log(world, project)?;
    let mut pulls: BTreeMap<u64, String> = BTreeMap::new();
    for line in log.iter().filter(|l| l.effect == "pull-opened") {
        let item = item_of(&line.detail).unwrap_or_default();
        pulls.insert(line.number.unwrap_or_default(), item);
    }
    let mut merges = Vec::new();
    for line in log.iter().filter(|l| l.effect == "merge-done") {
        let item = line.number.and_then(|n| pulls.get(&n)).cloned().unwrap_or_default();
        let text = |sha: &Option<orch_core::ids::Sha>| sha.as_ref().map(ToString::to_string).unwrap_or_default();
        merges.push(Merge { item, old: text(&line.old_base), new: text(&line.new_base) });
    }
    let repo = world.repo(project);
    for task in tasks.iter().filter(|t| field(t, "project") == project) {
        let item = field(task, "id");
        let pulls = pulls.values().filter(|i| **i == item).count();
        let mine: Vec<&Merge> = merges.iter().filter(|m| m.item == item).collect();
        if 1 < pulls {
            found.push(format!("{item} has {pulls} pull requests"));
        }
        if field(task, "phase") != "done" {
            if !mine.is_empty() {
                found.push(format!("{item} is {} and was merged {} times", field(task, "phase"), mine.len()));
            }
            continue;
        }
        if pulls == 0 {
            found.push(format!("{item} has {pulls} pull requests"));
        }
        if mine.len() != 1 {
            found.push(format!("{item} was merged {} times", mine.len()));
        }
        let kind = world.made.get(&item).copied().unwrap_or_default();
        let file = if kind == "shared" { "src/shared.txt".to_owned() } else { format!("src/{item}.txt") };
        let mark = format!("mark {item}");
        let times = |commit: &str| {
            let text = git_in(&repo, &["show", &format!("{commit}:{file}")], &[]).unwrap_or_default();
            text.lines().filter(|l| *l == mark).count()
        };
        if times("refs/heads/main") != 1 {
            found.push(format!("main has the line of {item} {} times", times("refs/heads/main")));
        }
        for merge in mine {
            if times(&merge.old) != 0 || times(&merge.new) != 1 {
                found.push(format!("the merge {}..{} is not the one that brought {item}", merge.old, merge.new));
            }
            if field(task, "merge_commit") != merge.new {
                found.push(format!(
                    "{item} says it was merged as {}, it was {}",
                    field(task, "merge_commit"),
                    merge.new
                ));
            }
        }
    }
    Ok(merges)
}

/// `feature/ALFA-3-some-words` is about `ALFA-3`.
fn item_of(branch: &str) -> Option<String> {
    let mut parts = branch.strip_prefix("feature/")?.split('-');
    Some(format!("{}-{}", parts.next()?, parts.next()?))
}

fn forge_log(world: &World, project: &str) -> Result<Vec<LogEntry>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = ProjectKey::new(project);
        let source = world.repo(project).display().to_string();
        let repo = ServedRepo::here(key.clone(), source, "main");
        let forge = GitForge::open(&world.data().join("forge"), vec![repo], vec![Actor::new(PERSON)], clock()?).await;
        Ok(forge?.log(&key).await?)
    })
}

pub(super) fn clock() -> Result<Arc<dyn Clock>> {
    Ok(Arc::new(SystemClock::new()?))
}

/// Main went from its first commit to its last by merges and by the administrator's commits, each exactly once.
pub(super) fn chain(world: &World, project: &str, merges: &[Merge], found: &mut Vec<String>) {
    let admin = world.admin.iter().filter(|c| c.project == project).map(|c| (c.old.clone(), c.new.clone()));
    let mut steps: Vec<(String, String)> = merges.iter().map(|m| (m.old.clone(), m.new.clone())).chain(admin).collect();
    let mut at = world.initial[project].clone();
    while let Some(next) = steps.iter().position(|(old, _)| *old == at) {
        at = steps.swap_remove(next).1;
    }
    let main = git_in(&world.repo(project), &["rev-parse", "refs/heads/main"], &[]).unwrap_or_default();
    if at != main {
        found.push(format!("{project}: main is {main}, the merges lead to {at}"));
    }
    for (old, new) in steps {
        found.push(format!("{project}: {old}..{new} was merged, but main never went that way"));
    }
}

/// Files of a commit or tree without the papers of a work item.
fn code(repo: &Path, tree: &str, item: &str) -> Option<String> {
    let papers = format!("\tdocs/work-items/{item}/");
    let all = git_in(repo, &["ls-tree", "-r", "--full-tree", tree], &[]).ok()?;
    Some(all.lines().filter(|l| !l.contains(&papers)).collect::<Vec<_>>().join("\n"))
}

/// The code that landed was tested, exactly that, and was green.
pub(super) fn tested(world: &World, project: &str, merges: &[Merge], lines: &[Line], found: &mut Vec<String>) {
    let repo = world.repo(project);
    for merge in merges {
        let Some(landed) = code(&repo, &merge.new, &merge.item) else {
            found.push(format!("{}: the merge commit {} cannot be read", merge.item, merge.new));
            continue;
        };
        for what in ["ci", "test"] {
            let green = |l: &&Line| !l.starts && l.what == what && l.result == "ok" && l.item.starts_with(project);
            // Usually its own test, the newest: looked at first.
            let (own, other): (Vec<&Line>, Vec<&Line>) =
                lines.iter().rev().filter(green).partition(|l| l.item == merge.item);
            let trees: Vec<&str> = own.iter().chain(&other).map(|l| l.tree.as_str()).collect();
            if !trees.iter().any(|tree| code(&repo, tree, &merge.item).as_ref() == Some(&landed)) {
                found.push(format!("{}: no `{what}` was ever green on what landed as {}", merge.item, merge.new));
            }
        }
    }
}
