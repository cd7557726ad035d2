//! Bringing repositories into service: imports, protection, and what is refused with which words.

use super::*;

#[tokio::test]
async fn a_plain_push_to_the_default_branch_is_refused_with_the_reason() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    let said = bench.push("main", tip.as_str(), "x.txt", "x").unwrap_err();
    assert!(said.contains("refs/heads/main is protected") && said.contains("pull request"), "{said}");
    assert_eq!(bench.tip().await, tip);
    bench.push("main-2", tip.as_str(), "y.txt", "y").unwrap();
    // Our own runner pushes past hooks of the *pushing* side; the served side's still answers.
    let call = bench.forge.state.git.call(Some(&bench.bare()), "push");
    let out = call.arg(bench.bare()).arg("refs/heads/main-2:refs/heads/main").run().await.unwrap();
    assert_ne!(out.status, Some(0));
    assert_eq!(bench.tip().await, tip);
}

#[tokio::test]
async fn neither_a_pointing_branch_nor_somebodys_configuration_gets_around_the_protection() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    git(&bench.bare(), &["symbolic-ref", "refs/heads/alias", "refs/heads/main"]).unwrap();
    let said = bench.push("alias", tip.as_str(), "x.txt", "x").unwrap_err();
    assert!(said.contains("is protected"), "{said}");
    let config = bench.root.path().join("gitconfig");
    std::fs::write(&config, "[core]\n\thooksPath = /nowhere\n").unwrap();
    let pushed = Command::new("git")
        .args(["push", "--force", bench.bare().to_str().unwrap(), "HEAD:refs/heads/main"])
        .current_dir(bench.work())
        .env("GIT_CONFIG_GLOBAL", &config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&pushed.stderr);
    assert!(!pushed.status.success() && said.contains("is protected"), "{said}");
    assert_eq!(bench.tip().await, tip);
}

#[tokio::test]
async fn a_hooks_directory_outside_of_the_repository_is_not_written_to() {
    let root = tempfile::tempdir().unwrap();
    a_clone(&root.path().join("src"), "main");
    let bare = root.path().join("their.git");
    git(root.path(), &["clone", "--quiet", "--bare", "src", "their.git"]).unwrap();
    let shared = root.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    git(&bare, &["config", "core.hooksPath", shared.to_str().unwrap()]).unwrap();
    let fault = serve(root.path(), &TestClock::at(0), &bare, "main").await.map(|_| ()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.text.contains("core.hooksPath") && fault.text.contains("their.git"), "{fault}");
    assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 0);
}

#[tokio::test]
async fn two_projects_may_share_a_repository_but_not_disagree_about_its_default_branch() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    git(&bench.bare(), &["update-ref", "refs/heads/other", tip.as_str()]).unwrap();
    let twin = |key: &str, branch: &str| ServedRepo::here(key.into(), bench.bare().to_str().unwrap(), branch);
    bench.forge.add_project(twin("TWIN", "main")).await.unwrap();
    let fault = bench.forge.add_project(twin("ODD", "other")).await.unwrap_err();
    assert!(fault.text.contains("DEMO") || fault.text.contains("TWIN"), "{fault}");
    bench.push("main", tip.as_str(), "x.txt", "x").expect_err("main is still protected");
}

#[tokio::test]
async fn a_shallow_clone_is_refused_with_the_way_out_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let full = root.path().join("full");
    a_clone(&full, "main");
    std::fs::write(full.join("b"), "b").unwrap();
    git(&full, &["add", "."]).unwrap();
    git(&full, &["commit", "--quiet", "-m", "second"]).unwrap();
    let url = format!("file://{}", full.display());
    git(root.path(), &["clone", "--quiet", "--depth=1", &url, "shallow"]).unwrap();
    let source = root.path().join("shallow");
    let fault = serve(root.path(), &TestClock::at(0), &source, "main").await.map(|_| ()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent, "{fault}");
    assert!(fault.text.contains("unshallow"), "{fault}");
    assert!(!root.path().join("forge").join("DEMO.git").exists());
}

