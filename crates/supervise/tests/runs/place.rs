//! A run directory and a working directory of a test's own. Survivors are recognised by their working directory, which
//! is not what the code under test goes by.

use orch_ports::Fault;
use orch_ports::supervisor::{ExitRecord, Keys, PoliteSignal, RunSpec, RunState, Supervisor, files};
use orch_supervise::ProcessSupervisor;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The binary that understands `supervise <dir>`.
pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_orch-supervise");

/// One run's place.
pub(crate) struct Place {
    _root: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) port: ProcessSupervisor,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        let (dir, work) = (base.join("runs/1-1"), base.join("work"));
        fs::create_dir(&work).unwrap();
        Self { _root: root, dir, work, port: ProcessSupervisor::new(EXE.into()) }
    }

    /// Its supervisors make no control group, so that the rest of the ladder is on its own.
    pub(crate) fn without_cgroups(mut self) -> Self {
        self.port = self.port.clone().without_cgroups();
        self
    }

    /// Once with all of the ladder this machine has, once without its first rung.
    pub(crate) fn both() -> [Self; 2] {
        [Self::new(), Self::new().without_cgroups()]
    }

    /// What both directories are in.
    pub(crate) fn root(&self) -> &str {
        self.work.parent().unwrap().to_str().unwrap()
    }

    /// A shell script with generous limits.
    pub(crate) fn script(&self, script: &str) -> RunSpec {
        RunSpec {
            argv: ["sh", "-c", script].map(String::from).to_vec(),
            cwd: self.work.clone(),
            env: BTreeMap::from([("PATH".into(), std::env::var("PATH").unwrap())]),
            keys: Keys::default(),
            keys_on_stdin: false,
            stdin: None,
            deadline_ms: 20_000,
            silence_ms: None,
            grace_ms: 100,
            polite: PoliteSignal::Term,
            detach: false,
            keep: false,
        }
    }

    pub(crate) async fn ensure(&self, spec: &RunSpec) -> Result<ExitRecord, Fault> {
        self.port.ensure(&self.dir, spec).await
    }

    /// Runs a script to its end.
    pub(crate) async fn run(&self, script: &str) -> ExitRecord {
        self.ensure(&self.script(script)).await.unwrap()
    }

    /// Starts a run, waits until it is up, and forgets the future.
    pub(crate) async fn begin(&self, spec: &RunSpec) {
        tokio::select! {
            ended = self.ensure(spec) => panic!("ended before it was up: {ended:?}"),
            () = self.until("it is up", || self.is_up()) => {}
        }
    }

    /// The program has written the file `up` and its supervisor has written down which process the program is: the two
    /// come in either order.
    pub(crate) fn is_up(&self) -> bool {
        self.work.join("up").exists() && self.pids()["child"].is_object()
    }

    pub(crate) async fn until(&self, what: &str, met: impl Fn() -> bool) {
        let begun = Instant::now();
        while !met() {
            assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.dir.join(files::STDOUT)).unwrap()
    }

    /// What the supervisor, or a sweep, says it did.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("supervisor.log")).unwrap_or_default()
    }

    pub(crate) fn worked(&self, name: &str) -> String {
        fs::read_to_string(self.work.join(name)).unwrap_or_default()
    }

    pub(crate) fn state(&self) -> RunState {
        self.port.look(&self.dir).unwrap()
    }

    pub(crate) fn pids(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.dir.join(files::PIDS)).unwrap()).unwrap()
    }

    pub(crate) fn supervisor(&self) -> Pid {
        pid(&self.pids()["supervisor"]["pid"])
    }

    pub(crate) fn signal_supervisor(&self, signal: Signal) {
        kill_process(self.supervisor(), signal).unwrap();
    }

    /// SIGKILLs the supervisor and waits until its lock is free.
    pub(crate) async fn kill_supervisor(&self) {
        self.signal_supervisor(Signal::KILL);
        self.until("the supervisor is dead", || self.state() != RunState::Live).await;
    }

    /// Living processes of the run.
    pub(crate) fn survivors(&self) -> Vec<i32> {
        // A zombie has no working directory.
        let here = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.work);
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(here).collect()
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.survivors(), Vec::<i32>::new(), "processes of the run survived");
    }

    /// What a supervisor started by hand on this directory exits with.
    pub(crate) fn supervise_by_hand(&self) -> u8 {
        Command::new(EXE).arg("supervise").arg(&self.dir).env("LEAK", "1").status().unwrap().code().unwrap() as u8
    }

    pub(crate) fn write_spec(&self, text: &[u8]) {
        fs::create_dir_all(&self.dir).unwrap();
        fs::write(self.dir.join(files::SPEC), text).unwrap();
    }
}

impl Drop for Place {
    /// A failing test must not leave processes either.
    fn drop(&mut self) {
        if std::thread::panicking() && self.dir.join(files::PIDS).exists() {
            let _ = kill_process(self.supervisor(), Signal::KILL);
            for pid in self.survivors() {
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
        }
    }
}

pub(crate) fn pid(value: &serde_json::Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap()).unwrap()).unwrap()
}

pub(crate) fn process_exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists()
}
