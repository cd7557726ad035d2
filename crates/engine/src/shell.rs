//! Commands of a project: tests, CI, deploy hooks, checks. Every one of them runs under the supervisor, with a cleared
//! environment, in a clean checkout of its own, and is found again after a restart.

use crate::cx::{Cx, Ended};
pub(crate) use crate::files::{private_dir, written};
use crate::layer::Layer;
use crate::pause;
use crate::prepare::{self, Phase, Prepared, Runs};
use orch_core::ids::{Seq, Sha, Time};
use orch_core::run_of::RunOf;
use orch_ports::agent::Usage;
use orch_ports::masks::readable;
use orch_ports::supervisor::{EndReason, ExitRecord, Keys, PoliteSignal, RunSpec, RunState, files};
use orch_ports::{Fault, Secret};
pub(crate) use orch_store::SHELL;
use orch_store::{Charge, RunRow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How soon a run that was asked to stop is asked again, milliseconds.
const STOP_AGAIN_MS: u64 = 1_000;

/// A command of the project.
pub(crate) struct Command<'a> {
    /// Name of the run directory below the job's: `ci`, `check`.
    pub(crate) name: &'a str,
    /// What it is.
    pub(crate) what: RunOf,
    /// Shell line.
    pub(crate) line: &'a str,
    /// Commit to check out.
    pub(crate) commit: &'a Sha,
    /// Longest run, milliseconds.
    pub(crate) timeout_ms: u64,
    /// Environment beyond the cleared basis and the project's.
    pub(crate) env: BTreeMap<String, String>,
    /// What it is of setup and command.
    pub(crate) runs: Runs,
    /// What it puts into a session of its own goes on when it has ended.
    pub(crate) detach: bool,
    /// What it begins with of what the setup left on the default branch.
    pub(crate) layer: Option<Layer>,
    /// Its checkout and its HOME stay: the caller removes them.
    pub(crate) keep: bool,
}

/// How a command ended.
pub(crate) struct Ran {
    /// The supervisor's record.
    pub(crate) exit: ExitRecord,
    /// Its run directory.
    pub(crate) dir: PathBuf,
    /// Last lines of its output, for findings and logs.
    pub(crate) tail: String,
    /// Whole output, up to 1 MiB from the end.
    pub(crate) output: String,
    /// What was under way at its end.
    pub(crate) phase: Phase,
    /// What the machine lacked when it had ended red.
    pub(crate) lacked: Option<String>,
}

/// A run of a job ended, or it was stopped because somebody wants the job stopped.
pub(crate) enum Supervised {
    /// It ended.
    Ended(ExitRecord),
    /// It was stopped on demand.
    Stopped(ExitRecord),
}

/// Runs a command of the project to its end. A lost supervisor is a transient fault; the next attempt uses a new
/// directory.
pub(crate) async fn run(cx: &Cx, command: &Command<'_>) -> Result<Ran, Fault> {
    let dir = cx.run_dir(command.name);
    let supervisor = &cx.engine.ports.supervisor;
    let before = supervisor.look(&dir)?;
    if matches!(before, RunState::Absent) {
        if cx.stop.is_cancelled() {
            return Err(Fault::transient("the run was stopped on demand before it began"));
        }
        let checkout = cx.engine.options.checkouts_dir.join(cx.run_name(command.name));
        cx.engine.ports.git.checkout(&cx.task.project, command.commit, &checkout).await?;
        let scratch = dir.join("tmp");
        private_dir(&dir)?;
        private_dir(&scratch)?;
        emptied(&scratch)?;
        if let Some(layer) = &command.layer {
            // A run does without what it cannot have.
            if layer.lay(&scratch, &checkout).await.is_err() {
                emptied(&scratch)?;
                cx.engine.ports.git.checkout(&cx.task.project, command.commit, &checkout).await?;
            }
        }
        let mut env = command.env.clone();
        env.insert("ORCH_WORK_ITEM".into(), cx.task.work_item.to_string());
        env.insert("ORCH_RUN_DIR".into(), dir.display().to_string());
        let spec = cx.project.preparation.spec(Prepared {
            line: command.line,
            runs: command.runs,
            checkout,
            run_dir: &dir,
            home: &scratch,
            path: &cx.engine.options.path,
            env,
            timeout_ms: command.timeout_ms,
            detach: command.detach,
        })?;
        let sandbox = (command.runs != Runs::Command).then(|| cx.project.preparation.sandbox.shown());
        start(cx, &dir, &spec, command.what.clone(), (SHELL, sandbox)).await?;
    }
    let followed = wait(cx, &dir, &|| cx.project.preparation.keys_of(command.runs)).await;
    let options = &cx.engine.options;
    let lacks = || {
        let places = [&options.checkouts_dir, &dir];
        places.into_iter().find_map(|place| prepare::lacks(place, options.least_free_bytes))
    };
    // Looked at while what it wrote is still there. Of one that had ended before, this machine knows nothing any more.
    let lacked = if matches!(before, RunState::Ended(_)) { None } else { lacks() };
    // The checkout has served, unless somebody is still in it; what was printed is kept.
    if !command.keep && !matches!(supervisor.look(&dir), Ok(RunState::Live | RunState::Absent) | Err(_)) {
        let checkout = cx.engine.options.checkouts_dir.join(cx.run_name(command.name));
        // So has its HOME, where package managers keep what they download; what a hook left running still uses it.
        let home = (!command.detach).then(|| dir.join("tmp"));
        for over in std::iter::once(checkout).chain(home) {
            if let Err(error) = prepare::remove(&over)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::debug!(dir = %over.display(), %error, "a directory of a run could not be removed now");
            }
        }
    }
    let (exit, stopped) = match followed? {
        Supervised::Ended(exit) => (exit, false),
        Supervised::Stopped(exit) => (exit, true),
    };
    finish(cx, &dir, &exit, None).await?;
    if stopped {
        return Err(Fault::transient("the run was stopped on demand"));
    }
    if is_no_answer(&exit) {
        return Err(Fault::transient(format!("{}: {}", command.what, exit.describe())));
    }
    // Where there is room again without its files, it took the room itself.
    let lacked = lacked.filter(|_| !exit.ok()).and_then(|_| lacks());
    Ok(Ran { lacked, ..Ran::of(exit, dir) })
}

