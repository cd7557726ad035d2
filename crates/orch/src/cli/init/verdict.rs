//! What a run of the tests says: green, red, or nothing that can be told; and whether another way may be tried.

use super::missing::{self, Missing};
use super::plan::Plan;
use orch_engine::gates::CommandRun;
use std::time::Duration;

/// So many lines of a red run are shown.
const SHOWN: usize = 15;

/// What came out.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Green,
    Red {
        /// `setup`, `tests`, or `tools` where nothing could begin.
        step: &'static str,
        /// How it ended.
        end: String,
        /// The last lines that say something.
        lines: Vec<String>,
        missing: Vec<Missing>,
        /// No test has run, for want of what another way may do without.
        not_begun: bool,
    },
    /// It could not be run, or nothing was tested.
    Unknown {
        why: String,
        missing: Vec<Missing>,
    },
}

/// One try.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) commit: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    /// The ways that were red before this one.
    pub(super) before: Vec<String>,
}

/// `41 s`, `2 min 5 s`.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => "less than a second".into(),
        s if s < 60 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

/// Judges a run. `gave_up`: it was ended because it had been silent for so long.
pub(super) fn judged(run: &CommandRun, plan: &Plan, gave_up: Option<Duration>) -> Outcome {
    let setup = run.failed_setup.is_some();
    let tested = tested(&run.output);
    // Newer Pythons say with an exit code of their own that there was no test.
    let none = !setup && tested == Tested::Nothing && (run.ok || run.end == "exit 5");
    if none {
        let why = "the command ran, and nothing was tested: its output tells of no test".to_owned();
        return Outcome::Unknown { why, missing: Vec::new() };
    }
    if run.ok {
        return Outcome::Green;
    }
    let (lines, missing) = (meaningful(&run.output), missing::read(&run.output, plan));
    if let Some(silent) = gave_up {
        // Nobody knows what it would have said.
        let why = format!("stopped: it printed nothing for {}, and something it lacks is known", duration(silent));
        return Outcome::Unknown { why, missing };
    }
    let lacks = |kind: &str| missing.iter().any(|m| m.kind == kind);
    let no_rule = |line: &str| line.starts_with("make") && line.contains("No rule to make target");
    let cannot = lacks("tool") || lacks("toolchain") || run.output.lines().any(|line| no_rule(&missing::plain(line)));
    let ran = tested == Tested::Something || lines.iter().any(|line| names_a_test(line));
    let not_begun = !lacks("service") && (setup || cannot && !ran);
    Outcome::Red { step: if setup { "setup" } else { "tests" }, end: run.end.clone(), lines, missing, not_begun }
}

/// Does it lack what a build makes? The way that builds first runs the same tests, so that no red one is lost.
pub(super) fn lacks_generated(trial: &Trial) -> bool {
    let Outcome::Red { missing, .. } = &trial.outcome else { return false };
    missing.iter().any(|m| m.kind == "generated step" || m.kind == "package")
        && !missing.iter().any(|m| m.kind == "service")
}

/// May another way be green? Only where this one could not begin: red tests are red.
pub(super) fn is_anothers(trial: &Trial) -> bool {
    matches!(trial.outcome, Outcome::Red { not_begun: true, .. })
}

/// What runners say of the number of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tested {
    /// There was a test.
    Something,
    /// A runner says that there was none, and no other says that there was one.
    Nothing,
    /// No known runner says anything.
    Unsaid,
}

fn tested(output: &str) -> Tested {
    let mut found = Tested::Unsaid;
    for line in output.lines() {
        match of_line(&missing::plain(line)) {
            Tested::Something => return Tested::Something,
            Tested::Nothing => found = Tested::Nothing,
            Tested::Unsaid => {}
        }
    }
    found
}

