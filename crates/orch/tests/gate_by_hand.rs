//! `orch gate run`: any gate of any repository, by a developer or in somebody's own CI, with no daemon, no database and
//! not even a configuration. It answers, changes nothing and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{CODE, Setup, World, processes};
use std::fs;

/// A repository with a change on a branch and no configuration.
fn bare() -> World {
    let world = World::new(&Setup::default());
    fs::remove_file(world.config_file()).unwrap();
    world.git(&world.repo, &["switch", "--quiet", "--create", "work"]);
    commit(&world, CODE, "версия: 2\n");
    world
}

fn commit(world: &World, path: &str, text: &str) {
    let file = world.repo.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    world.git(&world.repo, &["add", "--all", "--", path]);
    world.git(&world.repo, &["commit", "--quiet", "--message=Work", "--", path]);
}

#[test]
fn every_gate_answers_without_a_configuration_and_leaves_nothing() {
    let world = bare();
    let status = || world.git(&world.repo, &["status", "--porcelain", "--ignored"]);
    let before = status();
    let gates = world.orch(&["gate", "list", "--json"]).ok().json();
    assert_eq!(gates.as_array().unwrap().len(), 13, "{gates:#}");
    for gate in gates.as_array().unwrap() {
        let name = gate["gate"].as_str().unwrap();
        let ran = world.orch(&["gate", "run", name, "--json"]);
        let said = ran.json();
        assert_eq!(said["gate"], name, "{said:#}");
        let code = match said["verdict"]["verdict"].as_str().unwrap() {
            "pass" => 0,
            "fail" | "unreadable" => 1,
            "wait" | "inconclusive" | "skipped" => 3,
            other => panic!("{other}"),
        };
        assert_eq!(ran.code, code, "{name}: {ran:#?}");
        assert_eq!(ran.err, "", "{name}");
    }
    assert_eq!(status(), before);
    assert_eq!(world.temporary(), Vec::<String>::new());
}

#[test]
fn the_security_gate_passes_a_clean_change_and_shows_where_a_secret_is_but_not_the_secret() {
    let world = bare();
    let clean = world.orch(&["gate", "run", "security-gate", "--base", "trunk"]);
    assert_eq!(clean.code, 0, "{clean:#?}");
    assert!(clean.out.starts_with("check_security_gate: pass"), "{clean:#?}");

    // What nothing could look at is passed, and not as a plain pass.
    commit(&world, "requirements.txt", "sample-lib==1.0.0\n");
    let degraded = world.orch(&["gate", "run", "security-gate", "--base", "trunk"]);
    assert_eq!(degraded.code, 0, "{degraded:#?}");
    assert!(degraded.out.starts_with("check_security_gate: pass, degraded ("), "{degraded:#?}");
    assert!(degraded.out.contains("  not seen: "), "{degraded:#?}");
    let json = world.orch(&["gate", "run", "security-gate", "--base", "trunk", "--json"]).json();
    assert!(!json["degraded"].as_array().unwrap().is_empty(), "{json:#}");

    let secret = ["gh", "p_", "wWPw5k4aXcaT4fNP0U", "cnZwJUVFk6LO0pINUx"].concat();
    commit(&world, "settings.py", &format!("# one\ntoken = \"{secret}\"\n"));
    commit(&world, "settings.py", "# one\n");
    commit(&world, "home/.netrc", "\n");
    let found = world.orch(&["gate", "run", "security-gate", "--base", "trunk"]);
    assert_eq!(found.code, 1, "{found:#?}");
    assert!(found.out.contains(" settings.py:2:"), "{found:#?}");
    assert!(found.out.contains(" home/.netrc: File programs keep logins in (commit "), "{found:#?}");
    assert!(!found.out.contains(&secret) && !found.err.contains(&secret), "{found:#?}");
}

#[test]
fn what_cannot_be_judged_is_refused_with_the_word_that_was_wrong() {
    let world = bare();
    for (args, word) in [
        (&["gate", "run", "security_gates"][..], "did you mean check_security_gate?"),
        (&["gate", "run", "security-gate", "--base", "nowhere"], "no commit `nowhere`"),
        (&["gate", "run", "security-gate", "--base", "--help"], "--base"),
        (&["gate", "run", "security-gate", "--repo", "/"], "not a git repository"),
    ] {
        let ran = world.orch(args);
        assert_eq!(ran.code, 2, "{ran:#?}");
        assert!(ran.err.contains(word), "{word:?} is not in {ran:#?}");
    }
}

