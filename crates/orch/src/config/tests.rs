//! What the configuration promises: each problem with its exact words, the environment over the file, and a reference
//! that leaves nothing out.

use super::gates::GateMode;
use super::*;
use orch_core::ids::GateId;
use orch_core::policy::Act;
use std::fmt::Write;

mod keys;
mod people;
mod projects;

const HOME: &str = "/home/anna";

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let home = [("HOME", HOME)];
    home.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn parse(text: &str, pairs: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    Config::parse(Path::new("/etc/orch/orch.toml"), text, &env(pairs))
        .map_err(|e| e.seen_from(Path::new("/etc/orch")))
        .map(|(c, w)| (c, w.into_iter().map(|w| w.seen_from(Path::new("/etc/orch"))).collect()))
}

fn problems(text: &str) -> String {
    parse(text, &[]).expect_err("must be refused").to_string()
}

/// A project that is right, with room for more keys; its header is line 4.
fn project(more: &str) -> String {
    format!(
        "[agents]\ndefault = \"mine\"\n[agents.programs.mine]\ncommand = [\"./agent.sh\"]\n[[project]]\nkey = \
         \"DEMO\"\nrepo = \"demo\"\napprovers = [\"anna\"]\n{more}\n[project.commands]\ntest = \"sh test.sh\"\n"
    )
}

