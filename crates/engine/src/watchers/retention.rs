//! Ends what was kept long enough: run directories, the texts of events that were dealt with, verdicts and documents of
//! tasks that are over, and what an agent left before its directory was made anew. Part of the watcher `disk`.
//!
//! When something ends is counted from the end of its task as the database has it, never from the age of a file. What
//! belongs to an open task, to a job whose result was not taken yet, or to a run that lives is never touched.

use super::report::Report;
use crate::engine::Engine;
use orch_core::ids::{JobId, TaskId, Time};
use orch_ports::Fault;
use orch_ports::supervisor::{RunState, files};
use orch_store::Fact;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Most tasks or rows one sweep looks at; the next one goes on from there.
const AT_ONCE: u32 = 500;
/// What stands where an output was.
const MADE_ROOM: &str = "[orch: this output was removed to make room ([retention] runs_max_mb)]\n";

pub(super) async fn sweep(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    report.acted += engine.ports.store.forget_ended(engine.ports.clock.now()).await?;
    bodies(engine, report).await?;
    deliveries(engine, report).await?;
    evidence(engine, report).await?;
    runs(engine, report).await
}

/// When something that ended then has been kept long enough.
fn cutoff(engine: &Engine, keep_ms: Option<i64>) -> Option<Time> {
    keep_ms.map(|ms| engine.ports.clock.now().plus_ms(ms.saturating_neg()))
}

/// How long the body of a delivery is kept, milliseconds, where nothing shorter is configured for all bodies.
const DELIVERY_BODY_MS: i64 = 3 * 86_400_000;

/// Deliveries lose their bodies after three days, and go with what else came from outside.
async fn deliveries(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let keep_ms = engine.options.retention.bodies_ms;
    let body_ms = keep_ms.map_or(DELIVERY_BODY_MS, |ms| ms.min(DELIVERY_BODY_MS));
    let (bodies, rows) = (cutoff(engine, Some(body_ms)), cutoff(engine, keep_ms));
    let never = Time(i64::MIN);
    let (bodies, rows) = (bodies.unwrap_or(never), rows.unwrap_or(never));
    report.acted += engine.ports.store.drop_deliveries(bodies, rows, AT_ONCE).await?;
    Ok(())
}

async fn bodies(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let Some(until) = cutoff(engine, engine.options.retention.bodies_ms) else { return Ok(()) };
    let store = &engine.ports.store;
    let after = store.recall(&Fact::BodiesDropped).await?.and_then(|t| t.parse().ok()).unwrap_or(0);
    let last = store.drop_bodies(after, until, AT_ONCE).await?;
    if last != after {
        report.acted += 1;
        store.remember(&Fact::BodiesDropped, &last.to_string(), engine.ports.clock.now()).await?;
    }
    Ok(())
}

async fn evidence(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let Some(until) = cutoff(engine, engine.options.retention.evidence_ms) else { return Ok(()) };
    let store = &engine.ports.store;
    let kept = store.recall(&Fact::EvidenceDropped).await?;
    let parsed = kept.as_deref().and_then(|t| t.split_once(' ')).map(|(at, id)| (at.parse(), id.parse()));
    let after = match parsed {
        Some((Ok(at), Ok(id))) => (Time(at), TaskId(id)),
        _ => (Time(i64::MIN), TaskId(0)),
    };
    let over = store.closed_between(after, until, AT_ONCE).await?;
    for (task, _) in &over {
        report.acted += u64::from(0 < store.drop_evidence(*task).await?);
    }
    if let Some((task, at)) = over.last() {
        store.remember(&Fact::EvidenceDropped, &format!("{} {}", at.0, task.0), engine.ports.clock.now()).await?;
    }
    Ok(())
}

/// A run directory of a job.
struct Run {
    dir: PathBuf,
    job: JobId,
    bytes: u64,
    /// When the newest thing in it was written: only which is looked at first, never whether it goes.
    touched: std::time::SystemTime,
}

/// The job of a run directory, by its name: `<task>-<seq>-<attempt>`, and what ran.
pub(super) fn job_of(name: &str) -> Option<JobId> {
    let mut parts = name.splitn(4, '-');
    let (task, seq, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    attempt.parse::<u32>().ok()?;
    Some(JobId { task: TaskId(task), seq })
}

fn list(runs_dir: &Path) -> Vec<Run> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(runs_dir).into_iter().flatten().flatten() {
        let (dir, name) = (entry.path(), entry.file_name());
        // What has another name is somebody else's.
        let Some(job) = name.to_str().and_then(job_of) else { continue };
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let (mut bytes, mut touched) = (0, std::time::SystemTime::UNIX_EPOCH);
        for file in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(meta) = file.metadata() else { continue };
            bytes += meta.len();
            touched = touched.max(meta.modified().unwrap_or(touched));
        }
        found.push(Run { dir, job, bytes, touched });
    }
    found
}