#[tokio::test]
async fn a_repository_without_all_of_its_history_is_refused_in_whatever_form_it_is_named() {
    let root = tempfile::tempdir().unwrap();
    let full = root.path().join("full");
    a_clone(&full, "main");
    std::fs::write(full.join("readme.txt"), "another\n").unwrap();
    git(&full, &["commit", "--quiet", "-am", "second"]).unwrap();
    git(&full, &["config", "uploadpack.allowFilter", "true"]).unwrap();
    let url = format!("file://{}", full.display());
    for (name, how, hint) in [
        ("blobless", &["--filter=blob:none", "--no-checkout"][..], "partial clone"),
        ("blobless-checked-out", &["--filter=blob:none"], "partial clone"),
        ("treeless", &["--filter=tree:0", "--no-checkout"], "partial clone"),
        ("partial.git", &["--filter=blob:none", "--bare"], "partial clone"),
        ("shallow", &["--depth=1"], "shallow clone"),
        ("shallow.git", &["--depth=1", "--bare"], "shallow clone"),
    ] {
        git(root.path(), &[&["clone", "--quiet"], how, &[url.as_str(), name]].concat()).unwrap();
        let path = root.path().join(name);
        for source in [path.display().to_string(), format!("file://{}", path.display())] {
            let fault =
                serve(root.path(), &TestClock::at(0), Path::new(&source), "main").await.map(|_| ()).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Permanent, "{source}: {fault}");
            assert!(fault.text.contains(hint) && fault.text.contains("full clone in `repo`"), "{source}: {fault}");
            assert!(
                fault.text.len() < 500 && !root.path().join("forge").join("DEMO.git").exists(),
                "{source}: {fault}"
            );
        }
    }
    // One that was partial and has got the rest is as good as any.
    let path = root.path().join("whole-by-now");
    git(root.path(), &["clone", "--quiet", "--filter=blob:none", &url, "whole-by-now"]).unwrap();
    git(&path, &["config", "--unset-all", "remote.origin.partialclonefilter"]).unwrap();
    git(&path, &["fetch", "--quiet", "--refetch"]).unwrap();
    serve(root.path(), &TestClock::at(0), &path, "main").await.map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_users_own_hook_is_kept_and_two_of_them_are_refused() {
    let root = tempfile::tempdir().unwrap();
    a_clone(&root.path().join("src"), "main");
    let bare = root.path().join("their.git");
    git(root.path(), &["clone", "--quiet", "--bare", "src", "their.git"]).unwrap();
    let theirs = "#!/bin/sh\necho theirs >&2\n";
    let hook = |name: &str| bare.join("hooks").join(name);
    std::fs::write(hook("update"), theirs).unwrap();
    let clock = TestClock::at(0);
    serve(root.path(), &clock, &bare, "main").await.unwrap();
    assert_eq!(std::fs::read_to_string(hook("update")).unwrap(), theirs);
    let (work, remote) = (root.path().join("src"), bare.to_str().unwrap());
    let said = git(&work, &["push", "--force", remote, "HEAD~0:refs/heads/new", ":refs/heads/main"]).unwrap_err();
    assert!(said.contains("is protected"), "the other place protects as well: {said}");
    git(&work, &["push", remote, "HEAD:refs/heads/feature/a"]).unwrap();

    serve(root.path(), &clock, &bare, "main").await.unwrap();
    std::fs::write(hook("pre-receive"), theirs).unwrap();
    let fault = serve(root.path(), &clock, &bare, "main").await.map(|_| ()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.text.contains("their.git") && fault.text.contains("pre-receive"), "{fault}");
    assert_eq!(std::fs::read_to_string(hook("pre-receive")).unwrap(), theirs);
}

