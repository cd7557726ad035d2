//! Every kind of conflict: how it comes about, what is recorded of it, and what right repairs of it are.

use super::*;

/// Something a branch, main or a developer does to the files.
pub(super) type Edit = fn(&Path);
/// What is said of each path.
pub(super) type Words = &'static [(&'static str, Take)];

/// A kind of conflict: how it comes about, and what a right repair of it is.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Before both.
    pub(super) before: Edit,
    /// On the task's branch.
    pub(super) ours: Edit,
    /// On main.
    pub(super) theirs: Edit,
    /// What is recorded: path, kind, and whether it holds markers.
    pub(super) record: &'static [(&'static str, ConflictKind, bool)],
    /// Right repairs: what is done, and what is said of which path.
    pub(super) right: &'static [(&'static str, Edit, Words)],
}

pub(super) fn put(dir: &Path, path: &str, text: &str) {
    let _ = fs::remove_file(dir.join(path));
    write(dir, path, text);
}
pub(super) fn gone(dir: &Path, path: &str) {
    let file = dir.join(path);
    if file.is_dir() {
        fs::remove_dir_all(file).unwrap();
    } else {
        let _ = fs::remove_file(file);
    }
}
pub(super) fn point(dir: &Path, path: &str, to: &str) {
    let _ = fs::remove_file(dir.join(path));
    symlink(to, dir.join(path)).unwrap();
}
pub(super) fn executable(dir: &Path, path: &str) {
    fs::set_permissions(dir.join(path), Permissions::from_mode(0o755)).unwrap();
}
/// Git's helper files, wherever they are.
pub(super) fn helpers(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    names.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().contains('~'))).collect()
}
pub(super) fn tidy(dir: &Path) {
    for helper in helpers(dir) {
        fs::remove_file(helper).unwrap();
    }
}

pub(super) fn nothing(_: &Path) {}

