//! Reads rule files in gitleaks' TOML form. Fail closed: a key nobody knows, an expression that does not compile or a rule
//! that can find nothing refuses the whole file and says in which line and rule, because a rule file that is half
//! understood lets through what its author believes to be caught.
//!
//! The form: <https://github.com/gitleaks/gitleaks#configuration>. Two keys of our own: `source` (where the provider
//! describes the form) and `reach` (how far after a keyword a match may end).

use crate::allow::{Allowlist, Target};
use crate::rules::{Pattern, Rule, RuleError, Rules};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest rule file, bytes.
const MAX_BYTES: usize = 1 << 20;
/// Most rules in one.
const MAX_RULES: usize = 2_000;
/// How far after a keyword a match of a built-in rule may end, if the rule does not say; `reach = 0` is everywhere.
const BUILT_IN_REACH: usize = 700;
/// Longest list or expression.
const MAX_ITEMS: usize = 5_000;

const TOP: &[&str] = &["title", "description", "extend", "allowlist", "allowlists", "rules", "minVersion"];
const EXTEND: &[&str] = &["useDefault", "disabledRules", "path", "url"];
const RULE: &[&str] = &[
    "id",
    "description",
    "regex",
    "path",
    "secretGroup",
    "entropy",
    "keywords",
    "tags",
    "allowlist",
    "allowlists",
    "source",
    "reach",
];
const ALLOW: &[&str] =
    &["description", "condition", "commits", "paths", "regexes", "regexTarget", "stopwords", "targetRules", "id"];
/// Keys gitleaks knows and this reader does not; leaving them out would change what is found.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("required", "composite rules are not supported"),
    ("skipReport", "composite rules are not supported"),
    ("verify", "secrets are never sent anywhere to be tried"),
    ("validate", "secrets are never sent anywhere to be tried"),
];

/// Reads one file. Built-in ones are trusted to compile.
pub(crate) fn read(text: &str, built_in: bool) -> Result<Rules, RuleError> {
    let whole = |why: String| RuleError { line: None, place: String::new(), why };
    if text.len() > MAX_BYTES {
        return Err(whole("the file is larger than 1 MiB".into()));
    }
    let table = DeTable::parse(text).map_err(|e| RuleError {
        line: e.span().map(|s| line_of(text, s.start)),
        place: String::new(),
        why: e.message().to_owned(),
    })?;
    let top = Section { text, place: String::new(), line: 1, table: table.get_ref(), built_in };
    top.known(TOP)?;
    let mut rules = Rules::default();
    if let Some(extend) = top.table("extend")? {
        extend.known(EXTEND)?;
        for key in ["path", "url"] {
            if extend.get(key).is_some() {
                return Err(extend.wrong(key, "is refused: a rule file may not read another one"));
            }
        }
        extend.bool("useDefault")?;
        rules.disabled = extend.strings("disabledRules")?;
    }
    let tables = top.tables("rules")?;
    if tables.len() > MAX_RULES {
        return Err(top.wrong("rules", "has more than 2000 entries"));
    }
    for section in tables {
        let rule = rule(section)?;
        if rules.list.iter().any(|r: &Arc<Rule>| r.id == rule.1.id) {
            return Err(rule.0.wrong("id", "is given twice"));
        }
        rules.list.push(Arc::new(rule.1));
    }
    rules.allowlists = allowlists(&top, true)?.into_iter().map(Arc::new).collect();
    Ok(rules)
}

