//! Secrets in what a branch brings in: the built-in scan over its new objects, names and messages, and whatever other
//! scanners add. A secret that stood under a changed path before is inherited: the task did not bring it.

use super::{Engine, Security, engine};
use crate::Range;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::git::{BlobAt, BroughtIn};
use orch_ports::security::{self, Leak, Scanned};
use orch_secrets::{Blob, Encoding, Hit, MAX_BLOB_BYTES, Rules, Scanner};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The default branch's own rules and allowlists.
const RULES: &str = ".gitleaks.toml";
/// Bytes of objects held in memory at a time.
const BATCH: u64 = 16 * 1024 * 1024;
/// Most findings of which it is looked up whether they were there before.
const MAX_LOOKED_UP: usize = 1_000;
/// Most bytes of such a place.
const MAX_PLACE: usize = 8 * 1024;
/// So many bytes behind a place belong to it.
const BEHIND: usize = 2_000;
/// Most objects asked for at a time.
const AT_ONCE: usize = 4_096;

/// A secret, and what it means for the task.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) rule: String,
    pub(crate) path: String,
    pub(crate) line: Option<u32>,
    /// Byte of the line it begins at, from 1, if that is known.
    pub(crate) column: Option<u32>,
    pub(crate) text: String,
    pub(crate) standing: Standing,
}

/// What a secret means for the task; the worst first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// The branch brings it in.
    New,
    /// It was there before.
    Inherited,
    /// An allowlist lets it through.
    Allowed(String),
}

/// What came of the looking.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) found: Vec<Secret>,
    pub(crate) engines: Vec<Engine>,
    /// Files no scan can look through: path, and what is wrong with it. Whoever brought them in takes them out again.
    pub(crate) too_large: Vec<(String, String)>,
    /// Why the scan is not whole; then nothing can be said.
    pub(crate) incomplete: Vec<String>,
    /// What people should know of the rules.
    pub(crate) warnings: Vec<String>,
}

/// Looks for secrets in what the branch brings in.
pub(crate) async fn secrets(range: &Range<'_>, brought: &BroughtIn) -> Result<Secrets, Fault> {
    let security = range.security;
    let mut out = Secrets::default();
    let limit = Duration::from_millis(security.timeout_ms);
    let theirs = range.git.read_file(range.project, range.base, RULES).await?;
    let theirs = theirs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let rules = rules(security, theirs.as_deref(), &mut out);
    if let Ok(done) = tokio::time::timeout(limit, built_in(range, &rules, brought, &mut out)).await {
        done?;
    } else {
        let why = format!("the built-in scan was stopped after {} s", limit.as_secs());
        out.engines.push(engine("built-in", &why, false));
        out.incomplete.push(why);
    }
    for scanner in &security.scanners {
        let repository = range.git.repository(range.project);
        let (base, head) = (range.base, range.head);
        let rules = theirs.as_deref();
        let asked = security::Range { repository: &repository, base, head, rules, timeout: limit };
        let answer = match tokio::time::timeout(limit, scanner.scan(&asked)).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::transient(format!("no answer after {} s", limit.as_secs()))),
        };
        match answer {
            Ok(Scanned::Missing { why }) => out.engines.push(engine(scanner.name(), why, false)),
            Ok(Scanned::Done { by, leaks }) => {
                let old = there_before(range, brought, &leaks).await?;
                let n = leaks.len();
                out.engines.push(engine(&by, format!("{n} {}", plural(n, "finding")), true));
                for (leak, old) in leaks.into_iter().zip(old) {
                    // What the built-in scan has said of this place stands; a second opinion is no second secret. But a new
                    // secret on the line of an old one, or of one that is allowed, is one.
                    let known = |s: &Secret| {
                        let there = s.path == leak.path && (leak.line.is_none() || s.line == leak.line);
                        there
                            && match s.standing {
                                Standing::New => true,
                                Standing::Inherited => old,
                                Standing::Allowed(_) => leak.line.is_some() && covers(&leak, s.column),
                            }
                    };
                    if out.found.iter().any(known) {
                        continue;
                    }
                    let at = leak.commit.as_deref().map(|c| format!(" (commit {})", short(c))).unwrap_or_default();
                    out.found.push(Secret {
                        rule: format!("{}/{}", scanner.name(), leak.rule),
                        path: leak.path,
                        line: leak.line,
                        column: leak.columns.map(|(first, _)| first),
                        text: format!("{}{at}; treat it as leaked", leak.description),
                        standing: if old { Standing::Inherited } else { Standing::New },
                    });
                }
            }
            Err(fault) => {
                out.engines.push(engine(scanner.name(), &fault.text, false));
                out.incomplete.push(format!("{}: {}", scanner.name(), fault.text));
            }
        }
    }
    Ok(out)
}

