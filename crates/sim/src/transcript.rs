//! A life as its journal has it, without times and without the sentences for people: what a committed scenario is
//! compared with.

use crate::sim::Sim;
use orch_core::task::{Phase, Task};

/// What was applied, one line each, and where everything ended.
pub(crate) fn of(sim: &Sim) -> Vec<String> {
    let rows = sim.db(async |s| s.journal(None, 0, 100_000).await).unwrap_or_default();
    let applied = rows.iter().filter(|r| r.ignored.is_none());
    let mut lines: Vec<String> = applied
        .map(|r| {
            let by = r.actor.as_ref().map(|a| format!(" by {a}")).unwrap_or_default();
            format!("{} {}{by} -> {} {}", r.work_item, r.event, r.stage, r.phase)
        })
        .collect();
    lines.push("in the end:".into());
    lines.extend(ends(sim));
    for site in sim.sites.values() {
        for landed in &site.landed {
            lines.push(format!("{}: {} landed", site.key, landed.branch));
        }
        for (environment, env) in &site.envs {
            lines.push(format!("{}: {environment} was brought {} revisions", site.key, env.brought.len()));
        }
    }
    lines
}

/// Where every task ended.
pub(crate) fn ends(sim: &Sim) -> Vec<String> {
    let mut tasks: Vec<&Task> = sim.tasks.values().collect();
    tasks.sort_by_key(|t| (t.project.to_string(), t.number));
    tasks.into_iter().map(end).collect()
}

fn end(task: &Task) -> String {
    let how = match &task.phase {
        Phase::Done { outcome, .. } => format!("done, {}", outcome.as_str()),
        Phase::Cancelled { by, .. } => format!("cancelled by {by}"),
        Phase::Blocked { why, .. } => format!("blocked, {}", crate::words::block(why)),
        _ => task.phase_word().to_owned(),
    };
    let approved: Vec<String> = task.approvals.iter().map(|a| format!("{} by {}", a.what.as_str(), a.by)).collect();
    let merged = if task.landing.merged.is_some() { ", merged" } else { "" };
    let approved = if approved.is_empty() { String::new() } else { format!(", approved: {}", approved.join(", ")) };
    format!("{} at {}: {how}{merged}{approved}", task.work_item, task.stage())
}