fn rule(mut section: Section<'_>) -> Result<(Section<'_>, Rule), RuleError> {
    let id = section.string("id")?.filter(|id| !id.is_empty()).ok_or_else(|| section.missing("id"))?;
    section.place = format!("rule `{id}`");
    section.known(RULE)?;
    let regex = section.pattern("regex")?;
    let path = section.pattern("path")?;
    if regex.is_none() && path.is_none() && (section.built_in || !built_in_id(&id)) {
        return Err(section.wrong("regex", "is missing, there is no `path` either, and no built-in rule has this id"));
    }
    let group = section.number("secretGroup")?.map(|n| n as usize);
    if let (Some(wanted), Some(regex), false) = (group, &regex, section.built_in) {
        let has = regex.regex().captures_len() - 1;
        if wanted > has {
            return Err(section.wrong("secretGroup", &format!("is {wanted}, but the expression has {has} groups")));
        }
    }
    let rule = Rule {
        id: id.into(),
        description: section.string("description")?.unwrap_or_default().into(),
        source: section.string("source")?,
        regex,
        path,
        group,
        entropy: section.number("entropy")?,
        keywords: section.strings("keywords")?.into_iter().map(|k| k.to_ascii_lowercase()).collect(),
        tags: section.strings("tags")?,
        allowlists: allowlists(&section, false)?,
        reach: match section.number("reach")?.map(|n| n as usize) {
            Some(0) => None,
            None if section.built_in => Some(BUILT_IN_REACH),
            reach => reach,
        },
        built_in: section.built_in,
    };
    if rule.keywords.iter().any(String::is_empty) {
        return Err(section.wrong("keywords", "holds an empty word"));
    }
    Ok((section, rule))
}

fn built_in_id(id: &str) -> bool {
    Rules::builtin().list.iter().any(|r| *r.id == *id)
}

/// `[[allowlists]]` and the older `[allowlist]`.
fn allowlists(owner: &Section<'_>, global: bool) -> Result<Vec<Allowlist>, RuleError> {
    let mut sections: Vec<Section<'_>> = owner.table("allowlist")?.into_iter().collect();
    sections.extend(owner.tables("allowlists")?);
    sections.iter().enumerate().map(|(n, section)| allowlist(section, n + 1, global)).collect()
}

fn allowlist(section: &Section<'_>, number: usize, global: bool) -> Result<Allowlist, RuleError> {
    section.known(ALLOW)?;
    let list = Allowlist {
        name: section.string("description")?.unwrap_or_else(|| format!("allowlist {number}")),
        all: match section.string("condition")?.unwrap_or_default().to_ascii_uppercase().as_str() {
            "" | "OR" | "||" => false,
            "AND" | "&&" => true,
            _ => return Err(section.wrong("condition", "must be `OR` or `AND`")),
        },
        commits: section.strings("commits")?,
        paths: section.patterns("paths")?,
        regexes: section.patterns("regexes")?,
        target: match section.string("regexTarget")?.unwrap_or_default().as_str() {
            "" | "secret" => Target::Secret,
            "match" => Target::Match,
            "line" => Target::Line,
            _ => return Err(section.wrong("regexTarget", "must be `secret`, `match` or `line`")),
        },
        stopwords: section.strings("stopwords")?.into_iter().map(|w| w.to_ascii_lowercase()).collect(),
        rules: section.strings("targetRules")?,
        built_in: section.built_in,
    };
    if !global && !list.rules.is_empty() {
        return Err(section.wrong("targetRules", "is for lists outside a rule"));
    }
    if list.is_empty() {
        return Err(
            section.wrong("regexes", "is missing, and so are `paths`, `commits` and `stopwords`: it allows nothing")
        );
    }
    if list.stopwords.iter().any(String::is_empty) {
        return Err(section.wrong("stopwords", "holds an empty word"));
    }
    Ok(list)
}

fn line_of(text: &str, at: usize) -> usize {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..at.min(text.len())]).count() + 1
}

