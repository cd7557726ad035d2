//! What the project's commands run, derived from the configuration and from both ends of a change: what runs on the
//! default branch, and what would run with the change. Only texts are read, as far as they are needed.

use super::secrets::batches;
use super::tree::Tree;
use crate::Range;
use orch_ports::Fault;
use orch_ports::git::{Entry, EntryKind};
use orch_testguard::guard::{self, Configured, Files, Guard};
use std::collections::{BTreeMap, HashMap};

/// How often what was read names more that has to be read.
const ROUNDS: usize = 24;
/// Longer files are no scripts that people write, bytes.
const LONGEST: u64 = 512 * 1024;
/// Keys of commands that a deploy runs.
pub(super) const HOOKS: &str = "deploy.";

/// The guards of the project's commands on these trees, each once.
pub(super) async fn guards(range: &Range<'_>, trees: &[&Tree<'_>]) -> Result<Vec<Guard>, Fault> {
    let commands = &range.commands;
    let mut found: BTreeMap<(String, guard::Part), Guard> = BTreeMap::new();
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    for tree in trees {
        for guard in of_tree(range, commands, tree).await? {
            let known = found.entry((guard.pattern.clone(), guard.part.clone())).or_insert_with(|| guard.clone());
            known.keys.extend(guard.keys);
        }
    }
    Ok(found.into_values().collect())
}

async fn of_tree(range: &Range<'_>, commands: &[Configured], tree: &Tree<'_>) -> Result<Vec<Guard>, Fault> {
    let mut files = Files::default();
    for entry in tree.all.iter().filter(|e| e.kind != EntryKind::Submodule) {
        files.add(&entry.path, tree.target(&entry.path));
    }
    let at: HashMap<&str, &Entry> = tree.all.iter().map(|e| (e.path.as_str(), e)).collect();
    let mut derived = guard::derive(commands, &files);
    for _ in 0..ROUNDS {
        if derived.wanted.is_empty() {
            break;
        }
        let wanted: Vec<&Entry> = derived.wanted.iter().filter_map(|path| at.get(path.as_str()).copied()).collect();
        let (small, large): (Vec<&Entry>, Vec<&Entry>) = wanted.into_iter().partition(|e| e.size <= LONGEST);
        for entry in large {
            files.set_text(&entry.path, Vec::new());
        }
        for some in batches(&small, |e| e.size) {
            let ids: Vec<String> = some.iter().map(|e| e.oid.clone()).collect();
            let read = range.git.read_objects(range.project, &ids).await?;
            for (entry, bytes) in some.iter().zip(read) {
                files.set_text(&entry.path, bytes);
            }
        }
        derived = guard::derive(commands, &files);
    }
    Ok(derived.guards)
}
