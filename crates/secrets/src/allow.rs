//! What an allowlist lets through, in gitleaks' meaning of it: a commit, a path, an expression over the secret, the match
//! or the line, a stop word; one of them suffices, or with `AND` all that were given. It never reads the scanned bytes for
//! permission: an allowlist comes from a rule file, and which files may speak is the caller's to decide.

use crate::rules::Pattern;
use std::ops::Range;

/// Which text `regexes` are tried on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// The secret alone.
    #[default]
    Secret,
    /// Everything the rule's expression matched.
    Match,
    /// The lines the match is on.
    Line,
}

/// One allowlist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowlist {
    /// What people call it; "allowlist 2" if the file gave no description.
    pub(crate) name: String,
    /// Must everything that is given hold?
    pub(crate) all: bool,
    pub(crate) commits: Vec<String>,
    pub(crate) paths: Vec<Pattern>,
    pub(crate) regexes: Vec<Pattern>,
    pub(crate) target: Target,
    /// Lower case.
    pub(crate) stopwords: Vec<String>,
    /// For these rules only; empty: for all. Only of global lists.
    pub(crate) rules: Vec<String>,
    /// Part of a built-in rule's own definition: what it allows is no secret at all, so nobody has to hear of it.
    pub(crate) built_in: bool,
}

/// What a rule found, as far as an allowlist may look at it.
pub(crate) struct Found<'a> {
    pub(crate) path: &'a str,
    pub(crate) commit: Option<&'a str>,
    pub(crate) text: &'a [u8],
    pub(crate) matched: Range<usize>,
    pub(crate) secret: Range<usize>,
}

impl Found<'_> {
    fn line(&self) -> &[u8] {
        let start = self.text[..self.matched.start].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let rest = &self.text[self.matched.end..];
        let end = self.matched.end + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        &self.text[start..end]
    }
}

impl Allowlist {
    /// Says it anything at all?
    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.paths.is_empty() && self.regexes.is_empty() && self.stopwords.is_empty()
    }

    /// Is it about this rule?
    pub(crate) fn concerns(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|r| r == rule)
    }

    /// Is what was found let through?
    pub(crate) fn allows(&self, found: &Found<'_>) -> bool {
        let commit = || found.commit.is_some_and(|c| self.commits.iter().any(|known| known.eq_ignore_ascii_case(c)));
        let path = || self.paths.iter().any(|p| p.regex().is_match(found.path.as_bytes()));
        let regex = || {
            let text = match self.target {
                Target::Secret => &found.text[found.secret.clone()],
                Target::Match => &found.text[found.matched.clone()],
                Target::Line => found.line(),
            };
            self.regexes.iter().any(|r| r.regex().is_match(text))
        };
        let stopword = || {
            let secret = found.text[found.secret.clone()].to_ascii_lowercase();
            self.stopwords.iter().any(|w| memmem(&secret, w.as_bytes()))
        };
        let checks: [(bool, &dyn Fn() -> bool); 4] = [
            (!self.commits.is_empty(), &commit),
            (!self.paths.is_empty(), &path),
            (!self.regexes.is_empty(), &regex),
            (!self.stopwords.is_empty(), &stopword),
        ];
        let mut given = checks.iter().filter(|(given, _)| *given).map(|(_, check)| check());
        if self.all { !self.is_empty() && given.all(|holds| holds) } else { given.any(|holds| holds) }
    }
}

fn memmem(text: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && text.windows(word.len()).any(|w| w == word)
}
