//! graphile-worker on PostgreSQL, in turns beside orch: on the same disk, in the same run. A script of the project installs and
//! starts it, and this asks for its turns. It moves less than a job of orch does: a small payload, no event, no next job.

use crate::cargo;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What may be measured beside orch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Beside {
    /// graphile-worker on a private PostgreSQL
    Graphile,
}

/// One that runs and has nothing to do between its turns.
pub(super) struct Peer {
    child: Child,
    /// Closed when it is to end.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it in a directory, and says what it is: its versions and settings, or what is missing.
    pub(super) fn start(_: Beside, dir: &Path) -> Result<(Option<Self>, String)> {
        let script = cargo::root().join("scripts/graphile-worker.sh");
        let mut child = Command::new(&script)
            .arg(dir.join("graphile"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", script.display()))?;
        let answers = BufReader::new(child.stdout.take().context("it has no output")?);
        let asks = child.stdin.take();
        let mut peer = Self { child, asks, answers };
        let first = peer.line()?;
        if first.starts_with("skipped:") {
            return Ok((None, first));
        }
        let first: Value = serde_json::from_str(&first).with_context(|| format!("read `{first}`"))?;
        let all = |key: &str| {
            let named = first[key].as_object().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            named.map(|(name, value)| format!("{name} {}", text(value))).collect::<Vec<_>>().join(", ")
        };
        let about = format!("{}: {}", all("versions"), all("settings"));
        Ok((Some(peer), about))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("scripts/graphile-worker.sh has ended: what it wrote above says why");
        }
        Ok(line.trim().to_owned())
    }

    fn turn(&mut self, what: &str, count: usize) -> Result<Value> {
        let asks = self.asks.as_mut().context("it is to end")?;
        writeln!(asks, "{what} {count}")?;
        asks.flush()?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// Jobs a second of a turn, `single` or `batched`.
    pub(super) fn rate(&mut self, what: &str, jobs: usize) -> Result<f64> {
        let turn = self.turn(what, jobs)?;
        let number = |key: &str| turn[key].as_f64().with_context(|| format!("`{key}` is not in {turn}"));
        Ok(number("jobs")? / number("seconds")?)
    }

    /// Times from adding a job to the start of its handler.
    pub(super) fn starts(&mut self, count: usize) -> Result<Vec<Duration>> {
        let turn = self.turn("start", count)?;
        let all = turn["ms"].as_array().with_context(|| format!("`ms` is not in {turn}"))?;
        let time = |ms: &Value| Ok(Duration::from_secs_f64(ms.as_f64().context("a time is no number")? / 1_000.0));
        all.iter().map(time).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with its input, and stops its database.
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}
