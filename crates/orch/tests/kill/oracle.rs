//! What must be true afterwards. Asked are the bare repositories, the logs of forge and tracker (which only grow) and the
//! effect log of the scripts; what the API says of a task is only ever compared with those.

use crate::killer::Tally;
use crate::world::{PERSON, PROJECTS, World, field, git_in};
use orch_adapters::local_forge::{LocalForge, LocalRepo, LogEntry};
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{Actor, ProjectKey};
use orch_ports::clock::Clock;
use orch_ports::tracker::{TicketState, Tracker};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A line of the effect log.
#[derive(Clone, Debug)]
struct Line {
    starts: bool,
    what: String,
    item: String,
    /// Role of an agent, environment of a hook.
    place: String,
    /// Run id of an agent, run directory of a command.
    run: String,
    head: String,
    tree: String,
    result: String,
}

/// Everything that is not as it must be.
pub(crate) fn problems(world: &World, tally: &Tally) -> Vec<String> {
    let mut found = Vec::new();
    let lines = read(world, &mut found);
    all_ended_well(world, tally, &mut found);
    for (project, _) in PROJECTS {
        let merges = merges(world, tally, project, &mut found);
        chain(world, project, &merges, &mut found);
        tested(world, project, &merges, &lines, &mut found);
        production(world, project, &merges, &lines, &mut found);
    }
    runs(world, &lines, &mut found);
    tickets(world, &mut found);
    nothing_left(world, &mut found);
    found
}

fn read(world: &World, found: &mut Vec<String>) -> Vec<Line> {
    let text = std::fs::read_to_string(world.effects()).unwrap_or_default();
    let mut lines = Vec::new();
    for row in text.lines() {
        let words: Vec<&str> = row.split(' ').collect();
        let [begun, what, item, place, run, head, tree, result] = words[..] else {
            found.push(format!("the effect log has a line that cannot be read: {row:?}"));
            continue;
        };
        let own = str::to_owned;
        lines.push(Line {
            starts: begun == "start",
            what: own(what),
            item: own(item),
            place: own(place),
            run: own(run),
            head: own(head),
            tree: own(tree),
            result: own(result),
        });
    }
    lines
}

fn all_ended_well(world: &World, tally: &Tally, found: &mut Vec<String>) {
    let shown: BTreeMap<String, _> = tally.ended.iter().map(|t| (field(t, "id"), t)).collect();
    for (item, kind) in &world.made {
        match shown.get(item) {
            None => found.push(format!("{item} is lost: the list of all tasks does not have it")),
            Some(task) if field(task, "phase") != "done" => {
                found.push(format!("{item} ({kind}) is {}: {}", field(task, "phase"), field(task, "line")));
            }
            Some(task) if !["healthy", "not_watched"].contains(&field(task, "outcome").as_str()) => {
                found.push(format!("{item} ({kind}) is done but {}: {}", field(task, "outcome"), field(task, "line")));
            }
            Some(_) => {}
        }
    }
    for item in shown.keys().filter(|item| !world.made.contains_key(*item)) {
        found.push(format!("nobody asked for {item}"));
    }
}

/// A merge the forge carried out.
struct Merge {
    item: String,
    old: String,
    new: String,
}

/// Exactly one pull request and one merge for each task, told by the forge's log; the change itself is on main once.
fn merges(world: &World, tally: &Tally, project: &str, found: &mut Vec<String>) -> Vec<Merge> {
    let log = forge_log(world, project);
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
    for task in tally.ended.iter().filter(|t| field(t, "project") == project) {
        let item = field(task, "id");
        let pulls = pulls.values().filter(|i| **i == item).count();
        let mine: Vec<&Merge> = merges.iter().filter(|m| m.item == item).collect();
        if field(task, "phase") != "done" {
            continue;
        }
        if pulls != 1 {
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
    merges
}

/// `feature/ALFA-3-some-words` is about `ALFA-3`.
fn item_of(branch: &str) -> Option<String> {
    let mut parts = branch.strip_prefix("feature/")?.split('-');
    Some(format!("{}-{}", parts.next()?, parts.next()?))
}

fn forge_log(world: &World, project: &str) -> Vec<LogEntry> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let key = ProjectKey::new(project);
        let source = world.repo(project).display().to_string();
        let repo = LocalRepo { key: key.clone(), source, default_branch: "main".into() };
        let forge = LocalForge::open(&world.data().join("forge"), vec![repo], vec![Actor::new(PERSON)], clock()).await;
        forge.unwrap().log(&key).await.unwrap()
    })
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new().unwrap())
}

