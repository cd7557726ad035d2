//! The clock of a store: by it claims and merge leases run out. It belongs to the store and not to a worker, so that
//! workers on several machines measure with one clock; it never goes back, and what it says means nothing outside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Says how many milliseconds have passed since some moment of the store's own.
#[derive(Clone)]
pub struct StoreClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl StoreClock {
    /// Measures with this; it must never go back. Only differences between its answers are used.
    pub fn new(elapsed_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(elapsed_ms))
    }

    /// Is moved by hand, for tests and simulations.
    pub fn by_hand(ms: &Arc<AtomicI64>) -> Self {
        let ms = Arc::clone(ms);
        Self::new(move || ms.load(Ordering::SeqCst))
    }

    /// Begins anew at this time of the store.
    #[must_use]
    pub fn from_ms(self, begin_ms: i64) -> Self {
        let opened = self.ms();
        Self::new(move || begin_ms.saturating_add(self.ms().saturating_sub(opened)))
    }

    /// What it says now, milliseconds.
    pub fn ms(&self) -> i64 {
        (self.0)()
    }
}

/// Stands still: for programs that claim nothing.
impl Default for StoreClock {
    fn default() -> Self {
        Self::new(|| 0)
    }
}

impl fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreClock({} ms)", self.ms())
    }
}
