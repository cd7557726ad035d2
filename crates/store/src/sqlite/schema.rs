//! How the file is opened: whose it is, which version it has, whether it is whole, and that every setting durability
//! hangs on is really set (SQLite ignores what it does not know without a word). Nothing is written to a file that is
//! not ours, and a file that could not be made is not left half-made.

use super::lock::Lock;
use super::sql::{DbError, classify};
use super::{Durability, OpenOptions};
use crate::error::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `orch` in ASCII: tells our file from others'.
const APPLICATION_ID: i64 = 0x6F72_6368;
/// Statements of each version, oldest first; a file of version `n` has seen the first `n`.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001.sql"),
    include_str!("../../migrations/sqlite/0002.sql"),
    include_str!("../../migrations/sqlite/0003.sql"),
    include_str!("../../migrations/sqlite/0004.sql"),
    include_str!("../../migrations/sqlite/0005.sql"),
    include_str!("../../migrations/sqlite/0006.sql"),
    include_str!("../../migrations/sqlite/0007.sql"),
    include_str!("../../migrations/sqlite/0008.sql"),
];
/// Older versions can lose commits when a WAL is reset while another connection reads.
const OLDEST_SQLITE: i32 = 3_051_003;
const BUSY_TIMEOUT_MS: i64 = 10_000;
/// The WAL is cut back to this after a checkpoint.
const JOURNAL_SIZE_LIMIT: i64 = 64 * 1024 * 1024;
/// Pages of a file that is read as a whole when it is opened.
const SMALL: i64 = 4_096;
/// Statements kept prepared per connection: more than there are.
const STATEMENTS: usize = 128;

/// A file that is open, up to date and ours.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    pub(super) lock: Lock,
    /// Until when anything in it was promised to anyone, store's clock.
    pub(super) latest_ms: i64,
}

/// Opens or makes the file.
pub(super) fn open(path: &Path, options: &OpenOptions, readers: usize) -> Result<Opened, StoreError> {
    newest_sqlite(path)?;
    let made = Made::parents_of(path)?;
    match open_in(path, options, readers) {
        Ok(opened) => Ok(opened),
        Err(error) => {
            made.unmake();
            Err(error)
        }
    }
}

fn open_in(path: &Path, options: &OpenOptions, readers: usize) -> Result<Opened, StoreError> {
    let path = real_path(path)?;
    let lock = Lock::take(&path, &options.holder)?;
    let existed = path.exists();
    let opened = connect(&path, options.durability).and_then(|writer| {
        let readers = (0..readers).map(|_| reader(&path)).collect::<Result<Vec<_>, _>>()?;
        let latest_ms = writer.query_row(super::jobs::LATEST, [], |row| row.get(0))?;
        Ok((writer, readers, latest_ms))
    });
    match opened {
        Ok((writer, readers, latest_ms)) => Ok(Opened { path, writer, readers, lock, latest_ms }),
        Err(error) => {
            if !existed {
                for end in ["", "-wal", "-shm", "-journal"] {
                    let mut name = path.as_os_str().to_owned();
                    name.push(end);
                    let _ = std::fs::remove_file(PathBuf::from(name));
                }
            }
            lock.abandon();
            Err(error.at(&path))
        }
    }
}

/// A database that lives as long as its connection.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    newest_sqlite(path)?;
    let build = || -> Result<Connection, DbError> {
        let mut c = Connection::open_in_memory()?;
        keep_prepared(&c)?;
        set(&c, path, "foreign_keys", "ON", "1")?;
        migrate(&mut c, MIGRATIONS)?;
        Ok(c)
    };
    build().map_err(|e| e.at(path))
}

fn newest_sqlite(path: &Path) -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let detail = format!("SQLite {} can lose commits; build with 3.51.3 or newer", rusqlite::version());
        return Err(StoreError::Unusable { path: path.to_owned(), detail });
    }
    Ok(())
}

/// One spelling per file: two names of one database must not become two locks.
fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    let unusable = |detail: String| StoreError::Unusable { path: path.to_owned(), detail };
    if let Ok(real) = path.canonicalize() {
        if real.is_dir() {
            return Err(unusable("it is a directory; name a file in [db] path".into()));
        }
        return Ok(real);
    }
    let name = path.file_name().ok_or_else(|| unusable("it names no file; set [db] path to a file".into()))?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(|e| unusable(format!("its directory cannot be entered: {e}")))?;
    Ok(parent.join(name))
}

/// Directories that were made for the file.
struct Made(Vec<PathBuf>);

