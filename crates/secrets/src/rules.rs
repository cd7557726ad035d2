//! What is looked for: the built-in rules and those of an operator, in the one form both are written in. The built-in
//! rules are the floor: a rule file may add to them, refine one or switch one off by name, and never replaces them whole.
//! An expression is compiled when a blob first holds its keyword, because a start that compiles a hundred of them would
//! cost every gate a second.

use crate::allow::{Allowlist, Found};
use crate::dialect;
use crate::parse;
use regex::bytes::Regex;
use std::sync::{Arc, LazyLock, OnceLock};

/// The rule files of orch itself, by name.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("cloud.toml", include_str!("../rules/cloud.toml")),
    ("forges.toml", include_str!("../rules/forges.toml")),
    ("chat.toml", include_str!("../rules/chat.toml")),
    ("money.toml", include_str!("../rules/money.toml")),
    ("models.toml", include_str!("../rules/models.toml")),
    ("packages.toml", include_str!("../rules/packages.toml")),
    ("operations.toml", include_str!("../rules/operations.toml")),
    ("office.toml", include_str!("../rules/office.toml")),
    ("keys.toml", include_str!("../rules/keys.toml")),
    ("addresses.toml", include_str!("../rules/addresses.toml")),
    ("generic.toml", include_str!("../rules/generic.toml")),
    ("names.toml", include_str!("../rules/names.toml")),
];

/// An expression in Go's dialect, compiled when it is first needed.
#[derive(Clone)]
pub(crate) struct Pattern {
    go: Arc<str>,
    compiled: Arc<OnceLock<Regex>>,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pattern").field(&self.go).finish()
    }
}

impl Pattern {
    /// Not looked at until it is used: for the built-in rules, whose tests compile every one.
    pub(crate) fn later(go: &str) -> Pattern {
        Pattern { go: go.into(), compiled: Arc::default() }
    }

    /// Compiled now.
    pub(crate) fn now(go: &str) -> Result<Pattern, String> {
        let regex = dialect::compile(go)?;
        let pattern = Pattern::later(go);
        let _ = pattern.compiled.set(regex);
        Ok(pattern)
    }

    /// # Panics
    /// If a built-in expression does not compile; a scan that cannot look must not pass.
    pub(crate) fn regex(&self) -> &Regex {
        self.compiled.get_or_init(|| match dialect::compile(&self.go) {
            Ok(regex) => regex,
            Err(why) => panic!("a built-in expression does not compile: {why}"),
        })
    }
}

/// How closely the engine looks at what a rule's expression found, beyond entropy and allowlists. Set by the tags
/// `generic`, `password`, `address` and `basic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Care {
    /// The form alone proves it: only obvious stand-ins are dropped.
    #[default]
    Form,
    /// The form proves nothing: words, identifiers, templates and references are dropped.
    Generic,
    /// A password a person may have thought of.
    Password,
    /// A password where nothing else is written: between a user and a server.
    Address,
    /// Base64 of `user:password`.
    Basic,
}

/// One rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) description: Arc<str>,
    /// Where the provider describes the form.
    pub(crate) source: Option<String>,
    pub(crate) regex: Option<Pattern>,
    pub(crate) path: Option<Pattern>,
    /// 0: the first group that matched something, else the whole match.
    pub(crate) group: Option<usize>,
    pub(crate) entropy: Option<f64>,
    /// Lower case.
    pub(crate) keywords: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) allowlists: Vec<Allowlist>,
    /// How far after a keyword a match may end; `None`: anywhere in the text, as in gitleaks.
    pub(crate) reach: Option<usize>,
    pub(crate) built_in: bool,
}

impl Rule {
    pub(crate) fn care(&self) -> Care {
        let tagged = |tag: &str| self.tags.iter().any(|t| t == tag);
        match () {
            () if tagged("generic") => Care::Generic,
            () if tagged("password") => Care::Password,
            () if tagged("address") => Care::Address,
            () if tagged("basic") => Care::Basic,
            () => Care::Form,
        }
    }

    /// Does its own definition say that this is no secret?
    pub(crate) fn denies(&self, found: &Found<'_>) -> bool {
        self.allowlists.iter().any(|list| list.built_in && list.allows(found))
    }

