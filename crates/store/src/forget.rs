//! Taking a person's name out of what is kept. Decides where in a text a name stands, so that the record still reads, with
//! the person's number in its place: `person-3`. It may never touch what a program reads: keys, words of a form, paths,
//! and a name that only has another one in it.

use crate::memory::Fact;
use orch_core::ids::{Actor, Time};
use orch_core::people;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A person to be forgotten.
#[derive(Clone, Debug)]
pub struct Forget {
    /// The person's number, from [`crate::Journal::person_ids`].
    pub id: i64,
    /// Every name, with its system (`local:anna`), and those without one (`anna`).
    pub names: Vec<Actor>,
    /// Names without a system are taken out of sentences, too, wherever they are a whole word. Otherwise they go only where
    /// they name who did something.
    pub mentions: bool,
    /// What is remembered from then on.
    pub facts: Vec<(Fact, String)>,
    /// Now.
    pub now: Time,
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows that named the person, by table.
    pub rows: BTreeMap<String, u64>,
    /// Rows in which the name without a system is still a word of a text, by table.
    pub mentions: BTreeMap<String, u64>,
    /// Documents of tasks that are not over: they name the person, and gates rest on them.
    pub documents: u64,
    /// Is nothing of it left in unused parts of the file either? Where not, the next start does it.
    pub scrubbed: bool,
}

/// Keys under which a text is who did something, or a list of people.
const WHO: &[&str] = &["by", "actor", "started_by", "asked_by", "approvers", "starters", "landers", "person", "names"];
/// Keys under which a text is a sentence, were it of one word.
const SENTENCES: &[&str] = &[
    "text", "comment", "title", "body", "reason", "because", "question", "answer", "why", "what", "shown", "summary",
    "notes",
];
/// Before the names in a refusal of [`orch_core::policy::Policy::refusal`].
const MAY: &str = "(people who may: ";

/// Puts the number of a person in the place of their names.
#[derive(Clone, Debug)]
pub struct Redactor {
    number: String,
    names: Vec<Actor>,
    mentions: bool,
}

impl Redactor {
    /// For this person.
    pub fn new(forget: &Forget) -> Self {
        Self::of(forget.id, forget.names.clone(), forget.mentions)
    }

    /// For whoever has this number and these names; `mentions` as in [`Forget`].
    pub fn of(id: i64, mut names: Vec<Actor>, mentions: bool) -> Self {
        // The longest first: one name may be the beginning of another.
        names.sort_by_key(|name| std::cmp::Reverse(name.as_str().len()));
        Self { number: people::numbered(id).to_string(), names, mentions }
    }

    /// Who did something; nothing: it is somebody else.
    pub fn who(&self, text: &str) -> Option<String> {
        let who = Actor::new(text);
        self.names.iter().any(|name| people::same_name(name, &who)).then(|| self.number.clone())
    }

    /// A sentence; nothing: the person is not named in it.
    pub fn sentence(&self, text: &str) -> Option<String> {
        let mut out = Cow::Borrowed(text);
        for name in &self.names {
            let whole = people::system(name).is_some();
            if (whole || self.mentions)
                && let Some(without) = replaced(&out, name.as_str(), &self.number, whole && people::case_matters(name))
            {
                out = Cow::Owned(without);
            }
        }
        if let Some(without) = self.listed(&out) {
            out = Cow::Owned(without);
        }
        match out {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        }
    }

    /// What orch wrote of something this person did under this name: there also a name without a system is a name.
    pub fn deed(&self, text: &str, under: &str) -> Option<String> {
        self.who(under)?;
        replaced(text, under, &self.number, true)
    }

    /// The list of people in a refusal has names as the configuration writes them.
    fn listed(&self, text: &str) -> Option<String> {
        let begin = text.find(MAY)? + MAY.len();
        let end = begin + text[begin..].find(')')?;
        let names: Vec<String> =
            text[begin..end].split(", ").map(|name| self.who(name).unwrap_or_else(|| name.to_owned())).collect();
        let names = names.join(", ");
        (names != text[begin..end]).then(|| format!("{}{names}{}", &text[..begin], &text[end..]))
    }

