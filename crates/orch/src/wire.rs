//! The only place that picks implementations: configuration in, an engine over real adapters out.

use crate::config::agents::ProgramKind;
use crate::config::check::zone;
use crate::config::gates::GateMode as ConfigMode;
use crate::config::security::{AdvisorySeverity, Use};
use crate::config::{Config, project::Project as ConfigProject};
use crate::enclosed::{self, Means};
use crate::outward::Outward;
use crate::shared;
use crate::vendors::{Hosted, Vendors, webhooks};
use orch_adapters::audit::{AdvisoryMirror, Network, NpmAudit, PipAudit};
use orch_adapters::claude::{ClaudeAgent, ClaudeSettings, ProxySettings};
use orch_adapters::command::{CommandAgent, CommandSettings, EnvFile};
use orch_adapters::git_cli::{GitCli, Signing, Submodules};
use orch_adapters::gitleaks::Gitleaks;
use orch_adapters::http_probe::HttpProbe;
use orch_adapters::local_tracker::LocalTracker;
use orch_adapters::log_notifier::LogNotifier;
use orch_adapters::scripted::ScriptedAgent;
use orch_advisories::Severity;
use orch_core::effect::Lane;
use orch_core::ids::{GateId, ProjectKey, Role, Time};
use orch_core::landing::{Documents, LandingPlan};
use orch_core::message::{self, Subject};
use orch_core::policy::Policy;

use orch_driver::spec::Endpoint;
use orch_engine::prepare::Preparation;
use orch_engine::project::{Merging, Money, WatchPlan};
use orch_engine::{
    Deploy, Engine, GateMode, Options, Ports, Project, Projects, ReaperOptions, ReconcileOptions, Retention,
};
use orch_ports::agent::AgentProgram;
use orch_ports::clock::Clock;
use orch_ports::forge::Forge;
use orch_ports::git::Author;
use orch_ports::notifier::Notifier;
use orch_ports::security::{Auditor, SecretScanner};
use orch_ports::supervisor::KeySource;
use orch_ports::tracker::Tracker;
use orch_ports::{Fault, Repositories, Secret};
use orch_security::Security;
use orch_store::Fact;
use orch_store::{Memory, Store};
use orch_supervise::ProcessSupervisor;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many watches on production may run at once; they are idle nearly all of their time.
const WATCHES: usize = 64;

/// A red run that leaves less room than this says nothing about the code, bytes: compilers and test runners fail in ways of
/// their own long before the last byte is taken.
pub(crate) const LEAST_FREE_BYTES: u64 = 32 * 1024 * 1024;

/// What the process knows of itself.
#[derive(Clone)]
pub struct Process {
    /// Path of this binary: supervisors and scripted agents are started from it.
    pub exe: PathBuf,
    /// `PATH` for foreign programs.
    pub path: String,
    /// Where scanners and auditors work; absolute, and empty when the process starts.
    pub scratch_dir: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What runs are enclosed with.
    pub means: Means,
}

/// What projects are built from, for a daemon that builds them again.
pub struct Parts {
    process: Process,
    forges: Vendors,
    /// Known to git and to the forges, too.
    repositories: Repositories,
    tracker: Arc<dyn Tracker>,
    key: Vec<u8>,
    #[cfg(feature = "fault-points")]
    faults: Arc<orch_torture::fault_points::Faults>,
}

impl Parts {
    fn project(&self, config: &Config, p: &ConfigProject) -> Result<Arc<Project>, Fault> {
        let forge: Arc<dyn Forge> = Outward::<dyn Forge>::new(Arc::<dyn Hosted>::clone(self.forges.of(p)?));
        let project = project(config, p, (forge, Arc::clone(&self.tracker)), &self.process, &self.key)?;
        #[cfg(feature = "fault-points")]
        let project = self.faults.project(project);
        Ok(Arc::new(project))
    }

