//! Dependencies against advisories. Decides which advisory covers which dependency and which of them are one and the
//! same; it may never answer "clean" for what it could not compare: that is in `unknown`. Pure.
//!
//! The rule for malice: a package of which every version is malicious, or of which no version is named, is found whatever
//! its version is, open and unreadable ones too. Where some versions are malicious, a version that is left open is found
//! if the newest one that the manifest lets through is, because that one gets installed. Where a clean one may be newer,
//! or a version cannot be compared, it is in `unknown`.

use crate::manifests::{Kind, is_manifest};
use crate::mirror::Records;
use crate::osv::{self, Affected, Covered, Event, Record, Version};
use crate::{Advisory, Dependency, Ecosystem, Unknown};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Known to be vulnerable.
    pub advisories: Vec<Advisory>,
    /// Not known to be clean.
    pub unknown: Vec<Unknown>,
    /// What of the advisories could not be read. Not empty: the audit is degraded.
    pub problems: Vec<String>,
}

/// Looks every dependency up.
pub fn audit(dependencies: &[Dependency], records: &Records) -> Audit {
    let mut out = Audit { problems: records.problems.clone(), ..Audit::default() };
    let ecosystems: HashSet<Ecosystem> = dependencies.iter().map(|d| d.ecosystem).collect();
    for ecosystem in Ecosystem::ALL {
        if ecosystems.contains(&ecosystem) && !records.has(ecosystem) {
            out.problems.push(format!("there are no advisories for {ecosystem}: none of its packages was looked up"));
        }
    }
    for dependency in dependencies {
        one(dependency, dependencies, records, &mut out);
    }
    out.advisories = unite(std::mem::take(&mut out.advisories));
    out
}

fn one(dependency: &Dependency, all: &[Dependency], records: &Records, out: &mut Audit) {
    let Dependency { ecosystem, name, version, .. } = dependency;
    let mut doubts: Vec<(&Record, String)> = Vec::new();
    for (record, source) in records.about(*ecosystem, name).filter(|(r, _)| r.withdrawn.is_none()) {
        let mut hit: Option<&Affected> = None;
        let mut doubt = None;
        for affected in record.of(*ecosystem, name) {
            match osv::covered(*ecosystem, affected, version.as_deref()) {
                Covered::Yes => hit = hit.or(Some(affected)),
                Covered::Unknown(_)
                    if record.is_malicious() && (names_none(affected) || ends_in(dependency, affected, all)) =>
                {
                    hit = hit.or(Some(affected));
                }
                Covered::Unknown(why) => doubt = doubt.or(Some(why)),
                Covered::No => {}
            }
        }
        match (hit, doubt) {
            (Some(affected), _) => out.advisories.push(advisory(dependency, record, affected, source)),
            (None, Some(why)) => doubts.push((record, why)),
            (None, None) => {}
        }
    }
    // One entry for all the doubts about a dependency. What a lock file beside it pins was looked up there.
    let Some((_, why)) = doubts.first() else { return };
    let malicious = doubts.iter().any(|(record, _)| record.is_malicious());
    let settles = |lock: &Dependency| pins(lock, dependency) && (!malicious || is_lock(lock, dependency));
    if version.is_none() && all.iter().any(settles) {
        return;
    }
    let mut ids: Vec<String> = doubts.iter().map(|(record, _)| record.id.clone()).collect();
    ids.sort();
    ids.dedup();
    out.unknown.push(Unknown { dependency: dependency.clone(), ids, malicious, why: why.clone() });
}

/// Is it the package as such that is told of?
fn names_none(affected: &Affected) -> bool {
    affected.ranges.is_empty() && affected.versions.is_empty()
}

/// Would an installer end up with a version that is covered? What something else pins was looked up there.
fn ends_in(dependency: &Dependency, affected: &Affected, all: &[Dependency]) -> bool {
    let newest = |wanted: &String| osv::newest_is_covered(dependency.ecosystem, affected, wanted);
    dependency.version.is_none()
        && dependency.wanted.as_ref().is_some_and(newest)
        && !all.iter().any(|other| pins(other, dependency) && is_lock(other, dependency))
}

/// Where malice is in doubt, does `lock` bind whoever installs what `open` asks for? pip reads no lock file beside a list
/// of requirements, and a project's wishes or another list are none.
fn is_lock(lock: &Dependency, open: &Dependency) -> bool {
    let asks =
        |kind| matches!(kind, Some(Kind::Requirements | Kind::PyProject | Kind::PackageJson | Kind::CargoToml) | None);
    let only_asks = |d: &Dependency| asks(is_manifest(&d.manifest));
    let is_list = |d: &Dependency| d.ecosystem == Ecosystem::PyPI && is_manifest(&d.manifest) != Some(Kind::PyProject);
    lock.manifest == open.manifest || (!only_asks(lock) && !is_list(open))
}

