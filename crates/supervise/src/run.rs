//! The supervisor process: owns one run from before its spawn to after its record. Decides when a run is stopped and
//! what its record says. Synchronous and single-threaded, so that between a look and an act nothing else happens.
//!
//! It may never spawn a second time for one directory, never write a record while something of the run can still act,
//! and never die of a full disk or of a signal meant for a terminal.

use crate::cgroup::Cgroup;
use crate::files::{self, Pids, log};
use crate::freeze::{self, Standstill};
use crate::output::{self, Output};
use crate::proc::{self, Identity};
use crate::sweep::{MARKER, sweep_tree};
use crate::tree::Tree;
use orch_core::ids::Time;
use orch_ports::Secret;
use orch_ports::supervisor::{EndReason, ExitRecord, PoliteSignal, RunSpec, files as names};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    PidfdFlags, Signal, WaitStatus, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, setsid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the supervisor's own exit code says. The record says how the run ended, this only how the supervisor did.
pub mod exit_codes {
    /// The exit record is there, written now or earlier.
    pub const DONE: u8 = 0;
    /// The run directory cannot be used, or the arguments are wrong. Nothing was started.
    pub const UNUSABLE: u8 = 2;
    /// Another supervisor owns the run. Nothing was started.
    pub const HELD: u8 = 3;
    /// An earlier supervisor died after it meant to spawn: its tree was swept, there will be no record.
    pub const LOST: u8 = 4;
    /// The run has ended but its record could not be written: it will be found lost.
    pub const UNRECORDED: u8 = 5;
}

/// Between two looks at the limits and the cancel file. The program's end needs no look, a pidfd reports it.
const TICK: Duration = Duration::from_millis(40);
/// After the program's own end, how long the rest may take to end by itself: `cmd > >(tee log)` leaves a `tee`.
const WIND_DOWN: Duration = Duration::from_millis(100);
/// How long killing is tried. What is left then has SIGKILL pending and runs no more code.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How long writing the record is tried, with the lock held.
const RECORD_LIMIT: Duration = Duration::from_mins(1);
/// Between two tries.
const RECORD_PAUSE: Duration = Duration::from_millis(250);

/// The whole life of a supervisor: `orch supervise <run-dir>`. To be called from the first thread of a process that has
/// no other thread and no child: every child of the process is taken to be the run's.
pub fn supervise_main(run_dir: &Path) -> ExitCode {
    ExitCode::from(supervise(run_dir).unwrap_or_else(|e| {
        log(&format!("supervise {}: {e}", run_dir.display()));
        exit_codes::UNUSABLE
    }))
}

fn supervise(run_dir: &Path) -> io::Result<u8> {
    // Before all else: until the handlers and the session stand, a Ctrl-C meant for our parent would end us. Handlers
    // and not SIG_IGN, because an ignored signal stays ignored in the program, which then could not be interrupted.
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
    for signal in [SIGINT, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // Fails for the leader of a process group (started by a shell): then it stays in that session.
    let leads_session = setsid().is_ok();

    // Before the run is taken: what broke off here was never begun, and is started again.
    let keys = keys()?;
    let dir = run_dir.canonicalize()?;
    let Some(_lock) = files::take_lock(&dir)? else { return Ok(exit_codes::HELD) };
    if dir.join(names::EXIT).try_exists()? {
        return Ok(exit_codes::DONE);
    }
    if dir.join(names::PIDS).try_exists()? {
        let killed = sweep_tree(&dir);
        log(&format!("an earlier supervisor of this run died; swept {killed} processes"));
        return Ok(exit_codes::LOST);
    }
    let record = match Running::start(&dir, leads_session, &stop, keys) {
        Ok(Some(running)) => {
            let result = running.spec.keep.then(|| running.spec.cwd.clone());
            let record = running.finish();
            if let Some(place) = result {
                keep(&[&place, &dir]);
            }
            record
        }
        Ok(None) => unstarted(EndReason::Cancelled, None),
        Err(why) => unstarted(EndReason::SpawnFailed, Some(why)),
    };
    Ok(write_record(&dir, &record))
}

/// Environment of a supervisor: the keys of its program come through its standard input.
pub(crate) const KEYS: &str = "ORCH_RUN_KEYS";

/// The keys this supervisor was given. They end with it: they are in no file and not in its environment.
fn keys() -> io::Result<BTreeMap<String, Secret>> {
    if std::env::var_os(KEYS).is_none() {
        return Ok(BTreeMap::new());
    }
    // Others of its user, the program among them, read neither its memory nor what it is given.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let given: BTreeMap<String, String> = serde_json::from_reader(io::stdin().lock())
        .map_err(|_| io::Error::other("the keys of the program did not come through whole"))?;
    Ok(given
        .into_iter()
        .map(|(name, value)| {
            let value = Secret::of(&name, value);
            (name, value)
        })
        .collect())
}

/// A program under way.
struct Running<'a> {
    dir: &'a Path,
    spec: RunSpec,
    stop: &'a AtomicBool,
    outputs: [Output; 2],
    child: OwnedFd,
    tree: Tree,
    started: Time,
    still: Standstill,
}

