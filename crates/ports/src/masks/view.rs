//! A text as values are looked for in it, whatever writing it uses.

/// A text as values are looked for in it: without what stands between the characters of a value that was broken into lines,
/// indented or coloured, and with characters that were written otherwise as they were meant.
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    /// Where each byte of it begins in the text.
    pub(super) from: Vec<usize>,
    /// Where it ends there.
    pub(super) to: Vec<usize>,
}

impl View {
    pub(super) fn of(text: &[u8]) -> Self {
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
