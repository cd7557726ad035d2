//! Jobs: made, claimed, kept alive, put back, ended. Every change of a claimed job names the epoch of its claim in the
//! WHERE; a worker that was paused past its lease finds no row and changes nothing.

use super::leases;
use super::sql::{Db, DbError, all, json, one, parse, run};
use crate::rows::{Beat, ClaimRequest, Fence, Job, JobState, QueueCounts, Reaped, Requeue};
use orch_core::decide::NewJob;
use orch_core::effect::{Class, Lane, Outcome};
use orch_core::ids::{JobId, ProjectKey, TaskId, Time};
use orch_core::verdict::FaultKind;
use orch_ports::clock::BootTime;
use rusqlite::{Connection, Row, params};

/// Attempts of what may be given up.
const MAX_ATTEMPTS: u32 = 2;

macro_rules! columns {
    () => {
        "task, seq, project, effect, lane, state, epoch, attempts, max_attempts, transient_attempts, run_attempt, \
         available_at, last_fault, created_at, claimed_at, stop"
    };
}

/// The oldest available job of a lane whose exclusive key nobody runs.
pub(super) const CLAIM: &str = concat!(
    "UPDATE job SET state = 'running', epoch = epoch + 1, worker = ?1, lease_boot = ?2, lease_ms = ?3, claimed_at = ?4 ",
    "WHERE id = (SELECT q.id FROM job q WHERE q.state = 'queued' AND q.lane = ?5 AND q.available_at <= ?4 ",
    "AND (q.exclusive IS NULL OR NOT EXISTS (SELECT 1 FROM job r WHERE r.state = 'running' AND r.exclusive = q.exclusive)) ",
    "ORDER BY q.available_at, q.id LIMIT 1) RETURNING ",
    columns!(),
    ", NULL"
);
/// Claims whose lease has expired. Running jobs are few; the index is named because the planner does not know that.
pub(super) const EXPIRED: &str = "SELECT task, seq, worker FROM job INDEXED BY job_running \
     WHERE state = 'running' AND (lease_boot <> ?1 OR lease_ms < ?2) ORDER BY id";
/// Claims of other processes.
pub(super) const ORPHANS: &str = "SELECT task, seq, worker FROM job INDEXED BY job_running \
     WHERE state = 'running' AND worker <> ?1 ORDER BY id";
const RUNNING: &str = "SELECT count(*) FROM job INDEXED BY job_running WHERE state = 'running'";
/// A claim that counts no attempt and needs no new run is simply taken back.
const TAKE_BACK: &str = "UPDATE job SET state = 'queued', worker = NULL, lease_boot = NULL, lease_ms = NULL \
     WHERE task = ?1 AND seq = ?2 AND state = 'running'";
const BY_ID: &str = concat!("SELECT ", columns!(), ", NULL FROM job WHERE task = ?1 AND seq = ?2");
const DONE_BY_ID: &str = concat!("SELECT ", columns!(), ", finished_at FROM job_done WHERE task = ?1 AND seq = ?2");

fn read(row: &Row<'_>) -> Db<Job> {
    let text = |i: usize| row.get_ref(i)?.as_str().map_err(rusqlite::Error::from);
    let (lane, state) = (text(4)?, text(5)?);
    let states = [JobState::Queued, JobState::Running, JobState::Done, JobState::Failed, JobState::Cancelled];
    Ok(Job {
        id: JobId { task: TaskId(row.get(0)?), seq: row.get(1)? },
        project: ProjectKey::new(text(2)?),
        effect: parse("effect", text(3)?)?,
        lane: Lane::ALL
            .iter()
            .copied()
            .find(|l| l.as_str() == lane)
            .ok_or_else(|| DbError::bug(format!("a stored job has the unknown lane `{lane}`")))?,
        state: states
            .into_iter()
            .find(|s| s.as_str() == state)
            .ok_or_else(|| DbError::bug(format!("a stored job has the unknown state `{state}`")))?,
        epoch: row.get::<_, i64>(6)? as u64,
        attempts: row.get(7)?,
        max_attempts: row.get(8)?,
        transient_attempts: row.get(9)?,
        run_attempt: row.get(10)?,
        available_at: Time(row.get(11)?),
        last_fault: row.get::<_, Option<String>>(12)?.map(|f| parse("fault", &f)).transpose()?,
        created_at: Time(row.get(13)?),
        claimed_at: row.get::<_, Option<i64>>(14)?.map(Time),
        stop: row.get(15)?,
        finished_at: row.get::<_, Option<i64>>(16)?.map(Time),
    })
}

