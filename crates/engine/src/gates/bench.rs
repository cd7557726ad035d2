//! What gates work with: commands of the project, papers of the run, and what is known of tests. Where the task is in the
//! pipeline it comes from the store; by hand, from whoever runs the gate.

use crate::quarantine::Quarantine;
use crate::review::LastReview;
use orch_core::ids::{Sha, Time};
use orch_core::run_of::RunOf;
use orch_ports::Fault;
use orch_ports::supervisor::ExitRecord;
use std::collections::{BTreeMap, BTreeSet};

/// A command of the project that a gate has run: its tests, or what tells of its image.
#[derive(Clone, Debug)]
pub struct ProjectCommand<'a> {
    /// Name of its run: `tests`, `tests-2`.
    pub name: String,
    /// What it is: `tests on 1a2b3c`.
    pub what: RunOf,
    /// Shell line.
    pub line: &'a str,
    /// Commit to check out.
    pub commit: &'a Sha,
    /// Environment beyond the cleared basis and the project's.
    pub env: BTreeMap<String, String>,
    /// Run the project's setup before it.
    pub setup: bool,
}

/// How a command ended.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CommandRun {
    /// Exit 0?
    pub ok: bool,
    /// Did it end by itself, with a code of its own?
    #[serde(skip)]
    pub exited: bool,
    /// For people.
    pub end: String,
    /// Last lines.
    pub tail: String,
    /// Where its whole output is.
    pub log: String,
    /// The project's setup, if it is what failed: the command did not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_setup: Option<String>,
    /// How long it took, milliseconds.
    #[serde(skip)]
    pub took_ms: u64,
    /// What the machine lacked at its end, by orch's own look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacked: Option<String>,
    /// What it printed.
    #[serde(skip)]
    pub output: String,
}

/// What differs between a gate in the pipeline and one run by hand.
#[async_trait::async_trait]
pub trait Bench: Send + Sync {
    /// An artefact of the run that is judged.
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Names of the artefacts there are.
    async fn papers(&self) -> Result<Vec<String>, Fault>;
    /// Keeps a document the gate itself writes, and reads it back.
    async fn keep(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault>;
    /// Runs a command of the project in a clean checkout.
    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault>;
    /// Tests that are known to fail by chance, by name. By hand nobody knows.
    async fn flaky(&self) -> Result<BTreeSet<String>, Fault> {
        Ok(BTreeSet::new())
    }
    /// Remembers tests that were red and green on one tree; `on_main`: those of them that were so on the default branch.
    async fn note_flaky(&self, _tests: &BTreeSet<String>, _on_main: &BTreeSet<String>) -> Result<(), Fault> {
        Ok(())
    }
    /// Tests that a person has put into quarantine. By hand without a configuration there are none.
    async fn quarantine(&self) -> Result<Quarantine, Fault> {
        Ok(Quarantine::new())
    }
    /// Remembers that a command was green on a commit: what has its tree need not be judged again.
    async fn was_green(&self, _commit: &Sha, _line: &str) -> Result<(), Fault> {
        Ok(())
    }
    /// The revisions of this task that came up on staging, newest first. By hand nobody knows.
    async fn staged(&self) -> Result<Option<Vec<Sha>>, Fault> {
        Ok(None)
    }
    /// When orch was last asked to run CI on this commit and has not answered yet, or last began a run of it for that. By
    /// hand nobody is asked.
    async fn ci_asked_at(&self, _commit: &Sha) -> Result<Option<Time>, Fault> {
        Ok(None)
    }
    /// The review before the run that is judged; by hand there is none, and every review is a first one.
    async fn last_review(&self) -> Result<Option<LastReview>, Fault> {
        Ok(None)
    }
}

/// How long a run took, milliseconds.
pub fn took_ms(exit: &ExitRecord) -> u64 {
    u64::try_from(exit.ended.since_ms(exit.started)).unwrap_or(0)
}
