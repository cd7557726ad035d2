//! Commits of orch's own making: one on top of another, a branch brought to the tip of main, files orch writes. Decides
//! their content and order; everything happens on trees inside the private repository, no working directory is involved
//! and no branch moves. The same inputs always give the same commit, so that a repeated effect finds its own result.

use super::index::Index;
use super::objects::{self, Loose};
use super::reader::Ask;
use super::signing::Signing;
use super::tree::{Entry, Repo, checked, shown};
use orch_core::ids::{Sha, Time};
use orch_ports::Fault;
use orch_ports::git::{Author, FileWrite, Updated};
use std::fmt::Write as _;

/// A commit to be made.
pub(super) struct NewCommit<'a> {
    pub(super) tree: &'a str,
    pub(super) parents: &'a [&'a Sha],
    pub(super) message: &'a str,
    pub(super) author: &'a Author,
    /// Both dates; `None` is now, for what need not be repeatable.
    pub(super) at: Option<Time>,
}

/// Result of a three-way merge of trees.
pub(super) struct Merged {
    /// The tree, with conflict markers if there are conflicts.
    pub(super) tree: String,
    /// The files that conflict.
    pub(super) conflicts: Vec<Vec<u8>>,
}

impl Merged {
    /// The conflicts, for people.
    pub(super) fn files(&self) -> Vec<String> {
        self.conflicts.iter().map(|p| shown(p)).collect()
    }
}

/// A message as git stores it. Git refuses a NUL in one, and an agent's words may hold it.
pub(super) fn whole(message: &str) -> String {
    let mut message = message.replace('\0', "").trim_end().to_owned();
    message.push('\n');
    message
}

fn seconds(at: Time) -> i64 {
    at.0.max(0) / 1000
}

impl Repo {
    /// Makes a commit object.
    pub(super) async fn commit(&self, new: &NewCommit<'_>) -> Result<Sha, Fault> {
        self.commit_by(new, &Author::orch(), None).await
    }

    /// The same, committed by somebody else, and signed.
    pub(super) async fn commit_by(
        &self,
        new: &NewCommit<'_>,
        committer: &Author,
        signing: Option<&Signing>,
    ) -> Result<Sha, Fault> {
        if signing.is_none()
            && let Some(done) = self.plain_commit(new, committer).await
        {
            return done.map(Sha::new);
        }
        let mut call = self.call("commit-tree").arg(new.tree);
        for parent in new.parents {
            call = call.args(["-p", checked(parent)?]);
        }
        call = call.env("GIT_AUTHOR_NAME", &new.author.name).env("GIT_AUTHOR_EMAIL", &new.author.email);
        call = call.env("GIT_COMMITTER_NAME", &committer.name).env("GIT_COMMITTER_EMAIL", &committer.email);
        if let Some(at) = new.at {
            let date = format!("@{} +0000", seconds(at));
            call = call.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        }
        if let Some(signing) = signing {
            call = call.arg("-S");
            for (key, value) in &signing.config {
                call = call.config(key, value);
            }
            for (key, value) in &signing.env {
                call = call.env(key, value);
            }
        }
        Ok(Sha::new(call.stdin(whole(new.message)).line().await?))
    }

