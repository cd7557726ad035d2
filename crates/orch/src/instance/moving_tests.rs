//! The move of a state directory, killed before every single act and begun again.

use super::*;
use std::collections::BTreeMap;

/// A clone with a state directory in it.
fn world() -> (tempfile::TempDir, Plan) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (from, to) = (root.join("shop \"ё\"/.orch-state"), root.join("state/orch/shop-1a2b"));
    fs::create_dir_all(from.join("runs/1-2-1")).unwrap();
    fs::create_dir_all(from.join("runs/1-1-1")).unwrap();
    fs::create_dir_all(from.join("forge/SHOP.git/objects")).unwrap();
    let spec = format!("{{\"cwd\": \"{}/repos/x\"}}", inner(&from).unwrap());
    fs::write(from.join("runs/1-2-1/spec.json"), &spec).unwrap();
    fs::write(from.join("runs/1-1-1/spec.json"), &spec).unwrap();
    fs::write(from.join("runs/1-1-1/exit.json"), "{}").unwrap();
    fs::write(from.join("orch.db"), "the database").unwrap();
    fs::write(from.join("token"), "secret").unwrap();
    fs::set_permissions(from.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("SHOP.git", from.join("forge/alias.git")).unwrap();
    let config = root.join("shop \"ё\"/orch.toml");
    fs::write(&config, "old").unwrap();
    let record = Record { name: "shop-1a2b".into(), config: config.clone(), clone: None };
    (dir, Plan { from, to, config, text: "new".into(), record })
}

/// Everything below a directory: path, kind, mode and content.
fn picture(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut stack = vec![root.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let what = if kind.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().strip_prefix(root).unwrap_or(Path::new("?")).display())
            } else if kind.is_dir() {
                stack.push(path.clone());
                "dir".to_owned()
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                let text = fs::read_to_string(&path).unwrap().replace(&*inner(root).unwrap(), "ROOT");
                format!("{mode:o} {text}")
            };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    all
}

/// Runs the whole move, killed before act number `kill`; how many acts there were until then.
fn attempt(plan: &Plan, copy: bool, kill: Option<usize>) -> (io::Result<()>, usize) {
    let mut acts = 0;
    let mut tick = |_: &str| {
        acts += 1;
        if Some(acts) == kill { Err(io::Error::other("killed")) } else { Ok(()) }
    };
    let begun = match pending(&plan.config) {
        Some(found) => {
            assert_eq!(found.unwrap(), *plan, "the plan is found again as it was");
            Ok(())
        }
        None if fs::read_to_string(&plan.config).unwrap() == plan.text => return (Ok(()), 0),
        None => begin(plan, &mut tick),
    };
    let done = begun.and_then(|()| finish(plan, copy, &mut |_| Ok(()), &mut tick));
    (done, acts)
}

#[test]
fn a_move_killed_before_any_act_is_finished_by_asking_again() {
    for copy in [false, true] {
        let (dir, plan) = world();
        let root = dir.path().canonicalize().unwrap();
        let (done, acts) = attempt(&plan, copy, None);
        done.unwrap();
        let wanted = picture(&root);
        assert_eq!(wanted["shop \"ё\"/.orch-state"], "-> state/orch/shop-1a2b");
        assert_eq!(wanted["shop \"ё\"/orch.toml"].split_once(' ').unwrap().1, "new");
        assert_eq!(wanted["state/orch/shop-1a2b/token"], "600 secret");
        let spec = |run: &str| wanted[&format!("state/orch/shop-1a2b/runs/{run}/spec.json")].clone();
        assert!(spec("1-2-1").contains("ROOT/state/orch/shop-1a2b/repos/x"), "{}", spec("1-2-1"));
        assert!(spec("1-1-1").contains(".orch-state/repos/x"), "a record of what was is left as it is");
        assert!(acts > 7, "{acts}");
        for kill in 1..=acts {
            let (dir, plan) = world();
            let root = dir.path().canonicalize().unwrap();
            attempt(&plan, copy, Some(kill)).0.unwrap_err();
            // Never is the state in no place, and never does a daemon see a place without it and no warning.
            let there = plan.to.join("orch.db").exists() || plan.from.join("orch.db").exists();
            assert!(there || plan.from.with_extension("moved-away").exists(), "killed at {kill}: no database");
            let warned = pending(&plan.config).is_some();
            assert!(warned || plan.from.join("orch.db").exists(), "killed at {kill}: an empty place without a word");
            // A second kill on the way, then the end.
            for second in [1, 3] {
                let _ = attempt(&plan, copy, Some(second));
            }
            attempt(&plan, copy, None).0.unwrap();
            assert_eq!(picture(&root), wanted, "killed at {kill} of {acts}, copy {copy}");
        }
    }
}
