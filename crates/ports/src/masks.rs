//! What must never be read by anybody: the values of keys that orch knows. The one place that finds them in a text and takes
//! them out, whatever way the text goes out: page, API, log, notice, comment, document, brief. What is stored is stored as it
//! is: a mask inside of a stored value would make another value of it.
//!
//! A value is found as it is, in base64, in hexadecimal digits, with characters written as `%41`, `\u0041`, `\/` or `&amp;`,
//! over line breaks and between colours of a terminal, and when a half of it or more was cut off. Whoever turns it round or
//! encrypts it gets it through: this prevents accidents, not an agent that means to tell.
//!
//! What is known here is known to the whole process and only grows: what one part of it was given, no part may show.

mod keys;
mod view;

pub use keys::looks_like_a_key;

use aho_corasick::AhoCorasick;
use keys::{is_distinctive, password_of};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use view::View;

/// What stands where a value was.
pub const MASK: &str = "***";
/// Shorter values are not looked for: they are found in any text.
pub const SHORTEST: usize = 8;
/// A plain word up to this length is not looked for either: `production` is the value of many a variable.
const LONGEST_WORD: usize = 15;
/// Of a text that still grows its end is held back from this many characters of a value on: fewer end many a line.
const HELD: usize = 3;
/// Longest beginning or end of a value by which it is recognised.
const LONGEST_MARK: usize = 16;
/// Shortest value that is recognised by a half of it.
const HALVED: usize = 24;
/// How the first and the last line of a key in PEM begin: they are those of everybody's.
const FRAME: &str = "-----";

static KNOWN: RwLock<Option<Arc<Masks>>> = RwLock::new(None);

/// From now on no text of this process shows these. Values that [`why_not`] has a reason against are passed over.
pub fn know<'s>(values: impl IntoIterator<Item = &'s str>) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<String> = known.as_ref().map(|masks| masks.values.clone()).unwrap_or_default();
    let before = all.len();
    for value in values {
        let value = value.trim();
        if why_not(value).is_none() && !all.iter().any(|v| v == value) {
            all.push(value.to_owned());
        }
    }
    if before < all.len() {
        *known = Some(Arc::new(Masks::new(all)));
    }
}

/// As [`know`], of a variable whose value may be anything: what its name calls a key, what can be nothing else, and the
/// password in an address. A region, a model or an address would be found in any text.
pub fn know_of(name: &str, value: &str) {
    let value = value.trim();
    if let Ok(Value::Object(map)) = serde_json::from_str(value) {
        for (name, value) in &map {
            match value {
                Value::String(text) => know_of(name, text),
                Value::Object(_) => know_of(name, &value.to_string()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
            }
        }
    } else if value.contains("://") {
        know(password_of(value));
    } else if why_not_of(name, value).is_none() {
        know([value]);
    }
}

/// Why the value of a variable is not looked for; `None`: it is, or the part of it that is a key.
pub fn why_not_of(name: &str, value: &str) -> Option<&'static str> {
    let value = value.trim();
    if matches!(serde_json::from_str(value), Ok(Value::Object(_))) {
        return None;
    }
    if value.contains("://") {
        return password_of(value).map_or(Some("it is an address without a password"), why_not);
    }
    let is_key = || looks_like_a_key(name, value) || is_distinctive(value);
    why_not(value).or_else(|| (!is_key()).then_some("neither its name nor its value is that of a key"))
}

/// What is known now.
fn known() -> Option<Arc<Masks>> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The text without what is known.
pub fn mask(text: &str) -> Cow<'_, str> {
    known().map_or(Cow::Borrowed(text), |masks| masks.mask(text))
}

/// As [`mask`], of JSON: it stays JSON whatever a value looks like.
pub fn mask_json(json: &str) -> Cow<'_, str> {
    let masked = mask(json);
    if matches!(masked, Cow::Borrowed(_)) {
        return masked;
    }
    match serde_json::from_str(json) {
        Ok(mut value) => {
            mask_strings(&mut value);
            Cow::Owned(value.to_string())
        }
        Err(_) => masked,
    }
}

