//! The few read-only questions `init` and `doctor` ask git. Never changes a repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Oldest version that is tested, what Debian 12 has. (`merge-tree --write-tree` is of 2.38.)
pub(super) const OLDEST: (u32, u32) = (2, 39);

/// Git in a directory. It asks nobody for anything: no server for an object, no person for a password.
fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).arg("-C").arg(dir);
    git
}

/// A line git answers, or `None` if it refuses.
fn ask(dir: &Path, args: &[&str]) -> Option<String> {
    let output = git(dir).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim_end_matches('\n').to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Version of git, as it says it and as numbers; `None`: no git.
pub(super) fn version() -> Option<(String, (u32, u32))> {
    let output = Command::new("git").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().trim_start_matches("git version ").to_owned();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    let pair = (numbers.next()?, numbers.next()?);
    Some((text, pair))
}

/// Top of the working tree a directory lies in.
pub(super) fn top(dir: &Path) -> Option<PathBuf> {
    ask(dir, &["rev-parse", "--show-toplevel"]).map(PathBuf::from)
}

/// The branch work is merged into: what the remote says, else what is checked out, also before the first commit.
pub(super) fn default_branch(dir: &Path) -> Option<String> {
    let remote = ask(dir, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]);
    remote
        .and_then(|name| name.strip_prefix("origin/").map(str::to_owned))
        .or_else(|| ask(dir, &["symbolic-ref", "--short", "HEAD"]))
}

/// Names of the remotes of a clone.
pub(super) fn remotes(dir: &Path) -> Vec<String> {
    ask(dir, &["remote"]).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Where a remote is pushed to, as git itself would go there.
pub(super) fn remote_url(dir: &Path, name: &str) -> Option<String> {
    let all = ask(dir, &["remote", "get-url", "--push", name])?;
    all.lines().next().map(str::to_owned)
}

/// Does a repository have a commit yet?
pub(super) fn has_commit(dir: &Path) -> bool {
    ask(dir, &["rev-parse", "--verify", "--quiet", "HEAD"]).is_some()
}

/// The file of ignore patterns that is nobody's but this clone's.
pub(super) fn exclude_file(dir: &Path) -> Option<PathBuf> {
    ask(dir, &["rev-parse", "--git-path", "info/exclude"]).map(|p| dir.join(p))
}

/// Is this a repository itself, bare or not, and not merely a directory inside one?
pub(super) fn is_repository(dir: &Path) -> bool {
    let bare = ask(dir, &["rev-parse", "--is-bare-repository"]).is_some_and(|answer| answer == "true");
    bare || top(dir).is_some_and(|top| top.canonicalize().ok() == dir.canonicalize().ok())
}

/// Does a repository have this branch?
pub(super) fn has_branch(dir: &Path, branch: &str) -> bool {
    ask(dir, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")]).is_some()
}

/// Every file of a branch of a repository on this machine; `None`: no such repository or branch.
pub(super) fn files(dir: &Path, branch: &str) -> Option<Vec<String>> {
    if !dir.is_absolute() {
        return None;
    }
    let output = git(dir)
        .args(["ls-tree", "-r", "-z", "--full-tree", "--name-only", &format!("refs/heads/{branch}")])
        .output()
        .ok()?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    output.status.success().then(|| names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Names that git lists with `-z`; nothing if it refuses.
pub(super) fn list_names(dir: &Path, args: &[&str]) -> Vec<String> {
    let output = git(dir).args(args).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return Vec::new() };
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Every entry of a commit that is no directory: its mode, as in `0o100644`, and its name.
pub(super) fn entries(dir: &Path, commit: &str) -> Vec<(u32, String)> {
    let lines = list_names(dir, &["ls-tree", "-r", "-z", "--full-tree", commit]);
    let entry = |line: &String| {
        let (about, name) = line.split_once('\t')?;
        let mode = u32::from_str_radix(about.split(' ').next()?, 8).ok()?;
        Some((mode, name.to_owned()))
    };
    lines.iter().filter_map(entry).collect()
}

/// The content of a file in a commit; `None`: it is not there, or has more bytes than this.
pub(super) fn blob(dir: &Path, commit: &str, name: &str, most: usize) -> Option<Vec<u8>> {
    let object = format!("{commit}:{name}");
    let size: usize = ask(dir, &["cat-file", "-s", &object])?.parse().ok()?;
    if most < size {
        return None;
    }
    let output = git(dir).args(["cat-file", "blob", &object]).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// The commit of a branch: where its remote has it, else where this clone does.
pub(super) fn tip(dir: &Path, branch: &str, remote: Option<&str>) -> Option<String> {
    let there = remote.and_then(|remote| commit_of(dir, &format!("refs/remotes/{remote}/{branch}")));
    there.or_else(|| commit_of(dir, &format!("refs/heads/{branch}")))
}

fn commit_of(dir: &Path, reference: &str) -> Option<String> {
    ask(dir, &["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")])
}

/// Is this a bare repository?
pub(super) fn is_bare(dir: &Path) -> bool {
    ask(dir, &["rev-parse", "--is-bare-repository"]).is_some_and(|answer| answer == "true")
}
