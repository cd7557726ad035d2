//! Which projects work on one repository. It has one merge lease, one private copy and one record of its default branch, all
//! under the key of the first project in the file that names it. Two ways to write one address must not become two.

use std::path::{Path, PathBuf};

/// Default ports: the same address with and without them.
const PORTS: &[(&str, &str)] = &[("http", "80"), ("https", "443"), ("ssh", "22"), ("git", "9418")];

/// Where a repository is, in one way to write it: a directory as it really is, where a working copy stands for its `.git`;
/// an address with scheme and host in lower case, without the usual port, one `/` and one `.git` at its end. What is
/// written in ssh's short form is relative to the home of its user, and so another place than a whole address.
fn place(repo: &str) -> String {
    let Some((scheme, rest)) = repo.split_once("://") else {
        return match repo.split_once(':') {
            Some((host, path)) if !host.is_empty() && !host.contains('/') => short(host, path),
            _ => directory(Path::new(repo)),
        };
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "file" {
        let path = rest.find('/').map_or(rest, |at| &rest[at..]);
        return directory(Path::new(path));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
    let host = host.to_ascii_lowercase();
    let usual = |port: &str| PORTS.iter().any(|(s, p)| *s == scheme && *p == port);
    let host = host.rsplit_once(':').filter(|(_, port)| usual(port)).map_or(host.as_str(), |(host, _)| host);
    // Over HTTP a user is how one is let in, over ssh it may be whose repositories are meant.
    let user = user.filter(|_| scheme == "ssh").map(|user| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{host}/{}", bare(path))
}

/// `git@host:shop.git`
fn short(host: &str, path: &str) -> String {
    let (user, host) = host.rsplit_once('@').map_or(("", host), |(user, host)| (user, host));
    let at = if user.is_empty() { "" } else { "@" };
    let host = host.to_ascii_lowercase();
    match path.strip_prefix('/') {
        Some(whole) => format!("ssh://{user}{at}{host}/{}", bare(whole)),
        None => format!("{user}{at}{host}:{}", bare(path)),
    }
}

fn bare(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.strip_suffix(".git").unwrap_or(path)
}

/// A directory that is not there is what it is called.
fn directory(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.components().collect::<PathBuf>());
    let copy = real.file_name().is_some_and(|name| name == ".git").then(|| real.parent()).flatten();
    copy.unwrap_or(&real).to_string_lossy().into_owned()
}

/// Is this directory the repository?
pub fn is_at(repo: &str, dir: &Path) -> bool {
    place(repo) == directory(dir)
}

/// For each of these the first that is the same repository, by its place in the list. What names none is its own.
pub fn first_of_each(repos: &[&str]) -> Vec<usize> {
    let places: Vec<String> = repos.iter().map(|repo| place(repo)).collect();
    let first = |(i, p): (usize, &String)| {
        places[..i].iter().position(|before| before == p).filter(|_| !repos[i].is_empty()).unwrap_or(i)
    };
    places.iter().enumerate().map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_place_however_it_is_written() {
        for (one, other) in [
            ("https://Git.Example.org/team/shop.git", "HTTPS://git.example.org:443/team/shop"),
            ("https://git.example.org/team/shop/", "https://git.example.org/team/shop.git"),
            ("http://bot@forge:80/o/r", "http://forge/o/r.git"),
            ("ssh://git@Forge:22/srv/shop.git", "git@forge:/srv/shop"),
            ("git@Forge:team/shop.git", "git@forge:team/shop"),
            ("git://forge:9418/r.git", "git://forge/r"),
            ("file:///nowhere/shop.git", "/nowhere/shop.git/"),
            ("/nowhere/shop/.git", "file://localhost/nowhere/shop"),
        ] {
            assert_eq!(place(one), place(other), "{one} {other}");
        }
    }

    #[test]
    fn different_repositories_are_not_taken_for_one() {
        for (one, other) in [
            ("https://forge/o/r", "https://forge/o/R"),
            ("https://forge:8443/o/r", "https://forge/o/r"),
            ("https://forge/o/r", "http://forge/o/r"),
            ("https://forge/o/r.git.git", "https://forge/o/r"),
            ("ssh://anna@forge/r", "ssh://bob@forge/r"),
            // Relative to a home that nobody here knows.
            ("git@forge:srv/r", "ssh://git@forge/srv/r"),
            ("/nowhere/shop.git", "/nowhere/shop"),
            ("/nowhere/shop", "forge:/nowhere/shop"),
        ] {
            assert_ne!(place(one), place(other), "{one} {other}");
        }
    }

    #[test]
    fn a_directory_is_what_it_really_is_and_a_working_copy_stands_for_its_git_directory() {
        let tmp = tempfile::tempdir().unwrap();
        let (copy, link) = (tmp.path().join("shop"), tmp.path().join("link"));
        std::fs::create_dir_all(copy.join(".git")).unwrap();
        std::os::unix::fs::symlink(&copy, &link).unwrap();
        let named = |path: PathBuf| place(&path.to_string_lossy());
        assert_eq!(named(copy.clone()), named(link.clone()));
        assert_eq!(named(copy.join(".git")), named(link));
        assert_eq!(named(copy.clone()), place(&format!("file://{}", copy.display())));
        assert_ne!(named(copy), named(tmp.path().join("other")));
    }

    #[test]
    fn the_first_of_the_file_names_the_repository() {
        let repos = ["/r/one", "/r/two", "/r/one/", "", ""];
        assert_eq!(first_of_each(&repos), [0, 1, 0, 3, 4], "what names none is its own");
    }
}
