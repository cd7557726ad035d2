//! One line of Claude Code's `--output-format stream-json`, as far as anything depends on it. Tolerant: fields and events
//! that are not known are passed over by name, nothing is fatal. Measured with 2.1.197 and 2.1.332; what differs between them
//! is said at the field.

use serde_json::{Map, Value};

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A message begins: `system/init`, once per user message.
    Init(Init),
    /// The model's words and wishes.
    Assistant(Assistant),
    /// What tools answered: `user` with `tool_result` blocks.
    Answers(Vec<ToolAnswer>),
    /// A message is over.
    Result(Box<ResultSeen>),
    /// A request is tried again: `system/api_retry`.
    Retry {
        /// How many-eth try this was.
        attempt: u64,
        /// How many there are.
        max: u64,
        /// Pause before the next, milliseconds.
        delay_ms: u64,
        /// HTTP status; none: no answer.
        status: Option<u64>,
    },
    /// The state of the account's limits: `rate_limit_event`, with a subscription only, and not for a rejection since 2.1.300.
    RateLimit {
        /// `rejected`, `allowed_warning`, `allowed`.
        status: String,
        /// Unix seconds.
        resets_at: Option<i64>,
    },
    /// The program itself refused a tool: `system/permission_denied`, since 2.1.300.
    Denied {
        /// Tool.
        tool: String,
        /// Which use.
        id: String,
        /// Why.
        message: String,
    },
    /// The model will not work on this: `system/model_refusal_no_fallback`.
    Refusal,
    /// It asks for a permission: `control_request` with `can_use_tool`.
    Permission(Permission),
    /// It asks for something else.
    Request {
        /// To be named in the answer.
        id: String,
        /// What for.
        kind: String,
    },
    /// It answers a request of ours.
    Response {
        /// Ours.
        id: String,
        /// Its error, if it is one.
        error: Option<String>,
    },
    /// An event that nothing depends on; its type and subtype.
    Other(String),
    /// Not JSON: a word of the program to whoever watches.
    Text(String),
}

/// `system/init`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Init {
    /// Session.
    pub session: String,
    /// Model.
    pub model: String,
    /// Version of the program.
    pub version: String,
}

/// `assistant`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assistant {
    /// Of the message: each of its blocks has a line of its own.
    pub id: String,
    /// Texts, without thoughts.
    pub texts: Vec<String>,
    /// Tools it wants.
    pub tools: Vec<ToolUse>,
    /// Input tokens, cached ones included. (Those of output are of the beginning of the message: never to be added up.)
    pub input_tokens: u64,
    /// It was said by a subordinate agent.
    pub inner: bool,
    /// The program says it, not the model: a failed request.
    pub error: Option<ApiError>,
}

/// A wish for a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolUse {
    /// Its name in the answers.
    pub id: String,
    /// Tool.
    pub name: String,
    /// What with.
    pub input: Value,
}

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolAnswer {
    /// To which use.
    pub id: String,
    /// It failed.
    pub failed: bool,
    /// Text.
    pub text: String,
}

/// `can_use_tool`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permission {
    /// To be named in the answer.
    pub request: String,
    /// Tool.
    pub tool: String,
    /// What with; goes back unchanged with a yes.
    pub input: Value,
    /// Why it asks.
    pub reason: String,
}

/// How a request to the service failed. `api_error` and `api_error_type` are there since 2.1.300.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiError {
    /// `error` of an assistant's line: `rate_limit`, `authentication_failed`, `billing_error`, ...
    pub error: String,
    /// `api_error`: `usage_limit_reached`, `connection_failed`, `max_output_tokens`.
    pub api_error: String,
    /// `api_error_type`, the service's own word: `overloaded_error`, ...
    pub kind: String,
    /// HTTP status.
    pub status: Option<u64>,
    /// `rate_limit_info.resetsAt`, unix seconds.
    pub resets_at: Option<i64>,
    /// For people.
    pub text: String,
}

