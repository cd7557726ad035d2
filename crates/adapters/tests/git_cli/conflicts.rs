//! Conflicts with real git: every kind of conflict, every lazy or half repair of it, and what a second attempt makes of it.
//! Nothing wrong may count, and each right repair must.

use super::*;
use orch_core::conflict::{self, Conflict, ConflictKind, Resolution, Resolved, Take};
use orch_core::verdict::Finding;

mod kinds;
use kinds::{KINDS, Kind, gone, helpers, point, put};

/// A wrong repair: what is done with the files git wrote, and what is said.
struct Wrong {
    name: &'static str,
    does: fn(&Path, &Kind),
    says: fn(&Kind) -> Vec<Resolved>,
    /// Is it wrong for this kind?
    of: fn(&Kind) -> bool,
}

fn marked(kind: &Kind) -> Vec<&'static str> {
    kind.record.iter().filter(|(_, _, marked)| *marked).map(|(path, ..)| *path).collect()
}
fn has_markers(kind: &Kind) -> bool {
    !marked(kind).is_empty()
}
fn has_none(kind: &Kind) -> bool {
    !has_markers(kind)
}
fn any(_: &Kind) -> bool {
    true
}
fn silence(_: &Kind) -> Vec<Resolved> {
    Vec::new()
}
fn say(path: &str, take: Take) -> Resolved {
    Resolved { path: path.into(), take, why: "because".into() }
}
fn said(list: &[(&str, Take)]) -> Vec<Resolved> {
    list.iter().map(|(path, take)| say(path, *take)).collect()
}
/// Rewrites the lines of every file with markers.
fn lines(dir: &Path, kind: &Kind, keep: fn(&str) -> bool) {
    for path in marked(kind) {
        let text = fs::read_to_string(dir.join(path)).unwrap();
        let kept: String = text.lines().filter(|l| keep(l)).flat_map(|l| [l, "\n"]).collect();
        fs::write(dir.join(path), kept).unwrap();
    }
}
fn marker(line: &str) -> bool {
    line.starts_with("<<<<<<<") || line.starts_with("=======") || line.starts_with(">>>>>>>")
}

