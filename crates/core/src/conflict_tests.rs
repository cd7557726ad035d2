use super::*;

const OURS: &str = "1111111111111111111111111111111111111111";
const THEIRS: &str = "2222222222222222222222222222222222222222";

fn labels() -> Vec<String> {
    vec![OURS.into(), THEIRS.into()]
}
fn written() -> String {
    format!("Title\n=======\n<<<<<<< {OURS}\nours\n=======\ntheirs\n>>>>>>> {THEIRS}\nend\n")
}
fn side(oid: &str) -> Side {
    Side { mode: "100644".into(), oid: oid.into() }
}
fn path(name: &str, marked: bool) -> ConflictPath {
    ConflictPath {
        path: name.into(),
        raw: None,
        kind: if marked { ConflictKind::Content } else { ConflictKind::Binary },
        marked,
        ancestor: Some(side("0")),
        branch: Some(side("ours")),
        base: Some(side("theirs")),
        written: None,
        alike: alike(&look(written().as_bytes(), &labels())).unwrap_or_default(),
    }
}
fn record(path: ConflictPath) -> Conflict {
    let files = vec![path.path.clone()];
    Conflict { labels: labels(), paths: vec![path], ..Conflict::of_files(Sha::new(THEIRS), files) }
}
fn shows(oid: Option<&str>, text: &str) -> Shown {
    let found = look(text.as_bytes(), &labels());
    Shown { paths: vec![PathShown { entry: oid.map(side), found, moved_on: None }], ..Shown::default() }
}
fn said(mut conflict: Conflict, path: &str, take: Take) -> Conflict {
    conflict.answer.takes.push(Resolved { path: path.into(), take, why: String::new() });
    conflict
}

#[test]
fn no_part_of_a_conflict_may_stay_and_a_heading_may() {
    let whole = written();
    assert_eq!(alike(&look(whole.as_bytes(), &labels())), Some(Marks { middle: 1, ..Marks::default() }));
    let record = record(path("a.md", true));
    let left = |text: &str| refusals(&record, &shows(Some("new"), text)).iter().map(|f| f.line).collect::<Vec<_>>();
    assert_eq!(left("Title\n=======\nours\ntheirs\nend\n"), []);
    assert_eq!(left("Title\r\n=======\r\nours\r\n"), []);
    assert_eq!(left(&whole), [Some(3)]);
    for (text, line) in [
        (format!("Title\n=======\n<<<<<<< {OURS}\nours\n"), 3),
        ("Title\n=======\nours\n>>>>>>> main\n".to_owned(), 4),
        ("Title\n=======\nours\n=======\ntheirs\n".to_owned(), 2),
        ("Title\n=======\nours\n  =======  \ntheirs\n".to_owned(), 2),
        ("Title\n<<<<<<<\nours\n".to_owned(), 2),
        (format!("// <<<<<<< {OURS}\nours\n"), 1),
        (format!("x >>>>>>> {THEIRS}:old/name\n"), 1),
        ("||||||| base\nours\n".to_owned(), 1),
    ] {
        assert_eq!(left(&text), [Some(line)], "{text}");
    }
    assert_eq!(left("<<<<<<<< eight\n========\n<<<<<<<x\n"), [], "these are no markers");
}

#[test]
fn a_word_must_be_said_and_must_be_true() {
    let silent = record(path("a.bin", false));
    let words = [
        (Some("theirs"), Take::Base),
        (Some("ours"), Take::Branch),
        (None, Take::Deleted),
        (Some("new"), Take::Edited),
    ];
    for (there, truth) in words {
        assert_eq!(refusals(&silent, &shows(there, "")).len(), 1, "{truth:?}: nothing was said");
        for take in Take::ALL {
            let findings = refusals(&said(silent.clone(), "a.bin", take), &shows(there, ""));
            assert_eq!(findings.is_empty(), take == truth, "{truth:?}, said {take:?}: {findings:?}");
        }
    }
    let other = refusals(&said(silent, "b.bin", Take::Base), &shows(Some("theirs"), ""));
    assert_eq!(other.iter().map(|f| f.file.as_deref()).collect::<Vec<_>>(), [Some("a.bin"), Some("b.bin")]);
}