    /// Is what stands under this key, or in this column, who did something?
    pub fn is_who(key: &str) -> bool {
        WHO.contains(&key)
    }

    /// A column of text: JSON, or a sentence. What does not change is left byte by byte as it is.
    pub fn column(&self, text: &str) -> Option<String> {
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if text.starts_with(['{', '[', '"']) && is_json() {
            return self.json(text);
        }
        self.string("", text)
    }

    /// JSON, as text: only the strings that name the person are written anew.
    fn json(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let (mut copied, mut key) = (0, String::new());
        for (begin, end) in strings(text) {
            let Ok(value) = serde_json::from_str::<String>(&text[begin..end]) else { continue };
            if text[end..].trim_start().starts_with(':') {
                key = value;
                continue;
            }
            let who = if Self::is_who(&key) { self.who(&value) } else { None };
            let Some(new) = who.or_else(|| self.string(&key, &value)) else { continue };
            out.push_str(&text[copied..begin]);
            out.push_str(&serde_json::Value::String(new).to_string());
            copied = end;
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// A string of JSON. One of a single word may be a word of a form: there only whole names are looked for.
    fn string(&self, key: &str, value: &str) -> Option<String> {
        let sentence = value.contains(char::is_whitespace) || SENTENCES.contains(&key);
        let this = if sentence { self } else { &Self { mentions: false, ..self.clone() } };
        this.sentence(value)
    }

    /// Is a name without its system a word of this text?
    pub fn mentioned(&self, text: &str) -> bool {
        let bare = self.names.iter().filter(|name| people::system(name).is_none());
        bare.into_iter().any(|name| replaced(text, name.as_str(), "", false).is_some())
    }
}

/// Where the strings of a JSON text begin and end, with their quotes.
fn strings(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text[at..].find('"')?;
        let mut escaped = false;
        let end = text[begin + 1..].char_indices().find_map(|(i, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(begin + 1 + i + 1)
        })?;
        at = end;
        Some((begin, end))
    })
}

