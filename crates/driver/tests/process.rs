//! The driver process with a stand-in for the program: a shell script that speaks just enough of the protocol.

#![allow(clippy::unwrap_used, unreachable_pub)]

use orch_driver::process::agent_driver_main;
use orch_driver::rules::Rules;
use orch_driver::spec::{DriverSpec, Report};
use orch_ports::agent::EndClass;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Desk {
    dir: tempfile::TempDir,
}

const INIT: &str =
    r#"echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m","claude_code_version":"2.1.332"}'"#;
const GREETED: &str = r#"echo '{"type":"control_response","response":{"subtype":"success","request_id":"orch-initialize","response":{}}}'"#;
const OVER: &str = r#"echo '{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":0.5,"num_turns":1}'"#;

impl Desk {
    /// `on_user` is what the program does with each message, `$n` being its number.
    fn new(on_user: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let desk = Self { dir };
        std::fs::create_dir(desk.at("tree")).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '2.1.332 (Claude Code)'; exit 0; }}\necho \"$@\" > args\n\
             env | sort > env\nn=0\nwhile read -r line; do\n echo \"$line\" >> heard\n case $line in\n \
             *initialize*) {GREETED};;\n *interrupt*) exit 7;;\n *'\"user\"'*) n=$((n + 1)); {INIT}\n {on_user}\n ;;\n esac\ndone\n"
        );
        std::fs::write(desk.at("claude"), script).unwrap();
        std::fs::set_permissions(desk.at("claude"), std::fs::Permissions::from_mode(0o755)).unwrap();
        desk
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn drive(&self, change: impl FnOnce(&mut DriverSpec)) -> Report {
        std::fs::write(self.at("prompt.md"), "the brief").unwrap();
        let mut spec = DriverSpec {
            program: self.at("claude").display().to_string(),
            session: "s-1".into(),
            max_turns: 9,
            rules: Rules { tools: vec!["Bash".into()], worktree: self.at("tree"), ..Rules::default() },
            most_refusals: 3,
            prompt_file: self.at("prompt.md"),
            result_file: self.at("result.json"),
            session_dir: self.at("sessions"),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("A".to_owned(), "a".to_owned())]),
            grace_ms: 1_000,
            ..DriverSpec::default()
        };
        change(&mut spec);
        std::fs::write(self.at("driver.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        agent_driver_main(self.dir.path());
        serde_json::from_slice(&std::fs::read(self.at("report.json")).unwrap()).unwrap()
    }
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at("tree").join(name)).unwrap_or_default()
    }
}

#[test]
fn a_run_is_driven_to_its_end_and_reported() {
    let desk = Desk::new(OVER);
    let report = desk.drive(|spec| {
        spec.model = Some("m".into());
        spec.endpoint.base_url = Some("http://127.0.0.1:1".into());
    });
    assert_eq!((report.class, report.session.as_deref()), (Some(EndClass::Finished), Some("s-1")));
    assert_eq!((report.version.as_deref(), report.summary.as_deref()), (Some("2.1.332"), Some("done")));
    assert_eq!(report.usage.micro_usd(), Some(500_000));
    let args = desk.read("args");
    for part in
        ["--restricted", "--strict-mcp-config --setting-sources user", "--session-id s-1", "--max-turns 9", "--model m"]
    {
        assert!(args.contains(part), "{part}: {args}");
    }
    let env = desk.read("env");
    for part in ["A=a", "ANTHROPIC_BASE_URL=http://127.0.0.1:1", "CLAUDE_CONFIG_DIR="] {
        assert!(env.contains(part), "{part}: {env}");
    }
    assert!(!env.contains("CARGO"), "something was inherited: {env}");
    let events = std::fs::read_to_string(desk.at("events.jsonl")).unwrap();
    assert!(events.lines().all(|l| serde_json::from_str::<orch_driver::event::Event>(l).is_ok()), "{events}");
    assert!(events.contains("turn over"), "{events}");
}

#[test]
fn a_missing_document_is_asked_for_once_and_what_is_written_then_counts() {
    let desk = Desk::new(&format!("[ $n = 2 ] && echo text > review.md; {OVER}"));
    let report = desk.drive(|spec| spec.artefacts = vec!["review.md".into()]);
    assert_eq!(report.class, Some(EndClass::Finished));
    let heard = desk.read("heard");
    assert_eq!(heard.matches("\"user\"").count(), 4, "two messages, each with its role: {heard}");
    assert!(heard.contains("`review.md` is not there"), "{heard}");
}

#[test]
fn a_program_that_dies_has_crashed_and_its_session_is_known() {
    let desk = Desk::new("kill -9 $$");
    let report = desk.drive(|spec| spec.resume = Some("Your last run broke off.".into()));
    assert_eq!((report.class, report.session.as_deref()), (Some(EndClass::Crash), Some("s-1")));
    assert!(report.why.contains("signal 9"), "{}", report.why);
    assert!(desk.read("args").contains("--resume s-1"));
    assert!(desk.read("heard").contains("broke off"), "it is told that it goes on");
}

#[test]
fn what_cannot_be_started_says_so() {
    let desk = Desk::new("true");
    let missing = desk.drive(|spec| spec.program = "/no/such/claude".into());
    assert_eq!(missing.class, Some(EndClass::Configuration));
    assert!(missing.why.contains("/no/such/claude` is not there"), "{}", missing.why);
    let other = desk.drive(|spec| spec.program = "/bin/true".into());
    assert!(other.class == Some(EndClass::Configuration) && other.why.contains("says no version"), "{}", other.why);
}
