//! Drivers with a proxy before their program, as processes of their own: what is in their environments, what is left when one
//! is killed, and that many at once keep to what each may use.

#![allow(clippy::unwrap_used, unreachable_pub)]

use orch_driver::process::agent_driver_main;
use orch_driver::spec::{DriverSpec, Report};
use orch_ports::agent::EndClass;
use orch_proxy::gate::Limits;
use orch_proxy::journal::{self, Totals};
use orch_proxy::settings::Settings;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KEY: &str = "sk-ant-api03-canary-of-the-account";
const DIR: &str = "ORCH_TEST_RUN_DIR";
const ASK: &str = r#"{"model":"claude-sonnet-5","max_tokens":2000,"stream":true}"#;
const START: &str =
    "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n";
const END: &str =
    "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":500}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
/// Of a whole response.
const COST: u64 = 7_000;

/// Not a story of its own: the process that the others start.
#[test]
fn the_driver_itself() {
    if let Some(dir) = std::env::var_os(DIR) {
        agent_driver_main(Path::new(&dir));
    }
}

/// A service that answers `whole` requests and lets the next ones hang after their beginning.
fn service(whole: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().flatten().enumerate() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let head = read_until(&mut stream, ASK);
                assert!(head.contains(KEY) && !head.contains("orch-run-"), "{head}");
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                stream.write_all(format!("{head}{START}").as_bytes()).unwrap();
                if n < whole {
                    stream.write_all(END.as_bytes()).unwrap();
                } else {
                    let _ = stream.read(&mut [0; 1]);
                }
            });
        }
    });
    url
}

