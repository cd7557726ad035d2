//! The contract of a command agent, told from both sides.

use super::*;
use orch_core::ids::Time;
use orch_core::word::Word;
use orch_ports::agent::Usage;
use orch_ports::supervisor::files as run_files;
use std::fs;

struct Desk {
    dir: tempfile::TempDir,
    reserved_micro_usd: u64,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["config", "worktree", "run/out"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir, reserved_micro_usd: 0 }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn brief(&self) -> Brief {
        Brief {
            work_item: "DEMO-1".into(),
            project: "DEMO".into(),
            role: "developer".into(),
            stage: "development".into(),
            attempt: 2,
            round: 1,
            run_id: "1-3-2".into(),
            branch: "feature/DEMO-1-x".into(),
            base: "1a2b3c".into(),
            artefact_dir: "docs/work-items/DEMO-1".into(),
            worktree: self.at("worktree"),
            run_dir: self.at("run"),
            prompt_file: self.at("run/prompt.md"),
            result_file: self.at("run/out/result.json"),
            reserved_micro_usd: self.reserved_micro_usd,
            session_dir: self.at("session"),
            resume: None,
            artefacts: Vec::new(),
            test: None,
        }
    }
    fn agent(&self, command: &[&str]) -> CommandAgent {
        CommandAgent::new(CommandSettings {
            name: "mine".into(),
            command: command.iter().map(ToString::to_string).collect(),
            config_dir: self.at("config"),
            path: "/usr/bin:/bin".into(),
            env: BTreeMap::from([("COLOUR".to_owned(), "green".to_owned())]),
            env_file: None,
            pass_env: BTreeMap::new(),
            deadline_ms: 60_000,
            silence_ms: Some(10_000),
            grace_ms: 5_000,
            sandbox: orch_sandbox::Sandbox::default(),
        })
    }
    /// Runs what the agent would be started as, the way a supervisor does, and reads what it left.
    fn run(&self, agent: &CommandAgent) -> AgentReport {
        let spec = agent.launch(&self.brief()).unwrap();
        let log = |name: &str| fs::File::create(self.at("run").join(name)).unwrap();
        let status = std::process::Command::new(&spec.argv[0])
            .args(&spec.argv[1..])
            .current_dir(&spec.cwd)
            .env_clear()
            .envs(&spec.env)
            .stdout(log(run_files::STDOUT))
            .stderr(log(run_files::STDERR))
            .status()
            .unwrap();
        agent.read(&self.at("run"), &ended(EndReason::Exited, status.code()))
    }
    fn sh(&self, script: &str) -> AgentReport {
        self.run(&self.agent(&["sh", "-c", script]))
    }
}

fn ended(reason: EndReason, code: Option<i32>) -> ExitRecord {
    ExitRecord { reason, code, signal: None, error: None, started: Time(0), ended: Time(1), strays: 0 }
}

#[test]
fn the_program_gets_the_contract_and_nothing_else() {
    let desk = Desk::new();
    let report = desk.sh(
        "env | cut -d= -f1 | sort | tr '\\n' ' ' && pwd && echo \"$ORCH_ROUND $COLOUR $HOME\" && touch \"$TMPDIR/x\"",
    );
    assert_eq!(report.end, AgentEnd::finished());
    let said = fs::read_to_string(desk.at("run/stdout.log")).unwrap();
    let names: Vec<_> =
        said.lines().next().unwrap().split(' ').filter(|n| !["PWD", "_", "SHLVL", "OLDPWD", ""].contains(n)).collect();
    let expected = "COLOUR HOME LANG ORCH_ARTEFACT_DIR ORCH_ATTEMPT ORCH_BASE ORCH_BRANCH ORCH_OUT ORCH_PROJECT ORCH_PROMPT_FILE ORCH_RESULT_FILE \
                    ORCH_ROLE ORCH_ROUND ORCH_RUN_ID ORCH_STAGE ORCH_WORK_ITEM PATH TERM TMPDIR";
    let expected: Vec<_> = expected.split_whitespace().collect();
    let names: Vec<_> = names.iter().copied().filter(|n| !n.starts_with('/')).collect();
    assert_eq!(names, expected);
    assert!(said.contains(&format!("1 green {}", desk.at("run/home").display())), "{said}");
    assert!(desk.at("run/tmp/x").exists());
}

