//! `Fault`: what every port reports when it cannot do or cannot tell. Classified once, by the adapter that knows the
//! vendor; retry and `Inconclusive` look at nothing else.

use orch_core::fault_code::FaultCode;
use orch_core::retry::Failure;
use orch_core::verdict::{FaultKind, FaultNote};
use std::fmt;
use std::time::Duration;

/// An infrastructure fault with its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind: decides whether to try again.
    pub kind: FaultKind,
    /// Which fault it is, for whoever has to tell two apart.
    pub code: FaultCode,
    /// The other side's own wish when to come back, if it named one.
    pub retry_after: Option<Duration>,
    /// What was being done and what went wrong; lower-case, no secrets.
    pub text: String,
    /// Is the kind a guess, from an exit code or the other side's words? Then only the same fault again and again is final.
    pub unsure: bool,
}

impl Fault {
    /// Will pass by itself.
    pub fn transient(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Transient, text)
    }
    /// Credentials or permissions are missing.
    pub fn denied(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Denied, text)
    }
    /// What was asked about is not there.
    pub fn gone(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Gone, text)
    }
    /// Asking again will not help.
    pub fn permanent(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Permanent, text)
    }
    /// Our own mistake.
    pub fn bug(text: impl Into<String>) -> Self {
        Self::new(FaultKind::Bug, text)
    }
    /// A fault of a kind.
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, code: kind.code(), retry_after: None, text: text.into(), unsure: false }
    }
    /// Says which fault it is.
    #[must_use]
    pub fn coded(mut self, code: FaultCode) -> Self {
        self.code = code;
        self
    }
    /// Puts what was being done in front: `fetch main: connection refused`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }
    /// Sets when the other side wants us back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
    /// The kind is a guess: the service was there and said no, and whether it says so again is not known.
    #[must_use]
    pub fn unsure(mut self) -> Self {
        self.unsure = true;
        self
    }
    /// Is trying again worth it?
    pub fn is_transient(&self) -> bool {
        self.kind == FaultKind::Transient
    }
    /// The form that is stored.
    pub fn note(&self) -> FaultNote {
        FaultNote::new(self.kind, self.text.clone()).coded(self.code)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl From<FaultNote> for Fault {
    fn from(note: FaultNote) -> Self {
        Self::new(note.kind, note.text).coded(note.code)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let retry_after_ms = fault.retry_after.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        Self { kind: fault.kind, code: fault.code, text: fault.text, retry_after_ms, unsure: fault.unsure, class: None }
    }
}
