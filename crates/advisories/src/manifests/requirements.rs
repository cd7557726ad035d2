//! `requirements*.txt`, as pip reads it (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>), and the
//! single requirement of PEP 508. Decides which version is pinned: only `==` and `===` without a wildcard pin, anything
//! else names a package whose version is open. Environment markers are not judged: what is installed somewhere counts.
//! Lines, quotes and abbreviated options are taken as pip takes them, so that nothing is hidden in what only pip sees;
//! where a line means more than one thing, all of them count. `shell` takes the options of a line apart.

use super::shell::{self, Part};
use super::{Kind, Sink, is_manifest};
use crate::text;

/// Endings of archives that pip installs from.
const ARCHIVES: [&str; 8] = [".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz", ".tar.xz", ".tbz", ".tar"];

/// What one requirement asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// What it is called; more than one where an address and what stands before it disagree. Empty: a path, which is the
    /// repository's own.
    pub(super) names: Vec<String>,
    /// The one version that is pinned.
    pub(super) version: Option<String>,
    /// The clauses about the version, none of them included; `None` where they do not say what is installed.
    pub(super) wanted: Option<String>,
}

impl Asked {
    pub(super) fn tell(self, line: Option<u32>, out: &mut Sink<'_>) {
        for name in &self.names {
            out.asked(name, self.version.as_deref(), self.wanted.as_deref(), line);
        }
    }
}

pub(super) fn read(text: &str, out: &mut Sink<'_>) {
    if let Some(coding) = coding(text) {
        out.problem(None, &format!("is to be read as `{coding}`, and only UTF-8 is read here"));
    }
    for (line, text) in logical(text) {
        let line = Some(line);
        if let Err(why) = one_line(&text, line, out) {
            out.problem(line, &why);
        }
    }
}

/// The encoding that the first two lines ask for, where it may turn this text into another one.
fn coding(text: &str) -> Option<&str> {
    let comments = text.split('\n').take(2).filter(|line| line.starts_with('#'));
    let named = comments.filter_map(|line| {
        let at = ["coding:", "coding="].into_iter().filter_map(|word| line.find(word)).min()?;
        let rest = line[at + "coding:".len()..].trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(rest.len());
        (end > 0).then_some(&rest[..end])
    });
    let harmless = |name: &str| {
        let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let single = ["latin1", "iso88591", "iso885915", "cp1252", "windows1252"].contains(&name.as_str());
        matches!(name.as_str(), "utf8" | "utf8sig" | "ascii" | "usascii") || (single && text.is_ascii())
    };
    named.into_iter().find(|name| !harmless(name))
}

/// Lines as Python's `splitlines` has them: more than a line feed ends one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.split_inclusive('\n').flat_map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).split(ENDS)
    })
}

/// Lines put together where they end in a backslash, without comments, with the number of their first.
fn logical(text: &str) -> Vec<(u32, String)> {
    let mut out: Vec<(u32, String)> = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, line) in lines(text).enumerate() {
        let (first, mut whole) = open.take().unwrap_or((u32::try_from(number + 1).unwrap_or(u32::MAX), String::new()));
        let is_comment = line.trim_start().starts_with('#');
        match line.ends_with('\\') {
            // A comment line ends what was open, as in pip.
            true if !is_comment => {
                whole.push_str(line.trim_matches('\\'));
                open = Some((first, whole));
                continue;
            }
            _ if is_comment => {}
            _ => whole.push_str(line),
        }
        out.push((first, whole));
    }
    out.extend(open);
    for (_, line) in &mut out {
        let cut = line
            .char_indices()
            .find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with(char::is_whitespace)))
            .map_or(line.len(), |(at, _)| at);
        line.truncate(cut);
        *line = line.trim().to_owned();
    }
    out.retain(|(_, line)| !line.is_empty());
    out
}

/// What comes before the first word with a dash is a requirement, the others are options.
fn one_line(text: &str, line: Option<u32>, out: &mut Sink<'_>) -> Result<(), String> {
    let at = text.match_indices('-').map(|(at, _)| at).find(|at| *at == 0 || text[..*at].ends_with(' '));
    let (asked, options) = text.split_at(at.unwrap_or(text.len()));
    if !asked.trim().is_empty() {
        requirement(asked)?.tell(line, out);
    }
    for part in shell::options(options)? {
        match part {
            Part::Include(value) => match included(&value, out) {
                Ok(path) => out.found.includes.push(path),
                Err(why) => out.problem(line, &why),
            },
            Part::Editable(value) => match requirement(&value) {
                Ok(asked) => asked.tell(line, out),
                Err(why) => out.problem(line, &why),
            },
            Part::Odd(why) => out.problem(line, &why),
        }
    }
    Ok(())
}

/// The path of another file of requirements.
fn included(value: &str, out: &Sink<'_>) -> Result<String, String> {
    if has_variable(value) {
        return Err(format!("includes `{value}`, whose name is a variable of the environment"));
    }
    let address = ["http:", "https:", "file:"]
        .iter()
        .any(|scheme| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    // A backslash separates directories on Windows, and is part of a name elsewhere.
    let path = if address || value.is_empty() || value.contains('\\') {
        None
    } else {
        out.beside(value).filter(|p| !p.is_empty())
    };
    let path = path.ok_or_else(|| format!("includes `{value}`, which is not in the repository"))?;
    match is_manifest(&path) {
        None | Some(Kind::Requirements) => Ok(path),
        Some(_) => Err(format!("includes `{value}`, which is read as a file of another kind")),
    }
}

/// `${NAME}`, which pip replaces by what the environment says.
fn has_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| {
        rest.split_once('}').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
    })
}

