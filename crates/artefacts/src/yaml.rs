//! The one door through which YAML that somebody else wrote comes in. It decides what is plain enough to be believed:
//! one document, no aliases, anchors, tags, merge keys or duplicate keys, bounded in size, depth and nodes. It may never
//! guess: what two readers could read differently is refused, which prevents a verdict that a person sees as "refused"
//! and a parser sees as "approved". The YAML crate is wrapped here so that it can be replaced in one place.

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser};

/// Deepest nesting of lists and maps that is read.
const MAX_DEPTH: usize = 16;
/// Most lists, maps and scalars that are read.
const MAX_NODES: usize = 20_000;

/// Why a text was refused, and on which of its lines (from 1), if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Line within the text that was given.
    pub(crate) line: Option<usize>,
    /// A lower-case fragment.
    pub(crate) why: String,
}

/// A scalar that stands under a key of the top-level map, however deep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The top-level key, as written.
    pub(crate) key: String,
    /// The key of the innermost map it stands in; the top-level key itself for that key's own value.
    pub(crate) inner: String,
    /// How many lists and maps it stands in: 1 is the top-level map alone.
    pub(crate) depth: usize,
    /// Its text after escapes.
    pub(crate) text: String,
    /// Is its line, as written, nothing but `key: text`, from the first column on, plain or quoted, without escapes?
    pub(crate) literal: bool,
}

/// What one walk over the events found out, before any value is built.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Every key of the top-level map, in order; complete up to the first refusal.
    pub(crate) keys: Vec<String>,
    /// Every value scalar below a top-level key, in order; complete up to the first refusal.
    pub(crate) scalars: Vec<Scalar>,
    /// The first thing that may not be there.
    pub(crate) refused: Option<Refused>,
}

/// Where a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Between the two lines of a front matter.
    Front,
    /// A file of its own: its first line may be `---`.
    File,
}

/// A list or a map that is open during the walk.
enum Open {
    List,
    /// With the key whose value comes next; `None`: the next scalar is a key.
    Map(Option<String>),
}

/// Walks the events once. Never fails: what it could not read is in `refused`, what stood before that is kept, so that a
/// negative verdict in front of a broken line is still seen.
pub(crate) fn survey(text: &str, whose: Whose) -> Survey {
    let mut found = Survey { refused: foreign(text, whose), ..Survey::default() };
    if found.refused.is_some() {
        return found;
    }
    let lines: Vec<&str> = text.lines().collect();
    let (mut nodes, mut documents) = (0_usize, 0_usize);
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(pair) => pair,
            Err(error) => {
                found.refused = Some(Refused { line: Some(error.marker().line()), why: format!("not YAML: {error}") });
                return found;
            }
        };
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        let starts = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        nodes += usize::from(starts || matches!(event, Event::Scalar(..)));
        let why = match &event {
            _ if anchor != 0 => Some("anchors are not allowed"),
            _ if tagged => Some("tags are not allowed"),
            _ if nodes > MAX_NODES => Some("too many values"),
            Event::Alias(_) | Event::UnresolvedAlias(_) => Some("aliases are not allowed"),
            Event::DocumentStart(..) if documents > 0 => Some("a second document is not allowed"),
            _ if starts && open.len() >= MAX_DEPTH => Some("nested too deeply"),
            _ if starts && matches!(open.last(), Some(Open::Map(None))) => Some("a key must be plain text"),
            _ => None,
        };
        if let Some(why) = why {
            found.refused = Some(Refused { line: Some(span.start.line()), why: why.to_owned() });
            return found;
        }
        match event {
            Event::DocumentStart(..) => documents += 1,
            Event::MappingStart(..) => open.push(Open::Map(None)),
            Event::SequenceStart(..) => open.push(Open::List),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_ended(&mut open);
            }
            Event::Scalar(value, ..) => {
                let depth = open.len();
                if let Some(Open::Map(key @ None)) = open.last_mut() {
                    if depth == 1 {
                        found.keys.push(value.to_string());
                    }
                    *key = Some(value.into_owned());
                    continue;
                }
                let inner = open.iter().rev().find_map(|o| if let Open::Map(key) = o { key.clone() } else { None });
                if let (Some(Open::Map(Some(key))), Some(inner)) = (open.first(), inner) {
                    let line =
                        span.start.line().checked_sub(1).and_then(|at| lines.get(at)).copied().unwrap_or_default();
                    let literal = depth == 1 && is_literal(line, key, &value);
                    let text = value.into_owned();
                    found.scalars.push(Scalar { key: key.clone(), inner, depth, text, literal });
                }
                value_ended(&mut open);
            }
            _ => {}
        }
    }
    found
}

