//! Keys and secrets: where they may stand, and that none is ever shown.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_secret_is_never_printed() {
    let (config, _) = parse(
        "[agents.programs.a]\ncommand = [\"a\"]\nenv = { HIDDEN = \"hunter2\" }\n",
        &[("ORCH_GITEA_TOKEN", "hunter2"), ("ORCH_TELEGRAM_BOT_TOKEN", "hunter2")],
    )
    .unwrap();
    assert_eq!(config.gitea.token.as_ref().map(Secret::expose), Some("hunter2"));
    let mut all = format!("{config:?}");
    for (path, shown, _) in config.values() {
        let _ = writeln!(all, "{path} = {shown}");
    }
    assert!(all.contains("hidden") && !all.contains("hunter2"));
}

#[test]
fn a_key_in_the_file_is_refused_with_its_place_and_the_way_out_and_never_shown() {
    let told = parse(
        "[telegram]\nbot_token = \"hunter2-canary\"\n[agents.programs.a]\ncommand = [\"a\"]\n\
         env = { MODEL = \"m\", A_KEY = \"hunter2-canary\" }\n[agents.programs.b]\ncommand = [\"b\"]\n\
         pass_env = [\"sk-hunter2-canary\", \"ORCH_TOKEN\", \"FINE\"]\n",
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(!told.contains("hunter2"), "{told}");
    for part in [
        ":2: [telegram] `bot_token` is a key, and keys have no place in this file: set ORCH_TELEGRAM_BOT_TOKEN in the",
        ":5: [agents.programs.a.env] `A_KEY` is a key, and keys have no place in this file: write the line `A_KEY=...` into",
        "name it with `env_file` in [agents.programs.a]",
        "`pass_env = [\"A_KEY\"]`",
        ":8: [agents.programs.b] `pass_env` takes names of variables",
        "`pass_env` names ORCH_TOKEN, which belongs to the contract",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let (config, _) =
        parse("[agents.programs.b]\ncommand = [\"b\"]\nenv_file = \"keys.env\"\npass_env = [\"FINE\"]\n", &[]).unwrap();
    let program = &config.agents.programs["b"];
    assert_eq!(program.pass_env, ["FINE"]);
    assert!(program.env_file.as_ref().is_some_and(|file| file.is_absolute() && file.ends_with("keys.env")));
}

#[test]
fn a_check_finds_a_key_anywhere_in_the_file_and_keys_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    // Put together here, so that no scanner takes this file for one that holds a token.
    let token = format!("{}_{}", "ghp", "x7Kq2LmV9RtYw3ZbN5cPd8FgH1jS4uAeQ6oT");
    let text = format!(
        "# it was {token}\n[[project]]\nkey = \"A\"\nrepo = \"a\"\ncommands.test = \"curl -H 'X-Auth: {token}' x\"\n\
         [agents]\ndefault = \"a\"\n[agents.programs.a]\ncommand = [\"a\"]\nenv_file = \"keys.env\"\n"
    );
    std::fs::write(&file, &text).unwrap();
    let env = BTreeMap::from([("HOME".to_owned(), "/home/anna".to_owned())]);
    assert!(Config::load(&file, &env).is_ok(), "who only asks the server is not kept from it");
    let told = Config::load_strictly(&file, &env).unwrap_err().to_string();
    assert!(!told.contains(&token), "{told}");
    for part in [
        "orch.toml:1: line 1 holds what looks like a key",
        "orch.toml:5: [project.commands] `test` holds what looks like a key",
        "orch.toml:10: [agents.programs.a] `env_file`: ",
        "chmod 600",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn secrets_of_commands_are_files_that_nobody_else_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    let text = "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\ncommand = [\"a\"]\n[[project]]\nkey = \"A\"\nrepo = \".\"\n\
                [project.commands]\ntest = \"npm test\"\nenv_file = \"own.env\"\nsetup_env_file = \"login.env\"\ncache = [\"~\", \"a/b\"]\n";
    std::fs::write(&file, text).unwrap();
    std::fs::write(dir.path().join("login.env"), "HOME=/root\n").unwrap();
    std::fs::set_permissions(dir.path().join("login.env"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let env = BTreeMap::from([("HOME".to_owned(), HOME.to_owned())]);
    let told = Config::load_strictly(&file, &env).unwrap_err().to_string();
    for part in [
        "orch.toml:10: [project.commands] `env_file`: ",
        "own.env is not there",
        "orch.toml:11: ",
        "login.env:1: HOME and TMPDIR",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for bad in ["../x", "/etc", "", ".git/hooks", "~/x"] {
        let text = text.replace("a/b", bad);
        let told = problems(&text);
        assert!(told.contains("orch.toml:12: [project.commands] `cache`: `"), "{bad}: {told}");
    }
}
