//! Tests that a person has put into quarantine until a date: what fails there stops nothing while it lasts, and every run in
//! which it did is said to have seen less than it should. A run counts only where it ended by itself and failed at nothing
//! but them; a crash, a limit, a failed setup and a red that names no test are what they were.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_ports::Fault;
use orch_store::{Fact, Memory};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A test in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The last day of it, as the person said it: `2026-12-31`.
    pub day: String,
    /// When that day ends where the people are (`[server] timezone`).
    pub until: Time,
    /// Who said so.
    pub by: Actor,
    /// When.
    pub at: Time,
    /// Why.
    pub because: String,
}

/// Tests in quarantine, by name.
pub type Quarantine = BTreeMap<String, Quarantined>;

/// Why a test was not put into quarantine.
#[derive(Debug)]
pub enum Refused {
    /// What the person said is not possible; a sentence for people.
    Said(String),
    /// The person may not; a sentence for people.
    NotAllowed(String),
    /// It could not be read or written.
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Those of a project that are in quarantine at this time.
///
/// # Errors
/// A store that cannot be read, and a record of another version: nobody guesses what a person let be.
pub async fn of(store: &(impl Memory + ?Sized), project: &ProjectKey, now: Time) -> Result<Quarantine, Fault> {
    read(store.recall(&Fact::Quarantine(project.clone())).await?.as_deref(), project, now)
}

/// The same, of what is remembered.
///
/// # Errors
/// A record of another version.
pub fn read(kept: Option<&str>, project: &ProjectKey, now: Time) -> Result<Quarantine, Fault> {
    let Some(kept) = kept else { return Ok(Quarantine::new()) };
    let mut all: Quarantine = serde_json::from_str(kept)
        .map_err(|e| Fault::permanent(format!("the tests of {project} in quarantine cannot be read: {e}")))?;
    all.retain(|_, test| now < test.until);
    Ok(all)
}

/// When a day ends.
pub(crate) fn end_of(day: &str, zone: &TimeZone) -> Option<Time> {
    let date: Date = day.parse().ok().filter(|_| day.len() == "2026-12-31".len())?;
    let next = date.tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight());
    zone.to_timestamp(next).ok().map(|at| Time(at.as_millisecond()))
}

/// What a verdict depends on: the names, as a digest; empty where there are none. Another quarantine is another judgement,
/// and what was green because of one is not green after it.
pub fn identity(all: &Quarantine) -> String {
    if all.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    let digest: [u8; 32] = Sha256::digest(names.join("\0")).into();
    let (first, _) = digest.split_at(8);
    format!("{:016x}", first.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The tests of a red run that are in quarantine, and those that are not. A run that failed at others, too, is red for these.
pub(crate) fn divided(failed: BTreeSet<String>, all: &Quarantine) -> (BTreeSet<String>, BTreeSet<String>) {
    failed.into_iter().partition(|test| all.contains_key(test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_where_the_people_are_and_nothing_else_is_a_day() {
        let at = |day: &str, zone: &str| end_of(day, &TimeZone::get(zone).unwrap()).map(|t| t.0 / 3_600_000);
        let utc = at("2026-12-31", "UTC").unwrap();
        assert_eq!(at("2026-12-31", "Europe/Berlin"), Some(utc - 1));
        assert_eq!(at("2026-12-31", "America/New_York"), Some(utc + 5));
        for nonsense in
            ["", "soon", "2026-13-01", "2026-02-30", "31.12.2026", "2026-12-31T10:00", "20261231", "9999-12-31"]
        {
            assert_eq!(at(nonsense, "UTC"), None, "{nonsense}");
        }
    }

    #[test]
    fn another_quarantine_is_another_judgement() {
        let test = |because: &str| Quarantined {
            day: "2026-12-31".into(),
            until: Time(1),
            by: "local:anna".into(),
            at: Time(0),
            because: because.into(),
        };
        let of = |names: &[&str], why: &str| {
            identity(&names.iter().map(|name| ((*name).to_owned(), test(why))).collect::<Quarantine>())
        };
        assert_eq!(of(&[], ""), "");
        assert_eq!(of(&["a"], "one"), of(&["a"], "other"));
        assert_ne!(of(&["a"], ""), of(&["b"], ""));
        assert_ne!(of(&["a"], ""), of(&["a", "b"], ""));
    }
}