    /// The projects of a configuration that takes the place of another. All of them can be built, or nothing is touched.
    /// The second list says which repositories cannot be served, and why.
    pub async fn projects(
        &self,
        store: &dyn Store,
        old: &Config,
        new: &Config,
    ) -> Result<(Projects, Vec<String>), Fault> {
        let mut projects = Projects::new();
        for p in &new.projects {
            let project = self.project(new, p)?;
            projects.insert(project.key.clone(), project);
        }
        // What is under way in a project goes on with what it began with, which another repository is not.
        for (key, repository) in new.repositories() {
            let known = old.projects.iter().any(|p| p.key == key.as_str());
            let now = self.repositories.of(&key);
            if known && now != repository {
                return Err(Fault::permanent(format!(
                    "the repository of {key} goes by the key {now} while orch runs, and would by {repository}: it takes a restart \
                     to share it otherwise"
                )));
            }
        }
        let refused = shared::refused(new, store).await?;
        self.repositories.set(new.repositories());
        let out = self.forges.take_up(old, new, &refused).await?;
        Ok((projects, out))
    }
}

/// Where the submodules of a project come from; a fault if the project is refused for them. Of one whose repository is out
/// of service there is nothing to look at yet.
async fn submodules(
    git: &GitCli,
    forge: &dyn Hosted,
    p: &ConfigProject,
    repos_dir: &Path,
) -> Result<Option<Submodules>, Fault> {
    let key = ProjectKey::new(&p.key);
    let from = git.submodules_of(&p.repo, &p.submodule_hosts, &p.default_branch).await;
    if forge.out_of_service(&key).is_some() {
        let from = from.unwrap_or_else(|_| Submodules::of(&p.repo, &p.submodule_hosts, &p.default_branch));
        return Ok(p.submodules.then_some(from));
    }
    let from = from?;
    // What a network does not answer at a start says nothing about the first task: only what lies here is looked at.
    let remote = forge.remote(&key).await?.url;
    let repository = PathBuf::from(remote.strip_prefix("file://").unwrap_or(&remote));
    if !repository.is_dir() {
        return Ok(p.submodules.then_some(from));
    }
    if git.lacks_git_lfs(&repository, &p.default_branch).await? {
        tracing::warn!("{}", crate::odd::pointers(&p.key));
    }
    if !p.submodules {
        return Ok(None);
    }
    let unfilled = git.unfilled(&repository, &from, repos_dir).await?;
    match crate::odd::submodules(&p.key, &unfilled) {
        Some(why) => Err(Fault::permanent(why)),
        None => Ok(Some(from)),
    }
}

/// Builds the engine.
pub async fn engine(config: &Config, store: Arc<dyn Store>, process: &Process) -> Result<(Arc<Engine>, Parts), Fault> {
    #[cfg(feature = "fault-points")]
    let faults = orch_torture::fault_points::Faults::of(&crate::config::env::process_env())?;
    #[cfg(feature = "fault-points")]
    let process = &Process { clock: faults.clock(&process.clock), ..process.clone() };
    let data = config.data_dir();
    let clock = &process.clock;
    let tracker = Arc::new(LocalTracker::open(&data.join("tracker.db"), Arc::clone(clock))?);
    let tracker: Arc<dyn Tracker> = Outward::<dyn Tracker>::new(tracker);
    let repositories = Repositories::new(config.repositories());
    let refused = shared::refused(config, &*store).await?;
    for (key, why) in &refused {
        tracing::error!("project {key} is not served: {why}");
    }
    let parts = Parts {
        process: process.clone(),
        forges: Vendors::open(config, clock, (&repositories, &refused)).await?,
        repositories: repositories.clone(),
        tracker,
        key: fingerprint_key(&*store, clock.now()).await?,
        #[cfg(feature = "fault-points")]
        faults: Arc::clone(&faults),
    };
    let mut projects = Projects::new();
    for p in &config.projects {
        let project = parts.project(config, p)?;
        projects.insert(project.key.clone(), project);
    }
    let git = git(config).await?;
    let mut modules = BTreeMap::new();
    for p in &config.projects {
        let key = ProjectKey::new(&p.key);
        let forge = parts.forges.of(p)?;
        match submodules(&git, &**forge, p, &config.repos_dir()).await {
            Ok(Some(from)) => {
                modules.insert(key, from);
            }
            Ok(None) => {}
            Err(fault) if config.projects.len() == 1 => return Err(fault),
            // Of several projects it takes only itself out; a restart looks again.
            Err(fault) => {
                tracing::error!("project {key}: {fault}");
                forge.take_out(&key, &fault.text);
            }
        }
    }
    let git = git.with_submodules(modules).with_repositories(repositories);
    let ports = Ports {
        store,
        git: Arc::new(git),
        supervisor: Arc::new(
            ProcessSupervisor::new(process.exe.clone())
                .keeping(config.retention.run_output_mb.saturating_mul(1_000_000)),
        ),
        probe: Arc::new(HttpProbe::new()?),
        notifier: Outward::<dyn Notifier>::new(Arc::new(LogNotifier::new())),
        clock: Arc::clone(clock),
    };
    let options = options(config, process);
    #[cfg(feature = "fault-points")]
    let (ports, options) = (faults.ports(ports), faults.options(options));
    let engine = Engine::new(ports, options, projects);
    take_in(&engine, config);
    let mut looked = Vec::new();
    for p in &config.projects {
        looked.push((ProjectKey::new(&p.key), Arc::clone(parts.forges.of(p)?)));
    }
    tokio::spawn(crate::recorded::look(Arc::clone(&engine), looked));
    Ok((engine, parts))
}

