//! How times, states and money read. Colour is never the only carrier: every tone comes with its word.

use askama::Template;
use orch_core::ids::Time;

/// A moment: how long ago, and exactly. As text it is a `<time>` element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(source = "<time datetime=\"{{ exact }}\" title=\"{{ full }}\" data-ago>{{ ago }}</time>", ext = "html")]
pub(super) struct Moment {
    /// For machines: RFC 3339.
    pub(super) exact: String,
    /// For people: date and time in the machine's zone.
    pub(super) full: String,
    /// For people: `12 min ago`.
    pub(super) ago: String,
}

impl Moment {
    pub(super) fn new(at: Time, now: Time) -> Self {
        let full = jiff::Timestamp::from_millisecond(at.0).map_or_else(
            |_| at.0.to_string(),
            |t| t.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        );
        let ms = now.since_ms(at);
        let ago = match ms {
            -999..1_000 => "just now".to_owned(),
            ms if ms < 0 => format!("in {}", span(-ms)),
            ms => format!("{} ago", span(ms)),
        };
        Self { exact: orch_engine::view::rfc3339(at), full, ago }
    }

    /// From the text the views carry.
    pub(super) fn read(text: &str, now: Time) -> Self {
        match text.parse::<jiff::Timestamp>() {
            Ok(at) => Self::new(Time(at.as_millisecond()), now),
            Err(_) => Self { exact: text.to_owned(), full: text.to_owned(), ago: String::new() },
        }
    }
}

/// A length of time in at most two units.
pub(super) fn span(ms: i64) -> String {
    let s = ms / 1_000;
    let two = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {small_unit}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..60 if ms < 10_000 => format!("{s}.{} s", ms % 1_000 / 100),
        1..60 => format!("{s} s"),
        60..3_600 => two(s / 60, "min", if s < 600 { s % 60 } else { 0 }, "s"),
        3_600..86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// Money, as people read it: `$1.24`, `<= $4.00`, `unknown`.
pub(super) fn usd(shown: &str) -> String {
    let (at_most, amount) = shown.strip_prefix("<= ").map_or(("", shown), |rest| ("<= ", rest));
    match amount {
        "0.00" => format!("{at_most}$0"),
        _ if !amount.starts_with(|c: char| c.is_ascii_digit()) => shown.to_owned(),
        _ if amount.starts_with("0.00") => format!("{at_most}under $0.01"),
        _ => format!("{at_most}${amount}"),
    }
}

/// A number of tokens.
pub(super) fn tokens(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", n as f64 / 1_000.0),
        _ => format!("{:.1}M", n as f64 / 1_000_000.0),
    }
}

/// The first digits of a commit or digest.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}

/// The tone of a phase: `act` (a person must do something), `bad`, `busy`, `calm` or `good`.
pub(super) fn phase_tone(phase: &str, outcome: Option<&str>) -> &'static str {
    match (phase, outcome) {
        ("awaiting_approval" | "needs_input", _) => "act",
        ("blocked" | "rolling_back" | "production_failed", _)
        | ("done", Some("degraded" | "rolled_back" | "reverted")) => "bad",
        ("done", Some("inconclusive" | "accepted")) | ("holding", _) => "warn",
        ("done", _) => "good",
        ("idle" | "cancelled" | "waiting" | "waiting_for_lease" | "held_back", _) => "calm",
        _ => "busy",
    }
}

/// A phase as people read it.
pub(super) fn phase_word(phase: &str, outcome: Option<&str>) -> String {
    match (phase, outcome) {
        ("idle", _) => "not started".to_owned(),
        ("awaiting_approval", _) => "needs approval".to_owned(),
        ("needs_input", _) => "needs a person".to_owned(),
        ("holding", _) => "cannot tell yet".to_owned(),
        ("waiting_for_lease", _) => "waits for its turn".to_owned(),
        ("production_failed", _) => "production failed".to_owned(),
        ("held_back", _) => "waits for a repair of production".to_owned(),
        ("done", Some("healthy")) => "done, healthy".to_owned(),
        ("done", Some("not_watched")) => "done".to_owned(),
        ("done", Some(other)) => format!("done, {}", other.replace('_', " ")),
        (other, _) => other.replace('_', " "),
    }
}

/// A verdict's tone and word; what was skipped was not checked, and is called so.
pub(super) fn verdict(word: &str) -> (&'static str, &'static str) {
    match word {
        "pass" => ("good", "pass"),
        "fail" => ("bad", "fail"),
        "unreadable" => ("bad", "unreadable"),
        "inconclusive" => ("warn", "cannot tell"),
        "wait" => ("calm", "waiting"),
        "skipped" => ("none", "not checked"),
        _ => ("none", "not reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_money_read_well() {
        let table = [
            (0, "0 ms"),
            (420, "420 ms"),
            (1_500, "1.5 s"),
            (42_000, "42 s"),
            (95_000, "1 min 35 s"),
            (120_000, "2 min"),
            (754_000, "12 min"),
            (3_600_000, "1 h"),
            (9_000_000, "2 h 30 min"),
            (190_000_000, "2 d 4 h"),
        ];
        for (ms, text) in table {
            assert_eq!(span(ms), text);
        }
        assert_eq!(Moment::new(Time(0), Time(500)).ago, "just now");
        assert_eq!(Moment::new(Time(0), Time(720_000)).ago, "12 min ago");
        assert_eq!(Moment::new(Time(60_000), Time(0)).ago, "in 1 min");
        for (shown, text) in [
            ("0.00", "$0"),
            ("0.004", "under $0.01"),
            ("1.24", "$1.24"),
            ("<= 4.00", "<= $4.00"),
            ("4.00 and 1 unknown", "$4.00 and 1 unknown"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(usd(shown), text);
        }
        assert_eq!((tokens(999).as_str(), tokens(1_234).as_str(), tokens(2_500_000).as_str()), ("999", "1.2k", "2.5M"));
    }

    #[test]
    fn what_was_skipped_is_never_called_a_pass() {
        assert_eq!(verdict("skipped"), ("none", "not checked"));
        assert_eq!(phase_tone("done", Some("rolled_back")), "bad");
        assert_eq!(phase_word("done", Some("rolled_back")), "done, rolled back");
    }
}
