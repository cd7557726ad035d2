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
        return named.map(|names| Asked { names, ..Asked::default() });
    }
    let text = text.split(';').next().unwrap_or(text).trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(text.len());
    let (name, rest) = (&text[..end], text[end..].trim());
    // A file of an archive is somebody else's code, a directory is the repository's own.
    let archive = ARCHIVES.iter().any(|e| text.to_ascii_lowercase().ends_with(e)) && !rest.starts_with('@');
    let is_path = text.starts_with(['.', '/']) || rest.starts_with(['/', '\\']);
    if archive || is_path {
        return match archive.then(|| archive_name(text)) {
            None if has_variable(text) => {
                Err(format!("installs `{text}`, whose place is a variable of the environment"))
            }
            None => Ok(Asked::default()),
            Some(Some(name)) => Ok(Asked { names: vec![name], ..Asked::default() }),
            Some(None) => Err(format!("installs `{text}`, whose name is not known")),
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
        let held = archive_name(address.split(['#', '?']).next().unwrap_or(address));
        return Ok(Asked { names: names.into_iter().chain(held).collect(), ..Asked::default() });
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
fn url(text: &str) -> Option<Result<Vec<String>, String>> {
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
    let names: Vec<String> = egg.into_iter().chain(archive_name(path.split('?').next().unwrap_or(path))).collect();
    Some(if names.is_empty() { Err(unknown()) } else { Ok(names) })
}

/// `requests` of `.../requests-2.0-py3-none-any.whl`. In an address letters may be written as numbers.
fn archive_name(path: &str) -> Option<String> {
    let file = path.rsplit(['/', '\\']).next()?;
    let file = text::percent(file)?;
    let (name, version) = file.split_once('-')?;
    let plausible = version.starts_with(|c: char| c.is_ascii_digit()) && is_name(name);
    plausible.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, read};

    fn found(text: &str) -> (Vec<(String, Option<String>, u32)>, super::super::Manifest) {
        let manifest = read(Kind::Requirements, "app/requirements.txt", text.as_bytes());
        let list = manifest.dependencies.iter().map(|d| (d.name.clone(), d.version.clone(), d.line.unwrap())).collect();
        (list, manifest)
    }

    #[test]
    fn pins_ranges_extras_markers_and_hashes_are_told_apart() {
        let text = "\u{feff}# comment\nRequests[socks,security] == 2.19.1 ; python_version < '3'  # why\nflask>=1.0,<2\n\
                    django==3.2.* \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\nzope.interface===5.0\nplain\nparen (==1.2)\n\
                    both >=1, ==1.4 --hash=sha256:cc\n";
        let (list, manifest) = found(text);
        let pin = |name: &str, version: Option<&str>, line| (name.to_owned(), version.map(ToOwned::to_owned), line);
        assert_eq!(
            list,
            [
                pin("requests", Some("2.19.1"), 2),
                pin("flask", None, 3),
                pin("django", None, 4),
                pin("zope-interface", Some("5.0"), 7),
                pin("plain", None, 8),
                pin("paren", Some("1.2"), 9),
                pin("both", Some("1.4"), 10),
            ]
        );
        assert_eq!(manifest.problems, Vec::<String>::new());
    }

    #[test]
    fn other_files_are_named_and_those_outside_are_a_problem() {
        let (_, manifest) =
            found("-r base.txt\n--requirement=../common/x.txt\n-cpins.txt\n-r ../../secret.txt\n-r https://h/x\n");
        assert_eq!(manifest.includes, ["app/base.txt", "common/x.txt", "app/pins.txt"]);
        assert_eq!(manifest.problems.len(), 2, "{manifest:?}");
    }

    #[test]
    fn addresses_have_a_name_and_no_version_and_paths_are_our_own() {
        let text = "-e .\n./lib\n-e git+https://h/o/r.git@main#egg=Tool[x]\npkg @ https://h/pkg-1.0.tar.gz ; os_name=='nt'\n\
                    https://h/wheels/Some_Pkg-2.0-py3-none-any.whl\nvendor/six-1.0.whl\nhttps://h/odd\n";
        let (list, manifest) = found(text);
        let names: Vec<&str> = list.iter().map(|(n, ..)| n.as_str()).collect();
        assert_eq!(names, ["tool", "pkg", "some-pkg", "six"]);
        assert!(list.iter().all(|(_, version, _)| version.is_none()));
        assert_eq!(
            manifest.problems,
            ["app/requirements.txt, line 7: installs `https://h/odd`, whose name is not known"]
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_a_problem_with_its_number() {
        let (list, manifest) = found("ok==1\n<<<<<<< HEAD\n=======\na b c\n--no-such thing\n--index-url https://h\n");
        assert_eq!(list.len(), 1);
        assert_eq!(manifest.problems.len(), 4, "{manifest:?}");
        assert!(manifest.problems[0].contains("line 2"));
    }

    fn names(text: &str) -> (Vec<String>, usize) {
        let (list, manifest) = found(text);
        (list.into_iter().map(|(name, ..)| name).collect(), manifest.problems.len())
    }

    #[test]
    fn an_include_is_followed_however_its_option_is_written() {
        let text = "--requirem a.txt\n--constr=b.txt\n--pre -r c.txt\n-i https://h -rd.txt\n--requirement 'e f.txt'\n\
                    good==1 -r g.txt\n-r \\\nh.txt\n";
        let (list, manifest) = found(text);
        assert_eq!(list.len(), 1);
        let wanted = ["a.txt", "b.txt", "c.txt", "d.txt", "e f.txt", "g.txt", "h.txt"].map(|n| format!("app/{n}"));
        assert_eq!(manifest.includes, wanted);
        assert_eq!(manifest.problems, Vec::<String>::new());
    }

    #[test]
    fn an_include_that_cannot_be_followed_is_a_problem() {
        for text in [
            "-r file:///srv/x.txt",
            "-r FILE:x.txt",
            "-r file:x.txt",
            "--requirem https://h/x.txt",
            "-r ${WHERE}/x.txt",
            "-r ${WHERE}.txt",
            "-r 'sub\\x.txt'",
            "-r /etc/x.txt",
            "-r package-lock.json",
            "-r",
            "-r 'x.txt",
            "--requirement=",
        ] {
            let (_, manifest) = found(text);
            assert_eq!((manifest.includes.len(), manifest.problems.len()), (0, 1), "{text} {manifest:?}");
        }
        // pip takes the name as it stands, so do we.
        assert_eq!(found("-r ev%69l.txt\n-r=x.txt\n").1.includes, ["app/ev%69l.txt", "app/=x.txt"]);
    }

    #[test]
    fn what_only_pip_takes_for_a_line_is_one() {
        for end in ["\r", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert_eq!(names(&format!("good==1\n# harmless{end}evil\n")), (vec!["good".into(), "evil".into()], 0));
        }
        assert_eq!(found("a==1\r\nb==1\r\n").0[1].2, 2, "one end of a line, not two");
        assert_eq!(names("\\evil \\\n\n"), (vec!["evil".into()], 0));
        let told = |text: &str| names(text).1;
        assert_eq!(told("# -*- coding: utf-7 -*-\n# +AAo-evil\n"), 1);
        assert_eq!(told("# coding=latin-1\n# \u{c5}evil\n"), 1, "the second byte of that letter ends a line there");
        assert_eq!(
            told("# -*- coding: UTF-8 -*-\n# \u{c5}\n# coding: latin-1\n") + told("# vim: coding=latin-1\na\n"),
            0
        );
    }

    #[test]
    fn a_name_that_is_a_variable_is_a_problem_and_a_password_that_is_one_is_not() {
        for text in [
            "${NAME}",
            "${NAME}==1.0",
            "evil${X}",
            "https://h/${X}-1.0.zip",
            "git+https://h/r#egg=${X}",
            "-e ${X}",
            "./${X}",
        ] {
            assert_eq!(names(text), (vec![], 1), "{text}");
        }
        let text = "--index-url https://${USER}:${TOKEN}@h/simple\ntool @ git+https://${TOKEN}@h/r\ngit+https://${T}@h/r#egg=x\nopen==${V}\n";
        let (list, manifest) = found(text);
        assert_eq!(manifest.problems, Vec::<String>::new());
        assert!(list.len() == 3 && list.iter().all(|(_, version, _)| version.is_none()), "{list:?}");
    }

    #[test]
    fn an_archive_counts_by_what_it_is_called_whatever_else_it_is_called() {
        let both = |text: &str| names(text).0;
        assert_eq!(both("https://h/evil-1.0.tar.gz#egg=good"), ["good", "evil"]);
        assert_eq!(both("good @ https://h/evil-1.0-py3-none-any.whl#sha256=aa"), ["good", "evil"]);
        assert_eq!(both("good @ https://h/good-1.0.tar.gz"), ["good"]);
        assert_eq!(both("https://h/%65vil-1.0.tar.gz?x=/good-1.0.zip"), ["evil"]);
        assert_eq!(both("evil-1.0.tar.gz"), ["evil"]);
    }
}
