//! What a range of commits brings in, whatever the branch does to hide it.

use super::*;
use orch_ports::git::{BroughtIn, EntryKind};

/// A person's branch with everything that hides a change from a diff.
async fn hidden() -> (World, Sha, Sha) {
    let w = World::new().await;
    let base = w.trunk().await;
    let person = w.path("person");
    git(&person, &["checkout", "-q", "-b", "sly"]);
    let commit = |message: &str| {
        git(&person, &["add", "-A"]);
        git(&person, &["commit", "-q", "-m", message]);
    };
    write(&person, ".gitattributes", "* -diff binary\n");
    write(&person, "attributes.txt", "hidden by attributes\n");
    write(&person, "src/lib.txt", "changed\n");
    commit("attributes");
    write(&person, "gone.txt", "added and taken out again\n");
    commit("added");
    fs::remove_file(person.join("gone.txt")).unwrap();
    write(&person, "bytes.bin", b"\0\0binary\0");
    commit("taken out");
    // The same content under two names, one of which an allowlist might let through.
    write(&person, "fixtures/twice.txt", "twice\n");
    write(&person, "src/twice.txt", "twice\n");
    write(&person, "two\nlines", "a strange name\n");
    symlink("a target that is text too", person.join("link")).unwrap();
    commit("twice");
    git(&person, &["checkout", "-q", "-b", "side", "HEAD~1"]);
    write(&person, "side.txt", "from the side\n");
    commit("side");
    git(&person, &["checkout", "-q", "sly"]);
    git(&person, &["merge", "-q", "--no-ff", "--no-commit", "side"]);
    write(&person, "evil.txt", "only in the merge\n");
    commit("merge");
    git(&person, &["push", "-q", "../forge.git", "sly"]);
    w.fetch().await;
    let head = w.git.forge_branch(&w.project, "sly").await.unwrap().unwrap();
    (w, base, head)
}

