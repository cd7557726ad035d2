//! What may never be read as a pass, and the properties that hold for every input.

use super::*;
use proptest::prelude::*;

fn review(text: &str) -> Result<bool, Unreadable> {
    verdict(text.as_bytes(), "verdict", "APPROVED", "REQUEST_CHANGES")
}

#[test]
fn a_whole_front_matter_says_what_it_says() {
    assert_eq!(review("---\nverdict: APPROVED\n---\nFine."), Ok(true));
    assert_eq!(review("---\nverdict: REQUEST_CHANGES\n---\n"), Ok(false));
    assert_eq!(review("\u{feff}---\r\nverdict: \"APPROVED\"\r\n---\r\n"), Ok(true));
    assert_eq!(review("---\nstage: review\nverdict: 'APPROVED' # after two rounds\n---\n"), Ok(true));
    assert_eq!(review("---\nverdict:\tAPPROVED\t\n---\n"), Ok(true));
}

#[test]
fn what_is_not_exactly_a_pass_is_no_pass() {
    for text in [
        "",
        "---",
        "---\n",
        "verdict: APPROVED",
        "---\nverdict: APPROVED",
        "---\nverdict: APPROVED\n--- \n",
        "---\nverdict: APPROVED\n----\n",
        " ---\nverdict: APPROVED\n---\n",
        "\n---\nverdict: APPROVED\n---\n",
        "--- \nverdict: APPROVED\n---\n",
        "---\nverdict: approved\n---\n",
        "---\nverdict: 'APPROVED '\n---\n",
        "---\nverdict: [APPROVED]\n---\n",
        "---\nverdict: {APPROVED: true}\n---\n",
        "---\nverdict: |-\n  APPROVED\n---\n",
        "---\nverdict: >-\n  APPROVED\n---\n",
        "---\nverdict: !!str APPROVED\n---\n",
        "---\nverdict: &a APPROVED\n---\n",
        "---\nx: &a APPROVED\nverdict: *a\n---\n",
        "---\nbase: {verdict: APPROVED}\n---\n",
        "---\n<<: {verdict: APPROVED}\n---\n",
        "---\n- verdict: APPROVED\n---\n",
        "---\nverdict: APPROVED\nverdict: APPROVED\n---\n",
        "---\nverdict: APPROVED\nVerdict: maybe\n---\n",
        "---\nverdict: APPROVED\n...\n--- {}\n---\n",
        "---\nverdict: true\n---\n",
        "---\nverdict:\n---\n",
        "---\nVERDICT: APPROVED\n---\n",
        "---\nnote: x\n---\nverdict: APPROVED\n",
        "---\nnote: x\n---\n---\nverdict: APPROVED\n---\n",
        "```\n---\nverdict: APPROVED\n---\n```\n",
        // Cut off: what would have stood on the closing line is unknown.
        "---\nverdict: APPROVED\n---",
        "---\nverdict: APPROVED\n---\r",
        // The key is not spelled out on a line of its own.
        "---\n\"verdict\": APPROVED\n---\n",
        "---\n'verdict': APPROVED\n---\n",
        "---\n\"ver\\u0064ict\": APPROVED\n---\n",
        "---\n? verdict\n: APPROVED\n---\n",
        "---\n{verdict: APPROVED}\n---\n",
        "---\n{\"verdict\": \"APPROVED\"}\n---\n",
        "---\n  verdict: APPROVED\n---\n",
        "---\nverdict:\n  APPROVED\n---\n",
        "---\nverdict: \"APPROV\\x45D\"\n---\n",
        "---\nverdict: \"APPRO\\\n  VED\"\n---\n",
        "---\nnote: [\nverdict: APPROVED]\n---\n",
        // Lines that other readers take for the end, or for a beginning.
        "---\n--- \nverdict: APPROVED\n---\n",
        "---\n---\t# x\nverdict: APPROVED\n---\n",
        "---\nverdict: APPROVED\n...\n---\n",
        "---\n%YAML 1.2\nverdict: APPROVED\n---\n",
        // Line breaks for some and not for others.
        "---\n# note\rverdict: APPROVED\n---\n",
        "---\rverdict: APPROVED\r---\r",
        "---\n# note\u{85}x\nverdict: APPROVED\n---\n",
        "---\n# note\u{2028}verdict: REQUEST_CHANGES\nverdict: APPROVED\n---\n",
        "---\nnote: a\0b\nverdict: APPROVED\n---\n",
        // What a person sees is not what is written.
        "---\n# \u{202e}STSEUQER :tcidrev\u{2066}\nverdict: APPROVED\n---\n",
        "---\nv\u{435}rdict: REQUEST_CHANGES\nverdict: APPROVED\n---\n",
        "---\nverdict\u{200b}: REQUEST_CHANGES\nverdict: APPROVED\n---\n",
        "---\nverdict: \u{410}PPROVED\n---\n",
        "---\nverdict: APPROVED\u{a0}\n---\n",
        "---\nverdict: APPROVED\u{200b}\n---\n",
        "\u{feff}\u{feff}---\nverdict: APPROVED\n---\n",
        "---\n\u{feff}verdict: APPROVED\n---\n",
        "---\na: \"\nverdict: maybe not\n\"\nverdict: APPROVED\n---\n",
        "---\nverdict: APPROVED\nVerdict: []\n---\n",
        "---\nverdict: |\n  APPROVED\nx: 1\n---\n",
        "---\n? {a: b}\n: c\nverdict: APPROVED\n---\n",
        "---\nx: {? [a] : b}\nverdict: APPROVED\n---\n",
    ] {
        assert!(review(text).is_err(), "{text:?} was read as {:?}", review(text));
    }
}