impl Ran {
    fn of(exit: ExitRecord, dir: PathBuf) -> Self {
        let output = output(&dir);
        let (tail, phase) = (tail(&output, 30), Phase::of(&dir));
        Self { exit, dir, tail, output, phase, lacked: None }
    }
}

/// A command of an earlier attempt of this job that came to an end of its own.
pub(crate) async fn earlier(cx: &Cx, name: &str) -> Result<Option<Ran>, Fault> {
    for dir in cx.earlier_run_dirs(name) {
        if let RunState::Ended(exit) = cx.engine.ports.supervisor.look(&dir)?
            && !is_no_answer(&exit)
        {
            finish(cx, &dir, &exit, None).await?;
            return Ok(Some(Ran::of(exit, dir)));
        }
    }
    Ok(None)
}

/// What an earlier job of the task came to with the same command for the same revision: what has ended is not done again
/// because another job is to do it. Only jobs from `since` on count.
pub(crate) async fn recorded(cx: &Cx, what: &RunOf, revision: &Sha, since: Seq) -> Result<Option<Ran>, Fault> {
    let runs = cx.store().runs(cx.task.id).await?;
    let mine = |r: &&RunRow| {
        r.what == *what && (since..cx.job.id.seq).contains(&r.job) && revision_of(r).as_ref() == Some(revision)
    };
    for row in runs.iter().rev().filter(mine) {
        let dir = PathBuf::from(&row.dir);
        match cx.engine.ports.supervisor.look(&dir)? {
            RunState::Ended(exit) if !is_no_answer(&exit) => {
                finish(cx, &dir, &exit, None).await?;
                return Ok(Some(Ran::of(exit, dir)));
            }
            RunState::Live => return Err(Fault::transient(format!("{what}: an earlier run of it is still at work"))),
            // Its directory is gone, but it is written down how it ended.
            RunState::Absent if row.ok.is_some() && row.ended.is_some() => {
                let code = Some(i32::from(row.ok != Some(true)));
                let ended = row.ended.unwrap_or(row.started);
                let reason = EndReason::Exited;
                let exit =
                    ExitRecord { reason, code, signal: None, error: None, started: row.started, ended, strays: 0 };
                return Ok(Some(Ran::of(exit, dir)));
            }
            RunState::Ended(_) | RunState::Absent | RunState::Lost => {}
        }
    }
    Ok(None)
}

/// The revision a command was run for; rows of earlier versions do not say it, their specifications do.
fn revision_of(row: &RunRow) -> Option<Sha> {
    row.revision.clone().or_else(|| {
        let text = std::fs::read(Path::new(&row.dir).join(files::SPEC)).ok()?;
        let spec: RunSpec = serde_json::from_slice(&text).ok()?;
        spec.env.get(REVISION).map(|text| Sha::new(text.as_str()))
    })
}

/// Names the revision in the environment of a hook.
pub(crate) const REVISION: &str = "ORCH_REVISION";

/// A run that was stopped from outside or never began says nothing about what it was to find out.
fn is_no_answer(exit: &ExitRecord) -> bool {
    matches!(exit.reason, EndReason::Cancelled | EndReason::SpawnFailed)
}

