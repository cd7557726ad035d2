//! What a range of commits brings in, read from objects. A diff can be talked out of showing something: by attributes of
//! the branch, by a binary flag, by a merge, by deleting it again. The list of new objects cannot.

use super::tree::{Repo, checked, shown};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::{BlobAt, BroughtIn, Entry, EntryKind};
use std::collections::{BTreeSet, HashMap};

/// What kind an object is, and its size in bytes.
struct Kind {
    blob: bool,
    size: u64,
}

/// The two sides of a range.
struct Sides {
    before: Vec<BlobAt>,
    after: Vec<BlobAt>,
    gone: Vec<String>,
    leading: Vec<Entry>,
}

/// More files than this on either side are only found again where their content is the same, or their name and nearly
/// all of their content.
const RENAMES: &str = "-l1000";

impl Repo {
    /// What `base..head` brings in.
    pub(super) async fn brought_in(&self, base: &Sha, head: &Sha) -> Result<BroughtIn, Fault> {
        let range = format!("{}..{}", checked(base)?, checked(head)?);
        let commits = self.call("rev-list").args(["--end-of-options", &range]).ok().await?;
        let commits: Vec<Sha> = String::from_utf8_lossy(&commits).lines().map(Sha::new).collect();
        let objects = async {
            let listed = self.call("rev-list").args(["--objects", "--end-of-options", &range]).ok().await?;
            let listed: Vec<(String, String)> = listed.split(|b| *b == b'\n').filter_map(oid_and_path).collect();
            let kinds = self.kinds(listed.iter().map(|(oid, _)| oid.as_str())).await?;
            Ok::<_, Fault>((listed, kinds))
        };
        let ((listed, kinds), changes) = tokio::try_join!(objects, self.changes_of(&commits))?;
        let mut found = BTreeSet::new();
        for (commit, oid, path) in changes {
            if kinds.get(&oid).is_some_and(|k| k.blob) {
                found.insert((path, oid, commit));
            }
        }
        // One entry per name and content: the newest commit speaks for the others.
        let order: HashMap<&str, usize> = commits.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
        let mut newest: HashMap<(String, String), String> = HashMap::new();
        for (path, oid, commit) in found {
            let place = newest.entry((path, oid)).or_insert_with(|| commit.clone());
            if order.get(commit.as_str()) < order.get(place.as_str()) {
                *place = commit;
            }
        }
        let seen: BTreeSet<String> = newest.keys().map(|(_, oid)| oid.clone()).collect();
        for (oid, path) in &listed {
            if kinds.get(oid).is_some_and(|k| k.blob) && !seen.contains(oid) {
                newest.insert((path.clone(), oid.clone()), head.to_string());
            }
        }
        let size = |oid: &str| kinds.get(oid).map_or(0, |k| k.size);
        let mut blobs: Vec<BlobAt> = newest
            .into_iter()
            .map(|((path, oid), commit)| BlobAt { size: size(&oid), path, oid, commit: Sha::new(commit) })
            .collect();
        blobs.sort_by(|a, b| (&a.path, &a.oid).cmp(&(&b.path, &b.oid)));
        let Sides { before, after, gone, leading } = self.sides(base, head).await?;
        Ok(BroughtIn { blobs, commits, before, after, gone, leading })
    }

    /// Everything whose path is different at `head` and where it left `base`: as it was, and as it is.
    async fn sides(&self, base: &Sha, head: &Sha) -> Result<Sides, Fault> {
        let call = self.call("merge-base").args(["--end-of-options", checked(base)?, checked(head)?]);
        let output = call.run().await?;
        // Without a common past all of the base is before.
        let fork = match output.status {
            Some(0) => Sha::new(String::from_utf8_lossy(&output.stdout).trim_end()),
            Some(1) => base.clone(),
            _ => return Err(output.fault("merge-base")),
        };
        let (from, to) = (self.tree_of(&fork).await?, self.tree_of(head).await?);
        let deltas = self.deltas(&from, &to).await?;
        let content = |e: &&super::tree::Entry| !e.is_absent() && e.mode != "160000";
        let old: Vec<_> = deltas.iter().map(|d| &d.old).filter(content).collect();
        let new: Vec<_> = deltas.iter().map(|d| &d.new).filter(content).collect();
        let kinds = self.kinds(old.iter().chain(&new).map(|e| e.oid.as_str())).await?;
        let sized = |entries: Vec<&super::tree::Entry>, commit: &Sha| {
            let blob = |e: &super::tree::Entry| BlobAt {
                path: shown(&e.path),
                size: kinds.get(&e.oid).map_or(0, |k| k.size),
                oid: e.oid.clone(),
                commit: commit.clone(),
            };
            entries.into_iter().map(blob).collect()
        };
        let leads = |e: &super::tree::Entry| {
            let kind = e.kind().filter(|kind| *kind != EntryKind::File)?;
            let size = kinds.get(&e.oid).map_or(0, |k| k.size);
            Some(Entry { path: shown(&e.path), kind, oid: e.oid.clone(), size })
        };
        let leading = deltas.iter().filter_map(|d| leads(&d.new)).collect();
        let gone = deltas.iter().any(|d| d.new.is_absent() && content(&&d.old));
        let gone = if gone { self.gone(&from, &to).await? } else { Vec::new() };
        Ok(Sides { before: sized(old, &fork), after: sized(new, head), gone, leading })
    }

