//! Does a repository on this machine have all of its history? One that has not can be cloned by nobody who needs it:
//! git ends such a fetch with several hundred characters about corruption. Only reads.

use super::run::GitRun;
use orch_ports::Fault;
use std::path::{Path, PathBuf};

/// Refuses a shallow clone and a partial one with what to do. What is no repository is left to whoever opens it.
pub(crate) async fn refuse_parts(git: &GitRun, source: &Path, branch: &str) -> Result<(), Fault> {
    let asked = git.call(None, "-C").arg(source).args(["rev-parse", "--git-common-dir"]).run().await?;
    if asked.status != Some(0) {
        return Ok(());
    }
    let common = source.join(String::from_utf8_lossy(&asked.stdout).trim_end_matches('\n'));
    if std::fs::metadata(common.join("shallow")).is_ok_and(|m| m.len() > 0) {
        return Err(Fault::permanent(
            "it is a shallow clone (--depth): older commits are missing in it; run `git fetch --unshallow` there, or name a \
             full clone in `repo` in [[project]]",
        ));
    }
    if is_partial(git, &common).await? && lacks_objects(git, &common, branch).await? {
        return Err(Fault::permanent(
            "it is a partial clone (--filter): objects are missing in it; run `git config --unset-all \
             remote.origin.partialclonefilter` and `git fetch --refetch` there, or name a full clone in `repo` in [[project]]",
        ));
    }
    Ok(())
}

/// The directory that `file://` names, where it is one.
pub(crate) fn directory(url: &str) -> Option<PathBuf> {
    let path = PathBuf::from(url.strip_prefix("file://")?);
    path.is_dir().then_some(path)
}

async fn is_partial(git: &GitRun, common: &Path) -> Result<bool, Fault> {
    let names = "^(remote\\..*\\.(promisor|partialclonefilter)|extensions\\.partialclone)$";
    let call = git.call(None, "config").arg("--file").arg(common.join("config"));
    Ok(call.args(["--get-regexp", names]).run().await?.status == Some(0))
}

/// A clone that was partial once may have everything by now.
async fn lacks_objects(git: &GitRun, common: &Path, branch: &str) -> Result<bool, Fault> {
    let call = git.call(Some(common), "rev-list").args(["--objects", "--missing=print", "--no-object-names"]);
    let out = call.args(["--end-of-options", &format!("refs/heads/{branch}")]).run().await?;
    // A branch that is not there is said by whoever looks for it.
    Ok(out.status == Some(0) && out.stdout.split(|b| *b == b'\n').any(|line| line.starts_with(b"?")))
}