/// The job whose run could not be followed to an answer is done again. A new run is begun only where this one can say
/// nothing any more: one that lives, or has its record, is found again. (A second agent beside a living one, or a second
/// deploy after one that went well, would be the price of one failed look.)
pub(crate) fn again(cx: &Cx, name: &str, fault: Fault) -> Ended {
    let (charge, new_run) = match cx.engine.ports.supervisor.look(&cx.run_dir(name)) {
        // What ended its supervisor may well be the run itself.
        Ok(RunState::Lost) => (Charge::Death, true),
        Ok(RunState::Ended(exit)) => (Charge::Transient, is_no_answer(&exit)),
        Ok(RunState::Live | RunState::Absent) | Err(_) => (Charge::Transient, false),
    };
    Ended::Again { charge, new_run, not_before: None, fault }
}

/// Writes down that a run begins, then asks for it. The row comes first: a run nobody knows of cannot be found again.
pub(crate) async fn start(
    cx: &Cx,
    dir: &Path,
    spec: &RunSpec,
    what: RunOf,
    (program, sandbox): (&str, Option<String>),
) -> Result<(), Fault> {
    let row = RunRow {
        task: cx.task.id,
        job: cx.job.id.seq,
        attempt: cx.job.run_attempt,
        what,
        program: program.to_owned(),
        stage: cx.task.stage().clone(),
        dir: dir.display().to_string(),
        revision: spec.env.get(REVISION).map(|text| Sha::new(text.as_str())),
        started: cx.now(),
        ended: None,
        end: None,
        ok: None,
        usage: Usage::default(),
        model: None,
        session: None,
        summary: None,
        class: None,
        version: None,
        sandbox,
    };
    Cx::fenced(cx.store().put_run(cx.job.fence(), row).await?)?;
    private_dir(dir)?;
    let json = serde_json::to_vec_pretty(spec).map_err(|e| Fault::bug(format!("write a run's spec: {e}")))?;
    // The supervisor writes the spec where it is not there yet; writing it here first makes the run findable even if
    // this process dies before the next line.
    let (tmp, file) = (dir.join("spec.json.new"), dir.join(files::SPEC));
    // Whole or not at all, after a power cut too: the row above is on disk.
    written(&tmp, &json)
        .and_then(|()| std::fs::rename(&tmp, &file))
        .and_then(|()| {
            // Two waits that are one for the disk.
            let (here, above) = (std::fs::File::open(dir)?, std::fs::File::open(dir.parent().unwrap_or(dir))?);
            std::thread::scope(|scope| {
                let other = scope.spawn(move || above.sync_all());
                here.sync_all().and(other.join().unwrap_or_else(|_| Err(std::io::Error::other("a sync broke down"))))
            })
        })
        .map_err(|e| Fault::transient(format!("write {}: {e}", file.display())))
}

/// A run that may have been written down was never started, and is not going to be: it has cost nothing, and what was
/// reserved for it is given back.
pub(crate) async fn never_began(cx: &Cx, dir: &Path) -> Result<(), Fault> {
    let dir_text = dir.display().to_string();
    let runs = cx.store().runs(cx.task.id).await?;
    let Some(row) = runs.into_iter().find(|r| r.dir == dir_text && r.ended.is_none()) else { return Ok(()) };
    let end = Some("it was not started".to_owned());
    let row = RunRow { ended: Some(cx.now()), ok: Some(false), end, ..row };
    Cx::fenced(cx.store().put_run(cx.job.fence(), row).await?)
}

/// Removes what an attempt that broke off left in a directory of the run's own.
pub(crate) fn emptied(dir: &Path) -> Result<(), Fault> {
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(());
    }
    prepare::remove(dir).map_err(|e| Fault::transient(format!("empty {}: {e}", dir.display())))?;
    private_dir(dir)
}

/// Where the values of a run's keys come from.
pub(crate) type KeysOf<'a> = &'a (dyn Fn() -> Result<BTreeMap<String, Secret>, Fault> + Sync);

