//! A clock that runs fast and can be moved: a second of the world is a few milliseconds of the test.

use orch_core::ids::Time;
use orch_ports::clock::{BootTime, Clock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How much faster than real time it runs.
const SPEED: i64 = 40;
/// It starts here.
const EPOCH_MS: i64 = 1_700_000_000_000;

pub struct FastClock {
    began: Instant,
    moved_ms: AtomicI64,
    moved: Notify,
    wrong_ms: AtomicI64,
}

impl FastClock {
    pub fn new() -> Arc<Self> {
        let (moved_ms, wrong_ms) = (AtomicI64::new(0), AtomicI64::new(0));
        Arc::new(Self { began: Instant::now(), moved_ms, moved: Notify::new(), wrong_ms })
    }

    /// Sets the wall clock wrong by so much; the boot clock stays.
    pub fn set_wrong(&self, ms: i64) {
        self.wrong_ms.store(ms, Ordering::SeqCst);
    }

    /// Moves the clock; whoever sleeps until then wakes.
    pub fn advance(&self, ms: i64) {
        self.moved_ms.fetch_add(ms, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    fn ms(&self) -> i64 {
        self.began.elapsed().as_micros() as i64 * SPEED / 1_000 + self.moved_ms.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Clock for FastClock {
    fn now(&self) -> Time {
        Time(EPOCH_MS + self.ms() + self.wrong_ms.load(Ordering::SeqCst))
    }
    fn boot(&self) -> BootTime {
        BootTime { boot_id: "this boot".into(), ms: self.ms() }
    }
    async fn sleep_ms(&self, ms: u64) {
        let end = self.ms().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        loop {
            let moved = self.moved.notified();
            let left = end.saturating_sub(self.ms());
            if left <= 0 {
                return;
            }
            let real = Duration::from_micros(left.unsigned_abs().saturating_mul(1_000) / SPEED.unsigned_abs() + 1);
            tokio::select! { () = tokio::time::sleep(real) => {}, () = moved => {} }
        }
    }
}
