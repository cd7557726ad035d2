//! The driver process: starts the program, carries lines between it and the talk, writes log and report. Its end is the run's
//! end; the supervisor above it ends what is left of the tree. It may never end without a report while it lives, and never
//! report a success that was not said.

use crate::classify::{self, ProgramExit};
use crate::event::{Event, Kind};
use crate::lines::{Line, Lines};
use crate::proxied::{self, Proxied};
use crate::session::{Do, Plan, Talk};
use crate::spec::{DriverSpec, Endpoint, Report, files};
use orch_core::agent_end::Action;
use orch_core::ids::Time;
use orch_core::plain::shown;
use orch_ports::agent::{AgentEnd, EndClass};
use orch_proxy::server::Heard;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at the clock and at signals.
const TICK: Duration = Duration::from_millis(100);
/// Longest until the program answers the greeting.
const GREETING_LIMIT: Duration = Duration::from_mins(2);
/// Longest from the end of the talk to the end of the program.
const CLOSING_LIMIT: Duration = Duration::from_secs(15);
/// How much of its standard error is kept, bytes.
const STDERR_TAIL: usize = 8 * 1024;
/// Largest result file that is looked at, bytes.
const MAX_RESULT: u64 = 1024 * 1024;
/// Between two reports of a run that goes on.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// `orch agent-driver RUN-DIR`: exit 0 when the turn is over, 75 after a fault of the world, 1 otherwise; the report says
/// more.
pub fn agent_driver_main(run_dir: &Path) -> ExitCode {
    agent_driver(run_dir, &mut io::stdin().lock())
}

/// The same with what its standard input says: the keys of the account, if a proxy is to use them.
pub fn agent_driver(run_dir: &Path, input: &mut dyn Read) -> ExitCode {
    // Neither memory nor environment of this process is shown to others of its user.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // First of all: a polite signal is not to end this process before the program has told what it used.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    let mut log = Log::new(run_dir);
    let mut report = Report::default();
    let end = drive(run_dir, input, &stop, &mut log, &mut report)
        .unwrap_or_else(|e| AgentEnd::new(EndClass::Configuration, format!("the driver cannot work: {e}")));
    log.write(Kind::Note, &format!("{}{}{}", end.class.as_str(), if end.why.is_empty() { "" } else { ": " }, end.why));
    report.class = Some(end.class);
    report.why.clone_from(&end.why);
    report.not_before = end.not_before;
    if let Err(e) = save(run_dir, &report) {
        log.write(Kind::Note, &format!("the report could not be written: {e}"));
    }
    ExitCode::from(match end.class.means().0 {
        Action::Over => 0,
        Action::Again { charge: orch_core::retry::Charge::Transient, .. } => 75,
        Action::Again { .. } | Action::Hold | Action::Person => 1,
    })
}

/// What comes in.
enum In {
    Line(Line),
    /// Its standard output is at its end.
    End,
}

