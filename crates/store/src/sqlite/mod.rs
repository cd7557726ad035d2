//! The store on SQLite: one writer thread with group commit, a few reading threads, no runtime needed. It decides how
//! verbs reach the database and who owns the file; what a verb writes is decided in the files beside this one.

mod deliveries;
mod evidence;
mod forget;
mod jobs;
mod journal;
mod keeping;
mod leases;
mod lock;
mod memory;
mod retention;
mod schema;
mod spends;
mod sql;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod tx;
mod writer;

pub use keeping::Hold;

use crate::clock::StoreClock;
use crate::error::StoreError;
use rusqlite::Connection;
use sql::Db;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use writer::{Call, Work};

/// Threads that read.
const READERS: usize = 3;

/// What survives what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// What was answered survives power loss. The only choice for real work.
    #[default]
    Full,
    /// What was answered survives the process, not the machine: for simulations and tests, which only kill processes.
    Off,
}

/// How to open a database.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What survives what.
    pub durability: Durability,
    /// Who opens it, for the next one who tries: program and since when (`orch serve, since 2026-11-23 12:04`); the
    /// pid is put in front.
    pub holder: String,
    /// By what claims and leases are measured while it is open. The clock of the file begins behind everything that was
    /// promised in it before: whoever it was promised to is gone, because a file has one owner at a time.
    pub clock: StoreClock,
}

/// The store in an SQLite file. Dropping it finishes what was asked for, closes the file and lets go of the lock.
///
/// A verb whose future is dropped may still happen: it was sent already.
#[derive(Debug)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    clock: StoreClock,
    backend: Option<Backend>,
}

enum Backend {
    /// A file and its threads.
    File {
        writer: Sender<Box<dyn Work>>,
        reader: Sender<Box<dyn Work>>,
        readers: Vec<JoinHandle<()>>,
        writing: JoinHandle<()>,
    },
    /// One connection, used by whoever asks: in memory nothing is worth a thread.
    Memory(Mutex<Connection>),
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "File",
            Self::Memory(_) => "Memory",
        })
    }
}

