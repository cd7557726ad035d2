//! Evidence: judgements, artefacts, runs, deployments. Written only by the job that found it, while its claim holds:
//! what a worker writes after it lost its claim would vouch for work nobody asked for.

use super::sql::{Db, DbError, all, json, one, parse, run};
use super::tx::Rows;
use crate::rows::{ArtefactRow, Deployment, Fence, Judgement};
use crate::run_row::{RunRow, SHELL};
use crate::used::{QUARTER_MS, Used};
use crate::{money, queue};
use orch_core::ids::{Environment, GateId, ProjectKey, Seq, Sha, StageId, TaskId, Time};
use rusqlite::{Connection, Row, params};

/// May this claim still write, and is it about its own task?
fn admitted(c: &Connection, fence: Fence, task: TaskId) -> Db<bool> {
    if fence.job.task != task {
        return Err(DbError::bug(format!("job {} writes evidence for task {task}", fence.job)));
    }
    Ok(queue::held(&mut Rows::timeless(c), fence)?.is_some())
}

fn judgement(row: &Row<'_>) -> Db<Judgement> {
    parse("judgement", &row.get::<_, String>(0)?)
}

pub(super) fn put_judgement(c: &Connection, fence: Fence, j: &Judgement) -> Db<bool> {
    if !admitted(c, fence, j.task)? {
        return Ok(false);
    }
    run(
        c,
        "INSERT INTO judgement (task, gate, key, verdict, at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![j.task.0, j.gate.as_str(), j.key, j.verdict.word(), j.at.0, json(j)?],
    )?;
    Ok(true)
}

pub(super) fn judgements(c: &Connection, task: TaskId) -> Db<Vec<Judgement>> {
    all(c, "SELECT body FROM judgement WHERE task = ?1 ORDER BY id", [task.0], judgement)
}

/// The newest one that decided something.
pub(super) fn standing(c: &Connection, task: TaskId, gate: GateId, key: &str) -> Db<Option<Judgement>> {
    let sql = "SELECT body FROM judgement WHERE task = ?1 AND gate = ?2 AND key = ?3 \
               AND verdict IN ('pass', 'skipped', 'fail') ORDER BY id DESC LIMIT 1";
    one(c, sql, params![task.0, gate.as_str(), key], judgement)
}

/// The newest one of a gate.
pub(super) fn last_judgement(c: &Connection, task: TaskId, gate: GateId) -> Db<Option<Judgement>> {
    let sql = "SELECT body FROM judgement WHERE task = ?1 AND gate = ?2 ORDER BY id DESC LIMIT 1";
    one(c, sql, params![task.0, gate.as_str()], judgement)
}

fn artefact(row: &Row<'_>) -> Db<ArtefactRow> {
    Ok(ArtefactRow {
        task: TaskId(row.get(0)?),
        stage: StageId::new(row.get::<_, String>(1)?),
        run: row.get(2)?,
        name: row.get(3)?,
        sha256: row.get(4)?,
        bytes: row.get(5)?,
        subject: row.get(6)?,
        at: Time(row.get(7)?),
    })
}

pub(super) fn put_artefacts(c: &Connection, fence: Fence, rows: &[ArtefactRow]) -> Db<bool> {
    if queue::held(&mut Rows::timeless(c), fence)?.is_none() {
        return Ok(false);
    }
    for a in rows {
        admitted(c, fence, a.task)?;
        // Replacing gives a new id: the newest is what was written last.
        run(
            c,
            "INSERT OR REPLACE INTO artefact (task, run, name, stage, sha256, bytes, subject, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![a.task.0, a.run, a.name, a.stage.as_str(), a.sha256, a.bytes, a.subject, a.at.0],
        )?;
    }
    Ok(true)
}

pub(super) fn one_artefact(c: &Connection, task: TaskId, of: Seq, name: &str) -> Db<Option<ArtefactRow>> {
    let sql = "SELECT task, stage, run, name, sha256, bytes, subject, at FROM artefact \
               WHERE task = ?1 AND run = ?2 AND name = ?3";
    one(c, sql, params![task.0, of, name], artefact)
}

pub(super) fn artefacts(c: &Connection, task: TaskId) -> Db<Vec<ArtefactRow>> {
    let sql = "SELECT task, stage, run, name, sha256, bytes, subject, at FROM artefact \
               WHERE id IN (SELECT max(id) FROM artefact WHERE task = ?1 GROUP BY name) ORDER BY name";
    all(c, sql, [task.0], artefact)
}