/// `result`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultSeen {
    /// `success` also for failed requests; `error_max_turns`, `error_max_budget_usd`, `error_during_execution`.
    pub subtype: String,
    /// Whether it is one.
    pub is_error: bool,
    /// How the last request failed.
    pub api: ApiError,
    /// `completed`, `api_error` (since 2.1.300), `max_turns`, `prompt_too_long`, ...
    pub terminal_reason: String,
    /// `end_turn`, `refusal`, ...
    pub stop_reason: String,
    /// The last words.
    pub text: String,
    /// Errors.
    pub errors: Vec<String>,
    /// Session.
    pub session: String,
    /// Turns of this message.
    pub turns: u64,
    /// US dollars of the whole process so far: the program's estimate.
    pub cost_usd: Option<f64>,
    /// Input tokens of the whole process so far, cached ones included, of all models.
    pub input_tokens: u64,
    /// Output tokens, as above.
    pub output_tokens: u64,
    /// The first model in it.
    pub model: Option<String>,
    /// Tools that were refused.
    pub denials: Vec<ToolUse>,
}

/// Longest text of one field that is kept, characters.
const LONGEST_TEXT: usize = 20_000;
/// Most tokens that are believed: such numbers can be added up.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Reads a line.
pub fn parse(line: &[u8]) -> Said {
    match serde_json::from_slice(line) {
        Ok(Value::Object(map)) => object(&map),
        Ok(Value::Array(_)) => Said::Other("array".into()),
        _ => Said::Text(cut(&String::from_utf8_lossy(line))),
    }
}

fn object(map: &Map<String, Value>) -> Said {
    match text(map, "type").as_str() {
        "system" => system(map),
        "assistant" => Said::Assistant(assistant(map)),
        "user" => {
            let answers: Vec<ToolAnswer> = blocks(map).filter_map(answer).collect();
            if answers.is_empty() { Said::Other("user".into()) } else { Said::Answers(answers) }
        }
        "result" => Said::Result(Box::new(result(map))),
        "rate_limit_event" => {
            let info = map.get("rate_limit_info").and_then(Value::as_object).cloned().unwrap_or_default();
            Said::RateLimit { status: text(&info, "status"), resets_at: seconds(&info, "resetsAt") }
        }
        "control_request" => request(map),
        "control_response" => {
            let response = map.get("response").and_then(Value::as_object).cloned().unwrap_or_default();
            let failed = text(&response, "subtype") == "error";
            let error = failed.then(|| text(&response, "error"));
            Said::Response { id: text(&response, "request_id"), error }
        }
        "" => Said::Other("without a type".into()),
        kind => Said::Other(cut(kind)),
    }
}

fn system(map: &Map<String, Value>) -> Said {
    match text(map, "subtype").as_str() {
        "init" => Said::Init(Init {
            session: text(map, "session_id"),
            model: text(map, "model"),
            version: text(map, "claude_code_version"),
        }),
        "api_retry" => Said::Retry {
            attempt: number(map, "attempt"),
            max: number(map, "max_retries"),
            delay_ms: number(map, "retry_delay_ms"),
            status: map.get("error_status").and_then(Value::as_u64),
        },
        "permission_denied" => {
            Said::Denied { tool: text(map, "tool_name"), id: text(map, "tool_use_id"), message: text(map, "message") }
        }
        "model_refusal_no_fallback" => Said::Refusal,
        subtype => Said::Other(format!("system/{}", cut(subtype))),
    }
}

fn assistant(map: &Map<String, Value>) -> Assistant {
    let message = map.get("message").and_then(Value::as_object).cloned().unwrap_or_default();
    let usage = message.get("usage").and_then(Value::as_object).cloned().unwrap_or_default();
    let texts: Vec<String> = blocks(map).map(|b| text(b, "text")).filter(|t| !t.is_empty()).collect();
    let tools = blocks(map).filter(|b| text(b, "type") == "tool_use").map(tool_use).collect();
    let mut error = ApiError { text: texts.join("\n"), ..api(map) };
    error.error = text(map, "error");
    let is_error = !error.error.is_empty() || text(&message, "model") == "<synthetic>" && error.is_known();
    Assistant {
        id: text(&message, "id"),
        texts,
        tools,
        input_tokens: ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
            .iter()
            .map(|key| number(&usage, key))
            .sum(),
        inner: map.get("parent_tool_use_id").is_some_and(Value::is_string),
        error: is_error.then_some(error),
    }
}

impl ApiError {
    fn is_known(&self) -> bool {
        !self.api_error.is_empty() || !self.kind.is_empty() || self.status.is_some()
    }
}

