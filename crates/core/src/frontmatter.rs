//! The one strict reader of artefacts. It decides what a document says in its YAML front matter, and nothing but the
//! front matter can decide: prose, code blocks, lists and second documents may never turn a fail into a pass. Fail
//! closed: a file that is cut off, ambiguous or malformed is `Unreadable`, which costs the role that wrote it an attempt.
//!
//! A positive verdict is read exactly, a negative one generously: where both could be read, the negative wins.

use crate::verdict::{Finding, Severity};
use crate::yaml::{self, Refused, Scalar};
use serde_json::{Map, Value};

/// Largest front matter that is read, in bytes between the two `---` lines.
pub const MAX_FRONT_BYTES: usize = 64 * 1024;
/// Most findings one document may list.
const MAX_FINDINGS: usize = 500;

/// A document that was read whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Front matter by key.
    pub front: Map<String, Value>,
    /// Everything after the closing `---` line; bytes that are no UTF-8 are replaced.
    pub body: String,
    scalars: Vec<Scalar>,
}

/// Why a document says nothing. The text is a fragment for people: it goes into the next brief of the role that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No `---` on the first line.
    #[error("there is no front matter: the first line must be exactly `---`")]
    NoFrontMatter,
    /// The second `---` line is missing.
    #[error("the front matter is not closed: a line that is exactly `---` must end it")]
    NotClosed,
    /// More than `MAX_FRONT_BYTES`.
    #[error("the front matter is larger than 64 KiB")]
    TooLarge,
    /// Bytes that are no UTF-8 in the front matter.
    #[error("the front matter is not UTF-8")]
    NotUtf8,
    /// Malformed or ambiguous YAML.
    #[error("the front matter cannot be read{}: {why}", at_line(*.line))]
    Yaml {
        /// Line of the file, from 1, if known.
        line: Option<usize>,
        /// What is wrong with it.
        why: String,
    },
    /// The front matter lacks a key.
    #[error("the front matter has no key `{key}`")]
    MissingKey {
        /// Which.
        key: String,
    },
    /// The key is there, its value is none of those it may have.
    #[error("`{key}` must be exactly {allowed} as plain text")]
    UnknownValue {
        /// Which key.
        key: String,
        /// What it may be: "`PASS` or `FAIL`".
        allowed: String,
    },
    /// The list of findings is malformed.
    #[error("`findings` cannot be read: {why}")]
    Findings {
        /// What is wrong with it.
        why: String,
    },
}

fn at_line(line: Option<usize>) -> String {
    line.map(|l| format!(" (line {l})")).unwrap_or_default()
}

impl Unreadable {
    /// The finding for the role that has to write the file again.
    pub fn finding(&self, file: &str) -> Finding {
        Finding { file: Some(file.to_owned()), ..Finding::must_fix(self.to_string()) }
    }
}

/// Reads a whole document.
pub fn read(bytes: &[u8]) -> Result<Document, Unreadable> {
    let (front, body) = split(bytes)?;
    let survey = yaml::survey(front);
    let refused = |r: Refused| Unreadable::Yaml { line: r.line.map(|l| l + 1), why: r.why };
    if let Some(why) = survey.refused {
        return Err(refused(why));
    }
    let Value::Object(map) = yaml::value(front).map_err(refused)? else {
        return Err(Unreadable::Yaml { line: None, why: "it must be a list of `key: value` lines".into() });
    };
    Ok(Document { front: map, body: String::from_utf8_lossy(body).into_owned(), scalars: survey.scalars })
}

/// Reads a machine verdict: `Ok(true)` only if the front matter is whole and `key` is exactly `positive`.
///
/// `Ok(false)` for exactly `negative`, and wherever both tokens could be read under the key (given twice, a list, a
/// sentence), even if the front matter is otherwise refused.
pub fn verdict(bytes: &[u8], key: &str, positive: &str, negative: &str) -> Result<bool, Unreadable> {
    let read = read(bytes).and_then(|doc| doc.token(key, &[(positive, true), (negative, false)]));
    if let Ok(verdict) = read {
        return Ok(verdict);
    }
    let (front, _) = split(bytes)?;
    let said = yaml::survey(front).scalars;
    let says = |token: &str| {
        said.iter()
            .filter(|s| s.key.trim().eq_ignore_ascii_case(key))
            .flat_map(|s| s.text.split(|c: char| !c.is_alphanumeric() && c != '_'))
            .any(|word| word.eq_ignore_ascii_case(token))
    };
    if says(positive) && says(negative) { Ok(false) } else { read }
}

