//! Other spellings of the same text: base64 (both alphabets, wrapped over lines, wherever it begins), hexadecimal, percent
//! signs, UTF-16. One pass over each; what comes out is scanned like the file itself. It may not decide what is a
//! candidate by taste: whoever hides a secret chooses the alphabet and the line length.

use serde::Serialize;

/// How a secret was written down, if not plainly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base64, standard or URL-safe.
    Base64,
    /// Pairs of hexadecimal digits.
    Hex,
    /// `%41`.
    Percent,
    /// Two bytes a character, either byte first.
    Utf16,
}

/// Shortest base64 or hexadecimal text that is decoded: an access key id of 20 bytes has 27 and 40.
const MIN_BASE64: usize = 20;
const MIN_HEX: usize = 32;
/// Up to this length base64 is also decoded from its second, third and fourth character: it may hang on a path or a word.
const MAX_SHIFTED: usize = 4096;
/// Shortest UTF-16 text that is read.
const MIN_WIDE: usize = 4;
/// Between two decoded pieces; no expression matches across.
const GAP: &[u8] = b"\n\x01\n";
/// Decoded text is handed over in portions of about this size.
const PORTION: usize = 1 << 20;

/// Decoded text, and where in the original each part of it began.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) text: Vec<u8>,
    /// (offset in `text`, offset in the original, original bytes per decoded byte times 4).
    parts: Vec<(usize, usize, usize)>,
}

impl Decoded {
    fn begin(&mut self, origin: usize, quarters: usize) {
        self.parts.push((self.text.len(), origin, quarters));
    }

    /// Where in the original this byte came from, to within a few bytes.
    pub(crate) fn origin(&self, at: usize) -> usize {
        let part = self.parts.partition_point(|(start, ..)| *start <= at);
        let Some((start, origin, quarters)) = part.checked_sub(1).and_then(|p| self.parts.get(p)) else { return 0 };
        origin + (at - start) * quarters / 4
    }
}

const fn table(alphabet: &[u8]) -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut n = 0;
    while n < alphabet.len() {
        values[alphabet[n] as usize] = n as u8;
        n += 1;
    }
    values
}

const NONE: u8 = 0xff;
/// Both alphabets at once; `-` and `_` are the URL-safe twins of `+` and `/`.
const BASE64: [u8; 256] = {
    let mut values = table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};
const HEX: [u8; 256] = {
    let mut values = table(b"0123456789abcdef");
    let mut n = 0;
    while n < 6 {
        values[b'A' as usize + n] = 10 + n as u8;
        n += 1;
    }
    values
};

/// Decodes base64 of either alphabet; stops at the first character that is none.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    base64_into(&mut out, text);
    out
}

