//! The instance of a clone: the one its state directory knows, or a new name, and where the state lies.

use super::super::context::Context;
use super::super::exit::{Exit, Failure};
use super::super::git_probe;
use super::file::{Instance, STATE_DIR};
use crate::instance::{place, record};
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// The instance of this clone: the one the state directory knows, else a new one.
pub(super) fn instance(top: &Path, context: &Context<'_>) -> Result<Instance, Failure> {
    let root = place::is_root();
    let old = top.join(STATE_DIR);
    let is_link = fs::symlink_metadata(&old).is_ok_and(|m| m.is_symlink());
    let real = place::real(top);
    let homes = place::homes(&context.env, root);
    let known = record::all(&homes).into_iter().find_map(|(dir, record)| {
        let record = record.filter(|r| r.clone.as_deref() == Some(&*real) && place::is_name(&r.name))?;
        (dir.file_name()?.to_str()? == record.name).then_some((dir, record.name))
    });
    // A link may have come with the repository: only the one that leads to this clone's own state is taken for ours.
    if is_link && known.as_ref().is_none_or(|(dir, _)| place::real(&old) != place::real(dir)) {
        return Err(Failure::usage(format!(
            "{} is a symbolic link to {}, which is no state directory of this clone",
            old.display(),
            place::real(&old).display()
        ))
        .hint("whoever put it there decides where it leads: remove it, then run `orch init` again"));
    }
    if let Some((state, name)) = known {
        return Ok(Instance { name, known: true, old: false, state });
    }
    let name = place::new_name(&real, random()?);
    if old.join("orch.db").is_file() {
        return Ok(Instance { name, known: false, old: true, state: old });
    }
    let state = place::state_dir(&context.env, root, &name).ok_or_else(|| {
        Failure::usage("HOME is not set, so there is no directory for the state").hint("set XDG_STATE_HOME")
    })?;
    if let Some(tree) = place::working_tree_above(&state) {
        return Err(Failure::usage(format!(
            "the state would lie in {}, inside the working tree {}: agents would read that tree's files, and `git \
             clean` there would remove the state",
            state.display(),
            tree.display()
        ))
        .hint("set XDG_STATE_HOME to a directory outside of every repository"));
    }
    Ok(Instance { name, known: false, old: false, state })
}

/// What tells two clones of one name apart.
pub(in crate::cli) fn random() -> Result<u16, Failure> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 2];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot read /dev/urandom: {e}")))?;
    Ok(u16::from_be_bytes(bytes))
}

/// Adds the state directory, or the link in its place, to the clone's own ignore list, once.
pub(in crate::cli) fn exclude(top: &Path) -> std::io::Result<()> {
    let Some(file) = git_probe::exclude_file(top) else {
        return Err(std::io::Error::other("git names no info/exclude"));
    };
    // Without a `/` at its end the line holds for a link, too.
    let line = format!("/{STATE_DIR}");
    let now = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    if now.lines().any(|l| l.trim() == line) {
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let gap = if now.is_empty() || now.ends_with('\n') { "" } else { "\n" };
    fs::OpenOptions::new().create(true).append(true).open(&file)?.write_all(format!("{gap}{line}\n").as_bytes())
}
