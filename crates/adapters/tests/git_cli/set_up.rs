//! What the project's setup made in an agent's working directory before the agent begins.

use super::*;

#[tokio::test]
async fn what_a_setup_made_stays_where_git_ignores_it_and_the_rest_is_as_it_was_cut() {
    let w = World::new().await;
    let base = w.trunk().await;
    let ignore = "node_modules/\n*.log\n/out/\n";
    let head = w.commit(&base, &[(".gitignore", ignore), ("lock.json", "1\n"), ("src/lib.txt", "ours\n")]).await;
    let main = w.person(&[("src/lib.txt", "theirs\n")]).await;
    let dir = w.prepare_with(&head, &main, true, &["lock.json".into()]).await;
    let marked = fs::read_to_string(dir.join("src/lib.txt")).unwrap();
    let setup = || {
        write(&dir, "node_modules/left/index.js", "1");
        write(&dir, "node_modules/left/.git/config", "[core]\n");
        write(&dir, "deep/new/trace.log", "2");
        write(&dir, "deep/new/report.txt", "3");
        write(&dir, "out/tool", "4");
        write(&dir, "lock.json", "changed\n");
        write(&dir, "src/lib.txt", "changed\n");
        write(&dir, ".git/hooks/post-checkout", "#!/bin/sh\ntouch /tmp/never\n");
        fs::remove_file(dir.join(".gitignore")).unwrap();
        write(&dir, ".gitignore", "src\n");
    };
    let as_cut = || {
        assert_eq!(fs::read_to_string(dir.join("src/lib.txt")).unwrap(), marked, "markers and all");
        assert_eq!(fs::read_to_string(dir.join(".gitignore")).unwrap(), ignore);
        assert!(!dir.join("lock.json").exists() && !dir.join(".git/hooks/post-checkout").exists());
    };
    setup();
    // What its own `.gitignore` says afterwards is not asked: `src` is no place of things that are ignored.
    write(&dir, ".gitignore", ignore);
    w.after_setup(&head, &main, &["lock.json".into()]).await;
    as_cut();
    for (path, text) in [("node_modules/left/index.js", "1"), ("deep/new/trace.log", "2"), ("out/tool", "4")] {
        assert_eq!(fs::read_to_string(dir.join(path)).unwrap(), text, "{path}");
    }
    assert!(!dir.join("deep/new/report.txt").exists());
    // Once more, as after a crash.
    w.after_setup(&head, &main, &["lock.json".into()]).await;
    as_cut();
    assert!(dir.join("out/tool").exists() && dir.join("node_modules/left/index.js").exists());
    assert_eq!(w.attic("DEMO-1/run-1").await, None, "nobody's work was there");
}

#[tokio::test]
async fn a_setup_that_rewrites_what_is_ignored_takes_no_file_of_the_branch_with_it() {
    let w = World::new().await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("keep.txt", "kept\n")]).await;
    let dir = w.prepare_with(&head, &base, false, &[]).await;
    write(&dir, ".gitignore", "*\n");
    write(&dir, "keep.txt", "changed\n");
    write(&dir, "brought/along.txt", "x");
    w.after_setup(&head, &base, &[]).await;
    assert_eq!(fs::read_to_string(dir.join("keep.txt")).unwrap(), "kept\n");
    assert!(!dir.join(".gitignore").exists(), "what says that it ignores itself is not carried");
}

#[tokio::test]
async fn nothing_is_moved_through_a_link() {
    let w = World::new().await;
    let base = w.trunk().await;
    let outside = w.path("outside");
    fs::create_dir_all(&outside).unwrap();
    let head = w.commit(&base, &[(".gitignore", "out/\nlink/x\n"), ("a.txt", "a\n")]).await;
    let dir = w.prepare_with(&head, &base, false, &[]).await;
    symlink(&outside, dir.join("out")).unwrap();
    let author = Author::role("developer");
    // It is tracked, whatever the rules say of a directory of this name.
    let linked = w.git.snapshot(&w.ask(&head, &author)).await.unwrap().commit;
    assert!(w.changed(&head, &linked).await.contains(&"A out".to_owned()));
    let dir = w.prepare_with(&linked, &base, false, &[]).await;
    fs::remove_file(dir.join("out")).unwrap();
    write(&dir, "out/tool", "x");
    w.after_setup(&linked, &base, &[]).await;
    assert!(fs::symlink_metadata(dir.join("out")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
