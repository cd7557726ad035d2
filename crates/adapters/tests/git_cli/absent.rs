//! Files that are absent without having been deleted: what an agent's clone hides, and what is lost on the way.

use super::*;

/// What is done to a working directory or its `.git`.
type Way = fn(&Path);

/// A repository with two directories besides what every world has.
async fn world() -> (World, Sha) {
    let w = World::new().await;
    let files = [("lib/a", "a\n"), ("lib/b", "b\n"), ("d/x", "x\n"), ("keep.txt", "k\n")];
    let base = w.person(&files).await;
    (w, base)
}

/// Each of these hides `d/x` or `keep.txt`, in a way of its own.
const HIDES: &[(&str, &[&str])] = &[
    ("sparse checkout", &["sparse-checkout set lib"]),
    ("sparse checkout by patterns", &["sparse-checkout set --no-cone /lib"]),
    ("sparse index", &["sparse-checkout set --sparse-index lib"]),
    ("index version 4", &["update-index --index-version 4", "sparse-checkout set lib"]),
    ("skip-worktree", &["update-index --skip-worktree keep.txt", "rm keep.txt"]),
    ("skip-worktree, version 4", &["update-index --index-version 4 --skip-worktree keep.txt", "rm keep.txt"]),
    ("assume-unchanged", &["update-index --assume-unchanged keep.txt", "rm keep.txt"]),
    ("both", &["update-index --assume-unchanged keep.txt", "update-index --skip-worktree keep.txt", "rm keep.txt"]),
    ("a mark of its own on a deleted file", &["config core.sparseCheckout true", "rm keep.txt"]),
    ("another directory", &["config core.worktree /nowhere", "rm keep.txt"]),
    ("a split index", &["update-index --split-index", "rm keep.txt"]),
];

#[tokio::test]
async fn a_file_that_the_clone_did_not_show_is_not_deleted() {
    let (w, base) = world().await;
    for (how, steps) in HIDES {
        let dir = w.prepare(&base).await;
        for step in *steps {
            let words: Vec<&str> = step.split(' ').collect();
            match words[..] {
                ["rm", file] => fs::remove_file(dir.join(file)).unwrap(),
                _ => drop(git(&dir, &words)),
            }
        }
        write(&dir, "lib/new", "z");
        let hidden =
            if how.contains("sparse") || how.contains("version 4") && steps.len() == 2 && steps[1].contains("set") {
                "d/x"
            } else {
                "keep.txt"
            };
        assert!(!dir.join(hidden).exists(), "{how}: {hidden} is there");
        let taken = w.develop(&base).await;
        let why = taken.refused.unwrap_or_else(|| panic!("{how}: taken as {}", taken.commit));
        assert!(why.contains(hidden) && why.contains("absent is not"), "{how}: {why}");
        assert_eq!((taken.commit, taken.changed), (base.clone(), false), "{how}");
        // The next run begins with all of it, and what the refused one did is kept.
        w.prepare(&base).await;
        assert!(dir.join("d/x").exists() && dir.join("keep.txt").exists(), "{how}");
    }
    let attic = w.git.resolve(&w.project, "refs/orch/attic/DEMO-1/run-1").await.unwrap().unwrap();
    assert_eq!(w.read(&attic, "lib/new").await.as_deref(), Some("z"));
}

#[tokio::test]
async fn a_clone_that_cannot_say_what_it_showed_deletes_nothing() {
    let (w, base) = world().await;
    let ruins: &[(&str, Way)] = &[
        ("no .git", |dot_git| fs::remove_dir_all(dot_git).unwrap()),
        ("a link", |dot_git| {
            fs::rename(dot_git, dot_git.with_file_name("real")).unwrap();
            symlink("real", dot_git).unwrap();
        }),
        ("a file", |dot_git| {
            fs::rename(dot_git, dot_git.with_file_name("real")).unwrap();
            fs::write(dot_git, "gitdir: real\n").unwrap();
        }),
        ("no index", |dot_git| fs::remove_file(dot_git.join("index")).unwrap()),
        ("an index cut short", |dot_git| {
            let index = fs::read(dot_git.join("index")).unwrap();
            fs::write(dot_git.join("index"), &index[..index.len() / 2]).unwrap();
        }),
        ("an index of tomorrow", |dot_git| {
            let mut index = fs::read(dot_git.join("index")).unwrap();
            index[7] = 9;
            fs::write(dot_git.join("index"), index).unwrap();
        }),
        ("an index that is a link", |dot_git| {
            fs::rename(dot_git.join("index"), dot_git.join("index2")).unwrap();
            symlink("index2", dot_git.join("index")).unwrap();
        }),
        ("an index that is a directory", |dot_git| {
            fs::remove_file(dot_git.join("index")).unwrap();
            fs::create_dir(dot_git.join("index")).unwrap();
        }),
    ];
    for (how, ruin) in ruins {
        let dir = w.prepare(&base).await;
        ruin(&dir.join(".git"));
        fs::remove_file(dir.join("keep.txt")).unwrap();
        fs::rename(dir.join("d/x"), dir.join("lib/x")).unwrap();
        let why = w.develop(&base).await.refused.unwrap_or_else(|| panic!("{how}"));
        assert!(why.contains("keep.txt") && !why.contains("d/x"), "{how}: what has only moved is not lost: {why}");
        // A change that deletes nothing needs no index.
        let dir = w.prepare(&base).await;
        ruin(&dir.join(".git"));
        write(&dir, "keep.txt", "changed\n");
        let taken = w.develop(&base).await;
        assert_eq!(taken.refused, None, "{how}");
        assert!(w.changed(&base, &taken.commit).await.contains(&"M keep.txt".to_owned()), "{how}");
    }
}

