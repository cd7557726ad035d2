//! What conflicts, path by path, and what a tree shows of it later. Decides how git's own account of a merge becomes the
//! record; what the record means is decided in `orch_core::conflict`. Looking at a tree never merges anything.

use super::dirs::blocking;
use super::run::Output;
use super::tree::{Repo, checked, shown};
use orch_core::conflict::{self, Conflict, ConflictKind, ConflictPath, Found, PathShown, Shown, Side};
use orch_core::ids::Sha;
use orch_ports::Fault;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How much of the contents of files is held in memory at a time, bytes; a larger file is held alone.
const MAX_HELD: u64 = 32 * 1024 * 1024;
/// How many paths are named in one call.
const MAX_NAMED: usize = 200;

/// A path in git's account of a merge.
#[derive(Default)]
struct Account {
    /// What both started from, the branch's, the default branch's.
    stages: [Option<Side>; 3],
    /// Where git put it, if it could not be at its own place.
    helper: Option<Vec<u8>>,
    /// Which kinds of conflict git names for it.
    named: BTreeSet<String>,
}

impl Account {
    fn is(&self, what: &str) -> bool {
        self.named.iter().any(|n| n.contains(what))
    }

    fn kind(&self, marked: bool) -> ConflictKind {
        let mode = |side: &Option<Side>| side.as_ref().map(|s| s.mode.clone());
        let [ancestor, branch, base] = &self.stages;
        let both = |wanted: &str| [branch, base].iter().all(|s| mode(s).as_deref() == Some(wanted));
        let any = |wanted: &str| self.stages.iter().any(|s| mode(s).as_deref() == Some(wanted));
        let same = matches!((branch, base), (Some(a), Some(b)) if a.oid == b.oid);
        if self.is("file/directory") || self.is("directory/file") {
            ConflictKind::FileDirectory
        } else if both("160000") || self.is("submodule") && !self.is("distinct") {
            ConflictKind::Submodule
        } else if self.is("distinct") || any("160000") {
            ConflictKind::Types
        } else if self.is("rename") || self.is("file location") {
            ConflictKind::Rename
        } else if self.is("modify/delete") {
            ConflictKind::DeleteModify
        } else if both("120000") {
            ConflictKind::Symlink
        } else if same {
            ConflictKind::Mode
        } else if self.is("binary") {
            ConflictKind::Binary
        } else if marked {
            if ancestor.is_none() { ConflictKind::AddAdd } else { ConflictKind::Content }
        } else if branch.as_ref().is_some_and(Side::is_file) && base.as_ref().is_some_and(Side::is_file) {
            ConflictKind::Binary
        } else {
            ConflictKind::Other
        }
    }
}

/// The path git would have given a file, had nothing been in its way: `F` of `F~<label>`.
fn original<'p>(path: &'p [u8], labels: &[String]) -> Option<&'p [u8]> {
    labels.iter().find_map(|label| {
        let tail = [b"~", label.as_bytes()].concat();
        let at = path.windows(tail.len()).rposition(|w| w == tail)?;
        let rest = &path[at + tail.len()..];
        let counted = rest.strip_prefix(b"_").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
        (0 < at && (rest.is_empty() || counted)).then(|| &path[..at])
    })
}

