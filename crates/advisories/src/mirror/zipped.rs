//! Goes through one `all.zip`. Decides record by record whether it is wanted, one record in memory at a time; it may
//! never trust the sizes a zip declares. What it could not read is counted and told.

use super::{AsOf, Feed, Newest, Records, file_time};
use crate::Ecosystem;
use crate::osv::{MAX_RECORD, Outline, Record};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipReadOptions;
use zip::read::Config;
use zip::unstable::read::ZipIterable;

/// Most bytes that are unpacked of one zip. The largest feed, npm, unpacks to about a gigabyte.
const MAX_TOTAL: u64 = 8 * 1024 * 1024 * 1024;
/// Most entries of one zip.
const MAX_ENTRIES: usize = 3_000_000;

/// What became of an entry.
pub(super) enum Entry<'a> {
    /// A record.
    Whole(&'a Outline<'a>, &'a [u8]),
    /// It cannot be read.
    Broken(String),
}

/// Goes through a zip, calling `see` for every record. `Err`: the zip itself is broken, from where it broke.
pub(super) fn walk(file: &File, mut see: impl FnMut(&str, Entry<'_>)) -> Result<(), String> {
    let broken = |e: zip::result::ZipError| format!("is no zip that can be read: {e}");
    let io = |e: std::io::Error| format!("cannot be read: {e}");
    let reader = || Ok::<_, String>(BufReader::new(file.try_clone().map_err(io)?));
    let mut zip = ZipIterable::try_new(reader()?, Config::default()).map_err(broken)?;
    if zip.len() > MAX_ENTRIES {
        return Err(format!("has more than {MAX_ENTRIES} entries"));
    }
    // Both readers move the one position of the file, and both seek before they read.
    let mut body = reader()?;
    let (mut bytes, mut total) = (Vec::new(), 0_u64);
    for entry in zip.files().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if !name.to_ascii_lowercase().ends_with(".json") {
            continue;
        }
        bytes.clear();
        let read = match entry.with_reader(&mut body, ZipReadOptions::new()) {
            Ok(file) => file.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        total = total.saturating_add(bytes.len() as u64);
        if total > MAX_TOTAL {
            return Err(format!("unpacks to more than {} GiB", MAX_TOTAL >> 30));
        }
        match read {
            Err(why) => see(&name, Entry::Broken(format!("cannot be unpacked: {why}"))),
            Ok(_) if bytes.len() > MAX_RECORD => {
                see(&name, Entry::Broken(format!("is larger than {} MiB", MAX_RECORD >> 20)));
            }
            Ok(_) => match serde_json::from_slice::<Outline<'_>>(&bytes) {
                Ok(outline) => see(&name, Entry::Whole(&outline, &bytes)),
                Err(e) => see(&name, Entry::Broken(format!("is no OSV record: {e}"))),
            },
        }
        // One large record is no reason to keep its room.
        if bytes.capacity() > 1024 * 1024 {
            bytes = Vec::new();
        }
    }
    Ok(())
}

pub(super) fn read(path: &Path, ecosystem: Ecosystem, wanted: &HashSet<&str>, out: &mut Records) {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) => return out.problems.push(format!("no advisories of OSV for {ecosystem}: {}: {e}", path.display())),
    };
    let written = file.metadata().ok().and_then(|meta| file_time(&meta));
    let mut newest = Newest::before(written);
    let (mut records, mut unreadable, mut example) = (0_u64, 0_u64, None);
    let ended = walk(&file, |name, entry| {
        records += 1;
        let broken = match entry {
            Entry::Broken(why) => Some(why),
            Entry::Whole(outline, bytes) => {
                newest.see(&outline.modified);
                let is_wanted = outline.affected.iter().filter_map(|a| a.package.as_ref()).any(|package| {
                    Ecosystem::of(&package.ecosystem) == Some(ecosystem)
                        && (wanted.contains(&*package.name) || wanted.contains(&*ecosystem.normal(&package.name)))
                });
                match is_wanted.then(|| Record::read(bytes)) {
                    None => None,
                    Some(Ok(record)) => {
                        out.add(record, "osv", |e, name| e == ecosystem && wanted.contains(name));
                        None
                    }
                    Some(Err(why)) => Some(why),
                }
            }
        };
        if let Some(why) = broken {
            unreadable += 1;
            example.get_or_insert_with(|| format!("{name} {}", crate::text::short(&why)));
        }
    });
    if let Err(why) = ended {
        out.problems.push(format!("{} {}", path.display(), crate::text::short(&why)));
        if records == 0 {
            return;
        }
    }
    if let Some(example) = example {
        out.problems.push(format!("{}: {unreadable} of its records cannot be read, such as {example}", path.display()));
    }
    if records == 0 {
        return out.problems.push(format!("{} holds no records", path.display()));
    }
    let as_of: AsOf = newest.as_of(written);
    out.feeds.push(Feed { ecosystem, source: "osv", path: path.to_owned(), records, unreadable, as_of });
}
