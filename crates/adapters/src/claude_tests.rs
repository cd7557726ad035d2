//! How a driver is told, and what is made of its reports. The driver itself and the program are not started here.

use super::*;
use orch_core::ids::Time;
use std::fs;

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["worktree", "run/out"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn brief(&self, resume: Option<Resume>) -> Brief {
        Brief {
            work_item: "DEMO-1".into(),
            project: "DEMO".into(),
            role: "reviewer".into(),
            stage: "review".into(),
            attempt: 1,
            round: 0,
            run_id: "1-3-1".into(),
            branch: "feature/DEMO-1-x".into(),
            base: "1a2b3c".into(),
            artefact_dir: "docs/work-items/DEMO-1".into(),
            worktree: self.at("worktree"),
            run_dir: self.at("run"),
            prompt_file: self.at("run/prompt.md"),
            result_file: self.at("run/out/result.json"),
            reserved_micro_usd: 1_500_000,
            session_dir: self.at("sessions/1-reviewer"),
            resume,
            artefacts: vec!["12-review.md".into()],
            test: Some("make test".into()),
        }
    }
    fn agent(&self) -> ClaudeAgent {
        let keys = self.at("keys.env");
        fs::write(&keys, "ANTHROPIC_API_KEY=sk-canary-1234567890\n").unwrap();
        fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        ClaudeAgent::new(ClaudeSettings {
            command: CommandSettings {
                name: "claude".into(),
                command: Vec::new(),
                config_dir: self.at("."),
                path: "/usr/bin:/bin".into(),
                env: BTreeMap::from([("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned())]),
                env_file: Some(keys),
                pass_env: BTreeMap::new(),
                deadline_ms: 60_000,
                silence_ms: None,
                grace_ms: 5_000,
                sandbox: orch_sandbox::Sandbox::default(),
            },
            orch: "/opt/orch".into(),
            program: "claude".into(),
            model: Some("claude-sonnet-5".into()),
            max_turns: 40,
            tools: TOOLS.iter().map(ToString::to_string).collect(),
            deny: vec!["git push".into()],
            most_refusals: 5,
            endpoint: Endpoint { base_url: Some("http://127.0.0.1:1".into()) },
            proxy: Some(ProxySettings {
                max_requests: 90,
                pause: vec!["/data/paused".into()],
                ..ProxySettings::default()
            }),
        })
    }
    /// One whose keys are these, by this address, with or without a proxy.
    fn keyed(&self, keys: &str, base_url: Option<&str>, proxy: bool) -> ClaudeAgent {
        let mut agent = self.agent();
        fs::write(self.at("keys.env"), keys).unwrap();
        agent.settings.endpoint.base_url = base_url.map(ToOwned::to_owned);
        agent.settings.proxy = agent.settings.proxy.filter(|_| proxy);
        agent
    }
    /// What a proxy has written down.
    fn journal(&self, lines: &[&str]) {
        fs::write(self.at("run/usage.jsonl"), lines.join("\n") + "\n").unwrap();
    }
    fn told(&self) -> DriverSpec {
        serde_json::from_slice(&fs::read(self.at("run/driver.json")).unwrap()).unwrap()
    }
    fn reads(&self, report: &str, reason: EndReason) -> AgentReport {
        fs::write(self.at("run/report.json"), report).unwrap();
        let exit = ExitRecord {
            reason,
            code: Some(0),
            signal: None,
            error: None,
            started: Time(0),
            ended: Time(1),
            strays: 0,
        };
        self.agent().read(&self.at("run"), &exit)
    }
}

#[test]
fn the_driver_is_told_all_it_needs_by_a_file_that_holds_no_key() {
    let desk = Desk::new();
    let run = desk.agent().launch(&desk.brief(None)).unwrap();
    assert_eq!(run.argv, ["/opt/orch", "agent-driver", desk.at("run").to_str().unwrap()]);
    assert!(run.keys.values().unwrap().contains_key("ANTHROPIC_API_KEY"));
    let text = fs::read_to_string(desk.at("run/driver.json")).unwrap();
    assert!(!text.contains("sk-canary"), "a key is written down");
    let told = desk.told();
    assert_eq!((told.keys, told.budget_usd.as_deref()), (vec!["ANTHROPIC_API_KEY".to_owned()], Some("1.500000")));
    assert_eq!(told.artefacts, ["docs/work-items/DEMO-1/12-review.md"]);
    assert!(told.rules.tools.contains(&"AskUserQuestion".to_owned()) && told.resume.is_none());
    assert_eq!(told.rules.places, [desk.at("worktree"), desk.at("run/tmp"), desk.at("run/out")]);
    assert_eq!(told.env["CLAUDE_CODE_MAX_RETRIES"], "1", "the configuration wins");
    assert_eq!((told.env["ORCH_ROLE"].as_str(), told.session.len()), ("reviewer", 36));
    assert_eq!(told.endpoint.base_url.as_deref(), Some("http://127.0.0.1:1"));
    // Each run has a session of its own, but one that goes on.
    desk.agent().launch(&desk.brief(None)).unwrap();
    assert_ne!(desk.told().session, told.session);
    let resume = Resume { session: "the-one".into(), after: EndClass::RateLimit };
    desk.agent().launch(&desk.brief(Some(resume))).unwrap();
    let goes_on = desk.told();
    assert_eq!(goes_on.session, "the-one");
    assert!(goes_on.resume.unwrap().contains("broke off (rate limit)"));
}

#[test]
fn what_driver_role_and_supervisor_say_is_put_together() {
    let desk = Desk::new();
    let all = r#"{"class": "overloaded", "why": "API Error: 529", "model": "claude-sonnet-5", "session": "s", "version": "2.1.332",
                  "usage": {"cost_usd": 0.25, "turns": 3}}"#;
    fs::write(desk.at("run/stdout.log"), "Words of the model.\noverloaded: API Error: 529\n").unwrap();
    let report = desk.reads(all, EndReason::Exited);
    assert_eq!((report.end.class, report.usage.micro_usd()), (EndClass::Overloaded, Some(250_000)));
    assert_eq!(report.end.why, "API Error: 529\nThe end of its log:\nWords of the model.");
    let known = (report.model.as_deref(), report.session.as_deref(), report.version.as_deref());
    assert_eq!(known, (Some("claude-sonnet-5"), Some("s"), Some("2.1.332")));
    assert_eq!(desk.agent().live(&desk.at("run")).unwrap().usage.turns, 3);
    for (reason, class) in [(EndReason::Deadline, EndClass::Deadline), (EndReason::Silence, EndClass::Silence)] {
        assert_eq!(desk.reads(r#"{"class": "stopped", "session": "s"}"#, reason).end.class, class);
        let report = desk.reads(r#"{"class": "finished"}"#, reason);
        assert_eq!(report.end.class, EndClass::Finished, "it had ended before");
    }
    let limit = desk.reads(r#"{"class": "usage_limit", "not_before": 1795436437000}"#, EndReason::Exited).end;
    assert_eq!(limit.not_before, Some(Time(1_795_436_437_000)));
    // The driver was killed with its program: what it had said last counts.
    let killed = desk.reads(r#"{"session": "s", "usage": {"cost_unread": "x", "turns": 2}}"#, EndReason::Exited);
    assert_eq!((killed.end.class, killed.session.as_deref()), (EndClass::Crash, Some("s")));
    for broken in ["", "[]", r#"{"class": "no such"}"#, "\u{0}"] {
        let report = desk.reads(broken, EndReason::Exited);
        assert_eq!((report.end.class, report.usage.micro_usd()), (EndClass::Crash, None), "{broken}");
    }
    assert_eq!(
        desk.reads(r#"{"class": "finished", "usage": {"cost_usd": -1.0}}"#, EndReason::Exited).usage.micro_usd(),
        None
    );
}

#[test]
fn a_question_may_come_by_the_tool_or_by_the_file_and_a_word_by_the_file() {
    let desk = Desk::new();
    let report = desk.reads(r#"{"class": "question", "question": "Red or blue?"}"#, EndReason::Exited);
    assert_eq!((report.end.class, report.question.as_deref()), (EndClass::Question, Some("Red or blue?")));
    fs::write(desk.at("run/out/result.json"), r#"{"question": "Which?", "summary": "half"}"#).unwrap();
    let report = desk.reads(r#"{"class": "finished", "summary": "words"}"#, EndReason::Exited);
    assert_eq!((report.end.class, report.summary.as_deref()), (EndClass::Question, Some("half")));
    fs::write(desk.at("run/out/result.json"), r#"{"unable": "no compiler"}"#).unwrap();
    let report = desk.reads(r#"{"class": "finished", "summary": "words"}"#, EndReason::Exited);
    assert_eq!((report.end.class, report.summary.as_deref()), (EndClass::Unable, Some("words")));
}

const BEGUN: &str = r#"{"what":"begun","at":1,"included":false,"prices":"2026-11-30"}"#;
const ASKED: &str =
    r#"{"what":"asked","at":2,"id":0,"model":"claude-sonnet-5","priced":true,"most":{"micro_usd":900000,"tokens":99}}"#;
const ENDED: &str = r#"{"what":"ended","at":3,"id":0,"status":200,"tokens":{"input":10,"cache_read":5,"output":7},"cost":{"micro_usd":250000,"tokens":22}}"#;

#[test]
fn with_a_proxy_the_keys_go_to_the_driver_alone_and_its_reservation_with_them() {
    let desk = Desk::new();
    let run = desk.agent().launch(&desk.brief(None)).unwrap();
    assert!(run.keys_on_stdin && !run.env.contains_key("ANTHROPIC_API_KEY"));
    let told = desk.told().proxy.unwrap();
    let limits = Limits { micro_usd: Some(1_500_000), tokens: None, requests: Some(90) };
    assert_eq!((told.limits, told.base_url.as_deref(), told.log_bodies), (limits, Some("http://127.0.0.1:1"), false));
    assert_eq!(told.pause, [desk.at("run/pause"), "/data/paused".into()]);
    let plan = desk.keyed("CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-canary-1\n", None, true);
    plan.launch(&desk.brief(None)).unwrap();
    assert_eq!(desk.told().budget_usd, None, "a subscription costs no dollars");
    assert_eq!(desk.told().proxy.unwrap().limits.micro_usd, None);
    let without = desk.keyed("ANTHROPIC_API_KEY=sk-canary-1234567890\n", None, false);
    let run = without.launch(&desk.brief(None)).unwrap();
    assert!(!run.keys_on_stdin && desk.told().proxy.is_none());
}

#[test]
fn a_credential_that_cannot_be_used_is_a_matter_for_a_person() {
    let desk = Desk::new();
    for (keys, says) in [
        ("", "claude setup-token"),
        ("CLAUDE_CODE_OAUTH_TOKEN=sk-ant-ort01-canary\n", "interactive login"),
        ("ANTHROPIC_API_KEY=sk-canary-1\nOPENAI_API_KEY=sk-canary-2\n", "which account is to pay"),
        ("OPENAI_API_KEY=sk-canary-2\n", "of no use to Claude Code"),
    ] {
        let fault = desk.keyed(keys, None, true).launch(&desk.brief(None)).unwrap_err();
        let text = fault.to_string();
        assert!(text.contains(says) && text.contains("agent program `claude`") && !text.contains("canary"), "{text}");
        assert!(!fault.is_transient(), "{text}");
    }
}

#[test]
fn what_the_proxy_has_counted_is_what_the_run_has_used() {
    let desk = Desk::new();
    let report = r#"{"class": "finished", "usage": {"cost_usd": 9.0, "turns": 3}}"#;
    desk.journal(&[BEGUN, ASKED, ENDED]);
    let usage = desk.reads(report, EndReason::Exited).usage;
    assert_eq!((usage.shown().as_str(), usage.micro_usd(), usage.turns), ("0.25", Some(250_000), 3));
    assert_eq!((usage.input_tokens, usage.output_tokens), (15, 7));
    assert_eq!(desk.agent().live(&desk.at("run")).unwrap().usage.micro_usd(), Some(250_000));
    // Killed in the middle of the second response, with nobody left to report.
    desk.journal(&[BEGUN, ASKED, ENDED, &ASKED.replace("\"id\":0", "\"id\":1")]);
    let usage = desk.reads("", EndReason::Exited).usage;
    assert_eq!((usage.shown().as_str(), usage.measured, usage.micro_usd()), ("<= 1.15", true, None));
    assert!(usage.cost_unread.unwrap().contains("1 response broke off"));
    desk.journal(&[BEGUN, &ASKED.replace("true", "false"), ENDED]);
    let usage = desk.reads(report, EndReason::Exited).usage;
    assert_eq!(usage.cost_unread.as_deref(), Some("no price is known of claude-sonnet-5: the dearest is counted"));
    desk.journal(&[&BEGUN.replace("false", "true"), ASKED, &ENDED.replace("250000", "0")]);
    let usage = desk.reads(report, EndReason::Exited).usage;
    assert_eq!((usage.shown().as_str(), usage.micro_usd()), ("included", Some(0)));
}

#[test]
fn a_time_in_the_headers_and_an_alarm_are_taken_from_the_proxy() {
    let desk = Desk::new();
    let wait = r#"{"what":"wait","at":4,"until":1795436437000,"status":429,"quota":{}}"#;
    desk.journal(&[
        BEGUN,
        wait,
        r#"{"what":"alarm","at":5,"text":"a request came with a token that is not this run's"}"#,
    ]);
    let limited = desk.reads(r#"{"class": "rate_limit"}"#, EndReason::Exited);
    assert_eq!(limited.end.not_before, Some(Time(1_795_436_437_000)));
    assert_eq!(limited.alarms, ["a request came with a token that is not this run's"]);
    let said = desk.reads(r#"{"class": "rate_limit", "not_before": 7}"#, EndReason::Exited);
    assert_eq!(said.end.not_before, Some(Time(7)), "what the program says counts first");
    assert_eq!(desk.reads(r#"{"class": "failed"}"#, EndReason::Exited).end.not_before, None);
}