/// Path and content of every blob.
async fn contents(w: &World, brought: &BroughtIn) -> Vec<(String, String)> {
    let ids: Vec<String> = brought.blobs.iter().map(|b| b.oid.clone()).collect();
    let bytes = w.git.read_objects(&w.project, &ids).await.unwrap();
    let pairs = brought.blobs.iter().zip(bytes);
    pairs
        .map(|(blob, bytes)| {
            assert_eq!(blob.size, bytes.len() as u64, "{}", blob.path);
            (blob.path.clone(), String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

#[tokio::test]
async fn nothing_hides_what_a_branch_brings_in() {
    let (w, base, head) = hidden().await;
    let brought = w.git.brought_in(&w.project, &base, &head).await.unwrap();
    let found = contents(&w, &brought).await;
    for (path, text) in [
        ("attributes.txt", "hidden by attributes\n"),
        ("gone.txt", "added and taken out again\n"),
        ("bytes.bin", "\0\0binary\0"),
        ("fixtures/twice.txt", "twice\n"),
        ("src/twice.txt", "twice\n"),
        ("two\nlines", "a strange name\n"),
        ("link", "a target that is text too"),
        ("side.txt", "from the side\n"),
        ("evil.txt", "only in the merge\n"),
        ("src/lib.txt", "changed\n"),
        (".gitattributes", "* -diff binary\n"),
    ] {
        assert!(found.contains(&(path.into(), text.into())), "{path:?} in {found:#?}");
    }
    assert_eq!(found.len(), 11, "and nothing that main has: {found:#?}");
    assert_eq!(brought.commits.len(), 6);
    assert_eq!(brought.commits[0], head, "newest first");
}

#[tokio::test]
async fn before_and_after_are_the_two_sides_of_what_is_different_at_the_head() {
    let (w, base, head) = hidden().await;
    let main = w.person_on_trunk(&[("elsewhere.txt", "main goes on\n")]).await;
    for base in [&base, &main] {
        let brought = w.git.brought_in(&w.project, base, &head).await.unwrap();
        let before: Vec<&str> = brought.before.iter().map(|b| b.path.as_str()).collect();
        assert_eq!(before, ["src/lib.txt"], "what main did since is not the branch's");
        let after: Vec<&str> = brought.after.iter().map(|b| b.path.as_str()).collect();
        assert!(after.contains(&"evil.txt") && !after.contains(&"gone.txt") && !after.contains(&"elsewhere.txt"));
        let old = w.git.read_objects(&w.project, &[brought.before[0].oid.clone()]).await.unwrap();
        assert!(old[0].starts_with(b"one\ntwo\n"));
    }
}

#[tokio::test]
async fn an_empty_range_brings_nothing_and_an_unknown_one_is_a_fault() {
    let w = World::new().await;
    let base = w.trunk().await;
    assert_eq!(w.git.brought_in(&w.project, &base, &base).await.unwrap(), BroughtIn::default());
    let nobody = Sha::new("1".repeat(40));
    assert!(w.git.brought_in(&w.project, &base, &nobody).await.is_err());
    assert!(w.git.brought_in(&w.project, &nobody, &base).await.is_err());
    let missing = w.git.read_objects(&w.project, &["1".repeat(40)]).await.unwrap_err();
    assert_eq!(missing.kind, FaultKind::Gone);
    assert!(w.git.read_objects(&w.project, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn squashed_the_branch_holds_only_what_its_files_hold() {
    let (w, base, head) = hidden().await;
    let author = Author::role("developer");
    let at = Time(1_700_000_000_000);
    let squash = async || w.git.squash(&w.project, &head, &base, "all of it", &author, at).await.unwrap();
    let one = squash().await;
    assert_eq!(one, squash().await, "the same inputs, the same commit");
    assert_eq!(w.git.tree(&w.project, &one).await.unwrap(), w.git.tree(&w.project, &head).await.unwrap());
    let brought = w.git.brought_in(&w.project, &base, &one).await.unwrap();
    assert_eq!(brought.commits, std::slice::from_ref(&one));
    assert!(!contents(&w, &brought).await.iter().any(|(path, _)| path == "gone.txt"));
}

/// What leads elsewhere is told apart from what has content: a link is both, a submodule only the former.
#[tokio::test]
async fn links_and_submodules_are_told_from_files() {
    let w = World::new().await;
    let base = w.person(&[("old.txt", "old\n")]).await;
    let person = w.path("person");
    symlink("src", person.join("link")).unwrap();
    fs::remove_file(person.join("old.txt")).unwrap();
    symlink("run.sh", person.join("old.txt")).unwrap();
    let other = "1".repeat(40);
    write(&person, "new.txt", "new\n");
    git(&person, &["add", "-A"]);
    git(&person, &["update-index", "--add", "--cacheinfo", &format!("160000,{other},vendor/lib")]);
    git(&person, &["commit", "-q", "-m", "links"]);
    git(&person, &["push", "-q", "../forge.git", TRUNK]);
    w.fetch().await;
    let head = w.trunk().await;
    let brought = w.git.brought_in(&w.project, &base, &head).await.unwrap();
    let said = |all: &[orch_ports::git::Entry]| -> Vec<(String, EntryKind, u64)> {
        all.iter().map(|e| (e.path.clone(), e.kind, e.size)).collect()
    };
    let leading = [
        ("link".into(), EntryKind::Link, 3),
        ("old.txt".into(), EntryKind::Link, 6),
        ("vendor/lib".into(), EntryKind::Submodule, 0),
    ];
    assert_eq!(said(&brought.leading), leading);
    assert!(brought.leading[2].oid == other && brought.after.iter().all(|b| b.path != "vendor/lib"));
    let all = w.git.entries(&w.project, &head).await.unwrap();
    let all = said(&all);
    assert!(leading.iter().all(|e| all.contains(e)), "{all:?}");
    assert!(all.contains(&("new.txt".into(), EntryKind::File, 4)), "{all:?}");
    assert!(all.contains(&("src/lib.txt".into(), EntryKind::File, 45)) && all.len() == 7, "{all:?}");
}
