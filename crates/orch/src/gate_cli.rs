//! `orch gate`: the gates by hand, for a developer or for somebody's own CI. A gate asked here is always judged for
//! real, whatever switches and scopes say, on exactly the commits named, without a server and without a database.

use crate::cli::gate::{GateCommand, GateListArgs, GateRunArgs};
use crate::cli::{Context, Exit, Failure, Outcome, Tone};
use crate::config::{Config, project::Project as ConfigProject};
use crate::gate_config;
use crate::wire::{self, Process};
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::http_probe::HttpProbe;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_core::ids::{GateId, ProjectKey, Sha, StageId};
use orch_core::verdict::{Finding, Verdict};
use orch_engine::Project;
use orch_engine::gates::{self, Bench, CommandRun, Look, ProjectCommand, Subject};
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::git::Git;
use orch_ports::supervisor::{Keys, PoliteSignal, RunSpec, RunState, Supervisor, files};
use orch_supervise::ProcessSupervisor;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Where artefacts live in a repository.
const WORK_ITEMS: &str = "docs/work-items";

/// What a command has between being asked to end and being killed.
const GRACE_MS: u64 = 5_000;

/// Lists gates or judges one.
pub fn run(command: &GateCommand, context: &mut Context<'_>) -> Outcome {
    match command {
        GateCommand::List(args) => {
            list(args, context);
            Ok(Exit::Done)
        }
        GateCommand::Run(args) => judge(args, context),
    }
}

fn list(args: &GateListArgs, context: &mut Context<'_>) {
    if args.json {
        let all: Vec<_> =
            gates::GATES.iter().map(|g| json!({ "gate": g.meta.id.as_str(), "asks": g.meta.asks })).collect();
        context.say(crate::cli::show::line(&serde_json::Value::from(all)));
    } else {
        for gate in gates::GATES {
            context.say(format!("{:<28} {}", gate.meta.id.as_str(), gate.meta.asks));
        }
    }
}

fn judge(args: &GateRunArgs, context: &mut Context<'_>) -> Outcome {
    let id = GateId::parse(&args.name).ok_or_else(|| {
        let near = GateId::ALL
            .iter()
            .max_by(|a, b| {
                strsim::jaro_winkler(a.as_str(), &args.name).total_cmp(&strsim::jaro_winkler(b.as_str(), &args.name))
            })
            .map_or("check_ci_green", |g| g.as_str());
        Failure::usage(format!("there is no gate `{}`", args.name))
            .hint(format!("did you mean {near}? `orch gate list` shows all"))
    })?;
    let repo = context.cwd.join(&args.repo);
    let path = context.env.get("PATH").cloned();
    let git = |rev: &[&str]| plain_git(&repo, path.as_ref(), rev);
    let resolve = |rev: &str| {
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{rev}^{{commit}}")])
            .ok_or_else(|| Failure::usage(format!("{} has no commit `{rev}`", repo.display())))
    };
    if git(&["rev-parse", "--git-dir"]).is_none() {
        return Err(
            Failure::usage(format!("{} is not a git repository", repo.display())).hint("name one with --repo DIR")
        );
    }
    let head = resolve(&args.head)?;
    let base = match &args.base {
        Some(base) => resolve(base)?,
        None => ["origin/HEAD", "origin/main", "origin/master", "main", "master"]
            .iter()
            .find_map(|rev| resolve(rev).ok())
            .ok_or_else(|| Failure::usage("cannot tell what the work started from").hint("name it with --base REF"))?,
    };
    let objects = git(&["rev-parse", "--path-format=absolute", "--git-path", "objects"])
        .ok_or_else(|| Failure::new(Exit::CannotTell, format!("cannot find the objects of {}", repo.display())))?;
    let rules = tempfile::NamedTempFile::new()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("make a file to work with: {e}")))?;
    let config = gate_config::find(args, context, (&base, &head), rules.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot start: {e}")))?;
    let asked = Asked { id, repo, head: Sha::new(head), base: Sha::new(base), objects: objects.into() };
    let path = context.env.get("PATH").cloned().unwrap_or_else(|| "/usr/bin:/bin".into());
    let judged = runtime
        .block_on(on_the_bench(&asked, config.as_ref(), path))
        .map_err(|fault| Failure::new(Exit::CannotTell, fault.text))?;
    Ok(show(&asked, &judged, args.json, context))
}

