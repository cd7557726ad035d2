//! A database that is missing or empty beside what this very instance made is not a first start. Decides when a start is
//! refused for that, and names the two ways out. Beside nothing of its own it is a first start like any other.

use crate::cli::{Exit, Failure};
use crate::config::Config;
use orch_adapters::{local_forge, local_tracker};
use std::path::Path;

/// Why no daemon may start on this configuration, if its database was lost. The caller has not opened it yet.
pub(crate) fn refusal(config: &Config) -> Option<Failure> {
    let database = &config.db.path;
    let state = match std::fs::metadata(database) {
        Ok(meta) if meta.len() == 0 => "is empty",
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "is not there",
        // What else is wrong with it, the store says.
        _ => return None,
    };
    let data = config.data_dir();
    let (tracker, forge, runs) = (data.join("tracker.db"), data.join("forge/forge.db"), config.runs_dir());
    let own: Vec<String> = [
        (local_tracker::has_tickets(&tracker), "tickets", tracker.as_path()),
        (local_forge::has_pull_requests(&forge), "pull requests", forge.as_path()),
        (has_entries(&runs), "runs", runs.as_path()),
    ]
    .into_iter()
    .filter_map(|(there, what, place)| there.then(|| format!("{what} in {}", place.display())))
    .collect();
    if own.is_empty() {
        return None;
    }
    let text = format!(
        "the database {} {state}, and beside it are this instance's own {}: a new database would know none of their tasks",
        database.display(),
        own.join(", ")
    );
    let ways =
        "bring it back from a backup: `orch restore DIR`; or begin a new one: `orch db new`, which lists what is lost";
    Some(Failure::new(Exit::CannotTell, text).hint(ways))
}

fn has_entries(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}