#[tokio::test]
async fn what_an_agent_deletes_in_whatever_way_is_deleted() {
    let (w, base) = world().await;
    let ways: &[(&str, Way)] = &[
        ("rm", |dir| fs::remove_file(dir.join("keep.txt")).unwrap()),
        ("git rm", |dir| drop(git(dir, &["rm", "-q", "keep.txt"]))),
        ("git rm and commit", |dir| {
            git(dir, &["rm", "-q", "keep.txt"]);
            git(dir, &["commit", "-q", "-m", "gone"]);
        }),
        ("git mv", |dir| drop(git(dir, &["mv", "keep.txt", "kept.txt"]))),
        ("rm, and an index of version 4", |dir| {
            git(dir, &["update-index", "--index-version", "4"]);
            fs::remove_file(dir.join("keep.txt")).unwrap();
        }),
        ("a directory in its place", |dir| {
            fs::remove_file(dir.join("keep.txt")).unwrap();
            write(dir, "keep.txt/inside", "x");
        }),
        ("a sparse checkout that was switched off again", |dir| {
            git(dir, &["sparse-checkout", "set", "lib"]);
            git(dir, &["sparse-checkout", "disable"]);
            fs::remove_file(dir.join("keep.txt")).unwrap();
        }),
    ];
    for (how, delete) in ways {
        let dir = w.prepare(&base).await;
        delete(&dir);
        let taken = w.develop(&base).await;
        assert_eq!(taken.refused, None, "{how}");
        assert!(w.changed(&base, &taken.commit).await.contains(&"D keep.txt".to_owned()), "{how}");
    }
    // A reviewer deletes nothing, whatever is absent.
    let dir = w.prepare(&base).await;
    git(&dir, &["sparse-checkout", "set", "lib"]);
    write(&dir, &format!("{DIR}/12-review.md"), "---\nverdict: APPROVED\n---\n");
    let taken = w.review(&base).await;
    assert_eq!(w.changed(&base, &taken.commit).await, [format!("A {DIR}/12-review.md")]);
    assert_eq!(taken.refused, None);
}

