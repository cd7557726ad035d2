//! `requirements*.txt`, as pip reads it (<https://pip.pypa.io/en/stable/reference/requirements-file-format/>), and the
//! single requirement of PEP 508. Decides which version is pinned: only `==` and `===` without a wildcard pin, anything
//! else names a package whose version is open. Environment markers are not judged: what is installed somewhere counts.

use super::Sink;

/// Options that name no package and no file of requirements.
const WITH_VALUE: [&str; 14] = [
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--no-binary",
    "--only-binary",
    "--trusted-host",
    "--use-feature",
    "--hash",
    "--global-option",
    "--config-settings",
    "--build-constraint",
    "--platform",
];
const ALONE: [&str; 5] = ["--no-index", "--prefer-binary", "--require-hashes", "--pre", "--no-deps"];

pub(super) fn read(text: &str, out: &mut Sink<'_>) {
    for (line, text) in logical(text) {
        let line = Some(line);
        if let Err(why) = one_line(&text, line, out) {
            out.problem(line, &why);
        }
    }
}

/// Lines put together where they end in a backslash, without comments, with the number of their first.
fn logical(text: &str) -> Vec<(u32, String)> {
    let mut out: Vec<(u32, String)> = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let (first, mut whole) = open.take().unwrap_or((u32::try_from(number + 1).unwrap_or(u32::MAX), String::new()));
        let is_comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\') {
            // A comment line ends what was open, as in pip.
            Some(part) if !is_comment => {
                whole.push_str(part);
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

fn one_line(text: &str, line: Option<u32>, out: &mut Sink<'_>) -> Result<(), String> {
    if !text.starts_with('-') {
        let (name, version) = requirement(text)?;
        if let Some(name) = name {
            out.package(&name, version.as_deref(), line);
        }
        return Ok(());
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
    let (mut option, mut value) = (&text[..end], text[end..].trim_start_matches('=').trim());
    // `-rbase.txt` is allowed too.
    if !option.starts_with("--") && option.len() > 2 && option.is_char_boundary(2) {
        (option, value) = (&text[..2], text[2..].trim_start_matches('=').trim());
    }
    match option {
        "-r" | "--requirement" | "-c" | "--constraint" => {
            let value = value.trim_matches(['"', '\'']);
            let path = out.beside(value).filter(|p| !p.is_empty());
            let path = path.ok_or_else(|| format!("includes `{value}`, which is not in the repository"))?;
            out.found.includes.push(path);
            Ok(())
        }
        "-e" | "--editable" => {
            let (name, version) = requirement(value)?;
            if let Some(name) = name {
                out.package(&name, version.as_deref(), line);
            }
            Ok(())
        }
        _ if WITH_VALUE.contains(&option) || ALONE.contains(&option) => Ok(()),
        _ => Err(format!("has an option that is not known: {option}")),
    }
}

/// One requirement: its name (`None` for a path, which is the repository's own) and the version it pins.
pub(super) fn requirement(text: &str) -> Result<(Option<String>, Option<String>), String> {
    // Options of the single requirement, and its marker, come after what names it.
    let text = text.split(" --").next().unwrap_or(text).trim();
    if let Some(named) = url(text) {
        return named.map(|name| (Some(name), None));
    }
    let text = text.split(';').next().unwrap_or(text).trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(text.len());
    let (name, rest) = (&text[..end], text[end..].trim());
    let is_path = text.starts_with(['.', '/', '\\']) || rest.starts_with(['/', '\\']);
    if is_path {
        // A file of an archive is somebody else's code, a directory is the repository's own.
        let archive =
            [".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz"].iter().any(|e| text.to_ascii_lowercase().ends_with(e));
        return match archive.then(|| archive_name(text)) {
            None => Ok((None, None)),
            Some(Some(name)) => Ok((Some(name), None)),
            Some(None) => Err(format!("installs `{text}`, whose name is not known")),
        };
    }
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!("is not a requirement: `{text}`"));
    }
    let mut rest = rest;
    if let Some(extras) = rest.strip_prefix('[') {
        let (_, after) = extras.split_once(']').ok_or_else(|| format!("is not a requirement: `{text}`"))?;
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return Ok((Some(name.to_owned()), None));
    }
    let rest = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest).trim();
    Ok((Some(name.to_owned()), pinned(rest).map_err(|()| format!("is not a requirement: `{text}`"))?))
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

/// The name of a package that is given as an address. `None`: it is no address.
fn url(text: &str) -> Option<Result<String, String>> {
    let start = text.find("://")?;
    // In `name @ https://...` the name comes first.
    if text[..start].contains('@') || text[..start].contains(';') {
        return None;
    }
    let address = text.split_whitespace().next().unwrap_or(text);
    let (path, fragment) = address.split_once('#').unwrap_or((address, ""));
    let egg = fragment.split('&').find_map(|part| part.strip_prefix("egg="));
    let name = egg.map(|e| e.split('[').next().unwrap_or(e).to_owned()).or_else(|| archive_name(path));
    let name = name.filter(|n| !n.is_empty());
    Some(name.ok_or_else(|| format!("installs `{address}`, whose name is not known")))
}

/// `requests` of `.../requests-2.0-py3-none-any.whl`.
fn archive_name(path: &str) -> Option<String> {
    let file = path.rsplit(['/', '\\']).next()?;
    let (name, version) = file.split_once('-')?;
    let plausible = version.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
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
}
