//! Pauses between two tries.

use crate::ids::JobId;

/// Doubling pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The first, milliseconds.
    pub first_ms: i64,
    /// The longest, milliseconds, without jitter.
    pub max_ms: i64,
}

impl Pauses {
    /// The pause after so many tries, with up to a quarter of jitter. It is the same for the same job and try: jitter is
    /// there to spread jobs, not to surprise tests.
    pub fn after(self, tries: u32, job: JobId) -> i64 {
        let pause = self.first_ms.saturating_mul(1_i64 << tries.min(20)).min(self.max_ms);
        let mixed = (job.task.0.unsigned_abs() ^ (u64::from(job.seq) << 20) ^ (u64::from(tries) << 40))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        pause + (pause / 4) * i64::try_from(mixed >> 56).unwrap_or(0) / 256
    }
    /// Pauses that begin with so many first pauses.
    #[must_use]
    pub fn times(self, n: i64) -> Self {
        Self { first_ms: self.first_ms.saturating_mul(n), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;

    const PAUSES: Pauses = Pauses { first_ms: 1_000, max_ms: 60_000 };

    #[test]
    fn pauses_double_are_bounded_and_never_shrink_below_their_base() {
        let job = JobId { task: TaskId(7), seq: 3 };
        let pauses: Vec<i64> = (0..12).map(|n| PAUSES.after(n, job)).collect();
        for (n, pause) in pauses.iter().enumerate() {
            let base = (1_000_i64 << n).min(60_000);
            assert!((base..=base + base / 4).contains(pause), "try {n}: {pause}");
        }
        assert_eq!(pauses, (0..12).map(|n| PAUSES.after(n, job)).collect::<Vec<_>>());
    }
}