const WRONG: &[Wrong] = &[
    Wrong { name: "nothing", does: |_, _| (), says: silence, of: any },
    Wrong { name: "another file is edited", does: |d, _| write(d, "other.txt", "done"), says: silence, of: any },
    Wrong {
        name: "says that everything is edited",
        does: |_, _| (),
        says: |k| k.record.iter().map(|(path, ..)| say(path, Take::Edited)).collect(),
        of: any,
    },
    Wrong {
        name: "says that everything is deleted",
        does: |_, _| (),
        says: |k| k.record.iter().map(|(path, ..)| say(path, Take::Deleted)).collect(),
        of: any,
    },
    Wrong {
        name: "speaks of another path",
        does: |_, _| (),
        says: |_| vec![say("elsewhere.txt", Take::Base)],
        of: any,
    },
    Wrong {
        name: "the opening end is left",
        does: |d, k| lines(d, k, |l| !marker(l) || l.starts_with('<')),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the closing end is left",
        does: |d, k| lines(d, k, |l| !marker(l) || l.starts_with('>')),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "a lone middle line is left",
        does: |d, k| lines(d, k, |l| !l.starts_with('<') && !l.starts_with('>')),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "both ends are left and the middle is not",
        does: |d, k| lines(d, k, |l| !l.starts_with('=')),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the labels are taken away and the markers are not",
        does: |d, k| {
            for path in marked(k) {
                let text = fs::read_to_string(d.join(path)).unwrap();
                let bare = |l: &str| if marker(l) { l[..7].to_owned() } else { l.to_owned() };
                fs::write(d.join(path), text.lines().map(bare).flat_map(|l| [l, "\n".into()]).collect::<String>())
                    .unwrap();
            }
        },
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the markers are commented out",
        does: |d, k| {
            for path in marked(k) {
                let text = fs::read_to_string(d.join(path)).unwrap();
                let out = |l: &str| if marker(l) { format!("# {l}\r\n") } else { format!("{l}\r\n") };
                fs::write(d.join(path), text.lines().map(out).collect::<String>()).unwrap();
            }
        },
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the markers are indented",
        does: |d, k| {
            for path in marked(k) {
                let text = fs::read_to_string(d.join(path)).unwrap();
                fs::write(d.join(path), format!("\t{}\n", text.replace('\n', "\n\t"))).unwrap();
            }
        },
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the markers are moved to another file",
        does: |d, k| {
            for path in marked(k) {
                let text = fs::read_to_string(d.join(path)).unwrap();
                write(d, "notes/moved.txt", text);
                put(d, path, "clean\n");
            }
        },
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "the file with the markers is renamed",
        does: |d, k| {
            for path in marked(k) {
                fs::rename(d.join(path), d.join("renamed")).unwrap();
            }
        },
        says: |k| marked(k).into_iter().map(|p| say(p, Take::Deleted)).collect(),
        of: has_markers,
    },
    Wrong {
        name: "the file with the markers is deleted without a word",
        does: |d, k| marked(k).into_iter().for_each(|p| gone(d, p)),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "a link takes the place of the file without a word",
        does: |d, k| marked(k).into_iter().for_each(|p| point(d, p, "elsewhere")),
        says: silence,
        of: has_markers,
    },
    Wrong {
        name: "one side is taken, and the other is said",
        does: |d, k| marked(k).into_iter().for_each(|p| put(d, p, "neither\n")),
        says: |k| marked(k).into_iter().map(|p| say(p, Take::Base)).collect(),
        of: has_markers,
    },
    Wrong {
        name: "the helper file is left, and everything else is right",
        does: |d, k| {
            let kept: Vec<_> = helpers(d).into_iter().map(|h| (h.clone(), fs::read(h).unwrap())).collect();
            (k.right[0].1)(d);
            for (path, bytes) in kept {
                fs::write(path, bytes).unwrap();
            }
        },
        says: |k| said(k.right[0].2),
        of: |k| matches!(k.record[0].1, ConflictKind::FileDirectory | ConflictKind::Types),
    },
    Wrong {
        name: "the helper file is put into a directory",
        does: |d, k| {
            let kept: Vec<_> = helpers(d).into_iter().map(|h| (h.clone(), fs::read(h).unwrap())).collect();
            (k.right[0].1)(d);
            for (path, bytes) in kept {
                write(d, &format!("aside/{}", path.file_name().unwrap().to_str().unwrap()), bytes);
            }
        },
        says: |k| said(k.right[0].2),
        of: |k| matches!(k.record[0].1, ConflictKind::FileDirectory | ConflictKind::Types),
    },
    Wrong { name: "a right repair without a word", does: |d, k| (k.right[0].1)(d), says: silence, of: has_none },
    Wrong {
        name: "a right repair with another word",
        does: |d, k| (k.right[0].1)(d),
        says: |k| {
            let other = |take: Take| match take {
                Take::Base => Take::Branch,
                Take::Branch => Take::Base,
                Take::Deleted => Take::Edited,
                Take::Edited => Take::Deleted,
            };
            k.right[0].2.iter().map(|(path, take)| say(path, other(*take))).collect()
        },
        of: has_none,
    },
];

/// A conflict that was found, and the repairs of it.
struct Case {
    w: World,
    /// The branch as it was.
    head: Sha,
    main: Sha,
    record: Conflict,
    /// The branch as the last repair left it.
    now: Sha,
}

impl Case {
    async fn new(kind: &Kind) -> Self {
        let w = World::new().await;
        let person = w.path("person");
        (kind.before)(&person);
        write(&person, "before.txt", "x");
        let base = w.person(&[]).await;
        let dir = w.prepare(&base).await;
        (kind.ours)(&dir);
        let head = w.develop(&base).await.commit;
        (kind.theirs)(&person);
        let main = w.person(&[("after.txt", "x")]).await;
        let record = w.git.conflict(&w.project, &head, &main).await.unwrap();
        let record = record.unwrap_or_else(|| panic!("{}: it merges", kind.name));
        Self { w, now: head.clone(), head, main, record }
    }

    /// The conflict as it was found, and nobody has done anything.
    fn begin(&mut self) {
        self.now = self.head.clone();
        self.record.answer = Resolution::default();
    }

    /// A run of the developer, from what the last one left; what is wrong with it.
    async fn repair(&mut self, does: impl FnOnce(&Path), says: Vec<Resolved>) -> Vec<Finding> {
        let dir = self.w.prepare_with(&self.now, &self.main, true, &[]).await;
        does(&dir);
        let author = Author::role("developer");
        let ask = Snapshot { merged: Some(&self.main), ..self.w.ask(&self.now, &author) };
        self.now = self.w.git.snapshot(&ask).await.unwrap().commit;
        self.record.answer.hear(&Resolution { takes: says, ..Resolution::default() });
        self.judge().await
    }

    async fn judge(&self) -> Vec<Finding> {
        let w = &self.w;
        let shown = w.git.conflict_shown(&w.project, &self.now, &self.record, &self.main, DIR).await.unwrap();
        conflict::refusals(&self.record, &shown)
    }