#[tokio::test]
async fn a_clone_whose_default_branch_is_trunk_is_imported_once() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("my own clone #1");
    a_clone(&source, "trunk");
    git(&source, &["branch", "half-done"]).unwrap();
    let clock = TestClock::at(0);
    // A crashed import must neither be taken for a repository nor stand in the way.
    let unfinished = root.path().join("forge").join("DEMO.git-importing");
    std::fs::create_dir_all(unfinished.join("objects")).unwrap();
    let forge = serve(root.path(), &clock, &source, "trunk").await.unwrap();
    assert!(!unfinished.exists());
    let bare = PathBuf::from(forge.remote(&demo()).await.unwrap().url);
    assert_eq!(bare, root.path().canonicalize().unwrap().join("forge").join("DEMO.git"));
    assert_eq!(git(&bare, &["for-each-ref", "--format=%(refname)"]).unwrap(), "refs/heads/trunk\nrefs/tags/v1");
    assert_eq!(git(&bare, &["symbolic-ref", "HEAD"]).unwrap(), "refs/heads/trunk");
    let tip = forge.branch_head(&demo(), "trunk").await.unwrap().unwrap();
    assert_eq!(tip.as_str(), git(&source, &["rev-parse", "trunk"]).unwrap());

    std::fs::write(source.join("later.txt"), "later").unwrap();
    git(&source, &["add", "."]).unwrap();
    git(&source, &["commit", "--quiet", "-m", "later"]).unwrap();
    drop(forge);
    let forge = serve(root.path(), &clock, &source, "trunk").await.unwrap();
    assert_eq!(forge.branch_head(&demo(), "trunk").await.unwrap(), Some(tip), "imported once, then left alone");
    git(&source, &["push", "--quiet", bare.to_str().unwrap(), "half-done"]).unwrap();
    git(&source, &["push", "--quiet", bare.to_str().unwrap(), "trunk"]).unwrap_err();
    let url = url_of(&forge.remote(&demo()).await.unwrap().url, 7);
    assert!(url.starts_with("file:///") && url.ends_with("/DEMO.git#7"), "{url}");
    assert_eq!(url_of("/a b/c#d", 1), "file:///a%20b/c%23d#1");
}

#[tokio::test]
async fn what_cannot_be_served_is_told_once_with_path_key_and_fix() {
    let root = tempfile::tempdir().unwrap();
    let clock = TestClock::at(0);
    let refused = async |source: &str, branch: &str, words: &[&str]| {
        let source = root.path().join(source);
        let fault = serve(root.path(), &clock, &source, branch).await.map(|_| ()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permanent, "{fault}");
        assert!(fault.text.contains(source.to_str().unwrap()) && fault.text.contains("DEMO"), "{fault}");
        for word in words {
            assert!(fault.text.contains(word), "{word} in: {fault}");
        }
        assert!(!root.path().join("forge").join("DEMO.git").exists(), "nothing half-made is left");
    };
    refused("nowhere", "main", &["no such directory", "`repo`"]).await;
    std::fs::create_dir(root.path().join("plain")).unwrap();
    refused("plain", "main", &["not a git repository", "`repo`"]).await;
    git(root.path(), &["init", "--quiet", "empty"]).unwrap();
    refused("empty", "main", &["is empty", "`default_branch`", "first commit"]).await;
    git(root.path(), &["init", "--quiet", "--bare", "empty.git"]).unwrap();
    refused("empty.git", "main", &["is empty", "`default_branch`"]).await;
    a_clone(&root.path().join("clone"), "trunk");
    refused("clone", "main", &["no branch main", "`default_branch`", "trunk"]).await;
    refused("clone", "ma in", &["`default_branch`"]).await;
}

#[tokio::test]
async fn an_unknown_project_is_gone_and_a_project_can_be_added_later() {
    let bench = Bench::new().await;
    assert_eq!(bench.forge.remote(&"LATE".into()).await.unwrap_err().kind, FaultKind::Gone);
    let late = bench.root.path().join("late");
    a_clone(&late, "main");
    let project = ServedRepo::here("LATE".into(), late.to_str().unwrap(), "main");
    bench.forge.add_project(project).await.unwrap();
    assert!(bench.forge.branch_head(&"LATE".into(), "main").await.unwrap().is_some());
    git(&late, &["push", bench.forge.remote(&"LATE".into()).await.unwrap().url.as_str(), "HEAD:refs/heads/a"]).unwrap();
    let pull = bench.forge.ensure_pull_request(&"LATE".into(), "a", "main", "t", "").await.unwrap();
    assert_eq!(pull.number, 1, "numbers are per project");
}