fn drive(
    run_dir: &Path,
    input: &mut dyn Read,
    stop: &AtomicBool,
    log: &mut Log,
    report: &mut Report,
) -> io::Result<AgentEnd> {
    let named = |what: &str, e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    let text = std::fs::read(run_dir.join(files::SPEC)).map_err(|e| named(files::SPEC, e))?;
    let mut spec: DriverSpec = serde_json::from_slice(&text).map_err(io::Error::other)?;
    // Until the run is over: it listens as long as it is held.
    let _proxied = match spec.proxy.clone() {
        None => None,
        Some(settings) => {
            let keys = proxied::keys(input)?;
            let said = log.clone();
            let heard = move |heard: Heard| match heard {
                Heard::Note(text) => said.write(Kind::Note, &format!("model proxy: {text}")),
                Heard::Alarm(text) => said.write(Kind::Alarm, &format!("ALARM of the model proxy: {text}")),
            };
            match Proxied::start(run_dir, &spec, &settings, &keys, heard) {
                Ok(proxied) => {
                    spec.env.clone_from(&proxied.env);
                    spec.keys = Vec::new();
                    spec.endpoint = Endpoint::default();
                    Some(proxied)
                }
                Err(why) => return Ok(AgentEnd::new(EndClass::Configuration, why)),
            }
        }
    };
    let prompt = std::fs::read_to_string(&spec.prompt_file).map_err(|e| named("the brief", e))?;
    std::fs::create_dir_all(&spec.session_dir).map_err(|e| named("the directory of sessions", e))?;
    let version = match version_of(&spec) {
        Ok(version) => version,
        Err(why) => return Ok(AgentEnd::new(EndClass::Configuration, why)),
    };
    let old = classify::is_old(&version);
    log.write(Kind::Note, &format!("{} {version}", spec.program));
    if old {
        log.write(Kind::Note, "this version does not say in fields how a request failed: its words are read");
    }
    report.version = Some(version);
    report.model.clone_from(&spec.model);
    let mut child = match command(&spec, old).spawn() {
        Ok(child) => child,
        Err(e) => return Ok(AgentEnd::new(EndClass::Configuration, format!("start {}: {e}", spec.program))),
    };
    let (lines, incoming) = mpsc::channel();
    let reader = read_lines(child.stdout.take(), lines);
    let errors = read_errors(child.stderr.take());
    let mut input = Input::new(child.stdin.take());
    let prompt = spec.resume.as_ref().map_or_else(|| prompt.clone(), |first| format!("{first}\n\n{prompt}"));
    let plan = Plan { prompt, rules: spec.rules.clone(), test: spec.test.clone(), most_refusals: spec.most_refusals };
    let mut run = Run { spec: &spec, dir: run_dir, log, report, input: &mut input, talk: Talk::new(plan) };
    let killed = run.talk_through(&incoming, stop, &mut child);
    let talk = run.talk;
    input.close();
    let (mut exit, late) = reap(&mut child, &talk, &spec);
    if (killed || late) && talk.is_closed() {
        // Its turn was over, and it was ended by us.
        exit.code = Some(0);
        exit.signal = None;
    }
    let _ = reader.join();
    // What it left behind may hold its standard error open for ever.
    let stderr = errors.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    let exit = ProgramExit { stderr: shown(&stderr).into_owned(), ..exit };
    let end = proxied::end(run_dir, talk.end(&exit));
    take_in(report, &talk);
    Ok(end)
}

/// A run under way.
struct Run<'a> {
    spec: &'a DriverSpec,
    dir: &'a Path,
    log: &'a mut Log,
    report: &'a mut Report,
    input: &'a mut Input,
    talk: Talk,
}

impl Run<'_> {
    /// Until the program's output is at its end, or it has been given up. True: it was killed.
    fn talk_through(&mut self, incoming: &Receiver<In>, stop: &AtomicBool, child: &mut Child) -> bool {
        let first = self.talk.begin();
        self.act(first);
        let begun = Instant::now();
        let (mut asked, mut saved): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            match incoming.recv_timeout(TICK) {
                Ok(In::Line(line)) => {
                    let todo = match line {
                        Line::Whole(bytes) => self.talk.line(&bytes),
                        Line::TooLong(bytes) => self.talk.too_long(bytes),
                    };
                    self.act(todo);
                    self.report.heard = Some(now());
                    if saved.is_none_or(|at| REPORT_EVERY <= at.elapsed()) {
                        saved = Some(Instant::now());
                        take_in(self.report, &self.talk);
                        // The last one counts, and says so if it cannot be written.
                        let _ = save(self.dir, self.report);
                    }
                }
                Ok(In::End) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stop.load(Ordering::Relaxed) && !self.talk.is_stopping() {
                let todo = self.talk.stop();
                self.act(todo);
            }
            if self.talk.is_greeting() && GREETING_LIMIT <= begun.elapsed() {
                self.log.write(Kind::Note, "the program does not answer");
                let _ = child.kill();
                return true;
            }
            if self.talk.is_closed() || self.talk.is_stopping() {
                let limit =
                    if self.talk.is_closed() { CLOSING_LIMIT } else { Duration::from_millis(self.spec.grace_ms) };
                if limit <= asked.get_or_insert_with(Instant::now).elapsed() {
                    self.log.write(Kind::Note, "the program did not end when it was asked to, and is killed");
                    let _ = child.kill();
                    return true;
                }
            }
        }
    }

    fn act(&mut self, todo: Vec<Do>) {
        for one in todo {
            match one {
                Do::Send(value) => self.input.send(&value),
                Do::Close => self.input.close(),
                Do::Log(kind, text) => self.log.write(kind, &text),
                Do::Look => {
                    let missing = missing(&self.spec.rules.worktree, &self.spec.artefacts);
                    let reported = reported(&self.spec.result_file);
                    let todo = self.talk.looked(&missing, reported);
                    self.act(todo);
                }
            }
        }
    }
}

