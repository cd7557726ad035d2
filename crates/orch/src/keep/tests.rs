//! What a backup refuses, and what its repositories hold.

use super::repos::{Known, bundle, git, unbundle};
use super::*;

fn manifest(files: Vec<Entry>) -> Manifest {
    Manifest {
        form: FORM,
        orch: "0.1.0".into(),
        schema: 3,
        made_at: "2026-11-29T12:00:00Z".into(),
        instance: None,
        state: "/old".into(),
        files,
        repositories: Vec::new(),
        elsewhere: Vec::new(),
    }
}

#[test]
fn a_backup_that_is_cut_off_changed_or_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    assert!(Manifest::read(at).unwrap_err().contains("cut off"));
    fs::write(at.join(MANIFEST), "{\"form\": 1").unwrap();
    assert!(Manifest::read(at).unwrap_err().contains("damaged"));
    fs::write(at.join("orch.db"), "the database").unwrap();
    let (bytes, sha256) = digest(&at.join("orch.db")).unwrap();
    let good = Entry { path: "orch.db".into(), bytes, sha256 };
    let write = |m: &Manifest| fs::write(at.join(MANIFEST), serde_json::to_vec(m).unwrap()).unwrap();
    write(&Manifest { form: FORM + 1, orch: "9.0.0".into(), ..manifest(vec![good.clone()]) });
    assert!(Manifest::read(at).unwrap_err().contains("9.0.0"));
    write(&manifest(vec![good.clone()]));
    let read = Manifest::read(at).unwrap();
    assert_eq!(read.verify(at), Vec::<String>::new());

    let out = Entry { path: "../orch.db".into(), ..good.clone() };
    let missing = Entry { path: "runs/1/exit.json".into(), ..good.clone() };
    for (files, word) in [
        (vec![good.clone(), out], "no place in a backup"),
        (vec![good.clone(), missing], "runs/1/exit.json"),
        (vec![], "orch.db is not in the list"),
    ] {
        let wrong = manifest(files).verify(at).join("; ");
        assert!(wrong.contains(word), "{word}: {wrong}");
    }
    let stray = Bundle {
        path: "forge/X.git".into(),
        bundle: Some("forge/X.bundle".into()),
        head: String::new(),
        object_format: "sha1".into(),
        settings: vec![],
    };
    let wrong = Manifest { repositories: vec![stray], ..manifest(vec![good]) }.verify(at).join("; ");
    assert!(wrong.contains("forge/X.git"), "{wrong}");
    fs::write(at.join("orch.db"), "the databasE").unwrap();
    assert!(read.verify(at).join("; ").contains("digest differs"));
}

#[test]
fn a_bundle_has_every_branch_where_the_database_knows_it_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, work) = (dir.path().join("SHOP.git"), dir.path().join("back/SHOP.git"));
    let text = |p: &Path| p.to_str().unwrap().to_owned();
    let run = |args: &[&str]| git(Some(&repo), args, "").unwrap().trim().to_owned();
    git(None, &["init", "--quiet", "--bare", "--template=", "--initial-branch=trunk", &text(&repo)], "").unwrap();
    let empty = bundle(&repo, "forge/SHOP.git", &dir.path().join("e.bundle"), "e.bundle", &[]).unwrap();
    assert_eq!((empty.bundle, empty.head.as_str()), (None, "refs/heads/trunk"));

    let tree = git(Some(&repo), &["mktree"], "").unwrap().trim().to_owned();
    let commit = |message: &str, parent: Option<&str>| {
        let author = ["-c", "user.name=A", "-c", "user.email=a@b.invalid", "commit-tree", "-m", message];
        let parent: Vec<&str> = parent.map(|p| vec!["-p", p]).unwrap_or_default();
        let args: Vec<&str> = author.into_iter().chain(parent).chain([tree.as_str()]).collect();
        run(&args)
    };
    let main = commit("main", None);
    let (known, later) = (commit("known", Some(&main)), commit("later", Some(&main)));
    let gone = commit("its branch is gone", Some(&main));
    let aside = commit("set aside", None);
    for (name, id) in
        [("refs/heads/trunk", &main), ("refs/heads/feature/SHOP-1-a", &later), ("refs/orch/attic/1-2-1", &aside)]
    {
        run(&["update-ref", name, id]);
    }
    run(&["config", "core.fsync", "committed"]);
    let branch =
        |branch: &str, head: &str, item: &str| Known { branch: branch.into(), head: head.into(), item: item.into() };
    let believed = [
        branch("feature/SHOP-1-a", &known, "SHOP-1"),
        branch("feature/SHOP-2-b", &gone, "SHOP-2"),
        branch("feature/SHOP-3-c", &"0123456789".repeat(4), "SHOP-3"),
    ];
    let file = dir.path().join("SHOP.bundle");
    let before = run(&["for-each-ref"]);
    let made = bundle(&repo, "forge/SHOP.git", &file, "SHOP.bundle", &believed).unwrap();
    assert_eq!(run(&["for-each-ref"]), before, "nothing is written to the repository at work");

    fs::create_dir(work.parent().unwrap()).unwrap();
    unbundle(&made, dir.path(), &work).unwrap();
    let at =
        |name: &str| git(Some(&work), &["rev-parse", "--verify", "--quiet", name], "").map(|s| s.trim().to_owned());
    for (name, id) in [
        ("refs/heads/trunk", &main),
        ("refs/heads/feature/SHOP-1-a", &known),
        ("refs/orch/later/SHOP-1", &later),
        ("refs/heads/feature/SHOP-2-b", &gone),
        ("refs/orch/attic/1-2-1", &aside),
    ] {
        assert_eq!(at(name).as_ref(), Ok(id), "{name}");
    }
    assert!(at("refs/heads/feature/SHOP-3-c").is_err(), "what was never there is not made up");
    assert_eq!(fs::read_to_string(work.join("HEAD")).unwrap().trim(), "ref: refs/heads/trunk");
    assert_eq!(git(Some(&work), &["config", "--local", "core.fsync"], "").unwrap().trim(), "committed");
}