#[tokio::test]
async fn a_head_that_a_power_cut_emptied_is_written_again_where_everything_else_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let clock = TestClock::at(0);
    a_clone(&root.path().join("src"), "main");
    git(root.path(), &["clone", "--quiet", "--bare", "src", "their.git"]).unwrap();
    let (own, theirs) = (root.path().join("forge/DEMO.git"), root.path().join("their.git"));
    for (source, bare) in [(root.path().join("src"), &own), (theirs.clone(), &theirs)] {
        for (packed, left) in [(false, &b""[..]), (true, b"\0\0\0\0")] {
            drop(serve(root.path(), &clock, &source, "main").await.unwrap());
            if packed {
                git(bare, &["pack-refs", "--all"]).unwrap();
            }
            std::fs::write(bare.join("HEAD"), left).unwrap();
            let forge = serve(root.path(), &clock, &source, "main").await.unwrap();
            assert!(forge.branch_head(&demo(), "main").await.unwrap().is_some());
            assert_eq!(git(bare, &["symbolic-ref", "HEAD"]).unwrap(), "refs/heads/main");
        }
    }
    // A branch that is not there is no reason to name it.
    std::fs::write(theirs.join("HEAD"), "").unwrap();
    std::fs::remove_file(theirs.join("packed-refs")).unwrap();
    std::fs::remove_dir_all(&own).unwrap();
    assert!(serve(root.path(), &clock, &theirs, "main").await.is_err());
    assert_eq!(std::fs::read(theirs.join("HEAD")).unwrap(), b"");
}

#[tokio::test]
async fn a_merge_that_was_recorded_and_is_not_there_is_said_with_its_name() {
    let bench = Bench::new().await;
    let first = bench.tip().await;
    for name in ["one", "two", "three"] {
        let pull = bench.proposal(&format!("feature/{name}"), &format!("{name}.txt")).await;
        assert!(matches!(bench.merge(&pull, MergeMethod::Squash).await, MergeAnswer::Merged { .. }));
    }
    let none: Vec<String> = vec![];
    let said = async |others: Vec<(String, Sha)>| bench.forge.missing_merges(&demo(), others).await.unwrap();
    assert_eq!(said(vec![]).await, none);
    let gone = Sha::new("1".repeat(40));
    let other = said(vec![("DEMO-9".into(), gone)]).await;
    assert!(other.len() == 1 && other[0].contains("DEMO-9") && other[0].contains("is not in main"), "{other:?}");
    // A file that the second one brought is empty.
    let id = git(&bench.bare(), &["rev-parse", "main~1:two.txt"]).unwrap();
    let file = bench.bare().join("objects").join(&id[..2]).join(&id[2..]);
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let lost = said(vec![]).await;
    assert_eq!(
        lost.iter().filter(|l| l.contains("cannot be read")).count(),
        2,
        "the second and what builds on it: {lost:?}"
    );
    std::fs::write(&file, kept).unwrap();
    // Main is back where it was before the first.
    git(&bench.bare(), &["update-ref", "refs/heads/main", first.as_str()]).unwrap();
    let back = said(vec![]).await;
    assert!(back.len() == 3 && back.iter().all(|l| l.contains("is not in main")), "{back:?}");
    assert!(back[0].contains("pull request #"), "{back:?}");
    std::fs::write(bench.bare().join("refs/heads/main"), format!("{}\n", "2".repeat(40))).unwrap();
    assert!(said(vec![]).await[0].contains("cannot be read"));
}

