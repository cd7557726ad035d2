//! Hostile process trees under the real supervisor binary. Judges by an oracle of its own: two seconds after the end
//! nothing of the tree lives, there is one record or a loss, the program was started once, and nobody else was hit.
//!
//! Everything follows from the seed and the index, so a violation names the command that shows it again.

mod measure;
mod oracle;
mod plan;
mod summary;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use measure::{build, changed, commit, join, ms, watch};
use oracle::Bystanders;
use orch_core::fault_code::FaultCode;
use orch_ports::Fault;
use orch_ports::supervisor::{EndReason, ExitRecord, PoliteSignal, RunSpec, RunState, Supervisor, files};
use orch_supervise::{ProcessSupervisor, rungs};
use plan::{End, Plan};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
pub(crate) use summary::Summary;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// `cargo xtask torture trees`
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Trees in all
    #[arg(long, default_value_t = 20)]
    pub(crate) count: u64,
    /// Begin at this tree; the earlier ones were done by an earlier run
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
    /// Trees alive at once
    #[arg(long, default_value_t = 3)]
    pub(crate) jobs: usize,
    /// The binary that understands `supervise <run-dir>`; built from the checkout if it is not given
    #[arg(long, value_name = "FILE")]
    pub(crate) exe: Option<PathBuf>,
    /// Write what was counted as JSON; what is in the file already is added to
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// When the oracle looks for survivors.
const SETTLE: Duration = Duration::from_secs(2);
/// Longest life of a tree, with everything its supervisor has to do for it.
const LONGEST: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(3);
const AGENT_END: &str = "program's end to record, nothing left over";
const TREE_END: &str = "program's end to record, with the rest of its tree ended";
const HEARD: &str = "record to its caller";
const HEARD_ADOPTED: &str = "record to its caller, adopted";
const SYNCED: &str = "record to its caller: until the supervisor has ended (it syncs)";
const WOKEN: &str = "record to its caller: from there on";
const LOSS: &str = "supervisor's death to its loss reported";
const NOTICED: &str = "supervisor's death to its loss reported: without the sweep";

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Runs and prints; fails if anything was violated.
pub(crate) fn command(options: &Options, seed: u64) -> Result<()> {
    let earlier = match options.json.as_ref().map(|file| (file, fs::read(file))) {
        Some((file, Ok(text))) => serde_json::from_slice(&text).with_context(|| format!("read {}", file.display()))?,
        _ => Summary::default(),
    };
    // Kept as it goes: what was done is counted, also if this process is killed.
    let keep = |so_far: &Summary| {
        let Some(file) = &options.json else { return Ok(()) };
        let mut all = earlier.clone();
        all.merge(so_far);
        let beside = file.with_extension("part");
        fs::write(&beside, serde_json::to_vec_pretty(&all)?).with_context(|| format!("write {}", beside.display()))?;
        fs::rename(&beside, file).with_context(|| format!("write {}", file.display()))
    };
    let summary = run(options, seed, &keep)?;
    say(&format!("\n{}", summary.table()))?;
    match summary.violations.len() {
        0 => say("nothing survived, nobody else was hit"),
        n => bail!("{n} violations:\n{}", summary.violations.join("\n")),
    }
}

