//! Bringing a backup back. It is verified before anything is made, built beside its place, checked again by git and
//! SQLite, and gets its name at once: a restore that is killed has restored nothing.

use super::{Manifest, RESTORED, Restored, repos, take};
use crate::config::Config;
use crate::instance::moving;
use crate::instance::record::{sync_dir, write_whole};
use orch_adapters::git_forge::GitForge;
use orch_store::SqliteStore;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Brings a backup back to where the configuration says the state lies, which must be empty.
///
/// # Errors
/// A sentence; nothing is at the place then.
pub fn bring(config: &Config, from: &Path) -> Result<Manifest, String> {
    let manifest = Manifest::read(from)?;
    let wrong = manifest.verify(from);
    if !wrong.is_empty() {
        return Err(format!("the backup {} is damaged: {}", from.display(), wrong.join("; ")));
    }
    let newest = SqliteStore::newest_version();
    if manifest.schema > newest {
        return Err(format!(
            "the backup's database has schema version {}, this orch knows up to {newest}; use orch {} or newer",
            manifest.schema, manifest.orch
        ));
    }
    let data = config.data_dir();
    if config.db.path.file_name().is_none_or(|name| name != "orch.db") {
        return Err(format!("[db] path must end with orch.db to restore, not {}", config.db.path.display()));
    }
    if occupied(data) {
        return Err(format!(
            "{} holds something already: a restore never overwrites; move it away, or name another [instance]",
            data.display()
        ));
    }
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    let building = data.with_file_name(format!("{name}.restoring"));
    let at = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    match fs::remove_dir_all(&building) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(&building, e)),
        _ => {}
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&building).map_err(|e| at(&building, e))?;
    let done = build(config, &manifest, from, &building);
    if let Err(why) = done {
        let _ = fs::remove_dir_all(&building);
        return Err(why);
    }
    // What is allowed to be there is an empty directory.
    let _ = fs::remove_dir(data);
    fs::rename(&building, data).map_err(|e| at(data, e))?;
    sync_dir(data.parent().unwrap_or(Path::new("/"))).map_err(|e| at(data, e))?;
    Ok(manifest)
}

fn occupied(data: &Path) -> bool {
    fs::symlink_metadata(data).is_ok_and(|m| !m.is_dir())
        || fs::read_dir(data).is_ok_and(|mut all| all.next().is_some())
}

fn build(config: &Config, manifest: &Manifest, from: &Path, to: &Path) -> Result<(), String> {
    let at = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    for entry in &manifest.files {
        if entry.path.ends_with(".bundle") || entry.path == "orch.toml" {
            continue;
        }
        let target = to.join(&entry.path);
        let dir = target.parent().unwrap_or(to);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| at(dir, e))?;
        take::copy(&from.join(&entry.path), &target).map_err(|e| at(&target, e))?;
    }
    for repository in &manifest.repositories {
        // Private repositories may have a place of their own.
        let target = match repository.path.strip_prefix("repos/") {
            Some(name) if !config.repos_dir().starts_with(config.data_dir()) => config.repos_dir().join(name),
            Some(name) => {
                let below = config.repos_dir();
                to.join(below.strip_prefix(config.data_dir()).unwrap_or(Path::new("repos"))).join(name)
            }
            None => to.join(&repository.path),
        };
        if target.exists() {
            return Err(format!("{} is there already: a restore never overwrites", target.display()));
        }
        let dir = target.parent().unwrap_or(to);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| at(dir, e))?;
        repos::unbundle(repository, from, &target)?;
    }
    let pairs = pairs(&manifest.state, config.data_dir()).map_err(|e| at(to, e))?;
    for db in ["orch.db", "tracker.db", "forge/forge.db"].map(|name| to.join(name)) {
        if db.exists() {
            let wrong = SqliteStore::examine_whole(&db).map_err(|e| e.to_string())?;
            if !wrong.is_empty() {
                return Err(format!("{} is damaged: {}", db.display(), wrong.join("; ")));
            }
        }
    }
    SqliteStore::relocate(&to.join("orch.db"), &pairs).map_err(|e| e.to_string())?;
    GitForge::relocate(&to.join("forge"), &pairs).map_err(|e| e.text)?;
    let restored = Restored { made_at: manifest.made_at.clone(), from: from.to_owned() };
    let body = serde_json::to_vec_pretty(&restored).map_err(|e| e.to_string())?;
    write_whole(&to.join(RESTORED), &body).map_err(|e| at(to, e))
}

/// What is replaced in stored text where the state lies elsewhere now.
fn pairs(from: &Path, to: &Path) -> io::Result<Vec<(String, String)>> {
    let to = crate::instance::place::real(to);
    if from == to || to.starts_with(from) {
        return Ok(Vec::new());
    }
    let plain = |path: &Path| format!("{}/", path.display());
    let json = |path: &Path| Ok::<_, io::Error>(format!("{}/", moving::inner(path)?));
    let mut all = vec![(plain(from), plain(&to)), (json(from)?, json(&to)?)];
    all.dedup();
    Ok(all)
}
