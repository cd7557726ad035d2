//! [`ProcessSupervisor`]: the port's implementation, on orch's side of the run directory. Decides whether a run is
//! started, adopted, reported or given up. Holds nothing that matters: after a restart the directory says it all.
//!
//! It may never start a run whose program was perhaps started before, and dropping its futures never touches a run.

use crate::cgroup::CGROUP_SWITCH;
use crate::files;
use crate::output::LIMIT;
use crate::run::KEYS;
use crate::standing::{Standing, standing};
use crate::sweep::{MARKER, sweep_tree};
use orch_core::fault_code::FaultCode;
use orch_ports::Fault;
use orch_ports::supervisor::{ExitRecord, Keys, RunSpec, RunState, Supervisor, files as names};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one `ensure` starts a supervisor that ends before it takes the run.
const STARTS: u32 = 3;
/// Between two looks while a supervisor starts. It takes some milliseconds.
const START_LOOK: Duration = Duration::from_millis(5);
/// Between two looks at a live run; its end is reported by a pidfd, this is the fallback.
const LIVE_LOOK: Duration = Duration::from_millis(200);

/// Starts one supervisor process per run and finds it again by the run's directory.
#[derive(Clone, Debug)]
pub struct ProcessSupervisor {
    exe: PathBuf,
    /// May its supervisors make control groups?
    cgroups: bool,
    /// Bytes of each output of a run that are kept; 0: all. `None`: what a supervisor takes by itself.
    keeps: Option<u64>,
    /// Directories whose supervisor this process has started and not yet reaped. Only closes the gap between a spawn
    /// and its lock; correctness rests on the lock.
    starting: Arc<Mutex<HashSet<PathBuf>>>,
}

impl ProcessSupervisor {
    /// `exe` is the binary that understands `supervise <run-dir>`.
    pub fn new(exe: PathBuf) -> Self {
        Self { exe, cgroups: true, keeps: None, starting: Arc::default() }
    }

    /// Its supervisors make no control groups, as with [`CGROUP_SWITCH`] in the environment: the rest of the ladder must
    /// hold alone.
    #[must_use]
    pub fn without_cgroups(self) -> Self {
        Self { cgroups: false, ..self }
    }

    /// Of each output of a run this many bytes are kept, its beginning and its end; 0: all.
    #[must_use]
    pub fn keeping(self, bytes: u64) -> Self {
        Self { keeps: Some(bytes), ..self }
    }