/// The text with every place where the name stands by itself replaced; nothing: it stands nowhere.
fn replaced(text: &str, name: &str, by: &str, exact: bool) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut before: Option<char> = None;
    while let Some(c) = text[at..].chars().next() {
        let begins = !before.is_some_and(belongs);
        match length_of(&text[at..], name, exact).filter(|long| begins && ends_here(&text[at + long..])) {
            Some(long) if 0 < long => {
                out.push_str(&text[copied..at]);
                out.push_str(by);
                at += long;
                copied = at;
                before = text[..at].chars().next_back();
            }
            _ => {
                before = Some(c);
                at += c.len_utf8();
            }
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// How many bytes of the text are the name it begins with.
fn length_of(text: &str, name: &str, exact: bool) -> Option<usize> {
    if exact {
        return text.starts_with(name).then_some(name.len());
    }
    let mut wanted = name.chars().flat_map(char::to_lowercase).peekable();
    let mut long = 0;
    for c in text.chars() {
        if wanted.peek().is_none() {
            break;
        }
        if c.to_lowercase().any(|c| wanted.next() != Some(c)) {
            return None;
        }
        long += c.len_utf8();
    }
    wanted.peek().is_none().then_some(long)
}

/// Can this be a character of a name, or of a word?
fn belongs(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_mark(c)
}

/// A combining mark changes the letter before it.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Does the name end where the rest begins? `anna` does not end in `anna.b`, and does in `anna. Next`.
fn ends_here(rest: &str) -> bool {
    let mut next = rest.chars();
    match next.next() {
        None => true,
        Some('.' | '-' | '@' | '+') => !next.next().is_some_and(belongs),
        Some(c) => !belongs(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(names: &[&str], mentions: bool) -> Redactor {
        let names = names.iter().map(|name| Actor::from(*name)).collect();
        Redactor::new(&Forget { id: 3, names, mentions, facts: Vec::new(), now: Time(0) })
    }

    #[test]
    fn a_name_goes_where_it_stands_by_itself_and_no_other_word_changes() {
        let r = redactor(&["local:ann", "gitea:Ann.B", "telegram:12", "ann"], false);
        for (text, without) in [
            ("approved by local:ann", "approved by person-3"),
            ("local:ann: local:ann, (local:ann). local:ann's", "person-3: person-3, (person-3). person-3's"),
            ("by gitea:ANN.b, not gitea:ann.bc", "by person-3, not gitea:ann.bc"),
            ("by telegram:12.", "by person-3."),
            (
                "it may not (people who may: ann, joann, local:ann)",
                "it may not (people who may: person-3, joann, person-3)",
            ),
        ] {
            assert_eq!(r.sentence(text).as_deref(), Some(without), "{text}");
        }
        for text in [
            "local:anna",
            "local:ann.b",
            "xlocal:ann",
            "local:Ann",
            "gitea:ann",
            "telegram:123",
            "ann is a word here",
            "local:ann\u{301}",
            "",
            "local:",
        ] {
            assert_eq!(r.sentence(text), None, "{text}");
        }
        assert_eq!(r.who("ann").as_deref(), Some("person-3"));
        assert_eq!((r.who("Ann"), r.who("plane:ann")), (None, None), "another one");
        assert!(r.mentioned("Ann says") && !r.mentioned("annual, joann, ann_b"));
    }

    #[test]
    fn what_a_program_reads_stays_as_it_is() {
        // A person whose name is a word of the form, in a task that is written down with odd spaces.
        let r = redactor(&["local:started", "started", "local:by"], true);
        let text = r#"{ "event":"started", "by" : "local:started","text":"started","n":1e3,"path":"/home/started/x","x":["a \"local:started\" b"]}"#;
        let now = r#"{ "event":"started", "by" : "person-3","text":"person-3","n":1e3,"path":"/home/started/x","x":["a \"person-3\" b"]}"#;
        assert_eq!(r.column(text).as_deref(), Some(now));
        assert_eq!(r.column(now).as_deref(), None, "a second time nothing changes");
        let r = redactor(&["local:anna"], false);
        assert_eq!(r.column(r#"{"by":"local:bob","text":"ä \u00e4 \\"}"#), None);
        for broken in ["[\"", "\"", "{", "", "[people] is empty"] {
            assert_eq!(r.column(broken), None, "{broken}");
        }
        assert_eq!(
            r.column("{\"by\":\"local:anna").as_deref(),
            Some("{\"by\":\"person-3"),
            "what is cut off is a text"
        );
        assert_eq!(r.column("[people] has local:anna").as_deref(), Some("[people] has person-3"));
    }

    #[test]
    fn a_mention_goes_only_where_that_is_asked_for() {
        let text = r#"["Anna, please look; annual"]"#;
        assert_eq!(redactor(&["local:anna", "anna"], false).column(text), None);
        assert_eq!(
            redactor(&["local:anna", "anna"], true).column(text).as_deref(),
            Some(r#"["person-3, please look; annual"]"#)
        );
    }

    #[test]
    fn names_of_any_script_are_found_as_they_are_written() {
        for name in ["gitea:Ольга", "login:jürgen", "local:a\"b\\c", "plane:名前", "gitea:İrem", "login:STRASSE"]
        {
            let r = redactor(&[name], false);
            let json = serde_json::to_string(&vec![format!("started by {name}!")]).unwrap();
            assert_eq!(r.column(&json).as_deref(), Some(r#"["started by person-3!"]"#), "{name}");
        }
        assert_eq!(redactor(&["gitea:ОЛЬГА"], false).sentence("by gitea:ольга").as_deref(), Some("by person-3"));
    }
}
