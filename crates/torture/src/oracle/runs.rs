//! What ran: each run once, one agent at a time for a work item, one hook at a time in an environment, nothing left.

use super::landed::Merge;
use super::{Allowed, Line};
use crate::repo::git_in;
use crate::world::World;
use orch_ports::supervisor::{EndReason, ExitRecord, files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One hook at a time in each environment; production only ever goes forward, and ends with every merge in it.
pub(super) fn production(
    world: &World,
    project: &str,
    merges: &[Merge],
    lines: &[Line],
    over: bool,
    allowed: Allowed,
    found: &mut Vec<String>,
) {
    let repo = world.repo(project);
    let contains = |new: &str, old: &str| git_in(&repo, &["merge-base", "--is-ancestor", old, new], &[]).is_ok();
    for environment in ["staging", "production"] {
        let mut busy: Option<&Line> = None;
        let hooks = lines.iter().filter(|l| l.place == environment && l.item.starts_with(project));
        for line in hooks.filter(|l| ["deploy", "rollback"].contains(&l.what.as_str())) {
            match (line.starts, busy) {
                (true, Some(other))
                    if !allowed.broken_runs && !world.killed_runs.contains(&PathBuf::from(&other.run)) =>
                {
                    found.push(format!(
                        "{environment} of {project}: {} began ({}) before {} had ended ({})",
                        line.item, line.run, other.item, other.run
                    ));
                }
                (false, Some(other)) if other.run != line.run => {
                    found.push(format!("{environment} of {project}: {} ended while {} was at it", line.run, other.run));
                }
                _ => {}
            }
            busy = line.starts.then_some(line);
            if line.what == "rollback" && line.starts {
                found.push(format!("{environment} of {project} was rolled back for {}", line.item));
            }
        }
    }
    let mut brought: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for line in lines.iter().filter(|l| !l.starts && l.what == "deploy" && l.item.starts_with(project)) {
        *brought.entry((&line.item, &line.place, &line.head)).or_default() += 1;
    }
    for ((item, place, head), times) in brought.into_iter().filter(|(_, times)| 1 < *times) {
        // After a run whose supervisor was killed, nobody knows what it did.
        let lost = |l: &Line| l.item == item && world.killed_runs.contains(&PathBuf::from(&l.run));
        if !allowed.broken_runs && !lines.iter().any(lost) {
            found.push(format!("{item} was brought to {place} as {head} {times} times"));
        }
    }
    let live: Vec<&Line> = lines
        .iter()
        .filter(|l| !l.starts && l.what == "deploy" && l.place == "production" && l.item.starts_with(project))
        .collect();
    for pair in live.windows(2) {
        if !contains(&pair[1].head, &pair[0].head) {
            found.push(format!(
                "production of {project} went back: {} brought {} after {} had brought {}",
                pair[1].item, pair[1].head, pair[0].item, pair[0].head
            ));
        }
    }
    if !over {
        return;
    }
    let Some(last) = live.last() else {
        // Where nothing was merged, there was nothing to bring.
        if merges.is_empty() {
            return;
        }
        return found.push(format!("nothing of {project} ever went to production"));
    };
    if !contains("refs/heads/main", &last.head) {
        found.push(format!("production of {project} runs {}, which is not on main", last.head));
    }
    for merge in merges.iter().filter(|m| !contains(&last.head, &m.new)) {
        found.push(format!("{}: its merge {} is not in what production runs, {}", merge.item, merge.new, last.head));
    }
}

/// Does the supervisor's record say that the run was stopped on demand?
fn is_cancelled(run: &Path) -> bool {
    let record = std::fs::read(run.join(files::EXIT)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    record.is_some_and(|record: ExitRecord| record.reason == EndReason::Cancelled)
}

/// Each run began once and ended, unless it was killed, or stopped because the person had cancelled its task; agents of one
/// work item never worked at the same time.
pub(super) fn runs(world: &World, lines: &[Line], allowed: Allowed, found: &mut Vec<String>) {
    let agents = world.data().join("runs");
    let killed = |line: &Line| {
        if allowed.broken_runs {
            return true;
        }
        let dir = PathBuf::from(&line.run);
        let dir = if line.what == "agent" { agents.join(&line.run) } else { dir };
        let cancelled = world.may_be_cancelled(&line.item) && is_cancelled(&dir);
        cancelled || world.killed_runs.contains(&dir)
    };
    let mut begun: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut open: BTreeMap<(&str, &str), &Line> = BTreeMap::new();
    let mut at_work: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in lines {
        let run = (line.what.as_str(), line.run.as_str());
        if line.starts {
            if !begun.insert(run) {
                found.push(format!("{} {} of {} began twice", line.what, line.run, line.item));
            }
            open.insert(run, line);
        } else if open.remove(&run).is_none() {
            found.push(format!("{} {} of {} ended without having begun", line.what, line.run, line.item));
        }
        if line.what != "agent" {
            continue;
        }
        let other = at_work.get(line.item.as_str()).copied();
        match (line.starts, other) {
            (true, Some(other)) if !killed(other) => {
                found.push(format!("{}: run {} began while {} was at work", line.item, line.run, other.run));
            }
            (false, Some(other)) if other.run != line.run => {
                found.push(format!("{}: run {} ended while {} was at work", line.item, line.run, other.run));
            }
            _ => {}
        }
        if line.starts {
            at_work.insert(&line.item, line);
        } else {
            at_work.remove(line.item.as_str());
        }
    }
    for line in open.values().filter(|l| !killed(l)) {
        found.push(format!("{} {} of {} began and never ended", line.what, line.run, line.item));
    }
}

/// No process of any run is left.
pub(super) fn nothing_left(world: &World, found: &mut Vec<String>) {
    let began = Instant::now();
    loop {
        let left = world.processes();
        if left.is_empty() {
            return;
        }
        if Duration::from_secs(5) < began.elapsed() {
            found.extend(left.iter().map(|p| format!("process {} of {} is still there", p.pid, p.run.display())));
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Place;

    fn began(item: &str, run: &Path) -> Line {
        let own = |text: &str| text.to_owned();
        Line {
            starts: true,
            what: own("ci"),
            item: own(item),
            place: own("-"),
            run: run.display().to_string(),
            head: own("1"),
            tree: own("2"),
            result: own("-"),
        }
    }

    /// What is found of a CI run that began, did not end, and has this record.
    fn found(kind: &'static str, reason: &str) -> Vec<String> {
        let temp = tempfile::tempdir().unwrap();
        let mut world = World::new(temp.path(), Path::new("/bin/sh"), Place::beside).unwrap();
        world.made.insert("ALFA-1".into(), kind);
        let run = world.data().join("runs/1-1-1-ci");
        std::fs::create_dir_all(&run).unwrap();
        let record = format!(r#"{{"reason":"{reason}","code":null,"signal":15,"started":1,"ended":2,"strays":0}}"#);
        std::fs::write(run.join(files::EXIT), record).unwrap();
        let mut found = Vec::new();
        runs(&world, &[began("ALFA-1", &run)], Allowed::default(), &mut found);
        found
    }

    #[test]
    fn a_run_is_cut_short_only_by_the_person_who_cancels_its_task() {
        assert_eq!(found("dropped", "cancelled"), Vec::<String>::new());
        assert_eq!(found("dropped", "exited").len(), 1, "it says that it ended by itself");
        assert_eq!(found("own", "cancelled").len(), 1, "nobody cancels this task");
    }
}
