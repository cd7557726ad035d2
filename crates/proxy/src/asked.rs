//! What of a request decides about its price. The rest of the body is passed over and never kept.

use crate::prices::{Price, Terms, price};
use crate::routes::Api;
use serde::Deserialize;
use serde_json::{Value, json};

/// Output of a request that names no limit, tokens: the most that a model of the list gives.
const MOST_OUTPUT: u64 = 128_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    model: Option<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    n: Option<u64>,
    speed: Option<String>,
    service_tier: Option<String>,
    inference_geo: Option<String>,
    tools: Vec<Tool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Tools that the service runs itself, and whose results it reads as input that is not among the bytes of the request.
const OF_THE_SERVICE: &[&str] = &["web_search", "web_fetch", "code_execution", "mcp_toolset", "file_search"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Model.
    pub model: String,
    /// Most tokens of output.
    pub max_tokens: u64,
    /// Most tokens of input: a token is a byte or more.
    pub input: u64,
    /// What changes the price.
    pub terms: Terms,
    /// The price.
    pub price: Price,
    /// Is the price that of the model, and not the dearest?
    pub known: bool,
    /// May it use tools that the service runs? Then nobody knows the most it can cost, and it goes alone.
    pub open_ended: bool,
}

impl Asked {
    /// Reads a request. `model` stands in the path of some services; `regional`: the endpoint costs more.
    ///
    /// # Errors
    /// The body is no JSON object, or names no model: what it would cost is not known.
    pub fn read(body: &[u8], model: Option<String>, regional: bool) -> Result<Self, String> {
        let read: Body = serde_json::from_slice(body).map_err(|e| format!("the body cannot be read: {e}"))?;
        let model = model.or(read.model).filter(|m| !m.is_empty()).ok_or("the body names no model")?;
        let output = [read.max_tokens, read.max_completion_tokens, read.max_output_tokens].into_iter().flatten().max();
        let is = |text: &Option<String>, words: &[&str]| text.as_deref().is_some_and(|t| words.contains(&t));
        let terms = Terms {
            fast: is(&read.speed, &["fast"]) || is(&read.service_tier, &["priority", "fast"]),
            regional: regional || read.inference_geo.as_deref().is_some_and(|geo| geo != "global"),
        };
        let (price, known) = price(&model, terms);
        let of_the_service = |tool: &Tool| {
            let kind = tool.kind.as_deref().unwrap_or_default();
            OF_THE_SERVICE.iter().any(|begins| kind.starts_with(begins))
        };
        let open_ended = read.tools.iter().any(of_the_service);
        Ok(Self {
            max_tokens: output.unwrap_or(MOST_OUTPUT).saturating_mul(read.n.unwrap_or(1).max(1)),
            input: body.len() as u64,
            model,
            terms,
            price,
            known,
            open_ended,
        })
    }
}

/// The body with the wish for a sum at the end of a stream of chat completions: without it such a stream says nothing of its
/// usage. Other bodies stay as they are.
pub fn with_usage(api: Api, body: Vec<u8>) -> Vec<u8> {
    if api != Api::Chat {
        return body;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return body };
    if value.get("stream") != Some(&Value::Bool(true)) {
        return body;
    }
    if !value["stream_options"].is_object() {
        value["stream_options"] = json!({});
    }
    value["stream_options"]["include_usage"] = Value::Bool(true);
    serde_json::to_vec(&value).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_asked_for_is_read_from_the_request() {
        let read = |text: &str| Asked::read(text.as_bytes(), None, false).unwrap();
        let one = read(r#"{"model":"claude-sonnet-5","max_tokens":32000,"messages":[{"role":"user","content":"x"}]}"#);
        assert_eq!((one.model.as_str(), one.max_tokens, one.input, one.known), ("claude-sonnet-5", 32_000, 89, true));
        assert_eq!(read(r#"{"model":"m"}"#).max_tokens, 128_000, "no limit is not no output");
        assert_eq!(read(r#"{"model":"m","max_completion_tokens":10,"n":4}"#).max_tokens, 40);
        assert!(read(r#"{"model":"claude-opus-5","speed":"fast"}"#).terms.fast);
        assert!(read(r#"{"model":"claude-opus-5","inference_geo":"us"}"#).terms.regional);
        assert!(read(r#"{"model":"m","tools":[{"name":"x"},{"type":"web_search_20260101"}]}"#).open_ended);
        assert!(
            !read(r#"{"model":"m","tools":[{"name":"web_search","input_schema":{}},{"type":"custom"}]}"#).open_ended
        );
        for broken in ["", "[]", "{}", r#"{"model":7}"#, r#"{"model":""}"#] {
            assert!(Asked::read(broken.as_bytes(), None, false).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_stream_of_chat_completions_is_asked_for_its_sum() {
        let asked = with_usage(Api::Chat, br#"{"model":"m","stream":true,"stream_options":{"x":1}}"#.to_vec());
        let asked: serde_json::Value = serde_json::from_slice(&asked).unwrap();
        assert_eq!(asked["stream_options"], serde_json::json!({"x": 1, "include_usage": true}));
        for same in [&br#"{"model":"m"}"#[..], b"[true]", b"no json"] {
            assert_eq!(with_usage(Api::Chat, same.to_vec()), same);
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Asked::read(&bytes, None, false);
            prop_assert_eq!(with_usage(Api::Messages, bytes.clone()), bytes);
        }
    }
}
