//! A mirror of advisories on disk: `<ECOSYSTEM>/all.zip` as OSV publishes them
//! (<https://google.github.io/osv.dev/data/#data-dumps>), and beside it, if there is one, a checkout of the RustSec
//! database. Decides what is read and how old it is; it may never keep more in memory than the records of the packages
//! that were asked for, and never take a part it could not read for an empty one.

mod import;
mod rustsec;
mod zipped;

pub use import::{ImportError, Imported, import};

use crate::Dependency;
use crate::Ecosystem;
use crate::osv::Record;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A directory of advisories.
#[derive(Clone, Debug)]
pub struct Mirror {
    osv: Option<PathBuf>,
    rustsec: Option<PathBuf>,
}

/// How old a feed is goes by the newest record in it; a file's own time says when it was copied, and is used only where
/// no record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The newest `modified` of its records, seconds since 1970.
    NewestRecord(i64),
    /// When the file was last written, seconds since 1970.
    FileTime(i64),
    /// Nobody knows: to be treated as stale.
    Unknown,
}

impl AsOf {
    /// Seconds since 1970.
    pub const fn seconds(self) -> Option<i64> {
        match self {
            Self::NewestRecord(at) | Self::FileTime(at) => Some(at),
            Self::Unknown => None,
        }
    }

    /// Is it older than `longest_s` at `now_s`? What nobody knows is.
    pub fn is_older_than(self, longest_s: i64, now_s: i64) -> bool {
        self.seconds().is_none_or(|at| now_s.saturating_sub(at) > longest_s)
    }
}

/// One source of advisories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// For which packages.
    pub ecosystem: Ecosystem,
    /// `osv` or `rustsec`.
    pub source: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// How many records were looked at.
    pub records: u64,
    /// How many of them could not be read.
    pub unreadable: u64,
    /// How old it is.
    pub as_of: AsOf,
}

/// The advisories about the packages that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Records {
    list: Vec<(Record, &'static str)>,
    by_package: HashMap<(Ecosystem, String), Vec<usize>>,
    /// Where they come from.
    pub feeds: Vec<Feed>,
    /// What could not be read. Not empty: the audit is degraded.
    pub problems: Vec<String>,
}

/// Why there is no mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Neither is there.
    #[error("there are no advisories: {0} is not a directory that can be read")]
    Missing(PathBuf),
}

impl Mirror {
    /// A directory with `<ECOSYSTEM>/all.zip` files; those for ecosystems nobody uses may be missing.
    pub fn open(dir: &Path) -> Result<Self, MirrorError> {
        readable(dir)?;
        Ok(Self { osv: Some(dir.to_owned()), rustsec: None })
    }

    /// A checkout of the RustSec database (<https://github.com/rustsec/advisory-db>) as one more source for crates.
    pub fn with_rustsec(mut self, dir: &Path) -> Result<Self, MirrorError> {
        readable(dir)?;
        self.rustsec = Some(dir.to_owned());
        Ok(self)
    }

    /// Only a checkout of the RustSec database.
    pub fn of_rustsec(dir: &Path) -> Result<Self, MirrorError> {
        Self { osv: None, rustsec: None }.with_rustsec(dir)
    }

    /// Reads what there is about these packages: give it those of branch and base together, since every read goes
    /// through the whole of a feed.
    pub fn read(&self, wanted: &[Dependency]) -> Records {
        let mut out = Records::default();
        for ecosystem in Ecosystem::ALL {
            let names: HashSet<&str> =
                wanted.iter().filter(|d| d.ecosystem == ecosystem).map(|d| d.name.as_str()).collect();
            if !names.is_empty() {
                self.read_one(ecosystem, &names, &mut out);
            }
        }
        out
    }

    /// Goes through the feeds of an ecosystem for their age and their state alone: there are no records in the answer.
    pub fn inspect(&self, ecosystem: Ecosystem) -> Records {
        let mut out = Records::default();
        self.read_one(ecosystem, &HashSet::new(), &mut out);
        out
    }

    fn read_one(&self, ecosystem: Ecosystem, names: &HashSet<&str>, out: &mut Records) {
        if let Some(dir) = &self.osv {
            zipped::read(&dir.join(ecosystem.name()).join("all.zip"), ecosystem, names, out);
        }
        if let (Ecosystem::CratesIo, Some(dir)) = (ecosystem, &self.rustsec) {
            rustsec::read(dir, names, out);
        }
    }
}

fn readable(dir: &Path) -> Result<(), MirrorError> {
    std::fs::read_dir(dir).map(|_| ()).map_err(|_| MirrorError::Missing(dir.to_owned()))
}

impl Records {
    /// Of records that are already in memory.
    pub fn of(ecosystems: &[Ecosystem], records: Vec<Record>) -> Self {
        let mut out = Self::default();
        for ecosystem in ecosystems {
            let (source, path, records, unreadable) = ("osv", PathBuf::new(), 0, 0);
            out.feeds.push(Feed { ecosystem: *ecosystem, source, path, records, unreadable, as_of: AsOf::Unknown });
        }
        for record in records {
            out.add(record, "osv", |_, _| true);
        }
        out
    }

    /// Was there any source for this ecosystem?
    pub fn has(&self, ecosystem: Ecosystem) -> bool {
        self.feeds.iter().any(|feed| feed.ecosystem == ecosystem)
    }

    /// What there is about a package, and from which source. `name` is normalised.
    pub fn about(&self, ecosystem: Ecosystem, name: &str) -> impl Iterator<Item = (&Record, &'static str)> {
        let found = self.by_package.get(&(ecosystem, name.to_owned()));
        found.into_iter().flatten().filter_map(|at| self.list.get(*at)).map(|(record, source)| (record, *source))
    }

    fn add(&mut self, record: Record, source: &'static str, wanted: impl Fn(Ecosystem, &str) -> bool) {
        let mut packages: Vec<(Ecosystem, String)> = Vec::new();
        for package in record.affected.iter().filter_map(|a| a.package.as_ref()) {
            let Some(ecosystem) = Ecosystem::of(&package.ecosystem) else { continue };
            let key = (ecosystem, ecosystem.normal(&package.name));
            if wanted(ecosystem, &key.1) && !packages.contains(&key) {
                packages.push(key);
            }
        }
        let at = self.list.len();
        for key in packages {
            self.by_package.entry(key).or_default().push(at);
        }
        self.list.push((record, source));
    }
}

/// The newest of many times, as far as they can be believed: a record from the future would make a feed fresh for ever.
struct Newest {
    not_after: i64,
    found: Option<i64>,
}

/// How much later than its file a record may be from: clocks differ.
const LEEWAY_S: i64 = 24 * 3600;

impl Newest {
    fn before(file_time: Option<i64>) -> Self {
        Self { not_after: file_time.map_or(i64::MAX, |at| at.saturating_add(LEEWAY_S)), found: None }
    }

    fn see(&mut self, text: &str) {
        let at = text.parse::<Timestamp>().map(Timestamp::as_second);
        self.found = self.found.max(at.ok().filter(|at| *at <= self.not_after));
    }

    fn as_of(&self, file_time: Option<i64>) -> AsOf {
        match (self.found, file_time) {
            (Some(at), _) => AsOf::NewestRecord(at),
            (None, Some(at)) => AsOf::FileTime(at),
            (None, None) => AsOf::Unknown,
        }
    }
}

fn file_time(meta: &std::fs::Metadata) -> Option<i64> {
    let since = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