/// Whose webhooks are taken in from now on, with which secrets. One whose secrets cannot be read takes in nothing.
pub fn take_in(engine: &Engine, config: &Config) {
    let (hooks, faults) = webhooks(config);
    for fault in faults {
        tracing::error!("{fault}");
    }
    engine.set_webhooks(hooks);
}

/// Git, with a way to sign where that is asked for.
async fn git(config: &Config) -> Result<GitCli, Fault> {
    let git = GitCli::new(config.repos_dir(), config.worktrees_dir()).await?;
    let git = git.with_whole_clones(!config.repos.share_objects);
    if !config.merge.sign {
        return Ok(git);
    }
    git.signing_with(Signing::read(&crate::config::env::process_env()).await?).await
}

/// How the engine works.
fn options(config: &Config, process: &Process) -> Options {
    let boot = process.clock.boot();
    let data = config.data_dir();
    let agents = usize::try_from(config.agents.max_concurrency).unwrap_or(1).max(1);
    let widths = BTreeMap::from([(Lane::Agent, agents), (Lane::Command, agents.max(2)), (Lane::Watch, WATCHES)]);
    Options {
        worker: format!("{}@{}+{}", std::process::id(), boot.boot_id, boot.ms),
        runs_dir: config.runs_dir(),
        checkouts_dir: data.join("checkouts"),
        layers_dir: data.join("layers"),
        sessions_dir: data.join("sessions"),
        widths,
        claim_ms: 30_000,
        merge_lease_ms: ms(config.merge.lock_timeout_s),
        backoff_ms: 1_000,
        backoff_max_ms: 600_000,
        sweep_ms: 10_000,
        reaper: ReaperOptions {
            enabled: config.reaper.enabled,
            interval_ms: config.reaper.interval_s.saturating_mul(1_000),
            dead_ticks: u32::try_from(config.reaper.dead_ticks).unwrap_or(u32::MAX),
            max_running_ms: ms(config.reaper.max_running_s),
            finalize_grace_ms: ms(config.reaper.finalize_grace_s),
            lease_reclaim: config.reaper.lease_reclaim_enabled,
        },
        reconcile: ReconcileOptions {
            enabled: config.reconcile.enabled,
            interval_ms: config.reconcile.interval_s.saturating_mul(1_000),
            // Checked at load.
            grace_ms: config.reconcile.graces().unwrap_or_default(),
            notify_unblock: config.reconcile.notify_unblock,
        },
        worktrees_max_bytes: config.repos.worktrees_max_mb.saturating_mul(1_000_000),
        retention: retention(config),
        least_free_bytes: LEAST_FREE_BYTES,
        written_dirs: [
            data.to_owned(),
            config.runs_dir(),
            config.repos_dir(),
            config.worktrees_dir(),
            data.join("checkouts"),
            data.join("forge"),
        ]
        .into(),
        path: process.path.clone(),
    }
}

