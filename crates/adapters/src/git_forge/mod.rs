//! A forge over git alone: branches live in a repository, everything else in one SQLite file beside it. The repository is
//! a remote of somebody else's (`forge = "git"`), or a bare one of the forge's own or served in place (`forge = "local"`,
//! at the same time the double that tests run on): the same pull requests, the same merge, and two ways to read and move a
//! branch (`served`). It decides what a forge decides (which pull requests are open, what is merged) and nothing of orch's;
//! it shares no row and no transaction with orch's store, so that the two can disagree and be compared. The head of a pull
//! request is read from git every time, never remembered.

mod again;
mod asked;
mod branch;
mod emptied;
mod import;
mod merge;
mod protect;
mod pulls;
mod recorded;
mod repo;
mod schema;
mod served;
mod talk;
#[cfg(test)]
mod tests;
mod there;

use crate::git_cli::run::{GitRun, io};
use crate::local_db::LocalDb;
use orch_core::ids::{Actor, ProjectKey, Sha, Time};
use orch_ports::clock::Clock;
use orch_ports::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, OutOfService, PullRequest, Review, Right};
use orch_ports::{Fault, Remote, Repositories};
use protect::protect;
use rusqlite::params;
use served::{Served, Shared};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use again::PullAgain;

/// A repository to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRepo {
    /// Project it belongs to.
    pub key: ProjectKey,
    /// Where it lives.
    pub home: Home,
    /// The branch that only merges move.
    pub default_branch: String,
}

impl ServedRepo {
    /// A repository of this machine, or a copy that is made once.
    pub fn here(key: ProjectKey, source: impl Into<String>, default_branch: impl Into<String>) -> Self {
        Self { key, home: Home::Here(source.into()), default_branch: default_branch.into() }
    }
}

/// Where a repository lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// With this forge: a path or URL from configuration. A bare repository on disk is served in place, anything else is
    /// imported once.
    Here(String),
    /// With somebody else: every branch is read and moved there, at its remote.
    There {
        /// Its remote.
        remote: Remote,
        /// A git directory that may have objects of it already; they are borrowed and not fetched again.
        objects: Option<PathBuf>,
    },
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place in the log.
    pub seq: i64,
    /// The pull request it is about, if it is about one.
    pub number: Option<u64>,
    /// `pull-opened`, `pull-closed`, `status-set`, `review-submitted`, `comment-written`, `comment-replaced`,
    /// `merge-refused` (nothing was tried), `merge-attempted` (about to move the branch), `merge-done` (it moved, told
    /// once per pull request) or `merge-abandoned` (it did not).
    pub effect: String,
    /// The branch, the context and state, the reviewer, the comment's key, the merge method or the reason.
    pub detail: String,
    /// The commit it is about.
    pub head: Option<Sha>,
    /// Where the base branch was before a merge.
    pub old_base: Option<Sha>,
    /// Where a merge moves it.
    pub new_base: Option<Sha>,
    /// When.
    pub at: Time,
}

/// The forge. Cheap to clone.
#[derive(Clone)]
pub struct GitForge {
    state: Arc<State>,
}

struct State {
    dir: PathBuf,
    db: LocalDb,
    git: GitRun,
    clock: Arc<dyn Clock>,
    members: RwLock<Vec<Actor>>,
    /// Which projects share a repository.
    repositories: Repositories,
    /// What the projects on a repository share, whatever becomes of them meanwhile.
    shared: Mutex<HashMap<ProjectKey, Arc<Shared>>>,
    projects: RwLock<HashMap<ProjectKey, Arc<Served>>>,
    /// What could not be brought into service, and why.
    out: RwLock<HashMap<ProjectKey, (Option<ServedRepo>, OutOfService)>>,
}

impl GitForge {
    /// Opens or makes a forge in `dir` (one process per directory: opening ends merges that an earlier process left
    /// half done) and brings the repositories into service. `members` are the people whose reviews
    /// count. A repository that cannot be served is a `Permanent` fault that names the path, the key and the fix; of
    /// several, one that can is enough, and the others are out of service until [`Forge::look_again`] finds them well.
    pub async fn open(
        dir: &Path,
        projects: Vec<ServedRepo>,
        members: Vec<Actor>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        Self::open_shared(dir, projects, members, clock, Repositories::default()).await
    }

