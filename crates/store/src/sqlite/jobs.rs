//! Rows of jobs, and which of them is claimed next. What is done with a claimed one is decided in `crate::queue`. A job of
//! a kind this version does not know is put aside and kept, and stops no other.

use super::sql::{Db, DbError, all, json, one, parse, run};
use crate::error::StoreError;
use crate::rows::{ClaimRequest, Job, JobState, OpenSample, QueueCounts, UnknownJob};
use crate::tx::{AddedJob, Claim, End};
use orch_core::effect::Lane;
use orch_core::ids::{JobId, ProjectKey, TaskId, Time};
use orch_core::task::Task;
use orch_core::verdict::{FaultKind, FaultNote};
use rusqlite::{Connection, Params, Row, params};

macro_rules! columns {
    () => {
        "task, seq, project, effect, lane, state, epoch, attempts, max_attempts, transient_attempts, run_attempt, \
         available_at, last_fault, created_at, claimed_at, stop, deaths, parked"
    };
}

macro_rules! done_columns {
    () => {
        "task, seq, project, effect, lane, state, epoch, attempts, max_attempts, transient_attempts, run_attempt, \
         available_at, last_fault, created_at, claimed_at, stop, deaths, NULL, finished_at"
    };
}

/// The next job of a lane. Projects take turns: the one that was served longest ago goes first, so that fifty tickets of
/// one project cost another no more than one turn. Within a project the highest priority goes first, then the oldest.
///
/// Taken is what nobody runs an exclusive key of. A deploy that was begun holds its environment until it has ended, also
/// while it waits for another try: its hook is under a supervisor and may be running still.
///
/// A project that runs nothing in the lane may always begin. One that does may go on while it has less than `?5` there,
/// and while the lane keeps a place, of `?6`, for every other project that is at work and has none.
///
/// Every step is a seek: `here` walks from one group of queued jobs (project and rank) to the next, `active` from one
/// project to the next, however many jobs are queued.
pub(super) const CLAIM: &str = concat!(
    "WITH RECURSIVE here (project, rank) AS (",
    "SELECT * FROM (SELECT project, rank FROM job WHERE state = 'queued' AND lane = ?4 ORDER BY project, rank LIMIT 1) ",
    "UNION ALL SELECT n.project, n.rank FROM here JOIN job n ON n.id = coalesce(",
    "(SELECT m.id FROM job m WHERE m.state = 'queued' AND m.lane = ?4 AND m.project = here.project AND m.rank > here.rank ",
    "ORDER BY m.rank LIMIT 1), ",
    "(SELECT m.id FROM job m WHERE m.state = 'queued' AND m.lane = ?4 AND m.project > here.project ",
    "ORDER BY m.project, m.rank LIMIT 1))), ",
    "active (project) AS (SELECT min(project) FROM job WHERE lane NOT IN ('watch', 'message') ",
    "UNION ALL SELECT (SELECT min(m.project) FROM job m WHERE m.lane NOT IN ('watch', 'message') ",
    "AND m.project > active.project) FROM active WHERE active.project IS NOT NULL), ",
    "first (project, rank, id) AS MATERIALIZED (SELECT here.project, here.rank, (SELECT q.id FROM job q ",
    "WHERE q.state = 'queued' AND q.lane = ?4 AND q.project = here.project AND q.rank = here.rank AND q.available_at <= ?3 ",
    "AND (q.exclusive IS NULL OR NOT EXISTS (SELECT 1 FROM job r WHERE r.state = 'running' AND r.exclusive = q.exclusive)) ",
    "AND (q.lane <> 'deploy' OR NOT EXISTS (SELECT 1 FROM job r WHERE r.state = 'queued' AND r.lane = 'deploy' ",
    "AND r.exclusive = q.exclusive AND r.epoch > 0 AND r.id <> q.id AND (q.epoch = 0 OR r.id < q.id))) ",
    "ORDER BY q.available_at, q.id LIMIT 1) FROM here), ",
    "held (project, n) AS MATERIALIZED (SELECT project, count(*) FROM job WHERE state = 'running' AND lane = ?4 ",
    "GROUP BY project) ",
    "UPDATE job SET state = 'running', epoch = epoch + 1, worker = ?1, lease_ms = ?2, claimed_at = ?3, ",
    "parked = NULL ",
    "WHERE id = (SELECT first.id FROM first LEFT JOIN held ON held.project = first.project ",
    "LEFT JOIN turn ON turn.lane = ?4 AND turn.project = first.project ",
    "WHERE first.id IS NOT NULL AND (held.n IS NULL OR (held.n < ?5 AND (SELECT total(n) FROM held) ",
    "+ (SELECT count(*) FROM active WHERE project IS NOT NULL AND project NOT IN (SELECT project FROM held) ",
    "AND project NOT IN (SELECT value FROM json_each(?7)) ",
    "AND EXISTS (SELECT 1 FROM job a WHERE a.lane NOT IN ('watch', 'message') AND a.project = active.project ",
    "AND a.available_at <= ?3)) < ?6)) AND first.project NOT IN (SELECT value FROM json_each(?7)) ",
    "ORDER BY coalesce(turn.last, 0), first.project, first.rank LIMIT 1) RETURNING ",
    columns!(),
    ", NULL, id"
);
/// A project was served in a lane. Nothing is written while it is the only one there.
const SERVED: &str = "INSERT INTO turn (lane, project, last) \
     SELECT ?1, ?2, (SELECT coalesce(max(last), 0) + 1 FROM turn WHERE lane = ?1) \
     WHERE NOT EXISTS (SELECT 1 FROM turn WHERE lane = ?1 AND project = ?2 \
     AND last = (SELECT max(last) FROM turn WHERE lane = ?1)) \
     ON CONFLICT DO UPDATE SET last = excluded.last";
