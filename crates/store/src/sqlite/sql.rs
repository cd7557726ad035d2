//! The small vocabulary every verb is written in: run a statement, read one row or all of them, say what went wrong.
//! The one place where an SQLite error becomes a store error, so that a full disk is never reported as a bug.

use crate::error::StoreError;
use rusqlite::{Connection, ErrorCode, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Why a verb ended without an answer.
#[derive(Debug)]
pub(super) enum DbError {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// A rule of the store said no.
    Store(StoreError),
}

/// Result inside the store, before the path is known.
pub(super) type Db<T> = Result<T, DbError>;

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for DbError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl DbError {
    /// A rule of the store would be broken.
    pub(super) fn bug(text: impl Into<String>) -> Self {
        Self::Store(StoreError::Bug(text.into()))
    }

    /// The error as callers see it.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => classify(path, &error),
            Self::Store(error) => error,
        }
    }
}

/// What an SQLite error means for a person.
pub(super) fn classify(path: &Path, error: &rusqlite::Error) -> StoreError {
    let unusable = |detail: String| StoreError::Unusable { path: path.to_owned(), detail };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Corrupt { path: path.to_owned(), detail: error.to_string() }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => unusable(format!(
            "{error}; make the file and its directory writable for this user, or choose another [db] path"
        )),
        Some(ErrorCode::CannotOpen) => unusable(format!(
            "{error}; check that the directory exists and this user may write to it, or choose another [db] path"
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Io(format!("{error}; another program is using {}", path.display()))
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => {
            StoreError::Io(error.to_string())
        }
        _ => StoreError::Bug(format!("the database refused a statement: {error}")),
    }
}

/// The same error for everyone whose work was rolled back together.
pub(super) fn echo(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        StoreError::Io(text) => StoreError::Io(text.clone()),
        other => StoreError::Io(other.to_string()),
    }
}

/// Runs a statement; the number of rows it changed.
pub(super) fn run(c: &Connection, sql: &str, params: impl Params) -> Db<usize> {
    Ok(c.prepare_cached(sql)?.execute(params)?)
}

/// The first row, if there is one.
pub(super) fn one<T>(
    c: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Db<T>,
) -> Db<Option<T>> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Every row.
pub(super) fn all<T>(c: &Connection, sql: &str, params: impl Params, read: impl Fn(&Row<'_>) -> Db<T>) -> Db<Vec<T>> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// A value as it is stored, exactly: what must not be read by everybody is masked where it is shown.
pub(super) fn json(value: &impl Serialize) -> Db<String> {
    serde_json::to_string(value).map_err(|e| DbError::bug(format!("a value cannot be stored: {e}")))
}

/// A stored value.
pub(super) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Db<T> {
    serde_json::from_str(text).map_err(|e| DbError::bug(format!("a stored {what} cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mask in the middle of a stored value would make another value of it, or none that can be read.
    #[test]
    fn what_is_stored_is_read_back_as_it_was_whatever_is_known_as_a_key() {
        let _known = ["job_failed_2", "feature/DEMO-1-a"].map(orch_ports::Secret::new);
        let value = serde_json::json!({ "why": { "reason": "job_failed_2" }, "job_failed_2": "feature/DEMO-1-a" });
        assert_eq!(parse::<serde_json::Value>("task", &json(&value).unwrap()).unwrap(), value);
    }
}
