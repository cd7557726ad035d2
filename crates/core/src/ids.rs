//! Names of things. Every identifier that crosses a room is a type of its own, so that a commit can never be passed
//! where a branch is wanted. Nothing here generates an identifier: they come from the store, from git or from people.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);
        impl $name {
            /// Wraps the text as it is; checks belong to whoever reads it from outside.
            pub fn new(text: impl Into<String>) -> Self { Self(text.into()) }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.to_owned()) } }
        impl From<String> for $name { fn from(text: String) -> Self { Self(text) } }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
    };
}

text_id! {
    /// Key of a project and prefix of its work items: `DEMO`.
    ProjectKey
}
text_id! {
    /// The work item as people and the tracker name it: `DEMO-1`.
    WorkItem
}
text_id! {
    /// A full commit id (40 or 64 lower-case hex digits).
    Sha
}
text_id! {
    /// A git tree id, or another content address that names exactly what was tested.
    Digest
}
text_id! {
    /// A stage of a pipeline: `analysis`, `deploy-staging`.
    StageId
}
text_id! {
    /// Who did something: `local:anna`, `gitea:bob`, `orch`.
    Actor
}
text_id! {
    /// A role an agent plays: `developer`.
    Role
}

impl Sha {
    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl Actor {
    /// The orchestrator itself.
    pub fn orch() -> Self {
        Self::new("orch")
    }
    /// A person whom the tracker does not name. No list of people ever has it.
    pub fn unknown() -> Self {
        Self::new("unknown")
    }
    /// Who it is, for people.
    pub fn shown(&self) -> &str {
        if *self == Self::unknown() { "a person whom the tracker does not name" } else { self.as_str() }
    }
}

/// Row id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Number of a job within its task. `decide` hands them out, so the pair `(task, seq)` is known before any row exists.
pub type Seq = u32;

/// Identity of a job: which task asked for it, and the how-many-eth thing the task asked for it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The task that asked.
    pub task: TaskId,
    /// Its number within the task.
    pub seq: Seq,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task.0, self.seq)
    }
}

/// Wall-clock time, Unix milliseconds. For display, reset times and "not before"; claims and leases use the store's clock instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This time plus a number of milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
    /// Milliseconds from `earlier` to this time (negative if the clock went back).
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where a revision runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The rehearsal.
    Staging,
    /// What users see.
    Production,
}

impl Environment {
    /// The name in configuration, hooks and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! gates {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// The quality gates, by the names people have in their scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum GateId { $($(#[$doc])* #[serde(rename = $name)] $variant),* }
        impl GateId {
            /// Every gate, in the order of the pipeline.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The original name: `check_ci_green`.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $name),* } }
        }
    };
}

gates! {
    /// The four analysis artefacts are there and whole.
    AnalysisComplete = "check_analysis_complete",
    /// A person approved this revision of the analysis.
    AnalysisApproved = "check_analysis_approved",
    /// At least one complete decision record.
    ArchitectureDone = "check_architecture_done",
    /// Required checks of the head are green on the forge.
    CiGreen = "check_ci_green",
    /// The project's tests pass in a clean checkout.
    TestsLocal = "check_tests_local",
    /// The reviewer's verdict.
    ReviewerVerdict = "check_reviewer_verdict",
    /// An approval on the forge.
    ReviewApproved = "check_review_approved",
    /// The tester's result.
    TestsPassed = "check_tests_passed",
    /// Staging came up.
    StagingStatus = "check_staging_status",
    /// No secret, no vulnerable dependency brought in.
    SecurityGate = "check_security_gate",
    /// The prepared head is what may be merged.
    BranchMergeable = "check_branch_mergeable",
    /// What ran on staging is what will ship.
    StagingImageFresh = "check_staging_image_fresh",
    /// Production runs the merged revision.
    DeployStatus = "check_deploy_status",
}

impl GateId {
    /// Does its verdict belong to the patch, what the branch changes, and not to the commit?
    pub const fn is_of_the_patch(self) -> bool {
        matches!(self, Self::ReviewerVerdict | Self::ReviewApproved | Self::TestsPassed)
    }

    /// Reads `check_ci_green`, `check-ci-green` or `ci-green`.
    pub fn parse(text: &str) -> Option<Self> {
        let snake = text.trim().replace('-', "_");
        Self::ALL.iter().copied().find(|g| g.as_str() == snake || g.as_str().strip_prefix("check_") == Some(&snake))
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_found_by_its_original_its_kebab_and_its_short_name() {
        for gate in GateId::ALL {
            assert_eq!(GateId::parse(gate.as_str()), Some(*gate));
            assert_eq!(GateId::parse(&gate.as_str().replace('_', "-")), Some(*gate));
            assert_eq!(GateId::parse(gate.as_str().strip_prefix("check_").unwrap()), Some(*gate));
        }
        assert_eq!(GateId::parse("check_everything"), None);
    }
}
