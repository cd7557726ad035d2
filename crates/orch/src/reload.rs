//! Taking up a changed configuration while the daemon runs. Decides which keys can be taken up and which wait for a
//! restart; a file with a fault changes nothing, and neither does a project that cannot be built. What is under way keeps
//! what it began with: a task its pipeline, a job its project.

use crate::config::{Config, ConfigErrors};
use crate::wire::Parts;
use orch_engine::Engine;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// How often the file is looked at, milliseconds.
const LOOK_MS: u64 = 5_000;

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Keys that hold from now on.
    pub applied: Vec<String>,
    /// Keys that wait for a restart.
    pub needs_restart: Vec<String>,
    /// Projects whose repository cannot be served, and why.
    pub out_of_service: Vec<String>,
}

/// What of the file is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// In words, with what to do.
    pub text: String,
    /// Keys that differ from what is in force.
    pub keys: Vec<String>,
    /// Does the file have faults?
    pub broken: bool,
}

struct InForce {
    config: Config,
    /// Keys the last reload left to a restart.
    needs_restart: Vec<String>,
    /// Content of the file at the last look.
    seen: Option<[u8; 32]>,
    pending: Option<Pending>,
}

/// The configuration in force, and what could replace it.
pub struct Reload {
    file: PathBuf,
    env: BTreeMap<String, String>,
    engine: Arc<Engine>,
    parts: Parts,
    in_force: Mutex<InForce>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Reload {
    /// What was started with.
    pub fn new(config: &Config, env: BTreeMap<String, String>, engine: Arc<Engine>, parts: Parts) -> Arc<Self> {
        let in_force =
            InForce { config: config.clone(), needs_restart: Vec::new(), seen: digest(&config.file), pending: None };
        Arc::new(Self {
            file: config.file.clone(),
            env,
            engine,
            parts,
            in_force: Mutex::new(in_force),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// What of the file is not in force; `None`: all of it is.
    pub fn pending(&self) -> Option<Pending> {
        self.lock().pending.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the file until `shutdown`, and says once what a change of it means.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.engine.clock().sleep_ms(LOOK_MS) => {}
                () = shutdown.cancelled() => return,
            }
            self.look();
        }
    }

    /// Compares the file with what is in force, if it has changed since the last look.
    pub fn look(&self) {
        let seen = digest(&self.file);
        let mut in_force = self.lock();
        if in_force.seen == seen {
            return;
        }
        in_force.seen = seen;
        let pending = match Config::load(&self.file, &self.env) {
            Ok((config, _)) => {
                let keys = changed_keys(&in_force.config, &config);
                outstanding(keys, &in_force.needs_restart, &self.file.display().to_string())
            }
            Err(errors) => Some(Pending {
                text: format!("the changed configuration cannot be used, the one before stays in force: {errors}"),
                keys: Vec::new(),
                broken: true,
            }),
        };
        if pending != in_force.pending {
            if let Some(pending) = &pending {
                tracing::warn!("{}", pending.text);
            } else {
                tracing::info!("{} says again what is in force", self.file.display());
            }
        }
        in_force.pending = pending;
    }

    /// Reads the file and takes up what can be taken up now.
    pub async fn apply(&self) -> Result<Applied, Refused> {
        let _turn = self.turn.lock().await;
        let seen = digest(&self.file);
        let (new, _) = Config::load(&self.file, &self.env).map_err(Refused::Broken)?;
        let before = self.lock().config.clone();
        let (now, needs_restart) = new.kept_from(&before);
        let applied = changed_keys(&before, &now);
        let out_of_service = if applied.is_empty() {
            Vec::new()
        } else {
            let (projects, out) = self
                .parts
                .projects(&**self.engine.store(), &before, &now)
                .await
                .map_err(|fault| Refused::Fault(fault.text))?;
            self.engine.reload(projects).await.map_err(|fault| Refused::Fault(fault.text))?;
            out
        };
        // Also where no key changed: the files of secrets may have.
        crate::wire::take_in(&self.engine, &now);
        let mut in_force = self.lock();
        in_force.config = now;
        in_force.seen = seen;
        in_force.needs_restart.clone_from(&needs_restart);
        in_force.pending = outstanding(needs_restart.clone(), &needs_restart, &self.file.display().to_string());
        drop(in_force);
        tracing::info!(
            "configuration read again: {} taken up{}",
            if applied.is_empty() { "nothing".to_owned() } else { applied.join(", ") },
            if needs_restart.is_empty() {
                String::new()
            } else {
                format!("; a restart takes up {}", needs_restart.join(", "))
            }
        );
        Ok(Applied { applied, needs_restart, out_of_service })
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum Refused {
    /// The file has faults.
    Broken(ConfigErrors),
    /// What it describes cannot be built, or not be written down.
    Fault(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(errors) => write!(f, "nothing was changed: {errors}"),
            Self::Fault(text) => write!(f, "nothing was changed: {text}"),
        }
    }
}

/// What is said of keys that are not in force.
fn outstanding(keys: Vec<String>, needs_restart: &[String], file: &str) -> Option<Pending> {
    if keys.is_empty() {
        return None;
    }
    let what = if keys.iter().all(|key| needs_restart.contains(key)) {
        "a restart takes it up"
    } else {
        "`orch reload` takes up what can be taken up while it runs"
    };
    Some(Pending { text: format!("{file} has changed ({}): {what}", keys.join(", ")), keys, broken: false })
}

/// Paths of the keys whose values differ; of a project by its key and not by its place in the file.
pub fn changed_keys(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (old.fingerprints(), new.fingerprints());
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let mut keys: Vec<String> =
        old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).filter(differs).cloned().collect();
    keys.sort();
    keys
}

fn digest(file: &std::path::Path) -> Option<[u8; 32]> {
    std::fs::read(file).ok().map(|bytes| Sha256::digest(&bytes).into())
}