/// One requirement.
pub(super) fn requirement(text: &str) -> Result<Asked, String> {
    let text = text.trim();
    if let Some(named) = url(text) {
        return named;
    }
    let text = text.split(';').next().unwrap_or(text).trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(text.len());
    let (name, rest) = (&text[..end], text[end..].trim());
    // A file of an archive is somebody else's code, a directory is the repository's own.
    let archive = ARCHIVES.iter().any(|e| text.to_ascii_lowercase().ends_with(e)) && !rest.starts_with('@');
    let is_path = text.starts_with(['.', '/']) || rest.starts_with(['/', '\\']);
    if archive || is_path {
        if has_variable(text) {
            return Err(format!("installs `{text}`, whose place is a variable of the environment"));
        }
        let names: Vec<String> = archives(text).into_iter().map(|(name, _)| name).collect();
        return match archive {
            true if names.is_empty() => Err(format!("installs `{text}`, whose name is not known")),
            true => Ok(Asked { names, ..Asked::default() }),
            false => Ok(Asked::default()),
        };
    }
    if !is_name(name) {
        return Err(format!("is not a requirement: `{text}`"));
    }
    let mut rest = rest;
    if let Some(extras) = rest.strip_prefix('[') {
        let (_, after) = extras.split_once(']').ok_or_else(|| format!("is not a requirement: `{text}`"))?;
        rest = after.trim();
    }
    let names = vec![name.to_owned()];
    if let Some(address) = rest.strip_prefix('@') {
        // What is installed is what the archive holds, whatever stands before it.
        let address = address.trim();
        let held = archives(address.split(['#', '?']).next().unwrap_or(address));
        let version = served(address, &held);
        let names = names.into_iter().chain(held.into_iter().map(|(name, _)| name)).collect();
        return Ok(Asked { names, version, wanted: None });
    }
    let clauses = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest).trim();
    let version = pinned(clauses).map_err(|()| format!("is not a requirement: `{text}`"))?;
    if has_variable(clauses) {
        return Ok(Asked { names, ..Asked::default() });
    }
    let wanted = version.is_none().then(|| clauses.to_owned());
    Ok(Asked { names, version, wanted })
}

/// Is it the name of a package (PEP 508)?
fn is_name(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The version that a list of clauses pins. `Err`: it is no list of clauses.
fn pinned(clauses: &str) -> Result<Option<String>, ()> {
    let mut pin = None;
    for clause in clauses.split(',').map(str::trim).filter(|c| !c.is_empty()) {
        let operator =
            ["===", "==", "~=", "!=", "<=", ">=", "<", ">"].into_iter().find(|o| clause.starts_with(o)).ok_or(())?;
        let version = clause[operator.len()..].trim();
        if version.is_empty() || version.contains(char::is_whitespace) {
            return Err(());
        }
        if operator == "===" || (operator == "==" && !version.ends_with(".*")) {
            pin = Some(version.to_owned());
        }
    }
    Ok(pin)
}

/// The names of a package that is given as an address: what the address calls it, and what the file is called. `None`: it
/// is no address.
fn url(text: &str) -> Option<Result<Asked, String>> {
    let start = text.find("://")?;
    // In `name @ https://...` the name comes first.
    if text[..start].contains('@') || text[..start].contains(';') {
        return None;
    }
    let address = text.split_whitespace().next().unwrap_or(text);
    let (path, fragment) = address.split_once('#').unwrap_or((address, ""));
    let egg = fragment.split('&').find_map(|part| part.strip_prefix("egg="));
    let egg = egg.map(|e| e.split('[').next().unwrap_or(e).to_owned()).filter(|e| !e.is_empty());
    let unknown = || format!("installs `{address}`, whose name is not known");
    if egg.as_ref().is_some_and(|egg| !is_name(egg)) {
        return Some(Err(unknown()));
    }
    let held = archives(path.split('?').next().unwrap_or(path));
    let version = served(address, &held);
    let names: Vec<String> = egg.into_iter().chain(held.into_iter().map(|(name, _)| name)).collect();
    Some(if names.is_empty() { Err(unknown()) } else { Ok(Asked { names, version, wanted: None }) })
}

/// `requests` and `2.0` of `.../requests-2.0-py3-none-any.whl`. In an address letters may be written as numbers. What is no
/// wheel may have a dash in its name and in its version: then it has every name that it might have.
fn archives(path: &str) -> Vec<(String, String)> {
    let file = path.rsplit(['/', '\\']).next().and_then(text::percent).unwrap_or_default();
    let lower = file.to_ascii_lowercase();
    let end = ARCHIVES.iter().filter(|e| lower.ends_with(*e)).max_by_key(|e| e.len()).unwrap_or(&"");
    let stem = &file[..file.len() - end.len()];
    // No file has a longer name, and each of its dashes is a way to read it.
    if stem.len() > 255 {
        return Vec::new();
    }
    let most = if *end == ".whl" { 1 } else { usize::MAX };
    let split = stem.match_indices('-').take(most).map(|(at, _)| (&stem[..at], &stem[at + 1..]));
    split
        .filter(|(name, version)| is_name(name) && version.starts_with(|c: char| c.is_ascii_digit()))
        .map(|(name, version)| (name.to_owned(), version.split('-').next().unwrap_or(version).to_owned()))
        .collect()
}

/// The version of an archive that PyPI itself serves: there a file holds what it is called.
fn served(address: &str, archives: &[(String, String)]) -> Option<String> {
    let (scheme, rest) = address.trim().split_once("://")?;
    let host = rest.split(['/', '\\', '?', '#']).next()?;
    let pypi = scheme.eq_ignore_ascii_case("https") && host.eq_ignore_ascii_case("files.pythonhosted.org");
    match archives {
        [(_, version)] if pypi => Some(version.clone()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "requirements_tests.rs"]
mod tests;