/// Documents that are not there, or empty.
fn missing(worktree: &Path, artefacts: &[String]) -> Vec<String> {
    let is_there = |name: &String| {
        let path = worktree.join(name.trim_end_matches('/'));
        if name.ends_with('/') {
            std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(|e| e.is_ok()))
        } else {
            path.symlink_metadata().is_ok_and(|meta| meta.is_file() && 0 < meta.len())
        }
    };
    artefacts.iter().filter(|name| !is_there(name)).cloned().collect()
}

/// Has the role said why it stops without them?
fn reported(file: &Path) -> bool {
    if !file.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() <= MAX_RESULT) {
        return false;
    }
    let Ok(Ok(Value::Object(map))) = std::fs::read(file).map(|bytes| serde_json::from_slice(&bytes)) else {
        return false;
    };
    let says = |key: &str| match map.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(_) => true,
    };
    ["question", "unable", "return_to", "no_change"].into_iter().any(says)
}

/// The program's own name for its version. It says also whether the program can be started at all.
fn version_of(spec: &DriverSpec) -> Result<String, String> {
    let program = &spec.program;
    let output = Command::new(program)
        .arg("--version")
        .env_clear()
        .envs(&spec.env)
        // Outside of any sandbox: nothing that a branch or an earlier run wrote is where it starts, or what it reads.
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => format!("`{program}` is not there: install it, or correct `program`"),
            _ => format!("start {program}: {e}"),
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().next().unwrap_or_default().trim();
    if classify::version(line).is_some() {
        return Ok(line.split_whitespace().next().unwrap_or(line).to_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: String = shown(&errors).trim().chars().take(500).collect();
    Err(format!("`{program} --version` says no version: {}", if errors.is_empty() { line } else { &errors }))
}

/// The program with nothing inherited.
fn command(spec: &DriverSpec, old: bool) -> Command {
    let (program, first) =
        spec.enclosed.split_first().map_or((&spec.program, &[][..]), |(program, first)| (program, first));
    let mut command = Command::new(program);
    command.args(first).args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]);
    command.args(["--permission-prompt-tool", "stdio", "--permission-mode", "default"]);
    // A repository's own settings could start programs and send the key elsewhere.
    command.args(["--strict-mcp-config", "--setting-sources", "user"]);
    if !old {
        command.arg("--restricted");
    }
    command.arg("--tools").arg(spec.rules.tools.join(","));
    if let Some(model) = &spec.model {
        command.args(["--model", model]);
    }
    if 0 < spec.max_turns {
        command.arg("--max-turns").arg(spec.max_turns.to_string());
    }
    if let Some(budget) = &spec.budget_usd {
        command.args(["--max-budget-usd", budget]);
    }
    let flag = if spec.resume.is_some() { "--resume" } else { "--session-id" };
    command.args([flag, &spec.session]);
    command.env_clear().envs(&spec.env).current_dir(&spec.rules.worktree);
    command.env("CLAUDE_CONFIG_DIR", &spec.session_dir);
    for key in spec.keys.iter().map(String::as_str).chain([MARKER]) {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    if let Some(url) = &spec.endpoint.base_url {
        command.env("ANTHROPIC_BASE_URL", url);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// By this the supervisor finds what a run left behind.
const MARKER: &str = "ORCH_RUN_MARKER";

/// Waits for the program; one that does not end is killed: true.
fn reap(child: &mut Child, talk: &Talk, spec: &DriverSpec) -> (ProgramExit, bool) {
    let limit = if talk.is_stopping() { Duration::from_millis(spec.grace_ms) } else { CLOSING_LIMIT };
    let begun = Instant::now();
    let of = |status: std::process::ExitStatus| ProgramExit {
        code: status.code(),
        signal: status.signal(),
        stderr: String::new(),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return (of(status), false),
            Ok(None) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                return (child.wait().map(of).unwrap_or_default(), true);
            }
            Err(_) => return (ProgramExit::default(), false),
        }
    }
}

fn read_lines(from: Option<impl Read + Send + 'static>, to: Sender<In>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = Lines::default();
        let mut piece = vec![0; 64 * 1024];
        if let Some(mut from) = from {
            while let Ok(n @ 1..) = from.read(&mut piece) {
                for line in lines.push(&piece[..n]) {
                    if to.send(In::Line(line)).is_err() {
                        return;
                    }
                }
            }
        }
        if let Some(line) = lines.finish() {
            let _ = to.send(In::Line(line));
        }
        let _ = to.send(In::End);
    })
}

