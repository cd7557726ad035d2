//! What agents have used, added up.

use crate::run_row::RunRow;
use orch_core::ids::Time;

/// What runs of agents of one task, role and model have used that began in the same quarter of an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    /// Project of the task.
    pub project: String,
    /// The task.
    pub item: String,
    /// Role.
    pub what: String,
    /// Model, if it is known.
    pub model: Option<String>,
    /// Begin of the quarter of an hour.
    pub at: Time,
    /// Runs that ended.
    pub runs: u64,
    /// What they count as, US dollars.
    pub cost_usd: f64,
    /// Runs among them whose cost is not known exactly: it counts as the most it can be.
    pub at_most: u64,
    /// Runs among them that a subscription paid.
    pub included: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

/// Length of the times in which uses are added up, milliseconds: every time zone begins its days at one of them.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;

impl Used {
    /// One run, as it was written last.
    pub fn of(run: &RunRow, project: &str, item: &str) -> Self {
        let usage = &run.usage;
        Self {
            project: project.to_owned(),
            item: item.to_owned(),
            what: run.what.to_string(),
            model: run.model.clone(),
            at: Time(run.started.0.div_euclid(QUARTER_MS) * QUARTER_MS),
            runs: 1,
            cost_usd: usage.cost_usd,
            at_most: u64::from(usage.cost_unread.is_some()),
            included: u64::from(usage.included),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        }
    }

    /// Adds what others have used.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.cost_usd += other.cost_usd;
        self.at_most += other.at_most;
        self.included += other.included;
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}
