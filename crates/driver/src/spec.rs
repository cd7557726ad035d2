//! What a driver is told, and what it tells: `driver.json` in the run directory is written before it starts, `report.json`
//! by it. Nothing reaches it by the environment of the daemon. Keys are named here and never written here: their values come
//! on the driver's standard input where it is to put a proxy before the program, else by its environment.

use crate::rules::Rules;
use orch_core::ids::Time;
use orch_ports::agent::{EndClass, Usage};
use orch_proxy::settings::Settings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Names of a driver's files in the run directory.
pub mod files {
    /// The specification.
    pub const SPEC: &str = "driver.json";
    /// The report; rewritten while the run goes on.
    pub const REPORT: &str = "report.json";
    /// The log, one event per line.
    pub const EVENTS: &str = "events.jsonl";
}

/// The hidden subcommand of `orch` that drives.
pub const SUBCOMMAND: &str = "agent-driver";

/// Where the program finds the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Address instead of the vendor's: `http://127.0.0.1:9000`.
    pub base_url: Option<String>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverSpec {
    /// The program; without a `/` it is found through `PATH`.
    pub program: String,
    /// Program and first arguments that start it in its sandbox; empty: it has none.
    pub enclosed: Vec<String>,
    /// Model; none: the program's own choice.
    pub model: Option<String>,
    /// Most turns of the model.
    pub max_turns: u32,
    /// Most money, US dollars with all digits; none: no limit of the program's own.
    pub budget_usd: Option<String>,
    /// The session's name.
    pub session: String,
    /// It is there already and goes on; said before the brief.
    pub resume: Option<String>,
    /// What tools may do.
    pub rules: Rules,
    /// Most refusals of the same wish before the run is ended.
    pub most_refusals: u32,
    /// The project's test command.
    pub test: Option<String>,
    /// The brief.
    pub prompt_file: PathBuf,
    /// What the role may report.
    pub result_file: PathBuf,
    /// Documents the role has to leave, relative to the worktree; with a trailing `/`: a directory with a file in it.
    pub artefacts: Vec<String>,
    /// Where the program keeps its sessions.
    pub session_dir: PathBuf,
    /// Environment of the program, without keys.
    pub env: BTreeMap<String, String>,
    /// Names of keys that it is given.
    pub keys: Vec<String>,
    /// Where it finds the service, if it goes there itself.
    pub endpoint: Endpoint,
    /// The proxy between it and the service; none: it is given the key itself.
    pub proxy: Option<Settings>,
    /// How long the program may take to end once it is asked to, milliseconds.
    pub grace_ms: u64,
}

/// What became of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Class of the end; none: it has not ended, or the driver died with it.
    pub class: Option<EndClass>,
    /// Why.
    pub why: String,
    /// When the service wants it back.
    pub not_before: Option<Time>,
    /// For a person.
    pub question: Option<String>,
    /// The program's last words.
    pub summary: Option<String>,
    /// What was used.
    pub usage: Usage,
    /// Model.
    pub model: Option<String>,
    /// Session that can go on; none before the program has begun it.
    pub session: Option<String>,
    /// Version of the program.
    pub version: Option<String>,
    /// When the program was last heard.
    pub heard: Option<Time>,
}

/// A name for a session: a random UUID, as the program wants it.
///
/// # Errors
/// The system has no randomness to give.
pub fn session_name() -> std::io::Result<String> {
    let mut b = [0_u8; 16];
    getrandom::fill(&mut b).map_err(|e| std::io::Error::other(e.to_string()))?;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex = b.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}
