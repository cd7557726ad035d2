//! `04-test-plan.yaml`, read strictly. It decides whether a plan can be worked with; it may never stop at the first
//! problem, because the analyst has one attempt to put all of them right. A plan full of placeholders would pass a check
//! for "is there a file" and leave the tester with nothing.

use crate::yaml;
use orch_core::verdict::Finding;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Its file name below the artefact directory.
pub const FILE: &str = "04-test-plan.yaml";
/// Largest plan that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// One test case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// `TC-07`, unique in the plan.
    pub id: String,
    /// `unit`, `integration`, `manual` ...
    pub kind: String,
    /// What is done.
    pub description: String,
    /// What it is done to.
    pub module: String,
    /// What must be seen.
    pub expected: String,
}

/// Reads a plan: a list of test cases at the top, or under `tests:` or `test_cases:`. Returns every problem found, each a
/// finding for the analyst.
pub fn parse(bytes: &[u8]) -> Result<Vec<TestCase>, Vec<Finding>> {
    let whole = |text: String| vec![problem(None, text)];
    if bytes.len() > MAX_BYTES {
        return Err(whole("the test plan is larger than 256 KiB".into()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("the test plan is not UTF-8".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = yaml::strict(text).map_err(|refused| {
        let line = refused.line.and_then(|l| u32::try_from(l).ok());
        vec![Finding { line, ..problem(None, format!("the test plan cannot be read: {}", refused.why)) }]
    })?;
    let items: &[Value] = match &value {
        Value::Array(items) => items,
        Value::Object(map) => match (map.get("tests"), map.get("test_cases")) {
            (Some(Value::Array(items)), None) | (None, Some(Value::Array(items))) => items,
            (Some(_), Some(_)) => return Err(whole("give the list once: `tests` or `test_cases`, not both".into())),
            _ => return Err(whole("the test plan needs a list `tests:`".into())),
        },
        _ => return Err(whole("the test plan must be a list of test cases".into())),
    };
    if items.is_empty() {
        return Err(whole("the test plan has no test case".into()));
    }
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let cases = items.iter().enumerate().filter_map(|(i, item)| case(i + 1, item, &mut seen, &mut problems)).collect();
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

fn problem(id: Option<&str>, text: String) -> Finding {
    Finding { id: id.map(str::to_owned), file: Some(FILE.to_owned()), ..Finding::must_fix(text) }
}

/// Reads one case; everything wrong with it goes to `problems`.
fn case(
    number: usize,
    item: &Value,
    seen: &mut BTreeMap<String, usize>,
    problems: &mut Vec<Finding>,
) -> Option<TestCase> {
    let Some(map) = item.as_object() else {
        problems.push(problem(
            None,
            format!("test case {number} must be a map with id, type, description, module, expected"),
        ));
        return None;
    };
    let id = text(map, "id").unwrap_or_default();
    let name = if id.is_empty() { format!("test case {number}") } else { id.clone() };
    let before = problems.len();
    let mut say = |what: String| problems.push(problem(Some(&id).filter(|i| !i.is_empty()).map(String::as_str), what));
    if !is_case_id(&id) {
        say(format!("{name}: `id` must be of the form TC-01"));
    } else if let Some(first) = seen.insert(id.clone(), number) {
        say(format!("{name}: the id is used by test cases {first} and {number}"));
    }
    let mut need = |key: &str| match text(map, key) {
        None => {
            say(format!("{name}: `{key}` is missing or not text"));
            String::new()
        }
        Some(value) => {
            if is_placeholder(&value) {
                say(format!("{name}: `{key}` is empty or a placeholder"));
            }
            value
        }
    };
    let read = TestCase {
        kind: need("type"),
        description: need("description"),
        module: need("module"),
        expected: need("expected"),
        id,
    };
    (problems.len() == before).then_some(read)
}

/// Text of a key. Numbers and booleans count (`expected: 200`), and so does a list of texts (steps to be seen).
fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    };
    match map.get(key)? {
        Value::Array(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(|lines| lines.join("\n")),
        value => plain(value),
    }
}

fn is_case_id(id: &str) -> bool {
    id.strip_prefix("TC-").is_some_and(|n| (2..=4).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Is this nothing that anybody could work with: empty, `TODO`, `TBD`, `<expected result>`, `...`?
pub fn is_placeholder(text: &str) -> bool {
    let bare = text
        .trim()
        .trim_matches(|c: char| c == '.' || c == '-' || c == '_' || c == '?' || c == '…' || c.is_whitespace());
    let bracketed = ['<', '[', '{'].iter().zip(['>', ']', '}']).any(|(open, close)| {
        bare.strip_prefix(*open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|inner| !inner.contains(*open))
    });
    let first = bare.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let told = ["todo", "tbd", "fixme", "xxx"].iter().any(|word| first.eq_ignore_ascii_case(word));
    let only = ["placeholder", "n/a", "none", "null", "lorem ipsum"].iter().any(|word| bare.eq_ignore_ascii_case(word));
    bare.is_empty() || bracketed || told || only
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "tests:\n  - {id: TC-01, type: unit, description: open the page, module: site, expected: it shows}\n  \
        - id: TC-02\n    type: integration\n    description: |\n      deploy\n    module: deploy.sh\n    expected: 200\n";

    fn texts(plan: &str) -> Vec<String> {
        parse(plan.as_bytes()).unwrap_err().into_iter().map(|f| f.text).collect()
    }

    #[test]
    fn a_plan_is_a_list_at_the_top_or_under_its_name() {
        let cases = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[1].expected, "200");
        assert!(parse(GOOD.replace("tests:", "test_cases:").as_bytes()).is_ok());
        let bare = "- {id: TC-01, type: unit, description: a b, module: c, expected: d}";
        assert_eq!(parse(format!("---\n{bare}\n").as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let found = texts(
            "- {id: TC-01, type: unit, description: TODO, module: m, expected: '<what happens>'}\n\
             - {id: TC-01, type: unit, description: d, module: m}\n- {id: 1, type: '', description: d, module: m, expected: e}\n- 7\n",
        );
        assert_eq!(
            found,
            [
                "TC-01: `description` is empty or a placeholder",
                "TC-01: `expected` is empty or a placeholder",
                "TC-01: the id is used by test cases 1 and 2",
                "TC-01: `expected` is missing or not text",
                "1: `id` must be of the form TC-01",
                "1: `type` is empty or a placeholder",
                "test case 4 must be a map with id, type, description, module, expected",
            ]
        );
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for plan in [
            "",
            "tests: []",
            "tests: 3",
            "{}",
            "just words",
            "tests: [}",
            "a: &x 1\ntests: *x",
            "tests: []\ntest_cases: []",
        ] {
            assert!(parse(plan.as_bytes()).is_err(), "{plan}");
        }
    }

    #[test]
    fn placeholders_are_known_when_seen() {
        for text in ["", " ", "TODO", "todo: later", "TBD.", "<expected>", "[fill in]", "...", "…", "N/A", "?", "xxx"]
        {
            assert!(is_placeholder(text), "{text:?}");
        }
        for text in
            ["a page with <b> in it", "the todo list is shown", "200", "<ul> becomes <ol>", "none of the links break"]
        {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_plan_that_was_cut_off_is_never_larger(cut in 0..GOOD.len()) {
            if let Ok(cases) = parse(&GOOD.as_bytes()[..cut]) { prop_assert!(cases.len() <= 2); }
        }
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) { let _ = parse(&bytes); }
    }
}
