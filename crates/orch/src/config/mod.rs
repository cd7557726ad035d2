//! The configuration: one TOML file, the environment over it, every problem at once. What is written here is all that
//! may decide how orch behaves; no other file reads the environment or the file.
//!
//! One file per section. A section is declared once (`section!`) and yields struct, defaults, reader and reference.

pub mod agents;
pub mod artefacts;
pub mod budget;
pub mod check;
pub mod db;
pub mod env;
pub mod gates;
pub mod image;
pub mod instance;
mod keys;
pub mod later;
mod load;
pub mod merge;
pub mod people;
pub mod pipelines;
pub mod post_deploy;
pub mod problem;
pub mod project;
pub mod reaper;
pub mod reconcile;
pub mod reference;
pub mod repos;
pub mod repository;
pub mod retention;
pub mod sandbox;
mod section;
pub mod security;
pub mod server;
pub mod sites;
pub mod staging;
mod value;
pub mod vendors;

#[cfg(test)]
mod tests;

pub use orch_ports::Secret;
pub use problem::{ConfigErrors, Problem, Source, Warning};

use load::Loader;
use orch_core::pipeline::Pipeline;
use section::section;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use value::Field;

/// Name of the file.
pub const FILE_NAME: &str = "orch.toml";

section! {
    /// All tables.
    Tables {
        /// The HTTP server.
        server: server::Server = server::Server::default();
        /// The instance.
        instance: instance::Instance = instance::Instance::default();
        /// The database.
        db: db::Db = db::Db::default();
        /// Repositories.
        repos: repos::Repos = repos::Repos::default();
        /// How long things are kept.
        retention: retention::Retention = retention::Retention::default();
        /// Agent programs.
        agents: agents::Agents = agents::Agents::default();
        /// The sandbox.
        sandbox: sandbox::Sandbox = sandbox::Sandbox::default();
        /// What agents may cost.
        budget: budget::Budget = budget::Budget::default();
        /// Dead workers.
        reaper: reaper::Reaper = reaper::Reaper::default();
        /// The merge gate.
        merge: merge::Merge = merge::Merge::default();
        /// The security gate.
        security: security::Security = security::Security::default();
        /// Missed events.
        reconcile: reconcile::Reconcile = reconcile::Reconcile::default();
        /// The watch after a deploy.
        post_deploy: post_deploy::PostDeploy = post_deploy::PostDeploy::default();
        /// Images.
        image: image::Image = image::Image::default();
        /// Staging.
        staging: staging::Staging = staging::Staging::default();
        /// Documents.
        artefacts: artefacts::Artefacts = artefacts::Artefacts::default();
        /// Gitea.
        gitea: vendors::Gitea = vendors::Gitea::default();
        /// Plane.
        plane: vendors::Plane = vendors::Plane::default();
        /// Telegram.
        telegram: vendors::Telegram = vendors::Telegram::default();
        /// The people.
        people: BTreeMap<String, people::Person> = BTreeMap::new();
        /// Switches of gates.
        gates: BTreeMap<String, gates::GlobalGate> = BTreeMap::new();
        /// Pipelines of one's own.
        pipelines: BTreeMap<String, pipelines::Declared> = BTreeMap::new();
        /// Plain files served over HTTP.
        sites: BTreeMap<String, sites::Site> = BTreeMap::new();
        /// The projects.
        projects: Vec<project::Project> = Vec::new();
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    tables: Tables,
    sources: BTreeMap<String, Source>,
    /// The file, whole path.
    pub file: PathBuf,
}

impl Deref for Config {
    type Target = Tables;
    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl Config {
    /// Reads and checks a file with the environment over it.
    pub fn load(file: &Path, env: &BTreeMap<String, String>) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        match read(file) {
            Ok(text) => Self::parse(file, &text, env),
            Err(e) => {
                let why = match e.kind() {
                    std::io::ErrorKind::NotFound => "does not exist: write one with `orch init`".to_owned(),
                    _ => format!("cannot be read: {e}"),
                };
                Err(ConfigErrors(vec![Problem::new(file, Source::Default, why)]))
            }
        }
    }

    /// As `load`, for whoever checks it: what looks like a key anywhere in the file, and keys of programs that cannot be
    /// read, are problems, too.
    pub fn load_strictly(file: &Path, env: &BTreeMap<String, String>) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let (config, warnings) = Self::load(file, env)?;
        let text = read(file).unwrap_or_default();
        let mut problems = Self::keys_in(file, &text, env);
        let programs = config.agents.programs.iter();
        let mut files: Vec<(String, Option<&Path>)> =
            programs.map(|(name, p)| (format!("agents.programs.{name}.env_file"), p.env_file.as_deref())).collect();
        for (n, project) in config.projects.iter().enumerate() {
            let own = [("env_file", &project.commands.env_file), ("setup_env_file", &project.commands.setup_env_file)];
            files.extend(own.map(|(key, file)| (format!("project[{n}].commands.{key}"), file.as_deref())));
        }
        for (path, named) in files {
            if let Some(Err(fault)) = named.map(orch_adapters::command::read_env_file) {
                let source = config.source(&path).cloned().unwrap_or(Source::Default);
                problems.push(Problem::new(file, source, format!("{}: {fault}", load::full_key(&path))));
            }
        }
        if problems.is_empty() { Ok((config, warnings)) } else { Err(finish(problems)) }
    }

    /// The files and directories the security gate works with, for who has to name others.
    pub fn security_mut(&mut self) -> &mut security::Security {
        &mut self.tables.security
    }

    /// As `load`, of a text that would stand in `file`.
    pub fn parse(
        file: &Path,
        text: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let base = whole.parent().unwrap_or(Path::new("/")).to_owned();
        let mut loader = Loader::new(file, text, base, env);
        let (document, broken) = DeTable::parse_recoverable(text);
        for e in &broken {
            let offset = e.span().map_or(0, |s| s.start);
            loader.at_offset(offset, format!("this is not TOML: {}", e.message()));
        }
        if !broken.is_empty() {
            return Err(finish(loader.problems));
        }
        let mut tables = Tables::read_table(&mut loader, "", Some(document.get_ref()));
        places(&mut loader, &mut tables);
        state(&mut loader, &mut tables, env);
        check::all(&mut loader, &tables);
        keys::refuse(&mut loader, &tables);
        check::environment(&mut loader, file, env);
        if loader.problems.is_empty() {
            let Loader { sources, warnings, .. } = loader;
            return Ok((Self { tables, sources, file: whole }, warnings));
        }
        Err(finish(loader.problems))
    }

    /// Does the state lie where the instance's name says, and not where `[db] path` says?
    pub fn state_is_derived(&self) -> bool {
        self.instance.name.is_some() && !self.sources.contains_key("db.path")
    }
    /// Where a key was set; `None`: it has its default.
    pub fn source(&self, path: &str) -> Option<&Source> {
        self.sources.get(path)
    }
    /// The clone this configuration belongs to: what the file says, else the working tree it lies in.
    pub fn clone_dir(&self) -> Option<PathBuf> {
        self.instance.clone.clone().or_else(|| crate::instance::place::working_tree_above(&self.file))
    }
    /// Directory of everything the daemon keeps for itself.
    pub fn data_dir(&self) -> &Path {
        self.db.path.parent().unwrap_or(Path::new("/"))
    }
    /// File with the API token, mode 0600.
    pub fn token_file(&self) -> PathBuf {
        self.data_dir().join("token")
    }
    /// Directory of run directories.
    pub fn runs_dir(&self) -> PathBuf {
        self.data_dir().join("runs")
    }
    /// Directory in which scanners and auditors work.
    pub fn scratch_dir(&self) -> PathBuf {
        self.data_dir().join("scratch")
    }
    /// Directory of mirrors.
    pub fn repos_dir(&self) -> PathBuf {
        self.repos.dir.clone().unwrap_or_else(|| self.data_dir().join("repos"))
    }
    /// Directory of worktrees.
    pub fn worktrees_dir(&self) -> PathBuf {
        self.repos.worktrees_dir.clone().unwrap_or_else(|| self.repos_dir().join("worktrees"))
    }
    /// The pipeline of a project; checked at load, so it is there.
    pub fn pipeline(&self, project: &project::Project) -> Option<Pipeline> {
        Pipeline::built_in(&project.pipeline).or_else(|| self.pipelines.get(&project.pipeline).map(|d| d.0.clone()))
    }
    /// Name and settings of the agent program that plays a role in a project.
    pub fn program(&self, project: &project::Project, role: &str) -> Option<(&str, &agents::AgentProgram)> {
        let name = project.agents.get(role).unwrap_or(&self.agents.default);
        self.agents.programs.get_key_value(name).map(|(name, program)| (name.as_str(), program))
    }
    /// Every effective value by path (`project[0].key`), secrets hidden, with its source.
    pub fn values(&self) -> Vec<(String, String, Source)> {
        let mut out = Vec::new();
        self.tables.values("", &mut out);
        let source = |path: &str| self.sources.get(path).cloned().unwrap_or(Source::Default);
        out.into_iter().map(|(path, shown)| (path.clone(), shown, source(&path))).collect()
    }
}