/// Does `lock` pin what `open` leaves open? It has to stand in the same directory or above.
fn pins(lock: &Dependency, open: &Dependency) -> bool {
    let directory = |path: &str| path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    lock.version.is_some()
        && lock.ecosystem == open.ecosystem
        && lock.name == open.name
        && directory(&open.manifest).starts_with(&directory(&lock.manifest))
}

fn advisory(dependency: &Dependency, record: &Record, affected: &Affected, source: &str) -> Advisory {
    let Dependency { ecosystem, name, version, manifest, line, .. } = dependency.clone();
    let installed = version.as_deref().and_then(|v| Version::read(ecosystem, v));
    let above = |fixed: &str| match (&installed, Version::read(ecosystem, fixed)) {
        (Some(installed), Some(fixed)) => installed.against(&fixed) == Some(Ordering::Less),
        _ => true,
    };
    // All entries of the package count: an advisory lists one range per line of releases.
    let mut fixed: Vec<String> = Vec::new();
    for event in record.of(ecosystem, &name).flat_map(|a| &a.ranges).flat_map(|r| &r.events) {
        match event {
            Event::Fixed(v) if above(v) && Version::read(ecosystem, v).is_some() && !fixed.contains(v) => {
                fixed.push(v.clone());
            }
            _ => {}
        }
    }
    Advisory {
        id: record.id.clone(),
        aliases: record.aliases.clone(),
        ecosystem,
        severity: osv::severity_of(record, affected),
        malicious: record.is_malicious(),
        fixed,
        summary: record.line(),
        name,
        version,
        manifest,
        line,
        sources: vec![source.to_owned()],
    }
}

/// Makes one of those that tell of the same vulnerability of the same package in the same manifest, whoever tells:
/// databases have names of their own for it. An advisory without a version joins those that have one.
pub fn unite(advisories: Vec<Advisory>) -> Vec<Advisory> {
    let mut groups: BTreeMap<(String, Ecosystem, String), Vec<Advisory>> = BTreeMap::new();
    for advisory in advisories {
        let key = (advisory.manifest.clone(), advisory.ecosystem, advisory.name.clone());
        groups.entry(key).or_default().push(advisory);
    }
    let mut out = Vec::new();
    for mut group in groups.into_values() {
        // Those with a version first, so that the others find them.
        group.sort_by_key(|a| a.version.is_none());
        let mut done: Vec<Advisory> = Vec::new();
        for advisory in group {
            let fits = |a: &Advisory| {
                a.same_matter(&advisory) && (a.version == advisory.version || advisory.version.is_none())
            };
            let (same, rest): (Vec<_>, Vec<_>) = done.into_iter().partition(fits);
            done = rest;
            done.extend(join(same, advisory));
        }
        for advisory in &mut done {
            tidy(advisory);
        }
        done.sort_by(|a, b| (&a.version, &a.id).cmp(&(&b.version, &b.id)));
        out.append(&mut done);
    }
    out
}

/// Puts one more into those that are the same matter. Those of different versions stay apart, each with the news.
fn join(same: Vec<Advisory>, more: Advisory) -> Vec<Advisory> {
    let mut out: Vec<Advisory> = Vec::new();
    for mut advisory in same {
        take(&mut advisory, &more);
        match out.iter_mut().find(|a| a.version == advisory.version) {
            Some(first) => take(first, &advisory),
            None => out.push(advisory),
        }
    }
    if out.is_empty() { vec![more] } else { out }
}

fn take(into: &mut Advisory, from: &Advisory) {
    let list = |into: &mut Vec<String>, from: &[String]| {
        for item in from {
            if !into.contains(item) {
                into.push(item.clone());
            }
        }
    };
    into.aliases.push(from.id.clone());
    into.aliases.extend(from.aliases.iter().cloned());
    list(&mut into.fixed, &from.fixed);
    list(&mut into.sources, &from.sources);
    into.severity = into.severity.max(from.severity);
    into.malicious |= from.malicious;
    into.line = into.line.or(from.line);
    if into.summary.is_empty() {
        into.summary.clone_from(&from.summary);
    }
}

/// The name people know best first, the others in order.
fn tidy(advisory: &mut Advisory) {
    const ORDER: [&str; 6] = ["MAL-", "RUSTSEC-", "GHSA-", "GO-", "PYSEC-", "CVE-"];
    let mut names: Vec<String> = advisory.names().map(ToOwned::to_owned).collect();
    let rank = |name: &String| ORDER.iter().position(|prefix| name.starts_with(prefix)).unwrap_or(ORDER.len());
    names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
    names.dedup();
    advisory.id = names.remove(0);
    advisory.aliases = names;
    advisory.malicious |= advisory.id.starts_with("MAL-");
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