    /// The same, where several projects may have one repository.
    pub async fn open_shared(
        dir: &Path,
        projects: Vec<ServedRepo>,
        members: Vec<Actor>,
        clock: Arc<dyn Clock>,
        repositories: Repositories,
    ) -> Result<Self, Fault> {
        crate::durable::make_dir(dir).map_err(|f| f.context("create the forge directory"))?;
        let dir = dir.canonicalize().map_err(|e| io(dir, "find the forge directory", &e))?;
        let db = LocalDb::open(&dir.join("forge.db"), &schema::SCHEMA)?;
        let git = GitRun::new(&dir.join("git-home"))?;
        let members = RwLock::new(members);
        let state = State {
            dir,
            db,
            git,
            clock,
            members,
            repositories,
            shared: Mutex::default(),
            projects: RwLock::default(),
            out: RwLock::default(),
        };
        let forge = Self { state: Arc::new(state) };
        let mut faults = Vec::new();
        for project in projects {
            faults.extend(forge.serve(project).await.err());
        }
        let none = forge.state.projects.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        match faults.into_iter().next() {
            Some(fault) if none => Err(fault),
            _ => Ok(forge),
        }
    }

    /// Brings a repository into service, or notes why it is not.
    pub async fn serve(&self, project: ServedRepo) -> Result<(), Fault> {
        let key = project.key.clone();
        let served = self.add_project(project.clone()).await;
        let mut out = self.state.out.write().unwrap_or_else(PoisonError::into_inner);
        match &served {
            Ok(()) => {
                out.remove(&key);
            }
            Err(fault) => {
                // What it was served as before, if it was, is not what is configured now.
                self.state.projects.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
                let since = out.get(&key).map_or_else(|| self.state.clock.now(), |(_, out)| out.since);
                out.insert(key, (Some(project), OutOfService { why: fault.text.clone(), since, by_itself: true }));
            }
        }
        served
    }

    /// Takes a project out of service for a reason that is not its repository's own, until the forge is opened again.
    pub fn take_out(&self, project: &ProjectKey, why: &str) {
        let out = OutOfService { why: why.to_owned(), since: self.state.clock.now(), by_itself: false };
        self.state.projects.write().unwrap_or_else(PoisonError::into_inner).remove(project);
        self.state.out.write().unwrap_or_else(PoisonError::into_inner).insert(project.clone(), (None, out));
    }

    /// From now on these people's reviews count.
    pub fn set_members(&self, members: Vec<Actor>) {
        *self.state.members.write().unwrap_or_else(PoisonError::into_inner) = members;
    }

    /// Takes a project out that is not configured any more. Its repository is left as it is.
    pub fn forget(&self, project: &ProjectKey) {
        self.state.out.write().unwrap_or_else(PoisonError::into_inner).remove(project);
        self.state.projects.write().unwrap_or_else(PoisonError::into_inner).remove(project);
    }