/// Sections that are read once, when the daemon starts.
macro_rules! at_start {
    ($old:expr, $new:expr, $kept:expr; $($section:ident $(. $key:ident)?),+ $(,)?) => {
        $( if $old.tables.$section$(.$key)? != $new.tables.$section$(.$key)? {
            $kept.push(concat!(stringify!($section) $(, ".", stringify!($key))?));
            $new.tables.$section$(.$key)? = $old.tables.$section$(.$key)?.clone();
        } )+
    };
}

impl Config {
    /// This configuration as far as a running daemon can take it up, and the keys in which it keeps what `old` says until
    /// it is started again.
    #[must_use]
    pub fn kept_from(&self, old: &Self) -> (Self, Vec<String>) {
        let mut new = self.clone();
        let mut kept = Vec::new();
        at_start!(old, new, kept; server, instance, db, repos, agents.max_concurrency, reaper, merge.lock_timeout_s, reconcile,
            retention, gitea.url, gitea.owner, gitea.token, plane.api_url, plane.api_token, plane.workspace, telegram, sites);
        if kept.is_empty() {
            return (new, Vec::new());
        }
        // The keys of a section that was kept, as a person would look for them.
        let (wanted, now) = (self.fingerprints(), new.fingerprints());
        let differs = |key: &&String| wanted.get(*key) != now.get(*key);
        let mut keys: Vec<String> =
            wanted.keys().chain(now.keys().filter(|key| !wanted.contains_key(*key))).filter(differs).cloned().collect();
        keys.sort();
        (new, keys)
    }