struct Asked {
    id: GateId,
    repo: PathBuf,
    head: Sha,
    base: Sha,
    objects: PathBuf,
}

async fn on_the_bench(asked: &Asked, config: Option<&Config>, path: String) -> Result<gates::Judged, Fault> {
    let scratch = tempfile::Builder::new().prefix("orch-gate-").tempdir();
    let scratch = scratch.map_err(|e| Fault::transient(format!("make a directory to work in: {e}")))?;
    let dir = scratch.path().canonicalize();
    let dir = dir.map_err(|e| Fault::transient(format!("find {}: {e}", scratch.path().display())))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let exe = std::env::current_exe().map_err(|e| Fault::bug(format!("find this program's own file: {e}")))?;
    let process = Process { exe: exe.clone(), path: path.clone(), scratch_dir: dir.clone(), clock: Arc::clone(&clock) };
    let project = project(asked, config, &dir, &process).await?;
    // The repository at hand is read through its objects alone: none of its configuration, hooks or refs take part.
    let repos = dir.join("repos");
    let private = repos.join(format!("{}.git", project.key));
    std::fs::create_dir_all(&repos).map_err(|e| Fault::transient(format!("write {}: {e}", repos.display())))?;
    if plain_git(&repos, Some(&path), &["init", "--quiet", "--bare", &private.display().to_string()]).is_none() {
        return Err(Fault::transient(
            "cannot make a scratch repository: is git installed and is there space in TMPDIR?",
        ));
    }
    let alternates = private.join("objects/info/alternates");
    std::fs::write(&alternates, format!("{}\n", asked.objects.display()))
        .map_err(|e| Fault::transient(format!("write {}: {e}", alternates.display())))?;
    let git = GitCli::new(&repos, dir.join("worktrees")).await?;
    let artefact_dir = artefact_dir(&git, &project.key, asked).await?;
    let now = clock.now();
    let subject = Subject {
        stage: StageId::new("by-hand"),
        head: asked.head.clone(),
        base: asked.base.clone(),
        artefact_dir: artefact_dir.clone(),
        exact: true,
        since: now,
        now,
        task: None,
    };
    let bench = HandBench {
        git: &git,
        project: &project.key,
        head: &asked.head,
        artefact_dir,
        dir: &dir,
        supervisor: ProcessSupervisor::new(exe),
        path,
    };
    let probe = HttpProbe::new()?;
    let look = Look { subject, project: &project, git: &git, probe: &probe, bench: &bench };
    let gate = gates::find(asked.id).ok_or_else(|| Fault::bug(format!("{} is not built in", asked.id)))?;
    let stop = crate::serve::stop_signal().map_err(|e| Fault::bug(format!("listen for signals: {e}")))?;
    tokio::select! {
        judged = gate.judge(&look) => Ok(judged),
        why = stop => {
            bench.end_run().await;
            Err(Fault::permanent(format!("{why}: nothing was decided")))
        }
    }
}