fn of_line(line: &str) -> Tested {
    let of_number = |n: usize| if n == 0 { Tested::Nothing } else { Tested::Something };
    let lower = line.to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| c.is_whitespace() || ",:;()".contains(c)).filter(|w| !w.is_empty()).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    // Go: of each package.
    if line.starts_with("ok ") || line.starts_with("ok\t") || line.starts_with('?') {
        if line.contains("[no test files]") || line.contains("[no tests to run]") {
            return Tested::Nothing;
        }
        // TAP, too: `ok 1 - adds`.
        return if line.starts_with('?') { Tested::Unsaid } else { Tested::Something };
    }
    if line.contains("[no test files]") || lower.contains("no tests ran") {
        return Tested::Nothing;
    }
    let begins = ["not ok ", "--- PASS", "--- FAIL", "--- SKIP", "=== RUN", "\u{2713}", "\u{2714}"];
    if begins.iter().any(|sign| line.starts_with(sign)) {
        return Tested::Something;
    }
    // `Ran 3 tests in 0.1s`, `running 3 tests`.
    if matches!(words.first(), Some(&("ran" | "running"))) && words.get(2).is_some_and(|w| w.starts_with("test")) {
        return number(1).map_or(Tested::Unsaid, of_number);
    }
    // `Tests run: 3, Failures: 0`, `# tests 3`.
    let at = match words.as_slice() {
        ["tests", "run", ..] | ["[info]" | "[error]" | "[warning]", "tests", ..] => {
            words.iter().position(|word| *word == "run").map(|at| at + 1)
        }
        ["#" | "\u{2139}", "tests", _] => Some(2),
        _ => None,
    };
    if let Some(n) = at.and_then(number) {
        return of_number(n);
    }
    // `3 passed, 1 failed in 2s`; of no tests: `0 passed; 0 failed`.
    let counts = (1..words.len())
        .filter(|at| ["passed", "failed", "passing", "failing", "skipped", "ignored"].contains(&words[*at]));
    let counts: Vec<usize> = counts.filter_map(|at| number(at - 1)).collect();
    if counts.is_empty() { Tested::Unsaid } else { of_number(counts.into_iter().sum()) }
}

/// Does a line, as it is shown, name a test that failed?
fn names_a_test(line: &str) -> bool {
    orch_artefacts::failing::findings("", line).iter().any(|finding| finding.text.starts_with("failed: "))
}

/// The lines of a red run that say something: the tests it names, then the end of what it printed.
fn meaningful(output: &str) -> Vec<String> {
    let findings = orch_artefacts::failing::findings("", output);
    let named = findings.iter().filter_map(|finding| finding.text.strip_prefix("failed: "));
    let mut lines: Vec<String> = named.take(SHOWN / 2).map(str::to_owned).collect();
    // The last finding is the log itself, without what only terminals are told.
    let log = findings.last().map(|finding| finding.text.as_str()).unwrap_or_default();
    let mut said: Vec<&str> = log.lines().map(str::trim_end).filter(|line| says_something(line)).collect();
    said.dedup();
    let rest = said.iter().filter(|line| !lines.iter().any(|known| known == line.trim())).copied().collect::<Vec<_>>();
    let from = rest.len().saturating_sub(SHOWN - lines.len());
    lines.extend(rest[from..].iter().map(|line| (*line).to_owned()));
    lines
}

