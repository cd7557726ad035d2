//! Taking a backup. The database first, then what it speaks of: git only gains while a daemon works, so whatever the
//! copied database calls merged is in the repositories that are copied after it. Branches of open tasks are the exception
//! (they move, and go), and are put where the copied database knows them.

use super::repos::{self, Known};
use super::{Entry, FORM, MANIFEST, Manifest, digest};
use crate::config::Config;
use crate::instance::record::{sync_dir, write_whole};
use orch_store::sqlite::OpenOptions;
use orch_store::{SqliteStore, TaskFilter, Tasks};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Takes a backup of an instance into `to`, which must not be there or be empty. Its daemon may be at work.
///
/// # Errors
/// A sentence; nothing that looks like a backup is left then.
pub fn take(config: &Config, to: &Path, now: &str) -> Result<Manifest, String> {
    if fs::read_dir(to).is_ok_and(|mut all| all.next().is_some()) || to.is_file() {
        return Err(format!("{} is there already: a backup never overwrites, name another directory", to.display()));
    }
    let name = to.file_name().ok_or_else(|| format!("{} names no directory", to.display()))?.to_string_lossy();
    let partial = to.with_file_name(format!("{name}.partial"));
    let gone = |e: io::Error| format!("{}: {e}", partial.display());
    match fs::remove_dir_all(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(gone(e)),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&partial).map_err(gone)?;
    let manifest = fill(config, &partial, now)?;
    let body = serde_json::to_vec_pretty(&manifest).map_err(|e| e.to_string())?;
    write_whole(&partial.join(MANIFEST), &body).map_err(gone)?;
    // An empty directory that was made for it is replaced.
    let _ = fs::remove_dir(to);
    fs::rename(&partial, to).map_err(|e| format!("{}: {e}", to.display()))?;
    sync_dir(to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))).map_err(gone)?;
    Ok(manifest)
}

fn fill(config: &Config, to: &Path, now: &str) -> Result<Manifest, String> {
    let data = config.data_dir();
    let io = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    SqliteStore::copy_file(&config.db.path, &to.join("orch.db")).map_err(|e| e.to_string())?;
    let schema = SqliteStore::inspect(&to.join("orch.db")).map_err(|e| e.to_string())?.unwrap_or_default();
    for name in ["tracker.db", "forge/forge.db"] {
        let from = data.join(name);
        if from.exists() {
            let target = to.join(name);
            make_dir(target.parent().unwrap_or(to)).map_err(|e| io(&target, e))?;
            SqliteStore::copy_file(&from, &target).map_err(|e| e.to_string())?;
        }
    }
    let mut manifest = Manifest {
        form: FORM,
        orch: env!("CARGO_PKG_VERSION").into(),
        schema,
        made_at: now.into(),
        instance: config.instance.name.clone(),
        state: crate::instance::place::real(data),
        files: Vec::new(),
        repositories: Vec::new(),
        elsewhere: Vec::new(),
    };
    let known = known(&to.join("orch.db"))?;
    for (home, below) in [("forge", data.join("forge")), ("repos", config.repos_dir())] {
        for dir in bare(&below) {
            let file = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let repository = file.trim_end_matches(".git");
            let of_it: Vec<Known> = match home {
                "forge" => known.iter().filter(|(p, _)| p == repository).map(|(_, k)| k.clone()).collect(),
                _ => Vec::new(),
            };
            let (path, name) = (format!("{home}/{file}"), format!("{home}/{repository}.bundle"));
            make_dir(&to.join(home)).map_err(|e| io(&dir, e))?;
            manifest.repositories.push(repos::bundle(&dir, &path, &to.join(&name), &name, &of_it)?);
        }
    }
    for project in &config.projects {
        if !data.join("forge").join(format!("{}.git", config.repository(project))).exists() {
            manifest.elsewhere.push(format!("{}: {}", project.key, project.repo));
        }
    }
    runs(&config.runs_dir(), &to.join("runs")).map_err(|e| io(&config.runs_dir(), e))?;
    copy(&config.file, &to.join("orch.toml")).map_err(|e| io(&config.file, e))?;
    let mut names = Vec::new();
    list(to, to, &mut names).map_err(|e| io(to, e))?;
    for name in names {
        let (bytes, sha256) = digest(&to.join(&name)).map_err(|e| io(&to.join(&name), e))?;
        manifest.files.push(Entry { path: name, bytes, sha256 });
    }
    Ok(manifest)
}

/// Branches of open tasks, as the copied database has them, by repository.
fn known(copy: &Path) -> Result<Vec<(String, Known)>, String> {
    let store = SqliteStore::open(copy, OpenOptions { holder: "orch backup".into(), ..OpenOptions::default() })
        .map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
    let tasks = runtime.block_on(store.tasks(TaskFilter::default())).map_err(|e| e.to_string())?;
    drop(store);
    let mut lock = copy.as_os_str().to_owned();
    lock.push(".lock");
    let _ = fs::remove_file(PathBuf::from(lock));
    let branch = |t: &orch_core::task::Task| {
        let head = t.branch.head.as_ref().filter(|_| t.landing.merged.is_none())?.to_string();
        Some((t.repository().to_string(), Known { branch: t.branch.name.clone(), head, item: t.work_item.to_string() }))
    };
    Ok(tasks.iter().filter_map(branch).collect())
}

/// Bare repositories in a directory, by name.
fn bare(below: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(below)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|dir| dir.extension().is_some_and(|end| end == "git") && dir.join("HEAD").is_file())
        .collect();
    found.sort();
    found
}

/// The documents of runs that ended. One under way is begun anew from a backup: its processes are in none.
fn runs(from: &Path, to: &Path) -> io::Result<()> {
    let all = match fs::read_dir(from) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        all => all?,
    };
    for run in all {
        let dir = run?.path();
        if !dir.join("exit.json").is_file() {
            continue;
        }
        let target = to.join(dir.file_name().unwrap_or_default());
        for file in fs::read_dir(&dir)? {
            let file = file?;
            // Not its home and its temporary files, and no link: a run's own directory is written by foreign programs.
            if file.file_type()?.is_file() && file.file_name() != "lock" {
                make_dir(&target)?;
                match copy(&file.path(), &target.join(file.file_name())) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Copies a file for this user alone; it is on disk when this returns.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

fn list(dir: &Path, top: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, top, names)?;
            sync_dir(&path)?;
        } else {
            let name = path.strip_prefix(top).unwrap_or(&path);
            names.push(name.to_str().ok_or_else(|| io::Error::other("a name is not UTF-8"))?.to_owned());
        }
    }
    names.sort();
    sync_dir(dir)
}
