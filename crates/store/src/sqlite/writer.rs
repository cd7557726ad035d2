//! The one writer. Verbs wait in a channel; the writer takes what is there, runs each in a savepoint of its own inside
//! one transaction, commits once, and only then answers: an answer always means "on disk". A verb that fails takes back
//! only itself. It may never answer before the commit, and never let one caller's failure undo another's work in silence.

use super::sql::{Db, DbError, classify, echo};
use crate::error::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use tokio::sync::oneshot;

/// Most verbs one commit carries: bounds how long the first of them waits for the last.
const BATCH: usize = 64;
/// How often the writer looks for the next verb before it sleeps: about a tenth of a millisecond.
const AWAKE: u32 = 200;

/// A verb on its way through a database thread.
pub(super) trait Work: Send {
    /// Runs it; the answer is kept until [`Work::answer`]. An error comes back as an echo.
    fn run(&mut self, c: &Connection, path: &Path) -> Result<(), StoreError>;
    /// Replaces the answer: what it did is gone.
    fn undone(&mut self, why: StoreError);
    /// Answers the caller.
    fn answer(self: Box<Self>);
    /// Does it run outside of a transaction, by itself?
    fn is_alone(&self) -> bool {
        false
    }
}

/// Work that cannot be part of a transaction.
pub(super) struct Alone<W>(pub(super) Box<W>);

impl<W: Work> Work for Alone<W> {
    fn run(&mut self, c: &Connection, path: &Path) -> Result<(), StoreError> {
        self.0.run(c, path)
    }
    fn undone(&mut self, why: StoreError) {
        self.0.undone(why);
    }
    fn answer(self: Box<Self>) {
        self.0.answer();
    }
    fn is_alone(&self) -> bool {
        true
    }
}

/// A closure and the caller who waits for it.
pub(super) struct Call<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Db<T> + Send + 'static,
{
    /// A call and where its answer arrives.
    pub(super) fn new(work: F) -> (Box<Self>, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { work: Some(work), result: None, reply }), answer)
    }
}

impl<T, F> Work for Call<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Db<T> + Send + 'static,
{
    fn run(&mut self, c: &Connection, path: &Path) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        // A panic in one verb must not take the writer, and with it every other caller, along.
        let done = catch_unwind(AssertUnwindSafe(|| work(c)))
            .unwrap_or_else(|_| Err(DbError::bug("a verb of the store panicked; nothing was changed")))
            .map_err(|e| e.at(path));
        let told = done.as_ref().map(|_| ()).map_err(echo);
        self.result = Some(done);
        told
    }

    fn undone(&mut self, why: StoreError) {
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(why));
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Nobody waits any more: the caller was dropped. What was done stays done.
            let _ = self.reply.send(result);
        }
    }
}

/// Takes verbs until every sender is gone.
pub(super) fn write_loop(c: &Connection, path: &Path, waiting: &Receiver<Box<dyn Work>>) {
    while let Ok(first) = next(waiting) {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && batch.last().is_none_or(|work| !work.is_alone())
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        // What runs by itself comes last, behind the commit of what was asked for before.
        let alone = batch.pop_if(|work| work.is_alone());
        if !batch.is_empty() {
            commit(c, path, batch);
        }
        if let Some(work) = alone {
            commit(c, path, vec![work]);
        }
    }
}

/// The next verb. Whoever has just been answered mostly has another one at once: waiting awake for a moment costs less
/// than to be put to sleep and woken, which takes as long as a quarter of a commit.
fn next(waiting: &Receiver<Box<dyn Work>>) -> Result<Box<dyn Work>, RecvError> {
    for _ in 0..AWAKE {
        match waiting.try_recv() {
            Ok(work) => return Ok(work),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
    waiting.recv()
}

/// Runs a batch in one transaction and answers it.
pub(super) fn commit(c: &Connection, path: &Path, mut batch: Vec<Box<dyn Work>>) {
    if let Err(why) = transact(c, path, &mut batch) {
        if !c.is_autocommit()
            && let Err(error) = c.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the database could not roll back");
        }
        for work in &mut batch {
            work.undone(echo(&why));
        }
    }
    for work in batch {
        work.answer();
    }
}

fn transact(c: &Connection, path: &Path, batch: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
    if let [alone] = batch
        && alone.is_alone()
    {
        return alone.run(c, path);
    }
    let exec = |sql: &str| c.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(|e| classify(path, &e));
    exec("BEGIN IMMEDIATE")?;
    if let [alone] = batch {
        // The transaction is its savepoint.
        alone.run(c, path)?;
        return exec("COMMIT").map(drop);
    }
    for work in batch {
        exec("SAVEPOINT verb")?;
        if let Err(why) = work.run(c, path) {
            // A full disk or a failing one makes SQLite roll the whole transaction back by itself.
            if c.is_autocommit() {
                return Err(why);
            }
            exec("ROLLBACK TO verb")?;
        }
        exec("RELEASE verb")?;
    }
    exec("COMMIT")?;
    Ok(())
}

/// Runs a read in a transaction, so that everything it looks at belongs to one moment, and answers it.
pub(super) fn look(c: &Connection, path: &Path, mut work: Box<dyn Work>) {
    match c.unchecked_transaction() {
        // Dropping the transaction ends it; a read has nothing to commit.
        Ok(_transaction) => drop(work.run(c, path)),
        Err(error) => work.undone(classify(path, &error)),
    }
    work.answer();
}
