//! The one strict reader of artefacts. It decides what a document says in its YAML front matter, and nothing but the
//! front matter can decide: prose, code blocks, lists and second documents may never turn a fail into a pass. Fail
//! closed: a file that is cut off, ambiguous or malformed is `Unreadable`, which costs the role that wrote it an attempt.
//!
//! A positive verdict is read exactly, a negative one generously: where both could be read, the negative wins.

use crate::yaml::{self, Refused, Scalar, Whose};
use orch_core::verdict::{Finding, Severity};
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
    keys: Vec<String>,
    /// Keys as a person sees them, see `yaml::left_edge`.
    seen: Vec<String>,
    scalars: Vec<Scalar>,
}

/// Why a document says nothing. The text is a fragment for people: it goes into the next brief of the role that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No `---` on the first line.
    #[error("there is no front matter: the first line must be exactly `---`")]
    NoFrontMatter,
    /// The second `---` line is missing, or cut off before its line break: whatever would have followed on it is unknown.
    #[error("the front matter is not closed: a line that is exactly `---`, with a line break after it, must end it")]
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
    #[error("`{key}` must be exactly {allowed}, on a line of its own: `{key}: ...`")]
    UnknownValue {
        /// Which key.
        key: String,
        /// What it may be: "`PASS` or `FAIL`".
        allowed: String,
    },
    /// The list of findings or failures is malformed.
    #[error("`{key}` cannot be read: {why}")]
    Findings {
        /// Which list.
        key: &'static str,
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
    let survey = yaml::survey(front, Whose::Front);
    let refused = |r: Refused| Unreadable::Yaml { line: r.line.map(|l| l + 1), why: r.why };
    if let Some(why) = survey.refused {
        return Err(refused(why));
    }
    let Value::Object(map) = yaml::value(front).map_err(refused)? else {
        return Err(Unreadable::Yaml { line: None, why: "it must be a list of `key: value` lines".into() });
    };
    Ok(Document {
        front: map,
        body: String::from_utf8_lossy(body).into_owned(),
        keys: survey.keys,
        seen: yaml::left_edge(front).map(|(key, _)| key.to_owned()).collect(),
        scalars: survey.scalars,
    })
}

/// Reads a machine verdict: `Ok(true)` only if the front matter is whole and `key` is exactly `positive`.
///
/// `Ok(false)` for exactly `negative`, and wherever both tokens could be read: the key given twice, a list, a sentence,
/// or the key once more further down with the negative one (`result: PASS` above a list of cases of which one says
/// `result: FAIL`), even if the front matter is otherwise refused.
pub fn verdict(bytes: &[u8], key: &str, positive: &str, negative: &str) -> Result<bool, Unreadable> {
    let read = read(bytes).and_then(|doc| doc.token(key, &[(positive, true), (negative, false)]));
    let (front, _) = split(bytes)?;
    let said = yaml::survey(front, Whose::Front).scalars;
    let says = |token: &str| {
        let in_words = |text: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.eq_ignore_ascii_case(token))
        };
        let seen = yaml::left_edge(front).any(|(k, rest)| is_key(k, key) && in_words(uncommented(rest)));
        // Further down the negative word counts with more letters and words behind it: `FAILED`, `FAIL: no total`.
        let below = |text: &str| {
            let text = text.trim().to_uppercase();
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let behind = text.strip_prefix(token).filter(|_| negative == token);
            text == token
                || behind.is_some_and(|rest| ["", "ED", "URE"].iter().any(|e| rest.strip_prefix(e).is_some_and(ends)))
        };
        seen || said
            .iter()
            .any(|s| is_key(&s.key, key) && in_words(&s.text) || s.depth > 1 && is_key(&s.inner, key) && below(&s.text))
    };
    if says(positive) && says(negative) { Ok(false) } else { read }
}

/// The rest of a line without its comment.
fn uncommented(rest: &str) -> &str {
    rest.find(" #").or_else(|| rest.find("\t#")).map_or(rest, |at| &rest[..at])
}

/// `Verdict` beside `verdict` is the same key to a person, whatever YAML thinks of their spelling.
fn is_key(said: &str, key: &str) -> bool {
    said.trim().eq_ignore_ascii_case(key)
}

