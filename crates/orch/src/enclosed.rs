//! What encloses runs of this instance, by its configuration and this machine. It may never give a run more than both allow, and
//! never say that a run is enclosed where it is not.

use crate::config::Config;
use crate::config::agents::{AgentProgram, ProgramKind};
use crate::config::sandbox::Level;
use orch_ports::Fault;
use orch_sandbox::probe::{Found, probe};
use orch_sandbox::{Kind, Sandbox};
use std::path::PathBuf;

/// What a run reaches that nothing encloses.
pub const OPEN: &str = "an agent, a setup or a test of a branch reaches what the user of orch reaches: the API token, the database and \
                        the repositories of the instance, other projects, keys in files, processes, and the network";

/// What this process encloses runs with.
#[derive(Clone, Debug)]
pub struct Means {
    /// What can enclose runs on this machine.
    pub kind: Kind,
    /// Where clones of repositories lie.
    pub clones: PathBuf,
    /// This program.
    pub exe: PathBuf,
}

/// Looks what can enclose runs here. What is asked for and cannot be had is a fault; where it is left open, runs go without.
///
/// # Errors
/// `[sandbox] level = "bwrap"`, and there is none that works: why, and what to do.
pub fn found(config: &Config, path: &str) -> Result<Found, Fault> {
    let level = config.sandbox.level;
    if level == Level::Off {
        return Ok(Found { kind: Kind::Off, detail: "[sandbox] level = \"off\"".into(), fix: None });
    }
    let found = probe(path);
    if level == Level::Bwrap && found.kind == Kind::Off {
        let fix = found.fix.map(|fix| format!(": {fix}")).unwrap_or_default();
        return Err(Fault::permanent(format!("[sandbox] level = \"bwrap\", and {}{fix}", found.detail)));
    }
    Ok(found)
}

/// What encloses runs, and what is open in it.
pub fn sandbox(config: &Config, means: &Means) -> Sandbox {
    let own = &config.sandbox;
    Sandbox {
        kind: if own.level == Level::Off { Kind::Off } else { means.kind.clone() },
        read: own.allow_paths.clone(),
        write: own.allow_write_paths.clone(),
        sockets: own.allow_sockets.clone(),
        allow: own.allow.clone(),
        private: private(config),
        state: config.data_dir().to_owned(),
        clones: means.clones.clone(),
        orch: means.exe.clone(),
    }
}

/// What no run may see.
fn private(config: &Config) -> Vec<PathBuf> {
    let keys = config.agents.programs.values().filter_map(|program| program.env_file.clone());
    let commands =
        config.projects.iter().flat_map(|p| [p.commands.env_file.clone(), p.commands.setup_env_file.clone()]);
    let home = std::env::home_dir();
    let own = [config.data_dir().to_owned(), config.file.clone()].into_iter().chain(home);
    let all = own.chain(keys).chain(commands.flatten());
    all.flat_map(|path| [path.canonicalize().ok(), Some(path)]).flatten().collect()
}

/// The same for an agent's program, which may reach hosts of its own: the service of its model too, where no proxy stands
/// before that.
pub fn of_program(config: &Config, means: &Means, program: &AgentProgram) -> Sandbox {
    let mut sandbox = sandbox(config, means);
    sandbox.allow.extend(program.allow.iter().cloned());
    if program.kind == ProgramKind::Claude && !program.proxy {
        let url = program.base_url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
        let named = url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        sandbox.allow.push(named.unwrap_or_else(|| "api.anthropic.com".to_owned()));
    }
    sandbox
}
