//! What an agent says instead of delivering: that it cannot go on, that the requirement itself is wrong, that nothing has to be
//! changed. Each comes with a reason that people and other roles read. None is believed by itself: a person ends the first, the
//! analyst answers the second, and the reviewer judges the third.

use serde::{Deserialize, Serialize};

/// Longest reason that is kept, characters: it stands in the wait, in notices and in briefs.
const MOST: usize = 4_000;

/// A word of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// It cannot do its work.
    Unable {
        /// Why.
        reason: String,
    },
    /// What an earlier stage wrote cannot be built.
    Return {
        /// The stage that has to write it anew.
        stage: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to change.
    NoChange {
        /// Why.
        reason: String,
    },
}

impl Word {
    /// The key it has in the result file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Unable { .. } => "unable",
            Self::Return { .. } => "return_to",
            Self::NoChange { .. } => "no_change",
        }
    }
    /// Why, in the agent's words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unable { reason } | Self::Return { reason, .. } | Self::NoChange { reason } => reason,
        }
    }
}

/// A reason, cut if it is too long to be read.
pub fn bounded(reason: &str) -> String {
    let reason = reason.trim();
    match reason.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} [cut: it is longer than {MOST} characters]", reason[..end].trim_end()),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_whole_or_cut_where_it_says_so() {
        assert_eq!(bounded("  no database\n"), "no database");
        let long = bounded(&"ü".repeat(1_000_000));
        assert!(long.ends_with("[cut: it is longer than 4000 characters]") && long.chars().count() < MOST + 60);
    }
}
