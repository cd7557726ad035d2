//! What happened, for programs: the code of a fault. The kind of a fault says what is done about it; its code says which fault
//! it is, and its text says so to people. Whoever has to tell two faults apart compares codes, never texts.

use serde::{Deserialize, Serialize};

/// The code of a fault. The first five are what is known where nothing more is: one for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// It does not work at the moment.
    Unavailable,
    /// Credentials or permissions do not allow it.
    Denied,
    /// What was asked about is not there.
    NotFound,
    /// It does not work, and will not by itself.
    Failed,
    /// A mistake of orch.
    Bug,
    /// No connection, or no address for a name.
    Unreachable,
    /// No answer in the time there was.
    TimedOut,
    /// Too many requests: the other side named a limit.
    Limited,
    /// The other side is there, and answered with an error of its own (HTTP 5xx).
    Overloaded,
    /// This machine has no disk space, memory or descriptors left.
    NoRoom,
    /// A file or lock is held by another process.
    Busy,
    /// A program was ended by a signal.
    Killed,
    /// The supervisor of a run died and left no record of its end.
    Lost,
    /// The other side does not know who asks: no login, a wrong one, or a host whose key is not known.
    NotLetIn,
    /// A branch that was named is not there.
    NoSuchBranch,
    /// A program is not installed.
    NotInstalled,
    /// A file is damaged, or is not what it has to be.
    Damaged,
    /// A newer version of orch wrote it.
    Newer,
    /// The worker of a job died of it or at it, or hung.
    WorkerDied,
    /// Whoever started it asked it to stop.
    Stopped,
    /// Workers died of a job, and it was put off for that.
    Quarantined,
}

impl FaultCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Unavailable,
        Self::Denied,
        Self::NotFound,
        Self::Failed,
        Self::Bug,
        Self::Unreachable,
        Self::TimedOut,
        Self::Limited,
        Self::Overloaded,
        Self::NoRoom,
        Self::Busy,
        Self::Killed,
        Self::Lost,
        Self::NotLetIn,
        Self::NoSuchBranch,
        Self::NotInstalled,
        Self::Damaged,
        Self::Newer,
        Self::WorkerDied,
        Self::Stopped,
        Self::Quarantined,
    ];

    /// Its word in JSON and in answers of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
            Self::Bug => "bug",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Limited => "limited",
            Self::Overloaded => "overloaded",
            Self::NoRoom => "no_room",
            Self::Busy => "busy",
            Self::Killed => "killed",
            Self::Lost => "lost",
            Self::NotLetIn => "not_let_in",
            Self::NoSuchBranch => "no_such_branch",
            Self::NotInstalled => "not_installed",
            Self::Damaged => "damaged",
            Self::Newer => "newer",
            Self::WorkerDied => "worker_died",
            Self::Stopped => "stopped",
            Self::Quarantined => "quarantined",
        }
    }

    /// What a person can do about it; nothing where that depends on more than the code.
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::Unavailable | Self::Unreachable | Self::TimedOut | Self::Limited | Self::Overloaded | Self::Busy => {
                Some("this passes by itself: try again in a moment")
            }
            Self::NoRoom => Some("free disk space, memory or descriptors on this machine; orch goes on by itself"),
            Self::Denied | Self::NotLetIn => Some("`orch doctor` says which credentials are missing"),
            Self::NotInstalled => Some("`orch doctor` says which programs are missing and how to get them"),
            Self::NotFound
            | Self::Failed
            | Self::Bug
            | Self::Killed
            | Self::Lost
            | Self::NoSuchBranch
            | Self::Damaged
            | Self::Newer
            | Self::WorkerDied
            | Self::Stopped
            | Self::Quarantined => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{FaultKind, FaultNote};

    #[test]
    fn a_code_is_stored_by_its_word_and_left_out_where_the_kind_says_as_much() {
        for &code in FaultCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            let note = FaultNote::new(FaultKind::Permanent, "no").coded(code);
            let stored = serde_json::to_value(&note).unwrap();
            assert_eq!(stored.get("code").is_some(), code != FaultCode::Failed, "{stored}");
            assert_eq!(serde_json::from_value::<FaultNote>(stored).unwrap(), note);
        }
    }

    #[test]
    fn what_an_older_version_stored_has_the_code_of_its_kind() {
        for (word, code) in [("transient", FaultCode::Unavailable), ("gone", FaultCode::NotFound)] {
            let note: FaultNote = serde_json::from_value(serde_json::json!({ "kind": word, "text": "x" })).unwrap();
            assert_eq!(note.code, code);
        }
    }
}
