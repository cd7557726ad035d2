//! What runs of agents cost, and what is reserved for them. What is done with it is decided in `crate::money`.

use super::sql::{Db, one, run};
use crate::rows::{Cost, Spend, Whose};
use orch_core::budget::Sums;
use orch_core::ids::{JobId, ProjectKey, TaskId, Time};
use rusqlite::{Connection, Params, Row, params};

const LOAD: &str = "SELECT task, job, attempt, project, at, reserved, cost, known FROM spend \
                    WHERE task = ?1 AND job = ?2 AND attempt = ?3";
const OPEN: &str = "SELECT task, job, attempt, project, at, reserved, cost, known FROM spend \
                    WHERE task = ?1 AND job = ?2 AND cost IS NULL ORDER BY attempt DESC LIMIT 1";

macro_rules! sums {
    ($which:literal) => {
        concat!(
            "SELECT coalesce(sum(cost), 0), coalesce(sum(iif(cost IS NULL, reserved, 0)), 0), ",
            "coalesce(sum(known = 0 AND 0 < cost), 0), coalesce(sum(known = 0 AND 0 = cost), 0) FROM spend WHERE ",
            $which
        )
    };
}
pub(super) const OF_TASK: &str = sums!("task = ?1 AND ?2 <= at");
pub(super) const OF_PROJECT: &str = sums!("project = ?1 AND ?2 <= at");
pub(super) const OF_ALL: &str = sums!("?1 <= at");

fn read(row: &Row<'_>) -> Db<Spend> {
    let known: bool = row.get(7)?;
    let cost = row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs);
    Ok(Spend {
        job: JobId { task: TaskId(row.get(0)?), seq: row.get(1)? },
        attempt: row.get(2)?,
        project: ProjectKey::new(row.get::<_, String>(3)?),
        at: Time(row.get(4)?),
        reserved_micro_usd: row.get::<_, i64>(5)?.unsigned_abs(),
        cost: cost.map(|cost| if known { Cost::Known(cost) } else { Cost::AtMost(cost) }),
    })
}

pub(super) fn load(c: &Connection, job: JobId, attempt: u32) -> Db<Option<Spend>> {
    one(c, LOAD, params![job.task.0, job.seq, attempt], read)
}

pub(super) fn open(c: &Connection, job: JobId) -> Db<Option<Spend>> {
    one(c, OPEN, params![job.task.0, job.seq], read)
}

pub(super) fn save(c: &Connection, spend: &Spend) -> Db<()> {
    let whole = |micro_usd: u64| i64::try_from(micro_usd).unwrap_or(i64::MAX);
    let (cost, known) = match spend.cost {
        None => (None, true),
        Some(Cost::Known(cost)) => (Some(whole(cost)), true),
        Some(Cost::AtMost(cost)) => (Some(whole(cost)), false),
    };
    let sql = "INSERT OR REPLACE INTO spend (task, job, attempt, project, at, reserved, cost, known) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Spend { job, attempt, project, at, reserved_micro_usd, .. } = spend;
    let reserved = whole(*reserved_micro_usd);
    run(c, sql, params![job.task.0, job.seq, attempt, project.as_str(), at.0, reserved, cost, known])?;
    Ok(())
}

pub(super) fn remove(c: &Connection, job: JobId, attempt: u32) -> Db<()> {
    let sql = "DELETE FROM spend WHERE task = ?1 AND job = ?2 AND attempt = ?3";
    run(c, sql, params![job.task.0, job.seq, attempt])?;
    Ok(())
}

pub(super) fn sums(c: &Connection, whose: &Whose, from: Time) -> Db<Sums> {
    match whose {
        Whose::Task(task) => summed(c, OF_TASK, params![task.0, from.0]),
        Whose::Project(project) => summed(c, OF_PROJECT, params![project.as_str(), from.0]),
        Whose::Everybody => summed(c, OF_ALL, params![from.0]),
    }
}

fn summed(c: &Connection, sql: &str, params: impl Params) -> Db<Sums> {
    let sums = one(c, sql, params, |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok(Sums {
            spent_micro_usd: number(0)?,
            reserved_micro_usd: number(1)?,
            at_most: number(2)?,
            unknown: number(3)?,
        })
    })?;
    Ok(sums.unwrap_or_default())
}
