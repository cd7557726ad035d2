//! Words of a command, and what files they stand for.

use super::shell::{Item, Piece, Simple, Word};
use super::walk::{Language, ONE, Place, ROOT, STAR, UNKNOWN};

/// Is there an interpreter behind this one in its pipe that reads what to do from it?
pub(super) fn feeds_interpreter(items: &[Item]) -> bool {
    let behind = items.iter().skip(1).map_while(|item| match item {
        Item::Run(simple) if simple.piped => Some(simple),
        _ => None,
    });
    let name = |simple: &Simple| simple.words.iter().filter_map(literal).map(str::to_owned).collect::<Vec<_>>();
    behind.map(name).any(|words| {
        words.iter().any(|w| {
            let name = w.rsplit('/').next().unwrap_or_default();
            ["sh", "bash", "dash", "zsh", "ksh", "ash", "python", "python3", "node", "ruby", "perl", "xargs", "ssh"]
                .contains(&name)
        })
    })
}

pub(super) fn literal(word: &Word) -> Option<&str> {
    match &word[..] {
        [Piece::Text(text)] => Some(text),
        _ => None,
    }
}

/// `NAME=value` as the first word of a command.
pub(super) fn assignment(word: &Word) -> Option<(String, Word)> {
    let (Piece::Text(first), rest) = word.split_first()? else { return None };
    let (name, value) = first.split_once('=')?;
    let name = name.trim_end_matches('+');
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let value = std::iter::once(Piece::Text(value.to_owned())).chain(rest.iter().cloned()).collect();
    (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then(|| (name.to_owned(), value))
}

pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(super) fn directory(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((dir, _)) if dir.chars().eq([ROOT]) => format!("{ROOT}/"),
        Some((dir, _)) => dir.to_owned(),
        None if path.starts_with(UNKNOWN) => path.to_owned(),
        None => ".".to_owned(),
    }
}

pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// `a/{b,c}` is `a/b` and `a/c`.
pub(super) fn braces(value: &str) -> Vec<String> {
    let inside = value.find('{').and_then(|from| Some((from, from + value[from..].find('}')?)));
    match inside {
        Some((from, to)) if value[from..to].contains(',') => {
            let each = value[from + 1..to].split(',').take(16);
            each.map(|part| format!("{}{part}{}", &value[..from], &value[to + 1..])).collect()
        }
        _ => vec![value.to_owned()],
    }
}

/// The path or the pattern a value stands for in a directory; `None` for what is outside or says nothing.
pub(super) fn pattern_of(value: &str, dir: &str) -> Option<Place> {
    let whole = match value.strip_prefix(ROOT) {
        Some(rest) => rest.to_owned(),
        None if value.starts_with(['/', '~']) || value.contains("://") => return None,
        None if value.starts_with(UNKNOWN) => value.to_owned(),
        None => format!("{dir}/{value}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    if !whole.contains([UNKNOWN, STAR, ONE]) {
        return Some(Place::Path(parts.join("/")));
    }
    // What stands before the last thing nobody knows may be any directory.
    let unknown = |part: &&str| part.chars().all(|c| c == UNKNOWN);
    let from = parts.iter().rposition(unknown).map_or(0, |at| at + 1);
    let anywhere = from > 0 || parts.first().is_some_and(|part| part.starts_with(UNKNOWN) && parts.len() > 1);
    let said = |part: &&str| part.replace([UNKNOWN, STAR], "*").replace(ONE, "?");
    let tail: Vec<String> = parts[from..].iter().map(said).collect();
    if tail.is_empty() || tail.iter().all(|part| part.chars().all(|c| "*?".contains(c))) && from == parts.len() {
        return None;
    }
    if anywhere && tail.iter().all(|part| part.trim_matches(['*', '?']).is_empty()) {
        return None;
    }
    let start = if anywhere { "**/" } else { "/" };
    Some(Place::Pattern(format!("{start}{}", tail.join("/"))))
}

/// Endings of files that are run, or that say what is run.
const RUN: [&str; 40] = [
    "sh", "bash", "zsh", "ksh", "fish", "py", "rb", "pl", "php", "lua", "js", "mjs", "cjs", "ts", "mts", "cts", "ps1",
    "groovy", "gradle", "kts", "mk", "tf", "hcl", "sql", "yml", "yaml", "toml", "ini", "cfg", "conf", "service", "env",
    "jq", "awk", "sed", "expect", "bats", "nix", "j2", "xml",
];

pub(super) fn is_script(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let manifest = ["package.json", "Cargo.toml", "pyproject.toml", "pom.xml", "pnpm-lock.yaml", "uv.lock"];
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let literal = stem.chars().any(char::is_alphanumeric) || path.matches('/').count() > 1;
    literal && RUN.contains(&ending.to_ascii_lowercase().as_str()) && !manifest.contains(&name)
}

pub(super) fn language_of(path: &str, text: &str, wanted: Language) -> Language {
    if wanted != Language::Guess {
        return wanted;
    }
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, e)| e.to_ascii_lowercase());
    let first = text.lines().next().unwrap_or_default();
    let says = |words: &[&str]| first.starts_with("#!") && words.iter().any(|word| first.contains(word));
    match ending.as_deref() {
        Some("sh" | "bash" | "zsh" | "ksh" | "bats") => Language::Shell,
        Some("py") => Language::Python,
        Some("js" | "mjs" | "cjs" | "ts" | "mts" | "cts") => Language::JavaScript,
        _ if says(&["python"]) => Language::Python,
        _ if says(&["node", "deno", "bun"]) => Language::JavaScript,
        _ if says(&["sh"]) => Language::Shell,
        None if !first.starts_with("#!") => Language::Shell,
        _ => Language::Guess,
    }
}
