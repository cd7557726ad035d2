//! The copy of the sources in which bugs are planted, and what it takes over of what is built already. The checkout and its
//! own build are only read.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What cargo has built of other people's crates is used again: it is copied where nothing is yet. The directory itself is
/// not shared: a crate of the workspace has the same name in both checkouts, and cargo would take what was built last, a
/// planted bug included, for what is built next.
pub(super) fn take_over(from: &Path, to: &Path) -> Result<()> {
    if !from.join(".fingerprint").is_dir() || to.join(".fingerprint").is_dir() {
        return Ok(());
    }
    for part in ["deps", "build", ".fingerprint"] {
        for entry in fs::read_dir(from.join(part)).with_context(|| format!("read {part} of {}", from.display()))? {
            let (path, name) = {
                let e = entry?;
                (e.path(), e.file_name().to_string_lossy().into_owned())
            };
            let krate = name.strip_prefix("lib").unwrap_or(&name);
            let ours = krate.starts_with("orch") || krate.starts_with("xtask");
            // What has no ending is a program: a test of ours, or a build script that `build` has.
            if ours || part == "deps" && path.extension().is_none() {
                continue;
            }
            copy_as_old(&path, &to.join(part).join(name))?;
        }
    }
    Ok(())
}

/// A copy that is as old as what it was made of: cargo goes by that.
fn copy_as_old(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from).with_context(|| format!("look at {}", from.display()))?;
    if meta.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_as_old(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::create_dir_all(to.parent().context("a file has a directory")?)?;
        fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
        fs::File::options().append(true).open(to)?.set_modified(meta.modified()?)?;
    }
    Ok(())
}

/// The workspace as it is, at a place of its own. Features of dependencies are decided by the whole workspace, so that the
/// copy uses the dependencies that are built already. A file that is the same stays untouched, and so does what was
/// built of it.
pub(super) fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    let mut kept = BTreeSet::new();
    for dir in ["crates", "xtask"] {
        copy_dir(&root.join(dir), &copy.join(dir), &mut kept)?;
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        copy_file(&root.join(file), &copy.join(file), &mut kept)?;
    }
    for dir in ["crates", "xtask"] {
        remove_others(&copy.join(dir), &kept)?;
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path, kept: &mut BTreeSet<PathBuf>) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to, kept)?;
        } else {
            copy_file(&entry.path(), &to, kept)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, kept: &mut BTreeSet<PathBuf>) -> Result<()> {
    let text = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&text) {
        fs::write(to, text).with_context(|| format!("write {}", to.display()))?;
    }
    kept.insert(to.to_owned());
    Ok(())
}

fn remove_others(dir: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), kept)?;
        } else if !kept.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