fn mask_strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = mask(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_strings),
        Value::Object(map) => {
            let inner = std::mem::take(map).into_iter().map(|(name, mut value)| {
                mask_strings(&mut value);
                (mask(&name).into_owned(), value)
            });
            *map = inner.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text as people may read it: masked, and without what a terminal would obey.
pub fn readable(text: &str) -> String {
    match orch_core::plain::shown(text) {
        // Cleaned first: a value with a colour in the middle of it is one again.
        Cow::Borrowed(text) => mask(text).into_owned(),
        Cow::Owned(text) => mask(&text).into_owned(),
    }
}

/// A piece of a file that may still grow, with what stands around it: what may be shown of it, and up to which byte of
/// `bytes` that goes. `piece` lies inside of `bytes`; before and behind it should be [`reach`] bytes, as far as there are any.
/// `grows`: behind `bytes` there may be more, now or later.
pub fn piece(bytes: &[u8], piece: Range<usize>, grows: bool) -> (Vec<u8>, usize) {
    match known() {
        Some(masks) => masks.piece(bytes, piece, grows),
        None => (bytes[piece.clone()].to_vec(), piece.end),
    }
}

/// How far a value can reach in a text, bytes.
pub fn reach() -> usize {
    known().map_or(0, |masks| masks.reach)
}

/// Why a value is not looked for; `None`: it is.
pub fn why_not(value: &str) -> Option<&'static str> {
    let value = value.trim();
    let word = |c: char| c.is_ascii_lowercase() || "_-.".contains(c);
    if value.chars().filter(|c| !c.is_whitespace()).count() < SHORTEST {
        Some("it is shorter than 8 characters")
    } else if value.len() <= LONGEST_WORD && value.chars().all(word) {
        Some("it is a plain word")
    } else if is_path(Path::new(value)) {
        Some("it is the path of a file")
    } else {
        None
    }
}

/// A file that is there, or could be made where it is said to be.
fn is_path(path: &Path) -> bool {
    let above = path.parent().filter(|dir| *dir != Path::new("/"));
    path.is_absolute() && (path.exists() || above.is_some_and(Path::exists))
}

/// Values, and how they are found.
struct Masks {
    values: Vec<String>,
    /// Every form of every value.
    forms: Vec<Vec<u8>>,
    /// Beginnings and ends of the forms: two per form, in their order.
    marks: Option<AhoCorasick>,
    reach: usize,
}

impl Masks {
    fn new(values: Vec<String>) -> Self {
        let mut forms: Vec<Vec<u8>> = values.iter().flat_map(|value| forms(value)).collect();
        forms.sort();
        forms.dedup();
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        let marks = forms.iter().flat_map(|form| {
            // Half of what is short or all of one kind stands in texts that have nothing to do with it.
            let two = [u8::is_ascii_digit, u8::is_ascii_alphabetic].iter().all(|kind| form.iter().any(kind));
            let long =
                HALVED <= form.len() && (two || !form.is_ascii()) && !form.windows(3).any(|three| three == b"://");
            let mark = if long { (form.len() / 2).clamp(SHORTEST, LONGEST_MARK) } else { form.len() };
            [&form[..mark], &form[form.len() - mark..]]
        });
        let marks = AhoCorasick::new(marks).ok();
        // The longest writing of one character is `\u0041`; the rest is for line breaks and colours in between.
        Self { values, forms, marks, reach: longest * 8 + 1024 }
    }

    fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spans = self.spans(&View::of(text.as_bytes()), text.as_bytes());
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for span in spans {
            out.push_str(&text[at..span.start]);
            out.push_str(MASK);
            at = span.end;
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }

    fn piece(&self, bytes: &[u8], piece: Range<usize>, grows: bool) -> (Vec<u8>, usize) {
        let view = View::of(bytes);
        let mut end = piece.end;
        if grows && bytes.len() - end < self.reach {
            end = end.min(self.complete(&view).unwrap_or(end)).max(piece.start);
        }
        let mut out = Vec::with_capacity(piece.len());
        let mut at = piece.start;
        for span in self.spans(&view, bytes) {
            if span.end <= at || end <= span.start {
                continue;
            }
            // What began before this piece was shown as masked with the piece before, unless it was too little to be seen.
            let before = |from: &&usize| (span.start..at).contains(*from);
            if at <= span.start || view.from.iter().filter(before).count() < HELD {
                out.extend_from_slice(&bytes[at..span.start.max(at)]);
                out.extend_from_slice(MASK.as_bytes());
            }
            at = span.end;
        }
        if at < end {
            out.extend_from_slice(&bytes[at..end]);
        }
        (out, end)
    }