#[test]
fn each_mistake_names_its_line_its_key_and_what_to_write() {
    let table: &[(&str, &str)] = &[
        (
            "[server]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n",
            "orch.toml:3: [server] unknown key `lisen`: did you mean `listen`?",
        ),
        ("\n[serber]\n", "orch.toml:2: unknown section `serber`: did you mean `server`?"),
        ("listen = 3\n", "orch.toml:1: unknown key `listen` outside of any section"),
        ("server = 3\n", "orch.toml:1: [server] must be a table, not a whole number"),
        ("[reaper]\ndead_ticks = \"2\"\n", "orch.toml:2: [reaper] `dead_ticks` must be a whole number, not a string"),
        ("[reaper]\ndead_ticks = -2\n", "orch.toml:2: [reaper] `dead_ticks` must be a whole number from 0, not -2"),
        (
            "[gates.check_ci_green]\ntimeout_s = 0\n",
            "orch.toml:2: [gates.check_ci_green] `timeout_s` must be at least 1",
        ),
        ("[reaper]\ninterval_s = 0\n", "orch.toml:2: [reaper] `interval_s` must be at least 1"),
        ("[reaper]\nenabled = 1\n", "orch.toml:2: [reaper] `enabled` must be true or false, not a whole number"),
        (
            "[server]\nlisten = \"localhost\"\n",
            "orch.toml:2: [server] `listen` must be an IP address and a port like `127.0.0.1:8500`, not `localhost`",
        ),
        (
            "[artefacts]\nkeep = \"evidence\"\nafter_merge = \"pull-request\"\n",
            "orch.toml:3: [artefacts] `keep = \"evidence\"` commits no document, and `after_merge = \"pull-request\"` commits \
             some: remove one of them",
        ),
        (
            "[merge]\nmethod = \"squosh\"\n",
            "orch.toml:2: [merge] `method` must be one of fast-forward-only, merge, squash, not `squosh`: did you mean \
             `squash`?",
        ),
        ("[merge]\ngate_repos = \"a\"\n", "orch.toml:2: [merge] `gate_repos` must be a list of strings, not a string"),
        (
            "[merge]\ngate_repos = [1]\n",
            "orch.toml:2: [merge] `gate_repos` must be a list of strings, not a whole number",
        ),
        ("[db]\npath = \"\"\n", "orch.toml:2: [db] `path` must not be empty"),
        (
            "[reconcile]\ngrace_overrides_json = \"[]\"\n",
            "orch.toml:2: [reconcile] `grace_overrides_json` must be a JSON object of seconds like {\"development\": 600}",
        ),
        ("[project]\nkey = \"A\"\n", "orch.toml:1: write [[project]] with two brackets: it is a list of tables"),
        (
            "[gates.check_ci_gren]\n",
            "orch.toml:1: [gates] unknown gate `check_ci_gren`: did you mean `check_ci_green`?",
        ),
        ("[gates.ci-green]\n[gates.check_ci_green]\n", "orch.toml:1: [gates] has two tables for check_ci_green"),
        (
            "[agents.programs.mine]\nkind = \"comand\"\ncommand = [\"x\"]\n",
            "orch.toml:2: [agents.programs.mine] `kind` must be one of claude, command, scripted, not `comand`: did you mean \
             `command`?",
        ),
        (
            "[agents.programs.mine]\n",
            "orch.toml:1: [agents.programs.mine] has no `command`: write the program and its arguments, like \
             [\"./my-agent.sh\"]",
        ),
        (
            "[pipelines.mine]\nstages = [{ id = \"created\", steps = [{ step = \"open\" }] }]\n",
            "orch.toml:1: [pipelines.mine] the last stage must be `done`: otherwise no task can ever finish\n\
             orch.toml:1: [pipelines.mine] exactly one stage must have the step `merge`",
        ),
        (
            "[pipelines.lite]\nstages = []\n",
            "orch.toml:1: [pipelines.lite] is the name of a built-in pipeline: choose another",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(problems(text), *wanted, "for {text}");
    }
}

#[test]
fn each_mistake_in_a_project_names_its_line() {
    // Line 9 is where the additional key stands.
    let table: &[(&str, &str)] = &[
        ("pipelin = \"full\"", "orch.toml:9: [[project]] unknown key `pipelin`: did you mean `pipeline`?"),
        ("pipeline = \"ful\"", "orch.toml:9: [[project]] `pipeline` names no pipeline `ful`: did you mean `full`?"),
        (
            "tracker = \"plane\"\nstarters = [\"anna\"]",
            "orch.toml:9: [[project]] `tracker` plane is not built yet in this version: use `local`",
        ),
        (
            "forge = \"gitea\"\nstarters = [\"anna\"]",
            "orch.toml:9: [[project]] `forge` gitea is not built yet in this version: use `git`",
        ),
        (
            "forge = \"gitea\"",
            "orch.toml:5: [[project]] DEMO has no `starters`: with a tracker or forge that others can write to, name the \
             people\norch.toml:9: [[project]] `forge` gitea is not built yet in this version: use `git`",
        ),
        (
            "forge = \"locl\"\nstarters = [\"a\"]",
            "orch.toml:9: [[project]] `forge` must be `local` or `git`, not `locl`: did you mean `local`?",
        ),
        (
            "forge = \"git\"\nreview_approval = true",
            "orch.toml:10: [[project]] `review_approval` needs a forge on which people review; `git` has no place for it",
        ),
        (
            "forge = \"git\"\n[project.git]\nusername = \"a:b\"\ntoken_env = \"s3cret-token\"",
            "orch.toml:11: [project.git] `username` must not be empty or hold a colon\n\
             orch.toml:12: [project.git] `token_env` is for addresses that begin with https:// or http://: ssh logs in with keys\n\
             orch.toml:12: [project.git] `token_env` must be the name of an environment variable, like \"SHOP_TOKEN\", and \
             not the token itself",
        ),
        (
            "[project.git]\ntoken_env = \"SHOP_TOKEN\"",
            "orch.toml:10: [project.git] `token_env` is for `forge = \"git\"`: a copy that is made once is let in nowhere",
        ),
        (
            "[project.agents]\ndeveloper = \"mein\"",
            "orch.toml:10: [project.agents] `developer` names no agent program `mein`: declare [agents.programs.mein]",
        ),
        (
            "[project.agents]\ndeveloper = \"mines\"",
            "orch.toml:10: [project.agents] `developer` names no agent program `mines`: did you mean `mine`?",
        ),
        (
            "[project.agents]\ndevloper = \"mine\"",
            "orch.toml:10: [project.agents] unknown role `devloper`: did you mean `developer`?",
        ),
        (
            "[project.gates.check_security]\nmode = \"off\"",
            "orch.toml:9: [project.gates] unknown gate `check_security`: did you mean `check_security_gate`?",
        ),
        (
            "[project.gates.ci-green]\nmode = \"of\"",
            "orch.toml:10: [project.gates.ci-green] `mode` must be one of off, shadow, enforce, not `of`: did you mean `off`?",
        ),
        (
            "[project.states]\nInprogress = \"Doing\"",
            "orch.toml:10: [project.states] unknown state `Inprogress`: did you mean `InProgress`?",
        ),
        (
            "[project.deploy]\nmode = \"agent\"\nproduction = \"./ship\"",
            "orch.toml:10: [project.deploy] `mode` agent is not built yet in this version: name the commands of `mode = \"hook\"`\n\
             orch.toml:11: [project.deploy] `production` is a command, but `mode` gives the deploy to an agent: keep one",
        ),
        (
            "[project.deploy]\nenv = [\"KEY\"]",
            "orch.toml:10: [project.deploy] `env` is for `mode = \"agent\"`, which must be asked for",
        ),
        (
            "[project.deploy]\nhealth_url = \"localhost\"",
            "orch.toml:10: [project.deploy] `health_url` must begin with http:// or https://, not `localhost`",
        ),
    ];
    for (more, wanted) in table {
        assert_eq!(problems(&project(more)), *wanted, "for {more}");
    }
    assert!(parse(&project(""), &[]).is_ok());
}

#[test]
fn an_agent_that_is_not_built_is_refused_and_says_what_works() {
    let text = "[agents]\ndefault = \"codex\"\n[[project]]\nkey = \"A\"\nrepo = \".\"\nallow_untested = true\n";
    let told = problems(text);
    assert!(
        told.ends_with(
            "[agents] `default` names no agent program `codex`: its own adapter is not built yet in this version; declare \
             [agents.programs.codex] with kind = \"command\""
        ),
        "{told}"
    );
}

#[test]
fn a_key_of_claudes_driver_is_refused_where_nothing_reads_it() {
    let claude = "[agents.programs.c]\nkind = \"claude\"\nmodel = \"m\"\nmax_turns = 9\n";
    let program = parse(claude, &[]).unwrap().0.agents.programs["c"].clone();
    assert_eq!((program.program(), program.model.as_deref(), program.max_turns), (Some("claude"), Some("m"), 9));
    assert_eq!(program.tools, ["Bash", "Read", "Edit", "Write", "Glob", "Grep"]);
    let told = problems(&format!("{claude}command = [\"x\"]\n"));
    assert!(told.contains("`command` has no effect with kind = \"claude\""), "{told}");
    let told = problems("[agents.programs.c]\ncommand = [\"x\"]\nmodel = \"m\"\n");
    assert!(told.contains("`model`") && told.contains("with kind = \"claude\" only"), "{told}");
    for no_address in ["gateway.example", "file:///tmp", "https://", ""] {
        let told = problems(&format!("{claude}base_url = \"{no_address}\"\n"));
        assert!(told.contains("[agents.programs.c] `base_url`") && told.contains("https://gateway.example"), "{told}");
    }
    assert!(parse(&format!("{claude}base_url = \"http://127.0.0.1:9000/llm\"\n"), &[]).is_ok());
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "[server]\nlisen = 1\n[reaper]\ndead_ticks = true\n[merge]\nmethod = \"x\"\n";
    let told = problems(text);
    let lines: Vec<&str> = told.lines().map(|l| l.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(lines, ["orch.toml:2", "orch.toml:4", "orch.toml:6"]);
}

#[test]
fn broken_toml_is_told_with_each_line() {
    let told = problems("[server]\nlisten = \"127.0.0.1:1\n[db]\npath = \n");
    let lines: Vec<&str> = told.lines().map(|l| l.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(lines, ["orch.toml:2", "orch.toml:4"], "{told}");
    assert!(told.contains("this is not TOML"), "{told}");
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    let errors = Config::load(&dir.path().join("orch.toml"), &env(&[])).unwrap_err();
    assert_eq!(errors.seen_from(dir.path()).to_string(), "orch.toml: does not exist: write one with `orch init`");
}

#[test]
fn every_key_of_a_plain_section_can_be_set_in_the_environment() {
    let mut tried = 0;
    for key in reference::keys().into_iter().filter(|k| !k.is_table()) {
        let Some(name) = key.env.first() else { continue };
        assert_eq!(*name, format!("ORCH_{}", key.path.replace('.', "_").to_uppercase()));
        for name in &key.env {
            let value = match key.kind.as_str() {
                "true | false" => {
                    if key.default.as_deref() == Some("true") {
                        "false"
                    } else {
                        "true"
                    }
                }
                "whole number" => "77",
                "number" => "7.5",
                "address:port" => "127.0.0.1:7777",
                "path" => "/srv/x",
                "list of text" => "a, b",
                "text" if key.path == "server.timezone" => "Europe/Berlin",
                "text" if key.path.ends_with("_json") => "{\"review\": 5}",
                "text" if key.path == "merge.subject" => "{{title}} ({{number}})",
                "text" if ["merge.author", "merge.committer"].contains(&key.path.as_str()) => "Anna <anna@example.org>",
                "text" | "secret text" => "changed",
                words => words.rsplit(" | ").next().unwrap(),
            };
            let (config, warnings) = parse("", &[(name, value)]).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
            assert_eq!(warnings, []);
            let (_, shown, from) =
                config.values().into_iter().find(|(path, ..)| *path == key.path).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(from, Source::Env { name: name.clone() });
            assert_ne!(Some(shown), key.default, "{name}");
            tried += 1;
        }
    }
    assert!(tried > 45, "only {tried} variables");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text = "[reaper]\ndead_ticks = 5\ninterval_s = 9\n";
    let (config, _) = parse(text, &[("ORCH_REAPER_DEAD_TICKS", "7")]).unwrap();
    assert_eq!((config.reaper.dead_ticks, config.reaper.interval_s, config.reaper.max_running_s), (7, 9, 3600));
    let from = |path: &str| config.values().into_iter().find(|(p, ..)| p == path).unwrap().2;
    assert_eq!(from("reaper.dead_ticks"), Source::Env { name: "ORCH_REAPER_DEAD_TICKS".into() });
    assert_eq!(from("reaper.interval_s"), Source::File { line: 3 });
    assert_eq!(from("reaper.max_running_s"), Source::Default);
    // A mistake in the file is one even where a variable hides it.
    let hidden = parse("[reaper]\ndead_ticks = \"x\"\n", &[("ORCH_REAPER_DEAD_TICKS", "7")]);
    assert!(hidden.is_err());
}

#[test]
fn bad_variables_are_named() {
    let told = |pairs: &[(&str, &str)]| parse("", pairs).unwrap_err().to_string();
    assert_eq!(
        told(&[("ORCH_REAPER_DEAD_TICKS", "two")]),
        "environment ORCH_REAPER_DEAD_TICKS: must be a whole number from 0, not `two` (it stands for [reaper] `dead_ticks`)"
    );
    assert_eq!(
        told(&[("ORCH_REAPER_INTERVAL_S", "0")]),
        "environment ORCH_REAPER_INTERVAL_S: [reaper] `interval_s` must be at least 1"
    );
    assert_eq!(
        told(&[("ORCH_MAX_CONCURRENCY", "2"), ("ORCH_AGENTS_MAX_CONCURRENCY", "3")]),
        "environment ORCH_AGENTS_MAX_CONCURRENCY: says something else than ORCH_MAX_CONCURRENCY, which means the same \
         key: set only one of them"
    );
}

#[test]
fn the_old_names_still_mean_what_they_meant() {
    let pairs = [
        ("ORCH_MAX_CONCURRENCY", "4"),
        ("ORCH_MAX_DEVELOPER_RETRIES", "5"),
        ("ORCH_LEASE_RECLAIM_ENABLED", "false"),
        ("ORCH_WORKTREES_DIR", "~/trees"),
        ("ORCH_STAGING", "true"),
    ];
    let (config, warnings) = parse("", &pairs).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((config.agents.max_concurrency, config.agents.max_developer_retries), (4, 5));
    assert!(!config.reaper.lease_reclaim_enabled && config.staging.instance);
    assert_eq!(config.worktrees_dir(), Path::new("/home/anna/trees"));
    assert_eq!(env::ALIASES.len(), pairs.len());
}

#[test]
fn every_name_of_the_contract_is_accepted() {
    let names = "DB_PATH REPOS_DIR WORKTREES_DIR MAX_CONCURRENCY GITEA_URL GITEA_OWNER GITEA_TOKEN PLANE_API_URL \
        PLANE_API_TOKEN PLANE_WORKSPACE TELEGRAM_BOT_TOKEN TELEGRAM_CHAT_ID STAGING REAPER_ENABLED REAPER_INTERVAL_S \
        REAPER_DEAD_TICKS REAPER_MAX_RUNNING_S REAPER_FINALIZE_GRACE_S LEASE_RECLAIM_ENABLED RECONCILE_ENABLED \
        RECONCILE_GRACE_OVERRIDES_JSON RECONCILE_NOTIFY_UNBLOCK RECONCILE_SKIP_BLOCKED_ENABLED RECONCILE_INTERVAL_S \
        MERGE_GATE_ENABLED MERGE_GATE_REPOS MERGE_LOCK_TIMEOUT_S MERGE_RETEST_TIMEOUT_S MERGE_DEFER_DELAY_S \
        MERGE_DEFER_MAX_ATTEMPTS IMAGE_FRESHNESS_ENABLED IMAGE_FRESHNESS_REPOS SECURITY_GATE_ENABLED \
        SECURITY_GATE_REPOS SECURITY_DEP_BLOCK_SEVERITY SECURITY_SCAN_TIMEOUT_S SECURITY_DEP_AUDIT_FAIL_CLOSED \
        SECURITY_SECRETS_BLOCK STAGING_INFRA_TOLERANCE_ENABLED POST_DEPLOY_ENABLED POST_DEPLOY_WINDOW_S \
        POST_DEPLOY_INTERVAL_S POST_DEPLOY_AUTO_ROLLBACK POST_DEPLOY_BASE_URL MAX_DEVELOPER_RETRIES";
    let known: Vec<String> = reference::keys().into_iter().flat_map(|k| k.env).collect();
    for name in names.split_whitespace() {
        assert!(known.contains(&format!("ORCH_{name}")), "ORCH_{name} is not known");
    }
}

#[test]
fn what_cannot_work_of_a_merge_is_refused_with_its_key() {
    for (text, wanted) in [
        ("subject = \"{{titel}}\"", "orch.toml:2: [merge] `subject` `{{titel}}` is not known: it may use `{{title}}`"),
        ("subject = \"Change\"", "orch.toml:2: [merge] `subject` must hold `{{title}}`"),
        ("author = \"anna\"", "orch.toml:2: [merge] `author` must read `Name <address>`"),
        ("committer = \"Anna <anna>\"", "orch.toml:2: [merge] `committer` `anna` is no address"),
        ("history = \"one\"", "orch.toml:2: [merge] `history` must be one of one-commit, as-is, not `one`"),
        ("sign = true\nhistory = \"as-is\"", "orch.toml:2: [merge] `sign` signs the one commit"),
    ] {
        let said = problems(&format!("[merge]\n{text}\n"));
        assert!(said.starts_with(wanted), "{text}: {said}");
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let (c, _) = parse("", &[]).unwrap();
    assert_eq!(c.server.listen.to_string(), "127.0.0.1:8500");
    assert_eq!(c.db.path, Path::new("/home/anna/.local/share/orch/orch.db"));
    assert_eq!(c.repos_dir(), Path::new("/home/anna/.local/share/orch/repos"));
    assert_eq!(c.token_file(), Path::new("/home/anna/.local/share/orch/token"));
    assert_eq!((c.agents.max_concurrency, c.agents.max_developer_retries), (1, 3));
    assert_eq!(
        (c.reaper.interval_s, c.reaper.dead_ticks, c.reaper.max_running_s, c.reaper.finalize_grace_s),
        (60, 2, 3600, 300)
    );
    let m = &c.merge;
    assert_eq!((m.lock_timeout_s, m.retest_timeout_s, m.defer_delay_s, m.defer_max_attempts), (300, 1800, 30, 0));
    assert_eq!((c.post_deploy.enabled, c.post_deploy.window_s, c.post_deploy.interval_s), (true, 900, 30));
    assert!(c.reaper.enabled && c.reaper.lease_reclaim_enabled);
    assert_eq!((c.reconcile.interval_s, c.security.scan_timeout_s), (30, 300));
    assert_eq!(c.budget.task_usd.to_string(), "0");
    assert_eq!(c.security.dep_block_severity, security::AdvisorySeverity::High);
}

#[test]
fn a_slip_in_a_variable_is_a_warning_and_the_contract_of_agents_is_not() {
    let pairs = [
        ("ORCH_REAPER_DEADTICKS", "3"),
        ("ORCH_TOKEN", "x"),
        ("ORCH_URL", "y"),
        ("ORCH_WORK_ITEM", "D-1"),
        ("PATH", "/"),
    ];
    let (_, warnings) = parse("", &pairs).unwrap();
    let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["environment ORCH_REAPER_DEADTICKS: stands for no key and is ignored: did you mean `ORCH_REAPER_DEAD_TICKS`?"]
    );
}

#[test]
fn a_list_of_repositories_tells_not_set_from_empty() {
    let lists = |pairs: &[(&str, &str)], text: &str| parse(text, pairs).unwrap().0.security.gate_repos.clone();
    assert_eq!(lists(&[], ""), None);
    assert_eq!(lists(&[("ORCH_SECURITY_GATE_REPOS", "")], ""), Some(vec![]));
    assert_eq!(lists(&[], "[security]\ngate_repos = []\n"), Some(vec![]));
    assert_eq!(lists(&[("ORCH_SECURITY_GATE_REPOS", "a,b")], ""), Some(vec!["a".to_owned(), "b".to_owned()]));
    // What is not a list: empty is the same as not set.
    assert_eq!(parse("", &[("ORCH_REAPER_DEAD_TICKS", "")]).unwrap().0.reaper.dead_ticks, 2);
}

#[test]
fn the_switch_of_a_gate_is_decided_in_the_written_order() {
    let switch = |more: &str, globals: &str, pairs: &[(&str, &str)], gate: GateId| {
        let (config, _) = parse(&format!("{}{globals}", project(more)), pairs).unwrap();
        let switch = config.gate_switch(&config.projects[0], gate);
        (switch.mode, switch.why)
    };
    let security = GateId::SecurityGate;
    let shadow = "[project.gates.security-gate]\nmode = \"shadow\"";
    let global_off = "[gates.check_security_gate]\nmode = \"off\"\n";
    assert_eq!(switch("", "", &[], security), (GateMode::Enforce, "default".into()));
    assert_eq!(switch("", global_off, &[], security), (GateMode::Off, "[gates.check_security_gate] mode".into()));
    assert_eq!(
        switch(shadow, global_off, &[], security),
        (GateMode::Shadow, "[project.gates.check_security_gate] mode".into())
    );
    assert_eq!(
        switch(shadow, "", &[("ORCH_SECURITY_GATE_ENABLED", "false")], security),
        (GateMode::Off, "[security] gate_enabled is false".into())
    );
    let scope = |list: &str, more: &str| switch(more, "", &[("ORCH_SECURITY_GATE_REPOS", list)], security).0;
    assert_eq!(scope("", ""), GateMode::Off);
    assert_eq!(scope("", "self = true"), GateMode::Enforce);
    assert_eq!(scope("other", ""), GateMode::Off);
    assert_eq!(scope("other,demo", ""), GateMode::Enforce);
    assert_eq!(scope("demo.git", ""), GateMode::Off);
    assert_eq!(switch("", "[gates.ci-green]\nrepos = [\"x\"]\n", &[], GateId::CiGreen).0, GateMode::Off);
}

#[test]
fn places_are_relative_to_the_file_and_the_tilde_is_home() {
    let text = project("").replace("\"demo\"", "\"../demo\"") + "[db]\npath = \"state/x.db\"\n[repos]\ndir = \"~/r\"\n";
    let (config, _) = parse(&text, &[]).unwrap();
    assert_eq!(config.db.path, Path::new("/etc/orch/state/x.db"));
    assert_eq!(config.runs_dir(), Path::new("/etc/orch/state/runs"));
    assert_eq!(config.repos_dir(), Path::new("/home/anna/r"));
    assert_eq!(config.projects[0].repo, "/etc/demo");
    let (name, program) = config.program(&config.projects[0], "developer").unwrap();
    assert_eq!((name, program.program()), ("mine", Some("/etc/orch/agent.sh")));
    for address in ["https://host/x.git", "git@host:x.git", "file:///x"] {
        let text = project("").replace("\"demo\"", &format!("\"{address}\""));
        assert_eq!(parse(&text, &[]).unwrap().0.projects[0].repo, address);
    }
    let homeless = Config::parse(Path::new("/etc/orch/orch.toml"), "[db]\npath = \"~/x\"\n", &BTreeMap::new());
    let told = homeless.unwrap_err().to_string();
    assert_eq!(told, "/etc/orch/orch.toml:2: [db] `path` begins with `~`, but HOME is not set: write the whole path");
}

#[test]
fn what_is_no_file_or_has_no_end_is_refused_and_many_projects_are_read_in_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for place in [fifo.as_path(), Path::new("/dev/zero"), dir.path()] {
        let told = Config::load(place, &BTreeMap::new()).unwrap_err().to_string();
        assert!(told.contains("cannot be read"), "{told}");
    }
    // Eight times the projects take about eight times the work of this thread, and not 64 times.
    let used = || {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::new(at.tv_sec as u64, at.tv_nsec as u32)
    };
    let read = |n: usize| {
        let mut text = "[agents.programs.claude]\ncommand = [\"a\"]\n".to_owned();
        for i in 0..n {
            let _ = write!(text, "[[project]]\nkey = \"A{i}\"\nrepo = \"r\"\ncommands.test = \"t\"\n");
        }
        let before = used();
        assert_eq!(parse(&text, &[]).unwrap().0.projects.len(), n);
        used().saturating_sub(before)
    };
    let least = |n: usize| (0..3).map(|_| read(n)).min().unwrap_or_default();
    let (few, many) = (least(1_000), least(8_000));
    assert!(many < few * 24, "{few:?} {many:?}");
}

#[test]
fn a_pipeline_of_ones_own_is_used() {
    let mut stages = String::new();
    for stage in &Pipeline::lite().stages {
        let steps: Vec<String> = stage.steps.iter().map(|s| toml::Value::try_from(s).unwrap().to_string()).collect();
        let _ = writeln!(stages, "[[pipelines.mine.stages]]\nid = \"{}\"\nsteps = [{}]", stage.id, steps.join(", "));
    }
    let (config, _) =
        parse(&(project("pipeline = \"mine\"") + &stages), &[]).unwrap_or_else(|e| panic!("{e}\n{stages}"));
    let pipeline = config.pipeline(&config.projects[0]).unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.stages), ("mine", Pipeline::lite().stages));
}

