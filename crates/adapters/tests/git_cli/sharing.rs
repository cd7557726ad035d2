//! The cache of objects that clones read: what it spares, and that no damage to it reaches what is tested.

use super::*;
use std::fmt::Write as _;

/// Bytes below a directory.
fn size(dir: &Path) -> u64 {
    let mut sum = 0;
    let mut stack = vec![dir.to_owned()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { stack.push(entry.path()) } else { sum += meta.len() }
        }
    }
    sum
}

/// Text that does not compress: `lines` different lines of hexadecimal digits.
fn noise(lines: u64) -> String {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::new();
    for _ in 0..lines {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let _ = writeln!(text, "{seed:016x}{:016x}", seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    }
    text
}

fn cache(w: &World) -> PathBuf {
    w.worktree().with_file_name(".objects.git")
}

type Damage = fn(&Path);

/// Every way in which the cache can be other than it was left.
fn damages() -> Vec<(&'static str, Damage)> {
    fn packs(cache: &Path) -> Vec<PathBuf> {
        fs::read_dir(cache.join("objects/pack")).unwrap().map(|e| e.unwrap().path()).collect()
    }
    fn overwrite(path: &Path, bytes: &[u8]) {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        fs::write(path, bytes).unwrap();
    }
    vec![
        ("gone", |cache| fs::remove_dir_all(cache).unwrap()),
        ("without packs", |cache| fs::remove_dir_all(cache.join("objects/pack")).unwrap()),
        ("cut off", |cache| packs(cache).iter().for_each(|p| overwrite(p, b""))),
        ("garbage", |cache| packs(cache).iter().for_each(|p| overwrite(p, &[0x5a; 4096]))),
        ("with a tip that is none", |cache| fs::write(cache.join("refs/heads/tip"), "x\n").unwrap()),
        ("with a tip unknown to us", |cache| fs::write(cache.join("refs/heads/tip"), "1".repeat(40) + "\n").unwrap()),
        ("with an empty tip", |cache| fs::write(cache.join("refs/heads/tip"), "").unwrap()),
        ("a file", |cache| {
            fs::remove_dir_all(cache).unwrap();
            fs::write(cache, "x").unwrap();
        }),
        ("a link elsewhere", |cache| {
            fs::remove_dir_all(cache).unwrap();
            symlink("/nowhere/at/all", cache).unwrap();
        }),
    ]
}

#[tokio::test]
async fn a_clone_takes_no_more_room_than_its_files_however_long_the_history_is() {
    let w = World::new().await;
    let text = noise(60_000);
    w.person(&[("data.txt", &text)]).await;
    w.person(&[("data.txt", "small again\n")]).await;
    let base = w.trunk().await;
    let head = w.commit(&base, &[("src/lib.txt", "changed\n")]).await;
    let dir = w.prepare(&head).await;
    assert!(size(&cache(&w)) > 900_000, "the history is in the cache: {}", size(&cache(&w)));
    assert!(size(&dir) < 20_000, "and not in the clone: {}", size(&dir));
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{head}\n{base}"));
    assert_eq!(git(&dir, &["log", "--format=%H", "orch-base..HEAD"]), head.to_string());
    assert_eq!(git(&dir, &["show", "HEAD~2:data.txt"]), text.trim_end(), "old content can be read in it");
    git(&dir, &["fsck", "--full", "--strict"]);
    let clean = w.path("clean");
    w.git.checkout(&w.project, &head, &clean).await.unwrap();
    assert!(size(&clean) < 20_000, "{}", size(&clean));
    assert_eq!(git(&clean, &["rev-parse", "HEAD"]), head.to_string());
    assert_eq!(git(&clean, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn main_moves_on_or_back_and_every_clone_has_its_history() {
    let w = World::new().await;
    let first = w.trunk().await;
    w.prepare(&first).await;
    let second = w.person(&[("b.txt", "b\n")]).await;
    let dir = w.prepare(&second).await;
    git(&dir, &["fsck", "--full", "--strict"]);
    // A task that began before main moved, and a main that was rewound and went another way.
    let dir = w.prepare_with(&first, &first, false, &[]).await;
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{first}\n{first}"));
    let person = w.path("person");
    git(&person, &["reset", "-q", "--hard", first.as_str()]);
    write(&person, "other.txt", "another way\n");
    git(&person, &["add", "-A"]);
    git(&person, &["commit", "-q", "-m", "another way"]);
    git(&person, &["push", "-q", "--force", "../forge.git", TRUNK]);
    w.fetch().await;
    let third = w.trunk().await;
    let dir = w.prepare(&third).await;
    assert_eq!(git(&dir, &["log", "--format=%H", "orch-base"]), format!("{third}\n{first}"));
    git(&dir, &["fsck", "--full", "--strict"]);
    assert!(dir.join("other.txt").exists() && !dir.join("b.txt").exists());
}

#[tokio::test]
async fn a_damaged_cache_is_made_anew_and_no_clone_is_without_its_objects() {
    for (how, damage) in damages() {
        let w = World::new().await;
        let base = w.trunk().await;
        let head = w.commit(&base, &[("src/lib.txt", "changed\n")]).await;
        damage(&cache(&w));
        let dir = w.prepare(&head).await;
        assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{head}\n{base}"), "{how}");
        git(&dir, &["fsck", "--full", "--strict"]);
        damage(&cache(&w));
        let clean = w.path("clean");
        w.git.checkout(&w.project, &head, &clean).await.unwrap();
        assert_eq!(git(&clean, &["rev-parse", "HEAD"]), head.to_string(), "{how}");
        assert_eq!(fs::read_to_string(clean.join("src/lib.txt")).unwrap(), "changed\n", "{how}");
        git(&clean, &["fsck", "--full", "--strict"]);
    }
}

#[tokio::test]
async fn what_is_tested_is_written_from_the_private_repository_and_not_from_what_a_clone_can_reach() {
    let w = World::new().await;
    let base = w.trunk().await;
    w.prepare(&base).await;
    // An object of another content under the name of the one that is tested: git believes names of loose objects.
    let name = git(&w.private(), &["rev-parse", &format!("{base}:src/lib.txt")]);
    let evil = git(&w.private(), &["rev-parse", &format!("{base}:run.sh")]);
    let forged = w.path("forged");
    git(w.tmp.path(), &["clone", "-q", "--no-local", "forge.git", forged.to_str().unwrap()]);
    let packs: Vec<_> = fs::read_dir(forged.join(".git/objects/pack")).unwrap().map(|e| e.unwrap().path()).collect();
    for pack in packs.iter().filter(|p| p.extension().is_some_and(|e| e == "pack")) {
        let moved = w.path("moved.pack");
        fs::rename(pack, &moved).unwrap();
        let input = fs::File::open(&moved).unwrap();
        let done =
            Command::new("git").current_dir(&forged).args(["unpack-objects", "-q"]).stdin(input).status().unwrap();
        assert!(done.success());
    }
    let loose = |id: &str| format!("objects/{}/{}", &id[..2], &id[2..]);
    let place = cache(&w).join(loose(&name));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(forged.join(".git").join(loose(&evil)), &place).unwrap();
    for pack in fs::read_dir(cache(&w).join("objects/pack")).unwrap().map(|e| e.unwrap().path()) {
        fs::remove_file(pack).unwrap();
    }
    let clean = w.path("clean");
    w.git.checkout(&w.project, &base, &clean).await.unwrap();
    assert!(fs::read_to_string(clean.join("src/lib.txt")).unwrap().starts_with("one\ntwo\n"));
}

#[tokio::test]
async fn a_clone_can_have_all_of_its_objects_for_agents_that_see_nothing_else() {
    let mut w = World::new().await;
    w.git = GitCli::new(w.path("repos dir"), w.path("worktrees %41")).await.unwrap().with_whole_clones(true);
    let base = w.trunk().await;
    let head = w.commit(&base, &[("src/lib.txt", "changed\n")]).await;
    let dir = w.prepare(&head).await;
    assert!(!dir.join(".git/objects/info/alternates").exists() && !cache(&w).exists());
    git(&dir, &["fsck", "--full", "--strict"]);
    assert_eq!(git(&dir, &["rev-parse", "HEAD", "orch-base"]), format!("{head}\n{base}"));
}

/// One disk holds the history of a served repository once for it and the private one together.
#[tokio::test]
async fn the_private_repository_has_the_packs_of_a_served_one_of_this_machine_and_outlives_it() {
    let w = World::new().await;
    let forge = w.path("forge.git");
    // More than a fetch would bring as single objects.
    let files: Vec<(String, String)> = (0..200).map(|n| (format!("noise/{n}"), noise(10 + n))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    w.person_on_trunk(&files).await;
    git(&w.path("person"), &["push", "-q", "../forge.git", TRUNK]);
    git(&forge, &["gc", "-q"]);
    let packs = |repo: &Path| {
        let files = fs::read_dir(repo.join("objects/pack")).unwrap().map(|e| e.unwrap().path());
        files.filter(|p| p.extension().is_some_and(|e| e == "pack")).collect::<Vec<_>>()
    };
    let ino = |file: &Path| fs::metadata(file).unwrap().ino();
    // One more commit, which is in no pack: that one alone is not brought for it.
    w.person_on_trunk(&[("later.txt", "x")]).await;
    git(&w.path("person"), &["push", "-q", "../forge.git", TRUNK]);
    let other: ProjectKey = "OTHER".into();
    w.git.fetch(&other, &w.remote()).await.unwrap();
    let private = w.path("repos dir/OTHER.git");
    assert_eq!(
        packs(&private).iter().map(|p| ino(p)).collect::<Vec<_>>(),
        packs(&forge).iter().map(|p| ino(p)).collect::<Vec<_>>()
    );
    // Whatever becomes of the served one, what is here is whole.
    fs::remove_dir_all(&forge).unwrap();
    git(&private, &["fsck", "--full", "--strict"]);
    let tip = w.git.forge_branch(&other, TRUNK).await.unwrap().unwrap();
    assert_eq!(w.git.read_file(&other, &tip, "later.txt").await.unwrap().as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn packs_that_do_not_hold_what_the_branches_need_are_not_taken_for_it() {
    let w = World::new().await;
    let forge = w.path("forge.git");
    git(&forge, &["gc", "-q"]);
    let pack = fs::read_dir(forge.join("objects/pack")).unwrap().map(|e| e.unwrap().path());
    let pack = pack.into_iter().find(|p| p.extension().is_some_and(|e| e == "pack")).unwrap();
    let good = fs::read(&pack).unwrap();
    fs::set_permissions(&pack, Permissions::from_mode(0o644)).unwrap();
    fs::write(&pack, vec![0x5a; good.len()]).unwrap();
    let other: ProjectKey = "OTHER".into();
    let _ = w.git.fetch(&other, &w.remote()).await;
    assert!(w.git.forge_branch(&other, TRUNK).await.is_err(), "the branch cannot be read");
    // Repaired by a new file in its place.
    fs::write(pack.with_extension("new"), &good).unwrap();
    fs::rename(pack.with_extension("new"), &pack).unwrap();
    w.git.fetch(&other, &w.remote()).await.unwrap();
    let tip = w.git.forge_branch(&other, TRUNK).await.unwrap().unwrap();
    assert!(w.git.read_file(&other, &tip, "src/lib.txt").await.unwrap().is_some());
    git(&w.path("repos dir/OTHER.git"), &["fsck", "--full"]);
}
