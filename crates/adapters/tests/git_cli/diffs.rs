//! A difference as people read it, whatever the branch does to hide it, and however large it is.

use super::*;
use orch_ports::diff::{Diff, DiffLimits};
use orch_ports::git::EntryKind;

/// A person's branch with these changes, committed and pushed.
async fn branch(w: &World, change: impl FnOnce(&Path)) -> (Sha, Sha) {
    let (base, person) = (w.trunk().await, w.path("person"));
    git(&person, &["checkout", "-q", "-b", "theirs"]);
    change(&person);
    git(&person, &["add", "-A"]);
    git(&person, &["commit", "-q", "-m", "theirs"]);
    git(&person, &["push", "-q", "../forge.git", "theirs"]);
    w.fetch().await;
    (base, w.git.forge_branch(&w.project, "theirs").await.unwrap().unwrap())
}

async fn diff(w: &World, from: &Sha, to: &Sha) -> Diff {
    w.git.diff(&w.project, from, to, DiffLimits::default()).await.unwrap()
}

/// Path, how, lines and whether it is binary.
type Row<'d> = (&'d str, char, Option<(u64, u64)>, bool);

fn rows(diff: &Diff) -> Vec<Row<'_>> {
    diff.files.iter().map(|f| (f.path.as_str(), f.how, f.lines, f.binary)).collect()
}

#[tokio::test]
async fn a_difference_has_its_files_with_what_came_and_went_and_its_text() {
    let w = World::new().await;
    let (base, head) = branch(&w, |person| {
        write(person, "src/lib.txt", "one\ntwo\n3\nfour\nfive\nsix\nseven\neight\nnine\nten\n");
        write(person, "src/new.txt", "no newline at its end");
        write(person, "dos.txt", "first\r\nsecond\r\n");
        write(person, "image.bin", b"\0\x01\x02binary\0");
        fs::remove_file(person.join("run.sh")).unwrap();
    })
    .await;
    let diff = diff(&w, &base, &head).await;
    assert_eq!(
        rows(&diff),
        [
            ("dos.txt", 'A', Some((2, 0)), false),
            ("image.bin", 'A', None, true),
            ("run.sh", 'D', Some((0, 1)), false),
            ("src/lib.txt", 'M', Some((2, 1)), false),
            ("src/new.txt", 'A', Some((1, 0)), false),
        ]
    );
    assert_eq!((diff.total, diff.text_cut, diff.lines_cut), (5, false, 0));
    for part in [
        "--- a/src/lib.txt\n+++ b/src/lib.txt\n",
        "\n one\n two\n-three\n+3\n four\n",
        "+first\r\n+second\r\n",
        "Binary files /dev/null and b/image.bin differ\n",
        "+no newline at its end\n\\ No newline at end of file\n",
        "deleted file mode 100755",
    ] {
        assert!(diff.text.contains(part), "{part:?} in {}", diff.text);
    }
    assert!(!diff.text.contains('\0') && diff.text.ends_with('\n'));
    let nothing = w.git.diff(&w.project, &head, &head, DiffLimits::default()).await.unwrap();
    assert_eq!(nothing, Diff::default());
}