impl SqliteStore {
    /// Opens or makes a database and becomes its only owner. Missing directories are made for this user alone.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, StoreError> {
        let schema::Opened { path, writer, readers, lock, latest_ms } = schema::open(path.as_ref(), &options, READERS)?;
        // An absurd time must not stop the clock.
        let clock = options.clock.from_ms(latest_ms.clamp(0, i64::MAX / 2).saturating_add(1));
        let path = Arc::new(path);
        let (write, writes) = channel();
        let (read, reads) = channel();
        let reads = Arc::new(Mutex::new(reads));
        let mut threads = Vec::new();
        for c in readers {
            let (path, reads) = (Arc::clone(&path), Arc::clone(&reads));
            threads.push(spawn("db-read", &path.clone(), move || read_loop(&c, &path, &reads))?);
        }
        let file = Arc::clone(&path);
        let writing = spawn("db-write", &path, move || {
            writer::write_loop(&writer, &file, &writes);
            // The file is closed before the lock is let go.
            drop(writer);
            drop(lock);
        })?;
        Ok(Self {
            path,
            clock,
            backend: Some(Backend::File { writer: write, reader: read, readers: threads, writing }),
        })
    }

    /// A database that lives in memory as long as the store; nothing is written anywhere.
    pub fn open_in_memory(clock: StoreClock) -> Result<Self, StoreError> {
        let c = schema::open_in_memory()?;
        let path = Arc::new(PathBuf::from(":memory:"));
        Ok(Self { path, clock, backend: Some(Backend::Memory(Mutex::new(c))) })
    }

    /// Looks at a database without opening it for work or changing anything: its schema version, `None` if there is no
    /// file yet, or what is wrong with it. Another process may be at work on it.
    pub fn inspect(path: &Path) -> Result<Option<i64>, StoreError> {
        schema::inspect(path)
    }

    /// Recalls a fact from a database that another process may be at work on, without opening it for work. `None`: it is not
    /// known, or there is no file yet.
    pub fn glance(path: &Path, fact: &crate::memory::Fact) -> Result<Option<String>, StoreError> {
        if schema::inspect(path)?.is_none() {
            return Ok(None);
        }
        let look = || memory::recall(&schema::reader(path)?, fact);
        look().map_err(|e| e.at(path))
    }

    /// Who owns a database, as its lock file says: pid, program, address, since when. `None`: nobody does.
    pub fn holder(path: &Path) -> Option<String> {
        lock::Lock::holder(&path.canonicalize().ok()?)
    }

    /// The newest schema version this program knows.
    pub fn newest_version() -> i64 {
        schema::MIGRATIONS.len() as i64
    }

    /// The file, as the system knows it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a copy of the database as it is now to a file that must not exist yet; work goes on meanwhile.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (Arc::clone(&self.path), to.to_owned());
        if matches!(self.backend, Some(Backend::Memory(_))) {
            return Err(StoreError::Bug("a database in memory has no backup".into()));
        }
        self.read(move |_| Ok(schema::backup(&from, &to)?)).await
    }

    /// Reads the whole file and says whether it is sound.
    pub async fn check(&self) -> Result<(), StoreError> {
        let path = Arc::clone(&self.path);
        self.read(move |c| {
            let found = sql::all(c, "PRAGMA integrity_check(10)", [], |r| Ok(r.get::<_, String>(0)?))?;
            if found == ["ok"] {
                return Ok(());
            }
            Err(StoreError::Corrupt { path: path.to_path_buf(), detail: found.join("; ") }.into())
        })
        .await
    }

    /// Runs a verb of the choreography, at the time it was asked for: one that waited takes nothing back that was renewed
    /// meanwhile, and promises nothing longer.
    async fn change<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut tx::Rows<'_>) -> Db<T> + Send + 'static,
    {
        let now_ms = self.clock.ms();
        self.write(move |c| work(&mut tx::Rows(c, now_ms))).await
    }

    /// Runs a verb that writes; its answer is durable.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Db<T> + Send + 'static,
    {
        let (call, answer) = Call::new(work);
        match &self.backend {
            Some(Backend::File { writer, .. }) => drop(writer.send(call)),
            Some(Backend::Memory(c)) => {
                writer::commit(&c.lock().unwrap_or_else(PoisonError::into_inner), &self.path, vec![call]);
            }
            None => {}
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs something that writes and cannot be part of a transaction.
    async fn alone<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Db<T> + Send + 'static,
    {
        let (call, answer) = Call::new(work);
        let call: Box<dyn Work> = Box::new(writer::Alone(call));
        match &self.backend {
            Some(Backend::File { writer, .. }) => drop(writer.send(call)),
            Some(Backend::Memory(c)) => {
                writer::commit(&c.lock().unwrap_or_else(PoisonError::into_inner), &self.path, vec![call]);
            }
            None => {}
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs a verb that reads: one moment of the database, everything answered before included.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Db<T> + Send + 'static,
    {
        let (call, answer) = Call::new(work);
        match &self.backend {
            Some(Backend::File { reader, .. }) => drop(reader.send(call)),
            Some(Backend::Memory(c)) => {
                writer::look(&c.lock().unwrap_or_else(PoisonError::into_inner), &self.path, call);
            }
            None => {}
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(Backend::File { writer, reader, readers, writing }) = self.backend.take() {
            // Without a sender a thread finishes what is waiting and ends. The writer is the last one out: only the last
            // connection folds the WAL into the file, and only the writer's may.
            let mut ended = Vec::new();
            drop(reader);
            ended.extend(readers.into_iter().map(JoinHandle::join));
            drop(writer);
            ended.push(writing.join());
            if ended.iter().any(Result::is_err) {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Io("the database thread has stopped; restart orch".into())
}

fn spawn(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| StoreError::Unusable {
        path: path.to_owned(),
        detail: format!("a thread could not be started: {e}; raise the limit of threads of this user"),
    })
}

fn read_loop(c: &Connection, path: &Path, waiting: &Mutex<Receiver<Box<dyn Work>>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        writer::look(c, path, work);
    }
}
