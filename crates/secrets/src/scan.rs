//! Looks through one blob: the text as it is, its other spellings, and the name it has. It may not skip anything quietly:
//! what is too large is an error, binary files and lines of any length are read like everything else, and a match that an
//! allowlist lets through is still reported, with the name of the list.

use crate::allow::Found;
use crate::decode::{self, Decoded, Encoding};
use crate::judge;
use crate::mask::{Fingerprints, masked};
use crate::rules::{Care, Rule, Rules};
use crate::windows::Keywords;
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// Largest blob that is scanned.
pub const MAX_BLOB_BYTES: usize = 64 << 20;

/// Bytes and where they are from.
#[derive(Clone, Copy)]
pub struct Blob<'a> {
    /// Path in the repository, or "commit 1a2b3c message".
    pub path: &'a str,
    /// Everything in it.
    pub bytes: &'a [u8],
    /// The commit it came with, for allowlists that name commits.
    pub commit: Option<&'a str>,
}

impl std::fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blob").field("bytes", &self.bytes.len()).field("commit", &self.commit).finish_non_exhaustive()
    }
}

/// Why a blob was not scanned. It is not clean then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// More than `MAX_BLOB_BYTES`.
    #[error("it has {bytes} bytes, more than the {MAX_BLOB_BYTES} that are scanned")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The keywords of all rules together.
    #[error("the rules' keywords cannot be searched for: {why}")]
    Keywords {
        /// What is wrong with them.
        why: String,
    },
}

/// A secret that was found. Holds nothing it could be put together from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Which rule.
    pub rule: Arc<str>,
    /// What the rule finds.
    pub description: Arc<str>,
    /// Where; a secret in the path itself is masked there as well.
    pub path: String,
    /// Line, from 1; 0 if it is in the path.
    pub line: usize,
    /// Byte in the line, from 1; of encoded text about where it begins.
    pub column: usize,
    /// A few characters of it.
    pub masked: String,
    /// Keyed: the same secret found by the same rule has the same one.
    pub fingerprint: String,
    /// How it was written, if not plainly.
    pub encoding: Option<Encoding>,
    /// The allowlist that lets it through; `None`: it blocks.
    pub allowed_by: Option<String>,
}

impl Hit {
    /// Does it stop a merge?
    pub fn blocks(&self) -> bool {
        self.allowed_by.is_none()
    }
}

/// Rules, ready to be used on many blobs by many threads.
pub struct Scanner {
    rules: Vec<Arc<Rule>>,
    allowlists: Vec<Arc<crate::allow::Allowlist>>,
    keywords: Keywords,
    fingerprints: Fingerprints,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// One spelling of a blob.
struct View<'a> {
    text: &'a [u8],
    /// How it is written and how to find the way back.
    decoded: Option<(Encoding, &'a dyn Fn(usize) -> usize)>,
}

/// A hit with what is needed to weigh it against others.
struct Candidate {
    hit: Hit,
    /// 0 if the form alone proves it, else the higher, the less the rule knows; generic rules come last in the list.
    rank: usize,
    /// Of the secret, in the original.
    span: Range<usize>,
    /// Of the match; the line is counted from it at the end.
    at: usize,
}

impl Scanner {
    /// Prepares rules. The key makes fingerprints; it should be secret and stay the same.
    pub fn new(rules: &Rules, key: &[u8]) -> Result<Scanner, ScanError> {
        let keywords = Keywords::of(&rules.list).map_err(|why| ScanError::Keywords { why })?;
        Ok(Scanner {
            rules: rules.list.clone(),
            allowlists: rules.allowlists.clone(),
            keywords,
            fingerprints: Fingerprints::new(key),
        })
    }

    /// Every secret in the bytes, in the order of their lines, those an allowlist lets through included.
    pub fn scan(&self, blob: &Blob<'_>) -> Result<Vec<Hit>, ScanError> {
        if blob.bytes.len() > MAX_BLOB_BYTES {
            return Err(ScanError::TooLarge { bytes: blob.bytes.len() });
        }
        let mut found = self.every_spelling(blob);
        if found.is_empty() {
            return Ok(Vec::new());
        }
        locate(blob.bytes, &mut found);
        let path = self.path_without_secrets(blob.path);
        let mut hits = weighed(found);
        for hit in &mut hits {
            hit.path.clone_from(&path);
        }
        Ok(hits)
    }