pub(super) fn put_run(c: &Connection, fence: Fence, r: &RunRow) -> Db<bool> {
    if !r.usage.cost_usd.is_finite() {
        return Err(DbError::bug(format!("run {}-{}: its cost is not a number", r.task.0, r.job)));
    }
    if !admitted(c, fence, r.task)? {
        return Ok(false);
    }
    run(
        c,
        "INSERT INTO run (task, job, attempt, dir, what, model, started, ended, cost_usd, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (task, job, attempt, dir) DO UPDATE SET what = excluded.what, model = excluded.model, \
         started = excluded.started, ended = excluded.ended, cost_usd = excluded.cost_usd, body = excluded.body",
        params![
            r.task.0,
            r.job,
            r.attempt,
            r.dir,
            r.what.to_string(),
            r.model,
            r.started.0,
            r.ended.map(|t| t.0),
            r.usage.cost_usd,
            json(r)?
        ],
    )?;
    money::settle(&mut Rows::timeless(c), r)?;
    Ok(true)
}

pub(super) fn runs(c: &Connection, task: TaskId) -> Db<Vec<RunRow>> {
    all(c, "SELECT body FROM run WHERE task = ?1 ORDER BY job, attempt, started, dir", [task.0], |row| {
        parse("run", &row.get::<_, String>(0)?)
    })
}

pub(super) fn used(c: &Connection, from: Time, until: Time) -> Db<Vec<Used>> {
    let sql = format!(
        "SELECT task.project, task.item, run.what, run.model, run.started / {QUARTER_MS} * {QUARTER_MS} AS at, count(*), \
         sum(coalesce(run.cost_usd, 0)), sum(run.body ->> '$.usage.cost_unread' IS NOT NULL), \
         sum(coalesce(run.body ->> '$.usage.included', 0)), sum(coalesce(run.body ->> '$.usage.input_tokens', 0)), \
         sum(coalesce(run.body ->> '$.usage.output_tokens', 0)) \
         FROM run JOIN task ON task.id = run.task \
         WHERE run.started >= ?1 AND run.started < ?2 AND run.ended IS NOT NULL AND run.body ->> '$.program' <> ?3 \
         GROUP BY task.id, run.what, run.model, at ORDER BY task.id, run.what, run.model, at"
    );
    let number = |row: &Row<'_>, at| -> Db<u64> { Ok(row.get::<_, i64>(at)?.unsigned_abs()) };
    all(c, &sql, params![from.0, until.0, SHELL], |row| {
        Ok(Used {
            project: row.get(0)?,
            item: row.get(1)?,
            what: row.get(2)?,
            model: row.get(3)?,
            at: Time(row.get(4)?),
            runs: number(row, 5)?,
            cost_usd: row.get(6)?,
            at_most: number(row, 7)?,
            included: number(row, 8)?,
            input_tokens: number(row, 9)?,
            output_tokens: number(row, 10)?,
        })
    })
}

pub(super) fn put_deployment(c: &Connection, fence: Fence, d: &Deployment) -> Db<bool> {
    if !admitted(c, fence, d.task)? {
        return Ok(false);
    }
    run(
        c,
        "INSERT INTO deployment (project, environment, revision, task, ok, rollback, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![d.project.as_str(), d.environment.as_str(), d.revision.as_str(), d.task.0, d.ok, d.rollback, d.at.0],
    )?;
    Ok(true)
}

pub(super) fn deployments(
    c: &Connection,
    project: &ProjectKey,
    environment: Environment,
    limit: u32,
) -> Db<Vec<Deployment>> {
    let sql = "SELECT revision, task, ok, rollback, at FROM deployment \
               WHERE project = ?1 AND environment = ?2 ORDER BY id DESC LIMIT ?3";
    all(c, sql, params![project.as_str(), environment.as_str(), limit], |row| {
        Ok(Deployment {
            project: project.clone(),
            environment,
            revision: Sha::new(row.get::<_, String>(0)?),
            task: TaskId(row.get(1)?),
            ok: row.get(2)?,
            rollback: row.get(3)?,
            at: Time(row.get(4)?),
        })
    })
}
