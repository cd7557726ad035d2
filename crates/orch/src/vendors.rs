//! Which adapter a project's `forge` stands for, and whose webhooks are taken in. One line of `FORGES` registers a forge, one of
//! `SENDERS` a sender of webhooks; everything behind it sees trait objects. What a file may say of it is decided in `config/vendors.rs`.

use crate::config::Config;
use crate::config::env::process_env;
use crate::config::project::Project;
use crate::shared::Refused;
use orch_adapters::command::read_secret_file;
use orch_adapters::git_forge::{GitForge, Home, ServedRepo};
use orch_adapters::{gitea, plane};
use orch_core::ids::{Actor, ProjectKey, Sha};
use orch_core::people;
use orch_ports::clock::Clock;
use orch_ports::forge::Forge;
use orch_ports::inbound::Webhook;
use orch_ports::{Fault, Remote, Repositories, Secret};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// What the daemon needs of a forge beside the port: projects come and go while it runs.
#[async_trait::async_trait]
pub trait Hosted: Forge {
    /// From now on these people's reviews count.
    fn set_members(&self, members: Vec<Actor>);
    /// Brings a project into service as it is configured now, or takes it out of service and says why.
    async fn serve(&self, config: &Config, project: &Project) -> Result<(), Fault>;
    /// Takes a project out that is not configured any more. Its repository is left as it is.
    fn forget(&self, project: &ProjectKey);
    /// Takes a project out of service for a reason that is not its repository's own.
    fn take_out(&self, project: &ProjectKey, why: &str);
    /// Merges that were recorded, by the forge or as `others` has them (who merged it, as what), and are not there any
    /// more; each as a sentence.
    async fn missing_merges(&self, project: &ProjectKey, others: Vec<(String, Sha)>) -> Result<Vec<String>, Fault>;
}

type Opened<'a> = Pin<Box<dyn Future<Output = Result<Arc<dyn Hosted>, Fault>> + Send + 'a>>;

/// An adapter, and what projects call it.
struct Registered {
    /// Values of `forge` in `[[project]]`.
    names: &'static [&'static str],
    /// Opens it, with no project yet.
    open: for<'a> fn(&'a Config, &'a Arc<dyn Clock>, Repositories) -> Opened<'a>,
}

/// All of them. `local` and `git` are one: the same pull requests over a repository here or elsewhere.
static FORGES: &[Registered] =
    &[Registered { names: &["local", "git"], open: |config, clock, shared| Box::pin(open_git(config, clock, shared)) }];

/// Servers that send webhooks; one line registers one.
static SENDERS: &[Sender] = &[
    Sender {
        source: gitea::hook::SOURCE,
        secrets: |config| (&config.gitea.webhook_secret, &config.gitea.webhook_secret_file),
        hook: |secrets| Arc::new(gitea::hook::GiteaHook::new(secrets)),
    },
    Sender {
        source: plane::hook::SOURCE,
        secrets: |config| (&config.plane.webhook_secret, &config.plane.webhook_secret_file),
        hook: |secrets| Arc::new(plane::hook::PlaneHook::new(secrets)),
    },
];

/// A server that sends webhooks to `/webhook/<source>`.
struct Sender {
    /// Its name, and that of its section.
    source: &'static str,
    /// A secret, and a file of secrets.
    secrets: fn(&Config) -> (&Option<Secret>, &Option<PathBuf>),
    /// What verifies and reads its deliveries.
    hook: fn(Vec<Secret>) -> Arc<dyn Webhook>,
}

/// The webhooks that are taken in, and what is wrong with the secrets of any.
pub fn webhooks(config: &Config) -> (Vec<Arc<dyn Webhook>>, Vec<Fault>) {
    let (mut hooks, mut faults) = (Vec::new(), Vec::new());
    for sender in SENDERS {
        let (secret, file) = (sender.secrets)(config);
        let mut secrets: Vec<Secret> = secret.iter().filter(|s| !s.expose().is_empty()).cloned().collect();
        match file.as_deref().map(read_secret_file).transpose() {
            Ok(more) => secrets.extend(more.into_iter().flatten()),
            Err(fault) => faults.push(fault.context(format!("[{}] webhook_secret_file", sender.source))),
        }
        hooks.push((sender.hook)(secrets));
    }
    (hooks, faults)
}

/// The forges of an instance, each open once.
pub struct Vendors {
    open: Vec<(&'static [&'static str], Arc<dyn Hosted>)>,
}

