//! Packs of a repository of this machine that its private one has in common with it, as `git clone` makes them common on
//! one disk: a second name for the same file. Git never writes into a pack again, and removing one name leaves the other.
//! Decides nothing about what is in them: the fetch behind it looks whether they hold all that the branches need, and brings
//! what they do not.

use std::fs;
use std::path::Path;

/// Gives the packs of one object directory names in another one, where the disk can. Returns how many.
pub(super) fn share(from: &Path, to: &Path) -> usize {
    let (from, to) = (from.join("pack"), to.join("pack"));
    if fs::create_dir_all(&to).is_err() {
        return 0;
    }
    let entries = fs::read_dir(&from).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let packs =
        names.filter_map(|name| name.strip_suffix(".idx").filter(|n| n.starts_with("pack-")).map(str::to_owned));
    packs.filter(|pack| link(&from, &to, pack)).count()
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