    /// The same without a git, byte by byte what `git commit-tree` writes. `None` where git would change a name, or has to
    /// say that a tree or a parent is none.
    async fn plain_commit(&self, new: &NewCommit<'_>, committer: &Author) -> Option<Result<String, Fault>> {
        let at = new.at.map_or_else(
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            |at| u64::try_from(seconds(at)).unwrap_or(0),
        );
        self.ask(Ask::Info, new.tree).await.filter(|o| o.kind == "tree" && o.id == new.tree)?;
        let mut text = format!("tree {}\n", new.tree);
        for (nth, parent) in new.parents.iter().enumerate() {
            self.ask(Ask::Info, checked(parent).ok()?).await.filter(|o| o.kind == "commit")?;
            // Git leaves out a parent that is named twice.
            (!new.parents[..nth].contains(parent)).then_some(())?;
            let _ = writeln!(text, "parent {parent}");
        }
        for (what, who) in [("author", new.author), ("committer", committer)] {
            let plain = |text: &str| {
                let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '@' | '+' | '.');
                let ends = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                text.chars().all(kept) && ends(text.chars().next()) && ends(text.chars().next_back())
            };
            (plain(&who.name) && plain(&who.email)).then_some(())?;
            let _ = writeln!(text, "{what} {} <{}> {at} +0000", who.name, who.email);
        }
        text.push('\n');
        text.push_str(&whole(new.message));
        Some(self.put_object(Loose::new("commit", text.into_bytes(), new.tree.len() == 64)).await)
    }

    /// Applies what `theirs` changes against `base` to the tree of `ours`, whatever their histories say.
    ///
    /// `merge-tree --merge-base` is of git 2.40. Three commits that hold the same trees and have `base` as their only
    /// common ancestor give every git the same answer.
    pub(super) async fn apply(&self, base: &str, ours: &str, theirs: &str) -> Result<Merged, Fault> {
        let fork = self.bare_commit(base, None).await?;
        let ours = self.bare_commit(ours, Some(&fork)).await?;
        let theirs = self.bare_commit(theirs, Some(&fork)).await?;
        self.merge_trees(ours.as_str(), theirs.as_str()).await
    }

    /// A commit that stands for a tree and is never shown: always the same one for the same tree and parent.
    async fn bare_commit(&self, treeish: &str, parent: Option<&Sha>) -> Result<Sha, Fault> {
        let tree = self.tree_of(&Sha::new(treeish)).await?;
        let parents: Vec<&Sha> = parent.into_iter().collect();
        let author = Author::orch();
        let new =
            NewCommit { tree: &tree, parents: &parents, message: "tree", author: &author, at: Some(Time::default()) };
        self.commit(&new).await
    }

    /// Merges two commits.
    pub(super) async fn merge_trees(&self, ours: &str, theirs: &str) -> Result<Merged, Fault> {
        let call = self.call("merge-tree").args(["--write-tree", "-z", "--name-only", "--no-messages"]);
        let output = call.args(["--end-of-options", ours, theirs]).run().await?;
        if !matches!(output.status, Some(0 | 1)) {
            return Err(output.fault("merge-tree"));
        }
        let mut fields = output.stdout.split(|b| *b == 0);
        let tree = shown(fields.next().unwrap_or_default()).trim_end().to_owned();
        let conflicts: Vec<Vec<u8>> = fields.take_while(|f| !f.is_empty()).map(<[u8]>::to_vec).collect();
        match output.status {
            Some(0) => Ok(Merged { tree, conflicts: vec![] }),
            _ if conflicts.is_empty() => Err(Fault::permanent("git merge-tree: a conflict without a file")),
            _ => Ok(Merged { tree, conflicts }),
        }
    }

    /// The files in which `head` and `onto` conflict.
    pub(super) async fn conflicts(&self, head: &Sha, onto: &Sha) -> Result<Vec<String>, Fault> {
        Ok(self.merge_trees(checked(onto)?, checked(head)?).await?.files())
    }

    /// Brings `head` to contain `onto`.
    pub(super) async fn update(&self, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault> {
        if self.is_ancestor(onto, head).await? {
            return Ok(Updated::UpToDate);
        }
        if self.merge_base(onto, head).await?.is_none() {
            let text = format!("update {}: it shares no history with {}", head.short(), onto.short());
            return Err(Fault::permanent(text));
        }
        let range = format!("{}..{}", checked(onto)?, checked(head)?);
        let list = self.call("rev-list").args(["--reverse", "--topo-order", "--parents", "--end-of-options", &range]);
        let list = shown(&list.arg("--").ok().await?);
        let commits: Vec<Vec<&str>> = list.lines().map(|line| line.split(' ').collect()).collect();
        if commits.iter().any(|ids| ids.len() > 2) {
            self.merge(head, onto, at).await
        } else {
            self.rebase(head, onto, &commits, at).await
        }
    }

    async fn merge(&self, head: &Sha, onto: &Sha, at: Time) -> Result<Updated, Fault> {
        let merged = self.merge_trees(checked(head)?, checked(onto)?).await?;
        if !merged.conflicts.is_empty() {
            return Ok(Updated::Conflict { files: merged.files() });
        }
        let message = format!("Merge {} into the task's branch", onto.short());
        let parents = [head, onto];
        let author = Author::orch();
        let new = NewCommit { tree: &merged.tree, parents: &parents, message: &message, author: &author, at: Some(at) };
        Ok(Updated::Moved { head: self.commit(&new).await? })
    }

    /// Replays commits (`[id, parent]`, oldest first) on top of `onto`; one whose change is there already is left out.
    async fn rebase(&self, head: &Sha, onto: &Sha, commits: &[Vec<&str>], at: Time) -> Result<Updated, Fault> {
        let mut tip = onto.clone();
        let mut tip_tree = self.tree_of(onto).await?;
        for ids in commits {
            let [id, parent] = ids[..] else {
                return Err(Fault::permanent("rebase: a second root commit in the branch"));
            };
            let merged = self.apply(parent, tip.as_str(), id).await?;
            if !merged.conflicts.is_empty() {
                // A commit on its own may conflict where the branch as a whole does not: what counts is the whole.
                return self.merge(head, onto, at).await;
            }
            if merged.tree != tip_tree {
                tip = self.replay(id, &merged.tree, &tip, at).await?;
                tip_tree = merged.tree;
            }
        }
        Ok(Updated::Moved { head: tip })
    }

    /// A commit with another tree and parent: author, date, encoding and message byte by byte as they were, orch as
    /// committer, and no signature, which would be void.
    async fn replay(&self, id: &str, tree: &str, parent: &Sha, at: Time) -> Result<Sha, Fault> {
        let raw = self.call("cat-file").args(["commit", id]).ok().await?;
        let end = raw.windows(2).position(|w| w == b"\n\n").unwrap_or(raw.len());
        let field = |name: &[u8]| raw[..end].split(|b| *b == b'\n').find(|line| line.starts_with(name));
        let author = field(b"author ").ok_or_else(|| Fault::permanent(format!("commit {id} has no author")))?;
        let orch = Author::orch();
        let mut new = format!("tree {tree}\nparent {}\n", parent.as_str()).into_bytes();
        new.extend_from_slice(author);
        let committer = format!("\ncommitter {} <{}> {} +0000\n", orch.name, orch.email, seconds(at));
        new.extend_from_slice(committer.as_bytes());
        if let Some(encoding) = field(b"encoding ") {
            new.extend_from_slice(encoding);
            new.push(b'\n');
        }
        new.push(b'\n');
        new.extend_from_slice(raw.get(end + 2..).unwrap_or_default());
        Ok(Sha::new(self.call("hash-object").args(["-t", "commit", "-w", "--stdin"]).stdin(new).line().await?))
    }

    /// Files of orch's own on top of `parent`.
    pub(super) async fn commit_files(
        &self,
        parent: &Sha,
        files: &[FileWrite],
        message: &str,
        at: Time,
    ) -> Result<Sha, Fault> {
        let tree = self.tree_of(parent).await?;
        let (mut entries, mut same) = (vec![], true);
        for file in files {
            let there = self.entry(&tree, file.path.as_bytes()).await?;
            if there
                .as_ref()
                .is_some_and(|e| e.is_regular() && e.oid == objects::id_of("blob", &file.bytes, e.oid.len() == 64))
            {
                continue;
            }
            same = false;
            let mode = there.filter(Entry::is_regular).map_or_else(|| "100644".into(), |e| e.mode);
            let oid = self.store_blob(&file.bytes).await?;
            entries.push(Entry { mode, oid, path: file.path.clone().into_bytes() });
        }
        if same {
            return Ok(parent.clone());
        }
        let index = Index::of(self, "files", &tree).await?;
        let before = index.count()?;
        index.set(&entries).await?;
        if index.count()? < before {
            let names: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
            return Err(Fault::transient(format!("adding {} took other files away", names.join(", "))));
        }
        let new_tree = index.tree().await?;
        if new_tree == tree {
            return Ok(parent.clone());
        }
        let author = Author::orch();
        self.commit(&NewCommit { tree: &new_tree, parents: &[parent], message, author: &author, at: Some(at) }).await
    }
}