fn api(map: &Map<String, Value>) -> ApiError {
    let info = map.get("api_error_params").and_then(|p| p.get("rate_limit_info")).and_then(Value::as_object);
    ApiError {
        error: String::new(),
        api_error: text(map, "api_error"),
        kind: text(map, "api_error_type"),
        status: map.get("api_error_status").and_then(Value::as_u64),
        resets_at: info.and_then(|info| seconds(info, "resetsAt")),
        text: String::new(),
    }
}

fn result(map: &Map<String, Value>) -> ResultSeen {
    let models = map.get("modelUsage").and_then(Value::as_object).cloned().unwrap_or_default();
    let sum = |keys: &[&str]| -> u64 {
        let of = |model: &Value| -> u64 {
            let Value::Object(model) = model else { return 0 };
            keys.iter().map(|key| number(model, key)).sum()
        };
        models.values().map(of).fold(0, u64::saturating_add).min(MOST_TOKENS)
    };
    let said = text(map, "result");
    let list = |key: &str| map.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let denial = |value: Value| {
        let map = value.as_object()?;
        Some(ToolUse {
            id: text(map, "tool_use_id"),
            name: text(map, "tool_name"),
            input: map.get("tool_input").cloned().unwrap_or_default(),
        })
    };
    ResultSeen {
        subtype: text(map, "subtype"),
        // What does not say that it is none is one.
        is_error: map.get("is_error").and_then(Value::as_bool).unwrap_or(true),
        api: ApiError { text: said.clone(), ..api(map) },
        terminal_reason: text(map, "terminal_reason"),
        stop_reason: text(map, "stop_reason"),
        text: said,
        errors: list("errors").iter().filter_map(Value::as_str).map(cut).collect(),
        session: text(map, "session_id"),
        turns: number(map, "num_turns"),
        cost_usd: map.get("total_cost_usd").and_then(Value::as_f64).filter(|usd| usd.is_finite() && 0.0 <= *usd),
        input_tokens: sum(&["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"]),
        output_tokens: sum(&["outputTokens"]),
        model: models.keys().next().cloned(),
        denials: list("permission_denials").into_iter().filter_map(denial).collect(),
    }
}

fn request(map: &Map<String, Value>) -> Said {
    let id = text(map, "request_id");
    let request = map.get("request").and_then(Value::as_object).cloned().unwrap_or_default();
    match text(&request, "subtype").as_str() {
        "can_use_tool" => Said::Permission(Permission {
            request: id,
            tool: text(&request, "tool_name"),
            reason: text(&request, "decision_reason"),
            input: request.get("input").cloned().unwrap_or_default(),
        }),
        kind => Said::Request { id, kind: cut(kind) },
    }
}

/// Blocks of a message; one whose content is a plain text has none.
fn blocks(map: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let content = map.get("message").and_then(|m| m.get("content")).and_then(Value::as_array);
    content.into_iter().flatten().filter_map(Value::as_object)
}

fn tool_use(block: &Map<String, Value>) -> ToolUse {
    let input = block.get("input").cloned().unwrap_or_default();
    ToolUse { id: text(block, "id"), name: text(block, "name"), input }
}

fn answer(block: &Map<String, Value>) -> Option<ToolAnswer> {
    if text(block, "type") != "tool_result" {
        return None;
    }
    let said = match block.get("content") {
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|p| p.get("text")).filter_map(Value::as_str);
            cut(&texts.collect::<Vec<_>>().join("\n"))
        }
        _ => text(block, "content"),
    };
    let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
    Some(ToolAnswer { id: text(block, "tool_use_id"), failed, text: said })
}

fn text(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(Value::as_str).map(cut).unwrap_or_default()
}

fn number(map: &Map<String, Value>, key: &str) -> u64 {
    let value = map.get(key);
    let whole = value.and_then(Value::as_u64);
    whole.or_else(|| value.and_then(Value::as_f64).map(|n| n as u64)).unwrap_or(0).min(MOST_TOKENS)
}

/// Unix seconds that a calendar has.
fn seconds(map: &Map<String, Value>, key: &str) -> Option<i64> {
    map.get(key).and_then(Value::as_i64).filter(|s| (0..=253_402_300_799).contains(s))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