    /// Every effective value by path, with what stands for it in comparisons: of a secret a digest. Projects are named by
    /// their key, so that one more in front of them changes nothing.
    pub fn fingerprints(&self) -> BTreeMap<String, String> {
        use sha2::{Digest as _, Sha256};
        let mut out = Vec::new();
        self.tables.values("", &mut out);
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (path, shown) in out {
            let named = path.strip_prefix("project[").and_then(|rest| rest.split_once(']')).and_then(|(i, rest)| {
                let project = self.tables.projects.get(i.parse::<usize>().ok()?)?;
                Some(format!("project {}{rest}", project.key))
            });
            all.insert(named.unwrap_or(path), shown);
        }
        for (name, program) in &self.tables.agents.programs {
            for (key, secret) in &program.env {
                let digest = Sha256::digest(secret.expose().as_bytes());
                all.insert(format!("agents.programs.{name}.env.{key}"), format!("{digest:x?}"));
            }
        }
        all
    }
}

/// Longest configuration, bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// A configuration's text. What is no plain file is not waited for, and what has no end is not read to it.
fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = std::fs::File::options().read(true).custom_flags(nonblocking).open(file)?;
    if !opened.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    opened.take(LONGEST + 1).read_to_string(&mut text)?;
    if LONGEST < text.len() as u64 {
        return Err(std::io::Error::other(format!("it is longer than {} MiB", LONGEST / 1024 / 1024)));
    }
    Ok(text)
}

