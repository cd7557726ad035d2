//! Where state lies, whose it is, and how it gets out of a clone: the commands, in worlds of their own.

use super::tests::{Said, git, orch_in, repository};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }
    fn clone_of(&self, name: &str) -> PathBuf {
        let dir = self.root().join(name);
        repository(&dir, "main", &[("test.sh", "true\n")]);
        dir
    }
    fn orch(&self, cwd: &Path, args: &[&str]) -> Said {
        let (state, config) = (self.root().join("state"), self.root().join("config"));
        let env = [
            ("XDG_STATE_HOME", state.to_str().unwrap()),
            ("XDG_CONFIG_HOME", config.to_str().unwrap()),
            ("HOME", "/nowhere"),
        ];
        orch_in(cwd, &env, args)
    }
    fn json(&self, cwd: &Path, args: &[&str]) -> Value {
        let said = self.orch(cwd, args);
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {} {}", said.out, said.err))
    }
}

/// What a daemon that has run leaves: a database and, with a name, the record.
fn served(config: &Path, env: &[(&str, &str)]) -> PathBuf {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (config, _) = crate::config::Config::load(config, &env).unwrap();
    drop(orch_store::SqliteStore::open(&config.db.path, orch_store::sqlite::OpenOptions::default()).unwrap());
    crate::instance::claim(&config).unwrap();
    config.data_dir().to_owned()
}

