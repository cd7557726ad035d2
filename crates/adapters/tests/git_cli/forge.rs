//! The way to main: conflicts, updates, pushes, and what a remote may answer.

use super::*;

#[tokio::test]
async fn a_conflict_is_shown_to_the_agent_and_checked_when_it_says_it_is_solved() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("src/lib.txt", "ours\n"), ("mine.txt", "x")]).await;
    let main = w.person(&[("src/lib.txt", "theirs\n"), ("their.txt", "x")]).await;
    let at = Time(1_700_000_001_000);
    let conflict = Updated::Conflict { files: vec!["src/lib.txt".into()] };
    assert_eq!(w.git.update(&w.project, &head, &main, at).await.unwrap(), conflict);
    assert_eq!(w.git.conflicts(&w.project, &head, &main).await.unwrap(), ["src/lib.txt"]);
    let dir = w.prepare_with(&head, &main, true, &[]).await;
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{head}\n{main}"));
    let text = fs::read_to_string(dir.join("src/lib.txt")).unwrap();
    assert!(text.contains("<<<<<<< ") && text.contains("ours") && text.contains("theirs"), "{text}");
    assert!(dir.join("their.txt").exists() && dir.join("mine.txt").exists());
    assert_eq!(git(&dir, &["for-each-ref", "refs/orch"]), "");
    let author = Author::role("developer");
    let ask = Snapshot { merged: Some(&main), ..w.ask(&head, &author) };
    let record = w.git.conflict(&w.project, &head, &main).await.unwrap().unwrap();
    let left = async |commit: &Sha| {
        let shown = w.git.conflict_shown(&w.project, commit, &record, &main, DIR).await.unwrap();
        orch_core::conflict::refusals(&record, &shown).into_iter().filter_map(|f| f.file).collect::<Vec<_>>()
    };
    assert_eq!(left(&w.git.snapshot(&ask).await.unwrap().commit).await, ["src/lib.txt"]);
    write(&dir, "src/lib.txt", "ours and theirs\n");
    let taken = w.git.snapshot(&ask).await.unwrap();
    assert_eq!((left(&taken.commit).await, taken.changed, taken.code_changed), (vec![], true, true));
    let parents = git(&w.private(), &["log", "-1", "--format=%P", taken.commit.as_str()]);
    assert_eq!(parents, format!("{head} {main}"));
    assert_eq!(w.git.update(&w.project, &taken.commit, &main, at).await.unwrap(), Updated::UpToDate);
    assert!(w.git.conflicts(&w.project, &taken.commit, &main).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_branch_is_rebased_keeping_authors_messages_and_its_patch_id() {
    let w = World::new().await;
    let base = w.trunk().await;
    let one = w.commit(&base, &[("src/lib.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nNINE\n")]).await;
    let two = w.commit(&one, &[("picked.txt", "the same on both sides\n")]).await;
    let head = w.commit(&two, &[("mine.txt", "x")]).await;
    let changed = "ONE\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
    let main = w.person(&[("src/lib.txt", changed), ("picked.txt", "the same on both sides\n")]).await;
    let at = Time(1_700_000_009_000);
    let moved = w.git.update(&w.project, &head, &main, at).await.unwrap();
    assert_eq!(w.git.update(&w.project, &head, &main, at).await.unwrap(), moved, "the same inputs, the same commits");
    let Updated::Moved { head: new } = moved else { panic!("{moved:?}") };
    let log = git(&w.private(), &["log", "--format=%an %at %ct %s", &format!("{main}..{new}")]);
    let line = "orch developer 1700000000 1700000009 DEMO-1: development";
    assert_eq!(log, format!("{line}\n{line}"), "the commit that main has already is left out");
    let text = w.read(&new, "src/lib.txt").await.unwrap();
    assert!(text.starts_with("ONE") && text.ends_with("NINE\n"));
    assert_eq!(w.git.update(&w.project, &new, &main, at).await.unwrap(), Updated::UpToDate);
    // The patch id: of the branch without the commit that main took.
    let branch = w.commit(&one, &[("mine.txt", "x")]).await;
    let id = async |b: &Sha, h: &Sha| w.git.patch_id(&w.project, b, h, DIR).await.unwrap();
    let Updated::Moved { head: rebased } = w.git.update(&w.project, &branch, &main, at).await.unwrap() else {
        panic!()
    };
    assert_ne!(branch, rebased);
    assert_eq!(id(&main, &branch).await, id(&main, &rebased).await);
    let file = FileWrite { path: format!("{DIR}/12-review.md"), bytes: b"---\nverdict: APPROVED\n---\n".to_vec() };
    let reviewed = w.git.commit_files(&w.project, &rebased, &[file], "review", at).await.unwrap();
    assert_eq!(id(&main, &rebased).await, id(&main, &reviewed).await, "artefacts do not count");
    let indented = FileWrite { path: "mine.txt".into(), bytes: b"  x".to_vec() };
    let other = w.git.commit_files(&w.project, &rebased, &[indented], "indent", at).await.unwrap();
    assert_ne!(id(&main, &rebased).await, id(&main, &other).await, "white space does");
}

#[tokio::test]
async fn a_branch_behind_main_without_commits_of_its_own_moves_to_main() {
    let w = World::new().await;
    let base = w.trunk().await;
    let main = w.person(&[("their.txt", "x")]).await;
    let moved = w.git.update(&w.project, &base, &main, Time(0)).await.unwrap();
    assert_eq!(moved, Updated::Moved { head: main });
}

#[tokio::test]
async fn a_branch_with_merge_commits_gets_main_merged_in() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("mine.txt", "x")]).await;
    let main = w.person(&[("their.txt", "x")]).await;
    w.prepare_with(&head, &main, true, &[]).await;
    let author = Author::role("developer");
    let merge = w.git.snapshot(&Snapshot { merged: Some(&main), ..w.ask(&head, &author) }).await.unwrap().commit;
    let later = w.person(&[("later.txt", "x")]).await;
    let at = Time(1_700_000_009_000);
    let moved = w.git.update(&w.project, &merge, &later, at).await.unwrap();
    assert_eq!(w.git.update(&w.project, &merge, &later, at).await.unwrap(), moved);
    let Updated::Moved { head: new } = moved else { panic!("{moved:?}") };
    assert_eq!(git(&w.private(), &["log", "-1", "--format=%P", new.as_str()]), format!("{merge} {later}"));
    let files = w.files(&new).await;
    assert!(["mine.txt", "their.txt", "later.txt"].iter().all(|f| files.contains(&(*f).to_owned())));
}

