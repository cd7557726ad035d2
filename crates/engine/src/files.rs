//! Files of runs: written so that they are on disk, and removed whatever a run did to their permissions.

use orch_ports::Fault;
use std::path::Path;

/// Writes a file; when this returns, its content is on disk.
pub(crate) fn written(file: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Removes what a run made, whatever it did to the permissions: Go's module cache is of directories nobody may write to.
/// A file or a link goes as itself.
pub fn remove(dir: &Path) -> std::io::Result<()> {
    if !dir.symlink_metadata()?.is_dir() {
        return std::fs::remove_file(dir);
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(dir)?;
            std::fs::remove_dir_all(dir)
        }
        done => done,
    }
}

/// Gives the owner every directory of a tree; follows no link.
fn open_up(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// A directory for this user alone.
pub(crate) fn private_dir(dir: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)))
        .map_err(|e| Fault::transient(format!("create {}: {e}", dir.display())))
}

/// Writes a few bytes as a run would, and takes them away. A directory that is not there yet is made when it is needed,
/// so its nearest ancestor is asked.
pub(crate) fn probe(dir: &Path) -> std::io::Result<()> {
    let there = dir.ancestors().find(|d| d.is_dir()).unwrap_or(dir);
    let file = there.join(format!(".orch-write-probe-{}", std::process::id()));
    let written = std::fs::write(&file, [b'x'; 4_096]);
    match std::fs::remove_file(&file) {
        Err(e) if written.is_ok() && e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_made_unwritable_is_removed_all_the_same() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("go/pkg");
        std::fs::create_dir_all(made.join("mod")).unwrap();
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o500)).unwrap();
        open_up(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(dir.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&made, dir.path().join("link")).unwrap();
        for name in ["file", "link"] {
            remove(&dir.path().join(name)).unwrap();
            assert!(dir.path().join(name).symlink_metadata().is_err());
        }
        assert!(made.exists(), "a link goes, and not what it leads to");
        remove(dir.path()).unwrap();
        assert!(!dir.path().exists());
        assert_eq!(remove(dir.path()).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
