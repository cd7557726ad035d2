//! What a start and `orch doctor` say of repositories that are not like most: clones without all of their history, and
//! submodules that may not be followed. The same words in both places, with the key and the fix.

use crate::config::project::Project;
use orch_adapters::git_cli::{GitCli, Unfilled};
use orch_adapters::git_forge::GitForge;
use orch_ports::Fault;
use std::path::Path;

/// What is said of a repository.
pub(crate) enum Odd {
    /// orch cannot work on it.
    Refused(String),
    /// It can, and people should know this.
    Said(String),
}

/// What is said of a project whose files of git-lfs stay pointers.
pub(crate) fn pointers(project: &str) -> String {
    format!(
        "project {project}: git-lfs keeps files of it, and is not installed: in clones and checkouts they stay pointers; install \
         it (Debian: apt install git-lfs)"
    )
}

/// What `orch doctor` says of the remote of a project with `forge = "git"`: can it be read and pushed to?
pub(crate) async fn remote(project: &Project) -> Result<Option<Odd>, Fault> {
    let scratch = tempfile::tempdir().map_err(|e| Fault::transient(format!("make a temporary directory: {e}")))?;
    let looked = async {
        let remote = crate::vendors::remote(project)?;
        GitForge::examine_remote(&remote, &project.default_branch, scratch.path()).await
    };
    Ok(match looked.await {
        Ok(()) => None,
        Err(fault) if fault.is_transient() => Some(Odd::Said(fault.text)),
        Err(fault) => Some(Odd::Refused(fault.text)),
    })
}

/// What `orch doctor` says of the repository of a project, which is a directory of this machine.
pub(crate) async fn look(project: &Project, repos_dir: &Path) -> Result<Option<Odd>, Fault> {
    let scratch = tempfile::tempdir().map_err(|e| Fault::transient(format!("make a temporary directory: {e}")))?;
    let git = GitCli::new(scratch.path().join("repos"), scratch.path().join("worktrees")).await?;
    let path = Path::new(&project.repo);
    if let Err(fault) = git.refuse_parts(path, &project.default_branch).await {
        return Ok(Some(Odd::Refused(fault.text)));
    }
    let Some(dir) = git.git_dir(path).await? else { return Ok(None) };
    if project.submodules {
        let from = git.submodules_of(&project.repo, &project.submodule_hosts, &project.default_branch).await?;
        if let Some(why) = submodules(&project.key, &git.unfilled(&dir, &from, repos_dir).await?) {
            return Ok(Some(Odd::Refused(why)));
        }
    }
    let lacks = git.lacks_git_lfs(&dir, &project.default_branch).await?;
    Ok(lacks.then(|| Odd::Said(pointers(&project.key))))
}

/// Why a project with submodules that cannot be filled is refused; `None` if all of them can.
pub(crate) fn submodules(project: &str, unfilled: &[Unfilled]) -> Option<String> {
    let Unfilled { path, why, fix } = unfilled.first()?;
    let more = match unfilled.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!(
        "project {project}: the submodule {path} cannot be filled{more}: {why}; {fix}, or set `submodules = false` in the \
         project's [[project]] to leave it empty"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Unfilled, submodules};

    #[test]
    fn a_submodule_that_cannot_be_filled_is_named_with_the_key_and_the_fix() {
        assert_eq!(submodules("SHOP", &[]), None);
        let one = Unfilled {
            path: "sub".into(),
            why: "it comes from the host evil, which `submodule_hosts` does not name".into(),
            fix: "name its host in `submodule_hosts`",
        };
        let said = submodules("SHOP", &[one.clone(), one]).unwrap();
        assert!(said.starts_with("project SHOP: the submodule sub cannot be filled (and 1 more)"), "{said}");
        assert!(said.contains("submodule_hosts") && said.contains("submodules = false"), "{said}");
    }
}