fn retention(config: &Config) -> Retention {
    let r = &config.retention;
    // 0 is for ever.
    let days = |days: u64| (days != 0).then(|| ms(days.saturating_mul(86_400)));
    Retention {
        runs_max_bytes: r.runs_max_mb.saturating_mul(1_000_000),
        transcripts_ms: days(r.transcripts_days),
        bodies_ms: days(r.bodies_days),
        evidence_ms: days(r.evidence_days),
        history_ms: days(r.history_days),
        attic_ms: days(r.attic_days),
    }
}

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// One project.
pub fn project(
    config: &Config,
    p: &ConfigProject,
    (forge, tracker): (Arc<dyn Forge>, Arc<dyn Tracker>),
    process: &Process,
    key: &[u8],
) -> Result<Project, Fault> {
    let pipeline = config
        .pipeline(p)
        .ok_or_else(|| Fault::permanent(format!("[[project]] {}: unknown pipeline `{}`", p.key, p.pipeline)))?;
    let mut programs: BTreeMap<Role, Arc<dyn AgentProgram>> = BTreeMap::new();
    let roles: Vec<Role> = (0..pipeline.stages.len()).filter_map(|i| pipeline.role(i).cloned()).collect();
    for role in roles {
        let (name, settings) = config.program(p, role.as_str()).ok_or_else(|| {
            Fault::permanent(format!(
                "[[project]] {}: no agent program for the role `{role}`: set [agents] default or [project.agents] {role}",
                p.key
            ))
        })?;
        programs.insert(role, program(config, p, (name, settings), process));
    }
    let default_program = programs
        .values()
        .next()
        .cloned()
        .ok_or_else(|| Fault::permanent(format!("[[project]] {}: its pipeline has no agent at all", p.key)))?;
    Ok(Project {
        key: ProjectKey::new(&p.key),
        repository: config.repository(p),
        policy: policy(config, p),
        money: money(config, p),
        pipeline,
        forge,
        tracker,
        default_program,
        programs,
        test: p.commands.test.clone(),
        preparation: preparation(config, p, process),
        ci: p.commands.ci.clone(),
        parts: p.parts(),
        ci_required: p.ci.required.clone(),
        ci_wait_ms: ms(p.ci.wait_s),
        test_timeout_ms: config.merge.retest_timeout_s.saturating_mul(1_000),
        deploy: Deploy {
            staging: p.deploy.staging.clone(),
            production: p.deploy.production.clone(),
            rollback: p.deploy.rollback.clone(),
            check: p.deploy.check.clone(),
            image: p.deploy.image.clone(),
            detach: p.deploy.detach,
            infra_tolerance: config.staging.infra_tolerance_enabled,
            health_url: p.deploy.health_url.clone(),
            timeout_ms: config.merge.retest_timeout_s.saturating_mul(1_000),
        },
        watch: WatchPlan {
            window_ms: ms(config.post_deploy.window_s),
            interval_ms: ms(config.post_deploy.interval_s.max(1)),
            fails: 3,
        },
        gates: gates(config, p),
        gate_limits: gate_limits(config, p),
        review_approval: p.review_approval,
        merge_method: config.merge.method,
        landing: landing(config, p),
        merging: merging(config)?,
        security: Arc::new(security(config, process, key)?),
    })
}

/// How new tasks land.
pub(crate) fn landing(config: &Config, p: &ConfigProject) -> LandingPlan {
    let usual = if p.pipeline == "lite" { Documents::Evidence } else { Documents::Repository };
    LandingPlan {
        history: config.merge.history,
        documents: config.artefacts.keep.unwrap_or(usual),
        after_merge: config.artefacts.after_merge,
    }
}

/// What the commit that lands says of itself; checked at load.
fn merging(config: &Config) -> Result<Merging, Fault> {
    let merge = &config.merge;
    let who = |key: &str, text: &str| {
        let (name, email) =
            message::identity(text).map_err(|why| Fault::permanent(format!("[merge] `{key}` {why}")))?;
        Ok::<_, Fault>(Author { name, email })
    };
    Ok(Merging {
        subject: Subject::parse(&merge.subject).map_err(|why| Fault::permanent(format!("[merge] `subject` {why}")))?,
        author: who("author", &merge.author)?,
        committer: who("committer", &merge.committer)?,
        sign: merge.sign,
        sign_off: merge.sign_off,
        history_ref: merge.history_ref,
        only_orch: merge.only_orch,
    })
}