    /// Paths of a tree that another one does not have, under no name.
    async fn gone(&self, from: &str, to: &str) -> Result<Vec<String>, Fault> {
        let call = self.call("diff-tree").args(["-r", "-z", "--raw", "--no-abbrev", "-M50%", RENAMES]);
        let out = call.args(["--diff-filter=D", "--end-of-options", from, to, "--"]).ok().await?;
        let mut fields = out.split(|b| *b == 0);
        let mut gone = Vec::new();
        while let (Some(header), Some(path)) = (fields.next().filter(|h| !h.is_empty()), fields.next()) {
            if !header.starts_with(b":160000 ") {
                gone.push(shown(path));
            }
        }
        Ok(gone)
    }

    /// Everything a commit holds, with sizes.
    pub(super) async fn everything(&self, commit: &Sha) -> Result<Vec<Entry>, Fault> {
        let entries = self.entries(&self.tree_of(commit).await?, b"").await?;
        let blobs = entries.iter().filter(|e| e.kind() != Some(EntryKind::Submodule));
        let kinds = self.kinds(blobs.map(|e| e.oid.as_str())).await?;
        let size = |oid: &str| kinds.get(oid).map_or(0, |k| k.size);
        let entry = |e: &super::tree::Entry| {
            let kind = e.kind()?;
            Some(Entry { path: shown(&e.path), kind, oid: e.oid.clone(), size: size(&e.oid) })
        };
        Ok(entries.iter().filter_map(entry).collect())
    }

    /// Every change every commit makes against each of its parents: commit, new blob, path.
    async fn changes_of(&self, commits: &[Sha]) -> Result<Vec<(String, String, String)>, Fault> {
        let input = commits.iter().fold(String::new(), |all, commit| all + commit.as_str() + "\n");
        let call = self.call("diff-tree").args(["--stdin", "-r", "-m", "--root", "-z", "--raw", "--no-abbrev"]);
        let out = call.args(["--no-renames"]).stdin(input).ok().await?;
        let (mut changes, mut commit) = (Vec::new(), String::new());
        let mut fields = out.split(|b| *b == 0);
        while let Some(field) = fields.next() {
            let Some(header) = field.strip_prefix(b":") else {
                // The name of the commit, and for a merge the parent it is compared with.
                let name = String::from_utf8_lossy(field);
                if let Some(word) = name.split_whitespace().next() {
                    word.clone_into(&mut commit);
                }
                continue;
            };
            let header = String::from_utf8_lossy(header);
            let words: Vec<&str> = header.split(' ').collect();
            let (Some(mode), Some(oid), Some(path)) = (words.get(1), words.get(3), fields.next()) else {
                return Err(Fault::bug("git diff-tree: a change without its five words and a path"));
            };
            // Gone, or a submodule's commit: neither has content here.
            if mode.bytes().any(|b| b != b'0') && *mode != "160000" {
                changes.push((commit.clone(), (*oid).to_owned(), shown(path)));
            }
        }
        Ok(changes)
    }

    async fn kinds(&self, ids: impl Iterator<Item = &str>) -> Result<HashMap<String, Kind>, Fault> {
        let input: String = ids.fold(String::new(), |all, id| all + id + "\n");
        if input.is_empty() {
            return Ok(HashMap::new());
        }
        let out = self.call("cat-file").args(["--batch-check", "--buffer"]).stdin(input).ok().await?;
        let mut kinds = HashMap::new();
        for line in String::from_utf8_lossy(&out).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [oid, kind, size] = words[..] else {
                return Err(Fault::gone(format!("an object is missing in the private repository: {line}")));
            };
            let size = size.parse().map_err(|_| Fault::bug(format!("git cat-file: `{line}` has no size")))?;
            kinds.insert(oid.to_owned(), Kind { blob: kind == "blob", size });
        }
        Ok(kinds)
    }

    /// Contents of objects, in the order asked for.
    pub(super) async fn contents(&self, ids: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let input: String = ids.iter().fold(String::new(), |all, id| all + id + "\n");
        let out = self.call("cat-file").args(["--batch", "--buffer"]).stdin(input).ok().await?;
        let (mut rest, mut all) = (&out[..], Vec::with_capacity(ids.len()));
        for id in ids {
            let broken = || Fault::gone(format!("object {id} cannot be read from the private repository"));
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(broken)?;
            let header = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size: usize = header.rsplit(' ').next().and_then(|n| n.parse().ok()).ok_or_else(broken)?;
            let body = rest.get(end + 1..end + 1 + size).ok_or_else(broken)?;
            all.push(body.to_vec());
            rest = rest.get(end + 2 + size..).ok_or_else(broken)?;
        }
        Ok(all)
    }
}

fn oid_and_path(line: &[u8]) -> Option<(String, String)> {
    if line.is_empty() {
        return None;
    }
    let space = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let path = line.get(space + 1..).unwrap_or_default();
    Some((String::from_utf8_lossy(&line[..space]).into_owned(), shown(path)))
}