impl Vendors {
    /// Opens the forges that the projects name, and brings the projects into service that are not refused. Of several
    /// projects one that can be served is enough; the others are out of service until they are found well.
    ///
    /// # Errors
    /// A forge that cannot be opened, and the fault of a project if not one of them can be served.
    pub async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        (repositories, refused): (&Repositories, &Refused),
    ) -> Result<Self, Fault> {
        let mut open = Vec::new();
        for forge in FORGES {
            // The first is there always: of a configuration without projects, too.
            if open.is_empty() || config.projects.iter().any(|p| forge.names.contains(&p.forge.as_str())) {
                open.push((forge.names, (forge.open)(config, clock, repositories.clone()).await?));
            }
        }
        let vendors = Self { open };
        vendors.set_members(config);
        let mut faults = Vec::new();
        for p in &config.projects {
            let (forge, key) = (vendors.of(p)?, ProjectKey::new(&p.key));
            match refused.get(&key) {
                // Its tasks can be cancelled while it is out of service: the daemon goes on, were it the only one.
                Some(why) => forge.take_out(&key, why),
                None => faults.extend(forge.serve(config, p).await.err()),
            }
        }
        match faults.len() {
            n if 0 < n && n == config.projects.len() => Err(faults.swap_remove(0)),
            _ => Ok(vendors),
        }
    }

    /// The forge of a project.
    ///
    /// # Errors
    /// A project with a forge that no project had when this was opened.
    pub fn of(&self, project: &Project) -> Result<&Arc<dyn Hosted>, Fault> {
        let found = self.open.iter().find(|(names, _)| names.contains(&project.forge.as_str()));
        found.map(|(_, forge)| forge).ok_or_else(|| {
            Fault::permanent(format!(
                "project {}: restart orch to begin with the forge `{}`",
                project.key, project.forge
            ))
        })
    }

    /// Takes up what a changed configuration says of projects. Returns which of them cannot be served, and why.
    ///
    /// # Errors
    /// As `of`; nothing is changed then.
    pub async fn take_up(&self, old: &Config, new: &Config, refused: &Refused) -> Result<Vec<String>, Fault> {
        for p in &new.projects {
            self.of(p)?;
        }
        self.set_members(new);
        let place = |p: &Project| (p.forge.clone(), p.repo.clone(), p.default_branch.clone(), p.git.clone());
        let mut out = Vec::new();
        for before in &old.projects {
            let now = new.projects.iter().find(|p| p.key == before.key);
            let forge = self.of(before)?;
            let stays = match now {
                Some(p) => Arc::ptr_eq(forge, self.of(p)?),
                None => false,
            };
            if !stays {
                forge.forget(&ProjectKey::new(&before.key));
            }
        }
        for p in &new.projects {
            let before = old.projects.iter().find(|b| b.key == p.key);
            if before.map(place) != Some(place(p)) {
                let (forge, key) = (self.of(p)?, ProjectKey::new(&p.key));
                if let Some(why) = refused.get(&key) {
                    forge.take_out(&key, why);
                    out.push(format!("{key}: {why}"));
                    continue;
                }
                let served = forge.serve(new, p).await;
                out.extend(served.err().map(|fault| format!("{}: {fault}", p.key)));
            }
        }
        Ok(out)
    }

    fn set_members(&self, config: &Config) {
        let persons = config.persons();
        let under_every_name = |name: String| {
            let who = Actor::new(name);
            people::person_of(&persons, &who).map_or_else(|| vec![who.clone()], |person| person.names.clone())
        };
        let approvers = config.projects.iter().flat_map(|p| config.lists(p).approvers);
        let members: Vec<Actor> = approvers.flat_map(under_every_name).collect();
        for (_, forge) in &self.open {
            forge.set_members(members.clone());
        }
    }
}

async fn open_git(config: &Config, clock: &Arc<dyn Clock>, shared: Repositories) -> Result<Arc<dyn Hosted>, Fault> {
    let dir = config.data_dir().join("forge");
    Ok(Arc::new(GitForge::open_shared(&dir, Vec::new(), Vec::new(), Arc::clone(clock), shared).await?))
}

/// A project as the forge over git serves it.
///
/// # Errors
/// Credentials that are configured and not there.
pub(crate) fn served(config: &Config, p: &Project) -> Result<ServedRepo, Fault> {
    let key = ProjectKey::new(&p.key);
    if p.forge == "local" {
        return Ok(ServedRepo::here(key, &p.repo, &p.default_branch));
    }
    let objects = config.repos_dir().join(format!("{}.git", config.repository(p)));
    let home = Home::There { remote: remote(p)?, objects: Some(objects) };
    Ok(ServedRepo { key, home, default_branch: p.default_branch.clone() })
}

/// The forge over git with all projects of a configuration, for a look while no daemon runs.
///
/// # Errors
/// As [`served`], and a forge that cannot be opened.
pub(crate) async fn all_served(config: &Config, clock: Arc<dyn Clock>) -> Result<GitForge, Fault> {
    let projects = config.projects.iter().map(|p| served(config, p)).collect::<Result<_, _>>()?;
    let repositories = Repositories::new(config.repositories());
    GitForge::open_shared(&config.data_dir().join("forge"), projects, Vec::new(), clock, repositories).await
}

/// The remote of a project with `forge = "git"`, with the credentials its environment variable holds.
///
/// # Errors
/// A variable that is named and not set.
pub(crate) fn remote(p: &Project) -> Result<Remote, Fault> {
    let remote = Remote::of(&p.repo);
    let Some(name) = &p.git.token_env else { return Ok(remote) };
    match process_env().get(name).map(|token| token.trim()).filter(|token| !token.is_empty()) {
        Some(token) => Ok(remote.with_password(&p.git.username, &Secret::new(token))),
        None => Err(Fault::permanent(format!(
            "project {}: the environment variable {name} is not set, which [project.git] `token_env` names: set it to the \
             password or token where orch is started, and start it again",
            p.key
        ))),
    }
}

#[async_trait::async_trait]
impl Hosted for GitForge {
    fn set_members(&self, members: Vec<Actor>) {
        Self::set_members(self, members);
    }
    async fn serve(&self, config: &Config, project: &Project) -> Result<(), Fault> {
        let key = ProjectKey::new(&project.key);
        match served(config, project) {
            Ok(repo) => Self::serve(self, repo).await,
            Err(fault) => {
                self.take_out(&key, &fault.text);
                Err(fault)
            }
        }
    }
    fn forget(&self, project: &ProjectKey) {
        Self::forget(self, project);
    }
    fn take_out(&self, project: &ProjectKey, why: &str) {
        Self::take_out(self, project, why);
    }
    async fn missing_merges(&self, project: &ProjectKey, others: Vec<(String, Sha)>) -> Result<Vec<String>, Fault> {
        Self::missing_merges(self, project, others).await
    }
}
