//! Runs without processes: a supervisor whose runs are closures. It keeps what the real one keeps (a directory is
//! started at most once, a live run is adopted, an ended one is reported for ever), whichever engine asks.

use crate::time::FastClock;
use orch_adapters::command::{CommandAgent, CommandSettings};
use orch_core::fault_code::FaultCode;
use orch_core::ids::Time;
use orch_ports::Fault;
use orch_ports::agent::{AgentEnd, AgentProgram, AgentReport, Brief, EndClass, Usage};
use orch_ports::clock::Clock;
use orch_ports::supervisor::{EndReason, ExitRecord, Keys, PoliteSignal, RunSpec, RunState, Supervisor, files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A run as the story's closure sees it.
pub struct Run {
    /// Role of an agent, or the command's line.
    pub what: String,
    /// The whole command.
    pub argv: Vec<String>,
    /// How many-eth run of this, from 1.
    pub nth: usize,
    pub cwd: PathBuf,
    pub dir: PathBuf,
    pub env: BTreeMap<String, String>,
}

impl Run {
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).map_or("", String::as_str)
    }
    pub fn write(&self, path: &str, text: &str) {
        let file = self.cwd.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.cwd.join(path)).unwrap_or_default()
    }
    /// Writes an artefact of the task.
    pub fn paper(&self, name: &str, text: &str) {
        self.write(&format!("{}/{name}", self.var("ORCH_ARTEFACT_DIR")), text);
    }
    /// Writes its result file.
    pub fn says(&self, json: &str) {
        std::fs::write(self.var("ORCH_RESULT_FILE"), json).unwrap();
    }
    pub fn prompt(&self) -> String {
        std::fs::read_to_string(self.var("ORCH_PROMPT_FILE")).unwrap()
    }
}

/// What a run does.
pub enum Does {
    Exit(i32),
    /// Its supervisor dies with it.
    Vanish,
    /// It hangs until its deadline.
    Deadline,
    /// It goes on until it is cancelled or `finish` is called.
    Hang,
}

type Script = Box<dyn FnMut(&Run) -> Does + Send>;

#[derive(Default)]
struct State {
    runs: BTreeMap<PathBuf, RunState>,
    started: Vec<(String, PathBuf)>,
    hanging: BTreeMap<PathBuf, Run>,
    /// Nobody who waits for these is ever told: the process that waits dies.
    deaf: Vec<String>,
    /// So many times from now on no supervisor can be asked to stop.
    refuses: u32,
    /// Runs that are to stand still.
    frozen: BTreeSet<PathBuf>,
    /// Those that were asked for while they were.
    held: BTreeSet<PathBuf>,
}

pub struct Runs {
    clock: Arc<FastClock>,
    scripts: Mutex<BTreeMap<String, Script>>,
    state: Mutex<State>,
    changed: Notify,
}

impl Runs {
    pub fn new(clock: Arc<FastClock>) -> Arc<Self> {
        Arc::new(Self { clock, scripts: Mutex::default(), state: Mutex::default(), changed: Notify::new() })
    }

    /// What a role or a command does from now on.
    pub fn on(&self, what: &str, script: impl FnMut(&Run) -> Does + Send + 'static) {
        self.scripts.lock().unwrap().insert(what.into(), Box::new(script));
    }

    /// How often it was started.
    pub fn count(&self, what: &str) -> usize {
        self.state.lock().unwrap().started.iter().filter(|(w, _)| w == what).count()
    }

    fn what(&self, dir: &Path) -> String {
        let state = self.state.lock().unwrap();
        state.started.iter().find(|(_, d)| d == dir).map_or_else(String::new, |(what, _)| what.clone())
    }

    /// The next run of this ends unheard.
    pub fn die_after(&self, what: &str) {
        self.state.lock().unwrap().deaf.push(what.into());
    }

    pub fn live(&self, what: &str) -> bool {
        self.state.lock().unwrap().hanging.values().any(|r| r.what == what)
    }

    /// Does a run of this stand still?
    pub fn frozen(&self, what: &str) -> bool {
        let state = self.state.lock().unwrap();
        state.hanging.iter().any(|(dir, r)| r.what == what && state.frozen.contains(dir))
    }

    /// Is this one not to begin now?
    fn hold_back(&self, dir: &Path) -> bool {
        let mut state = self.state.lock().unwrap();
        let frozen = state.frozen.contains(dir);
        if frozen {
            state.held.insert(dir.to_owned());
        }
        frozen
    }

    /// Somebody else lets all runs go on.
    pub fn thaw_all(&self) {
        self.state.lock().unwrap().frozen.clear();
        self.changed.notify_waiters();
    }

