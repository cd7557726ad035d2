//! What happened, for programs: the code of a fault. The kind of a fault says what is done about it; its code says which fault
//! it is, and its text says so to people. Whoever has to tell two faults apart compares codes, never texts.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        /// The code of a fault. The first five are what is known where nothing more is: one for each kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum FaultCode { $($(#[$doc])* #[serde(rename = $word)] $variant),* }
        impl FaultCode {
            /// Its word in JSON and in answers of the API.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

codes! {
    /// It does not work at the moment.
    Unavailable = "unavailable",
    /// Credentials or permissions do not allow it.
    Denied = "denied",
    /// What was asked about is not there.
    NotFound = "not_found",
    /// It does not work, and will not by itself.
    Failed = "failed",
    /// A mistake of orch.
    Bug = "bug",
    /// No connection, or no address for a name.
    Unreachable = "unreachable",
    /// No answer in the time there was.
    TimedOut = "timed_out",
    /// Too many requests: the other side named a limit.
    Limited = "limited",
    /// The other side is there, and answered with an error of its own (HTTP 5xx).
    Overloaded = "overloaded",
    /// This machine has no disk space, memory or descriptors left.
    NoRoom = "no_room",
    /// A file or lock is held by another process.
    Busy = "busy",
    /// A program was ended by a signal.
    Killed = "killed",
    /// The supervisor of a run died and left no record of its end.
    Lost = "lost",
    /// The other side does not know who asks: no login, a wrong one, or a host whose key is not known.
    NotLetIn = "not_let_in",
    /// A branch that was named is not there.
    NoSuchBranch = "no_such_branch",
    /// A program is not installed.
    NotInstalled = "not_installed",
    /// A file is damaged, or is not what it has to be.
    Damaged = "damaged",
    /// A newer version of orch wrote it.
    Newer = "newer",
    /// The worker of a job died of it or at it, or hung.
    WorkerDied = "worker_died",
    /// Whoever started it asked it to stop.
    Stopped = "stopped",
    /// Workers died of a job, and it was put off for that.
    Quarantined = "quarantined",
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
