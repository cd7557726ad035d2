//! A pause that holds where no daemon does: a file in the instance's directory, which the model proxies of all runs look for
//! before each request. `orch pause` leaves it when it finds no daemon; the next daemon makes a pause of its own of it. Runs
//! are told to stand still as the daemon would tell them, through their directories.

use orch_core::ids::{Actor, ProjectKey};
use orch_engine::Engine;
use orch_ports::Fault;
use orch_ports::supervisor::{RunState, Supervisor, files as run_files};
use orch_supervise::ProcessSupervisor;
use std::io;
use std::path::{Path, PathBuf};

/// Beginning of the names.
const NAME: &str = "paused";

/// The files that pause the runs of a project.
pub fn files(data: &Path, project: &str) -> Vec<PathBuf> {
    vec![file(data, None), file(data, Some(project))]
}

fn file(data: &Path, project: Option<&str>) -> PathBuf {
    data.join(project.map_or_else(|| NAME.to_owned(), |key| format!("{NAME}-{key}")))
}

/// Pauses everything, or one project, without a daemon. Says how many agents are told to stand still. From the moment the file
/// is there no model is asked; it is there before anything else.
///
/// # Errors
/// The file cannot be written: nothing is paused.
pub fn begin(data: &Path, project: Option<&str>, by: &str) -> io::Result<usize> {
    let supervisor = ProcessSupervisor::current()?;
    std::fs::write(file(data, project), format!("{by}\n"))?;
    let Ok(runs) = std::fs::read_dir(data.join("runs")) else { return Ok(0) };
    let mut told = 0;
    for dir in runs.flatten().map(|entry| entry.path()) {
        let lives = matches!(supervisor.look(&dir), Ok(RunState::Live));
        if lives
            && agent_of(&dir).is_some_and(|of| project.is_none_or(|key| key == of))
            && supervisor.freeze(&dir).is_ok()
        {
            told += 1;
        }
    }
    Ok(told)
}

/// The project of an agent's run; nothing for a run of a command.
fn agent_of(dir: &Path) -> Option<String> {
    dir.join(orch_ports::agent::files::PROMPT).symlink_metadata().ok()?;
    [orch_driver::spec::files::SPEC, run_files::SPEC].into_iter().find_map(|name| {
        let value: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join(name)).ok()?).ok()?;
        Some(value.get("env")?.get("ORCH_PROJECT")?.as_str()?.to_owned())
    })
}

/// Makes pauses of the daemon's own of what was paused without it. A file goes when its pause is kept elsewhere.
///
/// # Errors
/// The store's: then the files stay, and hold.
pub async fn take_over(engine: &Engine, data: &Path, projects: &[&str]) -> Result<(), Fault> {
    for project in std::iter::once(None).chain(projects.iter().copied().map(Some)) {
        let path = file(data, project);
        let Ok(by) = std::fs::read_to_string(&path) else { continue };
        let by = by.trim();
        let by = if by.is_empty() { Actor::orch() } else { Actor::new(by) };
        engine.pause(project.map(ProjectKey::from).as_ref(), &by).await?;
        if let Err(e) = std::fs::remove_file(&path) {
            tracing::warn!("{} stays, and holds: {e}", path.display());
        }
    }
    Ok(())
}

/// After a pause was ended: what was left by somebody who found no daemon ends with it.
pub fn end(data: &Path, project: Option<&str>) {
    let _ = std::fs::remove_file(file(data, project));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_daemon_a_file_pauses_everything_or_one_project() {
        let dir = tempfile::tempdir().unwrap();
        let pauses = |key: &str| files(dir.path(), key).iter().filter(|file| file.exists()).count();
        begin(dir.path(), Some("SHOP"), "local:anna").unwrap();
        assert_eq!((pauses("SHOP"), pauses("OTHER")), (1, 0));
        begin(dir.path(), None, "local:anna").unwrap();
        assert_eq!((pauses("SHOP"), pauses("OTHER")), (2, 1));
        end(dir.path(), None);
        end(dir.path(), Some("SHOP"));
        assert_eq!(pauses("SHOP"), 0);
        assert!(begin(&dir.path().join("gone"), None, "x").is_err(), "what is not written pauses nothing");
    }

    #[test]
    fn whose_a_run_is_stands_in_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("spec.json"), r#"{"env": {"ORCH_PROJECT": "SHOP"}}"#).unwrap();
        assert_eq!(agent_of(dir.path()), None, "a test of the project is no agent");
        std::fs::write(dir.path().join("prompt.md"), "x").unwrap();
        assert_eq!(agent_of(dir.path()).as_deref(), Some("SHOP"));
        std::fs::write(dir.path().join("driver.json"), r#"{"env": {"ORCH_PROJECT": "OTHER"}}"#).unwrap();
        assert_eq!(agent_of(dir.path()).as_deref(), Some("OTHER"));
    }
}
