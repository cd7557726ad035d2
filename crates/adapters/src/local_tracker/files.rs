//! Files on tickets, in the tracker's own file: as durable as the ticket itself, and copied with it.

use super::{LocalTracker, log, read};
use crate::local_db::DbError;
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_ports::Fault;
use orch_ports::attachment::{Attachment, too_large, wrong_name};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

fn of(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    Ok(Attachment {
        name: row.get(0)?,
        size: row.get::<_, i64>(1)?.unsigned_abs(),
        sha256: row.get(2)?,
        by: Actor::new(row.get::<_, String>(3)?),
        at: Time(row.get(4)?),
    })
}

fn all(t: &Transaction<'_>, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, DbError> {
    read(t, project, number)?;
    let mut found =
        t.prepare("SELECT name, size, sha256, by, at FROM file WHERE project = ?1 AND number = ?2 ORDER BY name")?;
    let rows = found.query_map(params![project.as_str(), number as i64], of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl LocalTracker {
    pub(super) async fn put_file(
        &self,
        project: &ProjectKey,
        number: u64,
        name: &str,
        content: &[u8],
        by: &Actor,
    ) -> Result<Attachment, Fault> {
        if let Some(why) = wrong_name(name) {
            return Err(Fault::permanent(why));
        }
        let mut sha256 = String::new();
        for byte in Sha256::digest(content) {
            let _ = write!(sha256, "{byte:02x}");
        }
        let (project, name, content) = (project.clone(), name.to_owned(), content.to_vec());
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .write("attach a file to a ticket", move |t| {
                let there = all(t, &project, number)?;
                if let Some(same) = there.iter().find(|a| a.name == name && a.sha256 == sha256) {
                    return Ok(same.clone());
                }
                if let Some(why) = too_large(&name, content.len() as u64, &there) {
                    return Err(Fault::permanent(why).into());
                }
                let size = content.len() as i64;
                t.execute(
                    "INSERT INTO file (project, number, name, size, sha256, content, by, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET size = excluded.size,
                     sha256 = excluded.sha256, content = excluded.content, by = excluded.by, at = excluded.at",
                    params![project.as_str(), number as i64, name, size, sha256, content, by.as_str(), now.0],
                )?;
                log(t, &project, number, "file-attached", &name, &by, now)?;
                Ok(Attachment { name, size: content.len() as u64, sha256, by, at: now })
            })
            .await
    }

    pub(super) async fn list_files(&self, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault> {
        let project = project.clone();
        self.db.read("list files of a ticket", move |t| all(t, &project, number)).await
    }

    pub(super) async fn read_file(&self, project: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
        let (project, name) = (project.clone(), name.to_owned());
        self.db
            .read("read a file of a ticket", move |t| {
                let place = params![project.as_str(), number as i64, name];
                let sql = "SELECT content FROM file WHERE project = ?1 AND number = ?2 AND name = ?3";
                let gone = || Fault::gone(format!("ticket {project}-{number} has no file `{name}`")).into();
                t.query_row(sql, place, |r| r.get(0)).optional()?.ok_or_else(gone)
            })
            .await
    }
}