    /// With this very binary as `exe`.
    pub fn current() -> io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }

    fn starting(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the directory and the spec where they are missing, and returns the canonical directory. A spec that is
    /// there stays: the run may be on its way with it.
    fn prepare(dir: &Path, spec: &RunSpec) -> io::Result<PathBuf> {
        files::create_dir(dir)?;
        let dir = dir.canonicalize()?;
        let there = match std::fs::read(dir.join(names::SPEC)) {
            // Nothing, or zeros, is what a loss of power leaves of it. No supervisor has got beyond reading it, or its
            // pids would be there.
            Ok(text) => text.iter().any(|byte| *byte != 0) || dir.join(names::PIDS).try_exists()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(e),
        };
        if !there {
            files::write_json(&dir, names::SPEC, spec)?;
        }
        Ok(dir)
    }

    /// Starts a supervisor on `dir` unless one started here is still on its way. True: started now.
    fn start(&self, dir: &Path, keys: &Keys) -> io::Result<bool> {
        let keys = keys.values().map_err(|name| io::Error::other(format!("the value of {name} is not known now")))?;
        if !self.starting().insert(dir.to_owned()) {
            return Ok(false);
        }
        let spawned = self.spawn(dir, &keys);
        let starting = Arc::clone(&self.starting);
        let key = dir.to_owned();
        let forget = move || {
            starting.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        };
        let mut child = match spawned {
            Ok(child) => child,
            Err(e) => {
                forget();
                return Err(e);
            }
        };
        // A thread and not a task: it reaps the supervisor even if the runtime that asked for the run is gone.
        let unreaped = forget.clone();
        let reaper = move || {
            if let Ok(status) = child.wait() {
                tracing::debug!(%status, "supervisor ended");
            }
            forget();
        };
        let spawned = std::thread::Builder::new().name("supervisor-reap".into()).stack_size(128 * 1024).spawn(reaper);
        if let Err(e) = spawned {
            // The supervisor runs all the same; it stays a zombie after its end, until we end.
            tracing::warn!(error = %e, "no thread to reap a supervisor");
            unreaped();
        }
        Ok(true)
    }

    fn spawn(&self, dir: &Path, keys: &BTreeMap<&str, &str>) -> io::Result<std::process::Child> {
        let log = files::open_log(dir, files::LOG)?;
        let mut command = Command::new(&self.exe);
        // The outer run's marker stays: where orch runs inside a run, its supervisors belong to the outer one.
        let kept = ["PATH", MARKER, CGROUP_SWITCH].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kept: Vec<(&str, OsString)> = kept.collect();
        // Not in a process group of its own: setsid, its first act, is refused to a group's leader. And not in our
        // directory, which may be on something that is to be unmounted.
        command.arg("supervise").arg(dir).env_clear().envs(kept).current_dir("/");
        if let Some(bytes) = self.keeps {
            command.env(LIMIT, bytes.to_string());
        }
        if !self.cgroups {
            command.env(CGROUP_SWITCH, "off");
        }
        command.stdout(log.try_clone()?).stderr(log);
        if keys.is_empty() {
            return command.stdin(Stdio::null()).spawn();
        }
        // Through a pipe: neither a file nor a list of processes nor an environment shows them, but for the program's own.
        let mut child = command.env(KEYS, "stdin").stdin(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // One that has ended already took the run from nobody; how it ended is seen where it is waited for.
            let _ = pipe.write_all(&serde_json::to_vec(keys).map_err(io::Error::other)?);
        }
        Ok(child)
    }
}

/// What is known of the supervisor of a live run.
#[derive(Default)]
struct Awaited {
    end: Option<Arc<OwnedFd>>,
    ended: bool,
}

impl Awaited {
    /// Waits until the supervisor ends, or for [`LIVE_LOOK`]. On a thread, because the safe constructors of tokio's
    /// `AsyncFd` are deprecated; the wait is one system call that ends by itself, so a dropped future leaves nothing.
    async fn wait(&mut self, dir: &Path) -> Result<(), Fault> {
        if self.end.is_none() {
            self.end = supervisor_of(dir).map(Arc::new);
        }
        let Some(fd) = self.end.clone().filter(|_| !self.ended) else {
            // The lock is taken and the pids are about to be written, or the supervisor has ended and its lock is still
            // held: its descriptor stays readable, and the lock would be asked for in a hot loop. One that is not to begin
            // yet may stand there for days.
            let waits = dir.join(names::PAUSE).exists();
            tokio::time::sleep(if waits { LIVE_LOOK } else { START_LOOK }).await;
            return Ok(());
        };
        let polled = off_thread(move || {
            let longest = Timespec { tv_sec: 0, tv_nsec: i64::from(LIVE_LOOK.subsec_nanos()) };
            poll(&mut [PollFd::new(&*fd, PollFlags::IN)], Some(&longest))
        });
        match polled.await? {
            Ok(ready) => self.ended = 0 < ready,
            Err(_) => tokio::time::sleep(START_LOOK).await,
        }
        Ok(())
    }
}

/// A pidfd of the living supervisor of a run. No boot id is compared: the lock is held, so these pids are of this boot
/// or of a supervisor whose start time will not match.
fn supervisor_of(dir: &Path) -> Option<OwnedFd> {
    files::read_pids(dir).ok()??.supervisor.open()
}

