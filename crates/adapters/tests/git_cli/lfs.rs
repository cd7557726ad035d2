//! Files that git-lfs keeps: pointers in commits, contents in working directories, and no filter is run.

use super::*;

fn store_of(root: &Path, oid: &str) -> PathBuf {
    root.join("lfs/objects").join(&oid[..2]).join(&oid[2..4]).join(oid)
}

fn oid_of(pointer: &str) -> String {
    pointer.lines().find_map(|l| l.strip_prefix("oid sha256:")).unwrap().to_owned()
}

/// SHA-256 of `content\n`.
const OID: &str = "434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53";

#[tokio::test]
async fn pointers_stay_pointers_in_commits_and_are_contents_in_working_directories() {
    let mut w = World::new().await;
    w.git = w.git.with_git_lfs(true);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 8\n");
    let base =
        w.person(&[(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n"), ("a.bin", &pointer)]).await;
    // Without its content a pointer stays what it is, and nothing is lost.
    let dir = w.prepare(&base).await;
    assert_eq!(fs::read_to_string(dir.join("a.bin")).unwrap(), pointer);
    write(&dir, "x.txt", "x");
    assert_eq!(w.changed(&base, &w.develop(&base).await.commit).await, ["A x.txt"]);
    let forge = w.path("forge.git");
    let place = store_of(&forge, OID);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "content\n").unwrap();

    let dir = w.prepare(&base).await;
    assert_eq!(fs::read_to_string(dir.join("a.bin")).unwrap(), "content\n");
    write(&dir, "x.txt", "x");
    write(&dir, "new.bin", "\0raw\0");
    write(&dir, "empty.bin", "");
    write(&dir, "plain.txt", "no pointer\n");
    let taken = w.develop(&base).await;
    let changed = ["A empty.bin", "A new.bin", "A plain.txt", "A x.txt"];
    assert_eq!(w.changed(&base, &taken.commit).await, changed, "a content that is unchanged is no change");
    let new = w.read(&taken.commit, "new.bin").await.unwrap();
    assert!(new.starts_with("version https://git-lfs.github.com/spec/v1\n") && new.ends_with("size 5\n"), "{new}");
    assert_eq!(w.read(&taken.commit, "empty.bin").await.as_deref(), Some(""));

    // To a remote over the network no content goes, and no pointer without it.
    let away = Remote::of("http://127.0.0.1:9/x.git");
    let fault = w.git.push(&w.project, &away, BRANCH, TRUNK, &taken.commit, None).await.unwrap_err();
    assert!(fault.kind == FaultKind::Permanent && fault.text.contains("new.bin"), "{fault}");
    let fault = w.git.push(&w.project, &away, BRANCH, TRUNK, &base, None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient, "what changes no such file is pushed: {fault}");
    // The content is on the forge as soon as the pointer is.
    w.git.push(&w.project, &w.remote(), BRANCH, TRUNK, &taken.commit, None).await.unwrap();
    assert_eq!(fs::read(store_of(&forge, &oid_of(&new))).unwrap(), b"\0raw\0");
    let out = w.path("out");
    w.git.checkout(&w.project, &taken.commit, &out).await.unwrap();
    assert_eq!(fs::read(out.join("new.bin")).unwrap(), b"\0raw\0");
    assert_eq!(fs::read_to_string(out.join("a.bin")).unwrap(), "content\n");
    // Where git-lfs is not installed, files stay pointers, and what an agent leaves is made one all the same.
    w.git = w.git.with_git_lfs(false);
    assert!(w.git.lacks_git_lfs(&forge, TRUNK).await.unwrap());
    w.git.checkout(&w.project, &taken.commit, &out).await.unwrap();
    assert_eq!(fs::read_to_string(out.join("a.bin")).unwrap(), pointer);
    // A changed content is another pointer; attributes that an agent brings count as well.
    let dir = w.prepare(&taken.commit).await;
    write(&dir, "a.bin", "other\n");
    write(&dir, "sub/.gitattributes", "*.dat filter=lfs\n");
    write(&dir, "sub/b.dat", "data");
    let next = w.develop(&taken.commit).await.commit;
    for path in ["a.bin", "sub/b.dat"] {
        assert!(w.read(&next, path).await.unwrap().contains("oid sha256:"), "{path}");
    }
}