    /// What is found on the way to the merge, once the repair counted.
    async fn left(&self) -> Vec<Finding> {
        let w = &self.w;
        let shown = w.git.conflict_shown(&w.project, &self.now, &self.record, &self.main, DIR).await.unwrap();
        conflict::leftovers(&self.record, &shown)
    }
}

#[tokio::test]
async fn every_kind_of_conflict_is_recorded_with_its_paths_its_kind_and_its_markers() {
    for kind in KINDS {
        let case = Case::new(kind).await;
        let got: Vec<_> = case.record.paths.iter().map(|p| (p.path.as_str(), p.kind, p.marked)).collect();
        assert_eq!(got, kind.record, "{}", kind.name);
        assert_eq!(case.record.labels, [case.head.to_string(), case.main.to_string()], "{}", kind.name);
        let again = case.w.git.conflict(&case.w.project, &case.head, &case.main).await.unwrap();
        assert_eq!(again.as_ref(), Some(&case.record), "{}: the same commits, the same record", kind.name);
        // What the record says was written is what the developer finds.
        let dir = case.w.prepare_with(&case.head, &case.main, true, &[]).await;
        for path in case.record.paths.iter().filter(|p| p.marked) {
            let text = fs::read(dir.join(&path.path)).unwrap();
            let found = conflict::look(&text, &case.record.labels);
            assert_eq!((found.opened, found.closed), (1, 1), "{}", kind.name);
        }
    }
}

