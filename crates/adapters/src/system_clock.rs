//! The real clock: wall time for people and "not before", the boot clock for how long something lasts. It never mixes
//! the two, so that neither an administrator nor a time server can make a claim look late.

use orch_core::ids::Time;
use orch_ports::Fault;
use orch_ports::clock::{BootTime, Clock};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot_id: Arc<str>,
}

impl SystemClock {
    /// Reads the boot id once: it cannot change while this process lives. Without `/proc` the fault is permanent,
    /// because a run could not be told from one of an earlier boot.
    pub fn new() -> Result<Self, Fault> {
        let text = std::fs::read_to_string(BOOT_ID_FILE)
            .map_err(|e| Fault::permanent(format!("read the boot id from {BOOT_ID_FILE}: {e}; is /proc mounted?")))?;
        let id = text.trim();
        if id.is_empty() {
            return Err(Fault::permanent(format!("{BOOT_ID_FILE} is empty; is /proc mounted?")));
        }
        Ok(Self { boot_id: Arc::from(id) })
    }
}

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A machine whose battery died may think it is 1969; that is still a time.
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Time(ms)
    }

    fn boot(&self) -> BootTime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime { boot_id: Arc::clone(&self.boot_id), ms: now.tv_sec * 1000 + now.tv_nsec / 1_000_000 }
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_clocks_are_the_machines_own() {
        let clock = SystemClock::new().unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let boot = clock.boot();
        // Without suspend both count the same seconds; with it only the boot clock may be ahead.
        assert!(boot.ms as f64 >= seconds * 1000.0 - 1000.0, "boot clock {} against uptime {seconds}", boot.ms);
        assert_eq!(boot.boot_id.len(), 36, "a boot id is a UUID: {}", boot.boot_id);
        assert_eq!(SystemClock::new().unwrap().boot().boot_id, boot.boot_id);
        assert!(clock.now() > Time(1_700_000_000_000));
        clock.sleep_ms(5).await;
        assert!(clock.boot().ms >= boot.ms + 5);
    }
}