    /// Names that are secrets themselves (`id_ed25519`), and tokens in a path.
    pub fn scan_name(&self, path: &str) -> Vec<Hit> {
        let named = |rule: &&Arc<Rule>| {
            rule.regex.is_none() && rule.path.as_ref().is_some_and(|p| p.regex().is_match(path.as_bytes()))
        };
        let found = Found { path, commit: None, text: path.as_bytes(), matched: 0..path.len(), secret: 0..path.len() };
        let mut hits: Vec<Hit> = self
            .rules
            .iter()
            .filter(named)
            .filter(|rule| !rule.denies(&found))
            .map(|rule| self.hit(rule, path.as_bytes(), 0..path.len(), None, self.allowed(rule, &found)))
            .collect();
        // A name is no secret; it would be shown masked beside itself.
        for hit in &mut hits {
            hit.masked.clear();
        }
        hits.extend(weighed(self.in_path(path)));
        let shown = self.path_without_secrets(path);
        for hit in &mut hits {
            hit.path.clone_from(&shown);
        }
        hits
    }

    fn in_path(&self, path: &str) -> Vec<Candidate> {
        self.every_spelling(&Blob { path: "", bytes: path.as_bytes(), commit: None })
    }

    /// The path as it may be shown.
    fn path_without_secrets(&self, path: &str) -> String {
        let mut spans: Vec<Range<usize>> = self.in_path(path).into_iter().map(|c| c.span).collect();
        spans.sort_by_key(|span| span.start);
        let bytes = path.as_bytes();
        let mut shown = Vec::new();
        let mut at = 0;
        for span in spans {
            if span.start >= at {
                shown.extend_from_slice(&bytes[at..span.start]);
                shown.extend_from_slice(masked(&bytes[span.clone()]).as_bytes());
            }
            at = at.max(span.end);
        }
        shown.extend_from_slice(&bytes[at.min(bytes.len())..]);
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn every_spelling(&self, blob: &Blob<'_>) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.spellings(blob, blob.bytes, &|at| at, &mut found);
        self.look(blob, &View { text: blob.bytes, decoded: None }, &mut found);
        if let Some(wide) = decode::wide(blob.bytes) {
            let back = |at| wide.origin(at);
            self.look(blob, &View { text: &wide.text, decoded: Some((Encoding::Utf16, &back)) }, &mut found);
            self.spellings(blob, &wide.text, &back, &mut found);
        }
        found
    }

    /// Looks through what is encoded in a text.
    fn spellings(&self, blob: &Blob<'_>, text: &[u8], back: &dyn Fn(usize) -> usize, found: &mut Vec<Candidate>) {
        let mut look = |decoded: &Decoded, encoding| {
            let origin = |at| back(decoded.origin(at));
            self.look(blob, &View { text: &decoded.text, decoded: Some((encoding, &origin)) }, found);
            // Commands for some shells are UTF-16 in base64.
            if let Some(wide) = decode::wide(&decoded.text) {
                let origin = |at| origin(wide.origin(at));
                self.look(blob, &View { text: &wide.text, decoded: Some((encoding, &origin)) }, found);
            }
        };
        decode::each_base64(text, &mut |decoded| look(decoded, Encoding::Base64));
        decode::each_hex(text, &mut |decoded| look(decoded, Encoding::Hex));
        if let Some(decoded) = decode::percent(text) {
            look(&decoded, Encoding::Percent);
        }
    }

    fn look(&self, blob: &Blob<'_>, view: &View<'_>, found: &mut Vec<Candidate>) {
        for candidate in self.keywords.candidates(view.text) {
            let rule = &self.rules[candidate.rule];
            let Some(regex) = &rule.regex else { continue };
            if rule.path.as_ref().is_some_and(|p| !p.regex().is_match(blob.path.as_bytes())) {
                continue;
            }
            for place in candidate.places {
                let text = &view.text[..place.end];
                let mut at = place.start;
                while let Some(groups) = (at <= text.len()).then(|| regex.regex().captures_at(text, at)).flatten() {
                    let Some(whole) = groups.get(0) else { break };
                    let secret = secret_of(rule, &groups).unwrap_or(whole.range());
                    let taken = self.judge((candidate.rule, rule), blob, view, whole.range(), secret.clone());
                    // Something that is no secret may have covered the beginning of one.
                    at = if taken.is_some() { whole.end() } else { secret.start.min(whole.end()) };
                    at = at.max(whole.start() + 1);
                    found.extend(taken);
                }
            }
        }
    }

    fn judge(
        &self,
        (index, rule): (usize, &Rule),
        blob: &Blob<'_>,
        view: &View<'_>,
        matched: Range<usize>,
        secret: Range<usize>,
    ) -> Option<Candidate> {
        let text = &view.text[secret.clone()];
        if rule.entropy.is_some_and(|least| judge::entropy(text) <= least) {
            return None;
        }
        let credible = match rule.care() {
            Care::Form => true,
            Care::Generic => judge::plausible(text),
            Care::Password => judge::plausible_password(text),
            Care::Address => judge::plausible_address(text),
            Care::Basic => judge::plausible_basic(text),
        };
        let credible = credible && !(rule.built_in && judge::stands_in(text));
        let found = Found { path: blob.path, commit: blob.commit, text: view.text, matched, secret: secret.clone() };
        if !credible || rule.denies(&found) {
            return None;
        }
        let allowed_by = self.allowed(rule, &found);
        let back = |at| view.decoded.map_or(at, |(_, back)| back(at));
        let span = back(secret.start)..back(secret.end).max(back(secret.start));
        let encoding = view.decoded.map(|(encoding, _)| encoding);
        let hit = self.hit(rule, view.text, secret, encoding, allowed_by);
        let rank = if rule.care() == Care::Form { 0 } else { index + 1 };
        Some(Candidate { hit, rank, at: span.start, span })
    }

    fn allowed(&self, rule: &Rule, found: &Found<'_>) -> Option<String> {
        let own = rule.allowlists.iter().filter(|list| !list.built_in);
        let global = self.allowlists.iter().map(|list| &**list).filter(|list| list.concerns(&rule.id));
        own.chain(global).find(|list| list.allows(found)).map(|list| list.name.clone())
    }

    fn hit(
        &self,
        rule: &Rule,
        text: &[u8],
        secret: Range<usize>,
        encoding: Option<Encoding>,
        allowed_by: Option<String>,
    ) -> Hit {
        Hit {
            rule: rule.id.clone(),
            description: rule.description.clone(),
            path: String::new(),
            line: 0,
            column: 0,
            masked: masked(&text[secret.clone()]),
            fingerprint: self.fingerprints.of(&rule.id, &text[secret]),
            encoding,
            allowed_by,
        }
    }
}

fn secret_of(rule: &Rule, groups: &regex::bytes::Captures<'_>) -> Option<Range<usize>> {
    let group = match rule.group.filter(|n| *n > 0) {
        Some(wanted) => groups.get(wanted),
        None => groups.iter().skip(1).flatten().find(|group| !group.is_empty()),
    };
    group.map(|group| group.range())
}

/// Fills in line and column, counting line breaks once.
fn locate(bytes: &[u8], found: &mut [Candidate]) {
    found.sort_by_key(|c| c.at);
    let (mut line, mut line_start, mut counted) = (1, 0, 0);
    for candidate in found {
        let at = candidate.at.min(bytes.len());
        for newline in memchr::memchr_iter(b'\n', &bytes[counted..at]) {
            line += 1;
            line_start = counted + newline + 1;
        }
        counted = at;
        candidate.hit.line = line;
        candidate.hit.column = at - line_start + 1;
    }
}

/// Leaves out what says the same again: a generic rule about a secret that has a name of its own, one spelling of a
/// secret that another has shown.
fn weighed(mut found: Vec<Candidate>) -> Vec<Hit> {
    found.sort_by_key(|c| c.at);
    let blocking: Vec<(Range<usize>, usize)> =
        found.iter().filter(|c| c.hit.blocks()).map(|c| (c.span.clone(), c.rank)).collect();
    let known_better = |c: &Candidate| {
        let at = blocking.partition_point(|(span, _)| span.start < c.span.end);
        blocking[..at].iter().rev().take(8).any(|(span, rank)| span.end > c.span.start && *rank < c.rank)
    };
    let mut seen = HashSet::new();
    let mut hits = Vec::new();
    for candidate in found {
        if candidate.rank > 0 && known_better(&candidate) {
            continue;
        }
        let hit = candidate.hit;
        if seen.insert((hit.rule.clone(), hit.line, hit.fingerprint.clone())) {
            hits.push(hit);
        }
    }
    hits
}
