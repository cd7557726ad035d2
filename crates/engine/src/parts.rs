//! Parts of a repository (`[[project.parts]]`) with tests and CI of their own. A branch runs those of the parts it touches,
//! and all of them in the merge; a file that is of no part may matter to each, so that a change of it runs them all.

use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use orch_ports::git::Git;
use orch_testguard::tamper;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A part of a project's repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What belongs to it, as in a `.gitignore`.
    pub paths: Vec<String>,
    /// Shell line that runs its tests.
    pub test: Option<String>,
    /// Shell line that CI runs for it.
    pub ci: Option<String>,
}

/// Which of a part's shell lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Its tests.
    Test,
    /// Its CI.
    Ci,
}

impl Part {
    fn line(&self, of: Of) -> Option<&str> {
        match of {
            Of::Test => self.test.as_deref(),
            Of::Ci => self.ci.as_deref(),
        }
    }
    /// Is this path of it?
    pub fn has(&self, path: &str) -> bool {
        let patterns: Vec<&str> = self.paths.iter().map(String::as_str).collect();
        tamper::protected(path, &patterns).is_some()
    }
}

/// The parts a change touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Each of them, or as good as each.
    All,
    /// Those with these names.
    Only(BTreeSet<String>),
}

impl Touched {
    fn has(&self, part: &Part) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(&part.name),
        }
    }
}

/// What is run of a project for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Shell line.
    pub line: String,
    /// The same for people: of several parts each with its name.
    pub shown: String,
}

/// What is run for a change: the project's own line, and those of the parts it touches. All of them are run, whichever fails;
/// the first that failed is how it ends. `None`: nothing is to be run.
pub fn run(own: Option<&str>, parts: &[Part], of: Of, touched: &Touched) -> Option<Run> {
    let of_parts = parts.iter().filter(|part| touched.has(part));
    let of_parts = of_parts.filter_map(|part| Some((Some(part.name.as_str()), part.line(of)?)));
    let all: Vec<(Option<&str>, &str)> = own.map(|line| (None, line)).into_iter().chain(of_parts).collect();
    match &all[..] {
        [] => None,
        [(_, line)] => Some(Run { line: (*line).to_owned(), shown: (*line).to_owned() }),
        several => Some(Run { line: script(several), shown: shown(several) }),
    }
}

/// Each line in a shell of its own, as it would be alone.
fn script(lines: &[(Option<&str>, &str)]) -> String {
    let mut text = "orch_end=0\n".to_owned();
    for (name, line) in lines {
        let title = name.map_or_else(|| "orch: the whole project".to_owned(), |name| format!("orch: part {name}"));
        let (title, line) = (quoted(&title), quoted(line));
        let _ = writeln!(
            text,
            "printf '%s\\n' {title}\nsh -c {line} || {{ orch_now=$?; [ $orch_end -ne 0 ] || orch_end=$orch_now; }}"
        );
    }
    text.push_str("exit $orch_end\n");
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn shown(lines: &[(Option<&str>, &str)]) -> String {
    let one = |(name, line): &(Option<&str>, &str)| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        name.map_or_else(|| line.clone(), |name| format!("{name}: {line}"))
    };
    lines.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The parts these paths are of. A path of no part is of all.
fn of_paths<'a>(parts: &[Part], paths: impl Iterator<Item = &'a str>) -> Touched {
    let mut names = BTreeSet::new();
    for path in paths {
        let of: Vec<&Part> = parts.iter().filter(|part| part.has(path)).collect();
        if of.is_empty() {
            return Touched::All;
        }
        names.extend(of.into_iter().map(|part| part.name.clone()));
        if names.len() == parts.len() {
            return Touched::All;
        }
    }
    Touched::Only(names)
}

/// The parts that a branch touches between its base and its head, but for the task's own documents.
pub(crate) async fn touched(
    parts: &[Part],
    (git, project): (&dyn Git, &ProjectKey),
    base: &Sha,
    head: &Sha,
    artefact_dir: &str,
) -> Result<Touched, Fault> {
    if parts.is_empty() {
        return Ok(Touched::All);
    }
    let changed = git.changed_files(project, base, head).await?;
    let paper = |path: &str| path.strip_prefix(artefact_dir).is_some_and(|below| below.starts_with('/'));
    Ok(of_paths(parts, changed.iter().map(|c| c.path.as_str()).filter(|path| !paper(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Part> {
        let part = |name: &str, paths: &[&str], test: &str, ci: Option<&str>| Part {
            name: name.into(),
            paths: paths.iter().map(|p| (*p).to_owned()).collect(),
            test: Some(test.into()),
            ci: ci.map(Into::into),
        };
        vec![
            part("web", &["/web/", "/shared/**"], "echo web; exit 3", None),
            part("api", &["/api/", "/shared/**", "!/api/docs/"], "echo 'it''s api'; exit 4", Some("cd api && make ci")),
            part("tools", &["*.py"], "echo tools", None),
        ]
    }
    fn touch(paths: &[&str]) -> Touched {
        of_paths(&parts(), paths.iter().copied())
    }
    fn only(names: &[&str]) -> Touched {
        Touched::Only(names.iter().map(|n| (*n).to_owned()).collect())
    }

    #[test]
    fn a_change_touches_the_parts_of_its_paths_and_all_of_them_with_a_path_of_none() {
        assert_eq!(touch(&["web/a.js"]), only(&["web"]));
        assert_eq!(touch(&["shared/x/y"]), only(&["web", "api"]));
        assert_eq!(touch(&["web/a.js", "deep/below/run.py"]), only(&["web", "tools"]));
        assert_eq!(touch(&["api/run.py"]), only(&["api", "tools"]), "a file may be of two");
        assert_eq!(touch(&["web/a.js", "package-lock.json"]), Touched::All);
        assert_eq!(touch(&["api/docs/x.md"]), Touched::All, "taken out of its part, it is of none");
        assert_eq!(touch(&["webby/a.js"]), Touched::All, "a name that only begins so is another directory");
        assert_eq!(touch(&["shared/a", "x.py"]), Touched::All);
        assert_eq!(touch(&[]), only(&[]));
    }

    #[test]
    fn one_line_is_run_as_it_is_and_several_are_all_run_and_end_as_the_first_that_failed() {
        let parts = parts();
        let web = run(None, &parts, Of::Test, &only(&["web"])).unwrap();
        assert_eq!((web.line.as_str(), web.shown.as_str()), ("echo web; exit 3", "echo web; exit 3"));
        assert_eq!(run(None, &parts, Of::Ci, &only(&["web", "tools"])), None);
        assert_eq!(run(Some("make"), &[], Of::Test, &Touched::All).unwrap().line, "make");

        let all = run(Some("true # a comment"), &parts, Of::Test, &Touched::All).unwrap();
        assert_eq!(
            all.shown,
            "true # a comment; web: echo web; exit 3; api: echo 'it''s api'; exit 4; tools: echo tools"
        );
        let ran = std::process::Command::new("sh").args(["-c", &all.line]).output().unwrap();
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(
            String::from_utf8(ran.stdout).unwrap(),
            "orch: the whole project\norch: part web\nweb\norch: part api\nits api\norch: part tools\ntools\n"
        );
    }
}