/// Makes a job; `false` if one with its coalescing key is queued already.
pub(super) fn insert(c: &Connection, task: TaskId, project: &ProjectKey, new: &NewJob, now: Time) -> Db<bool> {
    let NewJob { seq, effect } = new;
    if let Some(key) = effect.coalesce() {
        let same = "SELECT 1 FROM job WHERE task = ?1 AND coalesce = ?2 AND state = 'queued'";
        if one(c, same, params![task.0, key], |_| Ok(()))?.is_some() {
            return Ok(false);
        }
    }
    let max_attempts = match effect.class() {
        Class::Repeatable => MAX_ATTEMPTS,
        Class::Irreversible => u32::MAX,
    };
    let stored = serde_json::to_value(effect).map_err(|e| DbError::bug(format!("an effect cannot be stored: {e}")))?;
    let kind = stored.get("effect").and_then(|k| k.as_str()).unwrap_or_default();
    run(
        c,
        "INSERT INTO job (task, seq, project, lane, effect, kind, exclusive, coalesce, state, epoch, attempts, \
         max_attempts, transient_attempts, run_attempt, available_at, stop, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'queued', 0, 0, ?9, 0, 1, ?10, 0, ?10)",
        params![
            task.0,
            seq,
            project.as_str(),
            effect.lane().as_str(),
            stored.to_string(),
            kind,
            effect.exclusive(project),
            effect.coalesce(),
            max_attempts,
            now.0
        ],
    )?;
    Ok(true)
}

pub(super) fn claim(c: &Connection, r: &ClaimRequest) -> Db<Option<Job>> {
    let until = r.boot.ms.saturating_add(r.lease_ms);
    one(c, CLAIM, params![r.worker, &*r.boot.boot_id, until, r.now.0, r.lane.as_str()], read)
}

/// A job that is queued or running.
pub(super) fn open(c: &Connection, id: JobId) -> Db<Option<Job>> {
    one(c, BY_ID, params![id.task.0, id.seq], read)
}

pub(super) fn any(c: &Connection, id: JobId) -> Db<Option<Job>> {
    if let Some(job) = open(c, id)? {
        return Ok(Some(job));
    }
    one(c, DONE_BY_ID, params![id.task.0, id.seq], read)
}

/// The job, if this fence still holds it.
pub(super) fn held(c: &Connection, fence: Fence) -> Db<Option<Job>> {
    Ok(open(c, fence.job)?.filter(|job| job.state == JobState::Running && job.epoch == fence.epoch))
}

pub(super) fn heartbeat(c: &Connection, fence: Fence, boot: &BootTime, lease_ms: i64, ttl_ms: i64) -> Db<Beat> {
    let renewed = one(
        c,
        "UPDATE job SET lease_boot = ?1, lease_ms = ?2 \
         WHERE task = ?3 AND seq = ?4 AND state = 'running' AND epoch = ?5 RETURNING stop, project",
        params![&*boot.boot_id, boot.ms.saturating_add(lease_ms), fence.job.task.0, fence.job.seq, fence.epoch as i64],
        |row| Ok((row.get::<_, bool>(0)?, ProjectKey::new(row.get::<_, String>(1)?))),
    )?;
    let Some((stop, project)) = renewed else { return Ok(Beat::Lost) };
    leases::renew(c, &project, fence.job.task, boot, ttl_ms)?;
    Ok(if stop { Beat::Stop } else { Beat::Held })
}

pub(super) fn requeue(c: &Connection, fence: Fence, r: &Requeue) -> Db<bool> {
    let changed = run(
        c,
        "UPDATE job SET state = 'queued', worker = NULL, lease_boot = NULL, lease_ms = NULL, \
         attempts = attempts + ?4, transient_attempts = transient_attempts + (1 - ?4), \
         run_attempt = run_attempt + ?5, available_at = ?6, last_fault = ?7 \
         WHERE task = ?1 AND seq = ?2 AND state = 'running' AND epoch = ?3",
        params![
            fence.job.task.0,
            fence.job.seq,
            fence.epoch as i64,
            i64::from(r.spend),
            i64::from(r.new_run),
            r.not_before.0,
            json(&r.fault)?
        ],
    )?;
    Ok(changed == 1)
}

fn take_back(c: &Connection, found: Vec<Reaped>) -> Db<Vec<Reaped>> {
    for Reaped { job, .. } in &found {
        run(c, TAKE_BACK, params![job.task.0, job.seq])?;
    }
    Ok(found)
}