fn read_until(stream: &mut impl Read, text: &str) -> String {
    let (mut got, mut piece) = (String::new(), [0; 4096]);
    while !got.contains(text) {
        match stream.read(&mut piece) {
            Ok(n @ 1..) => got += &String::from_utf8_lossy(&piece[..n]),
            _ => return got,
        }
    }
    got
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Desk {
    dir: tempfile::TempDir,
    driver: Child,
}

impl Desk {
    /// A driver that runs, with a program that works until `go` is there.
    fn new(url: &str, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.332 (Claude Code)'; exit 0; }\nread -r line\n\
            echo '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"orch-initialize\"}}'\n\
            read -r line\nenv >environ.new; mv environ.new environ\nwhile [ -e claude ] && [ ! -e go ]; do sleep 0.02; done\n\
            echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":402,\"result\":\"no money\"}'\n";
        std::fs::write(at("claude"), script).unwrap();
        std::fs::set_permissions(at("claude"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(at("prompt.md"), "the brief").unwrap();
        let mut spec = DriverSpec { program: at("claude").display().to_string(), ..DriverSpec::default() };
        dir.path().clone_into(&mut spec.rules.worktree);
        spec.prompt_file = at("prompt.md");
        spec.session_dir = at("sessions");
        spec.grace_ms = 10_000;
        spec.env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        spec.keys = vec!["ANTHROPIC_API_KEY".into()];
        spec.proxy = Some(Settings { base_url: Some(url.to_owned()), limits, ..Settings::default() });
        std::fs::write(at("driver.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let mut driver = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_driver_itself", "--nocapture"])
            .env_clear()
            .env(DIR, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keys = serde_json::to_vec(&BTreeMap::from([("ANTHROPIC_API_KEY", KEY)])).unwrap();
        driver.stdin.take().unwrap().write_all(&keys).unwrap();
        let desk = Self { dir, driver };
        until("the program is there", || desk.at("environ").exists());
        desk
    }
    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// What the program was told.
    fn environ(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.at("environ")).unwrap();
        text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
    /// Asks as the program would, and reads until `text`.
    fn ask(&self, text: &str) -> String {
        self.asking(text).0
    }
    /// The same; the response goes on as long as the connection is held.
    fn asking(&self, text: &str) -> (String, UnixStream) {
        let told = self.environ();
        let mut stream = UnixStream::connect(&told["ANTHROPIC_UNIX_SOCKET"]).unwrap();
        let token = &told["ANTHROPIC_AUTH_TOKEN"];
        let head = format!("authorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}", ASK.len());
        write!(stream, "POST /v1/messages HTTP/1.1\r\nhost: model.orch\r\n{head}\r\n\r\n{ASK}").unwrap();
        (read_until(&mut stream, text), stream)
    }
    fn totals(&self) -> Totals {
        journal::read(&self.at("usage.jsonl")).unwrap()
    }
    fn end(&mut self) -> Report {
        std::fs::write(self.at("go"), "").unwrap();
        self.driver.wait().unwrap();
        serde_json::from_slice(&std::fs::read(self.at("report.json")).unwrap()).unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::write(self.at("go"), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn the_key_is_in_no_environment_and_no_file_of_the_run() {
    let mut desk = Desk::new(&service(9), Limits::default());
    let told = desk.environ();
    assert!(told["ANTHROPIC_AUTH_TOKEN"].starts_with("orch-run-") && told["ANTHROPIC_BASE_URL"] == "http://model.orch");
    assert!(!told.contains_key("ANTHROPIC_API_KEY"));
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        for what in ["environ", "cmdline"] {
            let text = std::fs::read(entry.path().join(what)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(KEY), "{}", entry.path().display());
        }
    }
    assert!(desk.ask("message_stop").contains("message_stop"));
    assert_eq!((desk.totals().spent.micro_usd, desk.totals().cut), (COST, 0));
    assert_eq!(desk.end().class, Some(EndClass::Billing), "what the service says stays its word");
    for file in std::fs::read_dir(desk.dir.path()).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(KEY), "{}", file.display());
    }
    assert!(!desk.at("model.sock").exists(), "its socket is gone with it");
}

#[test]
fn after_a_kill_the_cost_is_exact_for_what_had_ended_and_an_upper_bound_for_what_had_not() {
    let mut desk = Desk::new(&service(2), Limits::default());
    for _ in 0..2 {
        assert!(desk.ask("message_stop").contains("message_stop"));
    }
    desk.driver.kill().unwrap();
    desk.driver.wait().unwrap();
    assert_eq!((desk.totals().spent.micro_usd, desk.totals().cut), (2 * COST, 0), "exact");

    let mut desk = Desk::new(&service(1), Limits::default());
    assert!(desk.ask("message_stop").contains("message_stop"));
    let (got, _held) = desk.asking("message_start");
    assert!(got.contains("message_start"), "the second one is under way");
    desk.driver.kill().unwrap();
    desk.driver.wait().unwrap();
    // Its bytes as tokens that are written into a cache for an hour, and `max_tokens`.
    let most = ASK.len() as u64 * 4 + 20_000;
    assert_eq!((desk.totals().spent.micro_usd, desk.totals().cut), (COST + most, 1));
}

#[test]
fn eight_runs_at_once_pass_their_caps_by_one_response_each_at_most_with_nobody_above_them() {
    let url = service(usize::MAX);
    let limits = Limits { micro_usd: Some(2 * COST - 1), ..Limits::default() };
    let mut desks: Vec<Desk> = (0..8).map(|_| Desk::new(&url, limits)).collect();
    std::thread::scope(|scope| {
        for desk in &desks {
            for _ in 0..4 {
                scope.spawn(|| {
                    let got = desk.ask("message_stop");
                    assert!(got.contains("message_stop") || got.starts_with("HTTP/1.1 402 "), "{got}");
                });
            }
        }
    });
    for desk in &mut desks {
        let totals = desk.totals();
        assert_eq!((totals.requests, totals.spent.micro_usd, totals.cut), (2, 2 * COST, 0));
        let report = desk.end();
        assert_eq!(report.class, Some(EndClass::BudgetLimit), "our own refusal is not the account's");
        assert!(report.why.contains("reserved for it"), "{}", report.why);
    }
}