impl Document {
    /// Reads a key whose value must be exactly one of the given tokens. The line must be spelled `key: token` from the
    /// first column on (quotes and a comment are fine), the key may be there only once in any spelling, and no key of the
    /// document may have letters outside ASCII, which could be taken for it.
    pub fn token<T: Copy>(&self, key: &str, tokens: &[(&str, T)]) -> Result<T, Unreadable> {
        let unknown = || Unreadable::UnknownValue {
            key: key.to_owned(),
            allowed: tokens.iter().map(|(token, _)| format!("`{token}`")).collect::<Vec<_>>().join(" or "),
        };
        self.plain_keys()?;
        let value = self.front.get(key).ok_or_else(|| Unreadable::MissingKey { key: key.to_owned() })?;
        let mut said = self.scalars.iter().filter(|s| is_key(&s.key, key));
        let (Some(scalar), None) = (said.next(), said.next()) else { return Err(unknown()) };
        if !self.is_once(key) || !scalar.literal || value.as_str() != Some(&scalar.text) {
            return Err(unknown());
        }
        tokens.iter().find(|(token, _)| *token == scalar.text).map(|(_, is)| *is).ok_or_else(unknown)
    }

    /// Reads a key whose value must be a plain whole number, `key: 3`, under the rules of `token`.
    pub fn count(&self, key: &str) -> Result<u32, Unreadable> {
        let meant = self.front.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let mut digits = None;
        if let Some(scalar) = self.scalars.iter().find(|s| s.key == key && s.depth == 1) {
            let plain = scalar.text.bytes().all(|b| b.is_ascii_digit()) && !scalar.text.is_empty();
            let padded = scalar.text.len() > 1 && scalar.text.starts_with('0');
            digits = scalar.text.parse::<u32>().ok().filter(|_| plain && !padded && scalar.literal);
        }
        self.typed(key, digits, meant, "a whole number")
    }

    /// Reads a key whose value must be `true` or `false`, under the rules of `token`.
    pub fn flag(&self, key: &str) -> Result<bool, Unreadable> {
        let scalar = self.scalars.iter().find(|s| s.key == key && s.depth == 1 && s.literal);
        let said = scalar.and_then(|s| s.text.parse::<bool>().ok());
        self.typed(key, said, self.front.get(key).and_then(Value::as_bool), "`true` or `false`")
    }

    /// A value counts if its spelling and its type say the same and its key is there once.
    fn typed<T: PartialEq>(
        &self,
        key: &str,
        spelled: Option<T>,
        meant: Option<T>,
        allowed: &str,
    ) -> Result<T, Unreadable> {
        self.plain_keys()?;
        if !self.front.contains_key(key) {
            return Err(Unreadable::MissingKey { key: key.to_owned() });
        }
        spelled
            .filter(|s| self.is_once(key) && meant.as_ref() == Some(s))
            .ok_or_else(|| Unreadable::UnknownValue { key: key.to_owned(), allowed: allowed.to_owned() })
    }

    /// Is there one key of this name, for a program and for a person?
    fn is_once(&self, key: &str) -> bool {
        [&self.keys, &self.seen].iter().all(|keys| keys.iter().filter(|said| is_key(said, key)).count() == 1)
    }

    fn plain_keys(&self) -> Result<(), Unreadable> {
        match self.keys.iter().find(|key| !key.is_ascii()) {
            None => Ok(()),
            Some(key) => Err(Unreadable::Yaml {
                line: None,
                why: format!("the key `{}` must be plain ASCII", key.escape_unicode()),
            }),
        }
    }

