//! What goes wrong, and when. Every call of a port asks here first; a story plans a fault by the name of the call
//! (`forge.merge`, `git.push`).

use orch_ports::{Fault, Remote};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Where a repository is that is not on this machine.
pub const ELSEWHERE: &str = "https://forge.invalid/acme/shop.git";

/// How a call goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// This one goes well; for faults of a later call.
    Well,
    /// An error, and nothing was done.
    Before,
    /// An error that no try will ever change, and nothing was done.
    Never,
    /// It was done, and an error is answered: a timeout after success.
    After,
    /// Nothing is done and nobody ever answers: the process dies here.
    DieBefore,
    /// It was done and nobody ever answers.
    DieAfter,
    /// Nothing is done until `release`, then it is.
    Pause,
}

#[derive(Default)]
pub struct Faults {
    planned: Mutex<BTreeMap<String, Vec<How>>>,
    down: Mutex<Vec<String>>,
    calls: Mutex<BTreeMap<String, usize>>,
    reached: Mutex<Vec<String>>,
    reached_now: Notify,
    elsewhere: Mutex<Option<Remote>>,
    go: tokio::sync::watch::Sender<bool>,
}

impl Faults {
    /// Plans the next calls of `call`.
    pub fn plan(&self, call: &str, how: &[How]) {
        let mut planned = lock(&self.planned);
        planned.entry(call.into()).or_default().extend_from_slice(how);
    }

    /// Everything whose name begins like this fails until `up`.
    pub fn down(&self, prefix: &str) {
        lock(&self.down).push(prefix.into());
    }
    pub fn up(&self) {
        lock(&self.down).clear();
    }

    /// How often a call was made.
    pub fn calls(&self, call: &str) -> usize {
        lock(&self.calls).get(call).copied().unwrap_or(0)
    }

    /// From now on the repository seems to be on another machine, at [`ELSEWHERE`].
    pub fn move_elsewhere(&self, real: Remote) {
        *lock(&self.elsewhere) = Some(real);
    }
    /// A repository's address as the engine is told it.
    pub fn shown(&self, real: Remote) -> Remote {
        if lock(&self.elsewhere).is_some() { Remote::of(ELSEWHERE) } else { real }
    }
    /// What is behind an address.
    pub fn meant(&self, remote: &Remote) -> Remote {
        let elsewhere = lock(&self.elsewhere).clone().filter(|_| remote.url == ELSEWHERE);
        elsewhere.unwrap_or_else(|| remote.clone())
    }

    /// Lets paused calls go on.
    pub fn release(&self) {
        self.go.send_replace(true);
    }

    /// Waits until a planned death or pause has come.
    pub async fn reached(&self, call: &str) {
        let wait = async {
            loop {
                let next = self.reached_now.notified();
                if lock(&self.reached).iter().any(|c| c == call) {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), wait)
            .await
            .unwrap_or_else(|_| panic!("{call} was never reached"));
    }

    fn mark(&self, call: &str) {
        lock(&self.reached).push(call.into());
        self.reached_now.notify_waiters();
    }

    /// Makes a call, as well as planned.
    pub async fn call<T>(&self, call: &str, act: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        *lock(&self.calls).entry(call.into()).or_default() += 1;
        if lock(&self.down).iter().any(|p| call.starts_with(p.as_str())) {
            return Err(Fault::transient(format!("{call}: connection refused")));
        }
        let how = {
            let mut planned = lock(&self.planned);
            match planned.get_mut(call) {
                Some(list) if !list.is_empty() => list.remove(0),
                _ => How::Well,
            }
        };
        match how {
            How::Well => act.await,
            How::Before => Err(Fault::transient(format!("{call}: timed out"))),
            How::Never => Err(Fault::permanent(format!("{call}: it cannot be done"))),
            How::After => {
                act.await?;
                Err(Fault::transient(format!("{call}: timed out")))
            }
            How::DieBefore => {
                self.mark(call);
                std::future::pending().await
            }
            How::DieAfter => {
                act.await?;
                self.mark(call);
                std::future::pending().await
            }
            How::Pause => {
                self.mark(call);
                let mut go = self.go.subscribe();
                let _ = go.wait_for(|go| *go).await;
                let answer = act.await;
                self.mark(&format!("{call} released"));
                answer
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