/// The value of the innermost map's key is complete: a key comes next.
fn value_ended(open: &mut [Open]) {
    if let Some(Open::Map(key)) = open.last_mut() {
        *key = None;
    }
}

/// Is the line nothing but this key and this value, with or without quotes and a comment?
fn is_literal(line: &str, key: &str, value: &str) -> bool {
    let Some(rest) = line.strip_prefix(key).and_then(|r| r.strip_prefix(':')) else { return false };
    let Some(rest) = rest.strip_prefix([' ', '\t']).map(str::trim_start) else { return false };
    let unquoted = ["\"", "'"].iter().find_map(|q| rest.strip_prefix(q)?.strip_prefix(value)?.strip_prefix(q));
    let Some(after) = unquoted.or_else(|| rest.strip_prefix(value)) else { return false };
    let comment = after.trim_start();
    comment.is_empty() || (comment.starts_with('#') && comment.len() < after.len())
}

/// What stands at the left edge in the form `key: rest`, whether YAML takes it for a key or for a part of a text, a list
/// or a map that was opened above: a person takes it for a key.
pub(crate) fn left_edge(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with([' ', '\t', '#'])).filter_map(|line| {
        let (key, rest) = line.split_once(':')?;
        Some((key.trim_matches(|c: char| c.is_whitespace() || "\"'?[{,".contains(c)), rest))
    })
}

/// What is refused before any YAML is read, because other readers see other lines or another order of words in it: a
/// lone CR and the line breaks of Unicode, control characters, marks that turn the direction of text, a second byte
/// order mark, directives, and lines that begin or end a document for YAML but are not the closing line for us.
fn foreign(text: &str, whose: Whose) -> Option<Refused> {
    text.split('\n').enumerate().find_map(|(at, line)| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let marker = ["---", "..."].iter().find_map(|m| line.strip_prefix(m));
        let may_begin = at == 0 && whose == Whose::File && line.starts_with("---");
        let why = if !may_begin && marker.is_some_and(|after| after.is_empty() || after.starts_with([' ', '\t'])) {
            "a line that begins or ends a document is not allowed".to_owned()
        } else if line.starts_with('%') {
            "directives are not allowed".to_owned()
        } else {
            let bad = line.chars().find(|c| is_hidden(*c))?;
            format!("the character U+{:04X} is not allowed", u32::from(bad))
        };
        Some(Refused { line: Some(at + 1), why })
    })
}

fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\t') || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Builds the value of a text that `survey` did not refuse; duplicate and merge keys are refused here.
pub(crate) fn value(text: &str) -> Result<Value, Refused> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        reject_unsupported_tags: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_merge_keys: 0,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Refused {
        line: error.location().and_then(|at| usize::try_from(at.line()).ok()),
        why: error.without_snippet().to_string().lines().next().unwrap_or("not YAML").to_owned(),
    })
}

/// Reads a file that is one YAML document: `survey`, then `value`.
pub(crate) fn strict(text: &str) -> Result<Value, Refused> {
    match survey(text, Whose::File).refused {
        Some(refused) => Err(refused),
        None => value(text),
    }
}
