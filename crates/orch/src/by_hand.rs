//! Work of a project without a daemon and without a database: a gate that is judged by hand, the tests that `orch init` runs
//! once. It builds the project as the daemon would, on a scratch repository that borrows the objects of the one at hand,
//! and prepares checkouts as gates do. It changes nothing else and leaves nothing behind.

use crate::config::{Config, project::Project as ConfigProject};
use crate::enclosed::{self, Means};
use crate::instance::place;
use crate::wire::{self, Process};
use orch_adapters::git_cli::GitCli;
use orch_adapters::git_forge::GitForge;
use orch_adapters::http_probe::HttpProbe;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::system_clock::SystemClock;
use orch_core::fault_code::FaultCode;
use orch_core::ids::{GateId, ProjectKey, Sha, StageId, Time};
use orch_core::run_of::RunOf;
use orch_engine::Project;
use orch_engine::base::{self, Found, Verdict};
use orch_engine::gates::{self, Bench as _, CommandRun, HandBench, Look, ProjectCommand, Subject, Watch};
use orch_engine::parts::Of;
use orch_engine::prepare::{self, GRACE_MS};
use orch_engine::quarantine::{self, Quarantine};
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::git::Git;
use orch_ports::supervisor::{RunState, Supervisor as _};
use orch_sandbox::Kind;
use orch_store::{Fact, SqliteStore};
use orch_supervise::ProcessSupervisor;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where artefacts live in a repository.
const WORK_ITEMS: &str = "docs/work-items";

/// What is worked on.
pub(crate) struct Asked {
    /// The repository at hand.
    pub(crate) repo: PathBuf,
    pub(crate) head: Sha,
    /// What the work started from.
    pub(crate) base: Sha,
    /// Where the objects of the repository lie.
    pub(crate) objects: PathBuf,
    /// The project it is judged for, by its key, where its place does not say it.
    pub(crate) key: Option<String>,
}

impl Asked {
    /// One commit of a repository, which is judged by nothing it started from.
    pub(crate) fn commit(repo: &Path, path: Option<&String>, commit: &str) -> Option<Self> {
        let objects = plain_git(repo, path, &["rev-parse", "--path-format=absolute", "--git-path", "objects"])?;
        let head = Sha::new(commit);
        Some(Self { repo: repo.to_owned(), base: head.clone(), head, objects: objects.into(), key: None })
    }
}

/// A project on scratch ground, which is removed with it.
pub(crate) struct Ground<'a> {
    asked: &'a Asked,
    project: Project,
    git: GitCli,
    artefact_dir: String,
    supervisor: ProcessSupervisor,
    clock: Arc<dyn Clock>,
    path: String,
    now: Time,
    quarantine: Quarantine,
    dir: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Drop for Ground<'_> {
    /// Ends what was started, because nobody comes back to it, and removes everything.
    fn drop(&mut self) {
        let began = Instant::now();
        let runs = std::fs::read_dir(gates::runs_dir(&self.dir)).into_iter().flatten().flatten();
        for run in runs.map(|entry| entry.path()) {
            while matches!(self.supervisor.look(&run), Ok(RunState::Live))
                && began.elapsed() < Duration::from_millis(2 * GRACE_MS)
            {
                let _ = self.supervisor.cancel(&run);
                std::thread::sleep(Duration::from_millis(GRACE_MS / 100));
            }
        }
        // What a test made unwritable stays otherwise.
        let _ = prepare::remove(&self.dir);
    }
}