#[test]
fn a_relative_program_is_the_configurations_before_it_is_the_worktrees() {
    let desk = Desk::new();
    let launch = || desk.agent(&["./agent.sh", "x"]).launch(&desk.brief());
    let fault = launch().unwrap_err();
    assert_eq!(fault.kind, orch_core::verdict::FaultKind::Denied);
    assert!(fault.text.contains("./agent.sh") && fault.text.contains("[agents.programs.mine]"), "{fault}");
    fs::write(desk.at("worktree/agent.sh"), "").unwrap();
    assert!(launch().unwrap().argv[0].starts_with(desk.at("worktree").to_str().unwrap()));
    fs::write(desk.at("config/agent.sh"), "").unwrap();
    assert!(launch().unwrap().argv[0].starts_with(desk.at("config").to_str().unwrap()));
    assert_eq!(launch().unwrap().argv[1], "x");
    assert_eq!(desk.agent(&["sh"]).launch(&desk.brief()).unwrap().argv, ["sh"]);
    assert!(desk.agent(&[]).launch(&desk.brief()).is_err());
}

#[test]
fn the_configuration_cannot_play_the_contract() {
    let desk = Desk::new();
    let mut agent = desk.agent(&["sh"]);
    agent.settings.env.insert("ORCH_ROUND".into(), "0".into());
    assert!(agent.launch(&desk.brief()).unwrap_err().text.contains("ORCH_ROUND"));
}

#[test]
fn a_sandbox_that_could_not_be_made_is_a_matter_of_the_configuration_and_costs_no_attempt() {
    let desk = Desk::new();
    fs::write(desk.at("run/net.unmade"), "why").unwrap();
    assert_eq!(desk.sh("echo 'orch: no namespace' >&2; exit 126").end.class, EndClass::Configuration);
}