/// The project whose repository this is; without a configuration, one without any commands.
async fn project(asked: &Asked, config: Option<&Config>, dir: &Path, process: &Process) -> Result<Project, Fault> {
    let clock = Arc::clone(&process.clock);
    // A forge and a tracker that serve nothing: what only a server knows is "cannot tell" here.
    let forge = Arc::new(GitForge::open(&dir.join("forge"), Vec::new(), Vec::new(), Arc::clone(&clock)).await?);
    let tracker = Arc::new(LocalTracker::open(&dir.join("tracker.db"), clock)?);
    let key = wire::random_key()?.into_bytes();
    let here = asked.repo.canonicalize().unwrap_or_else(|_| asked.repo.clone());
    let configured = config.and_then(|config| {
        let same = |p: &&ConfigProject| Path::new(&p.repo).canonicalize().is_ok_and(|r| r == here);
        config.projects.iter().find(same).or_else(|| config.projects.first()).map(|p| (config, p))
    });
    if let Some((config, p)) = configured {
        return wire::project(config, p, (forge, tracker), process, &key);
    }
    // A database is named, and never opened.
    let text = "[db]\npath = \"orch.db\"\n[agents]\ndefault = \"none\"\n[agents.programs.none]\nkind = \"command\"\ncommand = [\"false\"]\n\
                [[project]]\nkey = \"HERE\"\nrepo = \".\"\nallow_untested = true\napprovers = [\"nobody\"]\n";
    let (mut bare, _) = Config::parse(&here.join("orch.toml"), text, &BTreeMap::new())
        .map_err(|e| Fault::bug(format!("the configuration for a bare repository: {e}")))?;
    // One that names no project may still say how the security gate judges.
    if let Some(config) = config {
        bare.security_mut().clone_from(&config.security);
    }
    let p = bare.projects.first().ok_or_else(|| Fault::bug("the bare configuration has no project"))?;
    wire::project(&bare, p, (forge, tracker), process, &key)
}

/// The work item whose artefacts the commits change; the only one there is, if they change none.
async fn artefact_dir(git: &dyn Git, project: &ProjectKey, asked: &Asked) -> Result<String, Fault> {
    let changed = git.changed_files(project, &asked.base, &asked.head).await?;
    let mut dirs: Vec<String> = changed.iter().filter_map(|c| work_item_dir(&c.path)).collect();
    if dirs.is_empty() {
        dirs =
            git.list_files(project, &asked.head, WORK_ITEMS).await?.iter().filter_map(|f| work_item_dir(f)).collect();
    }
    dirs.sort();
    dirs.dedup();
    match dirs.as_slice() {
        [one] => Ok(one.clone()),
        _ => Ok(format!("{WORK_ITEMS}/none")),
    }
}

fn work_item_dir(path: &str) -> Option<String> {
    let rest = path.strip_prefix(WORK_ITEMS)?.strip_prefix('/')?;
    let (item, _) = rest.split_once('/')?;
    Some(format!("{WORK_ITEMS}/{item}"))
}

struct HandBench<'a> {
    git: &'a dyn Git,
    project: &'a ProjectKey,
    head: &'a Sha,
    artefact_dir: String,
    dir: &'a Path,
    supervisor: ProcessSupervisor,
    path: String,
}

impl HandBench<'_> {
    fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Ends what was started: nobody comes back to it.
    async fn end_run(&self) {
        let run = self.run_dir();
        let began = std::time::Instant::now();
        while matches!(self.supervisor.look(&run), Ok(RunState::Live))
            && began.elapsed() < Duration::from_millis(2 * GRACE_MS)
        {
            let _ = self.supervisor.cancel(&run);
            tokio::time::sleep(Duration::from_millis(GRACE_MS / 100)).await;
        }
    }
}

