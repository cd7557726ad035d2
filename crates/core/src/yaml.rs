//! The one door through which YAML that somebody else wrote comes in. It decides what is plain enough to be believed:
//! one document, no aliases, anchors, tags, merge keys or duplicate keys, bounded in size, depth and nodes. It may never
//! guess: what two readers could read differently is refused, which prevents a verdict that a person sees as "refused"
//! and a parser sees as "approved". The YAML crate is wrapped here so that it can be replaced in one place.

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

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
    /// Its text after escapes.
    pub(crate) text: String,
    /// Is it the key's whole value, plain or quoted (no list, no map, no block of text)?
    pub(crate) simple: bool,
}

/// What one walk over the events found out, before any value is built.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Every value scalar below a top-level key, in order; complete up to the first refusal.
    pub(crate) scalars: Vec<Scalar>,
    /// The first thing that may not be there.
    pub(crate) refused: Option<Refused>,
}

/// Walks the events once. Never fails: what it could not read is in `refused`, what stood before that is kept, so that a
/// negative verdict in front of a broken line is still seen.
pub(crate) fn survey(text: &str) -> Survey {
    let mut found = Survey::default();
    let (mut depth, mut nodes, mut documents) = (0_usize, 0_usize, 0_usize);
    let mut top: Option<String> = None;
    let mut top_is_map = false;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(pair) => pair,
            Err(error) => {
                found.refused = Some(Refused { line: Some(error.marker().line()), why: format!("not YAML: {error}") });
                return found;
            }
        };
        let refuse = |why: &str| Some(Refused { line: Some(span.start.line()), why: why.to_owned() });
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        nodes += usize::from(matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)));
        found.refused = match &event {
            _ if anchor != 0 => refuse("anchors are not allowed"),
            _ if tagged => refuse("tags are not allowed"),
            _ if nodes > MAX_NODES => refuse("too many values"),
            Event::Alias(_) | Event::UnresolvedAlias(_) => refuse("aliases are not allowed"),
            Event::DocumentStart(..) if documents > 0 => refuse("a second document is not allowed"),
            Event::SequenceStart(..) | Event::MappingStart(..) if depth >= MAX_DEPTH => refuse("nested too deeply"),
            _ => None,
        };
        if found.refused.is_some() {
            return found;
        }
        match event {
            Event::DocumentStart(..) => documents += 1,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if depth == 0 {
                    top_is_map = matches!(event, Event::MappingStart(..));
                } else if depth == 1 && top_is_map && top.is_none() {
                    found.refused = refuse("a key must be plain text");
                    return found;
                }
                depth += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth = depth.saturating_sub(1);
                if depth == 1 {
                    top = None;
                }
            }
            Event::Scalar(value, style, ..) if top_is_map => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                match (&top, depth) {
                    (None, 1) => top = Some(value.into_owned()),
                    (Some(key), _) => {
                        let simple = depth == 1 && !block;
                        found.scalars.push(Scalar { key: key.clone(), text: value.into_owned(), simple });
                        if depth == 1 {
                            top = None;
                        }
                    }
                    (None, _) => {}
                }
            }
            _ => {}
        }
    }
    found
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

/// `survey`, then `value`.
pub(crate) fn strict(text: &str) -> Result<Value, Refused> {
    match survey(text).refused {
        Some(refused) => Err(refused),
        None => value(text),
    }
}