    /// Text of a key, if it is there and is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.front.get(key).and_then(Value::as_str)
    }

    /// Reads the optional list `findings: [{id, severity, file, line, text}]`. An unknown severity counts as `P1`: nobody
    /// gets a finding out of the way by misspelling how bad it is.
    pub fn findings(&self) -> Result<Vec<Finding>, Unreadable> {
        list(self, "findings", |item| {
            let map = item.as_object().ok_or("it must be a map with `severity` and `text`")?;
            finding(map, &["text"], &["id"])
                .and_then(|f| if f.text.is_empty() { Err("`text` is missing".into()) } else { Ok(f) })
        })
    }

    /// Reads the optional list `settled: [R1, R2]`: findings that are no longer open. Whatever is not a list of plain words
    /// settles nothing.
    pub fn settled(&self) -> Vec<String> {
        let items = self.front.get("settled").and_then(Value::as_array).filter(|_| self.is_once("settled"));
        let words = items.map(|items| items.iter().map(|v| v.as_str().map(|s| s.trim().to_owned())).collect());
        words.unwrap_or(None).unwrap_or_default()
    }

    /// Reads the optional list `failures:` of a test report: what failed, each as text or as a map (`test`, `file`, `line`,
    /// `text` or `message`, and whatever else helps). Every one of them is must-fix.
    pub fn failures(&self) -> Result<Vec<Finding>, Unreadable> {
        list(self, "failures", |item| match item {
            Value::String(text) if !text.trim().is_empty() => Ok(Finding::must_fix(text.trim())),
            Value::Object(map) => {
                let mut failure =
                    finding(map, &["text", "message", "error", "output"], &["id", "test", "name", "case"])?;
                failure.severity = failure.severity.min(Severity::P1);
                if failure.text.is_empty() {
                    failure.text = failure.id.clone().ok_or("it says nothing")?;
                }
                Ok(failure)
            }
            _ => Err("it must be text or a map".into()),
        })
    }
}

/// Reads an optional list. One that is misspelled, no list or too long is an error and never an empty one.
fn list(
    doc: &Document,
    key: &'static str,
    one: impl Fn(&Value) -> Result<Finding, String>,
) -> Result<Vec<Finding>, Unreadable> {
    let bad = |why: String| Unreadable::Findings { key, why };
    if let Some(other) = doc.keys.iter().find(|said| is_key(said, key) && *said != key) {
        return Err(bad(format!("it is spelled `{other}`")));
    }
    // A quote or a bracket that is open over several lines swallows what stands in it.
    let count = |keys: &[String]| keys.iter().filter(|said| is_key(said, key)).count();
    if count(&doc.keys) < count(&doc.seen) {
        return Err(bad("it stands at the edge of the page and is no key of its own".into()));
    }
    let items = match doc.front.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MAX_FINDINGS => items,
        Some(Value::Array(_)) => return Err(bad(format!("more than {MAX_FINDINGS} of them"))),
        Some(_) => return Err(bad("it must be a list".into())),
    };
    items.iter().enumerate().map(|(i, item)| one(item).map_err(|why| bad(format!("number {}: {why}", i + 1)))).collect()
}

/// Reads one finding. `texts` and `ids` are the names its text and its id may have; what stands under any other name is
/// added to the text, so that nothing somebody wrote down is lost on the way to whoever has to repair it.
fn finding(map: &Map<String, Value>, texts: &[&str], ids: &[&str]) -> Result<Finding, String> {
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
    let graded = |text: Option<&str>| match text {
        Some("P0") => Severity::P0,
        Some("P2") => Severity::P2,
        Some("P3") => Severity::P3,
        _ => Severity::P1,
    };
    let mut severity = graded(word("severity")?.as_deref());
    // Said in another spelling, or under another name, as well: the worse of the two counts.
    for (key, value) in map.iter().filter(|(key, _)| *key != "severity") {
        let said = value.as_str().map(|text| text.trim().to_uppercase());
        let grades = ["priority", "level"].iter().any(|name| is_key(key, name));
        if is_key(key, "severity") || grades && matches!(said.as_deref(), Some("P0" | "P1")) {
            severity = severity.min(graded(said.as_deref()));
        }
    }
    let named = |names: &[&str]| -> Result<(Option<String>, Option<String>), String> {
        for name in names {
            if let Some(text) = word(name)? {
                return Ok((Some(text), Some((*name).to_owned())));
            }
        }
        Ok((None, None))
    };
    let ((text, text_key), (id, id_key)) = (named(texts)?, named(ids)?);
    let read = ["severity", "file", "line"];
    let used = |key: &str| read.contains(&key) || [&text_key, &id_key].iter().any(|k| k.as_deref() == Some(key));
    let mut parts: Vec<String> = text.into_iter().collect();
    parts.extend(map.iter().filter(|(key, value)| !used(key) && !is_blank(value)).map(|(key, value)| match value {
        Value::String(text) => format!("{key}: {}", text.trim()),
        other => format!("{key}: {other}"),
    }));
    Ok(Finding { id, severity, file: word("file")?, line, text: parts.join("\n") })
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
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
        if text == b"---" && at.len() > next.len() && at[at.len() - next.len() - 1] == b'\n' {
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