/// Main went from its first commit to its last by merges and by the administrator's commits, each exactly once.
fn chain(world: &World, project: &str, merges: &[Merge], found: &mut Vec<String>) {
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
fn tested(world: &World, project: &str, merges: &[Merge], lines: &[Line], found: &mut Vec<String>) {
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

/// One hook at a time in each environment; production only ever goes forward, and ends with every merge in it.
fn production(world: &World, project: &str, merges: &[Merge], lines: &[Line], found: &mut Vec<String>) {
    let repo = world.repo(project);
    let contains = |new: &str, old: &str| git_in(&repo, &["merge-base", "--is-ancestor", old, new], &[]).is_ok();
    for environment in ["staging", "production"] {
        let mut busy: Option<&Line> = None;
        let hooks = lines.iter().filter(|l| l.place == environment && l.item.starts_with(project));
        for line in hooks.filter(|l| ["deploy", "rollback"].contains(&l.what.as_str())) {
            match (line.starts, busy) {
                (true, Some(other)) if !world.killed_runs.contains(&PathBuf::from(&other.run)) => {
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
    let Some(last) = live.last() else { return found.push(format!("nothing of {project} ever went to production")) };
    if !contains("refs/heads/main", &last.head) {
        found.push(format!("production of {project} runs {}, which is not on main", last.head));
    }
    for merge in merges.iter().filter(|m| !contains(&last.head, &m.new)) {
        found.push(format!("{}: its merge {} is not in what production runs, {}", merge.item, merge.new, last.head));
    }
}

/// Each run began once and ended, unless it was killed; agents of one work item never worked at the same time.
fn runs(world: &World, lines: &[Line], found: &mut Vec<String>) {
    let agents = world.data().join("runs");
    let killed = |line: &Line| {
        let dir = PathBuf::from(&line.run);
        let dir = if line.what == "agent" { agents.join(&line.run) } else { dir };
        world.killed_runs.iter().any(|k| *k == dir)
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

/// One ticket and one living comment for each task, and the ticket shows how it ended.
fn tickets(world: &World, found: &mut Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tracker = LocalTracker::open(&world.data().join("tracker.db"), clock()).unwrap();
    for (project, _) in PROJECTS {
        let key = ProjectKey::new(project);
        let log = runtime.block_on(tracker.log(&key)).unwrap();
        let made = log.iter().filter(|l| l.effect == "ticket-created").count();
        let wanted = world.made.keys().filter(|item| item.starts_with(project)).count();
        if made != wanted {
            found.push(format!("{project} has {made} tickets, {wanted} were asked for"));
        }
        for number in 1..=made as u64 {
            let comments = runtime.block_on(tracker.comments(&key, number)).unwrap();
            if comments.len() != 1 {
                found.push(format!("{project}-{number} has {} comments", comments.len()));
            }
            let written = log.iter().filter(|l| l.number == number && l.effect == "comment-written").count();
            if written != 1 {
                found.push(format!("{project}-{number}: its comment was written {written} times"));
            }
            let state = runtime.block_on(tracker.ticket(&key, number)).unwrap().state;
            if state != TicketState::Done {
                found.push(format!("the ticket {project}-{number} shows {}", state.as_str()));
            }
        }
    }
}

/// No process of any run is left.
fn nothing_left(world: &World, found: &mut Vec<String>) {
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