/// Not an empty line, a rule, or what a manager says of itself after any failure.
fn says_something(line: &str) -> bool {
    let noise = [
        "npm error A complete log",
        "npm ERR! A complete log",
        "[ERROR] -> [Help",
        "[ERROR] To see the full stack trace",
        "[ERROR] Re-run Maven",
        "[ERROR] For more information about",
        "[ERROR] [Help",
        "note: run with `RUST_BACKTRACE",
        "[notice]",
        "go: downloading ",
        "Downloading ",
        "Downloaded ",
        "   Compiling ",
    ];
    line.chars().any(char::is_alphanumeric) && !noise.iter().any(|n| line.contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_say_something_are_the_failed_tests_and_the_end() {
        let output = "running 2 tests\ntest a::b ... FAILED\n-----\n\n\u{1b}[31merror\u{1b}[0m: test failed\nnpm error A complete log of this run\n";
        assert_eq!(meaningful(output), ["test a::b ... FAILED", "running 2 tests", "error: test failed"]);
        let many = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(
            "
",
        );
        let lines = meaningful(&many);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (SHOWN, "99"));
    }

    fn ran(end: &str, setup: bool, output: &str) -> CommandRun {
        CommandRun {
            ok: end == "exit 0",
            exited: true,
            end: end.into(),
            tail: String::new(),
            log: String::new(),
            failed_setup: setup.then(|| "npm ci".into()),
            took_ms: 0,
            lacked: None,
            output: output.into(),
        }
    }

    /// May another way be tried?
    fn another(end: &str, setup: bool, output: &str) -> bool {
        let outcome = judged(&ran(end, setup, output), &Plan::default(), None);
        assert!(matches!(outcome, Outcome::Red { .. }), "{output:?}: {outcome:?}");
        is_anothers(&Trial { commit: String::new(), outcome, took: Duration::ZERO, before: Vec::new() })
    }

    #[test]
    fn another_way_is_tried_only_where_the_first_one_could_not_begin() {
        assert!(another("exit 2", false, "make: pytest: No such file or directory\n"));
        assert!(another("exit 127", false, "sh: 1: pytest: not found\n"));
        assert!(another("exit 2", false, "make: *** No rule to make target 'test'.  Stop.\n"));
        assert!(another("exit 1", true, "npm error code E404\n"));
        for red in [
            "test a::b ... FAILED\n",
            "test a::b ... FAILED\nerror: linker `cc` not found\n",
            "running 3 tests\nsh: 1: docker: not found\n",
            "make: *** [Makefile:2: test] Error 2\n",
            "make: *** [test] Error 1\ndial tcp 127.0.0.1:5432: connect: connection refused\n",
            "something is wrong\n",
        ] {
            assert!(!another("exit 2", false, red), "{red:?}");
        }
        // A setup that lacks a service lacks it in every way.
        assert!(!another("exit 1", true, "Error: connect ECONNREFUSED 127.0.0.1:5432\n"));
        assert!(!another("exit 127", false, "./test.sh: 17: redis-server: not found\n"));
    }

    #[test]
    fn a_run_without_a_test_is_not_green() {
        let is_green =
            |output: &str| matches!(judged(&ran("exit 0", false, output), &Plan::default(), None), Outcome::Green);
        for nothing in [
            "\n----------------------------------------------------------------------\nRan 0 tests in 0.000s\n\nOK\n",
            "?   \texample.org/shop\t[no test files]\n?   \texample.org/shop/a\t[no test files]\n",
            "ok  \texample.org/shop\t0.001s [no tests to run]\n",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            "[INFO] Tests run: 0, Failures: 0, Errors: 0, Skipped: 0\n",
            "# tests 0\n# pass 0\n",
        ] {
            assert!(!is_green(nothing), "{nothing:?}");
        }
        for something in [
            "",
            "all is well\n",
            "Ran 1 test in 0.000s\n\nOK\n",
            "?   \texample.org/shop\t[no test files]\nok  \texample.org/shop/a\t0.001s\n",
            "running 2 tests\ntest result: ok. 2 passed; 0 failed\n   Doc-tests shop\nrunning 0 tests\n",
            "[INFO] Tests run: 4, Failures: 0, Errors: 0, Skipped: 0\n",
            "\u{1b}[32m12 passed\u{1b}[0m in 0.10s\n",
            "Ran 0 tests in 0.0s\nok 1 - it adds\n",
        ] {
            assert!(is_green(something), "{something:?}");
        }
        let newer = judged(&ran("exit 5", false, "Ran 0 tests in 0.000s\n\nNO TESTS RAN\n"), &Plan::default(), None);
        assert!(matches!(&newer, Outcome::Unknown { why, .. } if why.contains("nothing was tested")), "{newer:?}");
        let red = judged(&ran("exit 1", false, "Ran 0 tests in 0.000s\n"), &Plan::default(), None);
        assert!(matches!(red, Outcome::Red { .. }), "{red:?}");
    }

    #[test]
    fn a_run_that_was_ended_for_its_silence_is_not_red_and_no_other_way_is_tried() {
        let run = ran("cancelled", false, "sh: 1: protoc: not found\n");
        let outcome = judged(&run, &Plan::default(), Some(Duration::from_mins(1)));
        let Outcome::Unknown { why, missing } = &outcome else { panic!("{outcome:?}") };
        assert!(why.contains("printed nothing for 1 min") && missing[0].kind == "tool", "{outcome:?}");
        assert!(!is_anothers(&Trial { commit: String::new(), outcome, took: Duration::ZERO, before: Vec::new() }));
    }
}
