//! The small SQLite file a local adapter keeps for itself. It decides how such a file is opened and what is refused: a
//! file of another program, of a newer version, or a damaged one is named and left untouched. Every setting that
//! durability hangs on is read back, because SQLite ignores what it does not know without a word.

use orch_core::fault_code::FaultCode;
use orch_ports::Fault;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The ways out of a damaged file.
const AWAY: &str = "bring a backup back with `orch restore DIR`, or move it away and see with `orch db new` what is made \
                    again from the tasks";

/// What a file must be.
pub(crate) struct Schema {
    /// What people call it: `local tracker`.
    pub(crate) name: &'static str,
    /// `PRAGMA application_id`: tells one adapter's file from another's.
    pub(crate) application_id: i32,
    /// Statements of each version, oldest first; a file of version `n` has seen the first `n`.
    pub(crate) migrations: &'static [&'static str],
}

/// Why a piece of work on the file ended without an answer.
pub(crate) enum DbError {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// The work itself said no; the transaction is rolled back.
    Fault(Fault),
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for DbError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An open file. Clones share one connection.
#[derive(Clone, Debug)]
pub(crate) struct LocalDb {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl LocalDb {
    /// Opens or makes the file and brings its schema up to date.
    pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Self, Fault> {
        let doing = format!("open the {} database {}", schema.name, path.display());
        if let Some(parent) = path.parent() {
            crate::durable::make_dir(parent).map_err(|f| f.context(&doing))?;
        }
        let connection = prepare(path, schema).map_err(|e| match e {
            DbError::Sqlite(e) => sqlite_fault(&e).context(&doing),
            DbError::Fault(fault) => fault.context(&doing),
        })?;
        Ok(Self { path: Arc::new(path.to_owned()), connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs work in a transaction that writes; what it returns is on disk when this returns `Ok`.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.run(doing, TransactionBehavior::Immediate, work).await
    }

    /// Runs work in a transaction that sees one state of the file.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.run(doing, TransactionBehavior::Deferred, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Fault> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            // A panic inside `work` rolled its transaction back, so the connection behind a poisoned lock is sound.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
        .map_err(|e| Fault::bug(format!("{doing}: database task ended: {e}")))?;
        done.map_err(|e| match e {
            DbError::Sqlite(e) => sqlite_fault(&e).context(format!("{doing} in {}", self.path.display())),
            DbError::Fault(fault) => fault.context(doing),
        })
    }
}

/// Is nothing in this table of a file: no file, no such table, or no row? Changes nothing. A file that cannot be read is
/// not empty: whoever opens it says what is wrong with it.
pub(crate) fn is_empty(path: &Path, table: &str) -> bool {
    let look = || -> Result<bool, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        if !connection.query_row(there, [table], |r| r.get::<_, bool>(0))? {
            return Ok(true);
        }
        connection.query_row(&format!("SELECT NOT EXISTS (SELECT 1 FROM {table})"), [], |r| r.get(0))
    };
    match std::fs::metadata(path) {
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        Ok(meta) => meta.is_file() && look().unwrap_or(false),
    }
}

fn prepare(path: &Path, schema: &Schema) -> Result<Connection, DbError> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Whose file and which version comes before anything that writes: a stranger's file is not even switched to WAL.
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    let (owner, version): (i32, i64) = (pragma(&connection, "application_id")?, pragma(&connection, "user_version")?);
    if tables > 0 && owner != schema.application_id {
        return Err(Fault::permanent(format!("the file belongs to another program (application_id {owner})")).into());
    }
    let newest = schema.migrations.len() as i64;
    if version > newest {
        let text = format!("the file has version {version}, this program knows up to {newest}; start a newer orch");
        return Err(Fault::permanent(text).coded(FaultCode::Newer).into());
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    if check != "ok" {
        let text = format!("the file is damaged ({check}); {AWAY}");
        return Err(Fault::permanent(text).coded(FaultCode::Damaged).into());
    }
    for (name, set, want) in [
        ("journal_mode", "WAL", "wal"),
        ("synchronous", "FULL", "2"),
        ("foreign_keys", "ON", "1"),
        ("trusted_schema", "OFF", "0"),
    ] {
        connection.pragma_update(None, name, set)?;
        let got = connection.pragma_query_value(None, name, |r| {
            r.get::<_, String>(0).or_else(|_| r.get::<_, i64>(0).map(|n| n.to_string()))
        })?;
        if got != want {
            return Err(Fault::permanent(format!("sqlite answers {name} = {got}, needed is {want}")).into());
        }
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the write lock: another process may have brought the file up to date meanwhile.
    let version: i64 = change.pragma_query_value(None, "user_version", |r| r.get(0))?;
    for statements in schema.migrations.iter().skip(version as usize) {
        change.execute_batch(statements)?;
    }
    change.pragma_update(None, "application_id", schema.application_id)?;
    change.pragma_update(None, "user_version", newest)?;
    change.commit()?;
    Ok(connection)
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<T, rusqlite::Error> {
    connection.pragma_query_value(None, name, |r| r.get(0))
}

/// A busy or full disk passes or is repaired by itself; a damaged file does not.
fn sqlite_fault(error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Fault::transient(error.to_string()).coded(FaultCode::Busy)
        }
        Some(ErrorCode::DiskFull) => Fault::transient(error.to_string()).coded(FaultCode::NoRoom),
        Some(ErrorCode::SystemIoFailure) => Fault::transient(error.to_string()),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Fault::permanent(format!("the file is damaged or no database ({error}); {AWAY}")).coded(FaultCode::Damaged)
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            Fault::denied(error.to_string())
        }
        _ => Fault::bug(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::verdict::FaultKind;

    const SCHEMA: Schema =
        Schema { name: "test", application_id: 7, migrations: &["CREATE TABLE a (x INTEGER NOT NULL) STRICT;"] };

    #[test]
    fn a_file_of_a_newer_version_is_refused_by_name_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub").join("a.db");
        drop(LocalDb::open(&path, &SCHEMA).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
        let fault = LocalDb::open(&path, &SCHEMA).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permanent);
        assert!(fault.text.contains("a.db") && fault.text.contains("version 9"), "{fault}");
    }

    #[test]
    fn a_strangers_file_and_a_damaged_file_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let strange = dir.path().join("strange.db");
        Connection::open(&strange).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let fault = LocalDb::open(&strange, &SCHEMA).unwrap_err();
        assert!(fault.text.contains("strange.db") && fault.text.contains("another program"), "{fault}");

        let text = dir.path().join("text.db");
        std::fs::write(&text, "this is no database ".repeat(100)).unwrap();
        let fault = LocalDb::open(&text, &SCHEMA).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permanent);
        assert!(fault.text.contains("text.db") && fault.text.contains("backup"), "{fault}");