impl Made {
    fn parents_of(path: &Path) -> Result<Self, StoreError> {
        let mut missing: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
            .map(Path::to_owned)
            .collect();
        missing.reverse();
        let mut made = Self(Vec::new());
        for dir in missing {
            // Tickets, transcripts and costs are nobody else's business.
            if let Err(e) = std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                made.unmake();
                return Err(StoreError::Unusable {
                    path: path.to_owned(),
                    detail: format!(
                        "the directory {} cannot be made ({e}); make it for this user, or choose another [db] path",
                        dir.display()
                    ),
                });
            }
            made.0.push(dir);
        }
        // Their names, as the file's own, are there after a power cut.
        for dir in &made.0 {
            let _ = dir.parent().map(|above| std::fs::File::open(above).and_then(|d| d.sync_all()));
        }
        Ok(made)
    }

    fn unmake(self) {
        for dir in self.0.iter().rev() {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

fn connect(path: &Path, durability: Durability) -> Result<Connection, DbError> {
    // Made by us and not by SQLite, so that only this user can read it; the WAL gets the same mode.
    if let Err(e) = std::fs::File::options().read(true).append(true).create(true).mode(0o600).open(path) {
        return Err(StoreError::Unusable {
            path: path.to_owned(),
            detail: format!("{e}; make the file writable for this user, or choose another [db] path"),
        }
        .into());
    }
    if durability == Durability::Full {
        let _ = path.parent().map(|dir| std::fs::File::open(dir).and_then(|d| d.sync_all()));
    }
    let mut c = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    keep_prepared(&c)?;
    c.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS.unsigned_abs()))?;
    // Whose file, which version and whether it is whole come before anything that writes.
    examine(&c, path, false)?;
    let (synchronous, level) = match durability {
        Durability::Full => ("FULL", "2"),
        Durability::Off => ("OFF", "0"),
    };
    for (name, value, want) in [
        ("journal_mode", "WAL", "wal"),
        ("synchronous", synchronous, level),
        ("foreign_keys", "ON", "1"),
        ("trusted_schema", "OFF", "0"),
        ("busy_timeout", &BUSY_TIMEOUT_MS.to_string(), &BUSY_TIMEOUT_MS.to_string()),
        ("journal_size_limit", &JOURNAL_SIZE_LIMIT.to_string(), &JOURNAL_SIZE_LIMIT.to_string()),
    ] {
        set(&c, path, name, value, want)?;
    }
    migrate(&mut c, MIGRATIONS)?;
    super::forget::scrub_if_due(&c)?;
    // What a savepoint may have to take back is kept in memory; in a file it costs a write per page. Not before: what a
    // migration of a large file may have to take back is large.
    set(&c, path, "temp_store", "MEMORY", "2")?;
    Ok(c)
}

/// Every statement is prepared once. Plans must not hang on the values bound: otherwise SQLite prepares a statement anew
/// for each value that could prove a partial index useful, which costs more than most of them do.
fn keep_prepared(c: &Connection) -> Result<(), DbError> {
    c.set_prepared_statement_cache_capacity(STATEMENTS);
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Whose file it is, of which version, and whether it is sound; the version.
fn examine(c: &Connection, path: &Path, whole: bool) -> Result<i64, DbError> {
    let tables: i64 = c.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    let (owner, found) = (number(c, "application_id")?, number(c, "user_version")?);
    if tables > 0 && owner != APPLICATION_ID {
        let detail = format!("it belongs to another program (application_id {owner}); choose another [db] path");
        return Err(StoreError::Unusable { path: path.to_owned(), detail }.into());
    }
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known }.into());
    }
    // All of a small file; of a large one the tables that work begins with, because reading years of finished work would
    // keep everything waiting. The rest is read when it is needed, and as a whole by `check`.
    let pages = number(c, "page_count")?;
    let parts =
        if whole || pages <= SMALL { &["1"][..] } else { &["job", "lease", "counter", "of_instance", "of_project"] };
    for part in parts {
        let check: String = c.query_row(&format!("PRAGMA quick_check({part})"), [], |r| r.get(0))?;
        if check != "ok" {
            return Err(StoreError::Corrupt { path: path.to_owned(), detail: check }.into());
        }
    }
    Ok(found)
}

/// Looks at a database without changing anything; `None`: there is none yet.
pub(super) fn inspect(path: &Path) -> Result<Option<i64>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let look = || examine(&reader(path)?, path, true);
    look().map(Some).map_err(|e| e.at(path))
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<Connection, DbError> {
    let c = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    keep_prepared(&c)?;
    c.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS.unsigned_abs()))?;
    set(&c, path, "query_only", "ON", "1")?;
    Ok(c)
}

/// Brings the schema up to date, all of it or nothing.
fn migrate(c: &mut Connection, migrations: &[&str]) -> Result<(), DbError> {
    let found = number(c, "user_version")?;
    if found == migrations.len() as i64 {
        return Ok(());
    }
    let change = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for statements in migrations.iter().skip(found as usize) {
        change.execute_batch(statements)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", migrations.len() as i64)?;
    change.commit()?;
    Ok(())
}

/// Sets a pragma and reads it back.
fn set(c: &Connection, path: &Path, name: &str, value: &str, want: &str) -> Result<(), DbError> {
    // Some pragmas answer when they are set, some do not.
    c.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|e| match e {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    })?;
    let got = c.pragma_query_value(None, name, |r| {
        r.get::<_, String>(0).or_else(|_| r.get::<_, i64>(0).map(|n| n.to_string()))
    })?;
    if got == want {
        return Ok(());
    }
    let detail = format!(
        "SQLite answers {name} = {got} where {want} is needed; put the database on a local file system that supports it"
    );
    Err(StoreError::Unusable { path: path.to_owned(), detail }.into())
}

fn number(c: &Connection, pragma: &str) -> Result<i64, DbError> {
    Ok(c.pragma_query_value(None, pragma, |r| r.get(0))?)
}

/// Writes a copy of a database, whole or not at all. The target must not exist.
pub(super) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let unusable = |detail: String| StoreError::Unusable { path: to.to_owned(), detail };
    if to.exists() {
        return Err(unusable("it exists already; a backup never overwrites, name another file".into()));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let _ = std::fs::remove_file(&partial);
    // Made before SQLite fills it, so that only this user can read it.
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(|e| unusable(format!("{e}; name a file in a directory this user may write to")))?;
    let c = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|e| classify(from, &e))?;
    let text = partial.to_str().ok_or_else(|| unusable("its name is not text; name another file".into()))?;
    let copied = c.execute("VACUUM INTO ?1", [text]).map_err(|e| classify(to, &e)).and_then(|_| {
        std::fs::File::open(&partial)
            .and_then(|f| f.sync_all())
            .and_then(|()| std::fs::rename(&partial, to))
            .map_err(|e| unusable(e.to_string()))
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    copied
}
