//! What a run does.

use crate::ids::{Environment, Role};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A role of an agent, or a command of the project. It is stored and shown as a text; one of an earlier version that names
/// nothing known here is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunOf {
    /// An agent in this role.
    Role(Role),
    /// The hook that brings a revision there.
    Deploy(Environment),
    /// The hook that looks whether a revision runs well there.
    Check(Environment),
    /// The hook that brings a revision back there.
    Rollback(Environment),
    /// CI on what is named: `1a2b3c4`, `the base 1a2b3c4, run 2`.
    Ci(String),
    /// The tests on what is named in the same way.
    Tests(String),
    /// Another command of the project, in words for people: `setup for the developer`.
    Command(String),
}

impl RunOf {
    /// The role, where it is an agent's.
    pub fn role(&self) -> Option<&Role> {
        match self {
            Self::Role(role) => Some(role),
            _ => None,
        }
    }
}

impl From<Role> for RunOf {
    fn from(role: Role) -> Self {
        Self::Role(role)
    }
}

impl From<String> for RunOf {
    fn from(text: String) -> Self {
        let hooks = [Environment::Staging, Environment::Production]
            .into_iter()
            .flat_map(|environment| [Self::Deploy(environment), Self::Check(environment), Self::Rollback(environment)]);
        if let Some(hook) = hooks.into_iter().find(|hook| hook.to_string() == text) {
            return hook;
        }
        match text.split_once(" on ") {
            Some(("ci", what)) => Self::Ci(what.to_owned()),
            Some(("tests", what)) => Self::Tests(what.to_owned()),
            // The name of a role is one word.
            None if !text.is_empty() && !text.contains(char::is_whitespace) => Self::Role(Role::new(text)),
            _ => Self::Command(text),
        }
    }
}

impl From<RunOf> for String {
    fn from(run: RunOf) -> Self {
        run.to_string()
    }
}

impl fmt::Display for RunOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::Deploy(environment) => write!(f, "deploy to {environment}"),
            Self::Check(environment) => write!(f, "check {environment}"),
            Self::Rollback(environment) => write!(f, "roll {environment} back"),
            Self::Ci(what) => write!(f, "ci on {what}"),
            Self::Tests(what) => write!(f, "tests on {what}"),
            Self::Command(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_as_a_text_is_read_back_and_shown_as_it_was() {
        let all = [
            (RunOf::Role(Role::Developer), "developer"),
            (RunOf::Role(Role::new("writer")), "writer"),
            (RunOf::Deploy(Environment::Staging), "deploy to staging"),
            (RunOf::Check(Environment::Production), "check production"),
            (RunOf::Rollback(Environment::Production), "roll production back"),
            (RunOf::Ci("the base 1a2b3c4, run 2".into()), "ci on the base 1a2b3c4, run 2"),
            (RunOf::Tests("1a2b3c4".into()), "tests on 1a2b3c4"),
            (RunOf::Command("setup for the developer".into()), "setup for the developer"),
            (RunOf::Command("setup on 1a2b3c4 of the default branch".into()), "setup on 1a2b3c4 of the default branch"),
            (RunOf::Command("deploy to the moon".into()), "deploy to the moon"),
            (RunOf::Command(String::new()), ""),
        ];
        for (run, text) in all {
            assert_eq!(serde_json::to_value(&run).unwrap(), text);
            assert_eq!(serde_json::from_value::<RunOf>(text.into()).unwrap(), run, "{text}");
        }
    }
}
