//! Programs of this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Finds a program the way a shell would.
pub(crate) fn on_path(program: &str, path: &str) -> Option<PathBuf> {
    let runs = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| runs(p));
    }
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|p| runs(p))
}
