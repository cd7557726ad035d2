//! Is a version covered by what an advisory says of a package? Follows the evaluation of the schema
//! (<https://ossf.github.io/osv-schema/#evaluation>). It may never say "no" where it could not compare: that is
//! `Unknown`, which prevents a vulnerable package that passes because its version is written oddly.

use super::record::{Affected, Event, Range, RangeKind};
use super::version::Version;
use crate::Ecosystem;
use std::cmp::Ordering;

/// What an advisory says of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It is affected.
    Yes,
    /// It is not.
    No,
    /// Nobody can tell; a fragment for people says why.
    Unknown(String),
}

/// Is `version` covered? `None` asks about a version that is not known: only an advisory about every version covers it.
pub fn covered(ecosystem: Ecosystem, affected: &Affected, version: Option<&str>) -> Covered {
    let ranges = || affected.ranges.iter().filter(|r| r.kind != RangeKind::Git);
    let Some(text) = version else {
        return if ranges().any(everything) {
            Covered::Yes
        } else {
            Covered::Unknown("its version is not pinned".into())
        };
    };
    let version = Version::read(ecosystem, text);
    if affected.versions.iter().any(|listed| same(ecosystem, listed, text, version.as_ref())) {
        return Covered::Yes;
    }
    let mut unknown = None;
    for range in ranges() {
        // Every version, whatever it is called.
        if everything(range) {
            return Covered::Yes;
        }
        // Without a beginning it would cover nothing: the schema demands one.
        if !range.events.iter().any(|e| matches!(e, Event::Introduced(_))) {
            unknown = Some("the advisory names no version that it begins with".into());
            continue;
        }
        match version.as_ref().ok_or(text).and_then(|v| within(ecosystem, range, v)) {
            Ok(true) => return Covered::Yes,
            Ok(false) => {}
            Err(odd) => unknown = Some(format!("the version `{odd}` cannot be compared")),
        }
    }
    match unknown {
        // A list of versions is complete by itself.
        Some(why) if affected.versions.is_empty() => Covered::Unknown(why),
        _ if affected.versions.is_empty() && ranges().next().is_none() => {
            Covered::Unknown("the advisory names no versions that could be compared".into())
        }
        _ => Covered::No,
    }
}

fn same(ecosystem: Ecosystem, listed: &str, text: &str, version: Option<&Version>) -> bool {
    let equal = |listed: Version| version?.against(&listed);
    listed == text || Version::read(ecosystem, listed).and_then(equal) == Some(Ordering::Equal)
}

/// Does a range begin before every version and never end? RustSec writes the lowest semantic version for the beginning,
/// and a limit of `*` is none.
fn everything(range: &Range) -> bool {
    let zero = |e: &Event| matches!(e, Event::Introduced(v) if matches!(v.trim(), "0" | "0.0.0-0"));
    let endless = |e: &Event| matches!(e, Event::Introduced(_)) || matches!(e, Event::Limit(v) if v == "*");
    range.events.iter().any(zero) && range.events.iter().all(endless)
}

/// `Err` names the version that has no place in the order.
fn within<'a>(ecosystem: Ecosystem, range: &'a Range, version: &Version) -> Result<bool, &'a str> {
    // How an event stands to the version: `Less` is "the version lies before it".
    let mut turns: Vec<(Turn, Option<Version>)> = Vec::with_capacity(range.events.len());
    let mut limits: Vec<Ordering> = Vec::new();
    for event in &range.events {
        let (turn, text) = match event {
            Event::Fixed(v) => (Turn::Fixed, v),
            Event::Introduced(v) => (Turn::Introduced, v),
            Event::LastAffected(v) => (Turn::LastAffected, v),
            Event::Limit(v) if v == "*" => continue,
            Event::Limit(v) => (Turn::Limit, v),
        };
        if matches!(turn, Turn::Introduced) && text.trim() == "0" {
            turns.push((turn, None));
            continue;
        }
        let named = Version::read(ecosystem, text).ok_or(text.as_str())?;
        match turn {
            Turn::Limit => limits.push(version.against(&named).ok_or(text.as_str())?),
            _ => turns.push((turn, Some(named))),
        }
    }
    if !limits.is_empty() && limits.iter().all(|at| at.is_ge()) {
        return Ok(false);
    }
    turns.sort_by(|(a, at), (b, bt)| {
        let versions = match (at, bt) {
            (Some(at), Some(bt)) => at.order(bt).unwrap_or(Ordering::Equal),
            (at, bt) => at.is_some().cmp(&bt.is_some()),
        };
        // At the same version a fix comes before a new beginning and that before an end: touching spans leave no gap, and
        // a span of one version is no span for ever.
        versions.then(a.cmp(b))
    });
    let mut inside = false;
    for (turn, at) in &turns {
        let stands = match at {
            None => Ordering::Greater,
            Some(at) => version.against(at).unwrap_or(Ordering::Less),
        };
        match turn {
            Turn::Introduced if stands.is_ge() => inside = true,
            Turn::Fixed if stands.is_ge() => inside = false,
            Turn::LastAffected if stands.is_gt() => inside = false,
            _ => {}
        }
    }
    Ok(inside)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Fixed,
    Introduced,
    LastAffected,
    Limit,
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
