//! What the requests of a run share: whose account pays, what was used, and whom to tell.

use crate::credential::Credential;
use crate::gate::Gate;
use crate::journal::{Journal, Record};
use crate::pause::Pause;
use crate::token::RunToken;
use orch_core::ids::Time;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

pub(crate) fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// Something that people are to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line for the log of the run.
    Note(String),
    /// An alarm.
    Alarm(String),
}

pub(crate) type Listener = Box<dyn Fn(Heard) + Send + Sync>;

/// What the requests of a run share.
pub(crate) struct Shared {
    pub(crate) credential: Credential,
    pub(crate) token: RunToken,
    pub(crate) pause: Pause,
    pub(crate) journal: Journal,
    pub(crate) client: reqwest::Client,
    /// One of the requests under way is over.
    pub(crate) changed: Notify,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) ids: AtomicU64,
    pub(crate) bodies: Option<PathBuf>,
    pub(crate) heard: Listener,
    pub(crate) counts: Counts,
}

/// How often something was told.
#[derive(Default)]
pub(crate) struct Counts {
    notes: AtomicU64,
    alarms: AtomicU64,
    refusals: AtomicU64,
}

/// What is told and written down of a program that does one thing again and again.
const MOST_NOTES: u64 = 200;
const MOST_ALARMS: u64 = 20;

impl Shared {
    pub(crate) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
    /// A line for the log. A program that does the same for ever fills no disk.
    pub(crate) fn note(&self, text: &str) {
        if self.counts.notes.fetch_add(1, Ordering::Relaxed) < MOST_NOTES {
            (self.heard)(Heard::Note(text.to_owned()));
        }
    }
    /// A request was refused because of what the run has used: written down and told once.
    pub(crate) fn refused(&self, why: &str) {
        if self.counts.refusals.fetch_add(1, Ordering::Relaxed) == 0 {
            self.note(&format!("requests are refused from here on: {why}"));
            if let Err(e) = self.journal.write(&Record::Refused { at: now(), why: why.to_owned() }) {
                self.note(&format!("a refusal could not be written down: {e}"));
            }
        }
    }
    /// Written down, and told.
    pub(crate) fn alarm(&self, text: &str) {
        if MOST_ALARMS <= self.counts.alarms.fetch_add(1, Ordering::Relaxed) {
            return;
        }
        if let Err(e) = self.journal.write(&Record::Alarm { at: now(), text: text.to_owned() }) {
            self.note(&format!("an alarm could not be written down: {e}"));
        }
        (self.heard)(Heard::Alarm(text.to_owned()));
    }
    /// Only if somebody has asked for bodies. One that cannot be written is no reason to stop.
    pub(crate) fn keep_body(&self, id: Option<u64>, what: &str, bytes: &[u8]) {
        let (Some(dir), Some(id)) = (&self.bodies, id) else { return };
        let file =
            std::fs::File::options().append(true).create(true).mode(0o600).open(dir.join(format!("{id}.{what}")));
        let _ = file.and_then(|mut file| file.write_all(bytes));
    }
}