impl<'a> Running<'a> {
    /// Spawns the program. `None`: it was cancelled before; an error is the `error` of the record.
    fn start(
        dir: &'a Path,
        leads_session: bool,
        stop: &'a AtomicBool,
        keys: BTreeMap<String, Secret>,
    ) -> Result<Option<Self>, String> {
        let mut spec = files::read_spec(dir)
            .map_err(|e| format!("read {}: {e}", names::SPEC))?
            .ok_or_else(|| format!("read {}: there is none", names::SPEC))?;
        spec.keys.fill(keys);
        freeze::wait_to_begin(dir, || cancelled(dir, stop));
        if cancelled(dir, stop) {
            return Ok(None);
        }
        set_child_subreaper(Some(getpid())).map_err(|e| format!("become the reaper of the run's orphans: {e}"))?;
        // Everything below relies on pidfds (Linux 5.3); better no run than one that cannot be stopped.
        pidfd_open(getpid(), PidfdFlags::empty()).map_err(|e| format!("open a pidfd: {e}"))?;
        let mut command = command(dir, &spec)?;
        let stdout = files::open_log(dir, names::STDOUT).map_err(|e| format!("open {}: {e}", names::STDOUT))?;
        let stderr = files::open_log(dir, names::STDERR).map_err(|e| format!("open {}: {e}", names::STDERR))?;
        let output = |name: &str, log: File| {
            // What may run on after the run prints into the log itself: a pipe would break with this process.
            let whole = if spec.detach {
                log.try_clone().map(|own| (Output::direct(own), OwnedFd::from(log)))
            } else {
                output::pipe(dir, name).and_then(|(read, write)| Ok((Output::new(read, log, output::limit())?, write)))
            };
            whole.map_err(|e| format!("set up the output {name}: {e}"))
        };
        let ((out, out_end), (err, err_end)) = (output(names::STDOUT, stdout)?, output(names::STDERR, stderr)?);
        let outputs = [out, err];
        command.stdout(out_end).stderr(err_end);

        // The intent is durable before the spawn: whoever finds it knows that the program may have been started, even
        // if this process dies between the spawn and the next line, or the power does.
        let boot_id = proc::boot_id().map_err(|e| format!("read the boot id: {e}"))?;
        let supervisor = Identity::of(std::process::id() as i32).ok_or("read the own start time in /proc")?;
        let group = Cgroup::create(dir).map_err(|why| log(&format!("no control group for this run: {why}"))).ok();
        let cgroup = group.as_ref().map(|group| group.path().to_owned());
        let mut pids = Pids { boot_id, supervisor, leads_session, child: None, cgroup };
        if let Err(e) = files::write_json(dir, names::PIDS, &pids) {
            group.inspect(Cgroup::remove);
            return Err(format!("write {}: {e}", names::PIDS));
        }

        let group = group.filter(enter);
        let (started, still) = (now(), Standstill::new());
        let spawned = command.spawn();
        // Our ends of what the program prints into are in there, and so are its keys.
        drop(command);
        spec.keys = orch_ports::supervisor::Keys::default();
        let left = group.as_ref().map_or(Ok(()), Cgroup::leave);
        if let Err(e) = left {
            log(&format!("leave the control group of this run: {e}"));
        }
        let spawned = match spawned {
            Ok(spawned) => spawned,
            Err(e) => {
                group.inspect(Cgroup::remove);
                return Err(format!("start {}: {e}", spec.argv.first().map_or("", |a| a)));
            }
        };
        // From here to the reaping in `Tree` the child cannot vanish: its pid is its own.
        let pid = spawned.id() as i32;
        let mut tree = Tree::new(pid, leads_session, group);
        pids.child = Identity::of(pid);
        if let Err(e) = files::write_json(dir, names::PIDS, &pids) {
            log(&format!("write {} after the spawn: {e}", names::PIDS));
        }
        let child = rustix::process::Pid::from_raw(pid)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match child {
            Ok(child) => Ok(Some(Self { dir, spec, stop, outputs, child, tree, started, still })),
            Err(e) => {
                // Out of descriptors, if at all. It ran for a moment, so it must be gone before the record says so.
                tree.kill_all(KILL_LIMIT);
                Err(format!("open a pidfd of the program: {e}"))
            }
        }
    }

