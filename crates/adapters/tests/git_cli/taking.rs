//! Working directories: how they are made, and what is taken from them after a run.

use super::*;

#[tokio::test]
async fn a_working_directory_is_a_clone_of_its_own_with_no_remote_and_nothing_of_the_private_repository() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    assert_eq!(dir, w.worktree());
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{base}\n{base}"));
    assert_eq!(git(&dir, &["symbolic-ref", "--short", "HEAD"]), BRANCH);
    assert_eq!(git(&dir, &["remote"]), "");
    assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    assert_eq!(fs::metadata(dir.join("run.sh")).unwrap().mode() & 0o111, 0o111);
    let alternates = fs::read_to_string(dir.join(".git/objects/info/alternates")).unwrap();
    assert!(!alternates.contains("repos dir"), "{alternates}");
    let mut stack = vec![dir.join(".git/objects"), PathBuf::from(alternates.trim_end())];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                stack.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().nlink(), 1, "{:?} is shared", entry.path());
            }
        }
    }
    // Nothing in it says where the private repository is.
    let config = fs::read_to_string(dir.join(".git/config")).unwrap();
    assert!(!config.contains("repos dir"), "{config}");
    assert!(!dir.join(".git/FETCH_HEAD").exists());
    assert!(!dir.join(".git/logs").exists());
    // The agent can commit right away.
    write(&dir, "new.txt", "x");
    for args in [&["add", "-A"][..], &["commit", "-q", "-m", "mine"]] {
        let own = Command::new("git").current_dir(&dir).args(args).env("HOME", w.tmp.path()).status().unwrap();
        assert!(own.success());
    }
    assert_eq!(git(&dir, &["log", "-1", "--format=%an"]), "orch agent");
}

#[tokio::test]
async fn names_are_bytes_and_content_is_taken_byte_by_byte() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let names = ["with space.txt", "two\nlines.txt", "прывітанне.txt", "\"quoted\"\t.txt", "-dash.txt", ":(top)magic*"];
    for name in names {
        write(&dir, name, "x");
    }
    fs::write(dir.join(OsStr::from_bytes(b"latin-\xe9.txt")), "x").unwrap();
    write(&dir, "dos.txt", "a\r\nb\r\n");
    fs::create_dir_all(dir.join("empty/inside")).unwrap();
    fs::set_permissions(dir.join("src/lib.txt"), Permissions::from_mode(0o755)).unwrap();
    symlink("/nowhere/at/all", dir.join("dangling")).unwrap();
    let taken = w.develop(&base).await;
    assert!(taken.changed && taken.code_changed);
    assert_eq!(taken.discarded, Vec::<String>::new());
    let files = w.files(&taken.commit).await;
    for name in names {
        assert!(files.contains(&name.to_owned()), "{name:?}");
        assert_eq!(w.read(&taken.commit, name).await.as_deref(), Some("x"), "{name:?}");
    }
    assert!(files.contains(&"latin-\u{fffd}.txt".to_owned()), "shown with a replacement");
    assert_eq!(w.read(&taken.commit, "dos.txt").await.as_deref(), Some("a\r\nb\r\n"));
    assert_eq!(w.read(&taken.commit, "dangling").await, None, "a link is no regular file");
    let modes = git(&w.private(), &["ls-tree", taken.commit.as_str(), "src/lib.txt", "dangling"]);
    assert!(modes.contains("100755 blob") && modes.contains("120000 blob"), "{modes}");
    // And out again, the same.
    let out = w.path("out/clean");
    w.git.checkout(&w.project, &taken.commit, &out).await.unwrap();
    assert_eq!(fs::read(out.join("dos.txt")).unwrap(), b"a\r\nb\r\n");
    assert!(out.join(OsStr::from_bytes(b"latin-\xe9.txt")).exists());
    assert_eq!(git(&out, &["rev-parse", "HEAD"]), taken.commit.as_str());
    assert_eq!(git(&out, &["status", "--porcelain"]), "");
    write(&out, "left by an earlier test run", "x");
    w.git.checkout(&w.project, &base, &out).await.unwrap();
    assert!(!out.join("left by an earlier test run").exists() && !out.join("dos.txt").exists());
    assert_eq!(git(&out, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD", "detached");
}

#[tokio::test]
async fn the_same_run_always_makes_the_same_commit_and_nothing_makes_none() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let nothing = w.develop(&base).await;
    assert_eq!((nothing.commit, nothing.changed, nothing.code_changed), (base.clone(), false, false));
    write(&dir, "new.txt", "x");
    let first = w.develop(&base).await;
    assert_eq!(w.develop(&base).await, first);
    w.prepare(&base).await;
    write(&dir, "new.txt", "x");
    assert_eq!(w.develop(&base).await, first);
    let told = git(&w.private(), &["log", "-1", "--format=%an <%ae> %at / %cn <%ce> %ct %s", first.commit.as_str()]);
    let author = "orch developer <developer@orch.invalid> 1700000000";
    assert_eq!(told, format!("{author} / orch <orch@orch.invalid> 1700000000 DEMO-1: development"));
    let held = w.git.resolve(&w.project, "refs/orch/tasks/DEMO-1").await.unwrap();
    assert_eq!(held, Some(first.commit), "no garbage collection takes it");
}