impl Document {
    /// Reads a key whose value must be exactly one of the given tokens, plain or quoted, on the key's own.
    pub fn token<T: Copy>(&self, key: &str, tokens: &[(&str, T)]) -> Result<T, Unreadable> {
        let unknown = || Unreadable::UnknownValue {
            key: key.to_owned(),
            allowed: tokens.iter().map(|(token, _)| format!("`{token}`")).collect::<Vec<_>>().join(" or "),
        };
        // `Verdict: FAIL` beside `verdict: PASS` is two statements, whatever YAML thinks of their spelling.
        let mut said = self.scalars.iter().filter(|s| s.key.trim().eq_ignore_ascii_case(key));
        let value = self.front.get(key).ok_or_else(|| Unreadable::MissingKey { key: key.to_owned() })?;
        let (Some(scalar), None) = (said.next(), said.next()) else { return Err(unknown()) };
        if !scalar.simple || value.as_str() != Some(&scalar.text) {
            return Err(unknown());
        }
        tokens.iter().find(|(token, _)| *token == scalar.text).map(|(_, is)| *is).ok_or_else(unknown)
    }

    /// Text of a key, if it is there and is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.front.get(key).and_then(Value::as_str)
    }

    /// Reads the optional list `findings: [{id, severity, file, line, text}]`. An unknown severity counts as `P1`: nobody
    /// gets a finding out of the way by misspelling how bad it is.
    pub fn findings(&self) -> Result<Vec<Finding>, Unreadable> {
        let bad = |why: String| Unreadable::Findings { why };
        let items = match self.front.get("findings") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() <= MAX_FINDINGS => items,
            Some(Value::Array(_)) => return Err(bad(format!("more than {MAX_FINDINGS} of them"))),
            Some(_) => return Err(bad("it must be a list".into())),
        };
        items
            .iter()
            .enumerate()
            .map(|(i, item)| finding(item).map_err(|why| bad(format!("number {}: {why}", i + 1))))
            .collect()
    }
}

fn finding(item: &Value) -> Result<Finding, String> {
    let map = item.as_object().ok_or("it must be a map with `severity` and `text`")?;
    let word = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!("`{key}` must be plain text")),
    };
    let line = match word("line")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| "`line` must be a number".to_owned())?),
    };
    let severity = match word("severity")?.as_deref() {
        Some("P0") => Severity::P0,
        Some("P2") => Severity::P2,
        Some("P3") => Severity::P3,
        _ => Severity::P1,
    };
    let text = word("text")?.ok_or("`text` is missing")?;
    Ok(Finding { id: word("id")?, severity, file: word("file")?, line, text })
}

/// Takes front matter and body apart. Works on bytes, so that nothing in the body can make the front unreadable.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Unreadable> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let (first, rest) = line(bytes).ok_or(Unreadable::NoFrontMatter)?;
    if first != b"---" || rest.len() == bytes.len() {
        return Err(Unreadable::NoFrontMatter);
    }
    let mut at = rest;
    while let Some((text, next)) = line(at) {
        let length = rest.len() - at.len();
        if length > MAX_FRONT_BYTES {
            return Err(Unreadable::TooLarge);
        }
        if text == b"---" {
            return Ok((std::str::from_utf8(&rest[..length]).map_err(|_| Unreadable::NotUtf8)?, next));
        }
        at = next;
    }
    Err(if rest.len() > MAX_FRONT_BYTES { Unreadable::TooLarge } else { Unreadable::NotClosed })
}

/// The first line without its LF or CRLF, and what follows it; `None` at the end.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => Some((bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]), &bytes[end + 1..])),
        None if bytes.is_empty() => None,
        None => Some((bytes, &[])),
    }
}

#[cfg(test)]
#[path = "frontmatter_tests.rs"]
mod tests;
