//! Private repositories and repositories of the forge that a power cut or a person left in pieces.

use super::*;

/// Where a loose object lies.
fn object(repo: &Path, rev: &str) -> PathBuf {
    let id = git(repo, &["rev-parse", rev]);
    repo.join("objects").join(&id[..2]).join(&id[2..])
}

/// What a power cut makes of a file whose content was still in memory.
fn empty(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    fs::write(file, "").unwrap();
}

/// The machine started again, and orch with it.
async fn after_a_power_cut(w: &mut World) {
    let _ = fs::remove_file(w.path("repos dir/DEMO.git.boot"));
    w.git = GitCli::new(w.path("repos dir"), w.path("worktrees %41")).await.unwrap();
}

#[tokio::test]
async fn a_damaged_private_repository_is_made_anew_with_what_only_it_had() {
    type Damage = fn(&Path, &Sha);
    let damages: [(&str, Damage); 9] = [
        ("HEAD is empty", |repo, _| empty(&repo.join("HEAD"))),
        ("config is empty", |repo, _| empty(&repo.join("config"))),
        ("HEAD and config are empty", |repo, _| {
            empty(&repo.join("HEAD"));
            empty(&repo.join("config"));
        }),
        ("a branch of the forge names nothing", |repo, _| empty(&repo.join("refs/forge/trunk"))),
        ("a branch of the forge names what is not there", |repo, _| {
            fs::write(repo.join("refs/forge/trunk"), format!("{:040}\n", 1)).unwrap();
        }),
        ("the tip of main is empty", |repo, _| empty(&object(repo, "refs/forge/trunk"))),
        ("a file of main is empty", |repo, _| empty(&object(repo, "refs/forge/trunk:src/lib.txt"))),
        ("a directory of main is gone", |repo, _| {
            fs::remove_file(object(repo, "refs/forge/trunk:src")).unwrap();
        }),
        ("somebody deleted it while a git was at work", |repo, _| {
            for name in ["HEAD", "config", "refs/forge"] {
                let path = repo.join(name);
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        }),
    ];
    for (what, damage) in damages {
        let mut w = World::new().await;
        let base = w.trunk().await;
        // A snapshot that was not pushed, and a commit that nothing but a row in the store names.
        let mine = w.commit(&base, &[("mine.txt", "x")]).await;
        let file = FileWrite { path: format!("{DIR}/12-review.md"), bytes: b"---\n".to_vec() };
        let unnamed = w.git.commit_files(&w.project, &mine, &[file], "review", Time(0)).await.unwrap();
        damage(&w.private(), &mine);
        after_a_power_cut(&mut w).await;
        w.git.fetch(&w.project, &w.remote()).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(w.git.forge_branch(&w.project, TRUNK).await.unwrap(), Some(base), "{what}");
        assert_eq!(w.read(&unnamed, "mine.txt").await.as_deref(), Some("x"), "{what}");
        assert_eq!(git(&w.private(), &["rev-parse", "refs/orch/tasks/DEMO-1"]), mine.as_str(), "{what}");
        git(&w.private(), &["fsck", "--no-dangling"]);
        let left: Vec<_> = fs::read_dir(w.path("repos dir")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(!left.iter().any(|n| n.to_string_lossy().contains("aside")), "{what}: all was taken over: {left:?}");
        // And it is done once.
        let made = fs::metadata(w.private()).unwrap().ino();
        w.fetch().await;
        assert_eq!(fs::metadata(w.private()).unwrap().ino(), made, "{what}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_set_aside_and_the_rest_goes_on() {
    let mut w = World::new().await;
    let base = w.trunk().await;
    let mine = w.commit(&base, &[("mine.txt", "x")]).await;
    w.item = "DEMO-2".into();
    let other = w.commit(&base, &[("other.txt", "y")]).await;
    empty(&object(&w.private(), &format!("{mine}:mine.txt")));
    after_a_power_cut(&mut w).await;
    w.fetch().await;
    assert_eq!(w.read(&other, "other.txt").await.as_deref(), Some("y"));
    assert_eq!(w.git.tree(&w.project, &mine).await.unwrap_err().kind, FaultKind::Gone, "lost is not empty");
    let aside = w.path("repos dir/DEMO.git.aside");
    assert!(aside.join("refs/orch/tasks/DEMO-1").exists(), "what is left of it stays");
    // The next one takes its place: one is kept.
    empty(&w.private().join("HEAD"));
    after_a_power_cut(&mut w).await;
    w.fetch().await;
    assert!(!aside.exists());
    assert_eq!(w.read(&other, "other.txt").await.as_deref(), Some("y"));
}

#[tokio::test]
async fn a_private_repository_that_breaks_under_work_is_made_anew_at_the_first_read_that_fails() {
    let w = World::new().await;
    let base = w.trunk().await;
    for damage in ["HEAD", ""] {
        let path = w.private().join(damage);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            empty(&path);
        }
        let fault = w.git.commits(&w.project, &base, &[], 5).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
        w.git.tree(&w.project, &base).await.unwrap();
    }
}

#[tokio::test]
async fn a_branch_that_cannot_be_read_stops_its_own_task_and_no_other() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("names what is not there", |repo| {
            fs::write(repo.join("refs/heads/feature/bad"), format!("{:040}\n", 1)).unwrap();
        }),
        ("names nothing", |repo| empty(&repo.join("refs/heads/feature/bad"))),
        ("its commit is empty", |repo| empty(&object(repo, "feature/bad"))),
        ("its files are empty", |repo| empty(&object(repo, "feature/bad:bad.txt"))),
        ("its tree is empty", |repo| empty(&object(repo, "feature/bad^{tree}"))),
        ("its tree is gone", |repo| fs::remove_file(object(repo, "feature/bad^{tree}")).unwrap()),
    ];
    for (what, damage) in damages {
        let w = World::new().await;
        let (person, forge) = (w.path("person"), w.path("forge.git"));
        for name in ["bad", "good"] {
            git(&person, &["checkout", "-q", "-b", &format!("feature/{name}"), TRUNK]);
            write(&person, &format!("{name}.txt"), name);
            git(&person, &["add", "-A"]);
            git(&person, &["commit", "-q", "-m", name]);
            git(&person, &["push", "-q", "../forge.git", &format!("feature/{name}")]);
        }
        let mine = w.commit(&w.trunk().await, &[("mine.txt", "x")]).await;
        damage(&forge);
        w.git.fetch(&w.project, &w.remote()).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert!(w.git.forge_branch(&w.project, "feature/good").await.unwrap().is_some(), "{what}");
        let fault = w.git.forge_branch(&w.project, "feature/bad").await.unwrap_err();
        assert!(fault.text.contains("feature/bad") && fault.text.contains("repair or delete"), "{what}: {fault}");
        let pushed = w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &mine, None).await;
        assert_eq!(pushed.unwrap_or_else(|fault| panic!("{what}: {fault}")), PushAnswer::Done, "{what}");
        // A person deletes it, and its task goes on.
        fs::remove_file(forge.join("refs/heads/feature/bad")).unwrap();
        w.fetch().await;
        assert_eq!(w.git.forge_branch(&w.project, "feature/bad").await.unwrap(), None, "{what}");
    }
}