#[test]
fn where_both_could_be_read_the_negative_wins() {
    for text in [
        "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\n---\n",
        "---\nverdict: REQUEST_CHANGES\nverdict: APPROVED\n---\n",
        "---\nverdict: [APPROVED, REQUEST_CHANGES]\n---\n",
        "---\nverdict: APPROVED|REQUEST_CHANGES\n---\n",
        "---\nverdict: REQUEST_CHANGES, later APPROVED\n---\n",
        "---\nverdict: APPROVED\nVerdict: request_changes\n---\n",
        "---\nverdict: |\n  APPROVED\n  REQUEST_CHANGES\n---\n",
        "---\nverdict: APPROVED\n... \nverdict: REQUEST_CHANGES\n---\n",
        "---\nverdict: APPROVED\nrounds:\n  - verdict: REQUEST_CHANGES\n---\n",
        "---\nlast:\n  of:\n    Verdict: request_changes\nverdict: APPROVED\n---\n",
    ] {
        assert_eq!(review(text), Ok(false), "{text:?}");
    }
}

#[test]
fn no_bracket_and_no_quote_swallows_a_fail() {
    for (open, close) in [("\"", "\""), ("'", "'"), ("[", "]"), ("{", "}"), ("{x: [", "]}"), ("\"\\", "\"")] {
        for around in ["", " ", "\n", "\n  ", " # "] {
            let text =
                format!("---\na: {open}{around}\nverdict: REQUEST_CHANGES\n{around}{close}\nverdict: APPROVED\n---\n");
            assert_eq!(review(&text), Ok(false), "{text}");
            let text =
                format!("---\nverdict: APPROVED\na: {open}{around}\nverdict: REQUEST_CHANGES\n{around}{close}\n---\n");
            assert_eq!(review(&text), Ok(false), "{text}");
        }
    }
}

#[test]
fn no_quote_swallows_a_list_of_findings() {
    for key in ["findings", "Findings", "'findings'"] {
        let text =
            format!("---\nverdict: APPROVED\nnote: \"\n{key}:\n- {{severity: P0, text: drops a table}}\n\"\n---\n");
        let read = read(text.as_bytes()).and_then(|doc| doc.findings());
        assert!(read.is_err(), "{text}: {read:?}");
    }
}

#[test]
fn a_refusal_names_the_line_of_the_file() {
    let Err(Unreadable::Yaml { line, why }) = read(b"---\na: 1\nb: *nowhere\n---\n") else { panic!("it was read") };
    assert_eq!(line, Some(3), "{why}");
    let error = read(b"---\na: 1\na: 2\n---\n").unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert_eq!(review("---\nresult: PASS\n---\n").unwrap_err().to_string(), "the front matter has no key `verdict`");
}

#[test]
fn bombs_are_refused_quickly() {
    let wide = format!("---\n{}---\n", "k: v\n".repeat(20_000));
    assert_eq!(read(wide.as_bytes()).unwrap_err(), Unreadable::TooLarge);
    let deep = format!("---\na: {}\n---\n", "[".repeat(20_000));
    assert!(matches!(read(deep.as_bytes()), Err(Unreadable::Yaml { .. })));
    let nodes = format!("---\na: [{}]\n---\n", "1,".repeat(25_000));
    assert!(matches!(read(nodes.as_bytes()), Err(Unreadable::Yaml { .. })));
}

