//! What a project's setup left on the default branch, as files: taken once, and laid as a copy of its own into each later run. May
//! never write outside the two places of a run, and never take one that was changed since for what the setup left.

use crate::copy;
use orch_core::ids::{ProjectKey, Sha, Time};
use orch_ports::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// HOME in the list of what is kept.
const HOME: &str = "~";
/// Written last: without it there is no layer.
const RECORD: &str = "layer.json";

/// What could not be made or used last, and when.
pub(crate) type Failed = Arc<Mutex<Option<(String, Time)>>>;

/// One that is there.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Its directory.
    place: PathBuf,
    record: Record,
    cache: Vec<String>,
    failed: Failed,
    now: Time,
}

/// Written beside a layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// The commit of the default branch it was made on.
    commit: Sha,
    /// When.
    made: Time,
    /// Where its HOME and its checkout were.
    home: PathBuf,
    checkout: PathBuf,
    /// What [`copy::look`] says of both.
    seen: [String; 2],
}

impl Layer {
    /// The one in this directory, if it is whole.
    pub(crate) fn at(place: &Path, cache: &[String], failed: Failed, now: Time) -> Option<Self> {
        Some(Self { place: place.to_owned(), record: record(place)?, cache: cache.to_vec(), failed, now })
    }

    /// Copies it into a run: `home` is its HOME, empty as yet, and `checkout` its clean checkout.
    ///
    /// # Errors
    /// Transient: a part of it may be there, and is the caller's to remove.
    pub(crate) async fn lay(&self, home: &Path, checkout: &Path) -> Result<(), Fault> {
        let (layer, home, checkout) = (self.clone(), home.to_owned(), checkout.to_owned());
        let laid = tokio::task::spawn_blocking(move || layer.lay_now(&home, &checkout)).await;
        let place = self.place.display();
        let why = match laid {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => {
                discard(&self.place);
                "something has changed it since it was made, and it is thrown away".to_owned()
            }
            // Others may be able to use it: this run may be what has no room.
            Ok(Err(error)) => {
                let key = self.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, self.now));
                error.to_string()
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(cache = %place, "what the setup left cannot be used: {why}");
        Err(Fault::transient(format!("what the setup left in {place} cannot be used: {why}")))
    }

    /// False: it is not what it was.
    fn lay_now(&self, home: &Path, checkout: &Path) -> io::Result<bool> {
        let Record { home: old_home, checkout: old_checkout, seen, .. } = &self.record;
        let moved = [(old_home.clone(), home.to_owned()), (old_checkout.clone(), checkout.to_owned())];
        if self.cache.iter().any(|path| path == HOME) {
            if copy::copy(&self.place.join("home"), home, &moved)? != seen[0] {
                return Ok(false);
            }
            std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700))?;
        }
        let tree = self.place.join("tree");
        if copy::look(&tree)? != seen[1] {
            return Ok(false);
        }
        for path in self.cache.iter().filter(|path| *path != HOME) {
            let here = tree.join(path);
            if here.symlink_metadata().is_ok()
                && let Some(there) = free(checkout, path)?
            {
                copy::copy(&here, &there, &moved)?;
            }
        }
        Ok(true)
    }
}

fn record(place: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(place.join(RECORD)).ok()?).ok()
}

/// A place in a checkout at which nothing is, and that no link of the commit leads elsewhere; directories on the way are made.
fn free(checkout: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    let mut place = checkout.to_owned();
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let Some((last, way)) = parts.split_last() else { return Ok(None) };
    if !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(None);
    }
    for part in way {
        place.push(part);
        match std::fs::create_dir(&place) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if !place.symlink_metadata()?.is_dir() {
            return Ok(None);
        }
    }
    place.push(last);
    Ok(place.symlink_metadata().is_err().then_some(place))
}

/// Moves what a setup left to its place. Of the project's others the newest stays: a run that begins now may be about to copy it.
pub(crate) fn take(
    place: &Path,
    cache: &[String],
    (commit, made): (Sha, Time),
    [home, checkout]: [&Path; 2],
) -> io::Result<()> {
    let project = place.parent().unwrap_or(place);
    std::fs::create_dir_all(project)?;
    discard(place);
    let mut others: Vec<PathBuf> = std::fs::read_dir(project)?.flatten().map(|entry| entry.path()).collect();
    others.sort_by_key(|dir| record(dir).map(|record| record.made));
    others.pop();
    for other in &others {
        discard(other);
    }
    let [own_home, own_tree] = ["home", "tree"].map(|name| place.join(name));
    std::fs::create_dir_all(&own_tree)?;
    if cache.iter().any(|path| path == HOME) {
        moved(home, &own_home)?;
    } else {
        std::fs::create_dir(&own_home)?;
    }
    for path in cache.iter().filter(|path| *path != HOME) {
        let here = checkout.join(path);
        if here.symlink_metadata().is_ok()
            && let Some(there) = free(&own_tree, path)?
        {
            moved(&here, &there)?;
        }
    }
    // Before it is looked at: where a package manager has linked files of HOME into the checkout, removing one name changes what
    // is seen of the other.
    for over in [home, checkout] {
        discard(over);
    }
    let seen = [copy::look(&own_home)?, copy::look(&own_tree)?];
    let record = Record { commit, made, home: home.to_owned(), checkout: checkout.to_owned(), seen };
    crate::files::written(&place.join(".new"), &serde_json::to_vec_pretty(&record)?)?;
    std::fs::rename(place.join(".new"), place.join(RECORD))
}

/// Renames, or copies where that leads to another file system.
fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => copy::copy(from, to, &[]).map(|_| ()),
        done => done,
    }
}

/// What cannot be removed now is found again by whoever makes the next one.
pub(crate) fn discard(dir: &Path) {
    if let Err(error) = crate::files::remove(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(dir = %dir.display(), %error, "what a setup left could not be removed now");
    }
}

/// Layers of this process's projects.
#[derive(Default)]
pub(crate) struct Layers(Mutex<BTreeMap<ProjectKey, Turn>>);

/// One at a time makes a project's.
#[derive(Clone, Default)]
pub(crate) struct Turn {
    pub(crate) making: Arc<tokio::sync::Mutex<()>>,
    pub(crate) failed: Failed,
}

impl Layers {
    pub(crate) fn turn(&self, project: &ProjectKey) -> Turn {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(project.clone()).or_default().clone()
    }
}