#[tokio::test]
async fn what_an_agent_committed_itself_becomes_one_commit() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    for n in 0..3 {
        write(&dir, &format!("file-{n}"), "x");
        git(&dir, &["add", "-A"]);
        git(&dir, &["commit", "-q", "-m", "agent"]);
    }
    git(&dir, &["checkout", "-q", "-b", "elsewhere"]);
    let taken = w.develop(&base).await;
    assert_eq!(
        git(&w.private(), &["rev-list", "--parents", "-1", taken.commit.as_str()]),
        format!("{} {base}", taken.commit)
    );
    assert_eq!(w.changed(&base, &taken.commit).await, ["A file-0", "A file-1", "A file-2"]);
}

#[tokio::test]
async fn a_deleted_or_ruined_git_directory_does_not_matter() {
    let w = World::new().await;
    let base = w.trunk().await;
    for ruin in 0..3 {
        let dir = w.prepare(&base).await;
        write(&dir, "new.txt", "x");
        fs::remove_dir_all(dir.join(".git")).unwrap();
        match ruin {
            0 => {}
            1 => fs::write(dir.join(".git"), "gitdir: /nowhere\n").unwrap(),
            _ => symlink("/etc", dir.join(".git")).unwrap(),
        }
        let taken = w.develop(&base).await;
        assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"], "ruin {ruin}");
    }
}

#[tokio::test]
async fn a_nested_repository_is_taken_as_plain_files() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    for nested in ["vendor/inner", "vendor/inner/deeper"] {
        write(&dir, &format!("{nested}/code.txt"), "x");
        git(&dir.join(nested), &["init", "-q"]);
        git(&dir.join(nested), &["add", "-A"]);
        git(&dir.join(nested), &["commit", "-q", "-m", "inner"]);
    }
    write(&dir, "other/.git", "gitdir: ../../elsewhere\n");
    write(&dir, "other/code.txt", "x");
    let taken = w.develop(&base).await;
    let expected = ["A other/code.txt", "A vendor/inner/code.txt", "A vendor/inner/deeper/code.txt"];
    assert_eq!(w.changed(&base, &taken.commit).await, expected);
    assert!(!git(&w.private(), &["ls-tree", "-r", taken.commit.as_str()]).contains("160000"));
}

#[tokio::test]
async fn a_submodule_stays_what_the_parent_says_whatever_lies_there() {
    let w = World::new().await;
    let person = w.path("person");
    let first = git(&person, &["rev-parse", "HEAD"]);
    git(&person, &["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub")]);
    git(&person, &["commit", "-q", "-m", "submodule"]);
    git(&person, &["push", "-q", "../forge.git", TRUNK]);
    w.fetch().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let marker = w.path("ran");
    write(&dir, "sub/code.txt", "x");
    git(&dir.join("sub"), &["init", "-q"]);
    git(&dir.join("sub"), &["add", "-A"]);
    git(&dir.join("sub"), &["commit", "-q", "-m", "another commit"]);
    git(&dir.join("sub"), &["config", "core.fsmonitor", &format!("touch '{}'; false", marker.display())]);
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"]);
    assert!(!marker.exists(), "git was started inside the agent's repository");
}

