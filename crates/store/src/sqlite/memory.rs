//! What is remembered: a table for each kind of owner.

use super::sql::{Db, one, run};
use crate::memory::{Fact, Owner};
use orch_core::ids::Time;
use rusqlite::{Connection, params};

pub(super) fn remember(c: &Connection, fact: &Fact, value: &str, now: Time) -> Db<()> {
    let (kind, name) = (fact.kind(), fact.name());
    match fact.owner() {
        Owner::Instance => {
            run(c, "INSERT OR REPLACE INTO of_instance (kind, value) VALUES (?1, ?2)", params![kind, value])
        }
        Owner::Project(project) => run(
            c,
            "INSERT OR REPLACE INTO of_project (project, kind, name, value, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![project.as_str(), kind, name, value, fact.until(now).map(|t| t.0)],
        ),
        Owner::Ticket(project, number) => run(
            c,
            "INSERT OR REPLACE INTO of_ticket (project, number, kind, value) VALUES (?1, ?2, ?3, ?4)",
            params![project.as_str(), number as i64, kind, value],
        ),
        Owner::Task(task) => run(
            c,
            "INSERT OR REPLACE INTO of_task (task, kind, name, value) VALUES (?1, ?2, ?3, ?4)",
            params![task.0, kind, name, value],
        ),
        Owner::Service(service) => {
            run(c, "INSERT OR REPLACE INTO of_service (service, value) VALUES (?1, ?2)", params![service, value])
        }
    }?;
    Ok(())
}

pub(super) fn recall(c: &Connection, fact: &Fact) -> Db<Option<String>> {
    let (kind, name) = (fact.kind(), fact.name());
    match fact.owner() {
        Owner::Instance => one(c, "SELECT value FROM of_instance WHERE kind = ?1", [kind], |row| Ok(row.get(0)?)),
        Owner::Project(project) => {
            let sql = "SELECT value FROM of_project WHERE project = ?1 AND kind = ?2 AND name = ?3";
            one(c, sql, params![project.as_str(), kind, name], |row| Ok(row.get(0)?))
        }
        Owner::Ticket(project, number) => {
            let sql = "SELECT value FROM of_ticket WHERE project = ?1 AND number = ?2 AND kind = ?3";
            one(c, sql, params![project.as_str(), number as i64, kind], |row| Ok(row.get(0)?))
        }
        Owner::Task(task) => {
            let sql = "SELECT value FROM of_task WHERE task = ?1 AND kind = ?2 AND name = ?3";
            one(c, sql, params![task.0, kind, name], |row| Ok(row.get(0)?))
        }
        Owner::Service(service) => {
            one(c, "SELECT value FROM of_service WHERE service = ?1", [service], |row| Ok(row.get(0)?))
        }
    }
}

pub(super) fn forget(c: &Connection, fact: &Fact) -> Db<()> {
    let (kind, name) = (fact.kind(), fact.name());
    match fact.owner() {
        Owner::Instance => run(c, "DELETE FROM of_instance WHERE kind = ?1", [kind]),
        Owner::Project(project) => {
            let sql = "DELETE FROM of_project WHERE project = ?1 AND kind = ?2 AND name = ?3";
            run(c, sql, params![project.as_str(), kind, name])
        }
        Owner::Ticket(project, number) => {
            let sql = "DELETE FROM of_ticket WHERE project = ?1 AND number = ?2 AND kind = ?3";
            run(c, sql, params![project.as_str(), number as i64, kind])
        }
        Owner::Task(task) => {
            run(c, "DELETE FROM of_task WHERE task = ?1 AND kind = ?2 AND name = ?3", params![task.0, kind, name])
        }
        Owner::Service(service) => run(c, "DELETE FROM of_service WHERE service = ?1", [service]),
    }?;
    Ok(())
}

pub(super) fn forget_ended(c: &Connection, now: Time) -> Db<u64> {
    Ok(run(c, "DELETE FROM of_project WHERE until_ms <= ?1", [now.0])? as u64)
}