/// The place of the state where only the instance's name is given.
fn state(loader: &mut Loader<'_>, tables: &mut Tables, env: &BTreeMap<String, String>) {
    use crate::instance::place;
    let Some(name) = tables.instance.name.as_deref() else { return };
    if !place::is_name(name) {
        let text = format!(
            "[instance] `name` must be at most 64 small letters, digits and `-`, not `{name}`: it names a directory"
        );
        loader.at_path("instance.name", text);
    } else if !loader.sources.contains_key("db.path") {
        match place::state_dir(env, place::is_root(), name) {
            Some(dir) => {
                tables.db.path = dir.join("orch.db");
                // The default that is not used may lie in a home that is not there.
                loader.problems.retain(|problem| problem.text != load::homeless("db.path"));
            }
            None => loader.at_path(
                "instance.name",
                "[instance] `name` names a directory in the home of its user, but HOME is not set: set XDG_STATE_HOME, or \
                 [db] `path`",
            ),
        }
    }
}

/// Makes what stands for a place in the file system absolute where its type alone could not tell.
fn places(loader: &mut Loader<'_>, tables: &mut Tables) {
    for (i, project) in tables.projects.iter_mut().enumerate() {
        let is_address = project.repo.contains("://")
            || project.repo.split_once(':').is_some_and(|(host, _)| !host.contains('/') && !host.is_empty());
        if !project.repo.is_empty() && !is_address {
            let path = loader.path(&format!("project[{i}].repo"), Path::new(&project.repo));
            project.repo = path.to_string_lossy().into_owned();
        }
    }
    for (name, program) in &mut tables.agents.programs {
        if let Some(first) = program.command.first_mut()
            && (first.contains('/') || first.starts_with('~'))
        {
            let path = loader.path(&format!("agents.programs.{name}.command"), Path::new(first.as_str()));
            *first = path.to_string_lossy().into_owned();
        }
    }
}

fn finish(mut problems: Vec<Problem>) -> ConfigErrors {
    problems.sort_by_key(|p| match &p.source {
        Source::File { line } => (0, *line),
        Source::Default => (1, 0),
        Source::Env { .. } => (2, 0),
    });
    problems.dedup();
    ConfigErrors(problems)
}

/// A table that may be repeated.
trait Repeated: Field {
    /// How it is written.
    const NAME: &'static str;
}

impl Repeated for project::Project {
    const NAME: &'static str = "[[project]]";
}

impl Repeated for project::Part {
    const NAME: &'static str = "[[project.parts]]";
}

impl<T: Repeated> Field for Vec<T> {
    const ENV: bool = false;
    fn kind() -> String {
        "tables".into()
    }
    fn read(loader: &mut Loader<'_>, at: &str, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            let text = format!("write {} with two brackets: it is a list of tables", T::NAME);
            loader.at_offset(value.span().start, text);
            return None;
        };
        let mut out = Self::new();
        for (i, item) in items.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let line = loader.line(item.span().start);
            loader.sources.insert(at.clone(), Source::File { line });
            out.extend(T::read(loader, &at, item));
        }
        Some(out)
    }
    fn from_text(_text: &str) -> Result<Self, String> {
        Err("cannot be given in the environment".into())
    }
    fn show(&self) -> String {
        String::new()
    }
    fn values(&self, at: &str, out: &mut Vec<(String, String)>) {
        for (i, one) in self.iter().enumerate() {
            one.values(&format!("{at}[{i}]"), out);
        }
    }
    fn nested(path: &str, out: &mut Vec<reference::KeyDoc>) {
        T::nested(path, out);
    }
}