#[tokio::test]
async fn a_working_directory_that_became_a_link_is_refused_and_its_target_survives() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let precious = w.path("precious");
    write(&precious, "file", "kept");
    fs::remove_dir_all(&dir).unwrap();
    symlink(&precious, &dir).unwrap();
    let author = Author::role("developer");
    let fault = w.git.snapshot(&w.ask(&base, &author)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Gone);
    assert!(fault.text.contains("replaced by a link"), "{fault}");
    w.prepare(&base).await;
    assert!(dir.join("src/lib.txt").exists() && !dir.is_symlink());
    assert_eq!(w.git.worktrees().await.unwrap(), [(w.project.clone(), w.item.clone())]);
    fs::remove_dir_all(&dir).unwrap();
    symlink(&precious, &dir).unwrap();
    assert_eq!(w.git.worktrees().await.unwrap(), [], "a link is no working directory");
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept");
    assert!(fs::symlink_metadata(&dir).is_err());
}

#[tokio::test]
async fn nothing_the_working_directory_names_is_run() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let marker = w.path("ran");
    let run = format!("touch '{}'", marker.display());
    for (key, value) in [
        ("core.fsmonitor", run.clone()),
        ("filter.evil.clean", format!("{run}; cat")),
        ("filter.evil.smudge", format!("{run}; cat")),
        ("filter.evil.required", "true".into()),
        ("diff.evil.textconv", run.clone()),
        ("diff.evil.command", run.clone()),
        ("merge.evil.driver", run.clone()),
        ("core.hooksPath", dir.join("hooks").to_str().unwrap().to_owned()),
    ] {
        git_bytes(&dir, &["config", key, &value], b"");
    }
    for hook in ["pre-commit", "post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"] {
        for place in ["hooks", ".git/hooks"] {
            write(&dir, &format!("{place}/{hook}"), format!("#!/bin/sh\n{run}\n"));
            fs::set_permissions(dir.join(place).join(hook), Permissions::from_mode(0o755)).unwrap();
        }
    }
    write(&dir, ".gitattributes", "* filter=evil diff=evil merge=evil\n");
    write(&dir, "src/lib.txt", "changed\n");
    let taken = w.develop(&base).await;
    w.prepare(&taken.commit).await;
    w.git.patch_id(&w.project, &base, &taken.commit, DIR).await.unwrap();
    w.git.checkout(&w.project, &taken.commit, &w.path("clean")).await.unwrap();
    assert_eq!(w.read(&taken.commit, "src/lib.txt").await.as_deref(), Some("changed\n"));
    assert!(!marker.exists());
}

#[tokio::test]
async fn attributes_that_make_git_fail_cost_nothing() {
    const BAD: &str = "working-tree-encoding=no-such-encoding";
    let cases = [
        ("plainly", vec![(".gitattributes", format!("*.txt {BAD}\n"))]),
        ("by a macro", vec![(".gitattributes", format!("[attr]odd {BAD} ident eol=crlf\n* odd\n"))]),
        ("below", vec![("sub/.gitattributes", format!("* {BAD}\n"))]),
        ("twice", vec![(".gitattributes", "* text\n".into()), ("sub/.gitattributes", format!("*.txt {BAD}\n"))]),
        ("as UTF-16 that is none", vec![(".gitattributes", "*.txt working-tree-encoding=UTF-16\n".into())]),
    ];
    for (how, attributes) in cases {
        let w = World::new().await;
        let base = w.trunk().await;
        let dir = w.prepare(&base).await;
        for (path, text) in &attributes {
            write(&dir, path, text);
        }
        for file in ["odd.txt", "sub/odd.txt"] {
            write(&dir, file, "$Id$ x\r\n");
        }
        let taken = w.develop(&base).await;
        let mut expected = vec!["A odd.txt".to_owned(), "A sub/odd.txt".to_owned()];
        expected.extend(attributes.iter().map(|(path, _)| format!("A {path}")));
        expected.sort();
        assert_eq!(w.changed(&base, &taken.commit).await, expected, "{how}");
        assert_eq!(w.read(&taken.commit, "sub/odd.txt").await.as_deref(), Some("$Id$ x\r\n"), "{how}: byte by byte");
        let indexes = fs::read_dir(w.path("repos dir/DEMO.index"));
        assert_eq!(indexes.map_or(0, Iterator::count), 0, "{how}: nothing is left");
    }
}

