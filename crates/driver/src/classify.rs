//! The class of a run's end, from what the program printed and how it exited. Structured fields first, in the order of how
//! much they say; words only for timeouts and for "regain access on DATE", and before 2.1.300, which has no such fields, for
//! connections that failed. Success has to be said: whatever is missing is a crash.

use crate::stream::{ApiError, Init, ResultSeen, Said};
use orch_core::ids::Time;
use orch_ports::agent::{AgentEnd, EndClass};

/// The first version that says in fields how a request failed.
const FIELDS_SINCE: [u64; 3] = [2, 1, 300];

/// What a program printed, as far as its end depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The newest `system/init`.
    pub init: Option<Init>,
    /// The newest result.
    pub result: Option<ResultSeen>,
    /// How many results there were.
    pub results: u64,
    /// The newest failed request, if nothing went well since.
    pub error: Option<ApiError>,
    /// When the account's limit ends, of a rejection.
    pub resets_at: Option<i64>,
    /// The model refused.
    pub refused: bool,
}

/// How a program exited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramExit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// The end of its standard error.
    pub stderr: String,
}

impl Seen {
    /// Takes a line in.
    pub fn take(&mut self, said: &Said) {
        match said {
            Said::Init(init) => {
                self.init = Some(init.clone());
                // A new message: how the one before ended says nothing about it.
                self.result = None;
                self.error = None;
            }
            Said::Assistant(a) if a.inner => {}
            Said::Assistant(a) => self.error.clone_from(&a.error),
            Said::Result(result) => {
                self.result = Some((**result).clone());
                self.results += 1;
            }
            Said::RateLimit { status, resets_at } if status == "rejected" => self.resets_at = *resets_at,
            Said::Refusal => self.refused = true,
            _ => {}
        }
    }

    /// The version the program named.
    pub fn version(&self) -> Option<&str> {
        self.init.as_ref().map(|i| i.version.as_str()).filter(|v| !v.is_empty())
    }

    /// Does this version say in fields how a request failed? One that is not known is read by its words, too.
    fn has_fields(&self) -> bool {
        self.version().and_then(version).is_some_and(|v| FIELDS_SINCE <= v)
    }
}

