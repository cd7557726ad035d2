//! What a gate can say, and why it cannot. Five answers, never a boolean: "CI still runs" must not cost a developer a
//! round, and "the forge is down" must not look like a pass.

use crate::approval::ApprovalKind;
use crate::fault_code::FaultCode;
use crate::ids::Time;
use serde::{Deserialize, Serialize};

/// How bad a finding is. `P0` and `P1` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Breaks users or loses data.
    P0,
    /// Must be fixed before merge.
    P1,
    /// Should be fixed.
    P2,
    /// Matter of taste.
    P3,
}

/// One thing somebody has to fix, word for word as it goes into the next brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Identifier within its source (`R1`, a test's name, a rule), if the source has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// File it is about, relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What is wrong, in full.
    pub text: String,
}

impl Finding {
    /// A must-fix finding without a place.
    pub fn must_fix(text: impl Into<String>) -> Self {
        Self { id: None, severity: Severity::P1, file: None, line: None, text: text.into() }
    }
}

/// Lines of a file that are not what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedRange {
    /// First of them in the file as it is now, from 1.
    pub first: u32,
    /// Last of them. Where lines were only taken away, the two they stood between.
    pub last: u32,
    /// By how many lines the file became longer here; negative if it became shorter.
    pub grown: i64,
}

/// Kind of an infrastructure fault. The *only* input to retry and to `Inconclusive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Will pass by itself: network, overload, a rate limit.
    Transient,
    /// Credentials or permissions: a person must act.
    Denied,
    /// The thing asked about no longer exists.
    Gone,
    /// Asking again will give the same answer.
    Permanent,
    /// Ours.
    Bug,
}

impl FaultKind {
    /// The code of a fault of which only the kind is known.
    pub const fn code(self) -> FaultCode {
        match self {
            Self::Transient => FaultCode::Unavailable,
            Self::Denied => FaultCode::Denied,
            Self::Gone => FaultCode::NotFound,
            Self::Permanent => FaultCode::Failed,
            Self::Bug => FaultCode::Bug,
        }
    }
}

/// A fault as it is stored and shown. Its code is stored where it says more than its kind does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredFault", into = "StoredFault")]
pub struct FaultNote {
    /// What is done about it.
    pub kind: FaultKind,
    /// Which fault it is.
    pub code: FaultCode,
    /// What happened, a lower-case sentence.
    pub text: String,
}

impl FaultNote {
    /// A fault of which only the kind is known.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, code: kind.code(), text: text.into() }
    }
    /// Says which fault it is.
    #[must_use]
    pub fn coded(mut self, code: FaultCode) -> Self {
        self.code = code;
        self
    }
}

#[derive(Serialize, Deserialize)]
struct StoredFault {
    kind: FaultKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<FaultCode>,
    text: String,
}

impl From<StoredFault> for FaultNote {
    fn from(stored: StoredFault) -> Self {
        let code = stored.code.unwrap_or(stored.kind.code());
        Self { kind: stored.kind, code, text: stored.text }
    }
}

impl From<FaultNote> for StoredFault {
    fn from(note: FaultNote) -> Self {
        let code = (note.code != note.kind.code()).then_some(note.code);
        Self { kind: note.kind, code, text: note.text }
    }
}

/// A gate's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// What was asked for is true.
    Pass,
    /// Not decided yet; somebody else is at work. Never costs anything.
    Wait {
        /// What is waited for, and who ends it.
        why: WaitFor,
        /// When waiting turns into a question for a person. `None`: as long as it takes.
        until: Option<Time>,
        /// Look again at this time even if nobody tells us.
        recheck: Option<Time>,
    },
    /// What was asked for is false: goes back with the findings.
    Fail {
        /// What has to change.
        findings: Vec<Finding>,
    },
    /// The role that had to write the evidence did not (missing, stale or unreadable artefact). Costs *that role* an
    /// attempt, never the developer a round.
    Unreadable {
        /// What is missing or broken, for that role's next brief.
        findings: Vec<Finding>,
    },
    /// The gate could not find out.
    Inconclusive {
        /// Why not.
        fault: FaultNote,
    },
    /// Off, out of scope, not applicable or only shadowing: recorded, shown, never counted as a pass in silence.
    Skipped {
        /// Why.
        why: String,
    },
}

/// What a gate waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum WaitFor {
    /// Something outside will report.
    Report {
        /// What, in a few words: "`build` on 1a2b3c".
        what: String,
    },
    /// A person must approve.
    Approval {
        /// Which decision it is.
        #[serde(default = "analysis", skip_serializing_if = "is_analysis")]
        what: ApprovalKind,
        /// What exactly was shown and would be approved.
        subject: String,
        /// The same in words, a line each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shown: Vec<String>,
    },
    /// A person must remove what keeps the role of the stage from its work.
    Unable {
        /// What that is, in the role's words.
        reason: String,
    },
}

/// What an approval was for before there were several that gates ask for.
fn analysis() -> ApprovalKind {
    ApprovalKind::Analysis
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_analysis(what: &ApprovalKind) -> bool {
    *what == ApprovalKind::Analysis
}

impl Verdict {
    /// Does the pipeline move past this gate?
    pub fn lets_through(&self) -> bool {
        matches!(self, Self::Pass | Self::Skipped { .. })
    }
    /// One word for tables: `pass`, `wait`, `fail`, `unreadable`, `inconclusive`, `skipped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Wait { .. } => "wait",
            Self::Fail { .. } => "fail",
            Self::Unreadable { .. } => "unreadable",
            Self::Inconclusive { .. } => "inconclusive",
            Self::Skipped { .. } => "skipped",
        }
    }
}