/// Is what another program has found what begins at this byte of the line? It counts from the key on or from the value.
fn covers(leak: &Leak, column: Option<u32>) -> bool {
    const OFF_BY: u32 = 2;
    let around = leak.columns.map(|(first, last)| first.saturating_sub(OFF_BY)..=last.saturating_add(OFF_BY));
    around.zip(column).is_some_and(|(around, column)| around.contains(&column))
}

/// Which leaks were there before: another program says where it found something, not what. If every word of those lines
/// stood in the files before, the branch has brought no secret with them; a secret that is new is a word that is new.
async fn there_before(range: &Range<'_>, brought: &BroughtIn, leaks: &[Leak]) -> Result<Vec<bool>, Fault> {
    let mut missing: Vec<Option<BTreeSet<Vec<u8>>>> = vec![None; leaks.len()];
    let mut files: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, leak) in leaks.iter().enumerate().take(MAX_LOOKED_UP) {
        if let Some(commit) = &leak.commit {
            files.entry((commit, &leak.path)).or_default().push(at);
        }
    }
    // What nobody can say, or is too much to look up, counts as new.
    for ((commit, path), places) in files {
        let file = range.git.read_file(range.project, &Sha::new(commit), path).await;
        let Some(text) = file.ok().flatten() else { continue };
        for at in places {
            let (Some(first), Some(last)) = (leaks[at].line, leaks[at].last_line) else { continue };
            missing[at] = words(&text, first, last).filter(|words| !words.is_empty());
        }
    }
    let mut lacking: BTreeSet<&[u8]> = missing.iter().flatten().flatten().map(Vec::as_slice).collect();
    let before: Vec<&BlobAt> = brought.before.iter().filter(|b| b.size < MAX_BLOB_BYTES as u64).collect();
    for some in batches(&before, |blob| blob.size) {
        if lacking.is_empty() {
            break;
        }
        let ids: Vec<String> = some.iter().map(|blob| blob.oid.clone()).collect();
        for text in range.git.read_objects(range.project, &ids).await? {
            for word in text.split(|b| apart(*b)) {
                lacking.remove(word);
            }
        }
    }
    let there = |words: &Option<BTreeSet<Vec<u8>>>| {
        words.as_ref().is_some_and(|words| words.iter().all(|word| !lacking.contains(&word[..])))
    };
    Ok(missing.iter().map(there).collect())
}

/// The words of some lines, from 1, the last one included, and of what follows: of a match that goes over several lines
/// and ends with the last one of a change, gitleaks gives the first line for the last. `None` if they are many.
fn words(text: &[u8], first: u32, last: u32) -> Option<BTreeSet<Vec<u8>>> {
    let lines = text.split(|b| *b == b'\n').skip(first.saturating_sub(1) as usize);
    let place = (last.saturating_sub(first) as usize).saturating_add(1);
    let (mut length, mut behind, mut found) = (0, 0, BTreeSet::new());
    for (at, line) in lines.enumerate() {
        if at >= place && behind >= BEHIND {
            break;
        }
        length += line.len();
        behind += if at >= place { line.len() + 1 } else { 0 };
        if length > MAX_PLACE {
            return None;
        }
        found.extend(line.split(|b| apart(*b)).filter(|word| !word.is_empty()).map(<[u8]>::to_vec));
    }
    Some(found)
}

/// What stands between words.
fn apart(b: u8) -> bool {
    b.is_ascii_whitespace() || b"\"'`,".contains(&b)
}

