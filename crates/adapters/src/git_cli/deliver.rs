//! A push to a repository of this machine, without the eleven processes git starts for one. Decides when that is the same:
//! few new objects above a commit that a branch there holds, and nobody there who has a word in it, neither a hook nor a
//! setting. Otherwise says so, and git pushes. What it writes is on disk before the branch moves, and the branch moves
//! under git's own lock, from where it is said to be.

use super::dirs::blocking;
use super::names::is_own_hook;
use super::objects::{self, Loose};
use super::reader::Ask;
use super::references::{self, From, Move};
use super::tree::{Repo, checked};
use orch_core::ids::Sha;
use orch_ports::Fault;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most commits that are brought so.
const MOST_COMMITS: usize = 32;
/// Most objects.
const MOST_OBJECTS: usize = 256;
/// Most bytes, of all of them.
const MOST_BYTES: usize = 8 << 20;
/// Settings that have no say in what a push does, but those of `HOOKS`.
const HARMLESS: [&str; 14] = [
    "core.repositoryformatversion",
    "core.filemode",
    "core.symlinks",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.fsync",
    "core.fsyncmethod",
    "receive.denydeletecurrent",
    "remote.origin.url",
    "remote.origin.fetch",
    "uploadpack.allowanysha1inwant",
    "extensions.objectformat",
    "gc.auto",
    "user.name",
];
/// Whether it has no working directory.
const BARE: &str = "core.bare";
/// Where hooks are looked for.
const HOOKS: &str = "core.hookspath";
/// Whether moves of branches are noted beside them.
const REFLOG: &str = "core.logallrefupdates";

/// What a repository says of pushes.
struct Rules {
    /// Moves of branches are noted.
    reflog: bool,
}

