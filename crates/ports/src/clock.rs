//! Time, injected. The wall clock is for people and for "not before"; how long something lasts is measured by the boot
//! clock, which no administrator and no time server can move.

use orch_core::ids::Time;
use std::sync::Arc;

/// A point on the boot clock (`CLOCK_BOOTTIME`), valid within one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTime {
    /// `/proc/sys/kernel/random/boot_id`. Another id means that the machine restarted.
    pub boot_id: Arc<str>,
    /// Milliseconds since boot, suspend included.
    pub ms: i64,
}

/// A clock.
#[async_trait::async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Time;
    /// Boot-clock time.
    fn boot(&self) -> BootTime;
    /// Resolves after a number of milliseconds; a simulated clock resolves when it is moved there.
    async fn sleep_ms(&self, ms: u64);
}
