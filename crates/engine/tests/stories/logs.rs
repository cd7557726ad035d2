//! What the log says beside its sentences: whose job, which run, which process, which repository and branch.

use crate::faults::How;
use crate::world::World;
use orch_engine::ReaperOptions;
use serde_json::Value;
use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log of this thread, a JSON object per line, as `ORCH_LOG_FORMAT=json` writes it. There is one subscriber for the
/// process: what several of them remember of each other is not for tests that run side by side.
struct Log;

impl Log {
    fn begin() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let written = tracing_subscriber::fmt().json().with_writer(|| Here).finish();
            tracing::subscriber::set_global_default(written).unwrap();
        });
        WRITTEN.set(Some(Vec::new()));
        Self
    }
    /// The first line whose message contains this.
    fn line(text: &str) -> Value {
        let all = WRITTEN.with_borrow(|bytes| String::from_utf8(bytes.clone().unwrap()).unwrap());
        let mut lines = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let says = |line: &Value| line["fields"]["message"].as_str().is_some_and(|m| m.contains(text));
        lines.find(says).unwrap_or_else(|| panic!("nothing says `{text}`:\n{all}"))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

/// Writes to the log of this thread, if it keeps one.
struct Here;

impl Write for Here {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        WRITTEN.with_borrow_mut(|kept| kept.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn whatever_is_logged_while_a_job_is_worked_on_says_which_job_run_repository_and_branch() {
    let _log = Log::begin();
    let world = World::new().await;
    world.faults.plan("forge.ensure_pull_request", &[How::Before]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    let line = Log::line("goes back to the queue");
    let span = &line["span"];
    let job = span["job_id"].as_str().unwrap();
    assert_eq!((span["name"].as_str(), span["repo"].as_str()), (Some("job"), Some("DEMO")), "{line}");
    assert_eq!(span["run_id"].as_str().unwrap(), format!("{job}-1"), "{line}");
    assert_eq!(
        (span["work_item"].as_str(), span["branch"].as_str()),
        (Some("DEMO-1"), Some(task.branch.name.as_str()))
    );
}

#[tokio::test]
async fn a_claim_that_is_taken_back_is_logged_with_job_run_process_repository_and_branch() {
    let _log = Log::begin();
    let minute_ms = 60_000;
    let limits = ReaperOptions { finalize_grace_ms: 10 * minute_ms, ..ReaperOptions::default() };
    let world = World::with(|c| c.reaper = limits).await;
    world.faults.plan("answer developer", &[How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("answer developer").await;
    let runs = world.engine().watcher("reaper").runs;
    world.eventually("looked at", async || runs + 2 < world.engine().watcher("reaper").runs).await;
    world.clock.advance(10 * minute_ms);
    let task = world.until_done(&item).await;
    let line = Log::line("its result was not taken");
    let fields = &line["fields"];
    let job = fields["job_id"].as_str().unwrap();
    assert_eq!(fields["run_id"].as_str().unwrap(), format!("{job}-1"), "{line}");
    assert_eq!((fields["repo"].as_str(), fields["branch"].as_str()), (Some("DEMO"), Some(task.branch.name.as_str())));
    assert!(fields["pid"].is_string(), "{line}");
    assert_eq!(line["span"]["name"].as_str(), Some("watcher"), "{line}");
}