#[async_trait::async_trait]
impl Bench for HandBench<'_> {
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.git.read_file(self.project, self.head, &format!("{}/{name}", self.artefact_dir)).await
    }

    async fn papers(&self) -> Result<Vec<String>, Fault> {
        let files = self.git.list_files(self.project, self.head, &self.artefact_dir).await?;
        let name = |f: String| f.strip_prefix(&self.artefact_dir).and_then(|n| n.strip_prefix('/')).map(str::to_owned);
        Ok(files.into_iter().filter_map(name).collect())
    }

    async fn keep(&self, _: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        // By hand it is shown, with `--json`, and belongs to nobody.
        Ok(bytes)
    }

    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault> {
        let checkout = self.dir.join("checkout");
        self.git.checkout(self.project, command.commit, &checkout).await?;
        let run = self.run_dir();
        let home = run.join("tmp");
        std::fs::create_dir_all(&home).map_err(|e| Fault::transient(format!("write {}: {e}", home.display())))?;
        let home = home.display().to_string();
        let vars = [("PATH", self.path.as_str()), ("HOME", &home), ("TMPDIR", &home), ("LANG", "C.UTF-8")];
        let vars = vars.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let spec = RunSpec {
            argv: vec!["sh".into(), "-c".into(), command.line.to_owned()],
            cwd: checkout,
            env: vars.into_iter().chain(command.env.clone()).collect(),
            keys: Keys::default(),
            stdin: None,
            deadline_ms: 1_800_000,
            silence_ms: None,
            grace_ms: GRACE_MS,
            polite: PoliteSignal::Term,
            detach: false,
            keep: false,
        };
        let exit = self.supervisor.ensure(&run, &spec).await?;
        let output = [files::STDOUT, files::STDERR].map(|f| std::fs::read(run.join(f)).unwrap_or_default()).concat();
        let text = orch_ports::masks::readable(&String::from_utf8_lossy(&output));
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(30)..].join("\n");
        Ok(CommandRun { ok: exit.ok(), end: exit.describe(), tail, log: String::new(), output: text })
    }
}

fn show(asked: &Asked, judged: &gates::Judged, as_json: bool, context: &mut Context<'_>) -> Exit {
    let exit = match &judged.verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail { .. } | Verdict::Unreadable { .. } => Exit::Failed,
        Verdict::Wait { .. } | Verdict::Inconclusive { .. } | Verdict::Skipped { .. } => Exit::CannotTell,
    };
    if as_json {
        let all = json!({
            "gate": asked.id.as_str(), "base": asked.base, "head": asked.head,
            "verdict": judged.verdict, "degraded": gates::degraded(&judged.verdict, &judged.evidence),
            "evidence": judged.evidence,
        });
        context.say(crate::cli::show::line(&all));
        return exit;
    }
    let tone = match exit {
        Exit::Done => Tone::Good,
        Exit::Failed | Exit::Usage => Tone::Bad,
        Exit::CannotTell => Tone::Warn,
    };
    let missed = gates::degraded(&judged.verdict, &judged.evidence);
    let tone = if missed.is_empty() { tone } else { Tone::Warn };
    let word = context.paint(tone, gates::word(&judged.verdict, &judged.evidence));
    context.say(format!("{}: {word} ({}..{})", asked.id, asked.base.short(), asked.head.short()));
    match &judged.verdict {
        Verdict::Fail { findings } | Verdict::Unreadable { findings } => {
            for finding in findings {
                context.say(line(finding));
            }
        }
        Verdict::Inconclusive { fault } => context.say(format!("  cannot tell: {}", fault.text)),
        Verdict::Skipped { why } => context.say(format!("  {why}")),
        Verdict::Wait { .. } => context.say("  it waits for something only a server can see"),
        Verdict::Pass => {
            for line in missed {
                context.say(format!("  not seen: {line}"));
            }
        }
    }
    exit
}

fn line(finding: &Finding) -> String {
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!(" {file}:{line}:"),
        (Some(file), None) => format!(" {file}:"),
        (None, _) => String::new(),
    };
    format!("  {:?}{place} {}", finding.severity, finding.text.replace('\n', "\n      "))
}

/// Asks the repository's own git for names only: revisions and paths.
pub(crate) fn plain_git(dir: &Path, path: Option<&String>, args: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .arg("-C")
        .arg(dir)
        .args(args)
        .env_clear()
        .env("PATH", path.map_or("/usr/bin:/bin", String::as_str))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
