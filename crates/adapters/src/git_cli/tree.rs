//! Trees and indexes of a private repository: reading them, changing them entry by entry, and the two names a verdict
//! can be tied to. Never touches a working directory. Paths are bytes here; text is made of them for people only.

use super::index::Index;
use super::names::{is_branch_name, is_object_id};
use super::reader::Ask;
use super::run::GitRun;
use orch_core::artefact::{self, Known};
use orch_core::ids::{Digest, Sha};
use orch_ports::Fault;
use orch_ports::git::{Changed, EntryKind};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The largest file that is read into memory.
pub(super) const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;

/// A private repository, opened.
#[derive(Clone, Debug)]
pub(super) struct Repo {
    /// Starts git.
    pub(super) git: GitRun,
    /// Its git directory.
    pub(super) dir: PathBuf,
    /// Where its temporary indexes live.
    pub(super) index_dir: PathBuf,
}

/// One entry of a tree or an index. Mode `0` means: not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: String,
    pub(super) oid: String,
    pub(super) path: Vec<u8>,
}

/// One difference between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) old: Entry,
    pub(super) new: Entry,
    pub(super) how: char,
}

impl Entry {
    pub(super) fn is_regular(&self) -> bool {
        self.mode == "100644" || self.mode == "100755"
    }
    /// What it stands for, if it is there.
    pub(super) fn kind(&self) -> Option<EntryKind> {
        match self.mode.as_str() {
            "120000" => Some(EntryKind::Link),
            "160000" => Some(EntryKind::Submodule),
            _ => (!self.is_absent()).then_some(EntryKind::File),
        }
    }
    pub(super) fn is_absent(&self) -> bool {
        self.mode.bytes().all(|b| b == b'0')
    }
}

impl Delta {
    /// The known artefact this is a change of: only if each side is a regular file or nothing, so that a link under an
    /// artefact's name is code.
    pub(super) fn artefact(&self, dir: &str) -> Option<(&'static Known, &str)> {
        let plain = |e: &Entry| e.is_regular() || e.is_absent();
        (plain(&self.old) && plain(&self.new)).then(|| known_at(&self.new.path, dir)).flatten()
    }
}

/// The known artefact of this path and its name below `dir`.
pub(super) fn known_at<'p>(path: &'p [u8], dir: &str) -> Option<(&'static Known, &'p str)> {
    let name = std::str::from_utf8(path).ok()?.strip_prefix(dir)?.strip_prefix('/')?;
    artefact::known(name).map(|k| (k, name))
}

/// Text of a path, for people.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A commit id that may stand on a command line.
pub(super) fn checked(sha: &Sha) -> Result<&str, Fault> {
    let id = sha.as_str();
    let hex = id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && (id.len() == 40 || id.len() == 64) {
        Ok(id)
    } else {
        Err(Fault::bug(format!("'{id}' is not a full commit id")))
    }
}

impl Repo {
    /// Returns when its objects and these references are on disk.
    pub(super) async fn keep(&self, references: &[&str]) -> Result<(), Fault> {
        self.git.keep(&self.dir, references).await
    }