async fn built_in(range: &Range<'_>, rules: &Rules, brought: &BroughtIn, out: &mut Secrets) -> Result<(), Fault> {
    let scanner =
        Scanner::new(rules, &range.security.key).map_err(|e| Fault::bug(format!("the built-in rules: {e}")))?;
    let scan = Scan { range, scanner: Arc::new(scanner) };
    let mut hits = scan.blobs(&brought.blobs, out).await?;
    let mut bytes: u64 = brought.blobs.iter().map(|b| b.size).sum();
    hits.extend(scan.names(&brought.blobs));
    let (messages, length) = scan.messages(brought, out).await?;
    hits.extend(messages);
    bytes += length;
    let before: HashSet<String> = if hits.iter().all(|(hit, _)| hit.allowed_by.is_some()) {
        HashSet::new()
    } else {
        // Only what was really there counts, so what of it cannot be read is no loss.
        let old = scan.blobs(&brought.before, &mut Secrets::default()).await?;
        old.into_iter().map(|(hit, _)| hit.fingerprint).collect()
    };
    out.engines.push(engine(
        format!("built-in ({} rules)", rules.len()),
        format!(
            "{} files and {} messages, {} kB, {} {}",
            brought.blobs.len(),
            brought.commits.len(),
            bytes / 1_000,
            hits.len(),
            plural(hits.len(), "match")
        ),
        out.incomplete.is_empty(),
    ));
    // The same secret in several versions of a file is said once, with its newest commit, however the work was divided.
    let age: HashMap<&str, usize> = brought.commits.iter().enumerate().map(|(age, c)| (c.as_str(), age)).collect();
    hits.sort_by_key(|(hit, commit)| (age.get(commit.as_str()).copied(), hit.path.clone(), hit.line, hit.column));
    let mut said: BTreeMap<(String, String, String), Secret> = BTreeMap::new();
    for (hit, commit) in hits {
        let standing = match &hit.allowed_by {
            Some(by) => Standing::Allowed(by.clone()),
            None if before.contains(&hit.fingerprint) => Standing::Inherited,
            None => Standing::New,
        };
        let key = (hit.path.clone(), hit.rule.to_string(), hit.fingerprint.clone());
        let found = secret(&hit, &commit, standing);
        let known = said.entry(key).or_insert_with(|| found.clone());
        // Allowed in one version of the file, it is not in all of them.
        if found.standing < known.standing {
            *known = found;
        }
    }
    out.found.extend(said.into_values());
    Ok(())
}

/// The built-in rules, with those of the default branch and of the operator. The branch has no say.
fn rules(security: &Security, theirs: Option<&str>, out: &mut Secrets) -> Rules {
    let mut rules = Rules::builtin();
    let theirs = theirs.map(|text| (format!("{RULES} of the default branch"), text.to_owned()));
    for (from, text) in theirs.into_iter().chain(security.rules.clone()) {
        match Rules::parse(&text) {
            Ok(more) => rules = rules.extended_by(&more),
            Err(why) => out.warnings.push(format!("{from} cannot be read and is not used: {why}")),
        }
    }
    rules
}

/// Parts of a list of objects that fit into memory together.
pub(super) fn batches<T>(all: &[T], size: impl Fn(&T) -> u64) -> impl Iterator<Item = &[T]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = rest.iter().take_while(|one| {
            sum += size(one);
            sum <= BATCH
        });
        let (some, others) = rest.split_at(fits.count().clamp(1, AT_ONCE).min(rest.len()));
        rest = others;
        (!some.is_empty()).then_some(some)
    })
}

/// What was found, each with its commit.
type Hits = Vec<(Hit, String)>;
/// Some objects with what is in them.
type Part = Vec<(BlobAt, Vec<u8>)>;

struct Scan<'l, 'a> {
    range: &'l Range<'a>,
    scanner: Arc<Scanner>,
}

impl Scan<'_, '_> {
    /// Hits in blobs, with the commit of each.
    async fn blobs(&self, blobs: &[BlobAt], out: &mut Secrets) -> Result<Hits, Fault> {
        let (whole, large): (Vec<BlobAt>, Vec<BlobAt>) =
            blobs.iter().cloned().partition(|blob| blob.size < MAX_BLOB_BYTES as u64);
        let too_large = |b: &BlobAt| {
            let text = format!(
                "{} bytes (commit {}) are more than the {MAX_BLOB_BYTES} that can be scanned for secrets; take the file out \
                 of the change, or make it smaller",
                b.size,
                b.commit.short()
            );
            (b.path.clone(), text)
        };
        out.too_large.extend(large.iter().map(too_large));
        let (mut hits, mut under_way) = (Vec::new(), Parts::default());
        for some in batches(&whole, |blob| blob.size) {
            let ids: Vec<String> = some.iter().map(|b| b.oid.clone()).collect();
            // While one batch is looked through the next one is read, and no more than these two are held.
            let contents = self.range.git.read_objects(self.range.project, &ids).await?;
            hits.extend(under_way.ended().await?);
            under_way = self.start(some.to_vec(), contents);
        }
        hits.extend(under_way.ended().await?);
        Ok(hits)
    }

