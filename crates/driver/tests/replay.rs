//! Every transcript ends in the class that was measured, cut anywhere it claims no success, and nothing makes it panic.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;

use common::{Transcript, all, heard};
use orch_driver::classify::{ProgramExit, end, is_old};
use orch_ports::agent::EndClass;
use proptest::prelude::*;
use std::fmt::Write as _;

/// The class of each case, whichever version it was recorded with.
fn expected(case: &str) -> EndClass {
    match case {
        "400" => EndClass::BadRequest,
        "400-api-usage-limit" | "400-credit-balance" => EndClass::Billing,
        "400-prompt-too-long" | "413" | "max-output-tokens" => EndClass::TooBig,
        "401-exhausted" | "403" | "oauth-401" | "no-key" => EndClass::Auth,
        "404-model" => EndClass::Configuration,
        "429-exhausted" | "429-retry-after-600" | "oauth-429-plain" => EndClass::RateLimit,
        "500-exhausted"
        | "529-exhausted"
        | "529-after-two-turns"
        | "529-no-is-sandbox"
        | "529-no-is-sandbox-sonnet" => EndClass::Overloaded,
        "api-timeout" | "conn-refused" | "conn-reset" | "dns-failure" => EndClass::Network,
        "oauth-usage-limit" => EndClass::UsageLimit,
        "max-turns" => EndClass::TurnLimit,
        "max-budget" => EndClass::BudgetLimit,
        "refusal" => EndClass::Refusal,
        "resume-missing" => EndClass::SessionLost,
        // Stopped by somebody who was not the driver, and a stream that broke off each time.
        "sigint-in-api" | "sigint-in-bash" | "sse-overloaded" => EndClass::Unknown,
        "sigkill-in-bash" | "sigterm-in-api" | "sigterm-in-bash" => EndClass::Crash,
        _ => EndClass::Finished,
    }
}

#[test]
fn every_recorded_run_ends_in_its_class_with_what_it_used() {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let all = all();
    assert_eq!(all.len(), 112, "both sets are there");
    for Transcript { name, bytes, exit } in &all {
        let talk = heard(bytes);
        let end = end(talk.seen(), exit);
        let case = name.split_once('/').unwrap().1;
        if end.class != expected(case) {
            wrong.push(format!("{name}: {:?}: {}", end.class, end.why));
        }
        let usage = talk.usage();
        let at = end.not_before.map(|t| format!(" until {}", t.0 / 1_000)).unwrap_or_default();
        let why: String = end.why.chars().take(90).collect();
        let cost = usage.cost_unread.as_ref().map_or_else(|| format!("{:.4}", usage.cost_usd), |_| "unread".into());
        let used = format!("{cost} USD, {} in, {} out, {} turns", usage.input_tokens, usage.output_tokens, usage.turns);
        writeln!(table, "{name}: {}{at}: {used}: {why}", end.class.as_str()).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::assert_snapshot!("classes", table);
}

#[test]
fn what_people_read_of_a_run_is_never_json() {
    let mut text = String::new();
    for name in ["2.1.332/control-allow-deny", "2.1.332/529-after-two-turns", "2.1.332/permission-default-denied"] {
        let all = all();
        let transcript = all.iter().find(|t| t.name == name).unwrap();
        writeln!(text, "# {name}").unwrap();
        let rules = orch_driver::rules::Rules {
            tools: ["Bash", "Edit", "Read", "Write"].map(Into::into).into(),
            places: vec!["/w/sb/wt5".into()],
            worktree: "/w/sb/wt5".into(),
            deny: vec!["git commit".into()],
        };
        let plan = orch_driver::session::Plan { rules, most_refusals: 5, ..orch_driver::session::Plan::default() };
        let mut talk = orch_driver::session::Talk::new(plan);
        for line in transcript.bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            for one in talk.line(line) {
                if let orch_driver::session::Do::Log(kind, said) = one {
                    writeln!(text, "{kind:?}: {said}").unwrap();
                }
            }
        }
    }
    assert!(!text.contains("\"type\""), "{text}");
    insta::assert_snapshot!("log", text);
}

/// Was a whole line heard that says success?
fn said_success(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == b'\n').any(|line| {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        value["type"] == "result" && value["is_error"] == false && value["subtype"] == "success"
    })
}

#[test]
fn cut_anywhere_a_run_claims_no_success_that_was_not_said() {
    let good = ProgramExit { code: Some(0), ..ProgramExit::default() };
    let killed = ProgramExit { signal: Some(9), ..ProgramExit::default() };
    for Transcript { name, bytes, .. } in all() {
        let step = (bytes.len() / 60).max(61);
        for at in (0..bytes.len()).step_by(step).chain(bytes.len().saturating_sub(3)..bytes.len()) {
            let part = &bytes[..at];
            let talk = heard(part);
            if end(talk.seen(), &good).class == EndClass::Finished {
                assert!(said_success(part), "{name} cut at {at}");
            }
            assert_ne!(end(talk.seen(), &killed).class, EndClass::Finished, "{name} cut at {at}");
            assert_ne!(talk.end(&killed).class, EndClass::Finished, "{name} cut at {at}");
        }
    }
}

#[test]
fn versions_are_told_apart() {
    for (text, old) in [
        ("2.1.332 (Claude Code)", false),
        ("2.1.300", false),
        ("2.1.197 (Claude Code)", true),
        ("3.0.0-beta.1", false),
        ("1.0.128", true),
        ("", true),
        ("nonsense", true),
    ] {
        assert_eq!(is_old(text), old, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Bytes of a transcript exchanged, lines doubled, moved and lost: no panic, and no success without the words for it.
    #[test]
    fn broken_transcripts_never_panic_and_never_claim_success(
        which in 0_usize..112,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let all = all();
        let mut bytes = all[which % all.len()].bytes.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        let mixed: Vec<u8> = order.iter().flat_map(|i| [lines[i.index(lines.len())], b"\n"].concat()).collect();
        for heard_bytes in [&bytes, &mixed] {
            let talk = heard(heard_bytes);
            let exit = ProgramExit { code: Some(0), ..ProgramExit::default() };
            if talk.end(&exit).class == EndClass::Finished {
                prop_assert!(said_success(heard_bytes));
            }
            let _ = talk.usage();
        }
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let talk = heard(&bytes);
        prop_assert_ne!(talk.end(&ProgramExit { code: Some(0), ..ProgramExit::default() }).class, EndClass::Finished);
    }
}
