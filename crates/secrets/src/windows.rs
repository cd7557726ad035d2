//! Which rules are worth trying, and where. One pass over the text finds all keywords of all rules; an expression then
//! runs only near its own keywords. This is most of the speed: text without keywords costs one table look-up per byte.
//! A rule without a keyword, or without a `reach`, is tried on the whole text: being fast may not change what is found.

use crate::rules::Rule;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::ops::Range;
use std::sync::Arc;

/// How far before a keyword a match of a rule with a `reach` may begin.
const BEFORE: usize = 128;

/// All keywords of a set of rules.
#[derive(Debug)]
pub(crate) struct Keywords {
    search: Option<AhoCorasick>,
    /// Rules of each keyword.
    rules: Vec<Vec<usize>>,
    /// Rules that are always tried.
    always: Vec<usize>,
    reach: Vec<Option<usize>>,
}

/// A rule to try and where; an end is where a match has to end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) rule: usize,
    pub(crate) places: Vec<Range<usize>>,
}

impl Keywords {
    pub(crate) fn of(rules: &[Arc<Rule>]) -> Result<Keywords, String> {
        let mut words: Vec<&str> = Vec::new();
        let mut of_word: Vec<Vec<usize>> = Vec::new();
        let mut always = Vec::new();
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.regex.is_some()) {
            if rule.keywords.is_empty() {
                always.push(index);
            }
            for word in &rule.keywords {
                let at = words.iter().position(|w| w == word).unwrap_or_else(|| {
                    words.push(word);
                    of_word.push(Vec::new());
                    words.len() - 1
                });
                of_word[at].push(index);
            }
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind((words.len() < 1_000).then_some(AhoCorasickKind::DFA))
            .build(&words)
            .map_err(|e| e.to_string())?;
        let search = (!words.is_empty()).then_some(search);
        Ok(Keywords { search, rules: of_word, always, reach: rules.iter().map(|r| r.reach).collect() })
    }

    /// What to try on this text.
    pub(crate) fn candidates(&self, text: &[u8]) -> Vec<Candidate> {
        let whole = || 0..text.len();
        let mut found: Vec<Candidate> =
            self.always.iter().map(|rule| Candidate { rule: *rule, places: vec![whole()] }).collect();
        let Some(search) = &self.search else { return found };
        // Where in `found` a rule stands, plus one.
        let mut slot = vec![0_u32; self.reach.len()];
        for hit in search.find_overlapping_iter(text) {
            for rule in &self.rules[hit.pattern().as_usize()] {
                if slot[*rule] == 0 {
                    found.push(Candidate { rule: *rule, places: Vec::new() });
                    slot[*rule] = found.len() as u32;
                }
                let places = &mut found[slot[*rule] as usize - 1].places;
                let place = match self.reach[*rule] {
                    Some(reach) => hit.start().saturating_sub(BEFORE)..(hit.end() + reach).min(text.len()),
                    None => whole(),
                };
                match places.last_mut() {
                    Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
                    _ => places.push(place),
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keywords: &[&str], reach: Option<usize>) -> Arc<Rule> {
        let regex = Some(crate::rules::Pattern::later("x"));
        Arc::new(Rule { keywords: keywords.iter().map(ToString::to_string).collect(), reach, regex, ..Rule::default() })
    }

    #[test]
    fn an_expression_runs_near_its_keywords_and_one_without_a_reach_everywhere() {
        let rules = [rule(&["key"], Some(10)), rule(&["key", "far"], None), rule(&[], None)];
        let keywords = Keywords::of(&rules).unwrap();
        let text = format!("{}Key = 1, key = 2{}kEy", " ".repeat(500), " ".repeat(500));
        let mut found = keywords.candidates(text.as_bytes());
        found.sort_by_key(|c| c.rule);
        assert_eq!(found[0].places, [372..522, 888..1019], "the two near ones are one place");
        assert_eq!((found[1].places.len(), found[1].places[0].clone()), (1, 0..1019));
        assert_eq!((found[2].places.len(), found[2].places[0].clone()), (1, 0..1019));
        let nothing = keywords.candidates(b"nothing here");
        assert_eq!(nothing.iter().map(|c| c.rule).collect::<Vec<_>>(), [2]);
    }
}
