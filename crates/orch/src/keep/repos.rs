//! Repositories in a backup: bundles, which git makes of one moment and checks by itself. A bundle is made from a scratch
//! repository that borrows the objects, so that the references in it can be those the copied database believes in, and
//! nothing is ever written to the repository at work.

use super::Bundle;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A branch as the copied database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// `feature/SHOP-1-...`
    pub branch: String,
    /// Its head.
    pub head: String,
    /// The task's name.
    pub item: String,
}

/// Settings of a repository that make it what it is.
const SETTINGS: &[&str] = &[
    "core.fsync",
    "core.logallrefupdates",
    "core.hookspath",
    "receive.denydeletecurrent",
    "uploadpack.allowanysha1inwant",
];

/// Runs git with no configuration but ours.
pub(super) fn git(dir: Option<&Path>, args: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("git");
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    command.env_clear().env("PATH", path).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_NO_REPLACE_OBJECTS", "1");
    for (name, value) in
        [("core.fsync", "all"), ("core.hooksPath", "/dev/null"), ("gc.auto", "0"), ("safe.directory", "*")]
    {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    if let Some(dir) = dir {
        command.arg("--git-dir").arg(dir);
    }
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run git: {e}"))?;
    let text = input.to_owned();
    let mut pipe = child.stdin.take();
    // On a thread: git may answer before it has read everything.
    let writing = std::thread::spawn(move || {
        if let Some(pipe) = &mut pipe {
            let _ = pipe.write_all(text.as_bytes());
        }
        drop(pipe);
    });
    let done = child.wait_with_output().map_err(|e| format!("git {}: {e}", args.first().unwrap_or(&"")))?;
    let _ = writing.join();
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("git {}: {}", args.first().unwrap_or(&""), said.trim().lines().last().unwrap_or("it failed")))
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// Bundles the repository `dir` into `file`; `path` is where it lies in the state directory. `known` are the branches the
/// copied database believes in: in the bundle they are where it believes them, and what they moved to since is kept under
/// `refs/orch/later/`.
///
/// # Errors
/// What git says.
pub fn bundle(dir: &Path, path: &str, file: &Path, name: &str, known: &[Known]) -> Result<Bundle, String> {
    let about = |e: String| format!("{path}: {e}");
    let object_format = git(Some(dir), &["rev-parse", "--show-object-format"], "").map_err(about)?.trim().to_owned();
    let head = fs::read_to_string(dir.join("HEAD")).map_err(|e| format!("{path}: read HEAD: {e}"))?;
    let head = head.trim().strip_prefix("ref: ").unwrap_or("refs/heads/main").to_owned();
    let mut settings = Vec::new();
    for line in git(Some(dir), &["config", "--local", "--list"], "").map_err(about)?.lines() {
        if let Some((key, value)) = line.split_once('=')
            && SETTINGS.contains(&key.to_lowercase().as_str())
        {
            settings.push((key.to_owned(), value.to_owned()));
        }
    }
    let mut refs = BTreeMap::new();
    for line in git(Some(dir), &["for-each-ref", "--format=%(objectname) %(refname)"], "").map_err(about)?.lines() {
        if let Some((id, name)) = line.split_once(' ') {
            refs.insert(name.to_owned(), id.to_owned());
        }
    }
    for Known { branch, head, item } in known {
        let there = git(Some(dir), &["cat-file", "-e", &format!("{head}^{{commit}}")], "").is_ok();
        if !there {
            continue;
        }
        let later = refs.insert(format!("refs/heads/{branch}"), head.clone());
        if let Some(later) = later.filter(|later| later != head) {
            refs.insert(format!("refs/orch/later/{item}"), later);
        }
    }
    let mut made = Bundle { path: path.to_owned(), bundle: None, head, object_format, settings };
    if refs.is_empty() {
        return Ok(made);
    }
    let scratch = tempfile::tempdir().map_err(|e| format!("{path}: a scratch directory: {e}"))?;
    let scratch = scratch.path().join("scratch.git");
    let format = format!("--object-format={}", made.object_format);
    git(None, &["init", "--quiet", "--bare", "--template=", &format, text(&scratch)?], "").map_err(about)?;
    let info = scratch.join("objects/info");
    let objects = dir.join("objects").canonicalize().map_err(|e| format!("{path}: {e}"))?;
    fs::create_dir_all(&info)
        .and_then(|()| fs::write(info.join("alternates"), format!("{}\n", objects.display())))
        .map_err(|e| format!("{path}: {e}"))?;
    let list: String = refs.iter().fold(String::new(), |all, (name, id)| format!("{all}create {name} {id}\n"));
    git(Some(&scratch), &["update-ref", "--stdin"], &list).map_err(about)?;
    git(Some(&scratch), &["bundle", "create", "--quiet", text(file)?, "--all"], "").map_err(about)?;
    git(Some(&scratch), &["bundle", "verify", "--quiet", text(file)?], "").map_err(about)?;
    made.bundle = Some(name.to_owned());
    Ok(made)
}

/// Makes the repository again at `dir`, which must not exist, and checks that everything its references name is there.
///
/// # Errors
/// What git says.
pub fn unbundle(repository: &Bundle, backup: &Path, dir: &Path) -> Result<(), String> {
    let about = |e: String| format!("{}: {e}", repository.path);
    let format = format!("--object-format={}", repository.object_format);
    git(None, &["init", "--quiet", "--bare", "--template=", &format, text(dir)?], "").map_err(about)?;
    for (key, value) in &repository.settings {
        git(Some(dir), &["config", "--local", key, value], "").map_err(about)?;
    }
    git(Some(dir), &["symbolic-ref", "HEAD", &repository.head], "").map_err(about)?;
    if let Some(name) = &repository.bundle {
        let file = backup.join(name);
        let args = ["-c", "protocol.file.allow=always", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"];
        let args: Vec<&str> = args.into_iter().chain(["--", text(&file)?, "+refs/*:refs/*"]).collect();
        git(Some(dir), &args, "").map_err(about)?;
        git(Some(dir), &["fsck", "--connectivity-only", "--no-dangling"], "").map_err(about)?;
    }
    Ok(())
}