#[tokio::test]
async fn what_git_cannot_take_is_reported_and_the_rest_is_taken() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "sub/.GIT/config", "x");
    write(&dir, "good.txt", "x");
    write(&dir, "locked/file.txt", "x");
    fs::set_permissions(dir.join("locked/file.txt"), Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.join("locked"), Permissions::from_mode(0o000)).unwrap();
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A good.txt", "A locked/file.txt"]);
    assert_eq!(taken.discarded, ["sub/.GIT/config"]);
}

#[tokio::test]
async fn a_reviewers_code_is_discarded_and_listed_and_its_verdict_taken() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "src/lib.txt", "improved by the reviewer\n");
    write(&dir, "src/extra.txt", "x");
    fs::remove_file(dir.join("run.sh")).unwrap();
    write(&dir, &format!("{DIR}/01-brd.md"), "rewritten\n");
    write(&dir, &format!("{DIR}/hidden.py"), "print()");
    write(&dir, &format!("{DIR}/06-adr/ADR-001.md"), "not mine");
    write(&dir, &format!("{DIR}/12-review.md"), "---\nverdict: APPROVED\n---\n");
    // Left out by the project's own rules, taken all the same.
    write(&dir, ".gitignore", "docs/\n");
    let taken = w.review(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("A {DIR}/12-review.md")]);
    let mut expected = vec![".gitignore".into(), "run.sh".into(), "src/extra.txt".into(), "src/lib.txt".into()];
    expected.extend([format!("{DIR}/01-brd.md"), format!("{DIR}/06-adr/ADR-001.md")]);
    expected.sort();
    assert_eq!(taken.discarded, expected);
    assert!(taken.changed && !taken.code_changed);
    let digest = async |c: &Sha| w.git.code_digest(&w.project, c, DIR).await.unwrap();
    assert_eq!(digest(&base).await, digest(&taken.commit).await, "an artefact voids no verdict of the code");
    assert_eq!(digest(&base).await, w.git.code_digest(&w.project, &base, &format!("{DIR}/")).await.unwrap());
}

#[tokio::test]
async fn a_file_that_is_no_known_artefact_is_code() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, &format!("{DIR}/hidden.py"), "print()");
    let review = w.review(&base).await;
    assert_eq!((review.changed, review.discarded), (false, vec![format!("{DIR}/hidden.py")]));
    let taken = w.develop(&base).await;
    assert!(taken.code_changed);
    assert_eq!(w.read(&taken.commit, &format!("{DIR}/hidden.py")).await.as_deref(), Some("print()"));
    assert_ne!(
        w.git.code_digest(&w.project, &base, DIR).await.unwrap(),
        w.git.code_digest(&w.project, &taken.commit, DIR).await.unwrap()
    );
}

#[tokio::test]
async fn a_link_under_an_artefacts_name_is_code() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    symlink("../../../src/lib.txt", dir.join(DIR).join("12-review.md")).unwrap();
    let taken = w.review(&base).await;
    assert_eq!((taken.commit, taken.changed), (base.clone(), false));
    assert_eq!(taken.discarded, [format!("{DIR}/12-review.md")]);
    let taken = w.develop(&base).await;
    assert!(taken.code_changed);
    let digest = async |c: &Sha| w.git.code_digest(&w.project, c, DIR).await.unwrap();
    assert_ne!(digest(&base).await, digest(&taken.commit).await);
    assert_eq!(w.read(&taken.commit, &format!("{DIR}/12-review.md")).await, None);
}

