//! Sources of webhooks, and what came in by them since this process began.

use orch_ports::inbound::Webhook;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is on disk.
    Kept,
    /// It was there before.
    Again,
    /// None of the secrets fits.
    Refused,
    /// There is no secret to verify with.
    NotSetUp,
    /// Nobody sends there.
    Unknown,
}

/// What came in from a source since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Verified deliveries, those that were there before included.
    pub received: u64,
    /// Requests that no secret fits.
    pub refused: u64,
    /// Requests while there was no secret.
    pub not_set_up: u64,
    /// Requests with a body that was too large.
    pub too_large: u64,
    /// Deliveries that were there before.
    pub duplicate: u64,
    /// Deliveries that could not be kept.
    pub not_kept: u64,
    /// Resolved ones that say nothing of what is looked at.
    pub silent: u64,
    /// Resolved ones of repositories and projects that nobody has here.
    pub unknown: u64,
    /// Looks that they led to.
    pub looks: u64,
}

/// How a source stands.
#[derive(Clone, Debug, Serialize)]
pub struct InboundView {
    /// Its name.
    pub source: String,
    /// Is there a secret to verify with?
    pub set_up: bool,
    /// What came in.
    #[serde(flatten)]
    pub counts: Counts,
    /// Deliveries that were not resolved yet.
    pub unresolved: u64,
    /// When the oldest of them arrived.
    pub oldest_unresolved: Option<String>,
    /// When the newest delivery arrived.
    pub last: Option<String>,
}

/// Webhooks, and what came in by them.
#[derive(Default)]
pub(crate) struct Inbound {
    pub(crate) hooks: RwLock<Vec<Arc<dyn Webhook>>>,
    pub(crate) counts: Mutex<BTreeMap<String, Counts>>,
    /// A delivery was kept.
    pub(crate) wake: Notify,
}

impl Inbound {
    pub(crate) fn hooks(&self) -> Vec<Arc<dyn Webhook>> {
        self.hooks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn hook(&self, source: &str) -> Option<Arc<dyn Webhook>> {
        self.hooks.read().unwrap_or_else(PoisonError::into_inner).iter().find(|h| h.source() == source).cloned()
    }
    /// Counts; the value after it.
    pub(crate) fn count(&self, source: &str, which: fn(&mut Counts) -> &mut u64) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let n = which(counts.entry(source.to_owned()).or_default());
        *n += 1;
        *n
    }
}
