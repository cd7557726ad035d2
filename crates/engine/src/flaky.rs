//! Tests that fail by chance: which were red and green on one tree, remembered by name. One that was so on the default
//! branch, or on branches of two tasks, is nobody's fault; one that was so on a single branch may be that branch's.

use crate::cx::Cx;
use crate::engine::Engine;
use crate::quarantine::{self, Quarantine, Quarantined, Refused};
use jiff::tz::TimeZone;
use orch_core::ids::{Actor, ProjectKey, Time, WorkItem};
use orch_core::policy::Act;
use orch_ports::Fault;
use orch_store::Fact;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A test that did not fail by chance for so long is forgotten, milliseconds: 60 days.
const KEPT_MS: i64 = 60 * 24 * 3_600_000;
/// Most tests that are remembered; those that failed last stay.
const MOST: usize = 500;

/// The longest quarantine, milliseconds: 92 days. What nobody repairs in that time a person has to look at again.
const LONGEST_MS: i64 = 92 * 24 * 3_600_000;
/// Most tests of a project at once.
const MOST_LET_BE: usize = 100;
/// Longest name, and longest reason, characters.
const LONG: usize = 500;

/// A test that fails by chance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaky {
    /// Was it seen on the default branch, or on branches of two tasks?
    pub on_main: bool,
    /// The task whose tests showed it first.
    pub item: WorkItem,
    /// When it was seen first.
    pub first: Time,
    /// When it was seen last.
    pub last: Time,
    /// How often.
    pub times: u32,
}

/// Those of a project, by name.
pub async fn of(engine: &Engine, project: &ProjectKey) -> Result<BTreeMap<String, Flaky>, Fault> {
    let kept = engine.store().recall(&Fact::Flaky(project.clone())).await?;
    let mut all: BTreeMap<String, Flaky> = kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let now = engine.ports.clock.now();
    all.retain(|_, test| now.since_ms(test.last) < KEPT_MS);
    Ok(all)
}

/// Forgets one of them; `false`: it is not known.
pub async fn forget(engine: &Engine, project: &ProjectKey, name: &str) -> Result<bool, Fault> {
    let _one_at_a_time = engine.flaky.lock().await;
    let mut all = of(engine, project).await?;
    let known = all.remove(name).is_some();
    if known {
        write(engine, project, &all).await?;
    }
    Ok(known)
}

async fn write(engine: &Engine, project: &ProjectKey, all: &BTreeMap<String, Flaky>) -> Result<(), Fault> {
    let text = serde_json::to_string(all).map_err(|e| Fault::bug(e.to_string()))?;
    Ok(engine.store().remember(&Fact::Flaky(project.clone()), &text, engine.ports.clock.now()).await?)
}

/// Those that are no fault of this task.
pub(crate) async fn known(cx: &Cx) -> Result<BTreeSet<String>, Fault> {
    let all = of(&cx.engine, &cx.project.key).await?;
    let not_its_own = |test: &Flaky| test.on_main || test.item != cx.task.work_item;
    Ok(all.into_iter().filter(|(_, test)| not_its_own(test)).map(|(name, _)| name).collect())
}

/// Writes down tests that were red and green on one tree; `on_main`: those of them that were so on the default branch.
pub(crate) async fn note(cx: &Cx, tests: &BTreeSet<String>, on_main: &BTreeSet<String>) -> Result<(), Fault> {
    if tests.is_empty() {
        return Ok(());
    }
    let _one_at_a_time = cx.engine.flaky.lock().await;
    let mut all = of(&cx.engine, &cx.project.key).await?;
    let now = cx.now();
    for name in tests {
        let item = cx.task.work_item.clone();
        let new = || Flaky { on_main: false, item: item.clone(), first: now, last: now, times: 0 };
        let test = all.entry(name.clone()).or_insert_with(new);
        test.on_main |= on_main.contains(name) || test.item != cx.task.work_item;
        test.last = now;
        test.times = test.times.saturating_add(1);
    }
    if MOST < all.len() {
        let mut times: Vec<Time> = all.values().map(|test| test.last).collect();
        times.sort_unstable();
        let oldest = times[times.len() - MOST];
        all.retain(|_, test| oldest <= test.last);
    }
    write(&cx.engine, &cx.project.key, &all).await
}

/// Tests of a project that are in quarantine now.
///
/// # Errors
/// A store that cannot be read.
pub async fn in_quarantine(engine: &Engine, project: &ProjectKey) -> Result<Quarantine, Fault> {
    quarantine::of(&**engine.store(), project, engine.ports.clock.now()).await
}

/// Puts a test into quarantine until the end of a day, `2026-12-31`, by a person who may approve what the project's tasks
/// do: red tests land by it. One that is in it gets the new day.
///
/// # Errors
/// [`Refused`]
pub async fn quarantine(
    engine: &Engine,
    project: &ProjectKey,
    name: &str,
    day: &str,
    (by, because): (Actor, &str),
) -> Result<Quarantined, Refused> {
    let said = |text: String| Err(Refused::Said(text));
    for (what, text) in [("test", name), ("because", because)] {
        if text.trim().is_empty() || LONG < text.chars().count() || text.chars().any(char::is_control) {
            return said(format!("`{what}` has to be one line of 1 to {LONG} characters"));
        }
    }
    let project_now = engine.project(project)?;
    if !project_now.policy.may(&by, Act::Approve) {
        let what = "let tests of this project fail";
        return Err(Refused::NotAllowed(project_now.policy.refusal(&by, Act::Approve, what)));
    }
    let zone = project_now.money.zone.clone().unwrap_or(TimeZone::UTC);
    let now = engine.ports.clock.now();
    let until = match quarantine::end_of(day, &zone) {
        Some(until) if until <= now => return said(format!("{day} is over; name a day to come")),
        Some(until) if LONGEST_MS < until.since_ms(now) => {
            return said(format!("{day} is more than {} days away; name one before", LONGEST_MS / 24 / 3_600_000));
        }
        Some(until) => until,
        None => return said(format!("{} is no day; write it as 2026-12-31", day.escape_debug())),
    };
    let _one_at_a_time = engine.flaky.lock().await;
    let mut all = in_quarantine(engine, project).await?;
    if MOST_LET_BE <= all.len() && !all.contains_key(name) {
        return said(format!("{MOST_LET_BE} tests of {project} are in quarantine; release some before"));
    }
    let by = engine.written(&by);
    let test = Quarantined { day: day.to_owned(), until, by, at: now, because: because.trim().to_owned() };
    tracing::info!(%project, test = name, day, by = %test.by, "a test is in quarantine: {}", test.because);
    all.insert(name.to_owned(), test.clone());
    keep(engine, project, &all).await?;
    Ok(test)
}

/// Releases a test; `false`: it is not in quarantine.
///
/// # Errors
/// A store that cannot be read or written.
pub async fn release(engine: &Engine, project: &ProjectKey, name: &str, by: &Actor) -> Result<bool, Fault> {
    let _one_at_a_time = engine.flaky.lock().await;
    let mut all = in_quarantine(engine, project).await?;
    let known = all.remove(name).is_some();
    if known {
        tracing::info!(%project, test = name, %by, "a test is released from quarantine");
        keep(engine, project, &all).await?;
    }
    Ok(known)
}

async fn keep(engine: &Engine, project: &ProjectKey, all: &Quarantine) -> Result<(), Fault> {
    let text = serde_json::to_string(all).map_err(|e| Fault::bug(e.to_string()))?;
    Ok(engine.store().remember(&Fact::Quarantine(project.clone()), &text, engine.ports.clock.now()).await?)
}