fn base64_into(out: &mut Vec<u8>, text: &[u8]) {
    let mut held = 0_u32;
    let mut bits = 0;
    for value in text.iter().map(|b| BASE64[usize::from(*b)]).take_while(|v| *v != NONE) {
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
}

/// Finds and decodes everything that can be base64, and gives it to `look` in portions.
pub(crate) fn each_base64(bytes: &[u8], look: &mut dyn FnMut(&Decoded)) {
    let mut portion = Decoded::default();
    let mut at = 0;
    let mut joined: Vec<u8> = Vec::new();
    while let Some((start, end)) = run(bytes, at, &BASE64, MIN_BASE64) {
        joined.clear();
        joined.extend_from_slice(&bytes[start..end]);
        let mut lines = vec![(0, start)];
        at = end;
        while let Some((from, to)) = continued(bytes, at) {
            lines.push((joined.len(), from));
            joined.extend_from_slice(&bytes[from..to]);
            at = to;
        }
        let shifts = if joined.len() <= MAX_SHIFTED { 4 } else { 1 };
        // A short last line may be the first word of what comes after.
        let last = lines.last().map_or(0, |(offset, _)| *offset);
        let whole =
            if last > 0 && joined.len() - last < MIN_BASE64 { vec![joined.len(), last] } else { vec![joined.len()] };
        for (shift, end) in (0..shifts).flat_map(|shift| whole.iter().map(move |end| (shift, *end))) {
            let base = portion.text.len();
            for (offset, origin) in &lines {
                let decoded = offset.saturating_sub(shift) / 4 * 3;
                portion.parts.push((base + decoded, *origin, 5));
            }
            base64_into(&mut portion.text, &joined[shift..end]);
            portion.text.extend_from_slice(GAP);
        }
        if portion.text.len() > PORTION {
            look(&portion);
            portion = Decoded::default();
        }
    }
    if !portion.text.is_empty() {
        look(&portion);
    }
}

/// Finds and decodes hexadecimal text.
pub(crate) fn each_hex(bytes: &[u8], look: &mut dyn FnMut(&Decoded)) {
    let mut portion = Decoded::default();
    let mut at = 0;
    while let Some((start, end)) = run(bytes, at, &HEX, MIN_HEX) {
        at = end;
        portion.begin(start, 8);
        let nibble = |b: u8| HEX[usize::from(b)];
        portion.text.extend(bytes[start..end].chunks_exact(2).map(|pair| (nibble(pair[0]) << 4) | nibble(pair[1])));
        portion.text.extend_from_slice(GAP);
        if portion.text.len() > PORTION {
            look(&portion);
            portion = Decoded::default();
        }
    }
    if !portion.text.is_empty() {
        look(&portion);
    }
}

/// The next run of at least `shortest` characters of an alphabet. Looks at every `shortest`-th byte first: a run cannot
/// hide between two of them.
fn run(bytes: &[u8], from: usize, alphabet: &[u8; 256], shortest: usize) -> Option<(usize, usize)> {
    let inside = |b: &u8| alphabet[usize::from(*b)] != NONE;
    let mut floor = from;
    let mut probe = from + shortest - 1;
    while let Some(b) = bytes.get(probe) {
        if !inside(b) {
            floor = probe + 1;
            probe += shortest;
            continue;
        }
        let before = bytes[floor..probe].iter().rev().take_while(|b| inside(b)).count();
        let start = probe - before;
        let end = probe + bytes[probe..].iter().take_while(|b| inside(b)).count();
        if end - start >= shortest {
            return Some((start, end));
        }
        floor = end;
        probe = end + shortest;
    }
    None
}

/// The next line of a wrapped base64 text that stopped at `at`: a line break, white space and marks such as quotes, then
/// characters that fill the line. A last line with padding counts.
fn continued(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let gap = bytes.get(at..)?.iter().take(80).take_while(|b| b" \t\r\n\\\"'+,#*>|;".contains(b)).count();
    if !bytes[at..at + gap].contains(&b'\n') && !bytes[at..at + gap].starts_with(b"\\") {
        return None;
    }
    // `\n` written out.
    let from = at + gap;
    let from = if gap > 0 && bytes[from - 1] == b'\\' && bytes.get(from) == Some(&b'n') { from + 1 } else { from };
    let length = bytes[from..].iter().take_while(|b| BASE64[usize::from(**b)] != NONE).count();
    let after = bytes.get(from + length);
    let ends = after.is_none_or(|b| b"\r\n\\\"'=".contains(b));
    (length > 0 && ends).then_some((from, from + length))
}

/// Decodes percent signs in words that hold one.
pub(crate) fn percent(bytes: &[u8]) -> Option<Decoded> {
    let escape = |at: usize| {
        let digit = |ahead: usize| bytes.get(at + ahead).map(|b| HEX[usize::from(*b)]).filter(|v| *v != NONE);
        (bytes.get(at) == Some(&b'%')).then(|| Some((digit(1)? << 4) | digit(2)?)).flatten()
    };
    let edge = |b: u8| b.is_ascii_whitespace() || b"\"'<>`".contains(&b);
    let mut decoded = Decoded::default();
    let mut done = 0;
    for at in memchr::memchr_iter(b'%', bytes) {
        if at < done || escape(at).is_none() {
            continue;
        }
        let start = bytes[done..at].iter().rposition(|b| edge(*b)).map_or(done, |p| done + p + 1);
        let mut now = start;
        decoded.begin(start, 4);
        while let Some(b) = bytes.get(now).copied().filter(|b| !edge(*b)) {
            if let Some(byte) = escape(now) {
                decoded.text.push(byte);
                now += 3;
                decoded.begin(now, 4);
            } else {
                decoded.text.push(b);
                now += 1;
            }
        }
        decoded.text.extend_from_slice(GAP);
        done = now;
    }
    (!decoded.text.is_empty()).then_some(decoded)
}

/// Takes out the ASCII text that is written with a NUL beside every character, whichever comes first.
pub(crate) fn wide(bytes: &[u8]) -> Option<Decoded> {
    memchr::memchr(0, bytes)?;
    let readable = |b: u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    let mut decoded = Decoded::default();
    let mut at = 0;
    while at + 1 < bytes.len() {
        let mut end = at;
        while bytes.get(end).is_some_and(|b| readable(*b)) && (bytes.get(end + 1) == Some(&0)) {
            end += 2;
        }
        // Big-endian text ends with a character, not with a NUL.
        if end > at && bytes.get(end).is_some_and(|b| readable(*b)) {
            end += 2;
        }
        if end - at >= 2 * MIN_WIDE {
            decoded.begin(at, 8);
            decoded.text.extend(bytes[at..end.min(bytes.len())].iter().step_by(2));
            decoded.text.push(b'\x01');
            at = end - 1;
        } else {
            at += 1;
        }
    }
    (!decoded.text.is_empty()).then_some(decoded)
}
