//! What holds for any bytes at all: a scan ends, finds no more than it is asked, and lets nothing out.

use orch_secrets::planted::{Dice, kinds, to_base64};
use orch_secrets::{Blob, Rules, Scanner, inline_allows};
use proptest::prelude::*;
use std::sync::LazyLock;

static SCANNER: LazyLock<Scanner> =
    LazyLock::new(|| Scanner::new(&Rules::builtin(), b"key").expect("the built-in keywords"));

fn hits(path: &str, bytes: &[u8]) -> Vec<orch_secrets::Hit> {
    SCANNER.scan(&Blob { path, bytes, commit: None }).expect("small")
}

/// Bytes with pieces of secrets, quotes, escapes and line breaks among them.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ -~\n]{0,40}".prop_map(String::into_bytes),
        "(%[0-9a-f]{2}|[A-Za-z0-9+/_=-]{1,30}|\\\\n|\r\n|\"\n\"){1,8}".prop_map(String::into_bytes),
        (0_u64..50, 0_usize..90).prop_map(|(seed, n)| {
            let all = kinds(seed);
            all[n % all.len()].text.clone().into_bytes()
        }),
        "[ -~]{0,30}".prop_map(|t| t.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "[ -~]{0,60}".prop_map(|t| to_base64(t.as_bytes()).into_bytes()),
        Just(b"-----BEGIN PRIVATE KEY-----\n".to_vec()),
        Just(b"password = \"".to_vec()),
        Just(b"://user:".to_vec()),
        Just(vec![0; 3]),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_scanned_and_every_hit_is_masked(bytes in hostile(), path in "[ -~]{0,40}") {
        let lines = bytes.split(|b| *b == b'\n').count();
        for hit in hits(&path, &bytes) {
            prop_assert!((1..=lines).contains(&hit.line) && hit.column >= 1, "{hit:?}");
            prop_assert!(hit.masked.ends_with("********") && hit.masked.len() <= 12, "{hit:?}");
            prop_assert_eq!(hit.fingerprint.len(), 16);
        }
        SCANNER.scan_name(&path);
        inline_allows(&bytes);
    }

    #[test]
    fn a_secret_is_found_at_any_place_of_any_noise(before in hostile(), after in hostile(), seed in 0_u64..10_000) {
        let mut dice = Dice::new(seed);
        let token = format!("gl{}-{}", "pat", dice.text("abcdefghijkmnpqrstuvwxyz23456789", 20));
        let bytes = [&before[..], b"\n", token.as_bytes(), b"\n", &after[..]].concat();
        let line = before.split(|b| *b == b'\n').count() + 1;
        let found = hits("a", &bytes);
        let is_it = |h: &orch_secrets::Hit| &*h.rule == "gitlab-token" && h.line == line;
        prop_assert!(found.iter().any(is_it), "{token}: {found:?}");
    }
}

proptest! {
    // Each case looks at every kind.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn what_is_serialised_never_holds_a_secret(seed in 0_u64..10_000) {
        for plant in kinds(seed) {
            let found = hits(&plant.path, plant.text.as_bytes());
            let shown = format!("{}{found:?}", serde_json::to_string(&found).expect("it serialises"));
            for from in 0..plant.secret.len().saturating_sub(12) {
                let part = &plant.secret[from..from + 12];
                prop_assert!(!shown.contains(part), "{}: 12 characters in a row", plant.kind);
            }
        }
    }
}
