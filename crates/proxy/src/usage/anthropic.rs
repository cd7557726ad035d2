//! Usage in Anthropic's Messages ("Streaming messages", platform.claude.com/docs/en/build-with-claude/streaming):
//! `message_start` has the input, `message_delta` the output so far, cumulative, and may say the input again;
//! `message_stop` is the end. Events and fields that are not known are passed over.

use super::seen::{Seen, Tokens, number};
use serde_json::Value;

/// One event of a stream.
pub(crate) fn event(value: &Value, seen: &mut Seen) {
    match value.get("type").and_then(Value::as_str) {
        Some("message_start") => {
            let message = value.get("message").unwrap_or(&Value::Null);
            take_model(message, seen);
            if let Some(usage) = message.get("usage") {
                take(usage, seen);
            }
        }
        Some("message_delta") => {
            if let Some(usage) = value.get("usage") {
                take(usage, seen);
                seen.output_known |= number(usage, "output_tokens").is_some();
            }
        }
        // An error in place of a message: nothing was answered.
        Some("error") if !seen.input_known => (seen.whole, seen.tokens) = (true, Tokens::default()),
        Some("message_stop") => seen.whole = seen.input_known && seen.output_known,
        _ => {}
    }
}

/// An answer that came whole.
pub(crate) fn whole(value: &Value, seen: &mut Seen) {
    take_model(value, seen);
    if let Some(usage) = value.get("usage") {
        take(usage, seen);
        seen.output_known = number(usage, "output_tokens").is_some();
        seen.whole = seen.input_known && seen.output_known;
    }
}

fn take_model(value: &Value, seen: &mut Seen) {
    if let Some(model) = value.get("model").and_then(Value::as_str) {
        seen.model = Some(model.to_owned());
    }
}

/// What is said is a sum so far, so that the larger word counts: some gateways say 0 of what was said before.
fn take(usage: &Value, seen: &mut Seen) {
    let tokens: &mut Tokens = &mut seen.tokens;
    if let Some(input) = number(usage, "input_tokens") {
        tokens.input = tokens.input.max(input);
        seen.input_known = true;
    }
    if let Some(read) = number(usage, "cache_read_input_tokens") {
        tokens.cache_read = tokens.cache_read.max(read);
    }
    let written = number(usage, "cache_creation_input_tokens");
    if let Some(parts) = usage.get("cache_creation").filter(|parts| parts.is_object()) {
        let hour = number(parts, "ephemeral_1h_input_tokens").unwrap_or(0);
        tokens.cache_write_1h = tokens.cache_write_1h.max(hour);
        let rest = written.unwrap_or(0).saturating_sub(tokens.cache_write_1h);
        let short = number(parts, "ephemeral_5m_input_tokens").unwrap_or(0).max(rest);
        tokens.cache_write = tokens.cache_write.max(short);
    } else if let Some(written) = written {
        tokens.cache_write = tokens.cache_write.max(written.saturating_sub(tokens.cache_write_1h));
    }
    if let Some(output) = number(usage, "output_tokens") {
        tokens.output = tokens.output.max(output);
    }
    if let Some(searches) = usage.get("server_tool_use").and_then(|tools| number(tools, "web_search_requests")) {
        tokens.searches = tokens.searches.max(searches);
    }
}