/// Trees `from..count` of a seed. `keep` is handed, now and then, what has been counted of the trees up to the one to
/// resume from.
pub(crate) fn run(options: &Options, seed: u64, keep: &dyn Fn(&Summary) -> Result<()>) -> Result<Summary> {
    let exe = options.exe.clone().map_or_else(build, Ok)?.canonicalize().context("find the supervisor binary")?;
    let place = tempfile::Builder::new().prefix("orch-trees-").tempdir()?;
    let root = place.path().canonicalize()?;
    let ladder = rungs();
    let no_group = ladder.first().and_then(|rung| rung.missing.clone());
    let sh = Path::new("/bin/sh").canonicalize()?;
    let renames = sh.file_name().is_none_or(|name| name != "busybox");
    let mut summary = Summary::of(&commit(), seed, options.from);
    if let Some(why) = &no_group {
        *summary.left_out.entry(format!("control groups: {why}")).or_default() += 1;
    }
    // More than there are cores: the oracle's scans block, and the callers under test must not wait for those.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(16).enable_all().build()?;
    let began = Instant::now();
    runtime.block_on(async {
        let slots = Arc::new(Semaphore::new(options.jobs.max(1)));
        let mut going = JoinSet::new();
        let (mut next, mut counted) = (options.from, options.from);
        // Trees end in any order and are counted in theirs, so that a run can be resumed without counting one twice.
        let mut ended = BTreeMap::new();
        while next < options.count || !going.is_empty() {
            if next < options.count && going.len() < options.jobs.max(1) * 4 {
                let plan = Plan::new(seed, next, no_group.is_none(), renames);
                let tree = Tree::new(&root, &exe, seed, next, plan);
                let slots = Arc::clone(&slots);
                going.spawn(async move {
                    let slot = slots.acquire_owned().await?;
                    anyhow::Ok((next, tree.live(slot).await?))
                });
                next += 1;
                continue;
            }
            let Some(one) = going.join_next().await else { break };
            let (index, found) = one??;
            ended.insert(index, found);
            while let Some(found) = ended.remove(&counted) {
                summary.merge(&found);
                counted += 1;
                summary.counted_to(counted);
                if counted % 50 != 0 && counted != options.count {
                    continue;
                }
                keep(&summary)?;
                let (bad, done) = (summary.violations.len(), counted - options.from);
                say(&format!(
                    "{done} trees, {bad} violations, {} s; resume with --from {counted}",
                    began.elapsed().as_secs()
                ))?;
            }
        }
        anyhow::Ok(())
    })?;
    Ok(summary)
}

/// One tree under way.
struct Tree {
    plan: Plan,
    again: String,
    exe: PathBuf,
    run_dir: PathBuf,
    secret: PathBuf,
    likeness: PathBuf,
}

type Answer = (Result<ExitRecord, Fault>, SystemTime);

impl Tree {
    fn new(root: &Path, exe: &Path, seed: u64, index: u64, plan: Plan) -> Self {
        let again = format!("cargo xtask torture trees --seed {seed} --from {index} --count {}", index + 1);
        let number = plan::Dice::new(!seed, index).within(1 << 60, u64::MAX);
        let secret = root.join(format!("{number:x}"));
        let likeness = root.join(format!("{:x}", number ^ 0xff));
        Self { plan, again, exe: exe.to_owned(), run_dir: root.join(format!("runs/1-{index}-1")), secret, likeness }
    }

    fn port(&self) -> ProcessSupervisor {
        let port = ProcessSupervisor::new(self.exe.clone());
        if self.plan.groups { port } else { port.without_cgroups() }
    }

    fn spec(&self, program: &Path) -> Result<RunSpec> {
        let limit = |end| if self.plan.end == end { Some(self.plan.limit_ms) } else { None };
        let path = std::env::var("PATH").context("read PATH")?;
        Ok(RunSpec {
            argv: ["sh".to_owned(), program.display().to_string()].to_vec(),
            cwd: self.secret.clone(),
            env: [("PATH".to_owned(), path), ("SECRET".to_owned(), self.secret.display().to_string())].into(),
            keys: orch_ports::supervisor::Keys::default(),
            keys_on_stdin: false,
            stdin: None,
            deadline_ms: limit(End::Deadline).unwrap_or(120_000),
            silence_ms: limit(End::Silence),
            grace_ms: 100,
            polite: PoliteSignal::Term,
            detach: false,
            keep: false,
        })
    }

    fn ensure(&self, spec: &RunSpec) -> JoinHandle<Answer> {
        let (port, dir, spec) = (self.port(), self.run_dir.clone(), spec.clone());
        tokio::spawn(async move { (port.ensure(&dir, &spec).await, SystemTime::now()) })
    }