#[tokio::test]
async fn the_default_branch_is_never_pushed() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("mine.txt", "x")]).await;
    for branch in ["trunk", "refs/heads/trunk", "heads/trunk", "TRUNK"] {
        let push = w.git.push(&w.project, &w.remote(), branch, TRUNK, &head, Some(&base)).await;
        assert_eq!(push.unwrap_err().kind, FaultKind::Bug, "{branch}");
    }
    for branch in ["a:refs/heads/trunk", "", "x..y", "a b"] {
        let push = w.git.push(&w.project, &w.remote(), branch, TRUNK, &head, Some(&base)).await;
        assert_eq!(push.unwrap_err().kind, FaultKind::Bug, "{branch}");
    }
    assert_eq!(
        git(&w.path("forge.git"), &["for-each-ref", "--format=%(refname) %(objectname)"]),
        format!("refs/heads/trunk {base}")
    );
}

#[tokio::test]
async fn a_push_is_done_once_repeatable_and_never_overwrites_somebody_elses() {
    let w = World::new().await;
    let base = w.trunk().await;
    let one = w.commit(&base, &[("mine.txt", "1")]).await;
    let two = w.commit(&base, &[("mine.txt", "2")]).await;
    let remote = w.remote();
    let push = async |commit: &Sha, expect: Option<&Sha>| {
        w.git.push(&w.project, &remote, BRANCH, TRUNK, commit, expect).await.unwrap()
    };
    assert_eq!(push(&one, Some(&base)).await, PushAnswer::Rejected { now: None });
    assert_eq!(push(&one, None).await, PushAnswer::Done);
    assert_eq!(push(&one, None).await, PushAnswer::Done, "the answer got lost, it asks again");
    assert_eq!(push(&two, Some(&one)).await, PushAnswer::Done, "a rebased branch");
    assert_eq!(push(&one, Some(&one)).await, PushAnswer::Rejected { now: Some(two.clone()) });
    assert_eq!(push(&one, None).await, PushAnswer::Rejected { now: Some(two.clone()) });
    w.fetch().await;
    assert_eq!(w.git.forge_branch(&w.project, BRANCH).await.unwrap(), Some(two));
    git(&w.path("forge.git"), &["branch", "-q", "-D", BRANCH]);
    w.fetch().await;
    assert_eq!(w.git.forge_branch(&w.project, BRANCH).await.unwrap(), None, "pruned");
}

