//! `orch instance move`: takes a state directory from where it lies (a clone's `.orch-state`, `~/.local/share/orch`) to the
//! place of its instance, and leaves a link. Every step may be the last one before a kill: what is done is seen from the
//! disk, and asking again goes on from there.
//!
//! The order is the point. The plan is written first and removed last, beside the configuration, where the old and the
//! new daemon look before they open anything; so at no moment can a daemon find an empty place and begin anew in it.

use super::record::{Record, sync_dir, write_whole};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What is to be done; kept until it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where the state lies.
    pub from: PathBuf,
    /// Where it will lie.
    pub to: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// What the configuration will say.
    pub text: String,
    /// Whose state it is.
    pub record: Record,
}

/// Said before each act that changes something on the disk; an error stops everything there, as a kill would.
pub type Tick<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// The plan's file for a configuration.
pub fn plan_file(config: &Path) -> PathBuf {
    let name = config.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    config.with_file_name(format!(".{name}.moving"))
}

/// A move that was begun and is not finished. A plan that cannot be read counts: it was written whole, so it is not ours.
pub fn pending(config: &Path) -> Option<io::Result<Plan>> {
    match fs::read(plan_file(config)) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(io::Error::other)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => Some(Err(e)),
    }
}

/// Writes the plan down: from here on the move is finished, sooner or later, or nothing runs.
///
/// # Errors
/// What the file system says.
pub fn begin(plan: &Plan, tick: Tick<'_>) -> io::Result<()> {
    tick("write the plan")?;
    let body = serde_json::to_vec_pretty(plan).map_err(io::Error::other)?;
    write_whole(&plan_file(&plan.config), &body)
}

/// Does what is left of a plan. The caller owns the database's lock, or there is no database.
///
/// `relocate` mends what is stored inside the databases; it is given the directory where they lie now and must bear to be
/// asked again. `copy` says not to rename, for a place on another file system.
///
/// # Errors
/// What the file system says; asking again goes on.
pub fn finish(
    plan: &Plan,
    copy: bool,
    relocate: &mut dyn FnMut(&Path) -> io::Result<()>,
    tick: Tick<'_>,
) -> io::Result<()> {
    if is_dir(&plan.from) && !plan.to.join("orch.db").exists() {
        bring(plan, copy, tick)?;
    }
    tick("mend stored paths")?;
    relocate(&plan.to)?;
    mend_runs(plan, tick)?;
    tick("write the record")?;
    plan.record.write(&plan.to)?;
    link(plan, tick)?;
    if fs::read_to_string(&plan.config)? != plan.text {
        tick("write the configuration")?;
        replace(&plan.config, &plan.text)?;
    }
    tick("remove the copied state")?;
    discard(&gone(plan))?;
    tick("remove the plan")?;
    fs::remove_file(plan_file(&plan.config))?;
    sync_dir(plan.config.parent().unwrap_or(Path::new("/")))
}

/// The name an old place has once its copy is whole.
fn gone(plan: &Plan) -> PathBuf {
    beside(&plan.from, "moved-away")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{name}.{end}"))
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

/// Gets the directory over: by a rename, or by a copy that counts only when it is whole and on disk.
fn bring(plan: &Plan, copy: bool, tick: Tick<'_>) -> io::Result<()> {
    let above = plan.to.parent().unwrap_or(Path::new("/"));
    tick("make the directory of instances")?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    if is_dir(&plan.to) {
        // Nothing but an empty place, or the caller would have refused.
        tick("remove the empty place")?;
        fs::remove_dir(&plan.to)?;
    }
    tick("rename the state")?;
    let renamed = if copy { Err(io::ErrorKind::CrossesDevices.into()) } else { fs::rename(&plan.from, &plan.to) };
    match renamed {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            let part = beside(&plan.to, "moving");
            discard(&part)?;
            copy_tree(&plan.from, &part, tick)?;
            tick("name the whole copy")?;
            fs::rename(&part, &plan.to)?;
            sync_dir(above)?;
        }
        Err(e) => return Err(e),
    }
    sync_dir(above)?;
    sync_dir(plan.from.parent().unwrap_or(Path::new("/")))
}

/// Copies a directory with its links and modes; each file and directory is on disk when this returns.
fn copy_tree(from: &Path, to: &Path, tick: Tick<'_>) -> io::Result<()> {
    tick("copy a directory")?;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, source, target) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&source, &target, tick)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            tick("copy a file")?;
            fs::copy(&source, &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
        // A socket or a pipe belongs to a process, and none is left.
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    sync_dir(to)
}

/// Runs that were asked for and never began would begin at the old place: their specifications name it.
fn mend_runs(plan: &Plan, tick: Tick<'_>) -> io::Result<()> {
    let (from, to) = (inner(&plan.from)?, inner(&plan.to)?);
    let runs = match fs::read_dir(plan.to.join("runs")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        runs => runs?,
    };
    for run in runs {
        let dir = run?.path();
        if dir.join("exit.json").exists() {
            continue;
        }
        let file = dir.join("spec.json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let mended = text.replace(&format!("{from}/"), &format!("{to}/"));
        if mended != text {
            tick("mend a run")?;
            write_whole(&file, mended.as_bytes())?;
        }
    }
    Ok(())
}

/// A path as it stands inside a JSON string.
pub fn inner(path: &Path) -> io::Result<String> {
    let text = serde_json::to_string(&path.to_string_lossy()).map_err(io::Error::other)?;
    Ok(text.trim_matches('"').to_owned())
}

/// What people's remotes name leads on to where it is now.
fn link(plan: &Plan, tick: Tick<'_>) -> io::Result<()> {
    if fs::read_link(&plan.from).is_ok_and(|target| target == plan.to) {
        return Ok(());
    }
    if is_dir(&plan.from) {
        tick("put the copied state aside")?;
        fs::rename(&plan.from, gone(plan))?;
    }
    let new = beside(&plan.from, "link");
    let _ = fs::remove_file(&new);
    tick("make the link")?;
    symlink(&plan.to, &new)?;
    tick("put the link in its place")?;
    fs::rename(&new, &plan.from)?;
    sync_dir(plan.from.parent().unwrap_or(Path::new("/")))
}

/// Writes over a file at once; it keeps its mode, because people may share it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = file.canonicalize()?;
    let mode = fs::metadata(&file)?.permissions().mode();
    let new = beside(&file, "new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &file)?;
    sync_dir(file.parent().unwrap_or(Path::new("/")))
}

fn discard(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "moving_tests.rs"]
mod tests;
