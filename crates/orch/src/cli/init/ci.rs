//! What a repository's own CI runs: the lines of its GitHub workflows, the services it starts. They guide a choice between
//! ways that are found elsewhere; no line of them is taken over.

use super::tree::Tree;

/// What CI says.
#[derive(Default)]
pub(super) struct Ci {
    /// Lines that could be commands, trimmed.
    lines: Vec<String>,
    /// Images of services.
    services: Vec<String>,
}

impl Ci {
    pub(super) fn of(tree: &Tree) -> Self {
        let is_workflow = |name: &&String| {
            let end = name.rsplit_once('.').map(|(_, end)| end);
            name.starts_with(".github/workflows/") && matches!(end, Some("yml" | "yaml")) || *name == ".gitlab-ci.yml"
        };
        let mut ci = Self::default();
        for name in tree.names().iter().filter(is_workflow) {
            let mut services: Option<usize> = None;
            for line in tree.read(name).unwrap_or_default().lines() {
                let depth = line.len() - line.trim_start().len();
                if !line.trim().is_empty() && services.is_some_and(|at| depth <= at) {
                    services = None;
                }
                if line.trim() == "services:" {
                    services = Some(depth);
                }
                let line = line.trim().trim_start_matches("- ").trim();
                if line.starts_with('#') {
                    continue;
                }
                if let Some(image) = line.strip_prefix("image:").filter(|_| services.is_some()) {
                    ci.services.push(image.trim().trim_matches(['"', '\'']).to_owned());
                }
                let line = line.strip_prefix("run:").unwrap_or(line).trim();
                if !line.is_empty() {
                    ci.lines.push(line.to_owned());
                }
            }
        }
        ci.services.sort();
        ci.services.dedup();
        ci
    }

    /// The first of these programs' lines: words behind the program, as in `make` `test`.
    pub(super) fn runs<'a>(&'a self, program: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
        self.lines.iter().filter_map(move |line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == program || word.ends_with(&format!("/{program}")))?;
            // What stands before it is its environment or `sudo`.
            let before = words[..at].iter().all(|word| word.contains('=') || ["sudo", "exec", "time"].contains(word));
            before.then(|| words[at + 1..].to_vec())
        })
    }

    /// Is this word on some line?
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line.split(|c: char| c.is_whitespace() || "\"'$(){};".contains(c)).any(|w| w == word))
    }

    /// Is this text on some line?
    pub(super) fn contains(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Images of the services it starts.
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }
}
