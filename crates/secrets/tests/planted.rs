//! The promise: every kind of planted secret is found, whatever it hides in, and nothing that only looks like one is.

use orch_secrets::planted::{HELD_OUT, kinds, lookalikes};
use orch_secrets::{Blob, Hit, Rules, Scanner};
use std::collections::BTreeMap;

fn scanner() -> Scanner {
    Scanner::new(&Rules::builtin(), b"a key for tests").expect("the built-in keywords")
}

fn scan(scanner: &Scanner, path: &str, bytes: &[u8]) -> Vec<Hit> {
    scanner.scan(&Blob { path, bytes, commit: None }).expect("it is small enough")
}

const SEEDS: u64 = 20;
/// Times all families of look-alikes; 42,000 were tried once when the rules were written.
const LIKE_SEEDS: u64 = 3;

#[test]
fn every_kind_is_found_whatever_its_surroundings() {
    let scanner = scanner();
    let mut missed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for seed in 0..SEEDS {
        let planted = kinds(seed);
        count = planted.len();
        for plant in planted {
            if scan(&scanner, &plant.path, plant.text.as_bytes()).is_empty() {
                missed.entry(plant.kind).or_default().push(format!("seed {seed}, {}", plant.path));
            }
        }
    }
    assert!(count >= 40, "only {count} kinds");
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_kind_no_rule_was_made_for_is_found() {
    let scanner = scanner();
    for seed in 1000..1000 + SEEDS {
        let plant = kinds(seed).into_iter().find(|p| p.kind == HELD_OUT).unwrap();
        assert!(!scan(&scanner, &plant.path, plant.text.as_bytes()).is_empty(), "seed {seed}, {}", plant.path);
    }
}

#[test]
fn nothing_that_only_looks_like_a_secret_is_found() {
    let scanner = scanner();
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for seed in 0..LIKE_SEEDS {
        for like in lookalikes(seed, 2_100) {
            for hit in scan(&scanner, &like.path, like.text.as_bytes()) {
                let line = like.text.lines().nth(hit.line - 1).unwrap_or_default();
                let text: String = line.chars().take(160).collect();
                wrong.entry(format!("{} as {}", like.kind, hit.rule)).or_default().push(text);
            }
            assert!(scanner.scan_name(&like.path).is_empty(), "{}", like.path);
        }
    }
    for lines in wrong.values_mut() {
        lines.truncate(6);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn another_spelling_hides_nothing() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let scanner = scanner();
    type Spell = fn(&str) -> Vec<u8>;
    let spellings: &[(&str, Spell)] = &[
        ("base64", |t| STANDARD.encode(t).into_bytes()),
        ("base64 in an address", |t| format!("https://a.internal/x/{}", URL_SAFE_NO_PAD.encode(t)).into_bytes()),
        ("wrapped base64", |t| wrapped(&STANDARD.encode(t), 76, "\n")),
        ("indented base64", |t| wrapped(&STANDARD.encode(t), 60, "\r\n    ")),
        ("base64 in strings", |t| wrapped(&STANDARD.encode(t), 40, "\" +\n  \"")),
        ("hex", |t| t.bytes().flat_map(|b| format!("{b:02x}").into_bytes()).collect()),
        ("capital hex", |t| t.bytes().flat_map(|b| format!("{b:02X}").into_bytes()).collect()),
        ("percent", |t| t.bytes().flat_map(|b| format!("%{b:02x}").into_bytes()).collect()),
        ("utf-16le", |t| [0xff, 0xfe].into_iter().chain(t.encode_utf16().flat_map(u16::to_le_bytes)).collect()),
        ("utf-16be", |t| [0xfe, 0xff].into_iter().chain(t.encode_utf16().flat_map(u16::to_be_bytes)).collect()),
        ("utf-16 in a binary", |t| {
            [7, 0, 0, 0, 1].into_iter().chain(t.encode_utf16().flat_map(u16::to_le_bytes)).collect()
        }),
        ("utf-16 in base64", |t| {
            STANDARD.encode(t.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).into()
        }),
        ("binary", |t| [b"\x7fELF\0\0\x01\xff", t.as_bytes(), b"\0\xfe\x80"].concat()),
        ("one long line", |t| format!("{};{t};{}", "var a=1;".repeat(40_000), "b(2);".repeat(40_000)).into_bytes()),
    ];
    let mut missed = Vec::new();
    for plant in kinds(7).iter().chain(&kinds(8)) {
        for (name, spell) in spellings {
            if scan(&scanner, &plant.path, &spell(&plant.text)).is_empty() {
                missed.push(format!("{} as {name}", plant.kind));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

fn wrapped(text: &str, width: usize, by: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.as_bytes().chunks(width).map(|c| std::str::from_utf8(c).expect("ASCII")).collect();
    lines.join(by).into_bytes()
}