    /// Looks through objects, with every processor.
    fn start(&self, blobs: Vec<BlobAt>, contents: Vec<Vec<u8>>) -> Parts {
        let width = std::thread::available_parallelism().map_or(1, usize::from);
        let mut parts: Vec<(usize, Part)> = vec![(0, Vec::new()); width];
        for (blob, bytes) in blobs.into_iter().zip(contents) {
            // To whoever has the least to do, and to the first of those.
            if let Some((load, part)) = parts.iter_mut().min_by_key(|(load, _)| *load) {
                *load += bytes.len() + 1_000;
                part.push((blob, bytes));
            }
        }
        let scan = |(_, part): (usize, Part)| {
            let scanner = Arc::clone(&self.scanner);
            tokio::task::spawn_blocking(move || {
                let mut hits = Vec::new();
                for (blob, bytes) in part {
                    let commit = blob.commit.as_str();
                    let found = scanner.scan(&Blob { path: &blob.path, bytes: &bytes, commit: Some(commit) });
                    let found = found.map_err(|e| Fault::permanent(format!("scan {}: {e}", blob.path)))?;
                    hits.extend(found.into_iter().map(|hit| (hit, commit.to_owned())));
                }
                Ok(hits)
            })
        };
        Parts(parts.into_iter().filter(|(_, part)| !part.is_empty()).map(scan).collect())
    }

    fn names(&self, blobs: &[BlobAt]) -> Vec<(Hit, String)> {
        let with_commit = |b: &BlobAt| {
            let commit = b.commit.to_string();
            self.scanner.scan_name(&b.path).into_iter().map(move |hit| (hit, commit.clone())).collect::<Vec<_>>()
        };
        blobs.iter().flat_map(with_commit).collect()
    }

    /// Hits in the messages of the commits, and how long these are.
    async fn messages(&self, brought: &BroughtIn, out: &mut Secrets) -> Result<(Vec<(Hit, String)>, u64), Fault> {
        let (mut hits, mut length) = (Vec::new(), 0);
        for commits in brought.commits.chunks(1_000) {
            let ids: Vec<String> = commits.iter().map(ToString::to_string).collect();
            let objects = self.range.git.read_objects(self.range.project, &ids).await?;
            for (commit, object) in commits.iter().zip(&objects) {
                let path = format!("commit {} message", commit.short());
                length += object.len() as u64;
                match self.scanner.scan(&Blob { path: &path, bytes: object, commit: Some(commit.as_str()) }) {
                    Ok(found) => hits.extend(found.into_iter().map(|hit| (hit, commit.to_string()))),
                    Err(e) => out.incomplete.push(format!("{path}: {e}")),
                }
            }
        }
        Ok((hits, length))
    }
}

/// Parts of a batch that are looked through.
#[derive(Default)]
struct Parts(Vec<tokio::task::JoinHandle<Result<Hits, Fault>>>);

impl Parts {
    async fn ended(&mut self) -> Result<Hits, Fault> {
        let mut hits = Vec::new();
        for part in self.0.drain(..) {
            hits.extend(part.await.map_err(|e| Fault::bug(format!("the built-in scan: {e}")))??);
        }
        Ok(hits)
    }
}

fn secret(hit: &Hit, commit: &str, standing: Standing) -> Secret {
    let how = match hit.encoding {
        None => String::new(),
        Some(Encoding::Base64) => ", base64".into(),
        Some(other) => format!(", {other:?}").to_lowercase(),
    };
    // The name of a file says it already, and nothing of it is shown.
    let (shown, what) = match hit.masked.as_str() {
        "" => (String::new(), "what it holds"),
        masked => (format!(": {masked}"), "it"),
    };
    Secret {
        rule: hit.rule.to_string(),
        path: hit.path.clone(),
        line: u32::try_from(hit.line).ok().filter(|line| *line != 0),
        column: u32::try_from(hit.column).ok().filter(|column| *column != 0),
        text: format!(
            "{}{shown} (commit {}{how}, fingerprint {}); treat it as leaked: revoke {what} and take it out",
            hit.description,
            short(commit),
            hit.fingerprint
        ),
        standing,
    }
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

fn plural(n: usize, one: &str) -> String {
    match (n, one) {
        (1, _) => one.to_owned(),
        (_, "match") => "matches".to_owned(),
        _ => format!("{one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_beyond_the_line_that_is_said_to_be_its_last() {
        let text = b"old\napi_token:\n  new-value\n";
        let found = words(text, 2, 2).unwrap();
        assert_eq!(found, [&b"api_token:"[..], b"new-value"].map(<[u8]>::to_vec).into());
        let far = [&b"here\n"[..], &b"x\n".repeat(1_500), b"there\n"].concat();
        assert_eq!(words(&far, 1, 1).unwrap(), [&b"here"[..], b"x"].map(<[u8]>::to_vec).into());
        assert_eq!(words(&[b'x'; 9_000], 1, 1), None, "nobody looks up that much");
        assert_eq!(words(text, 9, 9), Some(BTreeSet::new()));
    }
}