#[test]
fn findings_are_read_word_for_word() {
    let doc = read(
        b"---\nverdict: REQUEST_CHANGES\nfindings:\n  - {id: R1, severity: P0, file: a.sh, line: 3, text: 'eval: no'}\n  \
          - severity: catastrophic\n    text: |\n      two\n      lines\n  - {id: 7, severity: P2, line: '12', text: x}\n---\n",
    )
    .unwrap();
    let found = doc.findings().unwrap();
    assert_eq!(found[0].id.as_deref(), Some("R1"));
    assert_eq!((found[0].severity, found[0].line), (Severity::P0, Some(3)));
    assert_eq!((found[1].severity, found[1].text.as_str()), (Severity::P1, "two\nlines"));
    assert_eq!((found[2].id.as_deref(), found[2].line), (Some("7"), Some(12)));
    assert_eq!(read(b"---\na: 1\n---\n").unwrap().findings(), Ok(vec![]));
}

#[test]
fn a_malformed_list_of_findings_is_not_an_empty_one() {
    for spelled in ["Findings", "FINDINGS", "' findings '"] {
        let text = format!("---\n{spelled}: [{{severity: P0, text: loses data}}]\n---\n");
        assert!(read(text.as_bytes()).unwrap().findings().is_err(), "{spelled}");
    }
    for list in
        ["none", "[x]", "[{severity: P0}]", "[{text: ' '}]", "[{text: [a]}]", "[{text: a, line: b}]", "{text: a}"]
    {
        let doc = read(format!("---\nfindings: {list}\n---\n").as_bytes()).unwrap();
        assert!(matches!(doc.findings(), Err(Unreadable::Findings { .. })), "{list}");
    }
}

#[test]
fn nothing_a_finding_says_is_lost() {
    let doc = read(
        b"---\nfindings:\n  - {id: R1, severity: P1, text: wrong total, expected: 3, seen: 'four ', steps: [open, add]}\n---\n",
    )
    .unwrap();
    let text = &doc.findings().unwrap()[0].text;
    assert!(text.starts_with("wrong total\n"), "{text}");
    for line in ["expected: 3", "seen: four", "steps: [\"open\",\"add\"]"] {
        assert!(text.lines().any(|l| l == line), "{text}");
    }
}

#[test]
fn what_failed_is_read_as_text_or_as_a_map() {
    let doc = read(
        b"---\nresult: FAIL\nfailures:\n  - tests/test_cart.py::test_total - assert 3 == 4\n  \
          - {test: cart sums, file: cart.test.ts, line: 12, message: expected 3, severity: P3}\n  - name: TestTotal\n---\n",
    )
    .unwrap();
    let failed = doc.failures().unwrap();
    assert_eq!(failed[0].text, "tests/test_cart.py::test_total - assert 3 == 4");
    assert_eq!(
        (failed[1].id.as_deref(), failed[1].line, failed[1].text.as_str()),
        (Some("cart sums"), Some(12), "expected 3")
    );
    assert_eq!(failed[1].severity, Severity::P1, "a test that fails is never a matter of taste");
    assert_eq!(failed[2].text, "TestTotal");
    for list in ["one", "[1]", "[' ']", "[{}]", "[{line: 3}, {}]", "[[a]]", "{a: b}"] {
        let doc = read(format!("---\nfailures: {list}\n---\n").as_bytes()).unwrap();
        assert!(doc.failures().is_err(), "{list}");
    }
    assert!(read(b"---\nFailures: [a]\n---\n").unwrap().failures().is_err());
}

#[test]
fn counts_and_flags_are_what_they_are_spelled() {
    let doc = read(b"---\nn: 12\nyes: true\nno: false # none\nq: '7'\nw: yes\nx: 1.0\nf: 0x10\nm: -1\nz: 007\nb: 99999999999\nc: 4\nC: 5\n---\n").unwrap();
    assert_eq!((doc.count("n"), doc.flag("yes"), doc.flag("no")), (Ok(12), Ok(true), Ok(false)));
    for key in ["q", "w", "x", "f", "m", "z", "b", "c", "yes", "gone"] {
        assert!(doc.count(key).is_err(), "{key}");
    }
    for key in ["n", "q", "w", "gone"] {
        assert!(doc.flag(key).is_err(), "{key}");
    }
}

#[test]
fn text_of_any_language_may_stand_beside_a_verdict() {
    let text = "---\nverdict: REQUEST_CHANGES\nfindings:\n  - {severity: P1, text: 'Кнопка не работает — 按钮 👩\u{200d}💻'}\n---\n";
    assert_eq!(review(text), Ok(false));
    assert!(read(text.as_bytes()).unwrap().findings().unwrap()[0].text.contains("按钮"));
    assert!(read("---\nописание: роль\n---\n".as_bytes()).is_ok(), "only verdicts need plain keys");
}