#[tokio::test]
async fn a_change_that_leaves_no_file_is_never_taken() {
    let (w, base) = world().await;
    let empty = |dir: &Path| {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.file_name() != ".git" {
                if entry.path().is_dir() {
                    fs::remove_dir_all(entry.path()).unwrap();
                } else {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
        }
    };
    let dir = w.prepare(&base).await;
    empty(&dir);
    let taken = w.develop(&base).await;
    assert!(taken.refused.unwrap().contains("none of the 6 files"), "all of the code is gone");
    assert_eq!(taken.commit, base);
    // Its own papers are no files of the project.
    let dir = w.prepare(&base).await;
    empty(&dir);
    write(&dir, &format!("{DIR}/11-notes.md"), "nothing else");
    let author = Author::role("developer");
    let ask = Snapshot { take_artefacts: &["01-brd.md"], ..w.ask(&base, &author) };
    write(&dir, &format!("{DIR}/01-brd.md"), "kept\n");
    let taken = w.git.snapshot(&ask).await.unwrap();
    let left = taken.refused.is_some() || w.files(&taken.commit).await.iter().any(|f| f.ends_with("11-notes.md"));
    assert!(left, "what is no known artefact is code");
    assert!(w.git.is_emptied(&w.project, &base, &emptied(&w, &base), DIR).await.unwrap());
    assert!(!w.git.is_emptied(&w.project, &base, &base, DIR).await.unwrap());
}

/// A commit that holds nothing but one of the task's papers.
fn emptied(w: &World, onto: &Sha) -> Sha {
    let person = w.path("person");
    git(&person, &["checkout", "-q", "--detach", onto.as_str()]);
    git(&person, &["rm", "-rq", "."]);
    write(&person, &format!("{DIR}/01-brd.md"), "the approved analysis\n");
    git(&person, &["add", "-A"]);
    git(&person, &["commit", "-q", "-m", "emptied"]);
    let head = git(&person, &["rev-parse", "HEAD"]);
    git(&w.private(), &["fetch", "-q", person.to_str().unwrap(), &head]);
    Sha::new(head)
}

#[tokio::test]
async fn while_a_conflict_is_resolved_what_main_brought_is_not_lost_with_what_is_hidden() {
    let (w, base) = world().await;
    let ours = w.commit(&base, &[("src/lib.txt", "ours\n")]).await;
    let main = w.person(&[("src/lib.txt", "theirs\n"), ("d/new", "of main\n")]).await;
    let author = Author::role("developer");
    let resolve = async |hide: &dyn Fn(&Path)| {
        let dir = w.prepare_with(&ours, &main, true, &[]).await;
        assert!(dir.join("d/new").exists());
        write(&dir, "src/lib.txt", "both\n");
        hide(&dir);
        w.git.snapshot(&Snapshot { merged: Some(&main), ..w.ask(&ours, &author) }).await.unwrap()
    };
    let taken = resolve(&|dir| {
        git(dir, &["add", "-A"]);
        git(dir, &["sparse-checkout", "set", "lib", "src"]);
    })
    .await;
    assert!(taken.refused.unwrap().contains("d/new"), "a file of main that is hidden");
    let taken = resolve(&|_| ()).await;
    assert_eq!(taken.refused, None);
    assert_eq!(w.read(&taken.commit, "d/new").await.as_deref(), Some("of main\n"));
    assert_eq!(w.read(&taken.commit, "src/lib.txt").await.as_deref(), Some("both\n"));
}

#[tokio::test]
async fn an_index_in_use_is_never_taken_for_a_leftover() {
    let (w, base) = world().await;
    let indexes = w.path("repos dir/DEMO.index");
    fs::create_dir_all(&indexes).unwrap();
    let me = std::process::id();
    let stat = fs::read_to_string(format!("/proc/{me}/stat")).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot: String = id.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 400);
    let used = format!("BBB-1-{me}.{start}.{boot}-900");
    let gone = [format!("BBB-1-{me}.1.{boot}-900"), format!("BBB-1-{me}.{start}.000000000000-900")];
    let former = format!("code-{me}-900");
    for name in gone.iter().chain([&used, &former]) {
        fs::write(indexes.join(name), "x").unwrap();
        fs::File::options().write(true).open(indexes.join(name)).unwrap().set_modified(old).unwrap();
    }
    w.prepare(&base).await;
    let left: Vec<_> = fs::read_dir(&indexes).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left, [used], "a year old and in use, of a process or a boot that is gone, of an orch before this one");
}

#[tokio::test]
async fn what_is_found_again_under_another_name_is_not_gone() {
    let (w, base) = world().await;
    let text = (0..40).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    let base = w.commit(&base, &[("old/moved.txt", &text), ("old/edited.txt", &text.replace('l', "m"))]).await;
    let dir = w.prepare(&base).await;
    fs::create_dir_all(dir.join("new")).unwrap();
    fs::rename(dir.join("old/moved.txt"), dir.join("new/moved.txt")).unwrap();
    fs::remove_file(dir.join("old/edited.txt")).unwrap();
    write(&dir, "new/edited.txt", text.replace('l', "m").replace("mine 7", "another"));
    fs::remove_file(dir.join("d/x")).unwrap();
    write(&dir, ".gitattributes", "* -diff binary\n");
    let head = w.develop(&base).await.commit;
    let brought = w.git.brought_in(&w.project, &base, &head).await.unwrap();
    assert_eq!(brought.gone, ["d/x"]);
}

/// Needs root: elsewhere nothing can be mounted, and says so.
#[tokio::test]
async fn a_directory_that_something_is_mounted_over_is_not_deleted() {
    let (w, base) = world().await;
    let dir = w.prepare(&base).await;
    let (empty, over) = (w.path("empty"), dir.join("d"));
    fs::create_dir(&empty).unwrap();
    let mounted = Command::new("mount").arg("--bind").args([&empty, &over]).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|s| s.success()) {
        println!("skipped: needs the right to mount (run as root)");
        return;
    }
    let taken = w.develop(&base).await;
    assert!(Command::new("umount").arg(&over).status().unwrap().success());
    let why = taken.refused.expect("d/x is hidden");
    assert!(why.contains("d/x") && why.contains("mounted over"), "{why}");
    assert_eq!(w.develop(&base).await.commit, base, "and is there again");
}