impl<'a> Ground<'a> {
    /// Builds the project whose repository this is; without a configuration, one without any commands.
    pub(crate) async fn make(asked: &'a Asked, config: Option<&Config>, path: String) -> Result<Self, Fault> {
        let scratch = tempfile::Builder::new().prefix("orch-gate-").tempdir();
        let scratch = scratch.map_err(|e| Fault::transient(format!("make a directory to work in: {e}")))?;
        let dir = scratch.path().canonicalize();
        let dir = dir.map_err(|e| Fault::transient(format!("find {}: {e}", scratch.path().display())))?;
        if let Some(tree) = place::working_tree_above(&dir) {
            return Err(Fault::permanent(format!(
                "temporary files lie in {}, inside the working tree {}, whose files the tests would find: set TMPDIR to a \
                 directory outside of every repository",
                std::env::temp_dir().display(),
                tree.display()
            )));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
        let exe = std::env::current_exe().map_err(|e| Fault::bug(format!("find this program's own file: {e}")))?;
        let kind = match config {
            Some(config) => enclosed::found(config, &path)?.kind,
            None => Kind::Off,
        };
        let means = Means { kind, clones: dir.join("worktrees"), exe: exe.clone() };
        let (scratch_dir, clock_of) = (dir.clone(), Arc::clone(&clock));
        let process = Process { exe: exe.clone(), path: path.clone(), scratch_dir, clock: clock_of, means };
        let (project, modules) = project(asked, config, &dir, &process).await?;
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
        let git = match modules {
            Some(p) => {
                let repo = asked.repo.display().to_string();
                let from = git.submodules_of(&repo, &p.submodule_hosts, &p.default_branch).await?;
                git.with_submodules(BTreeMap::from([(project.key.clone(), from)]))
            }
            None => git,
        };
        let artefact_dir = artefact_dir(&git, &project.key, asked).await?;
        let supervisor = ProcessSupervisor::new(exe);
        let now = clock.now();
        let quarantine = match config {
            Some(config) => in_quarantine(config, &project.key, now)?,
            None => Quarantine::new(),
        };
        Ok(Self { asked, project, git, artefact_dir, supervisor, clock, path, now, quarantine, dir, _scratch: scratch })
    }

    /// Judges a gate for real, whatever switches and scopes say.
    pub(crate) async fn judge(&self, id: GateId) -> Result<gates::Judged, Fault> {
        let subject = Subject {
            stage: StageId::new("by-hand"),
            head: self.asked.head.clone(),
            base: self.asked.base.clone(),
            artefact_dir: self.artefact_dir.clone(),
            tip: self.asked.base.clone(),
            exact: true,
            since: self.now,
            now: self.now,
            task: None,
        };
        let probe = HttpProbe::new()?;
        let gate = gates::find(id).ok_or_else(|| Fault::bug(format!("{id} is not built in")))?;
        let judged = self.with(&|_| false, async |bench| {
            let look = Look { subject, project: &self.project, git: &self.git, probe: &probe, bench };
            gate.judge(&look).await
        });
        Ok(judged.await)
    }

    /// Runs the project's tests on the commit as `check_tests_local` does; without any, what CI runs. `None`: it has neither.
    /// `watch` is called about once a second with the directory of the run; `true` ends it.
    pub(crate) async fn tests(&self, watch: &Watch<'_>) -> Result<Option<CommandRun>, Fault> {
        let head = &self.asked.head;
        let (tests, ci) = (self.project.whole(Of::Test), self.project.whole(Of::Ci));
        let command = match (&tests, &ci) {
            (Some(run), _) => gates::tests_of(&run.line, head),
            (None, Some(run)) => {
                let what = RunOf::Ci(head.short().to_string());
                ProjectCommand { name: "ci".into(), what, ..gates::tests_of(&run.line, head) }
            }
            (None, None) => return Ok(None),
        };
        self.with(watch, async |bench| bench.run(&command).await).await.map(Some)
    }

    /// Judges the commit as the daemon judges the default branch before a task's first agent: a verdict for each command,
    /// with the name under which it is remembered. What comes behind a red one is not run.
    pub(crate) async fn base(&self, watch: &Watch<'_>) -> Result<Vec<(Fact, Verdict)>, Fault> {
        let head = &self.asked.head;
        let tree = self.git.tree(&self.project.key, head).await?.to_string();
        let mut all = Vec::new();
        for asked in base::commands(&self.project) {
            let found = self
                .with(watch, async |bench| base::judge(&self.project, &self.git, bench, head, &asked).await)
                .await?;
            let green = matches!(found, Found::Green { .. });
            let verdict = Verdict { commit: head.clone(), since: self.now, at: self.now, found };
            let identity = quarantine::identity(&self.quarantine);
            all.push((base::fact(&self.project, &self.path, &tree, &asked.run.line, &identity), verdict));
            if !green {
                break;
            }
        }
        Ok(all)
    }

    /// What its gates and tests work with. A checkout is a clone with its whole history: `before` refuses what has none.
    async fn with<T>(&self, watch: &Watch<'_>, work: impl AsyncFnOnce(&HandBench<'_>) -> T) -> T {
        let before = || whole(&self.asked.repo, &self.path);
        let bench = HandBench {
            project: &self.project,
            git: &self.git,
            supervisor: &self.supervisor,
            clock: &*self.clock,
            head: &self.asked.head,
            artefact_dir: &self.artefact_dir,
            dir: &self.dir,
            path: &self.path,
            quarantine: &self.quarantine,
            least_free_bytes: wire::LEAST_FREE_BYTES,
            before: &before,
            watch,
        };
        work(&bench).await
    }
}

