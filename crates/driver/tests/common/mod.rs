//! Transcripts of the real program, and how each of its runs exited. `2.1.332/x.jsonl` is what 2.1.332 printed in case `x`.

use orch_driver::classify::ProgramExit;
use orch_driver::lines::{Line, Lines};
use orch_driver::session::{Plan, Talk};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
struct End {
    exit: Option<i32>,
    stderr: String,
}

pub(crate) struct Transcript {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) exit: ProgramExit,
}

/// All of them, by name.
pub(crate) fn all() -> Vec<Transcript> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let ends: BTreeMap<String, End> = serde_json::from_slice(&std::fs::read(dir.join("ends.json")).unwrap()).unwrap();
    ends.into_iter()
        .map(|(name, end)| {
            let bytes = std::fs::read(dir.join(format!("{name}.jsonl"))).unwrap();
            let (code, signal) = match end.exit {
                Some(code) if code < 0 => (None, Some(-code)),
                code => (code, None),
            };
            Transcript { name, bytes, exit: ProgramExit { code, signal, stderr: end.stderr } }
        })
        .collect()
}

/// A talk that has heard these bytes and asks for no document.
pub(crate) fn heard(bytes: &[u8]) -> Talk {
    let mut talk = Talk::new(Plan { most_refusals: 5, ..Plan::default() });
    talk.begin();
    let mut lines = Lines::default();
    let mut hear = |line: Line| match line {
        Line::Whole(line) => drop(talk.line(&line)),
        Line::TooLong(n) => drop(talk.too_long(n)),
    };
    lines.push(bytes).into_iter().for_each(&mut hear);
    lines.finish().into_iter().for_each(&mut hear);
    talk
}