/// Waits for a run that was asked for, starting or adopting it as need be; stops it when the job is to be stopped. `keys` are
/// those that are not written down.
pub(crate) async fn wait(cx: &Cx, dir: &Path, keys: KeysOf<'_>) -> Result<Supervised, Fault> {
    let file = dir.join(files::SPEC);
    let text = std::fs::read(&file).map_err(|e| Fault::transient(format!("read {}: {e}", file.display())))?;
    let mut spec: RunSpec = match serde_json::from_slice(&text) {
        Ok(spec) => spec,
        Err(e) if cx.engine.ports.supervisor.look(dir)? == RunState::Absent => {
            // Nothing was started with it: it is what a power cut left of a request, and is written again.
            let _ = std::fs::remove_file(&file);
            return Err(Fault::transient(format!("read {}: {e}: the run is asked for again", file.display())));
        }
        // It was started: a power cut has taken what it was asked for. How it ended, that it lives, or that it is lost is
        // told by the rest of its directory, and what it was asked for is needed for none of that.
        Err(e) => {
            tracing::warn!("read {}: {e}: the run goes by what else its directory says", file.display());
            unread()
        }
    };
    let supervisor = &cx.engine.ports.supervisor;
    // Only a start needs them: what runs has them, and their file may be gone since.
    if !spec.keys.is_empty() && supervisor.look(dir)? == RunState::Absent {
        spec.keys.fill(keys()?);
    }
    pause::obey(&cx.engine, &cx.job, dir)?;
    let ensure = supervisor.ensure(dir, &spec);
    tokio::pin!(ensure);
    let mut asked = false;
    loop {
        tokio::select! {
            exit = &mut ensure => {
                let exit = exit?;
                // Asked by us, or by the process before us.
                let stopped = cx.stop.is_cancelled() && exit.reason == EndReason::Cancelled;
                return Ok(if stopped { Supervised::Stopped(exit) } else { Supervised::Ended(exit) });
            }
            () = cx.stop.cancelled(), if !asked => {
                asked = true;
                supervisor.cancel(dir)?;
            }
            // Again and again: a run that was only about to start when it was asked for the first time heard nothing.
            () = cx.engine.ports.clock.sleep_ms(STOP_AGAIN_MS), if asked => supervisor.cancel(dir)?,
        }
    }
}

/// Stands for a specification that cannot be read, of a run that was started with it: nothing is started with this one.
fn unread() -> RunSpec {
    RunSpec {
        argv: Vec::new(),
        cwd: PathBuf::from("/"),
        env: BTreeMap::new(),
        keys: Keys::default(),
        keys_on_stdin: false,
        stdin: None,
        deadline_ms: 0,
        silence_ms: None,
        grace_ms: 0,
        polite: PoliteSignal::Term,
        detach: false,
        keep: false,
    }
}

/// What is known of the end of a run whose supervisor died with it.
pub(crate) fn lost(cx: &Cx) -> ExitRecord {
    let now = cx.now();
    let error = Some("its supervisor died, and it with it".to_owned());
    ExitRecord { reason: EndReason::Exited, code: None, signal: None, error, started: now, ended: now, strays: 0 }
}

/// Completes the row of a run.
pub(crate) async fn finish(
    cx: &Cx,
    dir: &Path,
    exit: &ExitRecord,
    report: Option<&orch_ports::agent::AgentReport>,
) -> Result<(), Fault> {
    let dir_text = dir.display().to_string();
    let runs = cx.store().runs(cx.task.id).await?;
    let Some(mut row) = runs.into_iter().rev().find(|r| r.dir == dir_text) else {
        return Err(Fault::bug(format!("the run in {dir_text} was never written down")));
    };
    row.ended = Some(exit.ended);
    row.ok = Some(exit.ok());
    row.end = Some(match exit.strays {
        0 => readable(&exit.describe()),
        n => format!("{}; {n} left-over processes were ended", exit.describe()),
    });
    if let Some(report) = report {
        row.usage.clone_from(&report.usage);
        if row.usage.cost_unread.is_some() && !row.usage.measured {
            row.usage.cost_usd = cx.job.reserved_micro_usd as f64 / 1e6;
        }
        row.model.clone_from(&report.model);
        row.session.clone_from(&report.session);
        row.summary.clone_from(&report.summary);
        row.class = Some(report.end.class);
        row.version.clone_from(&report.version);
        if !report.alarms.is_empty() {
            let text = format!("alarm in {}: {}", row.what, report.alarms.join("; "));
            cx.engine.notice(cx.task.id, format!("alarm-{}", cx.run_name("")), readable(&text)).await;
        }
    }
    Cx::fenced(cx.store().put_run(cx.job.fence(), row).await?)
}

/// What a run printed: stdout, then stderr, the last 512 KiB of each, as people may read it.
pub(crate) fn output(dir: &Path) -> String {
    let mut text = String::new();
    for name in [files::STDOUT, files::STDERR] {
        text.push_str(&readable(&end_of_file(&dir.join(name), 512 * 1024)));
    }
    text
}

/// The last bytes of a file as text; nothing if it is not there.
pub(crate) fn end_of_file(path: &Path, max: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = std::fs::File::open(path) else { return String::new() };
    let len = file.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(len.saturating_sub(max))).is_ok() {
        // A read that breaks off still leaves what was read.
        let _ = file.take(max).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of what a program printed.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A time for front matter and logs.
pub(crate) fn stamp(time: Time) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map_or_else(|_| time.0.to_string(), |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("", 3), "");
        assert_eq!(stamp(Time(0)), "1970-01-01T00:00:00Z");
    }
}
