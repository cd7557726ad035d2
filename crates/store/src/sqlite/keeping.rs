//! What is done to a database file from outside, without working on its tasks: holding it, copying it while its owner
//! works, looking at all of it, and mending places that are stored in it. None of it changes a task.

use super::SqliteStore;
use super::lock::Lock;
use super::schema;
use super::sql::classify;
use crate::error::StoreError;
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;

/// An owned database that nobody works on; letting it go frees it.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "kept for its end")] Lock);

impl SqliteStore {
    /// Owns a database without opening it, so that no daemon starts on it.
    ///
    /// # Errors
    /// [`StoreError::Held`] if another process owns it.
    pub fn hold(path: &Path, holder: &str) -> Result<Hold, StoreError> {
        Lock::take(path, holder).map(Hold)
    }

    /// Writes a copy of a database file, as it is at this moment, to a file that must not exist yet. Its owner may be at
    /// work on it.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if the target exists or cannot be written; what is wrong with the source.
    pub fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        schema::backup(from, to)
    }

    /// Reads all of a database, ours or a local adapter's, and says what is wrong with it; nothing: it is sound. Changes
    /// nothing, and its owner may be at work on it.
    ///
    /// # Errors
    /// A file that cannot be read or is no database.
    pub fn examine_whole(path: &Path) -> Result<Vec<String>, StoreError> {
        let at = |e: rusqlite::Error| classify(path, &e);
        let c = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(at)?;
        let mut wrong = Vec::new();
        let mut look = |sql: &str, show: &dyn Fn(&rusqlite::Row<'_>) -> rusqlite::Result<String>| {
            let mut lines = c.prepare(sql).map_err(at)?;
            let rows = lines.query_map([], |r| show(r)).map_err(at)?;
            for row in rows {
                wrong.push(row.map_err(at)?);
            }
            Ok::<_, StoreError>(())
        };
        look("PRAGMA integrity_check(10)", &|r| r.get(0))?;
        look("PRAGMA foreign_key_check", &|r| {
            Ok(format!(
                "a row of {} names a row of {} that is not there",
                r.get::<_, String>(0)?,
                r.get::<_, String>(2)?
            ))
        })?;
        wrong.retain(|line| line != "ok");
        Ok(wrong)
    }

    /// Is there no database worth the name: no file, or one in which nothing was ever written?
    pub fn is_blank(path: &Path) -> bool {
        let empty = |path: &Path| {
            let c =
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            c.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))
        };
        match std::fs::metadata(path) {
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
            // Beside a write-ahead log the file alone says nothing.
            Ok(meta) => meta.is_file() && empty(path).is_ok_and(|tables| tables == 0),
        }
    }

    /// Has a database tasks, and has one of them a pull request? `None`: it cannot be read, and whoever opens it says why.
    pub fn knows(path: &Path) -> Option<(bool, bool)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let c = Connection::open_with_flags(path, flags).ok()?;
        c.query_row(
            "SELECT EXISTS (SELECT 1 FROM task),
             EXISTS (SELECT 1 FROM task WHERE
               coalesce(json_extract(body, '$.branch.pull_request'), json_extract(body, '$.pull_request')) IS NOT NULL)",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .ok()
    }

    /// Mends places that are stored in a database after its directory has moved. `moved` are pairs of text, each with the
    /// separator behind it; asking again changes nothing.
    ///
    /// # Errors
    /// What SQLite says; nothing is changed then.
    pub fn relocate(path: &Path, moved: &[(String, String)]) -> Result<u64, StoreError> {
        let at = |e: rusqlite::Error| classify(path, &e);
        let mut c =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(at)?;
        c.pragma_update(None, "synchronous", "FULL").map_err(at)?;
        let change = c.transaction().map_err(at)?;
        let mut mended = 0;
        for (from, to) in moved {
            for sql in [
                "UPDATE run SET dir = replace(dir, ?1, ?2), body = replace(body, ?1, ?2) \
                 WHERE instr(dir, ?1) OR instr(body, ?1)",
                "UPDATE judgement SET body = replace(body, ?1, ?2) WHERE instr(body, ?1)",
            ] {
                mended += change.execute(sql, params![from, to]).map_err(at)?;
            }
        }
        change.commit().map_err(at)?;
        Ok(mended as u64)
    }
}