pub(super) const LONG: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "content",
        before: |d| put(d, "c.txt", "Title\n=======\nmiddle\n"),
        ours: |d| put(d, "c.txt", "Title\n=======\nours\n"),
        theirs: |d| put(d, "c.txt", "Title\n=======\ntheirs\n"),
        record: &[("c.txt", ConflictKind::Content, true)],
        right: &[
            ("both sides, and the heading stays", |d| put(d, "c.txt", "Title\n=======\nours\ntheirs\n"), &[]),
            ("one side, truly said", |d| put(d, "c.txt", "Title\n=======\ntheirs\n"), &[("c.txt", Take::Base)]),
            ("deleted, and said", |d| gone(d, "c.txt"), &[("c.txt", Take::Deleted)]),
        ],
    },
    Kind {
        name: "add/add",
        before: nothing,
        ours: |d| put(d, "new.txt", "ours\n"),
        theirs: |d| put(d, "new.txt", "theirs\n"),
        record: &[("new.txt", ConflictKind::AddAdd, true)],
        right: &[("both sides", |d| put(d, "new.txt", "ours\ntheirs\n"), &[])],
    },
    Kind {
        name: "binary",
        before: |d| put(d, "a.bin", "O\0O"),
        ours: |d| put(d, "a.bin", "A\0A"),
        theirs: |d| put(d, "a.bin", "B\0B"),
        record: &[("a.bin", ConflictKind::Binary, false)],
        right: &[
            ("the branch's", nothing, &[("a.bin", Take::Branch)]),
            ("main's", |d| put(d, "a.bin", "B\0B"), &[("a.bin", Take::Base)]),
            ("made anew", |d| put(d, "a.bin", "AB\0AB"), &[("a.bin", Take::Edited)]),
            ("deleted", |d| gone(d, "a.bin"), &[("a.bin", Take::Deleted)]),
        ],
    },
    Kind {
        name: "changed here, deleted there",
        before: |d| put(d, "del.txt", "k\n"),
        ours: |d| put(d, "del.txt", "k\nmore\n"),
        theirs: |d| gone(d, "del.txt"),
        record: &[("del.txt", ConflictKind::DeleteModify, false)],
        right: &[
            ("kept", nothing, &[("del.txt", Take::Branch)]),
            ("stays deleted", |d| gone(d, "del.txt"), &[("del.txt", Take::Base)]),
            ("stays deleted, in the other word", |d| gone(d, "del.txt"), &[("del.txt", Take::Deleted)]),
        ],
    },
    Kind {
        name: "deleted here, changed there",
        before: |d| put(d, "del.txt", "k\n"),
        ours: |d| gone(d, "del.txt"),
        theirs: |d| put(d, "del.txt", "k\nmore\n"),
        record: &[("del.txt", ConflictKind::DeleteModify, false)],
        right: &[
            ("kept", nothing, &[("del.txt", Take::Base)]),
            ("deleted", |d| gone(d, "del.txt"), &[("del.txt", Take::Branch)]),
        ],
    },
    Kind {
        name: "a file here, a directory there",
        before: nothing,
        ours: |d| put(d, "F", "a file\n"),
        theirs: |d| put(d, "F/y", "in a directory\n"),
        record: &[("F", ConflictKind::FileDirectory, false)],
        right: &[
            ("the directory", tidy, &[("F", Take::Base)]),
            (
                "the file",
                |d| {
                    tidy(d);
                    gone(d, "F");
                    put(d, "F", "a file\n");
                },
                &[("F", Take::Branch)],
            ),
            (
                "both",
                |d| {
                    tidy(d);
                    put(d, "F/file", "a file\n");
                },
                &[("F", Take::Edited)],
            ),
        ],
    },
    Kind {
        name: "a link here, a file there",
        before: |d| put(d, "t", "plain\n"),
        ours: |d| point(d, "t", "elsewhere"),
        theirs: |d| put(d, "t", "changed\n"),
        record: &[("t", ConflictKind::Types, false)],
        right: &[
            ("the link", tidy, &[("t", Take::Branch)]),
            (
                "the file",
                |d| {
                    tidy(d);
                    put(d, "t", "changed\n");
                },
                &[("t", Take::Base)],
            ),
        ],
    },
    Kind {
        name: "a link that leads elsewhere on each side",
        before: |d| point(d, "l", "one"),
        ours: |d| point(d, "l", "two"),
        theirs: |d| point(d, "l", "three"),
        record: &[("l", ConflictKind::Symlink, false)],
        right: &[
            ("the branch's", nothing, &[("l", Take::Branch)]),
            ("main's", |d| point(d, "l", "three"), &[("l", Take::Base)]),
            ("another", |d| point(d, "l", "four"), &[("l", Take::Edited)]),
        ],
    },
    Kind {
        name: "the same file with another mode on each side",
        before: nothing,
        ours: |d| {
            put(d, "m.sh", "echo m\n");
            executable(d, "m.sh");
        },
        theirs: |d| put(d, "m.sh", "echo m\n"),
        record: &[("m.sh", ConflictKind::Mode, false)],
        right: &[
            ("executable", nothing, &[("m.sh", Take::Branch)]),
            ("not", |d| put(d, "m.sh", "echo m\n"), &[("m.sh", Take::Base)]),
        ],
    },
    Kind {
        name: "renamed to another name on each side",
        before: |d| put(d, "old", LONG),
        ours: |d| fs::rename(d.join("old"), d.join("mine")).unwrap(),
        theirs: |d| fs::rename(d.join("old"), d.join("yours")).unwrap(),
        record: &[
            ("mine", ConflictKind::Rename, false),
            ("old", ConflictKind::Rename, false),
            ("yours", ConflictKind::Rename, false),
        ],
        right: &[
            ("main's name", |d| gone(d, "mine"), &[("mine", Take::Deleted), ("yours", Take::Base)]),
            ("the branch's name", |d| gone(d, "yours"), &[("mine", Take::Branch), ("yours", Take::Deleted)]),
        ],
    },
    Kind {
        name: "renamed here, deleted there",
        before: |d| put(d, "old", LONG),
        ours: |d| {
            gone(d, "old");
            put(d, "mine", &format!("{LONG}17\n"));
        },
        theirs: |d| gone(d, "old"),
        record: &[("mine", ConflictKind::Rename, false)],
        right: &[
            ("kept", nothing, &[("mine", Take::Branch)]),
            ("deleted", |d| gone(d, "mine"), &[("mine", Take::Base)]),
        ],
    },
    Kind {
        name: "renamed here and changed on both sides",
        before: |d| put(d, "old", LONG),
        ours: |d| {
            gone(d, "old");
            put(d, "mine", &LONG.replace("8\n", "eight\n"));
        },
        theirs: |d| put(d, "old", &LONG.replace("8\n", "acht\n")),
        record: &[("mine", ConflictKind::Content, true)],
        right: &[("both sides", |d| put(d, "mine", &LONG.replace("8\n", "eight\nacht\n")), &[])],
    },
];
