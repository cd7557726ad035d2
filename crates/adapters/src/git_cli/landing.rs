//! What a task leaves on the forge and in the private repository: the one commit it lands as, the documents that stay
//! out of it, the end of its branch, and its own commits for a while. Decides what such a commit holds; whether it may
//! land is decided elsewhere. It may never make a commit of its own anew while the same one is there already.

use super::history::NewCommit;
use super::index::Index;
use super::remote::{Address, refuse_protected};
use super::signing::Signing;
use super::tree::{Entry, Repo, artefact_dir, checked, shown};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::{Author, Carry, OneCommit, PushAnswer, Shelf, Updated};

/// Where the commits of branches are kept.
const HISTORY: &str = "refs/orch/history";
/// Where what agents left is kept.
pub(super) const ATTIC: &str = "refs/orch/attic";
/// What the last run of each task left, until it is kept as history.
pub(super) const TASKS: &str = "refs/orch/tasks";

fn place(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::History => HISTORY,
        Shelf::Attic => ATTIC,
    }
}

impl Repo {
    /// See [`orch_ports::git::Git::one_commit`].
    pub(super) async fn one_commit(&self, one: &OneCommit<'_>, signing: Option<&Signing>) -> Result<Updated, Fault> {
        let (head, onto) = (one.head, one.onto);
        let onto_tree = self.tree_of(onto).await?;
        let tree = if self.is_ancestor(onto, head).await? {
            self.tree_of(head).await?
        } else {
            if self.merge_base(onto, head).await?.is_none() {
                let text = format!("update {}: it shares no history with {}", head.short(), onto.short());
                return Err(Fault::permanent(text));
            }
            let merged = self.merge_trees(checked(onto)?, checked(head)?).await?;
            if !merged.conflicts.is_empty() {
                return Ok(Updated::Conflict { files: merged.files() });
            }
            merged.tree
        };
        if tree == onto_tree {
            // All of it is there already: an empty commit would say otherwise.
            return Ok(Updated::Moved { head: onto.clone() });
        }
        if self.is_this(head, &tree, one).await? {
            return Ok(Updated::UpToDate);
        }
        for known in one.known {
            if self.peel(checked(known)?, "commit").await?.is_some() && self.is_this(known, &tree, one).await? {
                return Ok(Updated::Moved { head: known.clone() });
            }
        }
        let parents = [onto];
        let new =
            NewCommit { tree: &tree, parents: &parents, message: one.message, author: one.author, at: Some(one.at) };
        let signing = match (one.sign, signing) {
            (false, _) => None,
            (true, Some(signing)) => Some(signing),
            (true, None) => return Err(Fault::bug("a commit is to be signed, and nobody said how")),
        };
        Ok(Updated::Moved { head: self.commit_by(&new, one.committer, signing).await? })
    }

    /// Is a commit exactly what is to be made, its dates aside?
    async fn is_this(&self, commit: &Sha, tree: &str, one: &OneCommit<'_>) -> Result<bool, Fault> {
        let raw = self.call("cat-file").args(["commit", checked(commit)?]).ok().await?;
        let end = raw.windows(2).position(|w| w == b"\n\n").unwrap_or(raw.len());
        let head = shown(&raw[..end]);
        let said = |name: &str| head.lines().filter_map(|l| l.strip_prefix(name)).collect::<Vec<_>>();
        let by = |who: &Author| format!("{} <{}> ", who.name, who.email);
        let signed = head.lines().any(|l| l.starts_with("gpgsig"));
        Ok(said("tree ") == [tree]
            && said("parent ") == [one.onto.as_str()]
            && said("author ").first().is_some_and(|line| line.starts_with(&by(one.author)))
            && said("committer ").first().is_some_and(|line| line.starts_with(&by(one.committer)))
            && signed == one.sign
            && raw.get(end + 2..).unwrap_or_default() == super::history::whole(one.message).as_bytes())
    }