/// The same of one certain job.
const CLAIM_ONE: &str = concat!(
    "UPDATE job SET state = 'running', epoch = epoch + 1, worker = ?1, lease_ms = ?2, claimed_at = ?3, ",
    "parked = NULL WHERE task = ?5 AND seq = ?6 AND state = 'queued' AND lane = ?4 AND available_at <= ?3 ",
    "AND (exclusive IS NULL OR NOT EXISTS (SELECT 1 FROM job r WHERE r.state = 'running' AND r.exclusive = job.exclusive)) ",
    "AND (lane <> 'deploy' OR NOT EXISTS (SELECT 1 FROM job r WHERE r.state = 'queued' AND r.lane = 'deploy' ",
    "AND r.exclusive = job.exclusive AND r.epoch > 0 AND r.id <> job.id AND (job.epoch = 0 OR r.id < job.id))) ",
    "RETURNING ",
    columns!(),
    ", NULL"
);
/// The latest time until which anything in the file was promised to anyone, store's clock.
pub(super) const LATEST: &str = "SELECT max(coalesce((SELECT max(lease_ms) FROM job INDEXED BY job_running WHERE state = 'running'), 0), \
     coalesce((SELECT max(expires_ms) FROM lease), 0))";
/// Claims. Running jobs are few; the index is named because the planner does not know that.
pub(super) const CLAIMS: &str = "SELECT task, seq, epoch, worker, lane, lease_ms, deaths \
     FROM job INDEXED BY job_running WHERE state = 'running' ORDER BY id";
const RUNNING: &str = "SELECT count(*) FROM job INDEXED BY job_running WHERE state = 'running'";
/// A claim that is taken back spends no attempt and needs no new run.
pub(super) const GIVE_BACK: &str = "UPDATE job SET state = 'queued', worker = NULL, lease_ms = NULL, \
     deaths = ?3, last_fault = coalesce(?4, last_fault) WHERE task = ?1 AND seq = ?2 AND state = 'running'";