#[tokio::test]
async fn a_default_branch_that_a_power_cut_emptied_is_written_again_from_what_the_repository_shows() {
    for (how, left) in
        [("reflog", Some(&b""[..])), ("reflog", Some(b"\0\0\0\0")), ("reflog", Some(b"1234")), ("reflog", None)]
            .into_iter()
            .chain([("recorded", Some(&b""[..])), ("both", Some(b"")), ("cut", Some(b"")), ("packed", Some(b""))])
    {
        let bench = Bench::new().await;
        let (bare, dir) = (bench.bare(), bench.root.path().join("forge"));
        let pull = bench.proposal("feature/one", "one.txt").await;
        assert!(matches!(bench.merge(&pull, MergeMethod::Squash).await, MergeAnswer::Merged { .. }));
        let mut tip = bench.tip().await;
        if how == "both" {
            // Somebody else pushed after the last merge: only the reflog knows of it.
            tip = bench.push("other", tip.as_str(), "theirs.txt", "theirs").unwrap();
            git(&bare, &["update-ref", "refs/heads/main", tip.as_str()]).unwrap();
        }
        let (log, file) = (bare.join("logs/refs/heads/main"), bare.join("refs/heads/main"));
        assert!(log.exists(), "{how}");
        match how {
            "recorded" => std::fs::remove_file(&log).unwrap(),
            "cut" => {
                let bytes = std::fs::read(&log).unwrap();
                std::fs::write(&log, [&bytes[..bytes.len() / 2], &[0; 200]].concat()).unwrap();
            }
            "packed" => {
                git(&bare, &["pack-refs", "--all"]).unwrap();
                std::fs::remove_file(&log).unwrap();
                // Another instance merged it: this one has no record.
                bench.db().execute("UPDATE pull_request SET base_branch = 'other'", []).unwrap();
            }
            _ => {}
        }
        match left {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let scratch = tempfile::tempdir().unwrap();
        let looked = GitForge::examine_branch(&dir, &bare, &[demo()], "main", scratch.path()).await.unwrap();
        assert!(looked.is_some_and(|(mends, text)| mends && text.contains(tip.short())), "{how}");
        assert_eq!(std::fs::read(&file).ok().as_deref(), left, "looking changes nothing");
        let bench = bench.reopen().await;
        assert_eq!(bench.tip().await, tip, "{how}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{tip}\n"));
        let looked = GitForge::examine_branch(&dir, &bare, &[demo()], "main", scratch.path()).await.unwrap();
        assert_eq!(looked, None);
        let next = bench.proposal("feature/two", "two.txt").await;
        assert!(matches!(bench.merge(&next, MergeMethod::Squash).await, MergeAnswer::Merged { .. }), "{how}");
        assert_eq!(bench.forge.missing_merges(&demo(), vec![]).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_default_branch_that_is_empty_and_named_nowhere_is_refused_with_its_file_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let clock = TestClock::at(0);
    a_clone(&root.path().join("src"), "main");
    git(root.path(), &["clone", "--quiet", "--bare", "src", "their.git"]).unwrap();
    let theirs = root.path().join("their.git");
    let commit = git(&theirs, &["rev-parse", "main"]).unwrap();
    git(&theirs, &["update-ref", "refs/heads/side", &commit]).unwrap();
    std::fs::remove_file(theirs.join("packed-refs")).unwrap();
    std::fs::write(theirs.join("refs/heads/main"), "").unwrap();
    let fault = serve(root.path(), &clock, &theirs, "main").await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Permanent);
    for word in ["refs/heads/main is empty", "power cut", "write its id into that file", "DEMO"] {
        assert!(fault.text.contains(word), "{word}: {fault}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let forge = root.path().join("forge");
    let looked = GitForge::examine_branch(&forge, &theirs, &[demo()], "main", scratch.path()).await;
    let (mends, text) = looked.unwrap().unwrap();
    assert!(!mends && text.contains("refs/heads/main is empty"), "{text}");
    assert_eq!(std::fs::read(theirs.join("refs/heads/main")).unwrap(), b"");
    // What it says to do is enough.
    std::fs::write(theirs.join("refs/heads/main"), format!("{commit}\n")).unwrap();
    serve(root.path(), &clock, &theirs, "main").await.unwrap();
    // Two histories that both could be it: neither is taken.
    let other = git(&theirs, &["commit-tree", "-m", "other", &format!("{commit}^{{tree}}")]).unwrap();
    std::fs::write(
        theirs.join("packed-refs"),
        format!("# pack-refs with: peeled fully-peeled sorted \n{other} refs/heads/main\n"),
    )
    .unwrap();
    std::fs::create_dir_all(theirs.join("logs/refs/heads")).unwrap();
    let line = format!("{} {commit} A <a@b> 1 +0000\tx\n", "0".repeat(40));
    std::fs::write(theirs.join("logs/refs/heads/main"), line).unwrap();
    std::fs::write(theirs.join("refs/heads/main"), "").unwrap();
    let fault = serve(root.path(), &clock, &theirs, "main").await.err().unwrap();
    assert!(fault.text.contains("none of them contains the others"), "{fault}");
    // A branch that was never there is said as before.
    let fault = serve(root.path(), &clock, &theirs, "trunk").await.err().unwrap();
    assert!(fault.text.contains("has no branch trunk"), "{fault}");
}

#[tokio::test]
async fn what_a_recorded_merge_brought_in_and_cannot_be_read_is_said() {
    let bench = Bench::new().await;
    for name in ["one", "two", "three"] {
        let pull = bench.proposal(&format!("feature/{name}"), &format!("{name}.txt")).await;
        assert!(matches!(bench.merge(&pull, MergeMethod::Squash).await, MergeAnswer::Merged { .. }));
    }
    // Somebody else's commit between the merges.
    let tip = bench.push("other", bench.tip().await.as_str(), "theirs.txt", "theirs").unwrap();
    git(&bench.bare(), &["update-ref", "refs/heads/main", tip.as_str()]).unwrap();
    let said = async || bench.forge.missing_merges(&demo(), vec![]).await.unwrap();
    assert_eq!(said().await, Vec::<String>::new());
    for (object, word) in [
        ("main:two.txt", "pull request #2"),
        ("main~1:three.txt", "pull request #3"),
        ("main:theirs.txt", "what main holds since"),
    ] {
        let id = git(&bench.bare(), &["rev-parse", object]).unwrap();
        let file = bench.bare().join("objects").join(&id[..2]).join(&id[2..]);
        let kept = std::fs::read(&file).unwrap();
        for left in [Vec::new(), vec![0; kept.len()], kept[..kept.len() - 6].to_vec()] {
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, &left).unwrap();
            let lost = said().await;
            assert_eq!(lost.len(), 1, "{object} {}: {lost:?}", left.len());
            assert!(
                lost[0].contains(word) && lost[0].contains("cannot be read") && lost[0].contains(&id[2..]),
                "{lost:?}"
            );
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, kept).unwrap();
        assert_eq!(said().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_pull_request_made_again_shows_a_merge_that_landed_while_nobody_knew() {
    for landed in [true, false] {
        let bench = Bench::new().await;
        let base = bench.tip().await;
        let done = bench.proposal("feature/one", "one.txt").await;
        let open = bench.proposal("feature/two", "two.txt").await;
        let tree = git(&bench.bare(), &["rev-parse", &format!("{}^{{tree}}", done.head)]).unwrap();
        if landed {
            assert!(matches!(bench.merge(&done, MergeMethod::Squash).await, MergeAnswer::Merged { .. }));
        }
        let tip = bench.tip().await;
        let Bench { root, clock, forge } = bench;
        drop(forge);
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(root.path().join(format!("forge/forge.db{end}")));
        }
        assert!(GitForge::is_empty(&root.path().join("forge")));
        let forge = super::open(root.path(), &clock).await.unwrap();
        let again = |pull: &PullRequest, begun: Option<(Sha, String)>| PullAgain {
            number: pull.number,
            title: pull.title.clone(),
            branch: pull.head_branch.clone(),
            base: "main".into(),
            head: Some(pull.head.clone()),
            merged: None,
            begun,
            closed: false,
            statuses: vec![],
        };
        let pulls = vec![again(&done, Some((base, tree))), again(&open, None)];
        for _ in 0..2 {
            forge.make_again(&demo(), pulls.clone()).await.unwrap();
        }
        assert!(!GitForge::is_empty(&root.path().join("forge")));
        let first = forge.pull_request(&demo(), done.number).await.unwrap();
        assert_eq!(first.state == PullState::Merged, landed);
        assert_eq!(first.merge_commit, landed.then(|| tip.clone()));
        let second = forge.pull_request(&demo(), open.number).await.unwrap();
        assert_eq!((second.state, second.head), (PullState::Open, open.head));
        assert_eq!(forge.missing_merges(&demo(), vec![]).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_import_that_a_dead_process_began_goes_and_one_that_lives_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    a_clone(&root.path().join("src"), "main");
    let forge = root.path().join("forge");
    let dead = forge.join("DEMO.git-importing-4194304.7.000000000000-0");
    let alive = forge.join(format!("DEMO.git-importing-{}", crate::owner::mark()));
    let other = forge.join("DEMO2.git-importing-4194304.7.000000000000-0");
    for dir in [&dead, &alive, &other] {
        std::fs::create_dir_all(dir.join("objects/ab")).unwrap();
    }
    serve(root.path(), &TestClock::at(0), &root.path().join("src"), "main").await.unwrap();
    assert!(!dead.exists() && alive.exists() && other.exists());
    assert!(forge.join("DEMO.git/HEAD").exists());
}