#[test]
fn exits_mean_what_the_contract_says() {
    let desk = Desk::new();
    let end = desk.sh("exit 75").end;
    assert_eq!((end.class, end.not_before), (EndClass::Passing, None));
    let end = desk.sh("echo '{\"retry_after_s\": 60}' > \"$ORCH_RESULT_FILE\"; exit 75").end;
    assert_eq!((end.class, end.not_before), (EndClass::Passing, Some(Time(60_001))));
    std::fs::remove_file(desk.at("run/out/result.json")).unwrap();
    let end = desk.sh("echo out; printf 'red \\033[31malert\\033[0m\\a\\n' >&2; exit 3").end;
    assert_eq!((end.class, end.why.as_str()), (EndClass::Failed, "exit 3\nout\nred alert"));
    let agent = desk.agent(&["sh"]);
    for (reason, class) in [
        (EndReason::Deadline, EndClass::Deadline),
        (EndReason::Silence, EndClass::Silence),
        (EndReason::Cancelled, EndClass::Stopped),
        (EndReason::SpawnFailed, EndClass::Configuration),
    ] {
        assert_eq!(agent.read(&desk.at("run"), &ended(reason, Some(0))).end.class, class, "{reason:?}");
    }
    let class = |json: &str| desk.sh(&format!("echo '{json}' > \"$ORCH_RESULT_FILE\"")).end.class;
    assert_eq!(class(r#"{"question": "Which?", "unable": "no network"}"#), EndClass::Question);
    assert_eq!(class(r#"{"unable": "no network"}"#), EndClass::Unable);
    assert_eq!(class(r#"{"no_change": "it is there"}"#), EndClass::Finished);
}

#[test]
fn a_failure_shows_the_last_twenty_lines() {
    let desk = Desk::new();
    let why = desk.sh("seq 1 100000 >&2; exit 1").end.why;
    let lines: Vec<_> = why.lines().collect();
    assert_eq!((lines.len(), lines[1], lines[20]), (21, "99981", "100000"));
}

#[test]
fn the_result_file_is_read_leniently() {
    let desk = Desk::new();
    let report = desk.sh(
        r#"echo '{"summary":"done\u001b[2J","question":"Which?","cost_usd":0.25,"input_tokens":10,"output_tokens":2.0,"more":1}' > "$ORCH_RESULT_FILE""#,
    );
    assert_eq!((report.summary.as_deref(), report.question.as_deref()), (Some("done"), Some("Which?")));
    assert_eq!(report.usage, Usage { cost_usd: 0.25, input_tokens: 10, output_tokens: 2, ..Usage::default() });
    let report = desk.sh(r#"echo '{"cost_usd":-5,"input_tokens":"many","summary":7}' > "$ORCH_RESULT_FILE""#);
    assert_eq!((report.summary, report.usage.input_tokens), (None, 0));
    let most = u64::MAX;
    let report = desk.sh(&format!(r#"echo '{{"input_tokens":{most},"output_tokens":1e300}}' > "$ORCH_RESULT_FILE""#));
    let sum = report.usage.input_tokens.checked_add(report.usage.output_tokens);
    assert_eq!(sum, Some(2_000_000_000_000), "what it says can be added up");
}

#[test]
fn a_cost_is_read_or_it_is_not_known_and_never_nothing_without_a_word() {
    let desk = Desk::new();
    let usage = |text: &str| desk.sh(&format!("printf '{text}' > \"$ORCH_RESULT_FILE\"")).usage;
    let plain = usage(r#"{"cost_usd":9.5}"#);
    assert_eq!((plain.micro_usd(), plain.cost_note), (Some(9_500_000), None));
    let quoted = usage(r#"{"cost_usd":"9.50"}"#);
    assert_eq!(quoted.micro_usd(), Some(9_500_000));
    assert_eq!(quoted.cost_note.as_deref(), Some("`cost_usd` of the result was text and was read as 9.5"));
    let marked = usage(r#"\357\273\277{"cost_usd":1}"#);
    assert_eq!(marked.micro_usd(), Some(1_000_000));
    assert_eq!(marked.cost_note.as_deref(), Some("a byte order mark before the result was skipped"));
    for (text, why) in [
        (r#"{"cost_usd":"9,50"}"#, "`cost_usd` of the result is no amount of dollars: \"9,50\""),
        (r#"{"cost_usd":"NaN"}"#, "`cost_usd` of the result is no amount of dollars: \"NaN\""),
        (r#"{"cost_usd":-5}"#, "`cost_usd` of the result is no amount of dollars: -5"),
        (r#"{"cost_usd":1e300}"#, "`cost_usd` of the result is no amount of dollars: 1e+300"),
        (r#"{"cost_usd":[1]}"#, "`cost_usd` of the result is no amount of dollars: [1]"),
        (r#"{"cost_usd":null}"#, "the result has no `cost_usd`"),
        (r#"{"summary":"done"}"#, "the result has no `cost_usd`"),
        ("", "there is no result file that says so"),
    ] {
        let usage = usage(text);
        assert_eq!((usage.micro_usd(), usage.cost_unread.as_deref()), (None, Some(why)), "{text}");
        assert_eq!(usage.shown(), "unknown");
    }
    let broken = usage(r#"{"cost_usd": 9"#);
    assert!(broken.cost_unread.unwrap().starts_with("the result file could not be used: it is not JSON"));
}

#[test]
fn a_program_is_told_what_its_run_may_cost() {
    let mut desk = Desk::new();
    let told = r#"printf '{"summary":"%s"}' "${ORCH_BUDGET_USD-nothing}" > "$ORCH_RESULT_FILE""#;
    assert_eq!(desk.sh(told).summary.as_deref(), Some("nothing"));
    desk.reserved_micro_usd = 2_050_000;
    assert_eq!(desk.sh(told).summary.as_deref(), Some("2.050000"));
}

#[test]
fn a_bad_result_file_is_noted_and_not_fatal() {
    let desk = Desk::new();
    for script in [
        r#"printf '{"question": "cut o' > "$ORCH_RESULT_FILE""#,
        r#"echo '[]' > "$ORCH_RESULT_FILE""#,
        r#"rm -f "$ORCH_RESULT_FILE"; head -c 2000000 /dev/zero > "$ORCH_RESULT_FILE""#,
        r#"rm -f "$ORCH_RESULT_FILE"; mkfifo "$ORCH_RESULT_FILE""#,
        r#"rm -f "$ORCH_RESULT_FILE"; ln -s /etc/passwd "$ORCH_RESULT_FILE""#,
    ] {
        let report = desk.sh(script);
        assert_eq!(report.end, AgentEnd::finished(), "{script}");
        assert!(report.summary.unwrap().starts_with("(the result file could not be used: "), "{script}");
        assert_eq!(report.question, None);
    }
    let report = desk.sh(r#"rm -f "$ORCH_RESULT_FILE""#);
    assert_eq!((report.end, report.summary), (AgentEnd::finished(), None));
}

#[test]
fn what_is_said_of_a_conflict_is_read_strictly_and_nothing_of_it_is_lost_in_silence() {
    let desk = Desk::new();
    let read = |resolved: &str| {
        desk.sh(&format!("cat > \"$ORCH_RESULT_FILE\" <<'X'\n{{\"resolved\": {resolved}}}\nX\n")).resolved
    };
    let good =
        read(r#"[{"path": "./a.bin", "take": "base", "why": "shipped\u001b[2J"}, {"path": "b", "take": "edited"}]"#);
    let words: Vec<_> = good.takes.iter().map(|t| (t.path.as_str(), t.take.as_str(), t.why.as_str())).collect();
    assert_eq!(words, [("a.bin", "base", "shipped"), ("b", "edited", "")]);
    assert!(good.unreadable.is_empty() && good.broken.is_none());
    for nothing in ["null", "[]"] {
        assert!(read(nothing).is_empty(), "{nothing}");
    }
    for (bad, says) in [
        ("\"base\"", "is not a list"),
        ("{\"a.bin\": \"base\"}", "is not a list"),
        ("[\"a.bin\"]", "entry 1 is not an object"),
        (r#"[{"take": "base"}]"#, "entry 1 has no `path`"),
        (r#"[{"path": 7, "take": "base"}]"#, "a `path` that is no text"),
        (r#"[{"path": "a.bin"}]"#, "(a.bin) has no `take`: it is one of `base`, `branch`, `deleted`, `edited`"),
        (r#"[{"path": "a.bin", "take": "theirs"}]"#, "the `take` `theirs`, which is none of"),
        (r#"[{"path": "a.bin", "take": "Base"}]"#, "the `take` `Base`, which is none of"),
        (r#"[{"path": "a.bin", "take": null}]"#, "a `take` that is no text"),
        (r#"[{"path": "a.bin", "take": "base", "why": ["x"]}]"#, "a `why` that is no text"),
        (
            r#"[{"path": "a", "take": "base"}, {"path": "./a", "take": "branch"}]"#,
            "a is named twice, as `base` and as `branch`",
        ),
    ] {
        let said = read(bad);
        assert!(said.unreadable.len() == 1 && said.unreadable[0].contains(says), "{bad}: {said:?}");
    }
    let half = read(r#"[{"path": "a", "take": "base"}, {"path": "b", "take": "mine"}]"#);
    assert_eq!((half.takes.len(), half.unreadable.len()), (1, 1), "what can be read counts");
    let many = (0..1_001).map(|n| format!("{{\"path\": \"f{n}\", \"take\": \"base\"}}")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&format!("[{many}]")).unreadable, ["it has 1001 entries, and 1000 are read"]);
    let broken = desk.sh(r#"echo '{"resolved": [' > "$ORCH_RESULT_FILE""#).resolved;
    assert!(broken.takes.is_empty() && broken.broken.unwrap().contains("not JSON"));
}

#[test]
fn a_word_about_the_work_as_a_whole_is_read_and_none_is_lost() {
    let desk = Desk::new();
    let read = |json: &str| desk.sh(&format!("cat > \"$ORCH_RESULT_FILE\" <<'X'\n{json}\nX\n")).word;
    let said = |json: &str| read(json).map(|w| (w.key(), w.reason().to_owned()));
    for nothing in [
        r#"{"unable": "", "no_change": null, "return_to": false}"#,
        r#"{"unable": "  ", "no_change": "\u001b[2J"}"#,
        // A declaration needs its reason.
        r#"{"no_change": true}"#,
        r#"{"no_change": ["x"]}"#,
        "{}",
    ] {
        assert_eq!(said(nothing), None, "{nothing}");
    }
    let none = "it gives no reason that can be read".to_owned();
    assert_eq!(said(r#"{"unable": "no network\u001b[2J"}"#), Some(("unable", "no network".into())));
    assert_eq!(said(r#"{"unable": true}"#), Some(("unable", none.clone())));
    assert_eq!(said(r#"{"unable": {"why": "x"}}"#), Some(("unable", none.clone())));
    assert_eq!(said(r#"{"no_change": "it is there"}"#), Some(("no_change", "it is there".into())));
    let back = read(r#"{"return_to": {"stage": "analysis", "reason": "AC-1 contradicts AC-2"}}"#).unwrap();
    assert_eq!(back, Word::Return { stage: "analysis".into(), reason: "AC-1 contradicts AC-2".into() });
    assert_eq!(said(r#"{"return_to": "AC-1"}"#), Some(("return_to", "AC-1".into())));
    assert_eq!(read(r#"{"return_to": {}}"#), Some(Word::Return { stage: String::new(), reason: none }));
    let both = r#"{"no_change": "it is there", "unable": "no network", "return_to": "AC-1"}"#;
    let (key, reason) = said(both).unwrap();
    assert_eq!(key, "unable");
    assert!(
        reason.starts_with("no network")
            && reason.contains("`return_to`: AC-1")
            && reason.contains("`no_change`: it is there")
    );
    let long =
        r#"{ printf '{"unable": "'; head -c 1000000 /dev/zero | tr '\0' x; printf '"}'; } > "$ORCH_RESULT_FILE""#;
    assert_eq!(desk.sh(long).word.unwrap().reason().len(), 8_000, "a reason of a megabyte is cut");
}