#[tokio::test]
async fn a_push_to_a_repository_of_this_machine_is_synced_by_the_git_that_receives_it() {
    let w = World::new().await;
    let forge = w.path("forge.git");
    // Against what its own configuration says, which stays as it is.
    git(&forge, &["config", "core.fsync", "none"]);
    let before = fs::read(forge.join("config")).unwrap();
    let hook = forge.join("hooks/post-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ngit config core.fsync > heard\ngit config core.fsyncMethod >> heard\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let mine = w.commit(&w.trunk().await, &[("mine.txt", "x")]).await;
    for remote in [w.remote(), Remote::of(&format!("file://{}", w.remote().url))] {
        let branch = format!("feature/{}", remote.url.len());
        assert_eq!(w.git.push(&w.project, &remote, &branch, TRUNK, &mine, None).await.unwrap(), PushAnswer::Done);
        let heard = fs::read_to_string(forge.join("heard")).unwrap();
        assert_eq!(heard, "objects,derived-metadata,reference\nfsync\n");
        fs::remove_file(forge.join("heard")).unwrap();
    }
    assert_eq!(fs::read(forge.join("config")).unwrap(), before);
}

#[tokio::test]
async fn what_dead_processes_left_goes_at_once_and_what_live_ones_hold_stays() {
    let w = World::new().await;
    let base = w.trunk().await;
    let checkouts = w.path("checkouts");
    let dead = [".new-1-4194304.7.000000000000-0", ".new-2-7-0", ".new-"].map(|name| checkouts.join(name));
    for dir in &dead {
        fs::create_dir_all(dir.join("src")).unwrap();
    }
    w.git.checkout(&w.project, &base, &checkouts.join("run")).await.unwrap();
    let left: Vec<_> = fs::read_dir(&checkouts).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["run"]);
    // A lock that is a second old and nobody's; the forge moved, so that the reference must be changed.
    fs::write(w.private().join("refs/forge/trunk.lock"), "").unwrap();
    let person = w.path("person");
    write(&person, "later.txt", "x");
    git(&person, &["add", "-A"]);
    git(&person, &["commit", "-q", "-m", "later"]);
    git(&person, &["push", "-q", "../forge.git", TRUNK]);
    w.fetch().await;
    assert_ne!(w.trunk().await, base);
}