#[tokio::test]
async fn artefacts_of_other_roles_are_put_back_even_when_something_stands_in_their_place() {
    let w = World::new().await;
    let adr = format!("{DIR}/06-adr/ADR-001.md");
    let base = w.person(&[(&adr, "decided\n")]).await;
    let dir = w.prepare(&base).await;
    fs::remove_dir_all(dir.join(DIR)).unwrap();
    write(&dir, &format!("{DIR}/06-adr"), "a file where the directory was");
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, ["A new.txt"]);
    assert_eq!(w.read(&taken.commit, &adr).await.as_deref(), Some("decided\n"));
    // The architect may: by the name of the directory.
    w.prepare(&base).await;
    write(&dir, &adr, "decided again\n");
    let author = Author::role("architect");
    let ask = Snapshot { take_code: false, take_artefacts: &["06-adr/"], ..w.ask(&base, &author) };
    let taken = w.git.snapshot(&ask).await.unwrap();
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("M {adr}")]);
}

#[tokio::test]
async fn a_stale_verdict_is_gone_before_the_run_and_through_no_link_outside() {
    let w = World::new().await;
    let path = format!("{DIR}/12-review.md");
    let base = w.person(&[(&path, "---\nverdict: APPROVED\n---\n")]).await;
    let dir = w.prepare_with(&base, &base, false, std::slice::from_ref(&path)).await;
    assert!(!dir.join(&path).exists() && dir.join(DIR).join("01-brd.md").exists());
    let taken = w.review(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("D {path}")], "no verdict now, whatever it was before");
    // A branch in which the directory is a link to somewhere else.
    let outside = w.path("outside");
    write(&outside, "DEMO-1/12-review.md", "kept");
    let dir = w.prepare(&base).await;
    fs::remove_dir_all(dir.join("docs/work-items")).unwrap();
    symlink(&outside, dir.join("docs/work-items")).unwrap();
    let author = Author::role("developer");
    let ask = Snapshot { take_artefacts: &["01-brd.md", "12-review.md"], ..w.ask(&base, &author) };
    let linked = w.git.snapshot(&ask).await.unwrap().commit;
    w.prepare_with(&linked, &base, false, &[path]).await;
    assert_eq!(fs::read_to_string(outside.join("DEMO-1/12-review.md")).unwrap(), "kept");
}