/// Copies the program's standard error into the run's, and gives its end.
fn read_errors(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (to, end) = mpsc::channel();
    std::thread::spawn(move || {
        let mut tail: Vec<u8> = Vec::new();
        let mut piece = [0; 8 * 1024];
        if let Some(mut from) = from {
            while let Ok(n @ 1..) = from.read(&mut piece) {
                let _ = io::stderr().write_all(&piece[..n]);
                tail.extend_from_slice(&piece[..n]);
                tail.drain(..tail.len().saturating_sub(STDERR_TAIL));
            }
        }
        let _ = to.send(String::from_utf8_lossy(&tail).into_owned());
    });
    end
}

/// The program's standard input, written by a thread of its own: a program that does not read must not stop the driver.
struct Input {
    lines: Option<Sender<Vec<u8>>>,
}

impl Input {
    fn new(to: Option<ChildStdin>) -> Self {
        let (lines, all) = mpsc::channel::<Vec<u8>>();
        if let Some(mut to) = to {
            std::thread::spawn(move || {
                for line in all {
                    if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                        return;
                    }
                }
            });
        }
        Self { lines: Some(lines) }
    }

    fn send(&self, value: &Value) {
        if let Some(lines) = &self.lines {
            let mut line = value.to_string().into_bytes();
            line.push(b'\n');
            // A program that is gone is seen by its end.
            let _ = lines.send(line);
        }
    }

    fn close(&mut self) {
        self.lines = None;
    }
}

/// Events for programs, texts for people.
#[derive(Clone)]
struct Log {
    events: Option<Arc<File>>,
}

impl Log {
    fn new(run_dir: &Path) -> Self {
        let events = File::options().append(true).create(true).open(run_dir.join(files::EVENTS));
        Self { events: events.ok().map(Arc::new) }
    }

    /// A log that cannot be written is no reason to stop.
    fn write(&self, kind: Kind, text: &str) {
        // Lines stay lines; what controls a terminal does not get through.
        let text = text.lines().map(|line| shown(line).into_owned()).collect::<Vec<_>>().join("\n");
        let _ = writeln!(io::stdout(), "{text}");
        let event = Event { at: now(), kind, text };
        if let (Some(file), Ok(mut line)) = (&self.events, serde_json::to_vec(&event)) {
            line.push(b'\n');
            let _ = (&**file).write_all(&line);
        }
    }
}

/// What the talk has come to, for the report.
fn take_in(report: &mut Report, talk: &Talk) {
    let seen = talk.seen();
    report.usage = talk.usage();
    report.question = talk.question().map(ToOwned::to_owned);
    if let Some(init) = &seen.init {
        let or = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        report.session = or(&init.session).or_else(|| report.session.take());
        report.model = or(&init.model).or_else(|| report.model.take());
        report.version = or(&init.version).or_else(|| report.version.take());
    }
    if let Some(result) = &seen.result
        && !result.is_error
    {
        report.summary = Some(shown(&result.text).into_owned()).filter(|t| !t.is_empty());
    }
}

/// Whole or not at all.
fn save(run_dir: &Path, report: &Report) -> io::Result<()> {
    let (tmp, file) = (run_dir.join("report.json.new"), run_dir.join(files::REPORT));
    std::fs::write(&tmp, serde_json::to_vec_pretty(report)?)?;
    std::fs::rename(&tmp, &file)
}

fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}
