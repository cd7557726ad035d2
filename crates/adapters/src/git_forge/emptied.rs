//! What a power cut may leave of the files of a bare repository: nothing in them. Repairs `HEAD` where everything else is
//! whole (the default branch: `branch`).

use crate::durable;
use orch_ports::Fault;
use std::path::Path;

/// Does a file say nothing, or is it not there?
pub(super) fn says_nothing(path: &Path) -> bool {
    match std::fs::read(path) {
        Ok(bytes) => bytes.iter().all(|b| *b == 0),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Is everything but `HEAD` and references there that makes a directory a bare repository?
pub(super) fn is_bare(dir: &Path) -> bool {
    ["objects", "refs"].iter().all(|name| dir.join(name).is_dir()) && dir.join("config").is_file()
}

/// Writes the `HEAD` of a bare repository that a power cut left without one, if everything else that makes it a repository
/// is there.
pub(super) fn repair_head(dir: &Path, default_branch: &str) -> Result<(), Fault> {
    let head = dir.join("HEAD");
    if !is_bare(dir) || !says_nothing(&head) {
        return Ok(());
    }
    let name = format!("refs/heads/{default_branch}");
    let packed = std::fs::read_to_string(dir.join("packed-refs")).unwrap_or_default();
    let known =
        !says_nothing(&dir.join(&name)) || packed.lines().any(|l| l.split_once(' ').is_some_and(|(_, n)| n == name));
    if !known {
        return Ok(());
    }
    durable::put(&head, format!("ref: {name}\n").as_bytes(), 0o644)?;
    tracing::warn!(
        target: "orch::notice",
        "{} was empty, as a power cut leaves it: it names {default_branch} again; nothing else of the repository was changed",
        head.display()
    );
    Ok(())
}
