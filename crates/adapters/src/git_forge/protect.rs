//! Nobody pushes to the default branch: a hook in the bare repository refuses it, to people as well as to programs. The
//! hook is the only file this adapter writes into somebody else's repository, and it never replaces a hook that is
//! there already: it takes the free one of two places, or says that there is none.

use super::repo::Repo;
use crate::git_cli::names::{MARK, is_own_hook};
use crate::git_cli::run::io;
use orch_ports::Fault;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Either place is asked before anything moves: `update` once per branch, `pre-receive` once per push.
const PLACES: [&str; 2] = ["update", "pre-receive"];

/// Puts the hook in place, or brings ours up to date.
pub(super) async fn protect(repo: &Repo, branch: &str) -> Result<(), Fault> {
    let doing = || format!("protect branch {branch} of {}", repo.dir().display());
    let dir = hooks_dir(repo).await.map_err(|f| f.context(doing()))?;
    let script = script(branch);
    let mut free = None;
    for place in PLACES {
        let path = dir.join(place);
        match std::fs::read(&path) {
            Ok(bytes) if is_own_hook(&bytes) => {
                return if bytes == script.as_bytes() && is_executable(&path) { Ok(()) } else { write(&path, &script) };
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => free = free.or(Some(path)),
            Err(e) => return Err(io(&path, "read the hook", &e).context(doing())),
        }
    }
    let Some(path) = free else {
        return Err(Fault::permanent(format!(
            "{}: {} holds an `update` and a `pre-receive` hook of its own, and orch overwrites neither; free one of \
             them, or give orch a copy of the repository (`repo` in [[project]])",
            doing(),
            dir.display()
        )));
    };
    write(&path, &script).map_err(|f| f.context(doing()))
}

/// Where the repository looks for its hooks. Made explicit in its own configuration, because a `core.hooksPath` in a
/// user's configuration would otherwise switch the protection off without a word.
async fn hooks_dir(repo: &Repo) -> Result<PathBuf, Fault> {
    let set = repo.call("config").args(["--local", "--get", "core.hooksPath"]).run().await?;
    match set.status {
        Some(0) => {
            let text = String::from_utf8_lossy(&set.stdout).trim_end_matches('\n').to_owned();
            // Relative means relative to where hooks run: a bare repository's own directory.
            let dir = repo.dir().join(&text);
            let outside = dir.canonicalize().is_ok_and(|real| !real.starts_with(repo.dir()));
            if outside || !dir.starts_with(repo.dir()) || text.contains("..") || text.starts_with('~') {
                return Err(Fault::permanent(format!(
                    "its core.hooksPath is {text}, outside of the repository, and a hook there would speak for other \
                     repositories too; unset it, or give orch a copy of the repository (`repo` in [[project]])"
                )));
            }
            Ok(dir)
        }
        Some(1) => {
            repo.call("config").args(["--local", "core.hooksPath", "hooks"]).ok().await?;
            Ok(repo.dir().join("hooks"))
        }
        _ => Err(set.fault("config")),
    }
}

fn script(branch: &str) -> String {
    let quoted = branch.replace('\'', r"'\''");
    format!(
        "#!/bin/sh
{MARK}
# Written by orch's local forge, which serves this repository. The default branch moves only when orch merges
# a pull request; pushes to it and its deletion are refused here, for people and programs alike. Works as
# `update` (arguments: ref old new) and as `pre-receive` (lines of: old new ref). To take the repository away
# from orch, remove this file.
protected='refs/heads/{quoted}'
refuse() {{
    echo \"orch: $protected is protected: it moves only when orch merges a pull request.\" >&2
    echo \"orch: push to another branch and let a pull request bring it in.\" >&2
    exit 1
}}
check() {{
    # A branch that only points to another one moves that one.
    target=$(git symbolic-ref --quiet \"$1\") || target=$1
    [ \"$1\" != \"$protected\" ] && [ \"$target\" != \"$protected\" ] || refuse
}}
if [ $# -eq 3 ]; then
    check \"$1\"
else
    while read -r old new ref; do
        check \"$ref\"
    done
fi
exit 0
"
    )
}

/// Writes the hook whole or not at all: half a script would protect nothing.
fn write(path: &Path, script: &str) -> Result<(), Fault> {
    let temp = path.with_extension("orch-new");
    let put = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(&temp, script)?;
        std::fs::set_permissions(&temp, std::fs::Permissions::from_mode(0o755))?;
        std::fs::File::open(&temp)?.sync_all()?;
        std::fs::rename(&temp, path)
    };
    put().map_err(|e| io(path, "write the hook", &e))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 == 0o111)
}
