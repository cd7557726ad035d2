//! A copy of a whole instance, and its way back. Decides what belongs to it and in which order it is taken, so that
//! nothing the copied database calls done is missing in the copied repositories. It may never overwrite anything, and a
//! copy counts only with its manifest, which is written last.
//!
//! In it: the databases, every bare repository of the local forge and every private one (with what was set aside under
//! `refs/orch/attic`), the documents of ended runs, the configuration. Not in it: the API token, clones of agents at
//! work, caches.

pub mod back;
pub mod compare;
pub mod repos;
pub mod take;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The file that makes a directory a backup.
pub const MANIFEST: &str = "manifest.json";
/// In a state directory: it was brought back from a backup, and the daemon has not compared it with the world yet.
pub const RESTORED: &str = "restored.json";
/// The newest form of a manifest this program knows.
pub const FORM: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the manifest.
    pub form: u32,
    /// Version of the program that made it.
    pub orch: String,
    /// Schema version of `orch.db`.
    pub schema: i64,
    /// When the database was copied: everything acknowledged before is in it.
    pub made_at: String,
    /// Name of the instance, if it has one.
    pub instance: Option<String>,
    /// Where its state lay.
    pub state: PathBuf,
    /// Its files; the manifest itself is not among them.
    pub files: Vec<Entry>,
    /// Its repositories.
    pub repositories: Vec<Bundle>,
    /// Repositories that the forge serves where they are: they are their owner's to keep.
    #[serde(default)]
    pub elsewhere: Vec<String>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the backup, and where it lay in the state directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest, hex.
    pub sha256: String,
}

/// A repository of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Where it lay in the state directory: `forge/SHOP.git`.
    pub path: String,
    /// Its bundle in the backup; none: the repository had no reference.
    pub bundle: Option<String>,
    /// What its HEAD names.
    pub head: String,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// Its own settings, key and value.
    pub settings: Vec<(String, String)>,
}

/// Written beside a restored database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the copied database was as it is now.
    pub made_at: String,
    /// The backup.
    pub from: PathBuf,
}

impl Manifest {
    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// A sentence that names the directory.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let file = dir.join(MANIFEST);
        let bytes = fs::read(&file).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                format!("{} has no {MANIFEST}: it is no backup, or one that was cut off", dir.display())
            }
            _ => format!("cannot read {}: {e}", file.display()),
        })?;
        let found: Self = serde_json::from_slice(&bytes).map_err(|e| format!("{} is damaged: {e}", file.display()))?;
        if found.form > FORM {
            return Err(format!("{} was made by orch {}: use that version or a newer one", dir.display(), found.orch));
        }
        Ok(found)
    }

    /// What is wrong with the files of a backup; nothing: all are there, whole.
    pub fn verify(&self, dir: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in &self.files {
            if !is_plain(&entry.path) {
                wrong.push(format!("{:?} is no place in a backup", entry.path));
                continue;
            }
            match digest(&dir.join(&entry.path)) {
                Ok((_, sha256)) if sha256 == entry.sha256 => {}
                Ok(_) => wrong.push(format!("{} is not what it was: its digest differs", entry.path)),
                Err(e) => wrong.push(format!("{}: {e}", entry.path)),
            }
        }
        for repository in &self.repositories {
            let bundled = |name: &String| self.files.iter().any(|entry| entry.path == *name);
            if !is_plain(&repository.path) || repository.bundle.as_ref().is_some_and(|name| !bundled(name)) {
                wrong.push(format!("the repository {:?} is not in the list of files", repository.path));
            }
        }
        if !self.files.iter().any(|entry| entry.path == "orch.db") {
            wrong.push("orch.db is not in the list of files".into());
        }
        wrong
    }
}

/// A relative path that stays below where it is joined.
fn is_plain(path: &str) -> bool {
    let parts = Path::new(path).components();
    !path.is_empty() && parts.into_iter().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Length and digest of a file.
///
/// # Errors
/// What the file system says.
pub fn digest(file: &Path) -> io::Result<(u64, String)> {
    let mut open = fs::File::open(file)?;
    let (mut hash, mut length, mut part) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match open.read(&mut part)? {
            0 => break,
            n => {
                hash.update(&part[..n]);
                length += n as u64;
            }
        }
    }
    let hex = hash.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok((length, hex))
}

#[cfg(test)]
#[path = "keep/tests.rs"]
mod tests;