    /// This rule with everything another one of the same name says instead, as gitleaks' `[extend]` does it.
    fn refined_by(&self, other: &Rule) -> Rule {
        let text = |new: &Arc<str>, old: &Arc<str>| if new.is_empty() { old.clone() } else { new.clone() };
        let joined = |old: &[String], new: &[String]| old.iter().chain(new).cloned().collect();
        Rule {
            id: self.id.clone(),
            description: text(&other.description, &self.description),
            source: other.source.clone().or_else(|| self.source.clone()),
            regex: other.regex.clone().or_else(|| self.regex.clone()),
            path: other.path.clone().or_else(|| self.path.clone()),
            group: other.group.or(self.group),
            entropy: other.entropy.or(self.entropy),
            keywords: joined(&self.keywords, &other.keywords),
            tags: joined(&self.tags, &other.tags),
            allowlists: self.allowlists.iter().chain(&other.allowlists).cloned().collect(),
            // A new expression may match farther from the keyword than the old one did.
            reach: if other.regex.is_some() { None } else { self.reach },
            built_in: self.built_in && other.regex.is_none(),
        }
    }
}

/// A set of rules and allowlists.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) list: Vec<Arc<Rule>>,
    pub(crate) allowlists: Vec<Arc<Allowlist>>,
    pub(crate) disabled: Vec<String>,
}

/// What people may know of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name.
    pub id: String,
    /// What it finds.
    pub description: String,
    /// Where the provider describes the form.
    pub source: Option<String>,
}

/// Why a rule file was refused: where, and what is wrong. Never holds text of a rule's expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{why}", line.map(|l| format!("line {l}: ")).unwrap_or_default(), if place.is_empty() { String::new() } else { format!("{place}: ") })]
pub struct RuleError {
    /// Line of the file, from 1, if known.
    pub line: Option<usize>,
    /// "rule `x`, `regex`"; empty if it is about the whole file.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

impl Rules {
    /// The rules orch brings along.
    ///
    /// # Panics
    /// If one of the embedded files cannot be read, which a test rules out.
    pub fn builtin() -> Rules {
        static RULES: LazyLock<Rules> = LazyLock::new(|| {
            let mut all = Rules::default();
            for (name, text) in BUILT_IN {
                match parse::read(text, true) {
                    Ok(rules) => all.list.extend(rules.list),
                    Err(e) => panic!("{name}: {e}"),
                }
            }
            all
        });
        RULES.clone()
    }

    /// Reads a rule file in gitleaks' TOML form. Every expression is compiled, so that a typing mistake is found when the
    /// file is read and not when a secret comes by.
    pub fn parse(text: &str) -> Result<Rules, RuleError> {
        parse::read(text, false)
    }

    /// These rules with those of a rule file: new ones added, those of the same name refined, `disabledRules` taken out,
    /// allowlists joined. `useDefault = false` takes nothing away: the floor stays.
    pub fn extended_by(&self, other: &Rules) -> Rules {
        let mut joined = self.clone();
        for rule in &other.list {
            match joined.list.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => *known = Arc::new(known.refined_by(rule)),
                None => joined.list.push(rule.clone()),
            }
        }
        joined.list.retain(|rule| !other.disabled.iter().any(|id| **id == *rule.id));
        joined.allowlists.extend(other.allowlists.iter().cloned());
        joined.disabled.extend(other.disabled.iter().cloned());
        joined
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every rule, for people.
    pub fn infos(&self) -> impl Iterator<Item = RuleInfo> + '_ {
        self.list.iter().map(|r| RuleInfo {
            id: r.id.to_string(),
            description: r.description.to_string(),
            source: r.source.clone(),
        })
    }
}

/// Which built-in expressions do not compile; for the tests, as the rules themselves compile late.
pub fn check_built_in() -> Vec<String> {
    let mut wrong = Vec::new();
    for rule in Rules::builtin().list {
        let lists = rule.allowlists.iter().flat_map(|list| list.regexes.iter().chain(&list.paths));
        for pattern in rule.regex.iter().chain(&rule.path).chain(lists) {
            if let Err(why) = dialect::compile(&pattern.go) {
                wrong.push(format!("{}: {why}", rule.id));
            }
        }
    }
    wrong
}