    /// Where a value begins of which the end is not there yet.
    fn complete(&self, view: &View) -> Option<usize> {
        let begun = |form: &Vec<u8>| {
            let most = (form.len() - 1).min(view.bytes.len());
            (HELD..=most).rev().find(|n| view.bytes.ends_with(&form[..*n])).map(|n| view.bytes.len() - n)
        };
        self.forms.iter().filter_map(begun).min().map(|at| view.from[at])
    }

    /// Where the values are, in order and apart.
    fn spans(&self, view: &View, text: &[u8]) -> Vec<Range<usize>> {
        let Some(marks) = &self.marks else { return Vec::new() };
        let mut spans: Vec<Range<usize>> = Vec::new();
        for found in marks.find_overlapping_iter(&view.bytes) {
            let form = &self.forms[found.pattern().as_usize() / 2];
            let (start, end) = if found.pattern().as_usize().is_multiple_of(2) {
                let rest = &view.bytes[found.start()..];
                let same = rest.iter().zip(form).take_while(|(a, b)| a == b).count();
                (found.start(), found.start() + same)
            } else {
                let before = &view.bytes[..found.end()];
                let same = before.iter().rev().zip(form.iter().rev()).take_while(|(a, b)| a == b).count();
                (found.end() - same, found.end())
            };
            let (mut start, mut end) = (view.from[start], view.to[end - 1]);
            // A form that was cut may end inside of a character.
            let inside = |at: usize| text.get(at).is_some_and(|b| b & 0xc0 == 0x80);
            while 0 < start && inside(start) {
                start -= 1;
            }
            while inside(end) {
                end += 1;
            }
            spans.push(start..end);
        }
        spans.sort_by_key(|span| (span.start, span.end));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for span in spans {
            match apart.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => apart.push(span),
            }
        }
        apart
    }
}

/// Every way in which a value is looked for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let inner: Vec<&str> = value.lines().filter(|line| !line.trim_start().starts_with(FRAME)).collect();
    let value = &inner.join("\n");
    let bytes = value.as_bytes();
    let mut all = vec![squeezed(bytes), View::of(bytes).bytes];
    // Of a key of several lines a log may show some.
    all.extend(value.lines().filter(|line| LONGEST_MARK <= line.trim().len()).map(|line| squeezed(line.as_bytes())));
    for before in 0..3 {
        for alphabet in [b"+/", b"-_"] {
            all.push(base64(bytes, before, *alphabet));
        }
    }
    let hex = |digits: &[u8; 16]| -> Vec<u8> {
        bytes.iter().flat_map(|b| [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]).collect()
    };
    all.push(hex(b"0123456789abcdef"));
    all.push(hex(b"0123456789ABCDEF"));
    all.retain(|form| SHORTEST <= form.len());
    all
}

/// Without what a view passes over, and otherwise as it is.
fn squeezed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|b| !b.is_ascii_whitespace() && !b.is_ascii_control()).collect()
}

/// The characters of base64 that are the same whatever stands around the bytes, if `before` bytes (modulo 3) stand before.
fn base64(bytes: &[u8], before: usize, two: [u8; 2]) -> Vec<u8> {
    let alphabet = |n: u8| match n {
        0..=25 => b'A' + n,
        26..=51 => b'a' + n - 26,
        52..=61 => b'0' + n - 52,
        62 => two[0],
        _ => two[1],
    };
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let known = padded.len() * 8 / 6;
    let bit = |at: usize| padded.get(at / 8).is_some_and(|b| b & (0x80 >> (at % 8)) != 0);
    let sextet = |n: usize| (0..6).fold(0, |value, i| value << 1 | u8::from(bit(n * 6 + i)));
    let first = (before * 8).div_ceil(6);
    (first..known).map(|n| alphabet(sextet(n))).collect()
}

#[cfg(test)]
mod tests;