    /// Brings one more repository into service, or takes up a changed default branch.
    pub async fn add_project(&self, project: ServedRepo) -> Result<(), Fault> {
        let (key, branch) = (project.key.clone(), project.default_branch.clone());
        let (repository, all) = (self.state.repositories.of(&key), self.state.repositories.sharing(&key));
        let last = self.state.db.read("read the last merge", move |t| pulls::last_merge(t, &all, &branch)).await?;
        let shared = {
            let mut shared = self.state.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(repository.clone()).or_default())
        };
        let served =
            Served::new(&self.state.git, &self.state.dir, project, (&repository, shared), last.as_ref()).await?;
        {
            let projects = self.state.projects.read().unwrap_or_else(PoisonError::into_inner);
            let same = |o: &&Arc<Served>| o.repository == served.repository || o.remote.url == served.remote.url;
            let other = projects.values().filter(same).find(|other| other.key != served.key);
            if let Some(other) = other.filter(|other| other.default_branch != served.default_branch) {
                return Err(Fault::permanent(format!(
                    "projects {} and {} share the repository {} with different `default_branch` ({} and {}); \
                     make them the same in [[project]]",
                    other.key, served.key, served.remote.url, other.default_branch, served.default_branch
                )));
            }
        }
        let shared = Arc::clone(&served.shared);
        let turn = shared.merging.lock().await;
        if served.there.is_none() {
            served.drop_dead_locks();
            protect(&served.repo, &served.default_branch)
                .await
                .map_err(|f| f.context(format!("project {}", served.key)))?;
            // What people wrote there just before is kept, too, as soon as the disk has time.
            let dir = served.repo.dir().to_owned();
            tokio::task::spawn_blocking(move || crate::durable::file_system(&dir));
        }
        self.state.settle_begun_merges(&served).await?;
        let mut projects = self.state.projects.write().unwrap_or_else(PoisonError::into_inner);
        projects.insert(served.key.clone(), Arc::new(served));
        drop(projects);
        drop(turn);
        Ok(())
    }

    /// What was done in a project, in order.
    pub async fn log(&self, project: &ProjectKey) -> Result<Vec<LogEntry>, Fault> {
        let project = project.clone();
        self.state
            .db
            .read("read the forge's log", move |t| {
                let mut lines = t.prepare(
                    "SELECT seq, number, effect, detail, head, old_base, new_base, at FROM log
                     WHERE project = ?1 ORDER BY seq",
                )?;
                let lines = lines.query_map(params![project.as_str()], |r| {
                    let sha = |column: usize| r.get::<_, Option<String>>(column).map(|text| text.map(Sha::new));
                    Ok(LogEntry {
                        seq: r.get(0)?,
                        number: r.get::<_, Option<i64>>(1)?.map(|n| n as u64),
                        effect: r.get(2)?,
                        detail: r.get(3)?,
                        head: sha(4)?,
                        old_base: sha(5)?,
                        new_base: sha(6)?,
                        at: Time(r.get(7)?),
                    })
                })?;
                Ok(lines.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Comments on a pull request, key and text, oldest first.
    pub async fn comments(&self, project: &ProjectKey, number: u64) -> Result<Vec<(String, String)>, Fault> {
        let project = project.clone();
        self.state.db.read("read comments", move |t| talk::comments(t, &project, number)).await
    }

    /// Mends places that are stored in the forge's file after its directory has moved; no process may have it open.
    ///
    /// # Errors
    /// What SQLite says; nothing is changed then.
    pub fn relocate(dir: &Path, moved: &[(String, String)]) -> Result<(), Fault> {
        let file = dir.join("forge.db");
        if !file.exists() {
            return Ok(());
        }
        let look = |e: rusqlite::Error| Fault::permanent(format!("mend {}: {e}", file.display()));
        let mut c = rusqlite::Connection::open(&file).map_err(look)?;
        let change = c.transaction().map_err(look)?;
        for (from, to) in moved {
            change
                .execute("UPDATE status SET url = replace(url, ?1, ?2) WHERE instr(url, ?1)", params![from, to])
                .map_err(look)?;
        }
        change.commit().map_err(look)
    }

    fn served(&self, project: &ProjectKey) -> Result<Arc<Served>, Fault> {
        let found = self.state.projects.read().unwrap_or_else(PoisonError::into_inner).get(project).cloned();
        found.ok_or_else(|| match self.out_of_service(project) {
            Some(out) => Fault::transient(format!("project {project} is out of service: {}", out.why)),
            None => Fault::gone(format!("the forge serves no project {project}")),
        })
    }
}

#[async_trait::async_trait]
impl Forge for GitForge {
    fn out_of_service(&self, project: &ProjectKey) -> Option<OutOfService> {
        let out = self.state.out.read().unwrap_or_else(PoisonError::into_inner);
        out.get(project).map(|(_, out)| out.clone())
    }

    async fn look_again(&self, project: &ProjectKey) -> Result<(), Fault> {
        let waiting = {
            let out = self.state.out.read().unwrap_or_else(PoisonError::into_inner);
            out.get(project).and_then(|(repo, _)| repo.clone())
        };
        match waiting {
            Some(repo) => self.serve(repo).await,
            None => Ok(()),
        }
    }

    async fn remote(&self, project: &ProjectKey) -> Result<Remote, Fault> {
        Ok(self.served(project)?.remote.clone())
    }

    async fn default_branch(&self, project: &ProjectKey) -> Result<String, Fault> {
        Ok(self.served(project)?.default_branch.clone())
    }

    async fn branch_head(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault> {
        self.served(project)?.head(branch).await
    }

    async fn ensure_pull_request(
        &self,
        project: &ProjectKey,
        head_branch: &str,
        base_branch: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault> {
        self.state.ensure(&*self.served(project)?, (head_branch, base_branch), (title, body)).await
    }

    async fn pull_request(&self, project: &ProjectKey, number: u64) -> Result<PullRequest, Fault> {
        let served = self.served(project)?;
        let row = self.state.load(&served, number).await?;
        self.state.show(&served, row).await
    }

    async fn pull_requests(&self, project: &ProjectKey) -> Result<Vec<PullRequest>, Fault> {
        self.state.open_ones(&*self.served(project)?).await
    }

    async fn close_pull_request(&self, project: &ProjectKey, number: u64) -> Result<(), Fault> {
        self.state.close(&*self.served(project)?, number).await
    }

    async fn statuses(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, Fault> {
        let (project, commit) = (self.served(project)?.key.clone(), commit.clone());
        self.state.db.read("read statuses", move |t| talk::statuses(t, &project, &commit)).await
    }

    async fn set_status(&self, project: &ProjectKey, commit: &Sha, status: &CommitStatus) -> Result<(), Fault> {
        let served = self.served(project)?;
        if !served.has_commit(commit).await? {
            return Err(Fault::gone(format!("set a status: no commit {commit} in project {project}")));
        }
        let (project, commit, status, at) = (project.clone(), commit.clone(), status.clone(), self.state.clock.now());
        self.state.db.write("set a status", move |t| talk::set_status(t, &project, &commit, &status, at)).await
    }

    async fn reviews(&self, project: &ProjectKey, number: u64) -> Result<Vec<Review>, Fault> {
        let (project, members) = (
            self.served(project)?.key.clone(),
            self.state.members.read().unwrap_or_else(PoisonError::into_inner).clone(),
        );
        self.state.db.read("read reviews", move |t| talk::reviews(t, &project, number, &members)).await
    }

    async fn submit_review(&self, project: &ProjectKey, number: u64, review: &Review) -> Result<(), Fault> {
        let (project, review, at) = (self.served(project)?.key.clone(), review.clone(), self.state.clock.now());
        self.state.db.write("review", move |t| talk::submit_review(t, &project, number, &review, at)).await
    }

    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        let (project, at) = (self.served(project)?.key.clone(), self.state.clock.now());
        let (key, body) = (key.to_owned(), body.to_owned());
        self.state.db.write("comment", move |t| talk::put_comment(t, &project, number, (&key, &body), at)).await
    }

    async fn merge(
        &self,
        project: &ProjectKey,
        number: u64,
        expect_head: &Sha,
        right: Right<'_>,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        let (served, state) = (self.served(project)?, Arc::clone(&self.state));
        let (expect, message) = ((expect_head.clone(), right.base().cloned()), message.to_owned());
        // On a task of its own: a caller that stops waiting must not kill git while it moves the branch.
        let merge = async move { state.merge(&served, number, (&expect.0, expect.1.as_ref()), method, &message).await };
        match tokio::spawn(merge).await {
            Ok(answer) => answer.map_err(|f| f.context(format!("merge pull request #{number} of {project}"))),
            Err(e) => Err(Fault::bug(format!("merge pull request #{number} of {project}: {e}"))),
        }
    }
}
