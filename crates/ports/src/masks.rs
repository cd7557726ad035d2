//! What must never be read by anybody: the values of keys that orch knows. The one place that finds them in a text and takes
//! them out, whatever way the text goes out: page, API, log, notice, comment, document, brief. What is stored is stored as it
//! is: a mask inside of a stored value would make another value of it.
//!
//! A value is found as it is, in base64, in hexadecimal digits, with characters written as `%41`, `\u0041`, `\/` or `&amp;`,
//! over line breaks and between colours of a terminal, and when a half of it or more was cut off. Whoever turns it round or
//! encrypts it gets it through: this prevents accidents, not an agent that means to tell.
//!
//! What is known here is known to the whole process and only grows: what one part of it was given, no part may show.

use aho_corasick::AhoCorasick;
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

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
    } else if looks_like_a_key(name, value) || is_distinctive(value) {
        know([value]);
    }
}

/// The password in an address, and the login as it stands there.
fn password_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (login, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    Some(login.split_once(':').map_or(login, |(_, password)| password))
}

/// Can a value be nothing but a key? Long, one word, of capitals, small letters and digits; or of many hexadecimal digits.
fn is_distinctive(value: &str) -> bool {
    let one_word = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(c));
    let mixed = [char::is_ascii_uppercase, char::is_ascii_lowercase, char::is_ascii_digit];
    let mixed = mixed.iter().all(|kind| value.chars().any(|c| kind(&c)));
    let digits = 32 <= value.len() && value.bytes().all(|b| b.is_ascii_hexdigit());
    20 <= value.len() && one_word && mixed || digits
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

/// Words of a variable's name that make its value a key.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "PWD",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "COOKIE",
    "PAT",
];
/// Last words of names whose value is about a key and is none.
const ABOUT: &[&str] = &[
    "PATH", "FILE", "DIR", "URL", "URI", "ID", "NAME", "TYPE", "HELPER", "COMMAND", "ENV", "LIMIT", "TTL", "METHOD",
    "MODE", "DOMAIN", "REGION", "PREFIX", "TIMEOUT",
];

/// Is this the value of a key? By the name of the variable, and because the value could be one.
pub fn looks_like_a_key(variable: &str, value: &str) -> bool {
    let value = value.trim();
    let number = value.len() < 8 && value.parse::<f64>().is_ok();
    if value.is_empty() || number || ["true", "false", "yes", "no", "on", "off"].contains(&value) {
        return false;
    }
    let login = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split('/').next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(who, _)| who.contains(':'))
    });
    if login {
        return true;
    }
    if value.starts_with('/') || value.starts_with("~/") {
        return false;
    }
    let upper = variable.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(['_', '-', '.']).collect();
    let about = words.last().is_some_and(|last| ABOUT.contains(last));
    !about && words.iter().any(|word| SECRET_WORDS.contains(word))
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

/// A text as values are looked for in it: without what stands between the characters of a value that was broken into lines,
/// indented or coloured, and with characters that were written otherwise as they were meant.
struct View {
    bytes: Vec<u8>,
    /// Where each byte of it begins in the text.
    from: Vec<usize>,
    /// Where it ends there.
    to: Vec<usize>,
}

impl View {
    fn of(text: &[u8]) -> Self {
        let mut view = Self {
            bytes: Vec::with_capacity(text.len()),
            from: Vec::with_capacity(text.len()),
            to: Vec::with_capacity(text.len()),
        };
        let mut at = 0;
        while at < text.len() {
            let (means, len) = next(&text[at..]);
            match means {
                Means::Nothing => {}
                Means::Byte(byte) => view.push(&[byte], at, len),
                Means::Char(c) => view.push(c.encode_utf8(&mut [0; 4]).as_bytes(), at, len),
            }
            at += len;
        }
        view
    }

    fn push(&mut self, bytes: &[u8], at: usize, len: usize) {
        if let [byte] = bytes
            && (byte.is_ascii_whitespace() || byte.is_ascii_control())
        {
            return;
        }
        for byte in bytes {
            self.bytes.push(*byte);
            self.from.push(at);
            self.to.push(at + len);
        }
    }
}

/// What a piece of a text means.
enum Means {
    Nothing,
    Byte(u8),
    Char(char),
}

/// What the text begins with, and how many bytes that takes.
fn next(text: &[u8]) -> (Means, usize) {
    let hex = |digits: &[u8]| -> Option<u32> {
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let code = |n: Option<u32>, len: usize| n.and_then(char::from_u32).map(|c| (Means::Char(c), len));
    let written = match text {
        [0x1b, ..] => Some((Means::Nothing, escape(text))),
        [b'%', a, b, ..] => hex(&[*a, *b]).map(|n| (Means::Byte(n as u8), 3)),
        [b'\\', b'u', b'{', rest @ ..] => {
            let len = rest.iter().take(7).position(|b| *b == b'}');
            len.and_then(|len| code(hex(&rest[..len]), len + 4))
        }
        [b'\\', b'u', a, b, c, d, ..] => code(hex(&[*a, *b, *c, *d]), 6),
        [b'\\', b'x', a, b, ..] => hex(&[*a, *b]).map(|n| (Means::Byte(n as u8), 4)),
        [b'\\', c @ (b'\\' | b'"' | b'\'' | b'/'), ..] => Some((Means::Byte(*c), 2)),
        [b'&', rest @ ..] => entity(rest).map(|(c, len)| (Means::Char(c), len + 1)),
        // A break as JSON writes it; C1, soft hyphen; zero widths and turns of direction; the mark of byte order.
        [b'\\', b'n' | b'r' | b't', ..] | [0xc2, 0x80..=0x9f | 0xad, ..] => Some((Means::Nothing, 2)),
        [0xe2, 0x80, 0x8b..=0x8f | 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa0..=0xaf, ..] | [0xef, 0xbb, 0xbf, ..] => {
            Some((Means::Nothing, 3))
        }
        _ => None,
    };
    written.unwrap_or_else(|| (text.first().map_or(Means::Nothing, |b| Means::Byte(*b)), 1))
}

/// Length of a sequence for a terminal.
fn escape(text: &[u8]) -> usize {
    let rest = text.get(1..).unwrap_or_default();
    match rest.first() {
        Some(b'[') => {
            let parameters = rest[1..].iter().take_while(|b| (b' '..=b'?').contains(*b)).count();
            let ends = rest.get(1 + parameters).is_some_and(|b| (b'@'..=b'~').contains(b));
            2 + parameters + usize::from(ends)
        }
        Some(b' '..=b'/') => 3.min(text.len()),
        Some(b'c' | b'7' | b'8' | b'=' | b'>' | b'M' | b'D' | b'E' | b'H') => 2,
        _ => 1,
    }
}

/// A character that HTML writes as `&lt;` or `&#60;`, and the length behind the `&`.
fn entity(rest: &[u8]) -> Option<(char, usize)> {
    let len = rest.iter().take(9).position(|b| *b == b';')?;
    let name = std::str::from_utf8(&rest[..len]).ok()?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((c, len + 1))
}

#[cfg(test)]
mod tests;
