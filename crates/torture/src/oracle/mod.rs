//! What must be true afterwards. Asked are the bare repositories, the logs of forge and tracker (which only grow) and the
//! effect log of the scripts; what the API says of a task is only ever compared with those.

mod landed;
mod runs;
mod tickets;

use crate::api::field;
use crate::world::{PROJECTS, World, may_end};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::collections::BTreeMap;

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

/// What the world allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Programs may break down in the middle, because the world under them did: their runs begin and never end, and
    /// hooks run again.
    pub broken_runs: bool,
}

/// Everything that is not as it must be. `ended`: the tasks as the API showed them at the end, if they did end.
pub fn problems(world: &World, ended: Option<&[Value]>, allowed: Allowed) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let lines = read(world, &mut found)?;
    let tasks = ended.unwrap_or_default();
    if ended.is_some() {
        all_ended_well(world, tasks, &mut found)?;
    }
    for (project, _) in PROJECTS {
        let merges = landed::merges(world, tasks, project, &mut found)?;
        landed::chain(world, project, &merges, &mut found);
        landed::tested(world, project, &merges, &lines, &mut found);
        runs::production(world, project, &merges, &lines, ended.is_some(), allowed, &mut found);
    }
    runs::runs(world, &lines, allowed, &mut found);
    if ended.is_some() {
        tickets::tickets(world, tasks, &mut found)?;
        runs::nothing_left(world, &mut found);
    }
    Ok(found)
}

fn read(world: &World, found: &mut Vec<String>) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(world.effects()).context("read the effect log")?;
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
    Ok(lines)
}

fn all_ended_well(world: &World, tasks: &[Value], found: &mut Vec<String>) -> Result<()> {
    let told = std::fs::read_to_string(world.serve_log()).context("read the daemon's log")?;
    let shown: BTreeMap<String, &Value> = tasks.iter().map(|t| (field(t, "id"), t)).collect();
    for (item, kind) in &world.made {
        let Some(task) = shown.get(item) else {
            found.push(format!("{item} is lost: the list of all tasks does not have it"));
            continue;
        };
        let (phase, line) = (field(task, "phase"), field(task, "line"));
        if !may_end(kind, &phase) {
            found.push(format!("{item} ({kind}) is {phase}: {line}"));
        } else if phase == "done" && !["healthy", "not_watched"].contains(&field(task, "outcome").as_str()) {
            found.push(format!("{item} ({kind}) is done but {}: {line}", field(task, "outcome")));
        } else if phase == "blocked" {
            let notice = format!("work_item=\"{item}\"");
            if !told.lines().any(|l| l.contains("WARN") && l.contains(&notice)) {
                found.push(format!("{item} ({kind}) is blocked and nobody was told: {line}"));
            }
        }
    }
    for item in shown.keys().filter(|item| !world.made.contains_key(*item)) {
        found.push(format!("nobody asked for {item}"));
    }
    Ok(())
}