    /// A call on this repository.
    pub(super) fn call(&self, command: &str) -> super::run::Call<'_> {
        self.git.call(Some(&self.dir), command)
    }

    /// The id a revision expression names, peeled to `kind` (`commit`, `tree`).
    pub(super) async fn peel(&self, rev: &str, kind: &str) -> Result<Option<String>, Fault> {
        if let Some(id) = self.id_of(rev) {
            let object = self.ask(Ask::Info, &format!("{id}^{{{kind}}}")).await;
            if let Some(object) = object.filter(|o| o.kind == kind) {
                return Ok(Some(object.id));
            }
        }
        let call = self.call("rev-parse").args(["--verify", "--quiet", "--end-of-options"]);
        let output = call.arg(format!("{rev}^{{{kind}}}")).run().await?;
        match output.status {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
            Some(_) if !String::from_utf8_lossy(&output.stderr).contains("not a git repository") => Ok(None),
            _ => Err(output.fault("rev-parse")),
        }
    }

    /// The id that this is, or that a reference with a file of its own holds.
    fn id_of(&self, rev: &str) -> Option<String> {
        if is_object_id(rev) {
            return Some(rev.to_owned());
        }
        let name = rev.strip_prefix("refs/").filter(|name| is_branch_name(name))?;
        let text = std::fs::read_to_string(self.dir.join("refs").join(name)).ok()?;
        Some(text.trim_end().to_owned()).filter(|id| is_object_id(id))
    }

    /// The tree of a commit that must be there.
    pub(super) async fn tree_of(&self, commit: &Sha) -> Result<String, Fault> {
        let tree = self.peel(checked(commit)?, "tree").await?;
        tree.ok_or_else(|| Fault::gone(format!("commit {} is not in the private repository", commit.short())))
    }

    /// Entries below `path` (or the file there), everything if it is empty.
    pub(super) async fn entries(&self, treeish: &str, path: &[u8]) -> Result<Vec<Entry>, Fault> {
        if !path.is_empty()
            && let Some(entries) = self.walk(treeish, path).await
        {
            return Ok(entries);
        }
        self.listed(treeish, path).await
    }

    /// The same by a git of its own.
    pub(super) async fn listed(&self, treeish: &str, path: &[u8]) -> Result<Vec<Entry>, Fault> {
        let mut call = self.call("ls-tree").args(["-r", "-z", "--full-tree", "--end-of-options", treeish]);
        if !path.is_empty() {
            call = call.arg("--").arg(std::ffi::OsStr::from_bytes(path));
        }
        let out = call.ok().await?;
        let mut entries = vec![];
        for record in out.split(|b| *b == 0).filter(|r| !r.is_empty()) {
            let tab = record.iter().position(|b| *b == b'\t').ok_or_else(|| Fault::bug("ls-tree without a tab"))?;
            let head = String::from_utf8_lossy(&record[..tab]).into_owned();
            let mut words = head.split(' ');
            let (Some(mode), Some(_), Some(oid)) = (words.next(), words.next(), words.next()) else {
                return Err(Fault::bug("ls-tree without its three words"));
            };
            entries.push(Entry { mode: mode.into(), oid: oid.into(), path: record[tab + 1..].to_vec() });
        }
        Ok(entries)
    }

    /// The entry at exactly this path, links and all.
    pub(super) async fn entry(&self, treeish: &str, path: &[u8]) -> Result<Option<Entry>, Fault> {
        Ok(self.entries(treeish, path).await?.into_iter().find(|e| e.path == path))
    }

    /// Content of a blob that is not too large to be held.
    pub(super) async fn blob(&self, oid: &str, what: &str) -> Result<Vec<u8>, Fault> {
        let known = self.ask(Ask::Contents, oid).await.filter(|o| o.kind == "blob" && o.size <= MAX_FILE_BYTES);
        if let Some(object) = known {
            return Ok(object.bytes);
        }
        let size = self.call("cat-file").args(["-s", oid]).line().await?;
        if size.parse::<u64>().is_ok_and(|n| n <= MAX_FILE_BYTES) {
            self.call("cat-file").args(["blob", oid]).ok().await
        } else {
            Err(Fault::permanent(format!("read {what}: {size} bytes are more than the {MAX_FILE_BYTES} orch reads")))
        }
    }

    /// Stores a blob.
    pub(super) async fn store_blob(&self, bytes: &[u8]) -> Result<String, Fault> {
        self.call("hash-object").args(["-w", "--stdin"]).stdin(bytes).line().await
    }

    /// Differences between two trees, renames not followed.
    pub(super) async fn deltas(&self, from: &str, to: &str) -> Result<Vec<Delta>, Fault> {
        match self.compare(from, to).await {
            Some(difference) => Ok(difference.deltas),
            None => self.listed_deltas(from, to).await,
        }
    }

    /// The same by a git of its own.
    pub(super) async fn listed_deltas(&self, from: &str, to: &str) -> Result<Vec<Delta>, Fault> {
        let call = self.call("diff-tree").args(["-r", "-z", "--raw", "--no-abbrev", "--no-renames"]);
        let out = call.args(["--end-of-options", from, to, "--"]).ok().await?;
        let mut fields = out.split(|b| *b == 0);
        let mut deltas = vec![];
        while let (Some(head), Some(path)) = (fields.next().filter(|h| !h.is_empty()), fields.next()) {
            let head = String::from_utf8_lossy(head).into_owned();
            let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
            let [old_mode, new_mode, old, new, how] = words[..] else {
                return Err(Fault::bug("diff-tree without its five words"));
            };
            let entry = |mode: &str, oid: &str| Entry { mode: mode.into(), oid: oid.into(), path: path.to_vec() };
            let how = how.chars().next().unwrap_or('M');
            deltas.push(Delta { old: entry(old_mode, old), new: entry(new_mode, new), how });
        }
        Ok(deltas)
    }

    /// What the port calls the same.
    pub(super) async fn changed_files(&self, from: &Sha, to: &Sha) -> Result<Vec<Changed>, Fault> {
        let deltas = self.deltas(&self.tree_of(from).await?, &self.tree_of(to).await?).await?;
        Ok(deltas.iter().map(|d| Changed { path: shown(&d.new.path), how: d.how }).collect())
    }

    /// The tree of a commit without its known artefacts.
    pub(super) async fn code_tree(&self, commit: &Sha, artefact_dir: &str) -> Result<String, Fault> {
        let tree = self.tree_of(commit).await?;
        self.without_artefacts(tree, artefact_dir).await
    }

    async fn without_artefacts(&self, tree: String, artefact_dir: &str) -> Result<String, Fault> {
        let below = format!("{}/", artefact_dir.trim_end_matches('/'));
        let mut known = self.entries(&tree, below.as_bytes()).await?;
        known.retain(|e| e.is_regular() && known_at(&e.path, artefact_dir.trim_end_matches('/')).is_some());
        if known.is_empty() {
            return Ok(tree);
        }
        let question = format!("code {tree} {artefact_dir}");
        if let Some(code) = self.git.facts.get(&self.dir, &question)
            && self.ask(Ask::Info, &code).await.is_some()
        {
            return Ok(code);
        }
        let code = match self.without(&tree, &known).await {
            Some(done) => done?,
            None => self.without_by_index(&tree, known).await?,
        };
        self.git.facts.put(&self.dir, question, &code);
        Ok(code)
    }

    /// A tree without these files, by an index.
    pub(super) async fn without_by_index(&self, tree: &str, mut files: Vec<Entry>) -> Result<String, Fault> {
        for entry in &mut files {
            entry.mode = "0".into();
        }
        let index = Index::of(self, "code", tree).await?;
        index.set(&files).await?;
        index.tree().await
    }

    /// A name for what `head` changes against its merge base with `base`, artefacts aside.
    ///
    /// Not `git patch-id`: that ignores white space (a changed indentation would keep its review) and the content of
    /// binary files.
    pub(super) async fn patch_id(&self, base: &Sha, head: &Sha, artefact_dir: &str) -> Result<Digest, Fault> {
        let head_tree = self.code_tree(head, artefact_dir).await?;
        let from = match self.merge_base(base, head).await? {
            Some(fork) => self.code_tree(&fork, artefact_dir).await?,
            None => self.empty_tree().await?,
        };
        if from == head_tree {
            return Ok(Digest::new(normalised(b"")));
        }
        let call = self.call("diff-tree").args(["-r", "-p", "-U3", "--full-index", "--no-renames", "--no-color"]);
        let call = call.args(["--no-ext-diff", "--no-textconv", "--diff-algorithm=myers", "--no-indent-heuristic"]);
        let call = call.args(["--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/"]);
        let diff = call.args(["--end-of-options", &from, &head_tree, "--"]).ok().await?;
        Ok(Digest::new(normalised(&diff)))
    }

    /// The tree without any file.
    pub(super) async fn empty_tree(&self) -> Result<String, Fault> {
        self.call("mktree").stdin(vec![]).line().await
    }

    /// The best common ancestor.
    pub(super) async fn merge_base(&self, one: &Sha, other: &Sha) -> Result<Option<Sha>, Fault> {
        let question = format!("merge-base {one} {other}");
        if let Some(known) = self.git.facts.get(&self.dir, &question) {
            return Ok(Some(Sha::new(known)));
        }
        if self.follows(one, other).await.is_some() {
            return Ok(Some(one.clone()));
        }
        let output = self.call("merge-base").args([checked(one)?, checked(other)?]).run().await?;
        match output.status {
            Some(0) => {
                let base = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
                self.git.facts.put(&self.dir, question, &base);
                Ok(Some(Sha::new(base)))
            }
            Some(1) => Ok(None),
            _ => Err(output.fault("merge-base")),
        }
    }

    /// All of the best common ancestors.
    pub(super) async fn merge_bases(&self, one: &Sha, other: &Sha) -> Result<Vec<Sha>, Fault> {
        let output = self.call("merge-base").args(["--all", checked(one)?, checked(other)?]).run().await?;
        match output.status {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).lines().map(Sha::new).collect()),
            Some(1) => Ok(Vec::new()),
            _ => Err(output.fault("merge-base")),
        }
    }

    /// Is `old` an ancestor of, or the same as, `new`?
    pub(super) async fn is_ancestor(&self, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        let question = format!("ancestor {old} {new}");
        if let Some(known) = self.git.facts.get(&self.dir, &question) {
            return Ok(known == "yes");
        }
        let answer = self.follows(old, new).await.is_some() || self.asked_is_ancestor(old, new).await?;
        self.git.facts.put(&self.dir, question, if answer { "yes" } else { "no" });
        Ok(answer)
    }

    async fn asked_is_ancestor(&self, old: &Sha, new: &Sha) -> Result<bool, Fault> {
        let output = self.call("merge-base").args(["--is-ancestor", checked(old)?, checked(new)?]).run().await?;
        match output.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(output.fault("merge-base")),
        }
    }
}

