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
    assert_eq!(review("---\nstage: review\nverdict: 'APPROVED' # after two rounds\n---"), Ok(true));
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
    ] {
        assert_eq!(review(text), Ok(false), "{text:?}");
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
    for list in
        ["none", "[x]", "[{severity: P0}]", "[{text: ' '}]", "[{text: [a]}]", "[{text: a, line: b}]", "{text: a}"]
    {
        let doc = read(format!("---\nfindings: {list}\n---\n").as_bytes()).unwrap();
        assert!(matches!(doc.findings(), Err(Unreadable::Findings { .. })), "{list}");
    }
}

const WHOLE: &str =
    "---\nverdict: APPROVED\nrevision: 1a2b3c\nfindings:\n  - {id: R1, severity: P3, text: fine}\n---\n";

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
        // The closing line is whole from its third dash on; the line break after it belongs to the body.
        prop_assert_eq!(review(&WHOLE[..cut]).is_ok(), cut == WHOLE.len() - 1);
    }

    #[test]
    fn one_more_line_in_the_front_never_turns_a_fail_into_a_pass(line in "[ -~]{0,60}", before in any::<bool>()) {
        let front = if before { format!("{line}\nverdict: REQUEST_CHANGES") } else { format!("verdict: REQUEST_CHANGES\n{line}") };
        prop_assert_ne!(review(&format!("---\n{front}\n---\n")), Ok(true));
    }
}