#[tokio::test]
async fn uncommitted_work_is_kept_in_the_attic_and_a_second_prepare_does_not_lose_it() {
    let w = World::new().await;
    let base = w.trunk().await;
    let attic = async || w.attic("DEMO-1/run-1").await;
    let dir = w.prepare(&base).await;
    w.prepare(&base).await;
    assert_eq!(attic().await, None, "an untouched directory is not worth keeping");
    write(&dir, "half done.txt", "precious");
    fs::set_permissions(dir.join("src"), Permissions::from_mode(0o500)).unwrap();
    fs::remove_dir_all(dir.join(".git")).unwrap();
    w.prepare(&base).await;
    assert!(!dir.join("half done.txt").exists());
    let kept = attic().await.unwrap();
    assert_eq!(w.read(&kept, "half done.txt").await.as_deref(), Some("precious"));
    // Crashed after that, it runs again under the same name, finding other files.
    write(&dir, "other.txt", "x");
    w.prepare(&base).await;
    assert!(w.git.is_ancestor(&w.project, &kept, &attic().await.unwrap()).await.unwrap());
    let beside = || {
        let beside =
            fs::read_dir(dir.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut beside: Vec<String> = beside.collect();
        beside.sort();
        beside
    };
    assert_eq!(beside(), [".left-DEMO-1", ".objects.git", ".seen-DEMO-1", "DEMO-1"], "nothing temporary stays");
    assert_eq!(fs::read_dir(dir.with_file_name(".left-DEMO-1")).unwrap().count(), 0);
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    assert_eq!(beside(), [".objects.git"]);
}

/// The old working directory is kept while the next agent works; orch may be killed meanwhile.
#[tokio::test]
async fn what_a_killed_orch_had_moved_away_and_not_kept_yet_is_kept_by_the_next_one() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let left = |run: &str| {
        let left = dir.with_file_name(".left-DEMO-1").join(format!("{base}-DEMO-1~{run}"));
        for path in ["half done.txt", ".git/HEAD", "sub/.git/config", "sub/file"] {
            write(&left, path, run);
        }
    };
    left("run-7");
    // What an interrupted removal left, and what belongs to no directory any more.
    let around = dir.with_file_name(".left-DEMO-1");
    write(&around, &format!("{base}-DEMO-1~run-1.seen"), "x");
    write(&around, &format!("{base}-DEMO-1~run-1.aside/config"), "x");
    w.prepare(&base).await;
    let kept = w.attic("DEMO-1/run-7").await.unwrap();
    assert_eq!(w.read(&kept, "half done.txt").await.as_deref(), Some("run-7"));
    assert_eq!(w.read(&kept, "sub/file").await.as_deref(), Some("run-7"));
    assert_eq!(fs::read_dir(&around).unwrap().count(), 0);
    // The task ended before it had another turn; and a private repository that was made anew does not have the commit.
    left("run-8");
    left("run-9");
    let unknown = "1".repeat(40);
    fs::rename(around.join(format!("{base}-DEMO-1~run-9")), around.join(format!("{unknown}-DEMO-1~run-9"))).unwrap();
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    for run in ["run-8", "run-9"] {
        let kept = w.attic(&format!("DEMO-1/{run}")).await.unwrap();
        assert_eq!(w.read(&kept, "half done.txt").await.as_deref(), Some(run));
    }
    assert!(!around.exists());
    // What cannot be kept is not removed either.
    left("a..b");
    let fault = w.git.remove_worktree(&w.project, &w.item).await.unwrap_err();
    assert!(fault.is_transient() && fault.text.contains(".left-DEMO-1"), "{fault}");
    assert!(around.join(format!("{base}-DEMO-1~a..b/half done.txt")).exists());
    // Nor is anything looked for through a link.
    fs::remove_dir_all(&around).unwrap();
    let other = w.path("other");
    write(&other.join(format!("{base}-DEMO-1~run-3")), "file", "x");
    symlink(&other, &around).unwrap();
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    assert!(other.join(format!("{base}-DEMO-1~run-3/file")).exists() && !around.exists());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_looked_at_before_git_reads_it() {
    const HUGE: u64 = 10_000_000_000_000;
    let w = World::new().await;
    let base = w.commit(&w.trunk().await, &[("keep.txt", "x")]).await;
    let huge = |dir: &Path, path: &str| {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // Holes: it takes no room, and reading it would take hours.
        fs::File::create(file).unwrap().set_len(HUGE).unwrap();
    };
    for path in ["dump.bin", "src/deep/dump bin", "keep.txt", ":(top)x"] {
        let dir = w.prepare(&base).await;
        huge(&dir, path);
        let refused = w.develop(&base).await.refused.unwrap();
        assert!(refused.contains(&format!("{path} has {HUGE} bytes")), "{refused}");
        fs::remove_file(dir.join(path)).unwrap();
    }
    // What a build makes and git ignores is nobody's business.
    let dir = w.prepare(&base).await;
    write(&dir, ".gitignore", "out/\n");
    huge(&dir, "out/image");
    write(&dir, "new.txt", "x");
    let taken = w.develop(&base).await;
    assert_eq!((taken.refused, taken.changed), (None, true));
    // Left behind by a run that died, it keeps nobody from going on, and the rest is kept.
    huge(&dir, "dump.bin");
    write(&dir, "left.txt", "left");
    w.prepare(&base).await;
    let attic = w.attic("DEMO-1/run-1").await.unwrap();
    assert_eq!(w.read(&attic, "left.txt").await.as_deref(), Some("left"));
    assert_eq!(w.read(&attic, "dump.bin").await, None);
}

/// Files nobody has touched are not read again; what was touched is taken, whatever it looks like from outside.
#[tokio::test]
async fn what_was_changed_and_looks_as_before_is_taken_all_the_same() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    let file = dir.join("src/lib.txt");
    let before = fs::metadata(&file).unwrap();
    let other: Vec<u8> = fs::read(&file).unwrap().iter().map(|b| if *b == b'\n' { b'\n' } else { b'#' }).collect();
    // As large as before, and as old: by itself, and by another file in its place.
    type Change = fn(&Path, &[u8]);
    let changes: [Change; 2] = [
        |file, bytes| fs::write(file, bytes).unwrap(),
        |file, bytes| {
            fs::write(file.with_extension("new"), bytes).unwrap();
            fs::rename(file.with_extension("new"), file).unwrap();
        },
    ];
    for change in changes {
        w.prepare(&base).await;
        change(&file, &other);
        let opened = fs::File::options().write(true).open(&file).unwrap();
        opened.set_modified(before.modified().unwrap()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), before.len());
        let taken = w.develop(&base).await;
        assert_eq!(w.read(&taken.commit, "src/lib.txt").await.map(String::into_bytes).as_ref(), Some(&other));
    }
    // What is kept beside the working directory is no more than a help.
    let seen = w.worktree().with_file_name(format!(".seen-{}", w.item));
    assert!(seen.is_file());
    let bad: [fn(&Path); 4] = [
        |seen| fs::write(seen, "no index").unwrap(),
        |seen| fs::write(seen, "").unwrap(),
        |seen| fs::remove_file(seen).unwrap(),
        |seen| {
            fs::remove_file(seen).unwrap();
            symlink("/etc/hostname", seen).unwrap();
        },
    ];
    for spoil in bad {
        w.prepare(&base).await;
        spoil(&seen);
        write(&dir, "new.txt", "x");
        fs::remove_file(dir.join("run.sh")).unwrap();
        let taken = w.develop(&base).await;
        let files = w.files(&taken.commit).await;
        assert!(files.contains(&"new.txt".to_owned()) && !files.contains(&"run.sh".to_owned()), "{files:?}");
        let _ = fs::remove_file(&seen);
    }
    w.git.remove_worktree(&w.project, &w.item).await.unwrap();
    assert!(!seen.exists());
}