    /// Sees the run to its end and the whole tree out.
    fn finish(mut self) -> ExitRecord {
        let reason = self.watch();
        let empty = self.tree.status.is_some() && self.wind_down();
        // What runs on in a session of its own is the program's to keep, if the spec says so and nothing cut it short.
        let kept = !empty
            && self.spec.detach
            && reason == EndReason::Exited
            && self.tree.status.is_some()
            && self.tree.kill_attached(KILL_LIMIT);
        if kept && 0 < self.tree.left {
            log(&format!("left {} processes alone that have a session of their own", self.tree.left));
        }
        if !empty && !kept && !self.tree.kill_all(KILL_LIMIT) {
            log("some processes of the run could not be killed; SIGKILL is pending for them");
        }
        self.tree.close();
        self.outputs.into_iter().for_each(Output::close);
        if !empty {
            log(&format!("killed {} by control group, {} by descent", self.tree.by_group, self.tree.by_descent()));
        }
        let (code, signal) =
            self.tree.status.map_or((None, None), |s: WaitStatus| (s.exit_status(), s.terminating_signal()));
        ExitRecord { reason, code, signal, error: None, started: self.started, ended: now(), strays: self.tree.strays }
    }

    /// Returns when the program has ended or its grace is over.
    fn watch(&mut self) -> EndReason {
        let deadline = Duration::from_millis(self.spec.deadline_ms);
        let silence = self.spec.silence_ms.map(Duration::from_millis);
        let grace = Duration::from_millis(self.spec.grace_ms);
        // Times of the run's own life, in which pauses do not count.
        let (mut said, mut heard) = (self.said(), Duration::ZERO);
        let mut asked: Option<(EndReason, Duration)> = None;
        loop {
            self.outputs.iter_mut().for_each(|output| {
                output.drain();
            });
            self.tree.reap();
            if self.tree.status.is_some() {
                return asked.map_or(EndReason::Exited, |(reason, _)| reason);
            }
            let frozen = self.still.obey(self.dir);
            let lived = self.still.lived();
            let size = self.said();
            if size != said {
                (said, heard) = (size, lived);
            }
            match asked {
                // It could not hear a polite word.
                _ if frozen && cancelled(self.dir, self.stop) => {
                    return asked.map_or(EndReason::Cancelled, |(reason, _)| reason);
                }
                _ if frozen => {}
                Some((reason, since)) if lived.saturating_sub(since) >= grace => return reason,
                Some(_) => {}
                None => {
                    let reason = if cancelled(self.dir, self.stop) {
                        Some(EndReason::Cancelled)
                    } else if lived >= deadline {
                        Some(EndReason::Deadline)
                    } else if silence.is_some_and(|longest| lived.saturating_sub(heard) >= longest) {
                        Some(EndReason::Silence)
                    } else {
                        None
                    };
                    if let Some(reason) = reason {
                        let polite = match self.spec.polite {
                            PoliteSignal::Term => Signal::TERM,
                            PoliteSignal::Int => Signal::INT,
                        };
                        let _ = pidfd_send_signal(&self.child, polite);
                        asked = Some((reason, lived));
                    }
                }
            }
            // Woken by the program's end, by what it prints, by a signal to us, or by the tick.
            let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
            let mut awaited = vec![PollFd::new(&self.child, PollFlags::IN)];
            let printed = self.outputs.iter().filter_map(Output::waits);
            awaited.extend(printed.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            if poll(&mut awaited, Some(&tick)).is_err_and(|e| e != rustix::io::Errno::INTR) {
                std::thread::sleep(TICK);
            }
        }
    }

    /// Waits for the rest of the tree to end by itself, and takes what it still prints. True: it did.
    fn wind_down(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            self.outputs.iter_mut().for_each(|output| {
                output.drain();
            });
            if self.tree.wind_down(Duration::from_millis(2)) {
                return true;
            }
            if begun.elapsed() >= WIND_DOWN {
                return false;
            }
        }
    }