    fn pids(&self) -> Value {
        fs::read(self.run_dir.join(files::PIDS))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// The whole life: birth, end, verdict.
    async fn live(self, slot: tokio::sync::OwnedSemaphorePermit) -> Result<Summary> {
        let mut found = Summary { trees: 1, ..Summary::default() };
        let mut wrong = Vec::new();
        let program = self.plan.write(&self.secret, &self.run_dir)?;
        self.plan.write(&self.likeness, &self.run_dir)?;
        let spec = self.spec(&program)?;
        let mut waiting = self.ensure(&spec);

        let up = self.secret.join("up");
        let begun = Instant::now();
        let born =
            |pids: &Value| if self.plan.early { !pids.is_null() } else { pids["child"].is_object() && up.exists() };
        let mut pids = self.pids();
        while !born(&pids) && !waiting.is_finished() && begun.elapsed() < LONGEST {
            tokio::time::sleep(LOOK).await;
            pids = self.pids();
        }
        let open = |who: &str, secret| oracle::open(pids[who]["pid"].as_i64()? as i32, secret);
        let program = open("child", Some(&*self.secret)).map(watch);
        let supervisor = open("supervisor", None).map(watch);
        let group = pids["cgroup"].as_str().map(PathBuf::from);
        if self.plan.groups && pids.is_object() && group.is_none() {
            wrong.push("it was to have a control group and has none".to_owned());
        }
        let bystanders = Bystanders::new(&self.run_dir, &self.likeness, group.as_deref())?;
        tokio::time::sleep(Duration::from_millis(if self.plan.early { 0 } else { self.plan.wait_ms })).await;
        let processes = oracle::alive(&self.secret).len() as u64;

        let mut adopted = false;
        let kill = |who: &str| {
            let pid = pids[who]["pid"].as_i64().and_then(|pid| Pid::from_raw(pid as i32));
            pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
        };
        let go = || fs::write(self.secret.join("go"), "");
        let mut killed = true;
        match self.plan.end {
            End::Natural => go()?,
            End::Cancel => self.port().cancel(&self.run_dir).map_err(|e| anyhow::anyhow!("cancel: {e}"))?,
            End::Deadline | End::Silence => {}
            End::KillProgram => {
                // Killed before it was written down, it would never end.
                killed = kill("child");
                if !killed {
                    go()?;
                }
            }
            End::KillSupervisor => killed = kill("supervisor"),
            End::Abandon => {
                waiting.abort();
                let _ = waiting.await;
                waiting = self.ensure(&spec);
                adopted = true;
                tokio::time::sleep(Duration::from_millis(self.plan.wait_ms)).await;
                go()?;
            }
        }
        let answer = tokio::time::timeout(LONGEST, &mut waiting).await;
        drop(slot);
        let end = self.plan.end.name();
        let ladder = if self.plan.groups { "with control groups" } else { "without" };
        for way in &self.plan.ways {
            *found.ways.entry(way.name().into()).or_default().entry(end.into()).or_default() += 1;
        }
        if self.plan.left_out {
            let what =
                "supervisor killed without a control group, and a daemon without environment: nothing tells whose";
            found.left_out.insert(what.into(), 1);
        }
        let mut loss = None;
        match &answer {
            Err(_) => wrong.push(format!("no answer within {} s", LONGEST.as_secs())),
            Ok(answer) => {
                let (ended, heard) = answer.as_ref().map_err(|e| anyhow::anyhow!("the caller died: {e}"))?;
                wrong.extend(self.judge(ended, killed));
                let row = found.row(ladder, end);
                row.recorded += u64::from(ended.is_ok());
                row.lost += u64::from(ended.is_err());
                let recorded = fs::metadata(self.run_dir.join(files::EXIT)).ok().map(|m| changed(&m));
                if let (Ok(record), Some(recorded)) = (ended, recorded) {
                    found.took(if adopted { HEARD_ADOPTED } else { HEARD }, ms(recorded, *heard));
                    if let Some(Some(gone)) = join(supervisor).await {
                        found.took(SYNCED, ms(recorded, gone));
                        found.took(WOKEN, ms(gone, *heard));
                    }
                    if let Some(Some(at)) = join(program).await {
                        found.took(if record.strays == 0 { AGENT_END } else { TREE_END }, ms(at, recorded));
                    }
                } else if let Some(Some(at)) = join(supervisor).await {
                    loss = Some(ms(at, *heard));
                    found.took(LOSS, ms(at, *heard));
                }
            }
        }

        tokio::time::sleep(SETTLE).await;
        let survivors = oracle::alive(&self.secret);
        if !survivors.is_empty() {
            wrong.push(format!("{} survived: {:?}", survivors.len(), &survivors[..survivors.len().min(3)]));
            oracle::clear(&self.secret);
        }
        if let Ok(Ok((ended, _))) = &answer {
            wrong.extend(self.judge_later(ended, &spec).await);
        }
        if group.is_some_and(|group| group.exists()) {
            wrong.push("its control group is still there".into());
        }
        let log = fs::read_to_string(self.run_dir.join("supervisor.log")).unwrap_or_default();
        let row = found.row(ladder, end);
        row.tried = 1;
        row.processes = processes;
        row.survivors = survivors.len() as u64;
        let mut swept = None;
        for line in log.lines() {
            let numbers: Vec<u64> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
            match (numbers.as_slice(), line.contains("by control group")) {
                ([by_group, others], true) => {
                    row.by_group += by_group;
                    row.by_descent += others;
                }
                ([took, by_group, others], true) => {
                    row.by_group += by_group;
                    row.by_evidence += others;
                    swept = Some(*took);
                }
                _ => {}
            }
        }
        if let (Some(loss), Some(swept)) = (loss, swept) {
            found.took(NOTICED, loss.saturating_sub(swept));
        }
        found.bystanders = if self.plan.groups { 4 } else { 3 };
        let hit = bystanders.end();
        found.bystanders_hit = hit.len() as u64;
        wrong.extend(hit.into_iter().map(|who| format!("a bystander was hit: {who}")));
        oracle::clear(&self.likeness);
        let (plan, again) = (&self.plan, &self.again);
        found.violations = wrong.into_iter().map(|what| format!("{what}; {again}\n    {plan:?}")).collect();
        for violation in &found.violations {
            say(&format!("VIOLATION: {violation}"))?;
        }
        for dir in [&self.run_dir, &self.secret, &self.likeness] {
            let _ = fs::remove_dir_all(dir);
        }
        Ok(found)
    }

    /// Does the answer fit the end?
    fn judge(&self, ended: &Result<ExitRecord, Fault>, killed: bool) -> Option<String> {
        let record = match (ended, self.plan.end) {
            (Err(fault), End::KillSupervisor) if fault.is_transient() && fault.code == FaultCode::Lost => {
                return None;
            }
            (Ok(_), End::KillSupervisor) if killed => {
                return Some(format!("its supervisor was killed, and yet: {ended:?}"));
            }
            (Ok(record), _) => record,
            (Err(fault), _) => return Some(format!("a run nobody disturbed was not recorded: {fault}")),
        };
        let code = Some(self.plan.code);
        let fits = match self.plan.end {
            End::Natural | End::Abandon => record.reason == EndReason::Exited && record.code == code,
            End::Cancel => record.reason == EndReason::Cancelled,
            End::Deadline => record.reason == EndReason::Deadline,
            End::Silence => record.reason == EndReason::Silence,
            End::KillProgram if killed => record.reason == EndReason::Exited && record.signal == Some(9),
            End::KillProgram | End::KillSupervisor => true,
        };
        (!fits).then(|| format!("its end and its record do not fit: {record:?}"))
    }

    /// One record or a loss, the same for whoever asks later, and one start.
    async fn judge_later(&self, ended: &Result<ExitRecord, Fault>, spec: &RunSpec) -> Vec<String> {
        let mut wrong = Vec::new();
        let later = self.port().ensure(&self.run_dir, spec).await;
        let state = self.port().look(&self.run_dir);
        let same = match (ended, &later, &state) {
            (Ok(first), Ok(second), Ok(RunState::Ended(third))) => first == second && first == third,
            (Err(_), Err(_), Ok(RunState::Lost)) => !self.run_dir.join(files::EXIT).exists(),
            _ => false,
        };
        if !same {
            wrong.push(format!("asked again it says otherwise: {ended:?}, {later:?}, {state:?}"));
        }
        let starts = fs::read_to_string(self.secret.join("starts")).unwrap_or_default().lines().count();
        if starts > 1 || starts == 0 && !self.plan.early {
            wrong.push(format!("the program was started {starts} times"));
        }
        wrong
    }
}