#[test]
fn the_reference_lists_every_key_with_a_meaning() {
    let keys = reference::keys();
    let (markdown, dot_env) = (reference::markdown(), reference::dot_env());
    for key in &keys {
        assert!(!key.doc.is_empty(), "{} has no meaning", key.path);
        for name in &key.env {
            assert!(markdown.contains(&format!("`{name}`")), "{name}");
        }
        if let Some(name) = key.env.last() {
            assert!(dot_env.contains(&format!("\n#{name}=")), "{name}");
        }
    }
    // Whatever a loaded configuration holds is in the reference: nothing can be configured in secret.
    let (config, _) =
        parse(&project("[project.gates.ci-green]\nmode = \"off\"\n[project.deploy]\ncheck = \"x\""), &[]).unwrap();
    for (path, ..) in config.values() {
        let plain = path
            .replace("project[0]", "project")
            .replace("programs.mine", "programs.NAME")
            .replace("gates.ci-green", "gates.NAME");
        assert!(keys.iter().any(|k| k.path == plain), "{path} is not in the reference");
    }
    assert!(markdown.contains("## `[[project]]`") && markdown.contains("## `[agents.programs.NAME]`"));
    assert!(markdown.contains("- `dead_ticks` (whole number; default `2`): "));
}

#[test]
fn what_is_marked_as_not_used_yet_exists() {
    let keys = reference::keys();
    for marked in later::NOT_USED_YET {
        assert!(keys.iter().any(|k| k.path == *marked), "{marked} is no key and no table");
    }
}

#[test]
fn people_are_named_with_or_without_where_they_come_from() {
    let text = project("starters = [\"local:anna\"]");
    let (config, _) = parse(&text, &[]).unwrap();
    let policy = config.people_of(&config.projects[0]);
    let may = |who: &str, act| policy.may(&who.into(), act);
    assert!(may("local:anna", Act::Approve) && may("gitea:anna", Act::Approve) && !may("local:bob", Act::Approve));
    assert_eq!((policy.starters.len(), policy.people.len()), (1, 0));
}

#[test]
fn an_address_with_a_password_is_refused_with_the_way_out_and_not_shown() {
    let text = project("forge = \"git\"").replace("\"demo\"", "\"https://anna:s3cret@example.org/o/r.git\"");
    let said = problems(&text);
    for word in ["`repo`", "`username`", "`token_env`", "[project.git]"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    let text = text.replace("anna:s3cret@", "") + "[project.git]\ntoken_env = \"DEMO_TOKEN\"\n";
    let (config, _) = parse(&text, &[]).unwrap();
    assert_eq!(config.projects[0].git.token_env.as_deref(), Some("DEMO_TOKEN"));
}
