//! Packs of a repository of this machine that its private one has in common with it, as `git clone` makes them common on
//! one disk: a second name for the same file. Git never writes into a pack again, and removing one name leaves the other.
//! Single objects are copied: they are few, and what damages one in its place damages no other. Decides nothing about what
//! is in them: a branch is named only if all below it is found to be there, and the fetch behind it brings what is not.

use super::dirs::blocking;
use super::references;
use super::tree::Repo;
use orch_ports::Fault;
use std::fs;
use std::path::Path;

/// Branches that are looked at; the fetch brings those of the others.
const MOST_BRANCHES: usize = 20;

impl Repo {
    /// Gives what the repository `there` holds a place in this one, which is new. True if packs have two names now: where
    /// the disk cannot do that, the fetch brings all as ever.
    pub(super) async fn share(&self, there: &Path) -> Result<bool, Fault> {
        let (from, to) = (there.to_owned(), self.dir.join("objects"));
        let heads = blocking(move || {
            let shared = share(&from.join("objects"), &to);
            Ok(if shared { references::below(&from, "heads") } else { None })
        });
        let Some(heads) = heads.await? else { return Ok(false) };
        let mut whole: Vec<String> = Vec::new();
        for (name, id) in heads.into_iter().take(MOST_BRANCHES) {
            let walk = self.call("rev-list").args(["--objects", "--quiet", &id, "--not"]).args(&whole);
            if whole.contains(&id) || walk.arg("--").run().await?.status == Some(0) {
                self.call("update-ref").args(["--end-of-options", &format!("refs/forge/{name}"), &id]).ok().await?;
                whole.push(id);
            }
        }
        Ok(true)
    }
}

/// Links packs, and copies single objects beside them. True if there were any packs.
fn share(from: &Path, to: &Path) -> bool {
    let pack = (from.join("pack"), to.join("pack"));
    let files = fs::read_dir(&pack.0).into_iter().flatten().flatten().filter_map(|f| f.file_name().into_string().ok());
    let packs = files.filter_map(|f| f.strip_suffix(".idx").filter(|f| f.starts_with("pack-")).map(str::to_owned));
    if fs::create_dir_all(&pack.1).is_err() || packs.filter(|name| link(&pack.0, &pack.1, name)).count() == 0 {
        return false;
    }
    for dir in fs::read_dir(from).into_iter().flatten().flatten() {
        let (from, to) = (dir.path(), to.join(dir.file_name()));
        if dir.file_name().len() != 2 || fs::create_dir_all(&to).is_err() {
            continue;
        }
        let files = fs::read_dir(&from).into_iter().flatten().flatten();
        for file in files.filter_map(|file| file.file_name().into_string().ok()) {
            // What is being written has another name.
            if file.bytes().all(|b| b.is_ascii_hexdigit()) {
                // One that is missing now is missing below: the fetch brings it.
                let _ = fs::copy(from.join(&file), to.join(&file));
            }
        }
    }
    true
}

/// Git finds a pack by its index, so that comes last.
fn link(from: &Path, to: &Path, pack: &str) -> bool {
    let of = |dir: &Path, kind: &str| dir.join(format!("{pack}.{kind}"));
    // Not all of its objects are in it, and git would fetch the others when they are asked for.
    if of(from, "promisor").exists() {
        return false;
    }
    let link = |kind: &str| fs::hard_link(of(from, kind), of(to, kind));
    if link("pack").is_err() {
        return false;
    }
    // Older gits make none, and none is needed.
    let _ = link("rev");
    let linked = link("idx").is_ok();
    if !linked {
        for kind in ["rev", "pack"] {
            let _ = fs::remove_file(of(to, kind));
        }
    }
    linked
}
