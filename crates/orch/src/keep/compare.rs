//! The first start from a restored copy: what the default branches show is compared with what the copied database knows.
//! Merges it does not know mean that the copy is older than the world; then nothing is claimed until a person has looked.

use super::{RESTORED, Restored, repos};
use crate::config::Config;
use orch_core::ids::ProjectKey;
use orch_engine::{Engine, restored};
use orch_ports::Fault;
use std::collections::BTreeMap;
use std::path::Path;

/// Commits of a default branch that are looked at, newest first.
const DEPTH: &str = "--max-count=5000";

/// Compares, once after each restore; what a person must look at.
///
/// # Errors
/// A forge that does not answer, or a file that cannot be read: the daemon must not work before.
pub async fn compare(engine: &Engine, config: &Config) -> Result<Vec<String>, Fault> {
    let file = config.data_dir().join(RESTORED);
    let Ok(bytes) = std::fs::read(&file) else { return Ok(Vec::new()) };
    let restored: Restored =
        serde_json::from_slice(&bytes).map_err(|e| Fault::permanent(format!("{} is damaged: {e}", file.display())))?;
    let mut older = Vec::new();
    for project in &config.projects {
        let key = ProjectKey::new(&project.key);
        let tip = restored::note(engine, &key, &restored.made_at)
            .await
            .map_err(|f| f.context(format!("compare the restored database with project {key}")))?;
        let landed = landed(&tip.repository, tip.commit.as_str(), &project.key).map_err(Fault::transient)?;
        older.extend(restored::unknown(engine, &landed).await?);
    }
    if !older.is_empty() {
        let text = format!(
            "the database came back from a copy of {}, and the default branches are ahead of it: {}. Nothing is claimed \
             until `orch resume`",
            restored.made_at,
            older.join("; ")
        );
        restored::hold(engine, text, format!("restored-{}", restored.made_at)).await?;
    }
    std::fs::rename(&file, done(&file)).map_err(|e| Fault::transient(format!("rename {}: {e}", file.display())))?;
    Ok(older)
}

fn done(file: &Path) -> std::path::PathBuf {
    file.with_file_name("restored.compared.json")
}

/// Work items that landed on a branch, each with its newest commit there: by the trailer `Work-item`, else by a subject
/// `SHOP-1: ...`, which is what merges carry.
fn landed(repository: &Path, tip: &str, key: &str) -> Result<BTreeMap<String, String>, String> {
    let format = "--format=%H%x00%s%x00%(trailers:key=Work-item,valueonly,separator=%x2C)%x01";
    let log = repos::git(Some(repository), &["log", "--first-parent", DEPTH, format, tip, "--"], "")?;
    let mut found = BTreeMap::new();
    for line in log.split('\u{1}') {
        let mut fields = line.trim_start().split('\0');
        let (Some(commit), Some(subject), Some(trailer)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let named = trailer.split(',').map(str::trim).find(|item| is_item(item, key));
        let item = named.or_else(|| subject.split_once(':').map(|(item, _)| item).filter(|item| is_item(item, key)));
        if let Some(item) = item {
            found.entry(item.to_owned()).or_insert_with(|| commit.to_owned());
        }
    }
    Ok(found)
}

fn is_item(text: &str, key: &str) -> bool {
    text.strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}