    /// See [`orch_ports::git::Git::carry`].
    pub(super) async fn carry(&self, carry: &Carry<'_>) -> Result<Sha, Fault> {
        let dir = artefact_dir(carry.artefact_dir)?;
        let parent_tree = self.tree_of(carry.parent).await?;
        let mut tree = self.tree_of(carry.commit).await?;
        // Removals first: what is put back may need the place of what was put in its way.
        let (mut removals, mut restored) = (vec![], vec![]);
        for delta in self.deltas(&parent_tree, &tree).await? {
            let Some((known, name)) = delta.artefact(dir) else { continue };
            if carry.documents.iter().any(|d| *d == known.name || *d == name) {
                continue;
            }
            let list: &mut Vec<Entry> = if delta.old.is_absent() { &mut removals } else { &mut restored };
            list.push(delta.old);
        }
        removals.append(&mut restored);
        if !removals.is_empty() {
            let index = Index::of(self, "carry", &tree).await?;
            index.set(&removals).await?;
            tree = index.tree().await?;
        }
        if tree == parent_tree && carry.merged.is_none() {
            return Ok(carry.parent.clone());
        }
        let mut parents = vec![carry.parent];
        parents.extend(carry.merged);
        let (message, author) = (carry.message, carry.author);
        self.commit(&NewCommit { tree: &tree, parents: &parents, message, author, at: Some(carry.at) }).await
    }

    /// See [`orch_ports::git::Git::delete_branch`].
    pub(super) async fn delete_branch(
        &self,
        remote: &Address,
        branch: &str,
        protected: &str,
        expect: &Sha,
    ) -> Result<PushAnswer, Fault> {
        let name = refuse_protected(branch, protected)?;
        let reference = format!("refs/heads/{name}");
        self.check_ref(&reference).await?;
        let call = remote.with(self.call("push")).args(["--porcelain", "--no-verify", "--no-recurse-submodules"]);
        let call = call.arg(format!("--force-with-lease={reference}:{}", checked(expect)?));
        let call = call.args(["--end-of-options", remote.url(), &format!(":{reference}")]);
        let output = call.run().await?;
        // Whatever the words: where the branch is decides what it means.
        match self.look(remote, &reference).await? {
            None => Ok(PushAnswer::Done),
            Some(now) if now != *expect => Ok(PushAnswer::Rejected { now: Some(now) }),
            Some(_) => Err(output.fault("push")),
        }
    }

    /// Names a commit, so that no housekeeping takes it: `<task>/<name>`. What the task's last run left has no name of its own
    /// from then on, if it is among what this commit holds.
    pub(super) async fn keep_history(&self, name: &str, commit: &Sha) -> Result<(), Fault> {
        let reference = format!("{HISTORY}/{name}");
        self.check_ref(&reference).await?;
        let call = self.call("update-ref").args(["--end-of-options", &reference, checked(commit)?]);
        call.ok().await?;
        // What cannot be looked at or let go of now stays until the next time: the history is kept.
        if let Some((task, _)) = name.split_once('/')
            && let Err(fault) = self.let_go_of_last(&format!("{TASKS}/{task}"), commit).await
        {
            tracing::warn!(task, %fault, "the name of what its last run left stays");
        }
        Ok(())
    }

    async fn let_go_of_last(&self, own: &str, kept: &Sha) -> Result<(), Fault> {
        if let Some(last) = self.peel(own, "commit").await?
            && self.is_ancestor(&Sha::new(&last), kept).await?
        {
            self.call("update-ref").args(["-d", "--end-of-options", own, &last]).ok().await?;
        }
        Ok(())
    }

    /// Lets one go.
    pub(super) async fn let_go(&self, shelf: Shelf, name: &str) -> Result<(), Fault> {
        let reference = format!("{}/{name}", place(shelf));
        self.check_ref(&reference).await?;
        self.call("update-ref").args(["-d", "--end-of-options", &reference]).ok().await.map(drop)
    }

    /// Everything that is kept on a shelf, by name.
    pub(super) async fn kept(&self, shelf: Shelf) -> Result<Vec<(String, Sha)>, Fault> {
        let place = place(shelf);
        let call = self.call("for-each-ref").arg("--format=%(objectname) %(refname)");
        let out = call.arg(format!("{place}/")).ok().await?;
        let mut kept = Vec::new();
        for line in shown(&out).lines() {
            let Some((id, name)) = line.split_once(' ') else { continue };
            let name = name.strip_prefix(place).and_then(|n| n.strip_prefix('/')).unwrap_or(name);
            kept.push((name.to_owned(), Sha::new(id)));
        }
        Ok(kept)
    }

    /// Publishes what is kept under the same name, beside all branches.
    pub(super) async fn push_history(&self, remote: &Address, name: &str, commit: &Sha) -> Result<(), Fault> {
        let reference = format!("{HISTORY}/{name}");
        self.check_ref(&reference).await?;
        let call = remote.with(self.call("push")).args(["--porcelain", "--no-verify", "--no-recurse-submodules"]);
        let spec = format!("+{}:{reference}", checked(commit)?);
        call.args(["--end-of-options", remote.url(), &spec]).ok().await.map(drop)
    }
}