impl Repo {
    /// Moves a branch there from `expect` to `commit`. False if that is git's to do: nothing has changed then but objects
    /// that nobody names.
    pub(super) async fn deliver(
        &self,
        there: &Path,
        branch: &str,
        commit: &Sha,
        expect: Option<&Sha>,
    ) -> Result<bool, Fault> {
        let (dir, long) = (there.to_owned(), checked(commit)?.len() == 64);
        let looked = blocking(move || Ok(rules(&dir, long).zip(references::below(&dir, "heads")))).await?;
        let Some((rules, heads)) = looked else { return Ok(false) };
        let below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        let alike = |head: &String| {
            head.as_str() != branch && (head.eq_ignore_ascii_case(branch) || below(head, branch) || below(branch, head))
        };
        if heads.get(branch).map(String::as_str) != expect.map(Sha::as_str) || heads.keys().any(alike) {
            return Ok(false);
        }
        let known: HashSet<&str> = heads.values().map(String::as_str).collect();
        let Some((objects, ends)) = self.above(commit, &known).await else { return Ok(false) };
        // A branch there may name what a loss of power took.
        for end in ends {
            let tree = self.git.readers.ask(&self.git, there, Ask::Info, &format!("{end}^{{tree}}")).await;
            if tree.is_none() {
                return Ok(false);
            }
        }
        objects::write(there.join("objects"), objects, true).await?;
        self.git.keep(there, &[]).await?;
        let reference = format!("refs/heads/{branch}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let noted = rules.reflog || there.join("logs").join(&reference).is_file();
        let log = noted.then(|| format!("orch <orch@orch.invalid> {now} +0000\tpush"));
        let (dir, name, to) = (there.to_owned(), reference.clone(), commit.to_string());
        let from = expect.map(Sha::to_string);
        let moved = blocking(move || {
            let from = from.as_deref().map_or(From::Nowhere, From::Commit);
            let change = Move { to: &to, from, log: log.as_deref() };
            Ok(change.of(&dir, &name).is_some())
        });
        if !moved.await? {
            return Ok(false);
        }
        self.git.keep_references(there, &[&reference]).await?;
        Ok(true)
    }

    /// The objects of `commit` that are not below these commits, if they are few and all of them are read; and those of these
    /// commits that it builds on.
    pub(super) async fn above(&self, commit: &Sha, known: &HashSet<&str>) -> Option<(Vec<Loose>, Vec<String>)> {
        let (mut open, mut commits) = (vec![commit.to_string()], BTreeSet::new());
        let (mut wanted, mut ends) = (BTreeSet::new(), Vec::new());
        while let Some(id) = open.pop() {
            if known.contains(id.as_str()) {
                ends.push(id);
                continue;
            }
            if !commits.insert(id.clone()) {
                continue;
            }
            if MOST_COMMITS < commits.len() {
                return None;
            }
            let commit = self.commit_of(&id).await?;
            // Against one parent is enough: what the others brought in is among what differs.
            let parent = self.commit_of(commit.parents.first()?).await?;
            let difference = self.compare(&parent.tree, &commit.tree).await?;
            wanted.extend(difference.trees);
            let files = difference.deltas.into_iter().map(|d| d.new);
            wanted.extend(files.filter(|e| !e.is_absent() && e.mode != "160000").map(|e| e.oid));
            open.extend(commit.parents);
        }
        wanted.extend(commits);
        if MOST_OBJECTS < wanted.len() {
            return None;
        }
        let (mut objects, mut bytes) = (Vec::new(), 0);
        for id in wanted {
            let object = self.ask(Ask::Contents, &id).await.filter(|o| o.id == id)?;
            bytes += object.bytes.len();
            if MOST_BYTES < bytes {
                return None;
            }
            objects.push(Loose::read(id, object.kind, object.bytes)?);
        }
        Some((objects, ends))
    }
}

/// What a repository says of pushes; `None` if it says anything that only git knows how to follow.
fn rules(dir: &Path, long: bool) -> Option<Rules> {
    let text = fs::read_to_string(dir.join("config")).ok()?;
    let mut rules = Rules { reflog: false };
    let (mut section, mut hooks, mut format) = (String::new(), "hooks".to_owned(), "sha1".to_owned());
    let mut bare = false;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[') {
            // `[remote "origin"]`; what follows on the same line git alone reads.
            section = name.strip_suffix(']')?.replace(" \"", ".").replace('"', "").to_ascii_lowercase();
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, "true"));
        let (name, value) = (format!("{section}.{}", name.trim().to_ascii_lowercase()), value.trim());
        match name.as_str() {
            HOOKS => value.clone_into(&mut hooks),
            // A bare repository notes nothing by itself.
            REFLOG => {
                let value = value.to_ascii_lowercase();
                rules.reflog = matches!(value.as_str(), "true" | "yes" | "on" | "1" | "always");
            }
            BARE => bare = value == "true",
            "extensions.objectformat" => value.clone_into(&mut format),
            name if HARMLESS.contains(&name) => {}
            _ => return None,
        }
    }
    let plain = |dir: &str| dir.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    // A branch may be checked out there, in the repository itself or beside it.
    let checked_out = !bare || dir.join("worktrees").exists() || dir.join("config.worktree").exists();
    if !plain(&hooks) || (format == "sha256") != long || checked_out {
        return None;
    }
    match fs::read_dir(dir.join(hooks)) {
        Ok(files) => {
            for file in files {
                let file = file.ok()?;
                let sample = file.file_name().to_string_lossy().ends_with(".sample");
                if !sample && !fs::read(file.path()).is_ok_and(|text| is_own_hook(&text)) {
                    return None;
                }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return None,
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::super::history::NewCommit;
    use super::super::run::GitRun;
    use super::*;
    use orch_core::ids::Time;
    use orch_ports::git::{Author, FileWrite};
    use std::path::PathBuf;

    const BRANCH: &str = "feature/SHOP-1-x";

    struct World {
        _tmp: tempfile::TempDir,
        repo: Repo,
        there: PathBuf,
        base: Sha,
    }

    impl World {
        /// A private repository and one that is served, both with the same main.
        async fn new(format: &str) -> Self {
            let tmp = tempfile::tempdir().unwrap();
            let git = GitRun::new(&tmp.path().join("home")).unwrap();
            let (dir, there) = (tmp.path().join("private.git"), tmp.path().join("served.git"));
            for dir in [&dir, &there] {
                let init = git.call(None, "init").args(["-q", "--bare", "--initial-branch=main"]);
                init.arg(format!("--object-format={format}")).arg(dir).ok().await.unwrap();
            }
            let repo = Repo { git, dir, index_dir: tmp.path().join("index") };
            let tree = repo.empty_tree().await.unwrap();
            let author = Author::orch();
            let new = NewCommit { tree: &tree, parents: &[], message: "root", author: &author, at: Some(Time(1_000)) };
            let root = repo.commit(&new).await.unwrap();
            let mut world = Self { _tmp: tmp, repo, there, base: root.clone() };
            world.base = world.commit(&root, "src/main.rs", "fn main() {}").await;
            let spec = format!("{}:refs/heads/main", world.base);
            world.repo.call("push").args(["-q", &world.there.display().to_string(), &spec]).ok().await.unwrap();
            world
        }

        async fn commit(&self, parent: &Sha, path: &str, text: &str) -> Sha {
            let file = FileWrite { path: path.into(), bytes: text.into() };
            self.repo.commit_files(parent, &[file], path, Time(2_000)).await.unwrap()
        }

        async fn deliver(&self, commit: &Sha, expect: Option<&Sha>) -> bool {
            self.repo.deliver(&self.there, BRANCH, commit, expect).await.unwrap()
        }

        async fn served(&self, command: &str, args: &[&str]) -> String {
            self.repo.git.call(Some(&self.there), command).args(args).line().await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_branch_moves_with_all_of_its_objects_and_nothing_else_does() {
        for format in ["sha1", "sha256"] {
            let w = World::new(format).await;
            w.served("config", &["core.logAllRefUpdates", "true"]).await;
            let one = w.commit(&w.base, "docs/1.md", "one").await;
            let two = w.commit(&one, "src/deep/er/two.rs", "two").await;
            assert!(w.deliver(&two, None).await);
            assert_eq!(w.served("rev-parse", &[BRANCH]).await, two.as_str());
            // What is there already is brought again, and moved on from.
            assert!(w.deliver(&two, Some(&two)).await);
            let three = w.commit(&two, "src/main.rs", "fn main() { loop {} }").await;
            assert!(w.deliver(&three, Some(&two)).await);
            // Back, and to a sister: whoever holds the branch may replace what is on it.
            assert!(w.deliver(&one, Some(&three)).await);
            let check = w.repo.git.call(Some(&w.there), "fsck").args(["--strict", "--full"]).run().await.unwrap();
            assert_eq!(check.status, Some(0), "{}", String::from_utf8_lossy(&check.stderr));
            assert_eq!(w.served("rev-parse", &["main"]).await, w.base.as_str());
            let log = fs::read_to_string(w.there.join("logs/refs/heads").join(BRANCH)).unwrap();
            assert_eq!(log.lines().count(), 3, "{log}");
            assert!(log.contains(&format!("{two} {three} orch <orch@orch.invalid>")), "{log}");
        }
    }

    #[tokio::test]
    async fn whoever_has_a_word_in_a_push_is_asked_by_git() {
        let w = World::new("sha1").await;
        let mine = w.commit(&w.base, "a", "a").await;
        for (name, value) in
            [("receive.denyNonFastForwards", "true"), ("transfer.fsckObjects", "true"), ("alias.x", "y")]
        {
            w.served("config", &[name, value]).await;
            assert!(!w.deliver(&mine, None).await, "{name}");
            w.served("config", &["--unset", name]).await;
        }
        for hook in ["pre-receive", "post-receive", "reference-transaction"] {
            let file = w.there.join("hooks").join(hook);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "#!/bin/sh\nexit 1\n").unwrap();
            assert!(!w.deliver(&mine, None).await, "{hook}");
            fs::remove_file(&file).unwrap();
        }
        for dir in ["../hooks", "/srv/hooks"] {
            w.served("config", &["core.hooksPath", dir]).await;
            assert!(!w.deliver(&mine, None).await, "{dir}");
        }
        w.served("config", &["--unset", "core.hooksPath"]).await;
        w.served("config", &["core.bare", "false"]).await;
        assert!(!w.deliver(&mine, None).await, "a branch may be checked out in it");
        w.served("config", &["core.bare", "true"]).await;
        w.served("worktree", &["add", "-q", "--detach", "../beside", "main"]).await;
        assert!(!w.deliver(&mine, None).await, "a branch may be checked out beside it");
        fs::remove_dir_all(w.there.join("worktrees")).unwrap();
        // A sample speaks for nobody.
        fs::write(w.there.join("hooks/pre-receive.sample"), "#!/bin/sh\nexit 1\n").unwrap();
        assert!(w.deliver(&mine, None).await);
    }

    #[tokio::test]
    async fn a_branch_that_is_elsewhere_or_has_no_place_is_left_to_git() {
        let w = World::new("sha1").await;
        let mine = w.commit(&w.base, "a", "a").await;
        assert!(!w.deliver(&mine, Some(&w.base)).await, "it is not there");
        w.served("update-ref", &["refs/heads/feature", w.base.as_str()]).await;
        assert!(!w.deliver(&mine, None).await, "its directory is a branch");
        w.served("update-ref", &["-d", "refs/heads/feature"]).await;
        w.served("update-ref", &["refs/heads/FEATURE/shop-1-X", w.base.as_str()]).await;
        assert!(!w.deliver(&mine, None).await, "the same name for a file system without case");
        w.served("update-ref", &["-d", "refs/heads/FEATURE/shop-1-X"]).await;
        w.served("symbolic-ref", &[&format!("refs/heads/{BRANCH}"), "refs/heads/main"]).await;
        assert!(!w.deliver(&mine, Some(&w.base)).await, "it is another name of main");
        w.served("symbolic-ref", &["-d", &format!("refs/heads/{BRANCH}")]).await;
        let lock = w.there.join(format!("refs/heads/{BRANCH}.lock"));
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        fs::write(&lock, "").unwrap();
        assert!(!w.deliver(&mine, None).await, "somebody may hold that lock");
        fs::remove_file(lock).unwrap();
        assert!(w.deliver(&mine, None).await);
        assert_eq!(
            w.served("for-each-ref", &["--format=%(refname)"]).await,
            format!("refs/heads/{BRANCH}\nrefs/heads/main")
        );
    }

    #[tokio::test]
    async fn a_branch_there_that_lost_its_commit_is_built_on_by_nobody() {
        let w = World::new("sha1").await;
        let theirs = w.commit(&w.base, "a", "theirs").await;
        assert!(w.deliver(&theirs, None).await);
        let mine = w.commit(&theirs, "a", "mine").await;
        let file = w.there.join("objects").join(&theirs.as_str()[..2]).join(&theirs.as_str()[2..]);
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, "").unwrap();
        assert!(!w.deliver(&mine, Some(&theirs)).await);
        fs::write(&file, bytes).unwrap();
        assert!(w.deliver(&mine, Some(&theirs)).await);
    }

    #[tokio::test]
    async fn an_object_that_is_there_already_is_no_garbage_of_weeks_ago_any_more() {
        let w = World::new("sha1").await;
        let mine = w.commit(&w.base, "a", "text").await;
        let blob = w.repo.call("rev-parse").arg(format!("{mine}:a")).line().await.unwrap();
        assert_eq!(
            w.repo.git.call(Some(&w.there), "hash-object").args(["-w", "--stdin"]).stdin("text").line().await.unwrap(),
            blob
        );
        let file = w.there.join("objects").join(&blob[..2]).join(&blob[2..]);
        fs::File::open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(w.deliver(&mine, None).await);
        assert!(UNIX_EPOCH < fs::metadata(&file).unwrap().modified().unwrap());
    }

    #[tokio::test]
    async fn a_long_way_or_one_that_is_not_whole_is_left_to_git() {
        let w = World::new("sha1").await;
        let mut tip = w.base.clone();
        for n in 0..=MOST_COMMITS {
            tip = w.commit(&tip, "a", &n.to_string()).await;
        }
        assert!(!w.deliver(&tip, None).await);
        let mine = w.commit(&w.base, "a", "text that is lost").await;
        let blob = w.repo.call("rev-parse").arg(format!("{mine}:a")).line().await.unwrap();
        fs::remove_file(w.repo.dir.join("objects").join(&blob[..2]).join(&blob[2..])).unwrap();
        assert!(!w.deliver(&mine, None).await);
        let large = w.commit(&w.base, "b", &"x".repeat(MOST_BYTES + 1)).await;
        assert!(!w.deliver(&large, None).await);
    }
}