fn reaped(row: &Row<'_>) -> Db<Reaped> {
    Ok(Reaped { job: JobId { task: TaskId(row.get(0)?), seq: row.get(1)? }, worker: row.get(2)? })
}

pub(super) fn reap(c: &Connection, boot: &BootTime) -> Db<Vec<Reaped>> {
    take_back(c, all(c, EXPIRED, params![&*boot.boot_id, boot.ms], reaped)?)
}

/// Takes back what other processes had claimed.
pub(super) fn orphans(c: &Connection, worker: &str) -> Db<Vec<Reaped>> {
    take_back(c, all(c, ORPHANS, [worker], reaped)?)
}

/// Asks a running job to stop.
pub(super) fn ask_to_stop(c: &Connection, id: JobId) -> Db<()> {
    run(c, "UPDATE job SET stop = 1 WHERE task = ?1 AND seq = ?2", params![id.task.0, id.seq])?;
    Ok(())
}

/// Ends a job: out of the hot table, counted, its outcome kept.
pub(super) fn end(c: &Connection, id: JobId, outcome: &Outcome, now: Time) -> Db<()> {
    let (state, fault) = match outcome {
        Outcome::Failed { fault } => (JobState::Failed, Some(fault)),
        Outcome::Cancelled => (JobState::Cancelled, None),
        _ => (JobState::Done, None),
    };
    let spent = fault.is_some_and(|f| f.kind != FaultKind::Transient);
    let moved = run(
        c,
        "INSERT INTO job_done (task, seq, project, lane, effect, kind, state, epoch, attempts, max_attempts, \
         transient_attempts, run_attempt, available_at, worker, stop, last_fault, created_at, claimed_at, finished_at, \
         outcome) \
         SELECT task, seq, project, lane, effect, kind, ?3, epoch, attempts + ?4, max_attempts, transient_attempts, \
         run_attempt, available_at, worker, stop, coalesce(?5, last_fault), created_at, claimed_at, ?6, ?7 \
         FROM job WHERE task = ?1 AND seq = ?2",
        params![
            id.task.0,
            id.seq,
            state.as_str(),
            i64::from(spent),
            fault.map(json).transpose()?,
            now.0,
            json(outcome)?
        ],
    )?;
    let gone = run(c, "DELETE FROM job WHERE task = ?1 AND seq = ?2", params![id.task.0, id.seq])?;
    if (moved, gone) != (1, 1) {
        return Err(DbError::bug(format!("there is no open job {id} to end")));
    }
    run(c, "UPDATE counter SET n = n + 1 WHERE name = ?1", [state.as_str()])?;
    Ok(())
}

pub(super) fn list_open(c: &Connection, task: Option<TaskId>) -> Db<Vec<Job>> {
    match task {
        None => all(c, concat!("SELECT ", columns!(), ", NULL FROM job ORDER BY id"), [], read),
        Some(task) => {
            let sql = concat!("SELECT ", columns!(), ", NULL FROM job WHERE task = ?1 ORDER BY seq");
            all(c, sql, [task.0], read)
        }
    }
}

pub(super) fn recent(c: &Connection, limit: u32) -> Db<Vec<Job>> {
    let sql = concat!("SELECT ", columns!(), ", finished_at FROM job_done ORDER BY id DESC LIMIT ?1");
    all(c, sql, [limit], read)
}

pub(super) fn counts(c: &Connection, now: Time) -> Db<QueueCounts> {
    let number = |sql: &str, p: &[&dyn rusqlite::ToSql]| -> Db<u64> {
        Ok(one(c, sql, p, |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).unsigned_abs())
    };
    // Lane by lane, because that is how the index is sorted.
    let (mut queued, mut delayed) = (0, 0);
    for lane in Lane::ALL {
        let here: &[&dyn rusqlite::ToSql] = &[&lane.as_str(), &now.0];
        let sql = "SELECT count(*) FROM job WHERE state = 'queued' AND lane = ?1 AND available_at <= ?2";
        queued += number(sql, here)?;
        let sql = "SELECT count(*) FROM job WHERE state = 'queued' AND lane = ?1 AND available_at > ?2";
        delayed += number(sql, here)?;
    }
    let ended = |name: &str| number("SELECT n FROM counter WHERE name = ?1", &[&name]);
    Ok(QueueCounts {
        queued,
        delayed,
        running: number(RUNNING, &[])?,
        done: ended("done")?,
        failed: ended("failed")?,
        cancelled: ended("cancelled")?,
    })
}