/// One table of the file and what to call it.
struct Section<'a> {
    text: &'a str,
    place: String,
    line: usize,
    table: &'a DeTable<'a>,
    built_in: bool,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    fn error(&self, line: usize, why: String) -> RuleError {
        RuleError { line: Some(line), place: self.place.clone(), why }
    }

    fn wrong(&self, key: &str, why: &str) -> RuleError {
        let line = self.get(key).map_or(self.line, |v| line_of(self.text, v.span().start));
        self.error(line, format!("`{key}` {why}"))
    }

    fn missing(&self, key: &str) -> RuleError {
        self.error(self.line, format!("`{key}` is missing"))
    }

    fn known(&self, keys: &[&str]) -> Result<(), RuleError> {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if keys.contains(&name) {
                continue;
            }
            let line = line_of(self.text, key.span().start);
            if let Some((_, why)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
                return Err(self.error(line, format!("`{name}`: {why}")));
            }
            let near = keys
                .iter()
                .map(|k| (strsim::jaro_winkler(&name.to_ascii_lowercase(), &k.to_ascii_lowercase()), k))
                .filter(|(score, _)| *score > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = near.map(|(_, k)| format!(": did you mean `{k}`?")).unwrap_or_default();
            return Err(self.error(line, format!("unknown key `{name}`{hint}")));
        }
        Ok(())
    }

    fn kind(&self, key: &str, value: &DeValue<'_>, wanted: &str) -> RuleError {
        self.wrong(key, &format!("must be {wanted}, not {}", value.type_str()))
    }

    fn string(&self, key: &str) -> Result<Option<String>, RuleError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.kind(key, value.get_ref(), "a string"))?;
        Ok(Some(text.to_owned()))
    }

    fn bool(&self, key: &str) -> Result<Option<bool>, RuleError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.kind(key, value.get_ref(), "`true` or `false`"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, RuleError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::Integer(i) => i.to_string(),
            DeValue::Float(f) => f.to_string(),
            other => return Err(self.kind(key, other, "a number")),
        };
        let number: Option<f64> = text.parse().ok();
        number.filter(|n| (0.0..1e9).contains(n)).map(Some).ok_or_else(|| self.wrong(key, "must be a number from 0"))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, RuleError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array().ok_or_else(|| self.kind(key, value.get_ref(), "a list of strings"))?;
        if list.len() > MAX_ITEMS {
            return Err(self.wrong(key, "has more than 5000 entries"));
        }
        let text = |item: &Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str().map(str::to_owned);
            text.ok_or_else(|| self.kind(key, item.get_ref(), "a list of strings"))
        };
        list.iter().map(text).collect()
    }

    fn compiled(&self, key: &str, go: &str) -> Result<Pattern, RuleError> {
        if go.is_empty() || go.len() > MAX_ITEMS {
            return Err(self.wrong(key, "must have 1 to 5000 bytes"));
        }
        if self.built_in {
            return Ok(Pattern::later(go));
        }
        Pattern::now(go).map_err(|why| self.wrong(key, &format!("is no expression: {why}")))
    }

    fn pattern(&self, key: &str) -> Result<Option<Pattern>, RuleError> {
        self.string(key)?.map(|go| self.compiled(key, &go)).transpose()
    }

    fn patterns(&self, key: &str) -> Result<Vec<Pattern>, RuleError> {
        self.strings(key)?.iter().map(|go| self.compiled(key, go)).collect()
    }

    fn within(&self, key: &str, value: &'a Spanned<DeValue<'a>>, place: String) -> Result<Section<'a>, RuleError> {
        let table = value.get_ref().as_table().ok_or_else(|| self.kind(key, value.get_ref(), "a table"))?;
        let line = line_of(self.text, value.span().start);
        Ok(Section { text: self.text, place, line, table, built_in: self.built_in })
    }

    fn named(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}, {name}", self.place) }
    }

    fn table(&self, key: &str) -> Result<Option<Section<'a>>, RuleError> {
        self.get(key).map(|value| self.within(key, value, self.named(&format!("[{key}]")))).transpose()
    }

    fn tables(&self, key: &str) -> Result<Vec<Section<'a>>, RuleError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array().ok_or_else(|| self.kind(key, value.get_ref(), "a list of tables"))?;
        list.iter().map(|item| self.within(key, item, self.named(&format!("[[{key}]]")))).collect()
    }
}
