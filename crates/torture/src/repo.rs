//! Git by hand: how a world's repositories begin, and what an administrator does to them.

use crate::world::World;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A commit somebody with access to the server's disk put on main.
#[derive(Clone, Debug)]
pub struct AdminCommit {
    /// Where.
    pub project: &'static str,
    /// Main before.
    pub old: String,
    /// Main after.
    pub new: String,
}

impl World {
    /// Makes a project's bare repository; its first commit.
    pub(crate) fn first_commit(&self, key: &str) -> Result<String> {
        let (repo, work) = (self.repo(key), self.first(key));
        fs::create_dir_all(work.join("src"))?;
        fs::write(work.join("src/shared.txt"), "mark first\n")?;
        let bare = repo.display().to_string();
        if !self.place.imported {
            git_in(&self.dir, &["init", "--quiet", "--bare", "--initial-branch=main", &bare], &[])?;
        }
        git_in(&work, &["init", "--quiet", "--initial-branch=main"], &[])?;
        git_in(&work, &["add", "--all"], &[])?;
        git_in(&work, &["commit", "--quiet", "--message=first"], &[])?;
        if !self.place.imported {
            git_in(&work, &["push", "--quiet", &bare, "main"], &[])?;
        }
        git_in(&work, &["rev-parse", "HEAD"], &[])
    }

    /// Puts a commit on main as an administrator would, past the forge. False: the forge moved main in that moment.
    pub fn admin_commit(&mut self, project: &'static str) -> Result<bool> {
        let repo = self.repo(project);
        let index = self.dir.join("admin-index").display().to_string();
        let env = [("GIT_INDEX_FILE", index.as_str())];
        let git = |args: &[&str]| git_in(&repo, args, &env);
        let number = self.admin.len() + 1;
        let source = self.dir.join("admin-file");
        fs::write(&source, format!("administered {number}\n"))?;
        let old = git(&["rev-parse", "refs/heads/main"])?;
        git(&["read-tree", &old])?;
        let blob = git(&["hash-object", "-w", &source.display().to_string()])?;
        let entry = format!("100644,{blob},src/admin-{number}.txt");
        git(&["update-index", "--add", "--cacheinfo", &entry])?;
        let tree = git(&["write-tree"])?;
        let new = git(&["commit-tree", "-p", &old, "-m", &format!("administered {number}"), &tree])?;
        let moved = git(&["update-ref", "refs/heads/main", &new, &old]).is_ok();
        if moved {
            self.admin.push(AdminCommit { project, old, new });
        }
        Ok(moved)
    }
}

/// Runs git; its output without the line's end.
pub(crate) fn git_in(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let done = Command::new("git")
        .args(["-c", "user.name=World", "-c", "user.email=world@orch.invalid", "-c", "commit.gpgSign=false"])
        .args(["-c", "gc.auto=0"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .context("start git")?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
    } else {
        bail!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr))
    }
}
