//! Submodules: filled in clones for agents and in checkouts for tests. Decides which address is followed. Nothing of it is
//! done by `git submodule`, whose configuration names programs to run: `.gitmodules` is read as data, at a commit, and
//! gives two words per submodule, its path and its address. The address must be of a host that the project's
//! configuration allows; a directory of this machine must be named by the default branch as well, so that no branch
//! reads another repository of this machine.

use super::clone::Cut;
use super::dirs::{inside, is_real_dir};
use super::remote::{self, Address};
use super::run::mask;
use super::tree::{Repo, shown};
use super::{GitCli, MODULES_DIR};
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::{Fault, Remote};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// Submodules in submodules are filled this deep.
const DEEPEST: u32 = 5;
/// A larger `.gitmodules` is not read, bytes.
const LARGEST: u64 = 1024 * 1024;

/// Where the submodules of a project may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submodules {
    /// Hosts, in lower case; `file` for directories of this machine.
    pub hosts: Vec<String>,
    /// The project's own address: what `../other.git` is relative to.
    pub relative_to: String,
    /// The branch whose word on directories of this machine counts.
    pub default_branch: String,
}

/// A submodule of the default branch that cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfilled {
    /// Where it lies; in a submodule, behind that one's path.
    pub path: String,
    /// Why not.
    pub why: String,
    /// What to do about it.
    pub fix: &'static str,
}

/// What to do about an address that is not allowed.
const NAME_IT: &str = "name its host in `submodule_hosts` of the project's [[project]]";
/// What to do about one where nothing is.
const BRING_IT: &str = "bring it back, or correct its address in .gitmodules of the default branch";

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Host(String),
    /// A directory of this machine.
    Here(PathBuf),
    /// A remote helper, an unknown scheme, nonsense: never followed.
    Never,
}

impl Submodules {
    /// Submodules of a project whose repository has this address, from its own hosts and these others.
    pub fn of(relative_to: &str, others: &[String], default_branch: &str) -> Self {
        let mut hosts: Vec<String> = others.iter().map(|h| h.to_lowercase()).collect();
        match place(relative_to) {
            Place::Host(host) => hosts.push(host),
            Place::Here(_) => hosts.push("file".into()),
            Place::Never => {}
        }
        Self { hosts, relative_to: relative_to.into(), default_branch: default_branch.into() }
    }

    /// Why this address is not followed. `named` says that the default branch names it too.
    fn refusal(&self, url: &str, named: bool) -> Option<String> {
        let has = |host: &str| self.hosts.iter().any(|h| h == host);
        match place(url) {
            Place::Host(host) if has(&host) => None,
            Place::Host(host) => Some(format!("it comes from the host {host}, which `submodule_hosts` does not name")),
            Place::Here(_) if !has("file") => {
                Some("it comes from a directory of this machine, and `submodule_hosts` does not name `file`".into())
            }
            Place::Here(_) if !named => {
                Some("it comes from a directory of this machine that the default branch does not name".into())
            }
            Place::Here(_) => None,
            Place::Never => Some("its address is of a kind that is never followed".into()),
        }
    }
}

/// What the mirror of an address is called.
fn mirror_name(url: &str) -> String {
    let mut name = String::new();
    for byte in &Sha256::digest(url.as_bytes())[..16] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Where an address leads, without asking anything.
fn place(url: &str) -> Place {
    // `ext::sh -c ...`, and whatever other helper is named so.
    if url.is_empty() || url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return Place::Never;
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            Some((six, _)) => six,
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        return match scheme {
            "file" if rest.starts_with('/') => Place::Here(PathBuf::from(rest)),
            "http" | "https" | "ssh" | "git" if !host.is_empty() && !host.starts_with('-') => {
                Place::Host(host.to_lowercase())
            }
            _ => Place::Never,
        };
    }
    if url.starts_with('/') {
        return Place::Here(PathBuf::from(url));
    }
    match url.split_once(':') {
        Some((login, path)) if !login.contains('/') && !path.is_empty() => {
            let host = login.rsplit_once('@').map_or(login, |(_, host)| host);
            if host.is_empty() || host.starts_with('-') { Place::Never } else { Place::Host(host.to_lowercase()) }
        }
        _ => Place::Never,
    }
}

