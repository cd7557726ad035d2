//! Bytes into text and trees, bounded. Decides how large and how deep an input may be before it is refused; it may never
//! cut an input off and read the rest. It prevents a lock file that takes the orchestrator down with it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// Largest manifest or auditor's answer that is read: lock files of thousands of packages stay well below, and a tree of
/// it takes up to thirty times as much memory.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most lists, maps and scalars of a YAML lock file.
const MAX_YAML_NODES: usize = 2_000_000;

/// UTF-8 within bounds, without a byte order mark.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES / 1024 / 1024));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A text of UTF-16, if a byte order mark says that it is one and it is.
pub(crate) fn utf16(bytes: &[u8]) -> Option<String> {
    let (rest, little) = match bytes {
        [0xFF, 0xFE, rest @ ..] => (rest, true),
        [0xFE, 0xFF, rest @ ..] => (rest, false),
        _ => return None,
    };
    let (pairs, []) = rest.as_chunks::<2>() else { return None };
    let unit = |two: &[u8; 2]| if little { u16::from_le_bytes(*two) } else { u16::from_be_bytes(*two) };
    let units: Vec<u16> = pairs.iter().map(unit).collect();
    String::from_utf16(&units).ok().filter(|_| bytes.len() <= MAX_BYTES)
}

/// A JSON tree; the parser stops at 128 levels.
pub(crate) fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| format!("is not the JSON expected: {}", short(&e.to_string())))
}

/// A TOML tree; the parser stops at 80 levels.
pub(crate) fn toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    ::toml::from_str(text).map_err(|e| format!("is not the TOML expected: {}", short(e.message())))
}

/// A YAML tree: one document, no merge keys, no double keys.
pub(crate) fn yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: 32,
            max_nodes: MAX_YAML_NODES,
            max_events: 2 * MAX_YAML_NODES,
            max_total_scalar_bytes: MAX_BYTES,
            max_merge_keys: 0,
        },
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| format!("is not the YAML expected: {}", short(&e.without_snippet().to_string())))
}

/// A part of an address with its numbers made letters. `None`: they are no numbers, or not those of letters.
pub(crate) fn percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The first line of a message, not too long: messages quote the input.
pub(crate) fn short(message: &str) -> String {
    let line = message.lines().find(|l| !l.trim().is_empty()).unwrap_or("no reason given").trim();
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

/// On which line a key of a JSON or YAML lock file stands. Only for people: parsers of trees do not say, so the text is
/// searched; a key that stands there twice has no line rather than a wrong one.
pub(crate) struct KeyLines<'a>(HashMap<&'a str, Option<u32>>);

impl<'a> KeyLines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut lines: HashMap<&str, Option<u32>> = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            // Only a key that opens a map: `"lodash": "^4"` is somebody else's wish.
            let quoted = |quote: char, end: &str| {
                let (key, rest) = line.strip_prefix(quote)?.split_once(end)?;
                (rest.trim().is_empty() || rest.trim_start().starts_with('{')).then_some(key)
            };
            let plain = || line.strip_suffix(':').filter(|key| !key.starts_with(['"', '\'']));
            let Some(key) = quoted('"', "\":").or_else(|| quoted('\'', "':")).or_else(plain) else { continue };
            let number = u32::try_from(number + 1).ok();
            lines.entry(key).and_modify(|seen| *seen = None).or_insert(number);
        }
        Self(lines)
    }

    pub(crate) fn line(&self, key: &str) -> Option<u32> {
        self.0.get(key).copied().flatten()
    }
}

/// The line (from 1) an offset in bytes falls on. Made once per text, asked often.
pub(crate) struct Offsets(Vec<usize>);

impl Offsets {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect())
    }

    pub(crate) fn line(&self, offset: usize) -> Option<u32> {
        u32::try_from(self.0.partition_point(|at| *at < offset) + 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_keys_are_found_and_doubtful_ones_left_out() {
        let text = "{\n  \"packages\": {\n    \"node_modules/a\": {\n  \"x\": {\n \"x\": {\n \"y\": {\n \"y\": 1\n";
        let lines = KeyLines::of(text);
        assert_eq!(lines.line("node_modules/a"), Some(3));
        assert_eq!((lines.line("x"), lines.line("y")), (None, Some(6)));
        assert_eq!(KeyLines::of("packages:\n  'a@1:2':\n  /b/1.0:\n").line("a@1:2"), Some(2));
        assert_eq!(Offsets::of("a\nbc\nd").line(2), Some(2));
    }

    #[test]
    fn letters_that_are_written_as_numbers_are_read() {
        assert_eq!(percent("%40scope%2fna%6De").as_deref(), Some("@scope/name"));
        assert_eq!((percent("a%2"), percent("a%zz"), percent("%ff")), (None, None, None));
    }

    #[test]
    fn deep_and_large_inputs_are_refused_and_not_read_in_part() {
        let deep = "[".repeat(100_000);
        assert!(json::<Value>(&deep).is_err());
        assert!(yaml(&deep).is_err());
        assert!(toml::<::toml::Table>(&format!("a = {deep}")).is_err());
        assert!(yaml("a: &x [1]\nb: *x\n").is_err());
        assert!(yaml("a: 1\na: 2\n").is_err());
        assert!(utf8(&vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
