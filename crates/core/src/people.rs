//! Who a person is. A person has a different name on each system; whoever acts is looked up here, so that every list,
//! command and review means the same person. What a person may do is [`crate::policy::Policy::may`].

use crate::ids::Actor;
use serde::{Deserialize, Serialize};

/// A person who is known by a name on each of several systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What orch calls the person: the key in `[people]`.
    #[serde(rename = "person")]
    pub name: String,
    /// Every name on a system, with the system in front: `local:anna`, `gitea:anna.b`, `telegram:123`.
    #[serde(default)]
    pub names: Vec<Actor>,
}

/// Systems on which names differ in upper and lower case. All others take `Anna` and `anna` for one account.
const CASE_MATTERS: &[&str] = &["local"];

impl Person {
    /// Is this one of the person's names? A name without a system is the one orch uses.
    pub fn is(&self, who: &Actor) -> bool {
        match system(who) {
            None => who.as_str() == self.name,
            Some(_) => self.names.iter().any(|name| same_name(name, who)),
        }
    }
}

/// The system of a name: `gitea` of `gitea:anna`.
pub fn system(who: &Actor) -> Option<&str> {
    who.as_str().split_once(':').map(|(system, _)| system)
}

/// The name without its system.
pub fn bare(who: &Actor) -> &str {
    who.as_str().split_once(':').map_or(who.as_str(), |(_, name)| name)
}

/// Are these one account of one system?
pub fn same_name(one: &Actor, other: &Actor) -> bool {
    folded(one) == folded(other)
}

/// Do names on its system differ in upper and lower case?
pub fn case_matters(who: &Actor) -> bool {
    system(who).is_none_or(|system| CASE_MATTERS.contains(&system))
}

/// What a person is called whose name is not said: `person-3`.
pub fn numbered(id: i64) -> Actor {
    Actor::new(format!("person-{id}"))
}

/// Is it such a name?
pub fn is_numbered(who: &Actor) -> bool {
    who.as_str().strip_prefix("person-").is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

/// A name as it is compared: without upper case where its system does not tell cases apart.
pub fn folded(who: &Actor) -> String {
    match who.as_str().split_once(':') {
        Some((system, name)) if !case_matters(who) => format!("{system}:{}", name.to_lowercase()),
        _ => who.as_str().to_owned(),
    }
}

/// Who this is, of these people.
pub fn person_of<'p>(people: &'p [Person], who: &Actor) -> Option<&'p Person> {
    if is_nobody(who) {
        return None;
    }
    people.iter().find(|person| person.is(who))
}

/// Names that stand for no person: orch itself, a mover whom the tracker does not name, a request that names nobody.
pub fn is_nobody(who: &Actor) -> bool {
    ["orch", "unknown", "local:unknown"].contains(&who.as_str())
}

/// Is this person on the list? An entry that names one of `people` is that person under every name, and nobody else who
/// happens to have the name on some system. Any other entry is exact with its system (`local:anna`), and without one that
/// name wherever it comes from.
pub fn listed(people: &[Person], list: &[Actor], who: &Actor) -> bool {
    if is_nobody(who) {
        return false;
    }
    match person_of(people, who) {
        Some(person) => list.iter().any(|entry| person.is(entry)),
        None => list
            .iter()
            .filter(|entry| person_of(people, entry).is_none())
            .any(|entry| same_name(entry, who) || (system(entry).is_none() && entry.as_str() == bare(who))),
    }
}