/// Every wrong repair of one kind; how many there are.
async fn nothing_wrong_counts(kind: &'static Kind) -> usize {
    let mut case = Case::new(kind).await;
    let wrong: Vec<&Wrong> = WRONG.iter().filter(|w| (w.of)(kind)).collect();
    for wrong in &wrong {
        let what = format!("{}: {}", kind.name, wrong.name);
        case.begin();
        let first = case.repair(|d| (wrong.does)(d, kind), (wrong.says)(kind)).await;
        assert!(!first.is_empty(), "{what}: counted");
        assert!(first.iter().all(|f| f.file.is_some() && !f.text.is_empty()), "{what}: {first:?}");
        // What is there now contains main, so that git itself sees no conflict any more.
        let w = &case.w;
        assert!(w.git.conflicts(&w.project, &case.now, &case.main).await.unwrap().is_empty(), "{what}");
        let second = case.repair(|_| (), (wrong.says)(kind)).await;
        assert!(!second.is_empty(), "{what}: the same again counted");
        // A fault between is no look: what is there is judged as it was.
        assert_eq!(case.judge().await, second, "{what}");
        // Another attempt, a right one, counts from there on.
        if wrong.name == "nothing" || wrong.name.starts_with("the markers are moved") {
            let (name, does, says) = kind.right[0];
            let right = |dir: &Path| {
                gone(dir, "notes");
                does(dir);
            };
            assert_eq!(case.repair(right, said(says)).await, [], "{what}, then {name}");
        }
    }
    wrong.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lazy_or_half_repair_counts_the_first_time_or_the_second_and_the_right_one_still_does() {
    let kinds: Vec<_> = KINDS.iter().map(|kind| tokio::spawn(nothing_wrong_counts(kind))).collect();
    let mut cases = 0;
    for kind in kinds {
        cases += kind.await.unwrap();
    }
    assert!(100 < cases, "{cases}");
}

async fn everything_right_counts(kind: &'static Kind) {
    let mut case = Case::new(kind).await;
    for (name, does, says) in kind.right {
        for after_nothing in [false, true] {
            let what = format!("{}: {name}, after nothing: {after_nothing}", kind.name);
            case.begin();
            if after_nothing {
                assert!(!case.repair(|_| (), vec![]).await.is_empty(), "{what}");
            }
            let findings = case.repair(does, said(says)).await;
            assert_eq!(findings, [], "{what}");
            assert_eq!(case.left().await, [], "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_right_repair_counts_at_once_and_after_a_wrong_one_and_leaves_nothing() {
    let kinds: Vec<_> = KINDS.iter().map(|kind| tokio::spawn(everything_right_counts(kind))).collect();
    for kind in kinds {
        kind.await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_back_after_a_repair_counted_is_seen_on_the_way_to_the_merge() {
    let content = &KINDS[0];
    let mut case = Case::new(content).await;
    let dir = case.w.prepare_with(&case.now, &case.main, true, &[]).await;
    let with_markers = fs::read_to_string(dir.join("c.txt")).unwrap();
    assert_eq!(case.repair(content.right[0].1, vec![]).await, []);
    // A later round puts them into another file.
    case.now = case.w.commit(&case.now, &[("log.txt", with_markers.as_str())]).await;
    let left = case.left().await;
    assert_eq!(left.iter().map(|f| f.file.as_deref()).collect::<Vec<_>>(), [Some("log.txt")]);
    // A reviewer's paper may quote them.
    let quoted = case.w.commit(&case.now, &[("log.txt", "clean\n")]).await;
    let paper = FileWrite { path: format!("{DIR}/12-review.md"), bytes: with_markers.clone().into_bytes() };
    let at = Time(1_700_000_002_000);
    case.now = case.w.git.commit_files(&case.w.project, &quoted, &[paper], "review", at).await.unwrap();
    assert_eq!(case.left().await, []);
    // And main may get a heading in that file later without being held against the branch.
    let text = "Title\n=======\nours\ntheirs\nAnother\n=======\n";
    case.now = case.w.commit(&case.now, &[("c.txt", text)]).await;
    assert_eq!(case.left().await.len(), 1, "one more lone line is one too many");
    case.main = case.w.person(&[("c.txt", text)]).await;
    assert_eq!(case.left().await, []);
}

#[tokio::test]
async fn a_path_that_is_no_text_conflicts_and_is_resolved_by_its_shown_name() {
    let w = World::new().await;
    let name = OsStr::from_bytes(b"odd\xff\n\"name");
    let person = w.path("person");
    fs::write(person.join(name), b"O\0").unwrap();
    let base = w.person(&[]).await;
    let dir = w.prepare(&base).await;
    fs::write(dir.join(name), b"A\0").unwrap();
    let head = w.develop(&base).await.commit;
    fs::write(person.join(name), b"B\0").unwrap();
    let main = w.person(&[]).await;
    let record = w.git.conflict(&w.project, &head, &main).await.unwrap().unwrap();
    let path = record.paths[0].path.clone();
    assert!(record.paths[0].raw.is_some(), "{record:?}");
    let mut case = Case { now: head.clone(), head, main, record, w };
    assert_eq!(case.repair(|_| (), vec![]).await.len(), 1);
    assert_eq!(case.repair(|_| (), vec![say(&path, Take::Branch)]).await, []);
}

#[tokio::test]
async fn many_paths_are_each_judged_and_each_named() {
    let w = World::new().await;
    let names: Vec<String> = (0..250).map(|n| format!("many/{n}.txt")).collect();
    let all = |text: &'static str| names.iter().map(|n| (n.as_str(), text)).collect::<Vec<_>>();
    let base = w.person(&all("o\n")).await;
    let head = w.commit(&base, &all("a\n")).await;
    let main = w.person(&all("b\n")).await;
    let record = w.git.conflict(&w.project, &head, &main).await.unwrap().unwrap();
    assert_eq!(record.paths.len(), 250);
    let mut case = Case { now: head.clone(), head, main, record, w };
    assert_eq!(case.repair(|_| (), vec![]).await.len(), 250);
    let last = names[249].clone();
    let findings = case.repair(|dir| names[..249].iter().for_each(|n| put(dir, n, "ab\n")), vec![]).await;
    assert_eq!(findings.iter().map(|f| f.file.clone()).collect::<Vec<_>>(), [Some(last.clone())]);
    assert_eq!(case.repair(|dir| put(dir, &last, "ab\n"), vec![]).await, []);
}

/// A commit of the branch conflicts by itself, and the branch as a whole does not: nobody is asked to resolve nothing.
#[tokio::test]
async fn a_branch_that_merges_as_a_whole_is_no_conflict() {
    let w = World::new().await;
    let base = w.trunk().await;
    let there = w.commit(&base, &[("src/lib.txt", "changed\n")]).await;
    let text = w.read(&base, "src/lib.txt").await.unwrap();
    let back = w.commit(&there, &[("src/lib.txt", text.as_str()), ("mine.txt", "x")]).await;
    let main = w.person(&[("src/lib.txt", "main's\n")]).await;
    assert_eq!(w.git.conflict(&w.project, &back, &main).await.unwrap(), None);
    let updated = w.git.update(&w.project, &back, &main, Time(1_700_000_003_000)).await.unwrap();
    let Updated::Moved { head } = updated else { panic!("{updated:?}") };
    assert_eq!(w.read(&head, "src/lib.txt").await.as_deref(), Some("main's\n"));
    assert_eq!(w.read(&head, "mine.txt").await.as_deref(), Some("x"));
}