/// A loss of power leaves locks wherever a reference was being changed.
#[tokio::test]
async fn a_lock_that_nobody_holds_stops_no_change_of_any_reference() {
    let w = World::new().await;
    let base = w.trunk().await;
    let locks = ["refs/orch/tasks/DEMO-1.lock", "refs/orch/attic/1-1-1.lock", "refs/orch/history/DEMO-1/x.lock"];
    let lock = |name: &str| {
        let path = w.private().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    };
    lock(locks[0]);
    let dir = w.prepare(&base).await;
    write(&dir, "mine.txt", "x");
    let taken = w.develop(&base).await;
    assert!(taken.changed);
    lock(locks[2]);
    w.git.keep_history(&w.project, "DEMO-1/x", &taken.commit).await.unwrap();
    assert_eq!(git(&w.private(), &["rev-parse", "refs/orch/history/DEMO-1/x"]), taken.commit.as_str());
    lock(locks[2]);
    w.git.let_go(&w.project, orch_ports::git::Shelf::History, "DEMO-1/x").await.unwrap();
    assert!(locks.iter().all(|name| !w.private().join(name).exists()));
    // And where what is pushed is received.
    let at_forge = w.path("forge.git").join(format!("refs/heads/{BRANCH}.lock"));
    fs::create_dir_all(at_forge.parent().unwrap()).unwrap();
    fs::write(&at_forge, "").unwrap();
    let pushed = w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &taken.commit, None).await.unwrap();
    assert_eq!(pushed, PushAnswer::Done);
    assert!(!at_forge.exists());
}

/// Every git reads the configuration of the repository it works in or asks, and ends where that is broken.
#[tokio::test]
async fn a_look_at_what_is_here_already_starts_no_process() {
    let w = World::new().await;
    w.fetch().await;
    let remote = w.path("forge.git");
    let broken = [remote.join("config"), w.private().join("config")].map(|path| {
        let text = fs::read(&path).unwrap();
        fs::write(&path, "[this is no configuration").unwrap();
        (path, text)
    });
    for _ in 0..20 {
        w.fetch().await;
    }
    // With something new to bring one is started, and meets it.
    fs::write(&broken[1].0, &broken[1].1).unwrap();
    fs::write(remote.join("refs/heads/other"), format!("{}\n", w.trunk().await)).unwrap();
    assert!(w.git.fetch(&w.project, &w.remote()).await.is_err());
}