async fn runs(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let (store, kept) = (&engine.ports.store, &engine.options.retention);
    let runs_dir = engine.options.runs_dir.clone();
    let mut there = tokio::task::spawn_blocking(move || list(&runs_dir)).await.unwrap_or_default();
    there.sort_by_key(|run| run.touched);
    let mut total: u64 = there.iter().map(|run| run.bytes).sum();
    let until = cutoff(engine, kept.transcripts_ms);
    let young = until.and_then(|t| u64::try_from(t.0).ok()).map(std::time::Duration::from_millis);
    for run in there {
        let over_limit = kept.runs_max_bytes != 0 && kept.runs_max_bytes < total;
        // Nothing in it is older than what is kept, so its task has not been over for that long either.
        let old = young.is_some_and(|age| run.touched <= std::time::SystemTime::UNIX_EPOCH + age);
        if !over_limit && !old {
            continue;
        }
        // A run that lives, or whose result is still to be taken, is not touched whatever it takes.
        let ended = matches!(engine.ports.supervisor.look(&run.dir), Ok(RunState::Ended(_)));
        let taken = store.job(run.job).await?.is_some_and(|job| job.finished_at.is_some());
        if !ended || !taken {
            continue;
        }
        let task = store.task(run.job.task).await?;
        let over = task.is_some_and(|t| t.is_closed() && until.is_some_and(|until| t.updated_at <= until));
        let freed = if old && over { remove(&run) } else { 0 };
        let freed = if freed == 0 && over_limit { empty(&run) } else { freed };
        if freed == 0 {
            continue;
        }
        total = total.saturating_sub(freed);
        report.acted += 1;
        report.last = Some(format!("{} bytes of run {} were removed", freed, run.dir.display()));
    }
    if kept.runs_max_bytes != 0 && kept.runs_max_bytes < total {
        report.found += 1;
        let (mb, limit) = (total / 1_000_000, kept.runs_max_bytes / 1_000_000);
        report.last = Some(format!(
            "the runs take {mb} MB of {limit} ([retention] runs_max_mb): what is left belongs to runs under way or is no output"
        ));
    }
    Ok(())
}

/// Removes a run directory; the bytes that are free now.
fn remove(run: &Run) -> u64 {
    match crate::prepare::remove(&run.dir) {
        Ok(()) => run.bytes.max(1),
        Err(error) => {
            tracing::warn!("cannot remove {}: {error}", run.dir.display());
            0
        }
    }
}

/// Puts a line in the place of each output of an ended run; the bytes that are free now. What the run was asked and how it
/// ended stays.
fn empty(run: &Run) -> u64 {
    let mut freed = 0;
    for name in [files::STDOUT, files::STDERR] {
        let path = run.dir.join(name);
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if !meta.is_file() || meta.len() <= MADE_ROOM.len() as u64 {
            continue;
        }
        // A new file in its place: somebody may be reading the old one.
        let fresh = run.dir.join(format!(".{name}.fresh"));
        let made = std::fs::File::create(&fresh).and_then(|mut file| file.write_all(MADE_ROOM.as_bytes()));
        match made.and_then(|()| std::fs::rename(&fresh, &path)) {
            Ok(()) => freed += meta.len() - MADE_ROOM.len() as u64,
            Err(error) => tracing::warn!("cannot empty {}: {error}", path.display()),
        }
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_runs_are_taken_for_runs() {
        assert_eq!(job_of("12-3-1"), Some(JobId { task: TaskId(12), seq: 3 }));
        assert_eq!(job_of("12-3-2-hook"), Some(JobId { task: TaskId(12), seq: 3 }));
        for name in ["", "12", "12-3", "a-3-1", "12-b-1", "12-3-x", "notes", ".new-12-3-1"] {
            assert_eq!(job_of(name), None, "{name}");
        }
    }

    #[test]
    fn an_output_is_replaced_by_a_line_and_the_rest_stays() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("1-2-1");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(files::STDOUT), "x".repeat(10_000)).unwrap();
        std::fs::write(dir.join(files::STDERR), "short").unwrap();
        std::fs::write(dir.join(files::EXIT), "{}").unwrap();
        std::fs::create_dir(root.path().join("notes")).unwrap();
        let all = list(root.path());
        assert_eq!((all.len(), all[0].bytes), (1, 10_007));
        assert_eq!(empty(&all[0]), 10_000 - MADE_ROOM.len() as u64);
        assert_eq!(std::fs::read_to_string(dir.join(files::STDOUT)).unwrap(), MADE_ROOM);
        assert_eq!(std::fs::read_to_string(dir.join(files::STDERR)).unwrap(), "short");
        assert_eq!(empty(&all[0]), 0, "twice is once");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
    }
}