/// SHA-256 of a diff without what a rebase changes: line numbers, and the ids of files shown line by line.
fn normalised(diff: &[u8]) -> String {
    let mut hash = Sha256::new();
    let mut held: &[u8] = b"";
    for line in diff.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"@@ ") {
            hash.update(b"@@\n");
        } else if line.starts_with(b"index ") {
            held = line;
        } else if line.starts_with(b"Binary files ") {
            hash.update(held);
            hash.update(line);
        } else {
            hash.update(line);
        }
    }
    hex(&hash.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Is this the id of the tree without any file, in either object format?
pub(super) fn is_empty_tree(tree: &str) -> bool {
    const SHA1: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    const SHA256: &str = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";
    tree == SHA1 || tree == SHA256
}

/// The path of an artefact directory without its trailing slash; an empty one would make every file an artefact's.
pub(super) fn artefact_dir(dir: &str) -> Result<&str, Fault> {
    let dir = dir.trim_end_matches('/');
    if dir.is_empty() || dir.starts_with('/') || dir.split('/').any(|c| matches!(c, "" | "." | "..")) {
        return Err(Fault::bug(format!("'{dir}' is not a directory of the repository")));
    }
    Ok(dir)
}

/// A path as an argument.
pub(super) fn os(path: &Path) -> &std::ffi::OsStr {
    path.as_os_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_keeps_its_name_when_its_lines_move_but_not_when_they_change() {
        let diff = |at: &str, index: &str, line: &str| {
            let head = format!("diff --git a/f b/f\nindex {index} 100644\n--- a/f\n+++ b/f\n");
            normalised(format!("{head}@@ -{at} +{at} @@ fn x\n context\n-old\n+{line}\n").as_bytes())
        };
        assert_eq!(diff("1,2", "a..b", "new"), diff("9,2", "c..d", "new"));
        assert_ne!(diff("1,2", "a..b", "new"), diff("1,2", "a..b", "  new"), "indentation counts");
        let binary = |index: &str| normalised(format!("index {index}\nBinary files a/f and b/f differ\n").as_bytes());
        assert_ne!(binary("a..b"), binary("a..c"), "binary content counts");
    }
}