/// What `parked` says of a job whose kind is not known.
const UNKNOWN: &str = "?";
/// `available_at` of such a job: the end of the year 9999.
const NEVER: i64 = 253_402_300_799_000;
const BY_ID: &str = concat!("SELECT ", columns!(), ", NULL FROM job WHERE task = ?1 AND seq = ?2");
const DONE_BY_ID: &str = concat!("SELECT ", done_columns!(), " FROM job_done WHERE task = ?1 AND seq = ?2");

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
        deaths: row.get(16)?,
        parked: row.get(17)?,
        finished_at: row.get::<_, Option<i64>>(18)?.map(Time),
        reserved_micro_usd: 0,
        refused: None,
    })
}

/// Every row that can be read: one that cannot must not hide the others, and is told by [`unknown`].
fn readable(c: &Connection, sql: &str, params: impl Params) -> Db<Vec<Job>> {
    Ok(all(c, sql, params, |row| Ok(read(row).ok()))?.into_iter().flatten().collect())
}

/// Adds a queued job.
pub(super) fn add(c: &Connection, job: &AddedJob<'_>) -> Db<()> {
    let AddedJob { task, seq, project, effect, max_attempts, now } = *job;
    let stored = serde_json::to_value(effect).map_err(|e| DbError::bug(format!("an effect cannot be stored: {e}")))?;
    let kind = stored.get("effect").and_then(|k| k.as_str()).unwrap_or_default();
    run(
        c,
        "INSERT INTO job (task, seq, project, lane, effect, kind, exclusive, coalesce, state, epoch, attempts, \
         max_attempts, transient_attempts, run_attempt, available_at, stop, created_at, rank) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'queued', 0, 0, ?9, 0, 1, ?10, 0, ?10, \
         coalesce((SELECT rank FROM task WHERE id = ?1), 0))",
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
    Ok(())
}

pub(super) fn claim(c: &Connection, r: &ClaimRequest, now_ms: i64) -> Db<Option<Job>> {
    let until = now_ms.saturating_add(r.lease_ms);
    let [each, all] = [r.share.each, r.share.all].map(i64::from);
    let except = json(&r.except)?;
    let request = params![r.worker, until, r.now.0, r.lane.as_str(), each, all, except];
    loop {
        let claimed = one(c, CLAIM, request, |row| Ok((read(row), row.get::<_, i64>(19)?)))?;
        match claimed {
            None => return Ok(None),
            Some((Ok(job), _)) => {
                run(c, SERVED, params![r.lane.as_str(), job.project.as_str()])?;
                return Ok(Some(job));
            }
            Some((Err(why), id)) => put_aside(c, id, &why)?,
        }
    }
}

/// One certain job, if it is available.
pub(super) fn claim_one(c: &Connection, id: JobId, r: &ClaimRequest, now_ms: i64) -> Db<Option<Job>> {
    let until = now_ms.saturating_add(r.lease_ms);
    let request = params![r.worker, until, r.now.0, r.lane.as_str(), id.task.0, id.seq];
    one(c, CLAIM_ONE, request, read)
}

/// Claims of a task, and of what it has queued, go as early as its priority says.
pub(super) fn prioritise(c: &Connection, task: &Task) -> Db<()> {
    let rank = -i64::from(task.priority);
    run(c, "UPDATE task SET rank = ?2 WHERE id = ?1", params![task.id.0, rank])?;
    run(c, "UPDATE job SET rank = ?2 WHERE task = ?1", params![task.id.0, rank])?;
    Ok(())
}

/// Keeps a job this version cannot read until one comes that can; nobody else waits behind it.
fn put_aside(c: &Connection, id: i64, why: &DbError) -> Db<()> {
    let fault = FaultNote::new(FaultKind::Bug, text(why));
    tracing::warn!("a job is of a kind this version does not know and is kept: {}", fault.text);
    let sql = "UPDATE job SET state = 'queued', worker = NULL, lease_ms = NULL, epoch = epoch - 1, \
               available_at = ?2, parked = ?3, last_fault = ?4 WHERE id = ?1";
    run(c, sql, params![id, NEVER, UNKNOWN, json(&fault)?])?;
    Ok(())
}

fn text(why: &DbError) -> String {
    match why {
        DbError::Store(StoreError::Bug(text)) => text.clone(),
        DbError::Store(error) => error.to_string(),
        DbError::Sqlite(error) => error.to_string(),
    }
}

/// Open jobs this version cannot read: those that were put aside when they were to be claimed, and those in lanes nobody
/// claims from.
pub(super) fn unknown(c: &Connection) -> Db<Vec<UnknownJob>> {
    let lanes: Vec<String> = Lane::ALL.iter().map(|lane| format!("'{}'", lane.as_str())).collect();
    let lanes = lanes.join(", ");
    let columns = columns!();
    let sql = format!(
        "SELECT {columns}, NULL, kind FROM job WHERE parked = '{UNKNOWN}' UNION ALL \
         SELECT {columns}, NULL, kind FROM job WHERE lane NOT IN ({lanes}) AND parked IS NOT '{UNKNOWN}' ORDER BY 1, 2"
    );
    let found = all(c, &sql, [], |row| {
        let Err(why) = read(row) else { return Ok(None) };
        let why = text(&why);
        Ok(Some(UnknownJob {
            id: JobId { task: TaskId(row.get(0)?), seq: row.get(1)? },
            project: ProjectKey::new(row.get::<_, String>(2)?),
            kind: row.get(19)?,
            why,
            since: Time(row.get(13)?),
        }))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Jobs that were put aside are looked at again: this version may know their kind.
pub(super) fn take_up_again(c: &Connection) -> Db<()> {
    let sql = "UPDATE job SET available_at = created_at, parked = NULL WHERE parked = ?1";
    run(c, sql, [UNKNOWN])?;
    Ok(())
}

/// Nobody is to wait beyond a time; how many would have.
pub(super) fn hurry_all(c: &Connection, beyond: Time, now: Time) -> Db<u64> {
    // Claimed ones too, for they may be taken back; and parked ones, which are parked again if they have to be.
    let sql = "UPDATE job SET available_at = ?2 WHERE available_at > ?1";
    Ok(run(c, sql, params![beyond.0, now.0])? as u64)
}

/// The outside service answers again: jobs that wait for it may run. Their lanes.
pub(super) fn unpark(c: &Connection, service: &str, now: Time) -> Db<Vec<Lane>> {
    let sql = "SELECT DISTINCT lane FROM job WHERE parked = ?1 AND state = 'queued'";
    let lanes = all(c, sql, [service], |row| Ok(row.get::<_, String>(0)?))?;
    let sql = "UPDATE job SET available_at = min(available_at, ?2), parked = NULL \
               WHERE parked = ?1 AND state = 'queued'";
    run(c, sql, params![service, now.0])?;
    Ok(Lane::ALL.iter().copied().filter(|l| lanes.iter().any(|name| name == l.as_str())).collect())
}

/// Queued jobs that are parked for this may be claimed at once.
pub(super) fn let_go_on(c: &Connection, parked: &str) -> Db<()> {
    let sql = "UPDATE job SET available_at = min(available_at, created_at), parked = NULL \
               WHERE parked = ?1 AND state = 'queued'";
    run(c, sql, [parked])?;
    Ok(())
}

/// A job that is queued or running.
pub(super) fn open(c: &Connection, id: JobId) -> Db<Option<Job>> {
    one(c, BY_ID, params![id.task.0, id.seq], read)
}

/// A job, finished or not; none if this version cannot read it.
pub(super) fn any(c: &Connection, id: JobId) -> Db<Option<Job>> {
    for sql in [BY_ID, DONE_BY_ID] {
        if let Some(job) = one(c, sql, params![id.task.0, id.seq], |row| Ok(read(row).ok()))? {
            return Ok(job);
        }
    }
    Ok(None)
}

/// A claim as it stands in its row.
pub(super) fn claim_row(row: &Row<'_>) -> Db<Claim> {
    let lane: String = row.get(4)?;
    Ok(Claim {
        job: JobId { task: TaskId(row.get(0)?), seq: row.get(1)? },
        epoch: row.get::<_, i64>(2)? as u64,
        worker: row.get(3)?,
        lane: Lane::ALL.iter().copied().find(|l| l.as_str() == lane),
        until_ms: row.get(5)?,
        deaths: row.get(6)?,
    })
}

/// Ends a job: out of the hot table, counted, its outcome kept. `false`: there is none.
pub(super) fn end(c: &Connection, id: JobId, end: &End<'_>) -> Db<bool> {
    let moved = run(
        c,
        "INSERT INTO job_done (task, seq, project, lane, effect, kind, state, epoch, attempts, max_attempts, \
         transient_attempts, run_attempt, available_at, worker, stop, last_fault, created_at, claimed_at, deaths, \
         finished_at, outcome) \
         SELECT task, seq, project, lane, effect, kind, ?3, epoch, attempts + ?4, max_attempts, transient_attempts, \
         run_attempt, available_at, worker, stop, coalesce(?5, last_fault), created_at, claimed_at, deaths, ?6, ?7 \
         FROM job WHERE task = ?1 AND seq = ?2",
        params![
            id.task.0,
            id.seq,
            end.state.as_str(),
            end.spends,
            end.fault.map(json).transpose()?,
            end.now.0,
            json(end.outcome)?
        ],
    )?;
    let gone = run(c, "DELETE FROM job WHERE task = ?1 AND seq = ?2", params![id.task.0, id.seq])?;
    if (moved, gone) != (1, 1) {
        return Ok(false);
    }
    run(c, "UPDATE counter SET n = n + 1 WHERE name = ?1", [end.state.as_str()])?;
    Ok(true)
}

pub(super) fn list_open(c: &Connection, task: Option<TaskId>) -> Db<Vec<Job>> {
    match task {
        None => readable(c, concat!("SELECT ", columns!(), ", NULL FROM job ORDER BY id"), []),
        Some(task) => {
            let sql = concat!("SELECT ", columns!(), ", NULL FROM job WHERE task = ?1 ORDER BY seq");
            readable(c, sql, [task.0])
        }
    }
}

/// Some of the open jobs, and how many there are.
pub(super) fn open_sample(c: &Connection, limit: u32) -> Db<OpenSample> {
    let number =
        |sql: &str| -> Db<u64> { Ok(one(c, sql, [], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).unsigned_abs()) };
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", NULL FROM job ORDER BY state = 'running' DESC, deaths > 0 DESC, transient_attempts > 0 DESC, id LIMIT ?1"
    );
    let sql_parked = "SELECT parked, count(*) FROM job WHERE parked IS NOT NULL GROUP BY parked ORDER BY parked";
    Ok(OpenSample {
        jobs: readable(c, sql, [limit])?,
        total: number("SELECT count(*) FROM job")?,
        watching: number("SELECT count(*) FROM job WHERE lane = 'watch'")?,
        parked: all(c, sql_parked, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?,
    })
}

/// Claimed jobs.
pub(super) fn list_running(c: &Connection) -> Db<Vec<Job>> {
    let sql =
        concat!("SELECT ", columns!(), ", NULL FROM job INDEXED BY job_running WHERE state = 'running' ORDER BY id");
    all(c, sql, [], read)
}

pub(super) fn recent(c: &Connection, limit: u32) -> Db<Vec<Job>> {
    let sql = concat!("SELECT ", done_columns!(), " FROM job_done ORDER BY id DESC LIMIT ?1");
    readable(c, sql, [limit])
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