#[tokio::test]
async fn faults_of_a_remote_are_told_apart() {
    let w = World::new().await;
    let base = w.trunk().await;
    let kind = async |remote: &str| w.git.fetch(&w.project, &Remote::of(remote)).await.unwrap_err().kind;
    assert_eq!(kind(w.path("no such.git").to_str().unwrap()).await, FaultKind::Gone);
    assert_eq!(kind("http://127.0.0.1:9/x.git").await, FaultKind::Transient);
    assert_eq!(kind("ext::sh -c 'touch /tmp/never'").await, FaultKind::Permanent);
    assert_eq!(kind("--upload-pack=false").await, FaultKind::Bug);
    let hook = w.path("forge.git/hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'ticket missing' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let fault = w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &base, None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.text.contains("hook declined") && fault.text.contains("ticket missing"), "{fault}");
    let never: ProjectKey = "OTHER".into();
    assert_eq!(w.git.resolve(&never, "HEAD").await.unwrap_err().kind, FaultKind::Gone);
    assert_eq!(w.git.fetch(&"../x".into(), &w.remote()).await.unwrap_err().kind, FaultKind::Bug);
}

/// A web server that gives one answer to everything and hands over what it was asked.
fn web_server(answer: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, questions) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = vec![];
            while !text.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                text.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&text).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, questions)
}