#[test]
fn init_names_the_instance_once_and_takes_the_old_name_again() {
    let machine = Machine::new();
    let (one, two) = (machine.clone_of("a/shop"), machine.clone_of("b/shop"));
    let first = machine.json(&one, &["init", "--json"]);
    let second = machine.json(&two, &["init", "--json"]);
    assert_ne!(first["instance"], second["instance"], "two clones of one name stay apart");
    let state = machine.root().join("state");
    let env = [("XDG_STATE_HOME", state.to_str().unwrap())];
    let data = served(&one.join("orch.toml"), &env);
    assert_eq!(Value::from(data.to_str().unwrap()), first["state"]);

    std::fs::remove_file(one.join("orch.toml")).unwrap();
    let said = machine.orch(&one, &["init"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let name = first["instance"].as_str().unwrap();
    assert!(said.out.contains(&format!("instance: {name}")) && said.out.contains("of before"), "{}", said.out);

    let list = machine.json(&one, &["instance", "list", "--json"]);
    let list = list["instances"].as_array().unwrap();
    assert_eq!(list.len(), 1, "the other one has no state yet: {list:#?}");
    assert_eq!((&list[0]["name"], &list[0]["here"]), (&first["instance"], &Value::Bool(true)));
    assert!(list[0]["in_use_by"].is_null() && list[0]["schema"].as_i64().is_some(), "{list:#?}");
    let text = machine.orch(&two, &["instance", "list"]).out;
    assert!(text.contains(&format!("  {name}\n")) && text.contains("in use   no"), "{text}");
}

#[test]
fn two_configurations_do_not_share_a_state() {
    let machine = Machine::new();
    let (one, two) = (machine.clone_of("one"), machine.root().join("two"));
    assert_eq!(machine.orch(&one, &["init"]).code, 0);
    let state = machine.root().join("state");
    let env = [("XDG_STATE_HOME", state.to_str().unwrap())];
    served(&one.join("orch.toml"), &env);
    git(&machine.root(), &["clone", "-q", "one", "two"]);
    std::fs::copy(one.join("orch.toml"), two.join("orch.toml")).unwrap();
    let said = machine.orch(&two, &["serve"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("belongs to") && said.err.contains("[instance] name"), "{}", said.err);
    // A clone that was moved takes its state along.
    std::fs::rename(&one, machine.root().join("moved")).unwrap();
    let env: std::collections::BTreeMap<String, String> =
        env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (config, _) = crate::config::Config::load(&two.join("orch.toml"), &env).unwrap();
    crate::instance::allow(&config).unwrap();
}

#[test]
fn state_never_lies_below_a_working_tree_unless_somebody_asked_for_it() {
    let machine = Machine::new();
    let shop = machine.clone_of("shop");
    // A home that is a repository, as people keep for their dotfiles.
    git(&machine.root(), &["init", "-q"]);
    let said = machine.orch(&shop, &["init"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("working tree") && said.err.contains("XDG_STATE_HOME"), "{}", said.err);
    std::fs::remove_dir_all(machine.root().join(".git")).unwrap();
    assert_eq!(machine.orch(&shop, &["init"]).code, 0);
    git(&machine.root(), &["init", "-q"]);
    let said = machine.orch(&shop, &["serve"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("working tree") && said.err.contains("[db] path"), "{}", said.err);
}

#[test]
fn a_configuration_of_the_users_own_is_found_by_the_path_of_its_clone() {
    let machine = Machine::new();
    let shop = machine.clone_of("shop");
    let made = machine.json(&shop, &["init", "--global", "--json"]);
    let file = PathBuf::from(made["file"].as_str().unwrap());
    let name = made["instance"].as_str().unwrap();
    assert_eq!(file, machine.root().join("config/orch").join(format!("{name}.toml")));
    assert!(!shop.join("orch.toml").exists());
    std::fs::create_dir_all(shop.join("src/deep")).unwrap();
    let shown = machine.json(&shop.join("src/deep"), &["project", "show", "SHOP", "--json"]);
    assert_eq!(shown["repo"], Value::from(shop.to_str().unwrap()));
    let beside = machine.orch(&machine.root(), &["project", "list"]);
    assert_eq!(beside.code, 2, "nothing is configured beside the clone: {}", beside.out);
    for again in [&["init"][..], &["init", "--global"]] {
        let said = machine.orch(&shop, again);
        assert_eq!(said.code, 2);
        assert!(said.err.contains("exists already"), "{}", said.err);
    }
}

#[test]
fn a_link_that_came_with_the_repository_is_no_place_for_state() {
    let machine = Machine::new();
    let shop = machine.clone_of("shop");
    let elsewhere = machine.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, shop.join(".orch-state")).unwrap();
    git(&shop, &["add", ".orch-state"]);
    let said = machine.orch(&shop, &["init"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("symbolic link") && said.err.contains("remove it"), "{}", said.err);
    // A configuration of an earlier version that goes through it is refused, too, and by the doctor.
    let toml = "[db]\npath = \".orch-state/orch.db\"\n";
    std::fs::write(shop.join("orch.toml"), toml).unwrap();
    let said = machine.orch(&shop, &["serve"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("git tracks"), "{}", said.err);
    assert!(machine.orch(&shop, &["doctor"]).out.contains("git tracks"));
    // One that this user made by hand is theirs.
    git(&shop, &["rm", "-q", "--cached", ".orch-state"]);
    assert!(!machine.orch(&shop, &["doctor"]).out.contains("git tracks"));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A clone as an earlier version's `init` and `serve` left it.
fn old_clone(machine: &Machine) -> (PathBuf, String) {
    let shop = machine.clone_of("shop");
    let toml = "# mine\n[server]\nlisten = \"127.0.0.1:8500\"\n\n[db]\n# Everything is beside this file.\npath = \
                \".orch-state/orch.db\"\n\n[repos]\ndir = \".orch-state/repos\"\n\n[agents]\ndefault = \"mine\"\n\n\
                [agents.programs.mine]\nkind = \"command\"\ncommand = [\"./agent.sh\"]\n\n[[project]]\nkey = \"SHOP\"\n\
                repo = \".\"\ntracker = \"local\"\nforge = \"local\"\n[project.commands]\ntest = \"true\"\n";
    std::fs::write(shop.join("orch.toml"), toml).unwrap();
    served(&shop.join("orch.toml"), &[("HOME", "/nowhere")]);
    (shop, toml.to_owned())
}

#[test]
fn an_old_installation_goes_on_working_and_moves_out_of_its_clone() {
    let machine = Machine::new();
    let (shop, _) = old_clone(&machine);
    std::fs::create_dir_all(shop.join(".orch-state/forge/SHOP.git")).unwrap();
    let said = machine.orch(&shop, &["doctor"]);
    assert!(said.out.contains("git clean") && said.out.contains("orch instance move"), "{}", said.out);

    let hold = orch_store::SqliteStore::hold(&shop.join(".orch-state/orch.db"), "orch serve, since now").unwrap();
    let said = machine.orch(&shop, &["instance", "move"]);
    assert_eq!(said.code, 1, "a running daemon is not moved: {}", said.err);
    assert!(said.err.contains("orch drain") && shop.join(".orch-state/orch.db").exists(), "{}", said.err);
    let list = machine.json(&shop, &["instance", "list", "--json"]);
    assert!(list["instances"][0]["in_use_by"].as_str().unwrap().contains("orch serve"), "{list:#}");
    drop(hold);

    let moved = machine.json(&shop, &["instance", "move", "--json"]);
    let state = PathBuf::from(moved["state"].as_str().unwrap());
    assert!(state.starts_with(machine.root().join("state/orch")), "{moved:#}");
    assert!(state.join("orch.db").exists() && state.join("forge/SHOP.git").is_dir());
    assert_eq!(std::fs::read_link(shop.join(".orch-state")).unwrap(), state);
    assert!(shop.join(".orch-state/forge/SHOP.git").is_dir(), "remotes go on working");
    let text = std::fs::read_to_string(shop.join("orch.toml")).unwrap();
    assert!(text.starts_with("# mine\n[instance]\nname = \"shop-"), "{text}");
    assert!(text.contains("# path = \".orch-state/orch.db\""), "{text}");
    let status = std::process::Command::new("git").arg("-C").arg(&shop).args(["status", "--porcelain"]).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    assert!(!status.contains(".orch-state"), "{status}");
    let said = machine.orch(&shop, &["doctor"]);
    assert!(!said.out.contains("orch instance move"), "{}", said.out);
    let again = machine.json(&shop, &["instance", "move", "--json"]);
    assert_eq!((&again["moved"], &again["state"]), (&Value::Bool(false), &moved["state"]));
    // `git clean` takes the link at most; `init` in the clone finds the state again.
    git(&shop, &["clean", "-fdxq"]);
    assert!(state.join("orch.db").exists());
    let made = machine.json(&shop, &["init", "--json"]);
    assert_eq!((&made["instance"], &made["instance_known"]), (&moved["name"], &Value::Bool(true)));
}

#[test]
fn a_move_that_was_cut_off_stops_the_daemon_and_is_finished_by_the_same_command() {
    let machine = Machine::new();
    let (shop, toml) = old_clone(&machine);
    let (from, to) = (shop.join(".orch-state"), machine.root().join("state/orch/shop-0001"));
    let config = shop.join("orch.toml");
    let text = toml
        .replace("path = ", "# path = ")
        .replace("dir = ", "# dir = ")
        .replace("[server]", "[instance]\nname = \"shop-0001\"\n[server]");
    let record = crate::instance::record::Record::of("shop-0001", &config, Some(&shop));
    let plan = crate::instance::moving::Plan { from: from.clone(), to: to.clone(), config, text, record };
    crate::instance::moving::begin(&plan, &mut |_| Ok(())).unwrap();
    let mut acts = 0;
    let killed = crate::instance::moving::finish(&plan, false, &mut |_| Ok(()), &mut |_| {
        acts += 1;
        if acts == 3 { Err(std::io::Error::other("killed")) } else { Ok(()) }
    });
    killed.unwrap_err();
    let said = machine.orch(&shop, &["serve"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("orch instance move"), "{}", said.err);
    assert!(machine.orch(&shop, &["doctor"]).out.contains("not finished"));
    let moved = machine.json(&shop, &["instance", "move", "--json"]);
    assert_eq!(moved["state"], Value::from(to.to_str().unwrap()), "{moved:#}");
    assert!(to.join("orch.db").exists() && std::fs::symlink_metadata(&from).unwrap().is_symlink());
    assert!(!machine.orch(&shop, &["doctor"]).out.contains("not finished"));
}

#[test]
fn a_new_database_is_not_begun_beside_the_rest_of_an_instance() {
    let machine = Machine::new();
    let (shop, _) = old_clone(&machine);
    let data = shop.join(".orch-state");
    std::fs::create_dir_all(data.join("runs/1-1-1")).unwrap();
    for empty in [false, true] {
        std::fs::remove_file(data.join("orch.db")).unwrap();
        if empty {
            // What a power cut or a full disk leaves.
            std::fs::write(data.join("orch.db"), "").unwrap();
        }
        let said = machine.orch(&shop, &["serve"]);
        assert_eq!(said.code, 3, "{}", said.err);
        for word in ["runs/", "orch restore DIR", "orch db new"] {
            assert!(said.err.contains(word), "{word}: {}", said.err);
        }
        assert_eq!(machine.orch(&shop, &["doctor"]).out.matches("orch restore DIR").count(), 1);
        std::fs::write(data.join("orch.db"), "").unwrap();
    }
}
