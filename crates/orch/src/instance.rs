//! An instance: one installation with a configuration, a clone and a state directory. Decides where the state lies and
//! who may use it. It may never put state below a working tree by itself, nor let two configurations share a state.
//!
//! The failure it prevents: `git clean -fdx` in a clone removed the database, the token, running agents and the only
//! copy of the merged default branch.

pub mod moving;
pub mod place;
pub mod private;
pub mod record;

use crate::cli::{Exit, Failure};
use crate::config::Config;
use record::Record;
use std::path::Path;

/// Looks whether a daemon may work on this configuration's state. Changes nothing.
///
/// # Errors
/// A failure with exit 2 and the fix: a move that was begun and not finished, a place below a working tree that nobody
/// asked for, a link that came with the repository, or a name that belongs to another configuration.
pub fn allow(config: &Config) -> Result<(), Failure> {
    if moving::pending(&config.file).is_some() {
        return Err(Failure::usage("the state of this instance was being moved, and the move is not finished")
            .hint("finish it with `orch instance move`; what is there already is kept"));
    }
    let data = config.data_dir();
    if config.state_is_derived()
        && let Some(top) = place::working_tree_above(data)
    {
        return Err(Failure::usage(format!(
            "the state of this instance would lie in {}, inside the working tree {}: agents would read that tree's \
             files, and `git clean` there would remove the state",
            data.display(),
            top.display()
        ))
        .hint("set XDG_STATE_HOME to a directory outside of every repository, or [db] path to a file in one"));
    }
    if let Some(link) = place::tracked_link(data) {
        return Err(Failure::usage(format!(
            "{} is a symbolic link that git tracks: whoever wrote the repository decides where the state goes",
            link.display()
        ))
        .hint("remove it from the repository with `git rm`, or set [db] path to another place"));
    }
    if let (Some(name), Some(found)) = (&config.instance.name, Record::read(data))
        && let Some(other) = found.config_elsewhere(&config.file)
    {
        return Err(Failure::usage(format!(
            "the instance {name} belongs to {}: two configurations may not share a state",
            other.display()
        ))
        .hint(format!(
            "give {} another [instance] name, or remove the other file if it is not used any more",
            config.file.display()
        )));
    }
    Ok(())
}

/// Writes down whose state this is. The daemon owns the database by now.
///
/// # Errors
/// Exit 3 if the file cannot be written.
pub fn claim(config: &Config) -> Result<(), Failure> {
    let Some(name) = &config.instance.name else { return Ok(()) };
    let record = Record::of(name, &config.file, config.clone_dir().as_deref());
    let data = config.data_dir();
    if Record::read(data).as_ref() == Some(&record) {
        return Ok(());
    }
    record
        .write(data)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot write {}: {e}", Record::file(data).display())))
}

/// Does a path lie in a directory, links resolved as far as they are there?
pub(crate) fn lies_in(path: &Path, dir: &Path) -> bool {
    place::real(path).starts_with(place::real(dir))
}