    /// Somebody else lets all runs stand still.
    pub fn freeze_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.frozen = state.runs.keys().cloned().collect();
    }

    /// Is a run asked for, and held back from its beginning?
    pub fn holds_one_back(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.held.iter().any(|dir| state.frozen.contains(dir))
    }

    /// The supervisors of hanging runs die, and nobody who waits is told.
    pub fn lose(&self, what: &str) {
        let mut state = self.state.lock().unwrap();
        let dirs: Vec<PathBuf> =
            state.hanging.iter().filter(|(_, r)| r.what == what).map(|(dir, _)| dir.clone()).collect();
        for dir in dirs {
            state.hanging.remove(&dir);
            state.runs.insert(dir, RunState::Lost);
        }
    }

    /// So many times from now on no run can be asked to stop.
    pub fn refuse_to_cancel(&self, times: u32) {
        self.state.lock().unwrap().refuses = times;
    }

    /// Somebody stops hanging runs from outside.
    pub fn cancel_all(&self, what: &str) {
        let mut state = self.state.lock().unwrap();
        let dirs: Vec<PathBuf> =
            state.hanging.iter().filter(|(_, r)| r.what == what).map(|(dir, _)| dir.clone()).collect();
        for dir in dirs {
            state.hanging.remove(&dir);
            state.runs.insert(dir, RunState::Ended(self.record(EndReason::Cancelled, None)));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Hanging runs do this and end.
    pub fn finish(&self, what: &str, mut last: impl FnMut(&Run)) {
        let mut state = self.state.lock().unwrap();
        let dirs: Vec<PathBuf> =
            state.hanging.iter().filter(|(_, r)| r.what == what).map(|(dir, _)| dir.clone()).collect();
        for dir in dirs {
            let run = state.hanging.remove(&dir).unwrap();
            last(&run);
            state.runs.insert(dir, RunState::Ended(self.record(EndReason::Exited, Some(0))));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn record(&self, reason: EndReason, code: Option<i32>) -> ExitRecord {
        let now: Time = self.clock.now();
        ExitRecord { reason, code, signal: None, error: None, started: now, ended: now, strays: 0 }
    }

    fn start(&self, dir: &Path, spec: &RunSpec) {
        // Behind a setup the line is the last word, too.
        let what = spec.argv.last().cloned().unwrap_or_default();
        let nth = {
            let mut state = self.state.lock().unwrap();
            state.runs.insert(dir.to_owned(), RunState::Live);
            state.started.push((what.clone(), dir.to_owned()));
            state.started.iter().filter(|(w, _)| *w == what).count()
        };
        let argv = spec.argv.clone();
        let run =
            Run { what: what.clone(), argv, nth, cwd: spec.cwd.clone(), dir: dir.to_owned(), env: spec.env.clone() };
        let does = match self.scripts.lock().unwrap().get_mut(&what) {
            Some(script) => script(&run),
            None => panic!("nobody wrote what `{what}` does"),
        };
        let mut state = self.state.lock().unwrap();
        match does {
            Does::Exit(code) => {
                let record = self.record(EndReason::Exited, Some(code));
                state.runs.insert(dir.to_owned(), RunState::Ended(record));
            }
            Does::Deadline => {
                let record = self.record(EndReason::Deadline, None);
                state.runs.insert(dir.to_owned(), RunState::Ended(record));
            }
            Does::Vanish => {
                state.runs.insert(dir.to_owned(), RunState::Lost);
            }
            Does::Hang => {
                state.hanging.insert(dir.to_owned(), run);
            }
        }
    }

    fn state_of(&self, dir: &Path) -> RunState {
        self.state.lock().unwrap().runs.get(dir).cloned().unwrap_or(RunState::Absent)
    }
}

/// The supervisor port of one engine over the common runs.
pub struct InProcess {
    pub runs: Arc<Runs>,
    pub faults: Arc<crate::faults::Faults>,
}

#[async_trait::async_trait]
impl Supervisor for InProcess {
    async fn ensure(&self, dir: &Path, spec: &RunSpec) -> Result<ExitRecord, Fault> {
        self.faults.call("supervisor.ensure", async { Ok(()) }).await?;
        loop {
            let changed = self.runs.changed.notified();
            match self.runs.state_of(dir) {
                RunState::Absent => {
                    if self.runs.hold_back(dir) {
                        changed.await;
                        continue;
                    }
                    std::fs::create_dir_all(dir).unwrap();
                    if !dir.join(files::SPEC).exists() {
                        std::fs::write(dir.join(files::SPEC), serde_json::to_vec(spec).unwrap()).unwrap();
                    }
                    self.runs.start(dir, spec);
                    let what = self.runs.state.lock().unwrap().started.last().unwrap().0.clone();
                    let deaf = {
                        let mut state = self.runs.state.lock().unwrap();
                        let at = state.deaf.iter().position(|d| *d == what);
                        at.map(|at| state.deaf.remove(at)).is_some()
                    };
                    if deaf {
                        self.faults.plan("dead", &[crate::faults::How::DieAfter]);
                        self.faults.call("dead", async { Ok(()) }).await?;
                    }
                }
                RunState::Live => changed.await,
                RunState::Ended(record) => {
                    let what = self.runs.what(dir);
                    return self.faults.call(&format!("answer {what}"), async { Ok(record) }).await;
                }
                RunState::Lost => {
                    return Err(Fault::transient("its supervisor died without an exit record").coded(FaultCode::Lost));
                }
            }
        }
    }

    fn look(&self, dir: &Path) -> Result<RunState, Fault> {
        Ok(self.runs.state_of(dir))
    }

    fn cancel(&self, dir: &Path) -> Result<(), Fault> {
        let mut state = self.runs.state.lock().unwrap();
        if let Some(left) = state.refuses.checked_sub(1) {
            state.refuses = left;
            return Err(Fault::transient("the supervisor's directory cannot be written now"));
        }
        if state.hanging.remove(dir).is_some() {
            let record = self.runs.record(EndReason::Cancelled, None);
            state.runs.insert(dir.to_owned(), RunState::Ended(record));
        }
        drop(state);
        self.runs.changed.notify_waiters();
        Ok(())
    }

    fn freeze(&self, dir: &Path) -> Result<(), Fault> {
        self.runs.state.lock().unwrap().frozen.insert(dir.to_owned());
        Ok(())
    }

    fn thaw(&self, dir: &Path) -> Result<(), Fault> {
        self.runs.state.lock().unwrap().frozen.remove(dir);
        self.runs.changed.notify_waiters();
        Ok(())
    }

    fn is_frozen(&self, dir: &Path) -> Result<bool, Fault> {
        let state = self.runs.state.lock().unwrap();
        Ok(state.frozen.contains(dir) && state.runs.get(dir) == Some(&RunState::Live))
    }
}

/// Exit codes from here on are classes of ends, by their place in [`EndClass::ALL`].
pub const SESSIONS: i32 = 1_000;

/// An agent program that is the story's closure. Exit 75 is the world's fault, 77 a missing permission.
pub struct Played;

impl AgentProgram for Played {
    fn name(&self) -> &'static str {
        "played"
    }
    fn launch(&self, brief: &Brief) -> Result<RunSpec, Fault> {
        Ok(RunSpec {
            argv: vec!["agent".into(), brief.role.to_string()],
            cwd: brief.worktree.clone(),
            env: {
                let mut env = brief.env();
                env.extend(brief.resume.as_ref().map(|r| ("RESUME".to_owned(), r.session.clone())));
                env
            },
            keys: Keys::default(),
            keys_on_stdin: false,
            stdin: None,
            deadline_ms: 3_600_000,
            silence_ms: None,
            grace_ms: 1_000,
            polite: PoliteSignal::Term,
            detach: false,
            keep: true,
        })
    }
    fn read(&self, run_dir: &Path, exit: &ExitRecord) -> AgentReport {
        let end = match exit.code {
            Some(0) => AgentEnd::finished(),
            Some(75) => {
                let back_at = std::fs::read_to_string(run_dir.join("back_at")).ok();
                let not_before = back_at.map(|ms| Time(ms.parse().unwrap()));
                AgentEnd { not_before, ..AgentEnd::new(EndClass::Passing, "usage limit") }
            }
            Some(77) => AgentEnd::new(EndClass::Configuration, "no login"),
            Some(n) if SESSIONS <= n => {
                AgentEnd::new(EndClass::ALL[usize::try_from(n - SESSIONS).unwrap()], "as it was told")
            }
            _ => AgentEnd::new(EndClass::Failed, exit.describe()),
        };
        let question = std::fs::read_to_string(run_dir.join("question")).ok();
        let usage =
            match std::fs::read_to_string(run_dir.join("cost")).map(|text| text.parse::<f64>().map_err(|_| text)) {
                Ok(Ok(cost_usd)) => Usage { cost_usd, ..Usage::default() },
                // A proxy has counted it, and one of its responses was cut.
                Ok(Err(text)) if text.starts_with("at most ") => {
                    let cost_usd = text["at most ".len()..].parse().unwrap();
                    Usage { cost_usd, cost_unread: Some(text), measured: true, ..Usage::default() }
                }
                Ok(Err(text)) => Usage { cost_unread: Some(text), ..Usage::default() },
                Err(_) => Usage { cost_usd: 0.25, ..Usage::default() },
            };
        // The result file is read as every command agent's is.
        let settings = CommandSettings {
            name: "played".into(),
            command: Vec::new(),
            config_dir: PathBuf::new(),
            path: String::new(),
            env: BTreeMap::new(),
            env_file: None,
            pass_env: BTreeMap::new(),
            deadline_ms: 0,
            silence_ms: None,
            grace_ms: 0,
            sandbox: orch_sandbox::Sandbox::default(),
        };
        let AgentReport { word, resolved, .. } = CommandAgent::new(settings).read(run_dir, exit);
        let said = |name: &str| std::fs::read_to_string(run_dir.join(name)).ok();
        let (summary, model) = (said("summary"), said("model"));
        let session = said("session");
        let alarms = said("alarm").iter().flat_map(|all| all.lines()).map(ToOwned::to_owned).collect();
        AgentReport { end, summary, question, word, resolved, usage, model, session, version: None, alarms }
    }
}
