//! Submodules: filled from where they may come from, and nothing of them is run.

use super::*;
use orch_adapters::git_cli::Submodules;
use std::collections::BTreeMap;

/// A repository beside the forge's, with one file in one commit. Returns its tip.
fn library(w: &World, name: &str, file: &str, text: &str) -> String {
    let dir = w.path(name);
    if !dir.exists() {
        git(&w.path("."), &["init", "-q", "--initial-branch=main", name]);
    }
    write(&dir, file, text);
    git(&dir, &["add", "-A"]);
    git(&dir, &["commit", "-q", "-m", "library"]);
    git(&dir, &["rev-parse", "HEAD"])
}

/// Puts a submodule into a person's clone, without asking its repository.
fn add(dir: &Path, path: &str, url: &str, commit: &str) {
    let key = format!("submodule.{path}");
    git(dir, &["config", "--file", ".gitmodules", &format!("{key}.path"), path]);
    git(dir, &["config", "--file", ".gitmodules", &format!("{key}.url"), url]);
    git(dir, &["add", ".gitmodules"]);
    git(dir, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
}

fn filled(mut w: World, others: &[&str]) -> World {
    let others: Vec<String> = others.iter().map(|h| (*h).to_owned()).collect();
    let from = Submodules::of(&w.remote().url, &others, TRUNK);
    w.git = w.git.with_submodules(BTreeMap::from([(w.project.clone(), from)]));
    w
}

async fn land(w: &World) -> Sha {
    let person = w.path("person");
    git(&person, &["commit", "-q", "-m", "submodules"]);
    git(&person, &["push", "-q", "../forge.git", TRUNK]);
    w.fetch().await;
    w.trunk().await
}

#[tokio::test]
async fn submodules_of_the_default_branch_are_filled_for_agents_and_for_tests() {
    let w = filled(World::new().await, &[]);
    let inner = library(&w, "inner", "deep.txt", "deep\n");
    let lib = w.path("lib");
    git(w.tmp.path(), &["init", "-q", "--initial-branch=main", "lib"]);
    write(&lib, "lib.txt", "from the library\n");
    git(&lib, &["add", "-A"]);
    add(&lib, "in/side", "../inner", &inner);
    git(&lib, &["commit", "-q", "-m", "library"]);
    let tip = git(&lib, &["rev-parse", "HEAD"]);
    git(&lib, &["commit", "-q", "--allow-empty", "-m", "a later one"]);
    let person = w.path("person");
    add(&person, "third party/sub", lib.to_str().unwrap(), &tip);
    add(&person, "relative", "../inner", &inner);
    let base = land(&w).await;
    let dir = w.prepare(&base).await;
    let out = w.path("out");
    w.git.checkout(&w.project, &base, &out).await.unwrap();
    for root in [&dir, &out] {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(read("third party/sub/lib.txt"), "from the library\n");
        assert_eq!(read("third party/sub/in/side/deep.txt"), "deep\n");
        assert_eq!(read("relative/deep.txt"), "deep\n");
        assert_eq!(git(root, &["status", "--porcelain"]), "", "as git has them");
        assert_eq!(git(&root.join("third party/sub"), &["rev-parse", "HEAD"]), tip);
        assert_eq!(git(&root.join("third party/sub"), &["remote"]), "");
    }
    // What the agent does in one is not the project's.
    write(&dir, "third party/sub/lib.txt", "changed\n");
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"]);
}

#[tokio::test]
async fn a_submodule_that_a_branch_names_is_followed_only_to_hosts_that_are_allowed() {
    let w = filled(World::new().await, &[]);
    let tip = library(&w, "lib", "lib.txt", "one\n");
    let secret = library(&w, "secret", "key.txt", "of somebody else\n");
    let person = w.path("person");
    let lib = w.path("lib").display().to_string();
    add(&person, "sub", &lib, &tip);
    let base = land(&w).await;
    let newer = library(&w, "lib", "lib.txt", "two\n");
    let ran = w.path("ran").display().to_string();
    // What `git submodule update` would run.
    git(&person, &["config", "--file", ".gitmodules", "submodule.sub.update", &format!("!touch {ran}")]);
    // On a branch: another commit of the same library, and addresses of the branch's own.
    add(&person, "sub", &lib, &newer);
    for (path, url) in [
        ("local", w.path("secret").display().to_string()),
        ("file", format!("file://{}", w.path("secret").display())),
        ("climbs", "../secret".to_owned()),
        ("foreign", "https://evil.invalid/x.git".to_owned()),
        ("helper", format!("ext::sh -c 'touch {ran}'")),
        ("dash", format!("--upload-pack=touch {ran}")),
        ("nowhere", lib.clone()),
    ] {
        let commit = if path == "nowhere" { "1".repeat(40) } else { secret.clone() };
        add(&person, path, &url, &commit);
    }
    git(&person, &["commit", "-q", "-m", "of a branch"]);
    git(&person, &["push", "-q", "../forge.git", &format!("HEAD:refs/heads/{BRANCH}")]);
    w.fetch().await;
    let head = w.git.forge_branch(&w.project, BRANCH).await.unwrap().unwrap();
    let dir = w.prepare_with(&head, &base, false, &[]).await;
    assert_eq!(fs::read_to_string(dir.join("sub/lib.txt")).unwrap(), "two\n");
    for path in ["local", "file", "climbs", "foreign", "helper", "dash", "nowhere"] {
        assert_eq!(fs::read_dir(dir.join(path)).unwrap().count(), 0, "{path} is filled");
    }
    assert!(!w.path("ran").exists(), "an address was run");
}

#[tokio::test]
async fn what_the_default_branch_has_and_cannot_be_fetched_is_a_fault_and_no_empty_directory() {
    let w = filled(World::new().await, &[]);
    let tip = library(&w, "lib", "lib.txt", "one\n");
    let person = w.path("person");
    add(&person, "sub", w.path("lib").to_str().unwrap(), &tip);
    let base = land(&w).await;
    fs::rename(w.path("lib"), w.path("lib-away")).unwrap();
    let out = w.path("out");
    let fault = w.git.checkout(&w.project, &base, &out).await.unwrap_err();
    assert!(fault.text.contains("submodule sub from") && fault.text.contains("lib"), "{fault}");
    assert!(!out.exists());
    fs::rename(w.path("lib-away"), w.path("lib")).unwrap();
    w.git.checkout(&w.project, &base, &out).await.unwrap();
    // Once fetched it is there whatever becomes of its repository.
    fs::remove_dir_all(w.path("lib")).unwrap();
    w.git.checkout(&w.project, &base, &out).await.unwrap();
    assert_eq!(fs::read_to_string(out.join("sub/lib.txt")).unwrap(), "one\n");
}

#[tokio::test]
async fn what_may_not_be_followed_is_said_before_the_first_task() {
    let w = World::new().await;
    let person = w.path("person");
    let tip = library(&w, "lib", "lib.txt", "one\n");
    add(&person, "sub", "https://github.com/o/r.git", &tip);
    add(&person, "good", "../lib", &tip);
    land(&w).await;
    let forge = w.path("forge.git");
    let said = async |others: &[&str]| {
        let others: Vec<String> = others.iter().map(|h| (*h).to_owned()).collect();
        let from = w.git.submodules_of(&w.remote().url, &others, TRUNK).await.unwrap();
        w.git.unfilled(&forge, &from, &w.path("mirrors")).await.unwrap()
    };
    let unfilled = said(&[]).await;
    assert_eq!(unfilled.len(), 1);
    assert!(unfilled[0].path == "sub" && unfilled[0].why.contains("github.com"), "{unfilled:?}");
    assert!(unfilled[0].fix.contains("submodule_hosts"), "{unfilled:?}");
    assert_eq!(said(&["GitHub.com"]).await, []);
    // A clone has the host of its origin, and addresses are relative to that.
    git(&person, &["remote", "add", "origin", "git@github.com:o/own.git"]);
    let from = w.git.submodules_of(person.to_str().unwrap(), &[], TRUNK).await.unwrap();
    assert_eq!(
        (from.relative_to.as_str(), from.hosts),
        ("git@github.com:o/own.git", vec!["file".into(), "github.com".into()])
    );
}

#[tokio::test]
async fn a_submodule_whose_directory_or_commit_is_gone_is_said_before_the_first_task() {
    let w = filled(World::new().await, &[]);
    let deep = library(&w, "deep", "deep.txt", "deep\n");
    library(&w, "lib", "lib.txt", "one\n");
    add(&w.path("lib"), "inner", w.path("deep").to_str().unwrap(), &deep);
    git(&w.path("lib"), &["commit", "-q", "-m", "inner"]);
    let tip = git(&w.path("lib"), &["rev-parse", "HEAD"]);
    add(&w.path("person"), "sub", &format!("file://{}", w.path("lib").display()), &tip);
    let base = land(&w).await;
    let repos = w.path("repos dir");
    let said = async |mirrors: &std::path::Path| {
        let from = w.git.submodules_of(&w.remote().url, &[], TRUNK).await.unwrap();
        let found = w.git.unfilled(&w.path("forge.git"), &from, mirrors).await.unwrap();
        found.into_iter().map(|u| (u.path, u.why, u.fix)).collect::<Vec<_>>()
    };
    let none = w.path("mirrors");
    assert_eq!(said(&none).await, []);
    // One in a submodule, one of the project, and one that is there without its commit.
    for (gone, path) in [("deep", "sub/inner"), ("lib", "sub")] {
        fs::rename(w.path(gone), w.path("away")).unwrap();
        let found = said(&none).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == path && found[0].1.contains("there is no repository at"), "{found:?}");
        assert!(found[0].1.contains(gone) && found[0].2.contains(".gitmodules"), "{found:?}");
        fs::create_dir(w.path(gone)).unwrap();
        git(&w.path(gone), &["init", "-q"]);
        let found = said(&none).await;
        assert!(found.len() == 1 && found[0].1.contains("has no commit"), "{found:?}");
        fs::remove_dir_all(w.path(gone)).unwrap();
        fs::rename(w.path("away"), w.path(gone)).unwrap();
        assert_eq!(said(&none).await, []);
    }
    // Once fetched it is there whatever becomes of its repository.
    w.git.checkout(&w.project, &base, &w.path("out")).await.unwrap();
    for gone in ["deep", "lib"] {
        fs::remove_dir_all(w.path(gone)).unwrap();
    }
    assert_eq!(said(&repos).await, [], "{:?}", fs::read_dir(&repos).unwrap().flatten().collect::<Vec<_>>());
    assert_eq!(said(&none).await.len(), 1);
}