        let holed = dir.path().join("holed.db");
        drop(LocalDb::open(&holed, &SCHEMA).unwrap());
        let connection = Connection::open(&holed).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        for x in 0..2000 {
            connection.execute("INSERT INTO a VALUES (?1)", [x]).unwrap();
        }
        connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
        drop(connection);
        let mut bytes = std::fs::read(&holed).unwrap();
        let middle = bytes.len() - 2000;
        bytes[middle - 4096..middle].fill(0xA5);
        std::fs::write(&holed, bytes).unwrap();
        let fault = LocalDb::open(&holed, &SCHEMA).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permanent, "{fault}");
        assert!(fault.text.contains("holed.db") && fault.text.contains("damaged"), "{fault}");
    }

    #[test]
    fn a_table_is_empty_without_a_file_a_table_or_a_row_and_never_because_it_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        assert!(is_empty(&path, "a"));
        assert!(!path.exists(), "looking makes nothing");
        std::fs::write(&path, "").unwrap();
        assert!(is_empty(&path, "a"));
        drop(LocalDb::open(&path, &SCHEMA).unwrap());
        assert!(is_empty(&path, "a"));
        Connection::open(&path).unwrap().execute("INSERT INTO a VALUES (1)", []).unwrap();
        assert!(!is_empty(&path, "a"));
        assert!(is_empty(&path, "b"));
        std::fs::write(&path, "this is no database ".repeat(100)).unwrap();
        assert!(!is_empty(&path, "a"));
        assert!(!is_empty(dir.path(), "a"), "a directory is said by whoever opens it");
    }

    #[tokio::test]
    async fn work_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let db = LocalDb::open(&dir.path().join("a.db"), &SCHEMA).unwrap();
        let failed: Result<(), Fault> = db
            .write("try", |t| {
                t.execute("INSERT INTO a VALUES (1)", [])?;
                Err(Fault::gone("no").into())
            })
            .await;
        assert_eq!(failed.unwrap_err().text, "try: no");
        let left: i64 =
            db.read("count", |t| Ok(t.query_row("SELECT count(*) FROM a", [], |r| r.get(0))?)).await.unwrap();
        assert_eq!(left, 0);
    }
}