const WHOLE: &str =
    "---\nverdict: APPROVED\nrevision: 1a2b3c\nfindings:\n  - {id: R1, severity: P3, text: fine}\n---\n";

/// Lines by which somebody could try to say one thing to a person and another to a program.
fn adversary() -> impl Strategy<Value = String> {
    let pass = "verdict: APPROVED";
    let lines = [
        pass,
        "  verdict: APPROVED",
        "\tverdict: APPROVED",
        "\"verdict\": APPROVED",
        "'verdict': APPROVED",
        "? verdict",
        ": APPROVED",
        "verdict : APPROVED",
        "verdict:\tAPPROVED",
        "Verdict: APPROVED",
        "v\u{435}rdict: APPROVED",
        "verdict\u{200f}: APPROVED",
        "note: |",
        "note: >-",
        "a: \"",
        "b: '",
        "c: [",
        "d: {",
        "\"",
        "'",
        "]",
        "}",
        "  x",
        "- verdict: APPROVED",
        "e: &a",
        "f: *a",
        "<<: {verdict: APPROVED}",
        "!!map",
        "g: !!str",
        "# verdict: REQUEST_CHANGES",
        "#",
        "...",
        "--- ",
        "---\t",
        "%YAML 1.1",
        "```yaml",
        "```",
        "~~~",
        "\0",
        "\r",
        "\u{2028}",
        "\u{85}",
        "\u{202e}",
        "\u{feff}",
        "h: \\",
        "verdict: APPROVED\rx: ",
        "{verdict: APPROVED}",
        "verdict: &x APPROVED",
        "verdict: APPROVED # verdict: REQUEST_CHANGES",
        "i: \"\\",
        "verdict: >-",
        "  APPROVED",
        "APPROVED",
    ];
    prop_oneof![
        8 => proptest::sample::select(lines.to_vec()).prop_map(str::to_owned),
        1 => "[ -~]{0,30}",
        1 => proptest::sample::select(vec![" ", "x", "#", "a: "]).prop_map(|piece| piece.repeat(5_000)),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = verdict(&bytes, "verdict", "APPROVED", "REQUEST_CHANGES");
        let _ = read(&bytes).map(|doc| doc.findings());
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "[-a:\\[\\]{}&*!|>'\"#% \n\t?,.~<0-9]{0,120}") {
        let _ = read(format!("---\n{text}\n---\n").as_bytes()).map(|doc| doc.findings());
    }

    #[test]
    fn no_body_changes_the_verdict(body in proptest::collection::vec(any::<u8>(), 0..300), passed in any::<bool>()) {
        let word = if passed { "APPROVED" } else { "REQUEST_CHANGES" };
        let mut file = format!("---\nverdict: {word}\n---\n").into_bytes();
        file.extend(&body);
        prop_assert_eq!(verdict(&file, "verdict", "APPROVED", "REQUEST_CHANGES"), Ok(passed));
    }

    #[test]
    fn a_verdict_in_the_body_is_prose(lines in proptest::collection::vec(
        prop_oneof!["---", "verdict: APPROVED", "```yaml", "```", "\\.\\.\\.", "# verdict: APPROVED"], 0..12)) {
        let file = format!("---\nverdict: REQUEST_CHANGES\n---\n{}", lines.join("\n"));
        prop_assert_eq!(review(&file), Ok(false));
    }

    #[test]
    fn a_file_that_was_cut_off_never_passes(cut in 0..WHOLE.len()) {
        prop_assert!(review(&WHOLE[..cut]).is_err());
    }

    #[test]
    fn nothing_around_a_fail_makes_it_a_pass(
        before in proptest::collection::vec(adversary(), 0..5),
        after in proptest::collection::vec(prop_oneof![adversary(), Just("---".to_owned())], 0..5),
        body in proptest::collection::vec(prop_oneof![adversary(), Just("---".to_owned())], 0..6),
        crlf in any::<bool>(),
    ) {
        let lines = [vec!["---".into()], before, vec!["verdict: REQUEST_CHANGES".into()], after, vec!["---".into()], body].concat();
        let file = lines.join(if crlf { "\r\n" } else { "\n" });
        prop_assert_ne!(review(&file), Ok(true), "{}", file);
    }

    #[test]
    fn one_more_line_in_the_front_never_turns_a_fail_into_a_pass(line in "[ -~]{0,60}", before in any::<bool>()) {
        let front = if before { format!("{line}\nverdict: REQUEST_CHANGES") } else { format!("verdict: REQUEST_CHANGES\n{line}") };
        prop_assert_ne!(review(&format!("---\n{front}\n---\n")), Ok(true));
    }
}