/// What the security gate works with.
fn security(config: &Config, process: &Process, key: &[u8]) -> Result<Security, Fault> {
    let section = &config.security;
    let rules = match &section.rules {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Fault::permanent(format!("[security] rules: cannot read {}: {e}", path.display())))?;
            orch_secrets::Rules::parse(&text)
                .map_err(|e| Fault::permanent(format!("[security] rules: {}: {e}", path.display())))?;
            Some((format!("[security] rules ({})", path.display()), text))
        }
    };
    let mut scanners: Vec<Arc<dyn SecretScanner>> = Vec::new();
    if section.gitleaks == Use::Auto {
        scanners.push(Arc::new(Gitleaks::new(&process.path).working_in(&process.scratch_dir)));
    }
    let max_age_s = i64::try_from(section.feed_max_age_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
    let mirror = AdvisoryMirror::new(section.osv_dir.clone(), section.rustsec_dir.clone(), max_age_s);
    let mut auditors: Vec<Arc<dyn Auditor>> = vec![Arc::new(mirror)];
    if section.auditors == Use::Auto {
        let network = Network::of(&crate::config::env::process_env());
        let scratch_dir = &process.scratch_dir;
        auditors.push(Arc::new(PipAudit::new(&process.path, network.clone()).working_in(scratch_dir)));
        auditors.push(Arc::new(NpmAudit::new(&process.path, network).working_in(scratch_dir)));
    }
    let defaults = Security::default();
    Ok(Security {
        rules,
        key: key.to_vec(),
        scanners,
        auditors,
        timeout_ms: section.scan_timeout_s.saturating_mul(1_000),
        secrets_block: section.secrets_block,
        block_from: match section.dep_block_severity {
            AdvisorySeverity::Low => Severity::Low,
            AdvisorySeverity::Medium => Severity::Medium,
            AdvisorySeverity::High => Severity::High,
            AdvisorySeverity::Critical => Severity::Critical,
        },
        audit_fail_closed: section.dep_audit_fail_closed,
        protected: section.protected_paths.clone().unwrap_or(defaults.protected),
    })
}

/// The key of secrets' fingerprints: made once, kept in the database, so that fingerprints can be compared and nobody
/// without the database can try guesses against them.
async fn fingerprint_key(store: &dyn Memory, now: Time) -> Result<Vec<u8>, Fault> {
    if let Some(kept) = store.recall(&Fact::FingerprintKey).await? {
        return Ok(kept.into_bytes());
    }
    let fresh = random_key()?;
    store.remember(&Fact::FingerprintKey, &fresh, now).await?;
    Ok(fresh.into_bytes())
}