#[tokio::test]
async fn what_the_last_run_left_has_a_name_of_its_own_until_the_history_holds_it() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "mine.txt", "x");
    let taken = w.develop(&base).await;
    let named = || git(&w.private(), &["for-each-ref", "--format=%(refname)", "refs/orch/"]);
    assert_eq!(named(), "refs/orch/tasks/DEMO-1");
    w.git.keep_history(&w.project, "DEMO-1/other", &base).await.unwrap();
    assert_eq!(named(), "refs/orch/history/DEMO-1/other\nrefs/orch/tasks/DEMO-1", "another commit does not hold it");
    w.git.keep_history(&w.project, "DEMO-1/x", &taken.commit).await.unwrap();
    assert_eq!(named(), "refs/orch/history/DEMO-1/other\nrefs/orch/history/DEMO-1/x");
    w.git.keep_history(&w.project, "DEMO-1/x", &taken.commit).await.unwrap();
}

#[tokio::test]
async fn a_session_that_goes_on_finds_its_files_as_it_left_them_whenever_orch_was_killed() {
    let w = World::new().await;
    let base = w.trunk().await;
    let dir = w.prepare(&base).await;
    write(&dir, "half done.txt", "precious");
    write(&dir, "docs/verdict.md", "written by this very job");
    fs::remove_file(dir.join("src/lib.txt")).unwrap();
    let as_left = || {
        assert_eq!(fs::read_to_string(dir.join("half done.txt")).unwrap(), "precious");
        assert!(dir.join("docs/verdict.md").exists(), "what it wrote itself is not an earlier verdict");
        assert!(!dir.join("src/lib.txt").exists());
    };
    assert!(w.prepare_as_left(&base, &base, "2-run", false).await.as_left);
    as_left();
    assert!(w.attic("2-run").await.is_some(), "what it begins with is kept before it does");
    // Killed behind that, and killed when the old one had been moved away and nothing was in its place.
    assert!(w.prepare_as_left(&base, &base, "2-run", false).await.as_left);
    as_left();
    fs::remove_dir_all(&dir).unwrap();
    assert!(w.prepare_as_left(&base, &base, "2-run", false).await.as_left);
    as_left();
    // The project's setup has worked there since.
    write(&dir, "half done.txt", "changed by the setup");
    assert!(w.prepare_as_left(&base, &base, "2-run", true).await.as_left);
    as_left();

    // A run that changed nothing goes on, too; one whose directory is gone does not.
    w.prepare(&base).await;
    assert!(w.prepare_as_left(&base, &base, "3-run", false).await.as_left);
    assert!(dir.join("src/lib.txt").exists());
    fs::remove_dir_all(&dir).unwrap();
    assert!(!w.prepare_as_left(&base, &base, "4-run", false).await.as_left);
    assert!(dir.join("src/lib.txt").exists());
}
