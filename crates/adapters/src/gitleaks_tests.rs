//! What gitleaks may say and what is made of it, with programs that play it; the real one is asked in `tests/scanners.rs`.

use super::*;
use crate::test_program::program;
use orch_core::ids::Sha;
use std::path::Path;
use std::time::Duration;

const ROW: &str = r#"{"RuleID":"github-pat","Description":"a token","StartLine":3,"EndLine":3,"StartColumn":5,"EndColumn":44,"Match":"REDACTED",
    "Secret":"REDACTED","File":"a b.txt","Commit":"7995dbd52838a415a522b34ee28e85e1f43189dc","Tags":[]}"#;

/// Answers of a gitleaks that does what the script says; `$REPORT` is where its report belongs.
async fn played(version: &str, script: &str, timeout: Duration) -> Result<Scanned, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("[ \"$1\" = version ] && {{ echo {version}; exit 0; }}\nfor a; do REPORT=$a; done\n{script}");
    let scanner = Gitleaks::new(program(dir.path(), "gitleaks", &script));
    let (base, head) = (Sha::new("1".repeat(40)), Sha::new("2".repeat(40)));
    let range = Range { repository: Path::new("/nowhere"), base: &base, head: &head, rules: None, timeout };
    scanner.scan(&range).await
}

async fn says(script: &str) -> Result<Scanned, Fault> {
    played("8.30.1", script, Duration::from_secs(30)).await
}

#[tokio::test]
async fn nothing_found_is_exit_0_with_an_empty_report() {
    let answer = says("echo '[]' > \"$REPORT\"").await.unwrap();
    assert_eq!(answer, Scanned::Done { by: "gitleaks 8.30.1".into(), leaks: Vec::new() });
}

#[tokio::test]
async fn what_it_found_has_a_place_and_no_secret() {
    let answer = says(&format!("cat > \"$REPORT\" <<'X'\n[{ROW}]\nX\nexit 1")).await.unwrap();
    let leak = Leak {
        rule: "github-pat".into(),
        description: "a token".into(),
        path: "a b.txt".into(),
        line: Some(3),
        last_line: Some(3),
        columns: Some((5, 44)),
        commit: Some("7995dbd52838a415a522b34ee28e85e1f43189dc".into()),
    };
    assert_eq!(answer, Scanned::Done { by: "gitleaks 8.30.1".into(), leaks: vec![leak.clone()] });
    // Nobody has measured what line an older one means.
    let script = format!("cat > \"$REPORT\" <<'X'\n[{ROW}]\nX\nexit 1");
    let answer = played("8.18.4", &script, Duration::from_secs(30)).await.unwrap();
    let leak = Leak { last_line: None, columns: None, ..leak };
    assert_eq!(answer, Scanned::Done { by: "gitleaks 8.18.4".into(), leaks: vec![leak] });
}

#[tokio::test]
async fn every_other_end_is_a_fault_that_says_which() {
    let found = format!("cat > \"$REPORT\" <<'X'\n[{ROW}]\nX\n");
    for (script, words) in [
        ("exit 0", "left no report"),
        ("exit 1", "left no report"),
        ("echo boom >&2; exit 2", "boom"),
        ("kill -9 $$", "killed by a signal"),
        ("echo '[]' > \"$REPORT\"; exit 1", "reported nothing and ended with exit code 1"),
        ("echo '[]' > \"$REPORT\"; exit 126", "exit code 126"),
        ("echo '[' > \"$REPORT\"; exit 1", "cannot be read: line 2"),
        ("echo '{}' > \"$REPORT\"; exit 1", "cannot be read"),
        ("echo '[{\"RuleID\": 7}]' > \"$REPORT\"; exit 1", "cannot be read"),
        ("echo null > \"$REPORT\"", "cannot be read"),
        (found.as_str(), "reported leaks and ended with exit code 0"),
        ("printf '\\033[31mERR\\033[0m [git] fatal: bad revision\\n' >&2; echo '[]' > \"$REPORT\"", "bad revision"),
    ] {
        let fault = says(script).await.unwrap_err();
        assert!(fault.text.contains(words), "{script}: {}", fault.text);
    }
}

#[tokio::test]
async fn one_that_does_not_end_is_a_fault_and_an_old_one_is_missing() {
    let fault = played("8.30.1", "sleep 600", Duration::from_millis(300)).await.unwrap_err();
    assert!(fault.text.contains("no end after"), "{}", fault.text);
    for version in ["8.17.0", "7.6.1", "dev", ""] {
        let answer = played(version, "exit 9", Duration::from_secs(30)).await.unwrap();
        assert!(matches!(&answer, Scanned::Missing { why } if why.contains("8.18")), "{version}: {answer:?}");
    }
    let nowhere = Gitleaks::new("/nonexistent");
    let sha = Sha::new("1".repeat(40));
    let range =
        Range { repository: Path::new("/"), base: &sha, head: &sha, rules: None, timeout: Duration::from_secs(1) };
    assert_eq!(nowhere.scan(&range).await.unwrap(), Scanned::Missing { why: "not installed".into() });
}

#[test]
fn a_broken_report_is_an_error_without_its_text() {
    let text = format!("[{ROW}]").replace("\"StartLine\":3", "\"StartLine\":\"hunter2\"");
    let why = read(text.as_bytes()).unwrap_err();
    assert!(why.contains("line 1") && !why.contains("hunter2"), "{why}");
}

#[test]
fn no_cut_and_no_changed_byte_makes_a_leak_disappear_in_silence() {
    let whole = format!("[{ROW},{ROW}]").into_bytes();
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for byte in [0, b' ', b'"', b']', b'}', b',', 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            if let Ok(leaks) = read(&changed) {
                assert_eq!(leaks.len(), 2, "byte {at} as {byte}");
            }
        }
    }
}