#[tokio::test]
async fn credentials_reach_the_forge_in_a_header_and_no_fault_tells_them() {
    let w = World::new().await;
    let cases = [
        (
            "HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            FaultKind::Denied,
        ),
        ("HTTP/1.1 403 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Denied),
        ("HTTP/1.1 404 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Gone),
        ("HTTP/1.1 503 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", FaultKind::Transient),
    ];
    for (answer, kind) in cases {
        let (port, questions) = web_server(answer);
        let remote = Remote::of(&format!("http://bot:s3cret@127.0.0.1:{port}/o/r.git"));
        let fault = w.git.fetch(&w.project, &remote).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(!fault.text.contains("s3cret") && !fault.text.contains("Ym90OnMzY3JldA"), "{fault}");
        assert!(questions.recv().unwrap().contains("Authorization: Basic Ym90OnMzY3JldA=="));
    }
}

#[tokio::test]
async fn orchs_own_files_are_committed_once_and_large_ones_are_not_read() {
    let w = World::new().await;
    let base = w.trunk().await;
    let file = |path: &str, bytes: &[u8]| FileWrite { path: path.into(), bytes: bytes.to_vec() };
    let log = [file(&format!("{DIR}/15-staging-log.md"), b"---\n"), file("run.sh", b"#!/bin/sh\necho\n")];
    let at = Time(1_700_000_000_000);
    let commit = async |parent: &Sha, files: &[FileWrite]| {
        w.git.commit_files(&w.project, parent, files, "staging log", at).await
    };
    let one = commit(&base, &log).await.unwrap();
    assert_eq!(commit(&base, &log).await.unwrap(), one);
    assert_eq!(commit(&one, &log).await.unwrap(), one, "they are there already");
    assert_eq!(w.changed(&base, &one).await, [format!("A {DIR}/15-staging-log.md"), "M run.sh".into()]);
    assert!(git(&w.private(), &["ls-tree", one.as_str(), "run.sh"]).starts_with("100755"), "still executable");
    assert!(commit(&base, &[file("../out", b"x")]).await.is_err());
    assert!(commit(&base, &[file(".git/config", b"x")]).await.is_err());
    let large = commit(&base, &[file("large", &vec![b'x'; 10 * 1024 * 1024 + 1])]).await.unwrap();
    assert_eq!(w.git.read_file(&w.project, &large, "large").await.unwrap_err().kind, FaultKind::Permanent);
    assert_eq!(w.git.read_file(&w.project, &large, "src").await.unwrap(), None);
    assert_eq!(w.git.list_files(&w.project, &one, "docs/").await.unwrap().len(), 2);
    assert_eq!(w.git.list_files(&w.project, &one, "run.sh").await.unwrap(), Vec::<String>::new());
    assert_eq!(w.git.resolve(&w.project, one.short()).await.unwrap(), Some(one.clone()));
    assert_eq!(w.git.resolve(&w.project, "--all").await.unwrap(), None);
    assert_eq!(
        w.git.tree(&w.project, &one).await.unwrap().as_str(),
        git(&w.private(), &["rev-parse", &format!("{one}^{{tree}}")])
    );
    let nowhere = Sha::new("0123456789012345678901234567890123456789");
    assert_eq!(w.git.tree(&w.project, &nowhere).await.unwrap_err().kind, FaultKind::Gone);
    assert_eq!(w.git.tree(&w.project, &Sha::new("--help")).await.unwrap_err().kind, FaultKind::Bug);
}

#[tokio::test]
async fn a_branch_whose_name_clashes_is_refused_with_the_clash_named() {
    for (there, other) in [("feature", BRANCH), ("feature/DEMO-1-first/old", BRANCH)] {
        let w = World::new().await;
        let base = w.trunk().await;
        git(&w.path("forge.git"), &["branch", there, base.as_str()]);
        let fault = w
            .git
            .push(&w.project, &w.remote(), other, TRUNK, &base, None)
            .await
            .expect_err("git keeps both in one place");
        assert_eq!((fault.kind, fault.unsure), (FaultKind::Permanent, false), "{fault}");
        assert!(fault.text.contains(&format!("`{there}`")) && fault.text.contains(other), "{fault}");
        git(&w.path("forge.git"), &["branch", "-D", there]);
        let pushed = w.git.push(&w.project, &w.remote(), other, TRUNK, &base, None).await.unwrap();
        assert_eq!(pushed, PushAnswer::Done, "{there} is gone");
    }
    // Another refusal is a guess: the forge's hook may say something else next time.
    let w = World::new().await;
    let base = w.trunk().await;
    let hook = w.path("forge.git/hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho no >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let fault = w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &base, None).await.unwrap_err();
    assert!(fault.unsure && fault.text.contains("the forge refused"), "{fault}");
}

#[tokio::test]
async fn commits_are_listed_without_what_is_known_and_with_nothing_that_controls_a_terminal() {
    let w = World::new().await;
    let base = w.trunk().await;
    let one = w.person(&[("a.txt", "one")]).await;
    let two = w.person(&[("a.txt", "two")]).await;
    let ids = |all: Vec<orch_ports::git::CommitLine>| all.into_iter().map(|c| c.id).collect::<Vec<_>>();
    let known = std::slice::from_ref(&base);
    assert_eq!(ids(w.git.commits(&w.project, &two, known, 10).await.unwrap()), [two.clone(), one.clone()]);
    assert_eq!(ids(w.git.commits(&w.project, &two, known, 1).await.unwrap()), std::slice::from_ref(&two));
    assert!(w.git.commits(&w.project, &one, std::slice::from_ref(&two), 10).await.unwrap().is_empty());
    let all = w.git.commits(&w.project, &two, &[], 10).await.unwrap();
    assert!(all.iter().all(|c| !c.author.is_empty() && !c.subject.is_empty()) && 3 <= all.len(), "{all:?}");
    // A commit of a hostile author, as git stores it.
    let odd = w.private();
    let tree = git(&odd, &["rev-parse", &format!("{two}^{{tree}}")]);
    let name = "user.name=E\u{1b}[2Jve\u{202e}";
    let hostile =
        git(&odd, &["-c", name, "-c", "user.email=e@x", "commit-tree", &tree, "-m", "a\u{1b}]52;c;x\u{7}b\n\nbody"]);
    let seen = w.git.commits(&w.project, &Sha::new(hostile), &[], 1).await.unwrap();
    assert_eq!((seen[0].author.as_str(), seen[0].subject.as_str()), ("E [2Jve", "a ]52;c;x b"));
}
