//! Usage in OpenAI's Responses and chat completions (developers.openai.com/api/reference). A stream of Responses has it in
//! `response.completed`, `response.incomplete` or `response.failed`; one of chat completions in its last piece, if
//! `stream_options.include_usage` was asked for, which the proxy does. Cached input is part of the input. Not tried against the
//! service.

use super::seen::{Seen, number};
use serde_json::Value;

/// One event of a stream.
pub(crate) fn event(value: &Value, seen: &mut Seen) {
    match value.get("type").and_then(Value::as_str) {
        Some("response.completed" | "response.incomplete" | "response.failed") => {
            whole(value.get("response").unwrap_or(&Value::Null), seen);
        }
        Some(_) => {}
        None => whole(value, seen),
    }
}

/// An answer that came whole, or the piece with the sum of a stream.
pub(crate) fn whole(value: &Value, seen: &mut Seen) {
    if let Some(model) = value.get("model").and_then(Value::as_str) {
        seen.model = Some(model.to_owned());
    }
    let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) else { return };
    // Responses call them input and output, chat completions prompt and completion.
    let of = |names: [&str; 2]| names.iter().find_map(|name| number(usage, name));
    let details =
        |names: [&str; 2], key: &str| names.iter().find_map(|name| number(usage.get(name)?, key)).unwrap_or(0);
    let kinds = ["input_tokens_details", "prompt_tokens_details"];
    let Some(input) = of(["input_tokens", "prompt_tokens"]) else { return };
    let cached = details(kinds, "cached_tokens").min(input);
    let written = details(kinds, "cache_write_tokens").min(input - cached);
    seen.tokens.cache_read = cached;
    seen.tokens.cache_write = written;
    seen.tokens.input = input - cached - written;
    seen.input_known = true;
    if let Some(output) = of(["output_tokens", "completion_tokens"]) {
        seen.tokens.output = output;
        seen.output_known = true;
        seen.whole = true;
    }
}