/// An address as it stands in `.gitmodules`, made whole; `None` if it leads above the host.
fn resolved(url: &str, relative_to: &str) -> Option<String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Some(url.to_owned());
    }
    let mut base = relative_to.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            rest = next;
            let root = base.find("://").map_or(0, |at| at + 3);
            match base[root..].rfind('/') {
                Some(slash) if root + slash > 0 => base.truncate(root + slash),
                Some(_) => base.clear(),
                // `git@host:one.git`: what stands behind the colon is the last part.
                None if root == 0 && base.contains(':') && !base.ends_with(':') => {
                    base.truncate(base.find(':')? + 1);
                }
                None => return None,
            }
        } else {
            break;
        }
    }
    if rest.split('/').any(|part| part == "..") {
        return None;
    }
    let slash = if base.ends_with(':') { "" } else { "/" };
    Some(format!("{base}{slash}{}", rest.trim_end_matches('/')))
}

/// A submodule of a commit.
struct Module {
    path: Vec<u8>,
    /// The commit it stands at.
    oid: String,
    /// As `.gitmodules` has it, made whole.
    url: Option<String>,
}

impl Repo {
    /// Addresses by path, as `.gitmodules` of a commit says.
    async fn addresses(&self, treeish: &str) -> Result<BTreeMap<Vec<u8>, String>, Fault> {
        let Some(file) = self.entry(treeish, b".gitmodules").await?.filter(super::tree::Entry::is_regular) else {
            return Ok(BTreeMap::new());
        };
        let size = self.call("cat-file").args(["-s", &file.oid]).line().await?;
        if size.parse::<u64>().map_or(true, |n| n > LARGEST) {
            return Ok(BTreeMap::new());
        }
        let call = self.call("config").args(["--blob", &file.oid, "--null", "--get-regexp"]);
        let out = call.arg("^submodule\\..*\\.(path|url)$").run().await?;
        let mut names: BTreeMap<String, (Option<Vec<u8>>, Option<String>)> = BTreeMap::new();
        // 1: it has none; what git cannot read names none either.
        let text = if out.status == Some(0) { out.stdout } else { Vec::new() };
        for record in text.split(|b| *b == 0).filter(|r| !r.is_empty()) {
            let Some(line) = record.iter().position(|b| *b == b'\n') else { continue };
            let (key, value) = (shown(&record[..line]), &record[line + 1..]);
            let Some((name, what)) = key.rsplit_once('.') else { continue };
            let module = names.entry(name.to_owned()).or_default();
            match what {
                "path" => module.0 = Some(value.to_vec()),
                _ => module.1 = Some(shown(value)),
            }
        }
        Ok(names.into_values().filter_map(|(path, url)| Some((path?, url?))).collect())
    }

    async fn modules(&self, treeish: &str, relative_to: &str) -> Result<Vec<Module>, Fault> {
        // Most repositories have none, and their trees are not listed for it.
        let addresses = self.addresses(treeish).await?;
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let links = self.entries(treeish, b"").await?.into_iter().filter(|e| e.mode == "160000");
        let module = |e: super::tree::Entry| {
            let url = addresses.get(&e.path).and_then(|url| resolved(url, relative_to));
            Module { path: e.path, oid: e.oid, url }
        };
        Ok(links.map(module).collect())
    }
}

impl GitCli {
    /// The submodules of a project; without them none are filled.
    #[must_use]
    pub fn with_submodules(mut self, submodules: BTreeMap<ProjectKey, Submodules>) -> Self {
        self.submodules = submodules;
        self
    }

    /// Where the submodules of a project may come from: its own hosts, and these others. The own ones are that of its
    /// address, and, for a clone on this machine, that of the clone's `origin`.
    pub async fn submodules_of(
        &self,
        repo: &str,
        others: &[String],
        default_branch: &str,
    ) -> Result<Submodules, Fault> {
        let mut from = Submodules::of(repo, others, default_branch);
        let Place::Here(path) = place(repo) else { return Ok(from) };
        let Some(dir) = self.git_dir(&path).await? else { return Ok(from) };
        let config = dir.join("config");
        let origin = self.git.call(None, "config").arg("--file").arg(config).args(["--get", "remote.origin.url"]);
        let origin = origin.run().await?;
        let url = shown(&origin.stdout).trim_end_matches('\n').to_owned();
        if origin.status == Some(0) && place(&url) != Place::Never {
            let hosts = std::mem::take(&mut from.hosts);
            from = Submodules::of(&url, &hosts, default_branch);
        }
        Ok(from)
    }