#[test]
fn a_mode_counts_only_where_the_sides_differ_in_nothing_else() {
    let executable = |oid: &str| Side { mode: "100755".into(), oid: oid.into() };
    let shown = |entry: Side| Shown {
        paths: vec![PathShown { entry: Some(entry), ..PathShown::default() }],
        ..Shown::default()
    };
    let binary = said(record(path("a.bin", false)), "a.bin", Take::Base);
    assert_eq!(refusals(&binary, &shown(executable("theirs"))), [], "the mode merged by itself");
    let mode = ConflictPath {
        kind: ConflictKind::Mode,
        branch: Some(executable("same")),
        base: Some(side("same")),
        ..path("m.sh", false)
    };
    let mode = said(record(mode), "m.sh", Take::Base);
    assert_eq!(refusals(&mode, &shown(side("same"))), []);
    assert_eq!(refusals(&mode, &shown(executable("same"))).len(), 1);
}

#[test]
fn what_could_not_be_read_is_a_finding_and_a_file_that_says_nothing_needed_is_not() {
    let done = shows(Some("new"), "ours and theirs\n");
    let mut conflict = record(path("a.md", true));
    conflict.answer.broken = Some("it is not JSON".into());
    assert_eq!(refusals(&conflict, &done), []);
    conflict.answer.unreadable.push("entry 1 has no `path`".into());
    let findings = refusals(&conflict, &done);
    assert!(
        findings.len() == 2 && findings[0].text.contains("entry 1") && findings[1].text.contains("not JSON"),
        "{findings:?}"
    );
}

#[test]
fn a_later_word_replaces_the_earlier_one_and_the_others_stay() {
    let word = |path: &str, take| Resolved { path: path.into(), take, why: String::new() };
    let mut all = Resolution { takes: vec![word("a", Take::Base), word("b", Take::Base)], ..Resolution::default() };
    all.unreadable.push("x".into());
    all.hear(&Resolution { takes: vec![word("a", Take::Edited)], ..Resolution::default() });
    assert_eq!(all.takes, [word("b", Take::Base), word("a", Take::Edited)]);
    assert_eq!(all.unreadable, [""; 0]);
}

#[test]
fn a_version_of_main_that_was_taken_is_not_put_back_in_silence() {
    let conflict = said(record(path("a.bin", false)), "a.bin", Take::Base);
    assert_eq!(flipped(&conflict, &shows(Some("theirs"), "")), []);
    assert_eq!(flipped(&conflict, &shows(Some("new"), "")), [], "a later round may edit it");
    assert_eq!(flipped(&conflict, &shows(Some("ours"), "")).len(), 1);
    let mut main_too = shows(Some("ours"), "");
    main_too.paths[0].moved_on = Some((Some(side("ours")), Marks::default()));
    assert_eq!(flipped(&conflict, &main_too), [], "main has it so by now");
}

#[test]
fn a_conflict_an_earlier_version_stored_is_judged_by_its_files() {
    let old: Conflict = serde_json::from_str(&format!("{{\"onto\": \"{THEIRS}\", \"files\": [\"a.md\"]}}")).unwrap();
    assert_eq!(refusals(&old, &shows(Some("new"), &written())).len(), 1);
    assert_eq!(refusals(&old, &shows(Some("new"), "done\n")), []);
    assert_eq!(refusals(&old, &shows(None, "")), [], "what it deleted was never asked about");
}

#[test]
fn an_excerpt_is_the_conflict_and_nothing_else_and_has_an_end() {
    let text = excerpt(&written(), &labels());
    assert!(text.starts_with("<<<<<<<") && text.ends_with(THEIRS) && !text.contains("Title") && !text.contains("end"));
    let long = format!("<<<<<<< {OURS}\n{}", "x\n".repeat(500));
    assert!(excerpt(&long, &labels()).ends_with("(shortened)"));
}
