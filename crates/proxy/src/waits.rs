//! What a service says in its headers of when it wants a program back, and of what is left of the account.
//!
//! Sources: RFC 9110 (`Retry-After`), Anthropic "Rate limits" (`anthropic-ratelimit-*`, times of RFC 3339; those of
//! subscriptions, `anthropic-ratelimit-unified-*`, seconds since 1970, as Claude Code 2.1.332 reads them), OpenAI "Rate limits"
//! (`x-ratelimit-*`, durations such as `6m0s`).

use orch_core::ids::Time;
use std::collections::BTreeMap;

/// A service never wants to be left alone for longer, milliseconds: a month.
const LONGEST_MS: i64 = 31 * 86_400_000;

/// When a response that was refused says that it would be taken. `header` gives a header by its name in small letters.
pub fn until(status: u16, now: Time, header: impl Fn(&str) -> Option<String>) -> Option<Time> {
    if !matches!(status, 402 | 429 | 503 | 529) {
        return None;
    }
    let after = |ms: f64| (0.0 <= ms && ms <= LONGEST_MS as f64).then(|| now.plus_ms(ms as i64));
    let number = |name: &str| header(name).and_then(|text| text.trim().parse::<f64>().ok());
    let said = number("retry-after-ms").and_then(after);
    let said = said.or_else(|| number("retry-after").and_then(|s| after(s * 1_000.0)));
    let said = said.or_else(|| header("retry-after").and_then(|text| http_date(&text)));
    let unified = || number("anthropic-ratelimit-unified-reset").map(|s| Time((s * 1_000.0) as i64));
    let used_up = || {
        let of = |kind: &str| {
            let name = |end: &str| format!("anthropic-ratelimit-{kind}-{end}");
            let empty = number(&name("remaining")).is_some_and(|left| left <= 0.0);
            empty.then(|| header(&name("reset"))).flatten().and_then(|text| timestamp(&text))
        };
        ["requests", "tokens", "input-tokens", "output-tokens"].into_iter().filter_map(of).max()
    };
    let openai = || {
        let of = |kind: &str| {
            let empty = number(&format!("x-ratelimit-remaining-{kind}")).is_some_and(|left| left <= 0.0);
            let reset = header(&format!("x-ratelimit-reset-{kind}")).filter(|_| empty)?;
            duration_ms(&reset).map(|ms| now.plus_ms(ms))
        };
        ["requests", "tokens"].into_iter().filter_map(of).max()
    };
    let at = said.or_else(unified).or_else(used_up).or_else(openai)?;
    (now < at && at.since_ms(now) <= LONGEST_MS).then_some(at)
}

/// The headers that speak of limits, for people.
pub fn quota<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let is_quota = |name: &str| {
        name.starts_with("anthropic-ratelimit-") || name.starts_with("x-ratelimit-") || name.starts_with("retry-after")
    };
    let shown = headers.filter(|(name, value)| is_quota(name) && value.len() <= 100);
    shown.take(40).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn http_date(text: &str) -> Option<Time> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Time(at.as_millisecond()))
}

fn timestamp(text: &str) -> Option<Time> {
    Some(Time(text.trim().parse::<jiff::Timestamp>().ok()?.as_millisecond()))
}

/// `6m0s`, `1.5s`, `20ms`.
fn duration_ms(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        sum += number
            * match &unit[..end] {
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
        rest = &unit[end..];
    }
    (sum <= LONGEST_MS as f64).then_some(sum as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_000_000_000);

    fn said(status: u16, headers: &[(&str, &str)]) -> Option<i64> {
        let find = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        until(status, NOW, find).map(|at| at.since_ms(NOW))
    }

    #[test]
    fn a_time_is_read_in_every_form_a_service_says_it() {
        assert_eq!(said(429, &[("retry-after", "3600")]), Some(3_600_000));
        assert_eq!(said(529, &[("retry-after-ms", "250"), ("retry-after", "1")]), Some(250));
        assert_eq!(said(503, &[("retry-after", "Wed, 18 Nov 2026 11:27:40 GMT")]), Some(1_260_000));
        assert_eq!(said(429, &[("anthropic-ratelimit-unified-reset", "1795000060")]), Some(60_000));
        let tokens = [
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-18T11:07:40Z"),
            ("anthropic-ratelimit-requests-remaining", "9"),
            ("anthropic-ratelimit-requests-reset", "2026-11-18T23:00:00Z"),
        ];
        assert_eq!(said(429, &tokens), Some(60_000), "only what is used up counts");
        let openai = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m1.5s")];
        assert_eq!(said(429, &openai), Some(361_500));
    }

    #[test]
    fn what_says_no_time_says_none() {
        for (status, headers) in [
            (200, vec![("retry-after", "5")]),
            (429, vec![]),
            (429, vec![("retry-after", "soon")]),
            (429, vec![("retry-after", "-5")]),
            (429, vec![("retry-after", "99999999999")]),
            (429, vec![("anthropic-ratelimit-unified-reset", "7")]),
            (429, vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6 parsecs")]),
        ] {
            assert_eq!(said(status, &headers), None, "{status} {headers:?}");
        }
        let all = [("retry-after", "5"), ("x-api-key", "secret"), ("anthropic-ratelimit-tokens-remaining", "0")];
        assert_eq!(
            quota(all.into_iter()).into_keys().collect::<Vec<_>>(),
            ["anthropic-ratelimit-tokens-remaining", "retry-after"]
        );
    }
}