    /// The git directory of a repository on this machine, bare or not; `None` if it is none.
    pub async fn git_dir(&self, path: &Path) -> Result<Option<PathBuf>, Fault> {
        let asked = self.git.call(None, "-C").arg(path).args(["rev-parse", "--git-common-dir"]).run().await?;
        let dir = path.join(shown(&asked.stdout).trim_end_matches('\n'));
        Ok((asked.status == Some(0)).then_some(dir))
    }

    /// Refuses a repository on this machine that has not all of its history, with what to do.
    pub async fn refuse_parts(&self, path: &Path, branch: &str) -> Result<(), Fault> {
        super::whole::refuse_parts(&self.git, path, branch).await
    }

    /// The submodules of the default branch of a repository on this machine that cannot be filled, with the reason: their
    /// address may not be followed, or leads to a directory of this machine where they are not. Hosts are not asked: what a
    /// network does not answer at a start says nothing about the first task. `mirrors` is where fetched ones are kept; what
    /// is there needs its repository no more.
    pub async fn unfilled(&self, repository: &Path, from: &Submodules, mirrors: &Path) -> Result<Vec<Unfilled>, Fault> {
        let repo = self.at(repository);
        let tip = format!("refs/heads/{}", from.default_branch);
        let Some(tree) = repo.peel(&tip, "tree").await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut open = vec![(String::new(), repo.modules(&tree, &from.relative_to).await?, 1)];
        while let Some((above, modules, depth)) = open.pop() {
            for module in modules {
                let path = format!("{above}{}", shown(&module.path));
                match self.source(&module, from, mirrors).await? {
                    Err((why, fix)) => found.push(Unfilled { path, why, fix }),
                    Ok(Some(source)) if depth < DEEPEST => {
                        let tree = source.tree_of(&Sha::new(&module.oid)).await?;
                        let url = module.url.as_deref().unwrap_or_default();
                        open.push((format!("{path}/"), source.modules(&tree, url).await?, depth + 1));
                    }
                    Ok(_) => {}
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// A repository on this machine that has the commit of a submodule; none if only its host can tell. `Err`: it cannot be
    /// filled.
    async fn source(
        &self,
        module: &Module,
        from: &Submodules,
        mirrors: &Path,
    ) -> Result<Result<Option<Repo>, (String, &'static str)>, Fault> {
        let Some(url) = &module.url else {
            let why = ".gitmodules has no address for it, or one that leads nowhere".to_owned();
            return Ok(Err((why, BRING_IT)));
        };
        if let Some(why) = from.refusal(url, true) {
            return Ok(Err((why, NAME_IT)));
        }
        let mirror = self.at(&mirrors.join(MODULES_DIR).join(format!("{}.git", mirror_name(url))));
        if mirror.dir.is_dir() && mirror.peel(&module.oid, "commit").await?.is_some() {
            return Ok(Ok(Some(mirror)));
        }
        let Place::Here(path) = place(url) else { return Ok(Ok(None)) };
        let Some(dir) = self.git_dir(&path).await? else {
            return Ok(Err((format!("there is no repository at {}", path.display()), BRING_IT)));
        };
        let there = self.at(&dir);
        if there.peel(&module.oid, "commit").await?.is_some() {
            return Ok(Ok(Some(there)));
        }
        let commit = Sha::new(&module.oid);
        Ok(Err((format!("the repository at {} has no commit {}", path.display(), commit.short()), BRING_IT)))
    }

    /// A repository that is only read.
    fn at(&self, dir: &Path) -> Repo {
        Repo { git: self.git.clone(), dir: dir.to_owned(), index_dir: self.repos_dir.join(".none") }
    }

    /// Fills the submodules of a commit that was checked out at `dir`.
    pub(super) async fn fill(&self, project: &ProjectKey, repo: &Repo, commit: &Sha, dir: &Path) -> Result<(), Fault> {
        let Some(from) = self.submodules.get(project) else { return Ok(()) };
        let modules = repo.modules(&repo.tree_of(commit).await?, &from.relative_to).await?;
        if modules.is_empty() {
            return Ok(());
        }
        let main = match repo.peel(&format!("refs/forge/{}", from.default_branch), "tree").await? {
            Some(tree) => repo.modules(&tree, &from.relative_to).await?,
            None => Vec::new(),
        };
        for module in modules {
            let named = main.iter().any(|m| m.url.is_some() && m.url == module.url);
            let same = main.iter().any(|m| m.path == module.path && m.oid == module.oid);
            self.fill_one(from, &module, (named, named && same), dir, 1).await?;
        }
        Ok(())
    }

    /// Fills one. What the default branch has too must be there: that it cannot be fetched now is a fault. What only the
    /// branch says is left empty where it cannot be followed, and the tests say what that means.
    async fn fill_one(
        &self,
        from: &Submodules,
        module: &Module,
        (named, needed): (bool, bool),
        dir: &Path,
        depth: u32,
    ) -> Result<(), Fault> {
        let path = shown(&module.path);
        let about = format!("submodule {path}");
        let Some(place) = std::str::from_utf8(&module.path).ok().map(|p| inside(dir, p)).transpose()?.flatten() else {
            return Ok(());
        };
        let refused = match &module.url {
            Some(url) => from.refusal(url, named).map(|why| format!("{}: {why}", mask(url))),
            None => Some(".gitmodules has no address for it".into()),
        };
        let (None, Some(url)) = (&refused, &module.url) else {
            tracing::warn!(submodule = %path, why = refused.unwrap_or_default(), "is left empty");
            return Ok(());
        };
        let commit = Sha::new(&module.oid);
        let found = self.module(url, &commit).await.map_err(|f| f.context(format!("{about} from {}", mask(url))));
        let repo = match found {
            Ok(Some(repo)) => repo,
            Ok(None) if !needed => {
                tracing::warn!(submodule = %path, commit = %commit, "is left empty: its repository has no such commit");
                return Ok(());
            }
            Ok(None) => {
                let text = format!("{about}: {} has no commit {}", mask(url), commit.short());
                return Err(Fault::permanent(text).unsure());
            }
            Err(fault) if needed || fault.is_transient() => return Err(fault),
            Err(fault) => {
                tracing::warn!(submodule = %path, %fault, "is left empty");
                return Ok(());
            }
        };
        let is_free = is_real_dir(&place) && std::fs::read_dir(&place).is_ok_and(|mut d| d.next().is_none());
        if !is_free {
            return Ok(());
        }
        let cut = Cut { commit: &commit, branch: None, base: None, files_of: None };
        repo.cut_whole(&cut, &place).await.map_err(|f| f.context(&about))?;
        if depth == DEEPEST {
            return Ok(());
        }
        // What a submodule of the default branch names is named by the default branch.
        for inner in repo.modules(&repo.tree_of(&commit).await?, url).await? {
            self.fill_inner(from, inner, needed, place.clone(), depth + 1).await?;
        }
        Ok(())
    }

    /// The same for one in a submodule; a type of its own, because it contains itself.
    fn fill_inner<'a>(
        &'a self,
        from: &'a Submodules,
        module: Module,
        needed: bool,
        dir: PathBuf,
        depth: u32,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
        Box::pin(async move { self.fill_one(from, &module, (needed, needed), &dir, depth).await })
    }

    /// A mirror of a submodule's repository that has this commit; `None`: the repository has it not.
    async fn module(&self, url: &str, commit: &Sha) -> Result<Option<Repo>, Fault> {
        let name = mirror_name(url);
        let dir = self.repos_dir.join(MODULES_DIR).join(format!("{name}.git"));
        let index_dir = self.repos_dir.join(MODULES_DIR).join(format!("{name}.index"));
        let repo = Repo { git: self.git.clone(), dir, index_dir };
        let remote = Address::of(&Remote::of(url))?;
        let lock = self.lock(&ProjectKey::new(format!("{MODULES_DIR}/{name}")));
        let _held = lock.lock().await;
        if !repo.dir.is_dir() {
            let parent = self.repos_dir.join(MODULES_DIR);
            std::fs::create_dir_all(&parent).map_err(|e| super::run::io(&parent, "create", &e))?;
            let fresh = remote::create(&self.git, &repo.dir, &remote).await?;
            remote::place(fresh, repo.dir.clone()).await?;
        }
        let there = async || Ok::<_, Fault>(repo.peel(super::tree::checked(commit)?, "commit").await?.is_some());
        if there().await? {
            return Ok(Some(repo.clone()));
        }
        repo.fetch(&remote).await?;
        if !there().await? {
            // No branch has it; a tag may, and some servers give any commit that is asked for.
            repo.fetch_commit(&remote, commit).await?;
        }
        Ok(there().await?.then(|| repo.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_a_host_a_directory_or_nowhere() {
        let host = |h: &str| Place::Host(h.into());
        for (url, expected) in [
            ("https://GitHub.com/o/r.git", host("github.com")),
            ("https://user:pw@github.com:443/o/r", host("github.com")),
            ("ssh://git@host:22/o/r", host("host")),
            ("git://host/o/r", host("host")),
            ("https://[::1]:3000/o/r", Place::Never),
            ("git@host:o/r.git", host("host")),
            ("host:o/r.git", host("host")),
            ("/srv/git/r.git", Place::Here("/srv/git/r.git".into())),
            ("file:///srv/git/r.git", Place::Here("/srv/git/r.git".into())),
            ("file://other/srv/git/r.git", Place::Never),
            ("ext::sh -c 'touch x'", Place::Never),
            ("fd::17", Place::Never),
            ("https://-oProxyCommand=x/r", Place::Never),
            ("-u./payload", Place::Never),
            ("ssh://-oProxyCommand=x/r", Place::Never),
            ("-oProxyCommand=x:r", Place::Never),
            ("ftp://host/r", Place::Never),
            ("hg+https://host/r", Place::Never),
            ("other/repository", Place::Never),
            ("https:///r", Place::Never),
            ("https://host/\nr", Place::Never),
            ("", Place::Never),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn a_relative_address_is_relative_to_the_projects_own() {
        for (url, base, expected) in [
            ("../lib.git", "https://h/o/r.git", Some("https://h/o/lib.git")),
            ("../../other/lib", "https://h/o/r.git", Some("https://h/other/lib")),
            ("../../../lib", "https://h/o/r.git", None),
            ("./lib", "/srv/r.git", Some("/srv/r.git/lib")),
            ("../lib/", "/srv/r.git/", Some("/srv/lib")),
            ("../../../etc", "/srv/r.git", None),
            ("../lib.git", "git@h:o/r.git", Some("git@h:o/lib.git")),
            ("../lib.git", "git@h:r.git", Some("git@h:lib.git")),
            ("../x/../../y", "https://h/o/r.git", None),
            ("https://h/x", "/srv/r.git", Some("https://h/x")),
        ] {
            assert_eq!(resolved(url, base).as_deref(), expected, "{url} on {base}");
        }
    }

    #[test]
    fn only_allowed_hosts_are_followed_and_directories_only_where_main_names_them() {
        let of = |own: &str, others: &[&str]| {
            let others: Vec<String> = others.iter().map(|h| (*h).to_owned()).collect();
            Submodules::of(own, &others, "main")
        };
        for (from, url, named, good) in [
            (of("https://h/o/r", &[]), "https://h/x/y", false, true),
            (of("https://h/o/r", &[]), "ssh://git@H/x/y", false, true),
            (of("https://h/o/r", &[]), "https://evil/x/y", true, false),
            (of("https://h/o/r", &["Evil"]), "https://evil/x/y", false, true),
            (of("https://h/o/r", &[]), "https://h.evil/x/y", false, false),
            (of("https://h/o/r", &[]), "https://h@evil/x/y", false, false),
            (of("https://h/o/r", &[]), "/srv/secret", true, false),
            (of("https://h/o/r", &["file"]), "/srv/lib", true, true),
            (of("/srv/r.git", &[]), "/srv/lib", true, true),
            (of("/srv/r.git", &[]), "/srv/secret", false, false),
            (of("/srv/r.git", &[]), "https://h/x", true, false),
            (of("/srv/r.git", &["file"]), "ext::sh -c x", true, false),
        ] {
            assert_eq!(from.refusal(url, named).is_none(), good, "{url} from {from:?}");
        }
    }
}
