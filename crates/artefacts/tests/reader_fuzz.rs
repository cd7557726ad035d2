//! A fuzz loop that always runs: a few thousand mutations of real papers, the same ones every time. It looks for what
//! may never happen: a panic, a pass that an exact re-reading by other means does not confirm, a cut-off file that says
//! more than the whole one.

use orch_artefacts::frontmatter::{self, verdict};
use orch_artefacts::{statement, testplan};

const SEEDS: [&str; 6] = [
    "---\nverdict: REQUEST_CHANGES\nrevision: 1a2b\nfindings:\n  - {id: R1, severity: P0, file: a.sh, line: 3, text: 'x: y'}\n---\nverdict: APPROVED\n",
    "---\nverdict: APPROVED # fine\nsummary: |\n  verdict: REQUEST_CHANGES\n  ---\nfindings: []\n---\n# Review\n```\n---\nverdict: APPROVED\n---\n```\n",
    "\u{feff}---\r\nstage: review\r\nverdict: \"APPROVED\"\r\n---\r\nBody\r\n",
    "---\nnote: \"a # b\"\nlist: [1, {a: b}, 'c']\nverdict: 'REQUEST_CHANGES'\n...\n---\n",
    "---\nverdict: APPROVED\nrounds:\n  - verdict: APPROVED\n    at: 2024-01-01\n---\n",
    "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\n---\n---\nverdict: APPROVED\n---\n",
];

/// What mutations put in: everything that ends, begins, hides or repeats something in YAML or in front matter.
const PIECES: [&str; 34] = [
    "---",
    "---\n",
    "\n---\n",
    "...",
    "\n...\n",
    "# ",
    "\t",
    "\0",
    "\r",
    "\r\n",
    "\n",
    " ",
    ": ",
    "|\n  ",
    ">-\n  ",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "\u{feff}",
    "\u{202e}",
    "\u{2028}",
    "\u{85}",
    "\u{410}",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "verdict: APPROVED\n",
    "verdict: REQUEST_CHANGES\n",
    "? ",
    "%YAML 1.1\n",
];

/// A small generator: its numbers need to be spread, not random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    match dice.roll(7) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
        2 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        3 => {
            let end = (at + dice.roll(12)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let end = (at + dice.roll(40)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = dice.roll(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        5 => {
            let other = SEEDS[dice.roll(SEEDS.len())].as_bytes();
            let from = dice.roll(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let piece = PIECES[dice.roll(PIECES.len())].as_bytes();
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// Says a second, much simpler reader that this may be a pass? It knows no YAML: the front is what stands between the
/// first two `---` lines, one of its lines is the positive verdict, and no other line at its left edge is a verdict.
fn may_pass(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let bare = |line: &str| line.trim_end_matches('\n').trim_end_matches('\r').to_owned();
    if lines.first().map(|l| bare(l)) != Some("---".into()) {
        return false;
    }
    let Some(end) = lines.iter().skip(1).position(|l| l.ends_with('\n') && bare(l) == "---") else { return false };
    let is_verdict = |line: &str| {
        let line = line.trim_start_matches(['"', '\'', '?']).strip_prefix("verdict");
        let after = line.map(|rest| rest.trim_start_matches(['"', '\'', ' ', '\t']));
        after.is_some_and(|rest| {
            rest.strip_prefix(':').is_some_and(|v| v.is_empty() || v.starts_with(char::is_whitespace))
        })
    };
    let said: Vec<&str> = lines[1..=end].iter().filter(|l| is_verdict(l)).copied().collect();
    let value =
        |line: &str| line.strip_prefix("verdict:").map(|v| v.split('#').next().unwrap_or_default().trim().to_owned());
    let [line] = said[..] else { return false };
    value(line).is_some_and(|v| ["APPROVED", "'APPROVED'", "\"APPROVED\""].contains(&v.as_str()))
}

fn passes(bytes: &[u8]) -> bool {
    verdict(bytes, "verdict", "APPROVED", "REQUEST_CHANGES") == Ok(true)
}

#[test]
fn thousands_of_broken_papers_never_pass_and_never_panic() {
    let (mut passed, mut refused) = (0, 0);
    for (seed, paper) in SEEDS.iter().enumerate() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed as u64 + 1));
        for _ in 0..1_500 {
            let mut bytes = paper.as_bytes().to_vec();
            for _ in 0..=dice.roll(4) {
                mutate(&mut bytes, &mut dice);
            }
            let said = passes(&bytes);
            assert!(!said || may_pass(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
            if said {
                passed += 1;
                // Whatever follows the front matter changes nothing, and a front matter that lost its end says nothing.
                let mut longer = bytes.clone();
                longer.extend_from_slice(SEEDS[dice.roll(SEEDS.len())].as_bytes());
                assert!(passes(&longer), "{:?}", String::from_utf8_lossy(&longer));
                let document = frontmatter::read(&bytes).unwrap();
                let front = bytes.len() - document.body.len().min(bytes.len());
                assert!(!passes(&bytes[..front.saturating_sub(1)]) || document.body.contains('\u{fffd}'));
            } else {
                refused += 1;
            }
            if let Ok(whole) = statement::read(&bytes, "verdict", "APPROVED", "REQUEST_CHANGES") {
                assert!(!whole.good || said, "{:?}", String::from_utf8_lossy(&bytes));
                assert!(whole.good || !whole.findings.is_empty(), "a refusal says why");
            }
            let _ = testplan::parse(&bytes);
        }
    }
    assert!(passed > 300 && refused > 3_000, "the loop reaches both sides: {passed} passed, {refused} refused");
}

#[test]
fn cut_off_at_any_byte_a_paper_says_no_more_than_the_whole_one() {
    for paper in SEEDS {
        let whole = passes(paper.as_bytes());
        for cut in 0..paper.len() {
            assert!(!passes(&paper.as_bytes()[..cut]) || whole, "{paper:?} cut at {cut}");
        }
    }
}

#[test]
fn very_long_lines_are_read_or_refused_quickly() {
    let long = "x".repeat(3_000_000);
    let start = std::time::Instant::now();
    assert!(passes(format!("---\nverdict: APPROVED\n---\n{long}").as_bytes()));
    assert!(!passes(format!("---\nverdict: APPROVED\nnote: {long}\n---\n").as_bytes()));
    assert!(!passes(format!("---\nverdict: APPROVED{}\n---\n", " ".repeat(3_000_000)).as_bytes()));
    assert!(!passes(format!("---\n# {long}").as_bytes()));
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