#[async_trait::async_trait]
impl Supervisor for ProcessSupervisor {
    async fn ensure(&self, dir: &Path, spec: &RunSpec) -> Result<ExitRecord, Fault> {
        let dir = {
            let (dir, spec) = (dir.to_owned(), spec.clone());
            let what = format!("prepare run {}", dir.display());
            off_thread(move || Self::prepare(&dir, &spec).map_err(|e| fault(&what, &e))).await??
        };
        let name = dir.display();
        let mut starts = 0;
        let mut awaited = Awaited::default();
        loop {
            match standing(&dir).map_err(|e| fault(&format!("look at run {name}"), &e))? {
                Standing::Ended(record) => return Ok(record),
                Standing::Lost => {
                    let swept = dir.clone();
                    let killed = off_thread(move || sweep_tree(&swept)).await?;
                    let text = format!(
                        "run {name}: its supervisor died without an exit record; {killed} processes of it were killed"
                    );
                    return Err(Fault::transient(text).coded(FaultCode::Lost));
                }
                Standing::Live => awaited.wait(&dir).await?,
                Standing::Absent => {
                    return Err(Fault::gone(format!("run {name}: its directory was removed under it")));
                }
                Standing::Waiting => {
                    if self.starting().contains(&dir) {
                        tokio::time::sleep(START_LOOK).await;
                    } else if starts == STARTS {
                        return Err(Fault::transient(format!(
                            "run {name}: its supervisor ended {STARTS} times before it took the run, see {} there",
                            files::LOG
                        )));
                    } else {
                        let (supervisor, to_start, keys) = (self.clone(), dir.clone(), spec.keys.clone());
                        let what = format!("start supervisor {} of run {name}", self.exe.display());
                        let started = off_thread(move || supervisor.start(&to_start, &keys)).await?;
                        starts += u32::from(started.map_err(|e| fault(&what, &e))?);
                    }
                }
            }
        }
    }

    fn look(&self, dir: &Path) -> Result<RunState, Fault> {
        let state = standing(dir).map_err(|e| fault(&format!("look at run {}", dir.display()), &e))?;
        Ok(match state {
            Standing::Live => RunState::Live,
            Standing::Ended(record) => RunState::Ended(record),
            Standing::Lost => RunState::Lost,
            Standing::Absent => RunState::Absent,
            // Nothing of it was ever started, so it is not lost: there is nothing to sweep and it may be ensured.
            Standing::Waiting => {
                let starting = dir.canonicalize().is_ok_and(|dir| self.starting().contains(&dir));
                if starting { RunState::Live } else { RunState::Absent }
            }
        })
    }

    fn cancel(&self, dir: &Path) -> Result<(), Fault> {
        if self.look(dir)? != RunState::Live {
            return Ok(());
        }
        match std::fs::File::create(dir.join(names::CANCEL)) {
            Ok(_) => Ok(()),
            Err(e) => Err(fault(&format!("cancel run {}", dir.display()), &e)),
        }
    }

    fn freeze(&self, dir: &Path) -> Result<(), Fault> {
        match std::fs::File::create(dir.join(names::PAUSE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fault(&format!("freeze run {}", dir.display()), &e)),
            _ => Ok(()),
        }
    }

    fn thaw(&self, dir: &Path) -> Result<(), Fault> {
        match std::fs::remove_file(dir.join(names::PAUSE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fault(&format!("thaw run {}", dir.display()), &e)),
            _ => Ok(()),
        }
    }

    fn is_frozen(&self, dir: &Path) -> Result<bool, Fault> {
        let said = [names::PAUSE, names::FROZEN].iter().all(|name| dir.join(name).exists());
        Ok(said && self.look(dir)? == RunState::Live)
    }
}

/// Runs what touches the disk or waits for processes where it may block.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::bug(format!("work on a run directory: {e}")))
}

/// Permissions need a person; everything else about a local disk or process table (full, busy, in the middle of an
/// upgrade of the binary) may pass.
fn fault(what: &str, e: &io::Error) -> Fault {
    let text = format!("{what}: {e}");
    match e.kind() {
        io::ErrorKind::PermissionDenied => Fault::denied(text),
        io::ErrorKind::InvalidData => Fault::permanent(text).unsure(),
        _ => Fault::transient(text),
    }
}
