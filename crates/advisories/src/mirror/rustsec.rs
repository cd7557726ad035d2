//! A checkout of the RustSec database, through its own library. Decides nothing about versions itself: the library turns
//! RustSec's requirements into the ranges OSV has. Reads only the directories of the crates that were asked for, so one
//! file that cannot be read costs that file and is told.

use super::{AsOf, Feed, Newest, Records, file_time};
use crate::Ecosystem;
use crate::osv::{Affected, Event, Package, Range, RangeKind, Record, SeverityVector};
use crate::text::short;
use rustsec::Advisory;
use std::collections::HashSet;
use std::path::Path;

pub(super) fn read(dir: &Path, wanted: &HashSet<&str>, out: &mut Records) {
    let crates = dir.join("crates");
    let listed = match std::fs::read_dir(&crates) {
        Ok(listed) => listed,
        Err(e) => return out.problems.push(format!("no advisories of RustSec: {}: {e}", crates.display())),
    };
    let mut newest = Newest::before(None);
    let (mut records, mut unreadable) = (0_u64, 0_u64);
    for entry in listed {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return out.problems.push(format!("{}: {e}", crates.display())),
        };
        let name = entry.file_name();
        // The directory's time is that of its newest file: no need to open those nobody asked for.
        if let Some(at) = entry.metadata().ok().and_then(|meta| file_time(&meta)) {
            newest.found = newest.found.max(Some(at));
        }
        let Some(name) = name.to_str().filter(|name| wanted.contains(name)) else { continue };
        let files = match std::fs::read_dir(entry.path()) {
            Ok(files) => files,
            Err(e) => {
                out.problems.push(format!("{}: {e}", entry.path().display()));
                continue;
            }
        };
        let mut paths: Vec<_> = files.filter_map(|f| f.ok().map(|f| f.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "md") && !Advisory::is_draft(p)) {
            records += 1;
            match Advisory::load_file(path) {
                Ok(advisory) => out.add(record(name, &advisory), "rustsec", |_, n| n == name),
                Err(e) => {
                    unreadable += 1;
                    out.problems.push(format!("{}: {}", path.display(), short(&e.to_string())));
                }
            }
        }
    }
    // Copying a checkout changes these times, so they are no more than a file's.
    let as_of = newest.found.map_or(AsOf::Unknown, AsOf::FileTime);
    out.feeds.push(Feed {
        ecosystem: Ecosystem::CratesIo,
        source: "rustsec",
        path: dir.to_owned(),
        records,
        unreadable,
        as_of,
    });
}

fn record(name: &str, advisory: &Advisory) -> Record {
    let meta = &advisory.metadata;
    let mut ranges = Vec::new();
    for range in rustsec::osv::ranges_for_advisory(&advisory.versions) {
        let from = range.introduced.map_or_else(|| "0".to_owned(), |v| v.to_string());
        let mut events = vec![Event::Introduced(from)];
        events.extend(range.fixed.map(|v| Event::Fixed(v.to_string())));
        ranges.push(Range { kind: RangeKind::Semver, events });
    }
    let package = Package { ecosystem: Ecosystem::CratesIo.name().to_owned(), name: name.to_owned() };
    let score = |cvss: &cvss::Cvss| SeverityVector { kind: "CVSS".into(), score: cvss.to_string() };
    Record {
        withdrawn: meta.withdrawn.as_ref().map(|date| date.as_str().to_owned()),
        aliases: meta.aliases.iter().map(|id| id.as_str().to_owned()).collect(),
        summary: meta.title.clone(),
        severity: meta.cvss.iter().map(score).collect(),
        ..Record::new(meta.id.as_str(), vec![Affected::new(package, ranges)])
    }
}