/// Reads `merge-tree --write-tree -z`: the tree, and the paths that conflict.
fn account(out: &[u8], labels: &[String]) -> Result<(String, BTreeMap<Vec<u8>, Account>), Fault> {
    let broken = |what: &str| Fault::bug(format!("merge-tree {what}"));
    let mut fields = out.split(|b| *b == 0);
    let tree = shown(fields.next().unwrap_or_default()).trim_end().to_owned();
    let mut paths: BTreeMap<Vec<u8>, Account> = BTreeMap::new();
    for record in fields.by_ref().take_while(|f| !f.is_empty()) {
        let tab = record.iter().position(|b| *b == b'\t').ok_or_else(|| broken("without a tab"))?;
        let words = shown(&record[..tab]);
        let [mode, oid, stage] = words.split(' ').collect::<Vec<_>>()[..] else {
            return Err(broken("without its three words"));
        };
        let nth = stage.parse::<usize>().ok().filter(|n| (1..=3).contains(n));
        let nth = nth.ok_or_else(|| broken("with a stage of its own"))?;
        let path = &record[tab + 1..];
        let side = Side { mode: mode.into(), oid: oid.into() };
        let entry = paths.entry(original(path, labels).unwrap_or(path).to_vec()).or_default();
        entry.stages[nth - 1] = Some(side);
        if original(path, labels).is_some() {
            entry.helper = Some(path.to_vec());
        }
    }
    while let Some(count) = fields.next().filter(|f| !f.is_empty()) {
        let count: usize = shown(count).trim().parse().map_err(|_| broken("with a message that counts no paths"))?;
        let named: Vec<&[u8]> = fields.by_ref().take(count).collect();
        let kind = shown(fields.next().unwrap_or_default());
        fields.next();
        if !kind.starts_with("CONFLICT") {
            continue;
        }
        let places: Vec<&[u8]> = named.iter().map(|p| original(p, labels).unwrap_or(p)).collect();
        // A conflict that leaves no stages (a directory that was renamed to several) still needs a word.
        if !places.iter().any(|p| paths.contains_key(*p))
            && let Some(first) = places.first()
        {
            paths.entry(first.to_vec()).or_default();
        }
        for place in places {
            if let Some(entry) = paths.get_mut(place) {
                entry.named.insert(kind.clone());
            }
        }
    }
    Ok((tree, paths))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The exact bytes of a recorded path.
fn bytes_of(path: &ConflictPath) -> Vec<u8> {
    let Some(raw) = &path.raw else { return path.path.clone().into_bytes() };
    let digits: Vec<char> = raw.chars().collect();
    let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap_or(b'?');
    digits.chunks(2).map(byte).collect()
}

impl Repo {
    /// What bringing `head` to `onto` conflicts in; `None` if it merges.
    pub(super) async fn conflict(&self, head: &Sha, onto: &Sha) -> Result<Option<Conflict>, Fault> {
        let labels = vec![checked(head)?.to_owned(), checked(onto)?.to_owned()];
        let call = self.call("merge-tree").args(["--write-tree", "-z", "--messages", "--end-of-options"]);
        let output: Output = call.args(&labels).run().await?;
        match output.status {
            Some(0) => return Ok(None),
            Some(1) => {}
            _ => return Err(output.fault("merge-tree")),
        }
        let (tree, mut accounts) = account(&output.stdout, &labels)?;
        if accounts.is_empty() {
            return Err(Fault::permanent("git merge-tree: a conflict without a file"));
        }
        let names: Vec<Vec<u8>> = accounts.keys().cloned().collect();
        // A directory has no stages: what a side has at the place of a file is looked up.
        let fork = self.merge_base(onto, head).await?;
        for (nth, commit) in [(0, fork.as_ref()), (1, Some(head)), (2, Some(onto))] {
            let Some(commit) = commit else { continue };
            let there = self.direct(checked(commit)?, &names).await?;
            for (name, entry) in &mut accounts {
                if entry.stages[nth].is_none()
                    && let Some(side) = there.get(name).filter(|s| s.mode == "040000")
                {
                    entry.stages[nth] = Some(side.clone());
                }
            }
        }
        let places: Vec<Vec<u8>> =
            accounts.iter().map(|(name, a)| a.helper.clone().unwrap_or_else(|| name.clone())).collect();
        let written = self.direct(&tree, &places).await?;
        let files: Vec<String> = written.values().filter(|s| s.is_file()).map(|s| s.oid.clone()).collect();
        let found = self.found_in(files, &labels).await?;
        let mut paths = Vec::with_capacity(accounts.len());
        for ((name, entry), place) in accounts.iter().zip(&places) {
            let side = written.get(place).cloned();
            let alike = side.as_ref().and_then(|s| found.get(&s.oid)).and_then(conflict::alike);
            let marked = alike.is_some() && entry.helper.is_none();
            let [ancestor, branch, base] = entry.stages.clone();
            paths.push(ConflictPath {
                path: shown(name),
                raw: std::str::from_utf8(name).is_err().then(|| hex(name)),
                kind: entry.kind(alike.is_some()),
                marked,
                ancestor,
                branch,
                base,
                written: side,
                alike: alike.unwrap_or_default(),
            });
        }
        let files = paths.iter().map(|p| p.path.clone()).collect();
        Ok(Some(Conflict { labels, paths, ..Conflict::of_files(onto.clone(), files) }))
    }

    /// What the tree of `commit` shows of a recorded conflict, and everything of it that the files different from those of
    /// `over` (the default branch) hold. The task's own documents may quote what they like.
    pub(super) async fn conflict_shown(
        &self,
        commit: &Sha,
        record: &Conflict,
        over: &Sha,
        artefact_dir: &str,
    ) -> Result<Shown, Fault> {
        let (tree, over_tree) = (self.tree_of(commit).await?, self.tree_of(over).await?);
        let paths = conflict::paths(record);
        let names: Vec<Vec<u8>> = paths.iter().map(bytes_of).collect();
        let now = self.direct(&tree, &names).await?;
        let main = self.direct(&over_tree, &names).await?;
        let mut other = Vec::new();
        let mut shown_now = Shown::default();
        for delta in self.deltas(&over_tree, &tree).await? {
            if delta.new.is_absent() || delta.new.mode == "160000" || delta.artefact(artefact_dir).is_some() {
                continue;
            }
            if record.labels.iter().any(|label| contains(&delta.new.path, label)) {
                shown_now.helpers.push(shown(&delta.new.path));
            }
            if !names.contains(&delta.new.path) {
                other.push(delta.new);
            }
        }
        let of_paths =
            [&now, &main].into_iter().flat_map(|m| m.values()).filter(|s| s.is_file()).map(|s| s.oid.clone());
        let mut ids: Vec<String> = of_paths.collect();
        if !record.labels.is_empty() {
            ids.extend(other.iter().map(|e| e.oid.clone()));
        }
        let found = self.found_in(ids, &record.labels).await?;
        let of = |side: Option<&Side>| side.filter(|s| s.is_file()).and_then(|s| found.get(&s.oid)).cloned();
        for (path, name) in paths.iter().zip(&names) {
            let (entry, on_main) = (now.get(name).cloned(), main.get(name).cloned());
            let moved_on = (on_main != path.base).then(|| {
                let marks = of(on_main.as_ref()).unwrap_or_default().marks;
                (on_main, marks)
            });
            shown_now.paths.push(PathShown { found: of(entry.as_ref()).unwrap_or_default(), entry, moved_on });
        }
        for entry in &other {
            if let Some(line) = found.get(&entry.oid).and_then(|f| f.labelled.first()) {
                shown_now.strays.push((shown(&entry.path), *line));
            }
        }
        Ok(shown_now)
    }

    /// What stands at exactly these paths, directories included.
    async fn direct(&self, treeish: &str, paths: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Side>, Fault> {
        let mut there = HashMap::new();
        for some in paths.chunks(MAX_NAMED) {
            let call = self.call("ls-tree").args(["-t", "-z", "--full-tree", "--end-of-options", treeish, "--"]);
            let out = call.args(some.iter().map(|p| OsStr::from_bytes(p))).ok().await?;
            for record in out.split(|b| *b == 0).filter(|r| !r.is_empty()) {
                let tab = record.iter().position(|b| *b == b'\t').ok_or_else(|| Fault::bug("ls-tree without a tab"))?;
                let words = shown(&record[..tab]);
                let [mode, _, oid] = words.split(' ').collect::<Vec<_>>()[..] else {
                    return Err(Fault::bug("ls-tree without its three words"));
                };
                there.insert(record[tab + 1..].to_vec(), Side { mode: mode.into(), oid: oid.into() });
            }
        }
        there.retain(|path, _| paths.contains(path));
        Ok(there)
    }

    /// What each of these files holds of a conflict.
    async fn found_in(&self, mut ids: Vec<String>, labels: &[String]) -> Result<HashMap<String, Found>, Fault> {
        ids.sort_unstable();
        ids.dedup();
        let mut found = HashMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let input: String = ids.iter().fold(String::new(), |all, id| all + id + "\n");
        let out = self.call("cat-file").args(["--batch-check=%(objectsize)"]).stdin(input).ok().await?;
        let sizes: Vec<u64> = shown(&out).lines().map(|line| line.trim().parse().unwrap_or(0)).collect();
        let (mut some, mut held) = (Vec::new(), 0);
        let mut groups: Vec<Vec<String>> = Vec::new();
        for (id, size) in ids.into_iter().zip(sizes) {
            if !some.is_empty() && MAX_HELD < held + size {
                groups.push(std::mem::take(&mut some));
                held = 0;
            }
            held += size;
            some.push(id);
        }
        groups.push(some);
        for group in groups {
            let texts = self.contents(&group).await?;
            let labels = labels.to_vec();
            let looked = move || Ok(texts.iter().map(|text| conflict::look(text, &labels)).collect::<Vec<_>>());
            found.extend(group.into_iter().zip(blocking(looked).await?));
        }
        Ok(found)
    }
}

/// Is this one of the files git writes beside a path it could not merge?
fn contains(path: &[u8], label: &str) -> bool {
    let tail = [b"~", label.as_bytes()].concat();
    !label.is_empty() && path.windows(tail.len()).any(|w| w == tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_known_by_its_label() {
        let labels = vec!["a".repeat(40), "b".repeat(40)];
        let at = |path: &str| original(path.as_bytes(), &labels).map(shown);
        assert_eq!(at(&format!("d/F~{}", labels[0])).as_deref(), Some("d/F"));
        assert_eq!(at(&format!("F~{}_12", labels[1])).as_deref(), Some("F"));
        for other in ["F~main".to_owned(), format!("F~{}x", labels[0]), format!("~{}", labels[0]), "F".into()] {
            assert_eq!(at(&other), None, "{other}");
        }
    }

    #[test]
    fn a_path_that_is_no_text_is_kept_byte_by_byte() {
        let name = b"a\xff\n b";
        let path = ConflictPath {
            path: shown(name),
            raw: Some(hex(name)),
            kind: ConflictKind::Other,
            marked: false,
            ancestor: None,
            branch: None,
            base: None,
            written: None,
            alike: conflict::Marks::default(),
        };
        assert_eq!(bytes_of(&path), name);
    }
}