#[tokio::test]
async fn what_the_branch_says_of_its_files_hides_nothing_and_runs_nothing() {
    let w = World::new().await;
    let ran = w.path("ran");
    let (base, head) = branch(&w, |person| {
        write(person, ".gitattributes", "* -diff\n*.txt diff=evil\n*.md binary\nsrc/* -text linguist-generated\n");
        let config = format!(
            "[diff \"evil\"]\n\ttextconv = touch {0}; true\n\tcommand = touch {0}\n\txfuncname = nothing\n\tbinary = true\n",
            ran.display()
        );
        write(person, ".gitconfig", &config);
        write(person, "src/lib.txt", "changed by them\n");
        write(person, "sly.md", "in plain sight\n");
    })
    .await;
    let diff = diff(&w, &base, &head).await;
    assert!(diff.text.contains("+changed by them\n") && diff.text.contains("+in plain sight\n"), "{}", diff.text);
    assert!(diff.files.iter().all(|f| !f.binary && f.lines.is_some_and(|(added, _)| 0 < added)), "{:?}", diff.files);
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_name_makes_no_line_of_its_own_and_links_submodules_and_new_names_are_what_they_are() {
    let w = World::new().await;
    let odd = "x\ndiff --git a/safe b/safe\n+++ b/safe\t\u{1b}[2J \"q\"";
    let commit = "1".repeat(40);
    let (base, head) = branch(&w, |person| {
        write(person, odd, "odd\n");
        write(person, "größe \u{202e}.txt", "turned\n");
        symlink("/etc/passwd", person.join("link")).unwrap();
        git(person, &["mv", "src/lib.txt", "src/moved.txt"]);
        fs::set_permissions(person.join("run.sh"), Permissions::from_mode(0o644)).unwrap();
        git(person, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor")]);
        fs::create_dir(person.join("vendor")).unwrap();
    })
    .await;
    let diff = diff(&w, &base, &head).await;
    let kinds: Vec<_> = diff.files.iter().map(|f| (f.path.as_str(), f.how, f.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("größe \u{202e}.txt", 'A', EntryKind::File),
            ("link", 'A', EntryKind::Link),
            ("run.sh", 'M', EntryKind::File),
            ("src/lib.txt", 'D', EntryKind::File),
            ("src/moved.txt", 'A', EntryKind::File),
            ("vendor", 'A', EntryKind::Submodule),
            (odd, 'A', EntryKind::File),
        ]
    );
    assert_eq!(diff.files[2].lines, Some((0, 0)), "only its mode changed");
    assert_eq!(diff.text.lines().filter(|l| l.starts_with("diff --git ")).count(), 7, "{}", diff.text);
    assert!(!diff.text.contains("\n+++ b/safe") && !diff.text.contains('\u{1b}'), "{}", diff.text);
    assert!(diff.text.contains(&format!("+Subproject commit {commit}")));
    assert!(diff.text.contains("new file mode 120000") && diff.text.contains("+/etc/passwd\n"));
    assert!(diff.text.contains("old mode 100755\nnew mode 100644"));
}

#[tokio::test]
async fn a_huge_difference_is_cut_where_the_limits_are_and_says_so() {
    let w = World::new().await;
    let (base, head) = branch(&w, |person| {
        for n in 0..300 {
            write(person, &format!("many/{n:03}.txt"), "x\n".repeat(n + 1));
        }
        for n in 0..8 {
            write(person, &format!("huge/{n}.txt"), format!("{n} is a line of many\n").repeat(500_000));
        }
        write(person, "a/long.txt", format!("{}\nshort\n", "é".repeat(1_000_000)));
        write(person, "src/lib.txt", "x".repeat(33 << 20));
    })
    .await;
    let limits = DiffLimits { text: 20_000, file: 4_000, files: 100, line: 1_001 };
    let diff = w.git.diff(&w.project, &base, &head, limits).await.unwrap();
    assert_eq!((diff.files.len(), diff.total), (100, 310));
    assert!(diff.text.len() <= 20_000 && 15_000 < diff.text.len() && diff.text.ends_with('\n'), "{}", diff.text.len());
    assert!(diff.text_cut);
    assert_eq!(diff.lines_cut, 1);
    // The first large file does not hide the next ones.
    assert!(2 <= diff.files_cut, "{}", diff.files_cut);
    let first = "+0 is a line of many\n… (499816 lines more of this file)\ndiff --git a/huge/1.txt b/huge/1.txt\n";
    assert!(diff.text.contains(first), "{}", diff.text);
    let long = diff.text.lines().find(|l| l.contains('é')).unwrap();
    let kept = format!("+{} … (1999000 bytes more)", "é".repeat(500));
    assert_eq!((long, diff.text.contains("\n+short\n")), (kept.as_str(), true));
    assert_eq!(rows(&diff)[0], ("a/long.txt", 'A', Some((2, 0)), false));
    assert_eq!(rows(&diff)[1], ("huge/0.txt", 'A', Some((500_000, 0)), false));
    assert_eq!(rows(&diff)[99], ("many/090.txt", 'A', Some((91, 0)), false), "every listed file is counted");
    let list = w.git.diff(&w.project, &base, &head, DiffLimits { text: 0, files: 1_000, ..limits }).await.unwrap();
    assert_eq!((list.text.as_str(), list.text_cut, list.files.len()), ("", false, 310));
    assert_eq!(rows(&list)[309], ("src/lib.txt", 'M', None, true), "too large to be compared: named and not shown");
}

#[tokio::test]
async fn where_two_histories_parted_is_told_and_that_they_never_were_one() {
    let w = World::new().await;
    let (base, head) = branch(&w, |person| write(person, "x.txt", "x\n")).await;
    let main = w.person_on_trunk(&[("later.txt", "later\n")]).await;
    assert_eq!(w.git.merge_bases(&w.project, &main, &head).await.unwrap(), [base]);
    let person = w.path("person");
    git(&person, &["checkout", "-q", "--orphan", "alone"]);
    git(&person, &["commit", "-q", "-m", "alone"]);
    git(&person, &["push", "-q", "../forge.git", "alone"]);
    w.fetch().await;
    let alone = w.git.forge_branch(&w.project, "alone").await.unwrap().unwrap();
    assert!(w.git.merge_bases(&w.project, &main, &alone).await.unwrap().is_empty());
    let nowhere = Sha::new("2".repeat(40));
    let fault = w.git.diff(&w.project, &main, &nowhere, DiffLimits::default()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Gone);
}
