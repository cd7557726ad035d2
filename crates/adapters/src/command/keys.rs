//! The keys of a program: a file of `NAME=value` lines that belongs to this user alone, and variables of the daemon's own
//! environment. Decides what such a file may say. It may never say a value in an error, nor take one from a file that others
//! can read or write.

use orch_ports::supervisor::KeySource;
use orch_ports::{Fault, Secret};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest file: what a pipe holds, with room.
const LONGEST: u64 = 32 * 1024;

/// A file of keys by the name of its place in the configuration.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// `[project.commands] env_file of SHOP`.
    pub of: String,
    /// Where it is.
    pub path: PathBuf,
}

impl KeySource for EnvFile {
    fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        read_env_file(&self.path).map_err(|fault| fault.context(self.of.clone()))
    }
}

/// Reads one.
///
/// # Errors
/// `denied`, with the file, the line and the fix; never with a value.
pub fn read_env_file(path: &Path) -> Result<BTreeMap<String, Secret>, Fault> {
    let text = read_private(path, "the keys into it, a line `NAME=value` each")?;
    parse(&text).map_err(|(line, why)| Fault::denied(format!("{}:{line}: {why}", path.display())))
}

/// Reads a file of secrets, one a line. Empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// As `read_env_file`.
pub fn read_secret_file(path: &Path) -> Result<Vec<Secret>, Fault> {
    let text = read_private(path, "the secret into it")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(Secret::new).collect())
}

/// The text of a file that only this user can read or change.
fn read_private(path: &Path, write: &str) -> Result<String, Fault> {
    let shown = path.display();
    let cannot = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Fault::denied(format!("{shown} is not there: write {write}, and run `chmod 600 {shown}`"))
        }
        _ => Fault::denied(format!("cannot read {shown}: {e}")),
    };
    // Looked at before it is opened: opening a fifo would wait for ever.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(Fault::denied(format!("{shown} is not a regular file")));
    }
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && meta.uid() != 0 {
        return Err(Fault::denied(format!(
            "{shown} belongs to somebody else, who could change the keys: make it yours"
        )));
    }
    if meta.mode() & 0o037 != 0 {
        return Err(Fault::denied(format!("others can read or write {shown}: run `chmod 600 {shown}`")));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if LONGEST < text.len() as u64 {
        return Err(Fault::denied(format!("{shown} is longer than {} KiB", LONGEST / 1024)));
    }
    Ok(text)
}

/// Lines `NAME=value`, also behind `export`; values in single quotes are as they are, in double quotes `\\`, `\"` and `\n`
/// are read, and both may go over several lines. Empty lines and those that begin with `#` say nothing.
fn parse(text: &str) -> Result<BTreeMap<String, Secret>, (usize, &'static str)> {
    let mut keys = BTreeMap::new();
    let mut rest = text;
    let line_of = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    loop {
        rest = rest.trim_start();
        let line = line_of(rest);
        if rest.is_empty() {
            return Ok(keys);
        }
        let (head, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if head.starts_with('#') {
            rest = after;
            continue;
        }
        let assignment = head.strip_prefix("export ").unwrap_or(head);
        let name = assignment.split_once('=').map(|(name, _)| name.trim()).ok_or((line, "this is not `NAME=value`"))?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((line, "what stands before `=` is not a name of letters, digits and `_`"));
        }
        if name.starts_with("ORCH_") {
            return Err((line, "names that begin with `ORCH_` belong to the contract"));
        }
        if ["HOME", "TMPDIR"].contains(&name) {
            return Err((line, "HOME and TMPDIR are orch's to set: each run has its own"));
        }
        let value = rest[head.find('=').unwrap_or_default() + 1..].trim_start_matches([' ', '\t']);
        let (value, behind) = if let Some(quote @ ('"' | '\'')) = value.chars().next() {
            quoted(&value[1..], quote).ok_or((line, "the quote is not closed"))?
        } else {
            let (value, behind) = value.split_once('\n').unwrap_or((value, ""));
            // As in a shell: a `#` behind a space begins a comment.
            let comment = [" #", "\t#"].iter().filter_map(|mark| value.find(mark)).min();
            (value[..comment.unwrap_or(value.len())].trim().to_owned(), behind)
        };
        if value.contains('\0') {
            return Err((line, "the value has a NUL in it"));
        }
        if keys.insert(name.to_owned(), Secret::of(name, value)).is_some() {
            return Err((line, "this name is given twice"));
        }
        rest = behind;
    }
}

/// A value up to its closing quote, and what stands behind its line.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let (tail, behind) = text[at + 1..].split_once('\n').unwrap_or((&text[at + 1..], ""));
                let tail = tail.trim();
                return (tail.is_empty() || tail.starts_with('#')).then_some((value, behind));
            }
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('"' | '\\' | '$') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
        let keys = parse(text)?;
        Ok(keys.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn a_file_of_keys_says_what_it_says_to_a_shell() {
        let text = "# of the canary\n\nA=plain value \nexport B='as $is \"'\nC=\"two\\nlines \\\"q\\\" \\\\\" # why\n D = x=y=\n\
                    E=\"over\nlines\"\r\nF=\n_g1=1";
        let all = read(text).unwrap();
        let want = [
            ("A", "plain value"),
            ("B", "as $is \""),
            ("C", "two\nlines \"q\" \\"),
            ("D", "x=y="),
            ("E", "over\nlines"),
            ("F", ""),
            ("_g1", "1"),
        ];
        assert_eq!(all, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_it_cannot_say_is_refused_with_the_line_and_never_the_value() {
        for (text, line) in [
            ("A=1\nsk-canary-only", 2),
            ("1A=x", 1),
            ("A B=x", 1),
            ("\n\nA=\"x", 3),
            ("A='x' y", 1),
            ("ORCH_ROLE=x", 1),
            ("HOME=/x", 1),
            ("A=1\nA=2", 2),
        ] {
            let (at, why) = read(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(!why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn only_a_file_that_nobody_else_can_read_or_write_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.env");
        let refused = |what: &str| {
            let fault = read_env_file(&file).unwrap_err().to_string();
            assert!(fault.contains(what) && fault.contains("keys.env"), "{fault}");
        };
        refused("chmod 600");
        std::fs::write(&file, "A=canary-of-the-file\n").unwrap();
        for (mode, good) in
            [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o666, false)]
        {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            if good {
                assert_eq!(read_env_file(&file).unwrap()["A"].expose(), "canary-of-the-file", "{mode:o}");
            } else {
                refused("chmod 600");
            }
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        refused("not a regular file");
    }

    #[test]
    fn a_file_of_secrets_is_read_line_by_line_and_as_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("webhook");
        std::fs::write(&file, "# since May\n the-new-canary \n\nthe-old-canary").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let fault = read_secret_file(&file).unwrap_err().to_string();
        assert!(fault.contains("chmod 600") && !fault.contains("canary"), "{fault}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let secrets = read_secret_file(&file).unwrap();
        assert_eq!(secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["the-new-canary", "the-old-canary"]);
    }
}
