//! Refusals whose kind is a guess: which one a job has met last, and how often in a row. A service that says no may say so
//! for good or for now, and often only the repetition tells.

use crate::ids::JobId;
use std::collections::BTreeMap;

/// A refusal whose kind is a guess is final when a job has met the same one this often in a row.
pub const REFUSALS: u32 = 5;

/// What jobs were refused last, and how often in a row.
#[derive(Clone, Debug, Default)]
pub struct Refusals(BTreeMap<JobId, (String, u32)>);

impl Refusals {
    /// Notes a refusal; true if this job has met the same one too often.
    pub fn is_final(&mut self, job: JobId, text: &str) -> bool {
        let text = alike(text);
        let last = self.0.entry(job).or_default();
        let times = if last.0 == text { last.1 + 1 } else { 1 };
        *last = (text, times);
        if times < REFUSALS {
            return false;
        }
        self.0.remove(&job);
        true
    }

    /// The job has come to an end, or its service has not answered at all.
    pub fn forget(&mut self, job: JobId) {
        self.0.remove(&job);
    }
}

/// A refusal without what is different each time: numbers, ids and the names of temporary files, which have a digit.
fn alike(text: &str) -> String {
    let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    text.split(|c: char| c.is_whitespace() || matches!(c, '/' | '\'' | ':' | ',' | '(' | ')'))
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;

    #[test]
    fn a_refusal_is_final_when_it_is_the_same_again_and_again() {
        let (one, other) = (JobId { task: TaskId(7), seq: 3 }, JobId { task: TaskId(7), seq: 4 });
        let mut refusals = Refusals::default();
        let said = |n: u32| format!("push feature/x: pack-objects died, see /tmp/tmp_pack_x{n}Y and 1234567{n}");
        for n in 1..REFUSALS {
            assert!(!refusals.is_final(one, &said(n)), "{n}");
            assert!(!refusals.is_final(other, &said(n)), "each job is counted alone");
        }
        assert!(refusals.is_final(one, &said(9)));
        assert!(!refusals.is_final(other, "push feature/x: something else"), "another refusal is another beginning");
        for n in 2..REFUSALS {
            assert!(!refusals.is_final(other, "push feature/x: something else"), "{n}");
        }
        refusals.forget(other);
        assert!(!refusals.is_final(other, "push feature/x: something else"));
    }
}
