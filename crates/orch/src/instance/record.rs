//! `instance.json` in a state directory: whose state it is. It says where the configuration and the clone are, so that
//! `init` finds an old instance again and `orch instance list` can name it.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Its name.
const FILE: &str = "instance.json";

/// What it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the instance.
    pub name: String,
    /// The configuration file, whole path.
    pub config: PathBuf,
    /// The clone it was made for, if there is one.
    #[serde(default)]
    pub clone: Option<PathBuf>,
}

impl Record {
    /// Of a configuration that is in use.
    pub fn of(name: &str, config: &Path, clone: Option<&Path>) -> Self {
        Self { name: name.to_owned(), config: super::place::real(config), clone: clone.map(super::place::real) }
    }

    /// The file.
    pub fn file(state: &Path) -> PathBuf {
        state.join(FILE)
    }

    /// Reads it; one that is not there or cannot be read says nothing.
    pub fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::file(state)).ok()?).ok()
    }

    /// Writes it, whole and on disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let body = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        write_whole(&Self::file(state), &body)
    }

    /// The other configuration that uses this state, if it is still there and says so.
    pub fn config_elsewhere(&self, config: &Path) -> Option<&Path> {
        let same = super::place::real(config) == self.config;
        let says = || {
            let text = fs::read_to_string(&self.config).ok()?;
            let table: toml::Table = toml::from_str(&text).ok()?;
            let name = table.get("instance")?.get("name")?.as_str()?;
            Some(name == self.name)
        };
        (!same && says() == Some(true)).then_some(self.config.as_path())
    }
}

/// A file that is there whole or not at all, also after a power cut, for this user alone.
///
/// # Errors
/// What the file system says.
pub fn write_whole(file: &Path, body: &[u8]) -> io::Result<()> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut new = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        new.write_all(body)?;
        new.sync_all()?;
        fs::rename(&beside, file)?;
        sync_dir(file.parent().unwrap_or(Path::new(".")))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Makes names in a directory durable.
///
/// # Errors
/// What the file system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Every instance below these homes, in order of name.
pub fn all(homes: &[PathBuf]) -> Vec<(PathBuf, Option<Record>)> {
    let mut found = Vec::new();
    for home in homes {
        for entry in fs::read_dir(home).into_iter().flatten().flatten() {
            let dir = entry.path();
            let record = Record::read(&dir);
            if record.is_some() || dir.join("orch.db").exists() {
                found.push((dir, record));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    found
}
