//! A remark for whoever works on a task next.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A remark. It is stored and shown as a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Remark {
    /// The ticket was edited while the task was under way: what it says now. For everybody, up to the end.
    Edited {
        /// Its title.
        title: String,
        /// Its text.
        body: String,
    },
    /// What was discarded, could not be read, and the like. For whoever works on the task in the present stage.
    Text(String),
}

const EDITED: &str = "The ticket was edited while this task was under way. It now reads:\n";

impl Remark {
    /// Is it about an edited ticket?
    pub fn is_edit(&self) -> bool {
        matches!(self, Self::Edited { .. })
    }
}

impl From<String> for Remark {
    fn from(text: String) -> Self {
        match text.strip_prefix(EDITED).and_then(|now| now.split_once("\n\n")) {
            Some((title, body)) => Self::Edited { title: title.to_owned(), body: body.to_owned() },
            None => Self::Text(text),
        }
    }
}

impl From<Remark> for String {
    fn from(remark: Remark) -> Self {
        remark.to_string()
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { title, body } => write!(f, "{EDITED}{title}\n\n{body}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_stored_as_the_text_it_always_was() {
        let edited = Remark::Edited { title: "Round half up".into(), body: "In totals.\n\nNot in taxes.".into() };
        let text = "The ticket was edited while this task was under way. It now reads:\nRound half up\n\nIn totals.\n\nNot in taxes.";
        for (remark, text) in [(edited, text), (Remark::Text("files are hidden".into()), "files are hidden")] {
            assert_eq!(serde_json::to_value(&remark).unwrap(), text);
            assert_eq!(serde_json::from_value::<Remark>(text.into()).unwrap(), remark);
        }
    }
}
