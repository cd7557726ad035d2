//! Bodies of deliveries, read leniently: what is missing or is not what was expected is nothing, never an error.

use serde_json::Value;

/// Longest name that is taken from a body, bytes; a longer one names nothing.
const LONGEST: usize = 512;

/// A body as JSON; `null` where it is none.
pub(crate) fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// The text or number at the end of a path of fields.
pub(crate) fn at(value: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(value, |value, field| value.get(*field))?;
    let text = match found {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let names = !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    names.then_some(text)
}

/// A header as a name.
pub(crate) fn header(headers: orch_ports::inbound::Headers<'_>, name: &str) -> Option<String> {
    headers(name).filter(|value| !value.is_empty() && value.len() <= LONGEST).map(str::to_owned)
}