#[test]
fn a_gate_that_is_interrupted_ends_what_it_started_and_leaves_nothing() {
    let world = World::new(&Setup::default());
    world.edit_config("\ntest = \"sh test.sh\"", &format!("\ntest = \"sleep {}\"", world.nap));
    let mut child = world.orch_started(&["gate", "run", "tests-local"]);
    let sleeps = world.until("the command runs", || processes::with_argument(&world.nap).into_iter().next());
    processes::interrupt(child.id());
    let ended = world.until("it ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(3));
    assert!(!processes::alive(sleeps));
    assert_eq!(world.temporary(), Vec::<String>::new());
}

/// Whoever runs the gate in a checkout of the branch, as CI does, has the branch's own files before them.
#[test]
fn a_branch_has_no_say_in_how_it_is_judged() {
    let world = World::new(&Setup::default());
    let secret = ["gh", "p_", "wWPw5k4aXcaT4fNP0U", "cnZwJUVFk6LO0pINUx"].concat();
    let allow = |paths: &str| format!("[allowlist]\npaths = [{paths}]\n");
    let gate = |args: &[&str]| {
        let ran = world.orch(&[&["gate", "run", "security-gate", "--base", "trunk", "--json"], args].concat());
        let findings = ran.json()["evidence"]["findings"].to_string();
        (ran.code, findings.contains("settings.py"), findings.contains("fixtures/a.py"), ran.err)
    };
    // What nobody has committed is whoever runs the gate.
    let with = |security: &str| world.edit_config("\n[[project]]", &format!("\n[security]\n{security}\n\n[[project]]"));
    with("rules = \"rules.toml\"");
    fs::write(world.repo.join("rules.toml"), allow("\"settings\"")).unwrap();
    world.git(&world.repo, &["switch", "--quiet", "--create", "work"]);
    commit(&world, "settings.py", &format!("token = \"{secret}\"\n"));
    commit(&world, "fixtures/a.py", &format!("token = \"{secret}\"\n"));
    assert_eq!(gate(&[]), (1, false, true, String::new()));

    // What the branch brings in does not count.
    world.git(&world.repo, &["add", "--force", "--all", "--", "orch.toml", "rules.toml"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=Say how it is judged"]);
    let (code, settings, fixtures, said) = gate(&[]);
    assert_eq!((code, settings, fixtures), (1, true, true));
    assert!(said.contains("orch.toml is new in what is judged and is not used; --config "), "{said}");
    assert!(!gate(&["--config", "orch.toml"]).1, "unless somebody asks for it");

    // What was there before counts as it was.
    world.git(&world.repo, &["branch", "--quiet", "--force", "trunk", "HEAD"]);
    world.git(&world.repo, &["rm", "--quiet", "settings.py", "fixtures/a.py"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=None left"]);
    world.git(&world.repo, &["branch", "--quiet", "--force", "trunk", "HEAD"]);
    commit(&world, "rules.toml", &allow("\"settings\", \"fixtures\""));
    world.edit_config("\n[security]\n", "\n[security]\nsecrets_block = false\n");
    world.git(&world.repo, &["commit", "--quiet", "--message=Look away", "--", "orch.toml"]);
    let other = secret.replace("wWPw", "xXQx");
    commit(&world, "settings.py", &format!("token = \"{other}\"\n"));
    commit(&world, "fixtures/a.py", &format!("token = \"{other}\"\n"));
    assert_eq!(gate(&[]), (1, false, true, String::new()));
    world.git(&world.repo, &["rm", "--quiet", "orch.toml"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=No settings"]);
    assert_eq!(gate(&[]), (1, false, true, String::new()), "nor does taking the file away change anything");
}

/// What stands in the working tree is the branch's: a directory that became a link, or is gone, changes nothing.
#[test]
fn the_rules_of_the_base_are_found_whatever_the_branch_makes_of_their_directory() {
    let world = World::new(&Setup::default());
    let secret = ["gh", "p_", "wWPw5k4aXcaT4fNP0U", "cnZwJUVFk6LO0pINUx"].concat();
    let rule = "[[rules]]\nid = \"ours\"\ndescription = \"ours\"\nregex = \"company-[a-z]{12}\"\n";
    world.edit_config("\n[[project]]", "\n[security]\nrules = \"conf/rules.toml\"\n\n[[project]]");
    world.git(&world.repo, &["switch", "--quiet", "--create", "work"]);
    commit(&world, "conf/rules.toml", rule);
    world.git(&world.repo, &["add", "--force", "orch.toml"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=Settings"]);
    world.git(&world.repo, &["branch", "--quiet", "--force", "trunk", "HEAD"]);
    commit(&world, "a.txt", &format!("company-{}\n{secret}\n", "abcdefghijkl"));
    let found = || {
        let ran = world.orch(&["gate", "run", "security-gate", "--base", "trunk", "--json"]);
        let findings = ran.json()["evidence"]["findings"].to_string();
        (findings.contains("\"ours\""), findings.contains("github-pat"), ran.err)
    };
    assert_eq!(found(), (true, true, String::new()));
    fs::create_dir(world.repo.join("evil")).unwrap();
    fs::rename(world.repo.join("conf/rules.toml"), world.repo.join("evil/rules.toml")).unwrap();
    fs::write(world.repo.join("evil/rules.toml"), "[allowlist]\npaths = [\"a\"]\n").unwrap();
    fs::remove_dir(world.repo.join("conf")).unwrap();
    world.git(&world.repo, &["add", "--all"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=Gone"]);
    assert_eq!(found(), (true, true, String::new()), "gone");
    std::os::unix::fs::symlink("evil", world.repo.join("conf")).unwrap();
    world.git(&world.repo, &["add", "--all"]);
    world.git(&world.repo, &["commit", "--quiet", "--message=A link"]);
    assert_eq!(found(), (true, true, String::new()), "a link");
    // Nor does it matter by which of its directories the repository is named.
    let git_dir = world.repo.join(".git");
    let ran =
        world.orch(&["gate", "run", "security-gate", "--base", "trunk", "--json", "--repo", git_dir.to_str().unwrap()]);
    assert!(ran.json()["evidence"]["findings"].to_string().contains("\"ours\""), "{ran:#?}");
}

#[test]
fn a_configuration_without_a_project_still_says_how_a_gate_judges() {
    let world = bare();
    let file = world.root.join("gates.toml");
    fs::write(&file, "[security]\nprotected_paths = [\"*.txt\"]\n").unwrap();
    let gate = ["gate", "run", "security-gate", "--base", "trunk"];
    assert_eq!(world.orch(&gate).code, 0);
    let strict = world.orch(&[&gate[..], &["--config", file.to_str().unwrap()]].concat());
    assert!(strict.code == 1 && strict.out.contains("`*.txt` is protected"), "{strict:#?}");
}
