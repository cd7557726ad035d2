//! `go.mod` (<https://go.dev/ref/mod#go-mod-file>). Decides which modules are asked for and what stands in for them.
//! Before Go 1.17 the file did not list what its modules ask for: then the list is not whole, and that is a problem.

use super::Sink;

struct Required {
    path: String,
    version: String,
    line: Option<u32>,
}

struct Replaced {
    path: String,
    version: Option<String>,
    /// `None`: by a directory of the repository.
    by: Option<(String, String)>,
}

pub(super) fn read(text: &str, out: &mut Sink<'_>) {
    let (mut required, mut replaced): (Vec<Required>, Vec<Replaced>) = (Vec::new(), Vec::new());
    let mut block: Option<String> = None;
    let mut go = None;
    let mut module = false;
    for (number, whole) in text.lines().enumerate() {
        let line = u32::try_from(number + 1).ok();
        let code = whole.split("//").next().unwrap_or(whole).trim();
        if code.is_empty() {
            continue;
        }
        let mut words: Vec<&str> = code.split_whitespace().collect();
        let directive = match &block {
            Some(_) if words == [")"] => {
                block = None;
                continue;
            }
            Some(name) => name.clone(),
            None => {
                let name = words.remove(0);
                let (name, glued) = name.strip_suffix('(').map_or((name, false), |n| (n, true));
                if (glued && words.is_empty()) || words == ["("] {
                    block = Some(name.to_owned());
                    continue;
                }
                name.to_owned()
            }
        };
        let words: Vec<&str> = words.into_iter().map(|w| w.trim_matches(['"', '`'])).collect();
        match (directive.as_str(), words.as_slice()) {
            ("require", [path, version]) => {
                required.push(Required { path: (*path).into(), version: (*version).into(), line });
            }
            ("replace", [path, rest @ ..]) => match replacement(rest) {
                Some((version, by)) => replaced.push(Replaced { path: (*path).into(), version, by }),
                None => out.problem(line, &format!("is not a replacement: `{code}`")),
            },
            ("go", [version]) => go = Some((*version).to_owned()),
            ("module", [_]) => module = true,
            ("exclude" | "retract" | "toolchain" | "tool" | "godebug" | "ignore", _) => {}
            _ => out.problem(line, &format!("has a line that is not known: `{code}`")),
        }
    }
    if block.is_some() {
        out.problem(None, "ends within a block");
    }
    if !module {
        return out.problem(None, "is no go.mod: it names no module");
    }
    for Required { path, version, line } in &required {
        // A replacement of this very version comes before one of all versions.
        let of_all = replaced.iter().filter(|r| r.path == *path && r.version.is_none());
        let of_it = replaced.iter().filter(|r| r.path == *path && r.version.as_ref() == Some(version));
        match of_it.chain(of_all).next() {
            None => out.package(path, Some(version), *line),
            Some(Replaced { by: Some((path, version)), .. }) => out.package(path, Some(version), *line),
            Some(Replaced { by: None, .. }) => {}
        }
    }
    if !required.is_empty() && !lists_all(go.as_deref()) {
        out.problem(None, "is from before Go 1.17 and does not list what its modules depend on: run `go mod tidy`");
    }
}

type Replacement = (Option<String>, Option<(String, String)>);

/// `[version] => path [version]`.
fn replacement(words: &[&str]) -> Option<Replacement> {
    let (version, by) = match words {
        ["=>", by @ ..] => (None, by),
        [version, "=>", by @ ..] => (Some((*version).to_owned()), by),
        _ => return None,
    };
    match by {
        [dir] if dir.starts_with(['.', '/']) => Some((version, None)),
        [path, by] => Some((version, Some(((*path).to_owned(), (*by).to_owned())))),
        _ => None,
    }
}

fn lists_all(go: Option<&str>) -> bool {
    let Some(go) = go else { return false };
    let mut numbers = go.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 17)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Manifest, read};

    fn brief(text: &str) -> (Vec<String>, Manifest) {
        let manifest = read(Kind::GoMod, "go.mod", text.as_bytes());
        let one = |d: &super::super::Dependency| format!("{} {} {:?}", d.name, d.version.as_deref().unwrap(), d.line);
        (manifest.dependencies.iter().map(one).collect(), manifest)
    }

    #[test]
    fn blocks_single_lines_indirect_ones_and_replacements() {
        let text = "module example.com/app // why\n\ngo 1.21\ntoolchain go1.22.1\n\nrequire golang.org/x/net v0.1.0\n\
                    require (\n\tgithub.com/a/b v1.2.3 // indirect\n\tgithub.com/c/d/v2 v2.0.0+incompatible\n\
                    \t\"github.com/own/lib\" v0.0.0\n\tgithub.com/e/f v1.0.0\n)\n\
                    replace github.com/own/lib => ./lib\nreplace (\n\tgithub.com/e/f v1.0.0 => github.com/fork/f v1.0.1\n\
                    \tgithub.com/a/b v9.9.9 => ../never\n)\nexclude github.com/z/z v1.0.0\nretract (\n\tv1.0.0 // bad\n)\n";
        let (list, manifest) = brief(text);
        assert_eq!(
            list,
            [
                "golang.org/x/net v0.1.0 Some(6)",
                "github.com/a/b v1.2.3 Some(8)",
                "github.com/c/d/v2 v2.0.0+incompatible Some(9)",
                "github.com/fork/f v1.0.1 Some(11)",
            ]
        );
        assert_eq!(manifest.problems, Vec::<String>::new());
    }

    #[test]
    fn an_old_file_is_not_the_whole_list_and_says_so() {
        for go in ["", "go 1.16\n"] {
            let (list, manifest) = brief(&format!("module m\n{go}require a.b/c v1.0.0\n"));
            assert_eq!((list.len(), manifest.problems.len()), (1, 1));
        }
        assert_eq!(brief("module m\n").1, Manifest::default());
    }

    #[test]
    fn odd_lines_are_problems() {
        for text in [
            "module m\nrequire a\n",
            "module m\nnew x\n",
            "require (\n",
            "module m\nreplace a => b\n",
            "<<<<<<< HEAD\nmodule m\n",
        ] {
            assert!(!brief(text).1.problems.is_empty(), "{text}");
        }
    }
}
