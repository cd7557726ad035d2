//! Changes of thousands of files: they are judged in a moment, and what is plainly the same file is found among them.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use std::time::{Duration, Instant};
use tamper_kit::told;

fn text(of: usize, lines: usize) -> String {
    let lines: Vec<String> =
        (0..lines).map(|line| format!("  expect(cart_{of}(line {line})).to eq({})", line * of)).collect();
    lines.join("\n") + "\n"
}

#[test]
fn many_files_that_are_gone_and_many_that_are_new_are_compared_in_a_moment() {
    let files: Vec<(String, String, bool)> = (0..6_000)
        .map(|n| {
            let gone = n % 2 == 0;
            let path = if gone { format!("spec/a{n}_spec.rb") } else { format!("lib/a{n}.rb") };
            (path, text(n, 12), gone)
        })
        .collect();
    let side = |wanted: bool, (_, text, gone): &(String, String, bool)| (*gone == wanted).then(|| text.clone());
    let sides: Vec<(Option<String>, Option<String>)> =
        files.iter().map(|file| (side(true, file), side(false, file))).collect();
    let changed: Vec<(&str, Option<&str>, Option<&str>)> =
        files.iter().zip(&sides).map(|((path, _, _), (b, a))| (path.as_str(), b.as_deref(), a.as_deref())).collect();
    let start = Instant::now();
    let found = told(&changed);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(found.len(), 3_000);
    assert!(found.iter().all(|(kind, _)| *kind == Kind::TestFileDeleted));
}

#[test]
fn the_file_that_another_one_became_is_found_among_many() {
    let (was, others): (String, Vec<String>) = (text(7, 20), (20..320).map(|n| text(n, 20)).collect());
    let touched = was.replacen("expect", "  expect", 3).replace("(line 5)", "(five)");
    let paths: Vec<String> = (0..others.len()).map(|n| format!("lib/b{n}.rb")).collect();
    let with = |path: &'static str, text: &str| {
        let mut files = vec![("spec/a_spec.rb", Some(was.as_str()), None), (path, None, Some(text))];
        files.extend(paths.iter().zip(&others).map(|(path, text)| (path.as_str(), None, Some(text.as_str()))));
        told(&files)
    };
    assert_eq!(with("spec/cart_spec.rb", &touched), []);
    assert_eq!(with("spec/cart_spec.rb", &was), []);
    assert_eq!(with("lib/cart.rb", &touched), [(Kind::TestIgnored, "spec/a_spec.rb".to_owned())]);
    assert_eq!(with("lib/cart.rb", &text(8, 20)), [(Kind::TestFileDeleted, "spec/a_spec.rb".to_owned())]);
}
