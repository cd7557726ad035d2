//! Where findings come from.

use crate::ids::{Actor, GateId, Role};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who or what says that something has to be repaired. It is stored and shown as a text; one that an older version wrote and
/// that names nothing known here is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Origin {
    /// A gate. `prepared`: on the commit that is prepared for the merge.
    Gate {
        /// Which.
        gate: GateId,
        /// In the merge.
        prepared: bool,
    },
    /// What made the branch ready for the merge.
    PrepareMerge,
    /// The merge with the default branch.
    Conflict,
    /// What an agent left, or did not leave, when it ended.
    Commit,
    /// A person's branch, as it was taken.
    Branch,
    /// Taking a change back.
    Revert,
    /// Production, or whoever was asked about it.
    Production,
    /// A role that returned the task.
    Role(Role),
    /// A person.
    Person(Actor),
    /// Somebody or something that is not known here.
    Other(String),
}

/// Behind the name of a gate that judged what is prepared.
const PREPARED: &str = " (prepared for merge)";

impl Origin {
    /// A gate, wherever it stands.
    pub fn gate(&self) -> Option<GateId> {
        match self {
            Self::Gate { gate, .. } => Some(*gate),
            _ => None,
        }
    }
}

impl From<GateId> for Origin {
    fn from(gate: GateId) -> Self {
        Self::Gate { gate, prepared: false }
    }
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        let (name, prepared) = text.strip_suffix(PREPARED).map_or((text.as_str(), false), |name| (name, true));
        // Only as it is written: how people may write a gate is no matter here.
        if let Some(gate) = GateId::ALL.iter().copied().find(|gate| gate.as_str() == name) {
            return Self::Gate { gate, prepared };
        }
        let known = [Self::PrepareMerge, Self::Conflict, Self::Commit, Self::Branch, Self::Revert, Self::Production];
        if let Some(known) = known.into_iter().find(|known| known.to_string() == text) {
            return known;
        }
        match text.strip_prefix("the ") {
            Some(role) if !role.is_empty() && !role.contains(char::is_whitespace) => Self::Role(Role::new(role)),
            None if text.contains(':') && !text.contains(char::is_whitespace) => Self::Person(Actor::new(text)),
            _ => Self::Other(text),
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { gate, prepared } => write!(f, "{gate}{}", if *prepared { PREPARED } else { "" }),
            Self::PrepareMerge => f.write_str("prepare-merge"),
            Self::Conflict => f.write_str("the merge with main"),
            Self::Commit => f.write_str("the commit"),
            Self::Branch => f.write_str("the branch"),
            Self::Revert => f.write_str("the revert"),
            Self::Production => f.write_str("production"),
            Self::Role(role) => write!(f, "the {role}"),
            Self::Person(who) => who.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_as_a_text_is_read_back_and_shown_as_it_was() {
        let gate = GateId::SecurityGate;
        let all = [
            (Origin::Gate { gate, prepared: false }, "check_security_gate"),
            (Origin::Gate { gate, prepared: true }, "check_security_gate (prepared for merge)"),
            (Origin::PrepareMerge, "prepare-merge"),
            (Origin::Conflict, "the merge with main"),
            (Origin::Commit, "the commit"),
            (Origin::Branch, "the branch"),
            (Origin::Revert, "the revert"),
            (Origin::Production, "production"),
            (Origin::Role(Role::Reviewer), "the reviewer"),
            (Origin::Person(Actor::new("local:anna")), "local:anna"),
            (Origin::Other("check_security_gate_of_old".into()), "check_security_gate_of_old"),
            (Origin::Role(Role::new("writer")), "the writer"),
            (Origin::Other("the forge at noon".into()), "the forge at noon"),
            (Origin::Other("Check_Security_Gate".into()), "Check_Security_Gate"),
            (Origin::Other(String::new()), ""),
        ];
        for (origin, text) in all {
            assert_eq!(serde_json::to_value(&origin).unwrap(), text);
            assert_eq!(serde_json::from_value::<Origin>(text.into()).unwrap(), origin, "{text}");
        }
    }
}