/// The three numbers of a version: `2.1.332`, `2.1.332 (Claude Code)`.
pub fn version(text: &str) -> Option<[u64; 3]> {
    let word = text.split_whitespace().next()?;
    let mut numbers = word.split(['.', '-']).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// Is this version too old to say in fields how a request failed?
pub fn is_old(version_text: &str) -> bool {
    version(version_text).is_none_or(|v| v < FIELDS_SINCE)
}

/// The class of the end.
pub fn end(seen: &Seen, exit: &ProgramExit) -> AgentEnd {
    let Some(result) = &seen.result else { return without_result(seen, exit) };
    let words = || {
        let said = if result.text.is_empty() { result.errors.join("; ") } else { result.text.clone() };
        if said.is_empty() { format!("{} {}", result.subtype, result.terminal_reason).trim().to_owned() } else { said }
    };
    let of = |class| AgentEnd::new(class, words());
    match result.subtype.as_str() {
        "error_max_turns" => return of(EndClass::TurnLimit),
        "error_max_budget_usd" => return of(EndClass::BudgetLimit),
        _ if result.errors.iter().any(|e| e.starts_with("No conversation found")) => return of(EndClass::SessionLost),
        _ => {}
    }
    if !result.is_error {
        return match (exit.code, exit.signal) {
            (Some(0), None) if result.subtype == "success" => AgentEnd::finished(),
            // It had said that all is well.
            _ => AgentEnd::new(EndClass::Unknown, format!("it reported success and then ended with {}", exit.shown())),
        };
    }
    let api = merged(&result.api, seen.error.as_ref());
    if seen.refused || result.stop_reason == "refusal" {
        return of(EndClass::Refusal);
    }
    let too_big = result.terminal_reason == "prompt_too_long"
        || api.status == Some(413)
        || api.api_error == "max_output_tokens"
        || api.error == "max_output_tokens"
        || api.kind == "request_too_large";
    if too_big {
        return of(EndClass::TooBig);
    }
    match service(seen, &api) {
        Some((class, not_before)) => AgentEnd { not_before, ..of(class) },
        None => of(EndClass::Unknown),
    }
}

/// What a failed request says of the service, and when it may be asked again.
fn service(seen: &Seen, api: &ApiError) -> Option<(EndClass, Option<Time>)> {
    let at = |seconds: Option<i64>| seconds.map(|s| Time(s.saturating_mul(1_000)));
    let is = |error: &str, kinds: &[&str]| api.error == error || kinds.contains(&api.kind.as_str());
    if api.api_error == "usage_limit_reached" {
        return Some((EndClass::UsageLimit, at(api.resets_at.or(seen.resets_at))));
    }
    if let Some(date) = regain_access(&api.text) {
        return Some((EndClass::Billing, Some(date)));
    }
    if api.status == Some(402) || is("billing_error", &["billing_error"]) {
        return Some((EndClass::Billing, None));
    }
    if matches!(api.status, Some(401 | 403))
        || is("authentication_failed", &["authentication_error", "permission_error"])
    {
        return Some((EndClass::Auth, None));
    }
    if api.status == Some(429) || is("rate_limit", &["rate_limit_error"]) {
        return Some(match seen.resets_at.or(api.resets_at) {
            Some(resets_at) => (EndClass::UsageLimit, at(Some(resets_at))),
            None => (EndClass::RateLimit, None),
        });
    }
    if api.api_error == "connection_failed" || api.text.contains("Request timed out") {
        return Some((EndClass::Network, None));
    }
    if !seen.has_fields() && api.status.is_none() && api.text.contains("Unable to connect to API") {
        return Some((EndClass::Network, None));
    }
    if api.status == Some(404) || is("model_not_found", &["not_found_error"]) {
        return Some((EndClass::Configuration, None));
    }
    if api.status.is_some_and(|s| 500 <= s) || is("server_error", &["overloaded_error", "api_error"]) {
        return Some((EndClass::Overloaded, None));
    }
    if api.status.is_some_and(|s| (400..500).contains(&s)) || is("invalid_request", &["invalid_request_error"]) {
        return Some((EndClass::BadRequest, None));
    }
    None
}

/// A result repeats most of what the failed request said; what it leaves out is there.
fn merged(result: &ApiError, error: Option<&ApiError>) -> ApiError {
    let Some(error) = error else { return result.clone() };
    let or = |a: &String, b: &String| if a.is_empty() { b.clone() } else { a.clone() };
    ApiError {
        error: or(&result.error, &error.error),
        api_error: or(&result.api_error, &error.api_error),
        kind: or(&result.kind, &error.kind),
        status: result.status.or(error.status),
        resets_at: result.resets_at.or(error.resets_at),
        text: or(&result.text, &error.text),
    }
}

/// "You will regain access on 2026-12-01 at 00:00 UTC": an API account's own limit is said in words only.
fn regain_access(text: &str) -> Option<Time> {
    let rest = &text[text.find("regain access on ")? + "regain access on ".len()..];
    let date: jiff::civil::Date = rest.get(..10)?.parse().ok()?;
    let time = rest.get(10..).and_then(|r| r.strip_prefix(" at ")).and_then(|r| r.get(..5));
    let time = time.and_then(|t| jiff::civil::Time::strptime("%H:%M", t).ok()).unwrap_or_default();
    let stamp = jiff::tz::TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    Some(Time(stamp.as_millisecond()))
}

/// The program ended without saying how its turn went.
fn without_result(seen: &Seen, exit: &ProgramExit) -> AgentEnd {
    let said = exit.stderr.trim();
    let class = if said.contains("No conversation found") {
        EndClass::SessionLost
    } else if seen.init.is_none() && exit.signal.is_none() && exit.code.is_some_and(|c| c != 0 && c < 126) {
        // It gave up before it began: a flag, a file, a user it does not take.
        EndClass::Configuration
    } else if seen.init.is_none() && matches!(exit.code, Some(126 | 127)) {
        EndClass::Configuration
    } else {
        EndClass::Crash
    };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    AgentEnd::new(class, format!("it ended with {} before its turn was over{said}", exit.shown()))
}

impl ProgramExit {
    /// For people.
    pub fn shown(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an end that is not known".into(),
        }
    }
}