/// A key nobody can guess, as text.
pub fn random_key() -> Result<String, Fault> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Fault::transient(format!("read /dev/urandom: {e}")))?;
    Ok(bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

fn gates(config: &Config, p: &ConfigProject) -> BTreeMap<GateId, (GateMode, String)> {
    GateId::ALL
        .iter()
        .map(|gate| {
            let switch = config.gate_switch(p, *gate);
            let mode = match switch.mode {
                ConfigMode::Off => GateMode::Off,
                ConfigMode::Shadow => GateMode::Shadow,
                ConfigMode::Enforce => GateMode::Enforce,
            };
            (*gate, (mode, switch.why))
        })
        .collect()
}

/// What a gate that only looks may take where nothing is configured, seconds: nothing it asks is that slow and still well.
const LOOK_S: u64 = 600;

/// Gates that run a command are limited by `[merge] retest_timeout_s`, the security gate by its scans, unless they have a
/// limit of their own.
fn gate_limits(config: &Config, p: &ConfigProject) -> BTreeMap<GateId, u64> {
    let own = |gate: GateId| match gate {
        GateId::TestsLocal | GateId::StagingImageFresh | GateId::SecurityGate => None,
        _ => Some(LOOK_S),
    };
    let limit = |gate: GateId| config.gate_switch(p, gate).timeout_s.or(own(gate));
    let limits = GateId::ALL.iter().filter_map(|gate| Some((*gate, limit(*gate)?)));
    limits.map(|(gate, s)| (gate, s.saturating_mul(1_000))).collect()
}

fn money(config: &Config, p: &ConfigProject) -> Money {
    let limits = config.money(p);
    let ([day_micro_usd, month_micro_usd, total_micro_usd], [all_day_micro_usd, all_month_micro_usd]) =
        (limits.own, limits.all);
    Money {
        run_micro_usd: limits.run,
        day_micro_usd,
        month_micro_usd,
        total_micro_usd,
        all_day_micro_usd,
        all_month_micro_usd,
        // Checked at load.
        zone: zone(&config.server.timezone),
    }
}

fn policy(config: &Config, p: &ConfigProject) -> Policy {
    Policy {
        max_developer_retries: u32::try_from(config.agents.max_developer_retries).unwrap_or(u32::MAX),
        production_approval: p.deploy.approval,
        confirm_no_change: p.no_change_approval || p.review_approval,
        watch: config.post_deploy.enabled && p.deploy.health_url.is_some(),
        // A project that is orch itself is never rolled back by itself: alert only.
        auto_rollback: config.post_deploy.auto_rollback && !p.is_self,
        own_ci: true,
        task_budget_micro_usd: config.money(p).task,
        base_first: p.commands.base_first,
        recheck_ms: ms(config.reconcile.interval_s),
        lease_recheck_ms: ms(config.merge.defer_delay_s.max(1)),
        ..config.people_of(p)
    }
}

fn preparation(config: &Config, p: &ConfigProject, process: &Process) -> Preparation {
    let keys = |file: &Option<PathBuf>, key: &str| {
        file.clone().map(|path| -> Arc<dyn KeySource> {
            Arc::new(EnvFile { of: format!("[project.commands] {key} of {}", p.key), path })
        })
    };
    let commands = &p.commands;
    Preparation {
        setup: commands.setup.clone(),
        env: commands.env.clone(),
        keys: keys(&commands.env_file, "env_file"),
        setup_keys: keys(&commands.setup_env_file, "setup_env_file"),
        cache: commands.cache.clone(),
        sandbox: enclosed::sandbox(config, &process.means),
    }
}

fn program(
    config: &Config,
    p: &ConfigProject,
    (name, settings): (&str, &crate::config::agents::AgentProgram),
    process: &Process,
) -> Arc<dyn AgentProgram> {
    let own = settings.env.iter().map(|(k, v)| (k.clone(), v.expose().to_owned()));
    let command = CommandSettings {
        name: name.to_owned(),
        command: settings.command.clone(),
        config_dir: config.file.parent().unwrap_or(Path::new("/")).to_owned(),
        path: process.path.clone(),
        // What the program is given of its own wins over what all commands of the project have.
        env: p.commands.env.clone().into_iter().chain(own).collect(),
        env_file: settings.env_file.clone(),
        pass_env: settings
            .pass_env
            .iter()
            .map(|name| {
                (name.clone(), crate::config::env::process_env().get(name).map(|value| Secret::of(name, value)))
            })
            .collect(),
        deadline_ms: settings.deadline_s.saturating_mul(1_000),
        silence_ms: (settings.silence_s != 0).then(|| settings.silence_s.saturating_mul(1_000)),
        grace_ms: 10_000,
        sandbox: enclosed::of_program(config, &process.means, settings),
    };
    let program: Arc<dyn AgentProgram> = match settings.kind {
        ProgramKind::Claude => Arc::new(ClaudeAgent::new(claude(config, p, settings, command, process))),
        ProgramKind::Command => Arc::new(CommandAgent::new(command)),
        ProgramKind::Scripted => Arc::new(ScriptedAgent::new(command, &process.exe)),
    };
    // Read now, so that its keys are masked in what runs of an earlier daemon left, too.
    if let Err(fault) = program.keys() {
        tracing::warn!("{fault}");
    }
    program
}

/// Claude Code's own settings.
fn claude(
    config: &Config,
    p: &ConfigProject,
    settings: &crate::config::agents::AgentProgram,
    command: CommandSettings,
    process: &Process,
) -> ClaudeSettings {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let dir = config.file.parent().unwrap_or(Path::new("/"));
    ClaudeSettings {
        command,
        orch: process.exe.clone(),
        program: settings.program_at(dir).unwrap_or_default(),
        model: settings.model.clone(),
        max_turns: number(settings.max_turns),
        tools: settings.tools.clone(),
        deny: settings.deny.clone(),
        most_refusals: number(settings.max_denials),
        endpoint: Endpoint { base_url: settings.base_url.clone() },
        proxy: settings.proxy.then(|| ProxySettings {
            max_tokens: settings.max_tokens,
            max_requests: settings.max_requests,
            log_bodies: settings.log_bodies,
            pause: crate::paused::files(config.data_dir(), &p.key),
        }),
    }
}