    /// Bytes of both outputs: any more are a sign of life.
    fn said(&self) -> u64 {
        self.outputs.iter().map(Output::said).sum()
    }
}

/// Moves this process into the run's group, so that the program is born there: a child that is moved after its birth
/// could have children of its own by then. False: it cannot be done here, and the group is gone again.
fn enter(group: &Cgroup) -> bool {
    let entered = group.enter();
    if let Err(e) = &entered {
        log(&format!("no control group for this run: enter {}: {e}", group.path().display()));
        group.remove();
    }
    entered.is_ok()
}

/// What the program wrote is on disk before its end is: whoever reads the record after a power cut reads its work, too,
/// and not the empty files that a machine leaves which lost its power before it wrote them.
fn keep(places: &[&Path]) {
    for place in places {
        if let Err(e) = File::open(place).and_then(|opened| Ok(rustix::fs::syncfs(opened)?)) {
            // Gone with the program, or a disk that fails: the record says how the program ended all the same.
            log(&format!("sync {}: {e}", place.display()));
        }
    }
}

/// The program with nothing inherited but what the spec names and the marker.
fn command(dir: &Path, spec: &RunSpec) -> Result<Command, String> {
    let keys = spec.keys.values().map_err(|name| format!("the supervisor was not given the value of {name}"))?;
    let (program, arguments) = spec.argv.split_first().ok_or(format!("{}: argv is empty", names::SPEC))?;
    // Both would otherwise show as a bare "not found" that seems to speak of the program.
    if !spec.cwd.is_dir() {
        return Err(format!("start {program}: its directory {} is not there", spec.cwd.display()));
    }
    let stdin = match &spec.stdin {
        _ if spec.keys_on_stdin => piped(&keys).map_err(|e| format!("hand over its keys: {e}"))?,
        None => Stdio::null(),
        Some(path) => File::open(path).map_err(|e| format!("open its input {}: {e}", path.display()))?.into(),
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&spec.cwd).env_clear().envs(&spec.env).env(MARKER, dir);
    if !spec.keys_on_stdin {
        command.envs(keys);
    }
    command.stdin(stdin).process_group(0);
    Ok(command)
}

/// What a pipe holds (pipe(7)), with room: it is filled before anybody reads.
const MOST_PIPED: usize = 60 * 1024;

/// An input that says the keys once: what was read from a pipe is nowhere any more.
fn piped(keys: &BTreeMap<&str, &str>) -> io::Result<Stdio> {
    let text = serde_json::to_vec(keys).map_err(io::Error::other)?;
    if MOST_PIPED < text.len() {
        return Err(io::Error::other(format!("they are longer than {} KiB", MOST_PIPED / 1024)));
    }
    let (read, mut write) = io::pipe()?;
    io::Write::write_all(&mut write, &text)?;
    Ok(read.into())
}

/// Has somebody asked for the end, by file or by SIGTERM?
fn cancelled(dir: &Path, stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed) || dir.join(names::CANCEL).exists()
}

/// The record of a program that never ran.
fn unstarted(reason: EndReason, error: Option<String>) -> ExitRecord {
    let at = now();
    ExitRecord { reason, code: None, signal: None, error, started: at, ended: at, strays: 0 }
}

/// Writes the record, patiently: a full disk is often emptied again, and a run without a record is a lost one.
fn write_record(dir: &Path, record: &ExitRecord) -> u8 {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let Err(e) = files::write_json(dir, names::EXIT, record) else { return exit_codes::DONE };
        if !told {
            log(&format!("write {}: {e}; trying again for {} s", names::EXIT, RECORD_LIMIT.as_secs()));
            told = true;
        }
        if begun.elapsed() >= RECORD_LIMIT {
            log(&format!("gave up on the record: {}", record.describe()));
            return exit_codes::UNRECORDED;
        }
        std::thread::sleep(RECORD_PAUSE);
    }
}

/// Wall-clock time, for the record only; limits are measured on the monotonic clock.
fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}
