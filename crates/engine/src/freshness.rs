//! When a repository is fetched. An act looks at the truth right before it; who only waits shares one fetch a minute with
//! everybody else who waits on the repository, however many there are. A signal that there is news makes the next look a
//! fetch again. A repository of this machine is always looked at: that its branches are all here its files say, and no
//! program is started for it.

use crate::project::Project;
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::clock::Clock;
use orch_ports::git::Git;
use orch_ports::{Fault, Remote};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How old a fetch may be for who only waits, milliseconds: less only where trackers are read more often than every half of
/// it.
const WAITING_MS: i64 = 60_000;
/// How long a fetch that failed speaks for the next one of who only waits, milliseconds.
const FAILED_MS: i64 = 10_000;

/// For what somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// An act follows, or a decision that one rests on: nothing older than this very moment will do.
    Act,
    /// A wait: a look of the last minute will do.
    Wait,
}

/// The forge as of now, or of the last minute.
pub(crate) struct Fetched {
    /// Where to push.
    pub(crate) remote: Remote,
    /// Its protected branch.
    pub(crate) default_branch: String,
    /// Tip of that.
    pub(crate) tip: Sha,
}

/// The last fetch of a repository.
#[derive(Default)]
struct Last {
    /// When one that went well began, by the boot clock, and from where.
    begun: Option<(i64, Remote)>,
    /// When one failed, and why.
    failed: Option<(i64, Fault)>,
}

/// The last fetches, by repository. One at a time fetches; who waited for that shares what it brought.
#[derive(Default)]
pub(crate) struct Freshness {
    last: Mutex<BTreeMap<ProjectKey, Arc<tokio::sync::Mutex<Last>>>>,
    total: std::sync::atomic::AtomicU64,
}

impl Freshness {
    fn of(&self, repository: &ProjectKey) -> Arc<tokio::sync::Mutex<Last>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(last.entry(repository.clone()).or_default())
    }

    /// There may be news: the next look fetches, whoever looks.
    pub(crate) async fn forget(&self, repository: &ProjectKey) {
        *self.of(repository).lock().await = Last::default();
    }

    /// Fetches from other machines since this process began.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// What a fetch is made with.
pub(crate) struct With<'a> {
    pub(crate) git: &'a dyn Git,
    pub(crate) clock: &'a dyn Clock,
    /// How often trackers are read, milliseconds.
    pub(crate) interval_ms: u64,
}

impl With<'_> {
    fn waiting_ms(&self) -> i64 {
        i64::try_from(self.interval_ms).unwrap_or(i64::MAX).saturating_mul(2).min(WAITING_MS)
    }
}

/// Brings the private repository up to date, as far as that is needed; where to push, the default branch and its tip.
/// `None`: there is no such branch.
pub(crate) async fn look(
    with: &With<'_>,
    fetches: &Freshness,
    project: &Project,
    why: For,
) -> Result<(Remote, String, Option<Sha>), Fault> {
    let remote = project.forge.remote(&project.key).await?;
    let default_branch = project.forge.default_branch(&project.key).await?;
    if remote.is_here() {
        with.git.fetch(&project.key, &remote).await?;
    } else {
        bring(with, fetches, project, &remote, why).await?;
    }
    let tip = with.git.forge_branch(&project.key, &default_branch).await?;
    Ok((remote, default_branch, tip))
}

async fn bring(
    with: &With<'_>,
    fetches: &Freshness,
    project: &Project,
    remote: &Remote,
    why: For,
) -> Result<(), Fault> {
    let now_ms = || with.clock.boot().ms;
    let asked = now_ms();
    let last = fetches.of(&project.repository);
    let mut last = last.lock().await;
    let same = last.begun.as_ref().filter(|(_, from)| from == remote).map(|(at, _)| *at);
    let fresh = same.is_some_and(|at| match why {
        // One that began behind the question has brought what was there when it was asked.
        For::Act => asked < at,
        For::Wait => asked < at.saturating_add(with.waiting_ms()),
    });
    if fresh {
        return Ok(());
    }
    if why == For::Wait
        && let Some((at, fault)) = &last.failed
        && asked < at.saturating_add(FAILED_MS.min(with.waiting_ms()))
    {
        return Err(fault.clone());
    }
    let begun = now_ms();
    fetches.total.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    match with.git.fetch(&project.key, remote).await {
        Ok(()) => {
            *last = Last { begun: Some((begun, remote.clone())), failed: None };
            Ok(())
        }
        Err(fault) => {
            last.failed = Some((now_ms(), fault.clone()));
            Err(fault)
        }
    }
}