/// The result, unless this process is asked to stop: then the work is dropped, and with it what it started and made.
pub(crate) async fn unless_stopped<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let stop = crate::stop::stop_signal_by_hand().map_err(|e| Fault::bug(format!("listen for signals: {e}")))?;
    tokio::select! {
        done = work => done,
        why = stop => Err(Fault::permanent(format!("{why}: nothing was decided")).coded(FaultCode::Stopped)),
    }
}

/// Was it stopped by whoever started it?
pub(crate) fn was_stopped(fault: &Fault) -> bool {
    fault.code == FaultCode::Stopped
}

/// Refuses a shallow or partial clone, with what to do: a checkout is a clone with its whole history.
fn whole(repo: &Path, path: &String) -> Result<(), Fault> {
    let partial = ["config", "--get-regexp", r"^(remote\..*\.partialclonefilter|extensions\.partialclone)$"];
    if plain_git(repo, Some(path), &partial).is_some() {
        return Err(Fault::permanent(format!(
            "{} is a partial clone (--filter): files are missing in it; make a clone without `--filter`",
            repo.display()
        )));
    }
    if plain_git(repo, Some(path), &["rev-parse", "--is-shallow-repository"]).as_deref() != Some("true") {
        return Ok(());
    }
    Err(Fault::permanent(format!(
        "{} is a shallow clone (--depth): older commits are missing in it; run `git fetch --unshallow` there",
        repo.display()
    )))
}

/// The project of a configuration that is this repository: by its path, by an address the repository is a clone of, else
/// the only one there is. The error says which there are.
pub(crate) fn project_of<'c>(
    config: &'c Config,
    repo: &Path,
    path: Option<&String>,
) -> Result<Option<&'c ConfigProject>, String> {
    let real = |path: &Path| path.canonicalize().ok();
    let (here, all) = (real(repo), &config.projects);
    let at = |p: &ConfigProject| real(Path::new(&p.repo));
    let remotes = plain_git(repo, path, &["config", "--get-regexp", r"^remote\..*\.(push)?url$"]).unwrap_or_default();
    let from: Vec<String> = remotes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, address)| orch_ports::Remote::of(address).url)
        .collect();
    let comes_from = |p: &&ConfigProject| {
        from.iter().any(|url| *url == p.repo || at(p).is_some_and(|there| real(&repo.join(url)) == Some(there)))
    };
    let found = all.iter().find(|p| here.is_some() && at(p) == here).or_else(|| all.iter().find(comes_from));
    if found.is_some() || all.len() < 2 {
        return Ok(found.or(all.first()));
    }
    let names: Vec<&str> = all.iter().map(|p| p.key.as_str()).collect();
    Err(format!("{} is the repository of none of the projects {}", repo.display(), names.join(", ")))
}

/// The project whose repository this is; without a configuration, one without any commands.
///
/// The second is what says where its submodules may come from, if they are to be filled.
async fn project<'c>(
    asked: &Asked,
    config: Option<&'c Config>,
    dir: &Path,
    process: &Process,
) -> Result<(Project, Option<&'c ConfigProject>), Fault> {
    let clock = Arc::clone(&process.clock);
    // A forge and a tracker that serve nothing: what only a server knows is "cannot tell" here.
    let forge = Arc::new(GitForge::open(&dir.join("forge"), Vec::new(), Vec::new(), Arc::clone(&clock)).await?);
    let tracker = Arc::new(LocalTracker::open(&dir.join("tracker.db"), clock)?);
    let key = wire::random_key()?.into_bytes();
    let here = asked.repo.canonicalize().unwrap_or_else(|_| asked.repo.clone());
    let named = |key: &String| config.and_then(|config| config.projects.iter().find(|p| p.key == *key));
    let configured = match config {
        _ if asked.key.is_some() => asked.key.as_ref().and_then(named),
        Some(config) => project_of(config, &asked.repo, Some(&process.path)).map_err(Fault::permanent)?,
        None => None,
    };
    if let (Some(config), Some(p)) = (config, configured) {
        let project = wire::project(config, p, (forge, tracker), process, &key)?;
        return Ok((project, Some(p).filter(|p| p.submodules)));
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
    Ok((wire::project(&bare, p, (forge, tracker), process, &key)?, None))
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

/// Tests of the project that a person has put into quarantine, as the database has them, whoever has it open.
fn in_quarantine(config: &Config, project: &ProjectKey, now: Time) -> Result<Quarantine, Fault> {
    let kept = SqliteStore::glance(&config.db.path, &Fact::Quarantine(project.clone()))?;
    quarantine::read(kept.as_deref(), project, now)
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
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
