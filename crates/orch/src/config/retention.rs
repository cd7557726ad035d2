//! `[retention]`: how long what piles up is kept, and how much of it there may be. What is not merged and not pushed has
//! no end here.

use super::section::section;

section! {
    /// How long what piles up is kept. Work that is nowhere else has no end: only what belongs to tasks that are over is
    /// removed, and of those nothing that was not pushed. 0: for ever.
    Retention {
        /// Megabytes of one run's standard output, and as much of its standard error: what is beyond is left out of the
        /// middle, and the end says so. 0: no limit.
        run_output_mb: u64 = 16;
        /// Megabytes all run directories may take together. Beyond, the outputs of the runs that ended first are removed;
        /// a run under way is never cut off by it. 0: no limit.
        runs_max_mb: u64 = 5_120;
        /// Days after the end of its task that a run's directory is kept: brief, output, result.
        transcripts_days: u64 = 90;
        /// Days an event from outside is kept after it was dealt with. That it was delivered once stays known.
        bodies_days: u64 = 30;
        /// Days after the end of its task that its verdicts and documents are kept in the database. The journal, its runs
        /// and its deployments stay.
        evidence_days: u64 = 730;
        /// Days after the end of its task that the commits it was made of are kept in the private repository.
        history_days: u64 = 90;
        /// Days that work is kept which an agent left uncommitted before its directory was made anew.
        attic_days: u64 = 30;
    }
}
