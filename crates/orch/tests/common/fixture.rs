//! A world that an earlier version left: its data directory, repositories and configuration, as
//! `scripts/data-directory.py` packed them. Puts it at a place of its own and gives its recorded runs supervisors.

use super::{ORCH, World, daemon, processes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A run directory as the fixture has it.
#[derive(Debug)]
pub struct Recorded {
    pub dir: PathBuf,
    /// `LITE-4`, if it is an agent's or a hook's of a task.
    pub item: String,
    /// The last part of its name: `hook`, `tests`, or empty for an agent.
    pub what: String,
}

impl World {
    /// Unpacks a fixture. No daemon yet.
    pub fn of_fixture(tar: &Path) -> (Self, BTreeMap<String, String>) {
        let dir = tempfile::Builder::new().prefix("orch-old-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let unpacked = Command::new("tar").arg("-C").arg(&root).arg("-xzf").arg(tar).status().unwrap();
        assert!(unpacked.success(), "tar cannot unpack {}", tar.display());
        fs::create_dir_all(root.join("tmp")).unwrap();
        let (port, site) = (daemon::free_port(), daemon::free_port());
        settle(&root, &root, [port, site]);
        let expected = serde_json::from_slice(&fs::read(root.join("expected.json")).unwrap()).unwrap();
        let world = Self {
            repo: root.join("shop"),
            root,
            key: "LITE".into(),
            tip: String::new(),
            init: Value::Null,
            nap: String::new(),
            env: Vec::new(),
            port,
            serve: None,
            _dir: dir,
        };
        (world, expected)
    }

    /// Runs that were under way when the daemon died.
    pub fn recorded_runs(&self) -> Vec<Recorded> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.data().join("runs")).unwrap().flatten() {
            let dir = entry.path();
            if !dir.join("pids.json").exists() || dir.join("exit.json").exists() {
                continue;
            }
            let spec: Value = serde_json::from_slice(&fs::read(dir.join("spec.json")).unwrap()).unwrap();
            let mut item = String::new();
            named(&spec, &mut item);
            let what = entry.file_name().to_string_lossy().splitn(4, '-').nth(3).unwrap_or_default().to_owned();
            found.push(Recorded { dir, item, what });
        }
        found.sort_by(|a, b| a.dir.cmp(&b.dir));
        found
    }

    /// A supervisor for a recorded run, as the old daemon had started it: from now on the run is alive.
    pub fn supervise(&self, run: &Recorded) {
        for name in ["pids.json", "lock"] {
            let _ = fs::remove_file(run.dir.join(name));
        }
        let mut command = self.command(ORCH, Path::new("/"));
        command.arg("supervise").arg(&run.dir).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        self.until("its supervisor has taken the run", || {
            // One that is asked to stop before it began ends at once.
            if run.dir.join("exit.json").exists() {
                return Some(0);
            }
            let pids: Value = serde_json::from_slice(&fs::read(run.dir.join("pids.json")).ok()?).ok()?;
            pids["child"]["pid"].as_u64()
        });
        // Reaped whenever it ends: a zombie would be taken for a supervisor that lives.
        std::thread::spawn(move || child.wait());
    }

    /// The version of a database file.
    pub fn schema_version(&self, db: &str) -> i64 {
        let c = rusqlite::Connection::open(self.data().join(db)).unwrap();
        c.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap()
    }

    /// No process of a run is left.
    pub fn all_quiet(&self) -> bool {
        processes::of_runs_below(&self.root).is_empty()
    }
}

/// The work item a spec's environment names.
fn named(value: &Value, item: &mut String) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("ORCH_WORK_ITEM") {
                text.clone_into(item);
            }
            for value in map.values() {
                named(value, item);
            }
        }
        Value::Array(list) => {
            if let [Value::String(name), Value::String(text)] = &list[..]
                && name == "ORCH_WORK_ITEM"
            {
                text.clone_into(item);
            }
            for value in list {
                named(value, item);
            }
        }
        _ => {}
    }
}

/// Puts places and ports where the fixture has words for them, and makes databases of their text.
fn settle(dir: &Path, root: &Path, ports: [u16; 2]) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            settle(&path, root, ports);
            continue;
        }
        let raw = if kind.is_file() { fs::read(&path).unwrap() } else { continue };
        let Ok(text) = String::from_utf8(raw) else { continue };
        let fixed = text
            .replace("@ROOT@", &root.display().to_string())
            .replace("@PORT@", &ports[0].to_string())
            .replace("@SITE@", &ports[1].to_string());
        if let Some(db) = path.to_str().and_then(|name| name.strip_suffix(".db.sql")) {
            let db = format!("{db}.db");
            let c = rusqlite::Connection::open(&db).unwrap();
            // The text has the tables in the order of their names.
            c.pragma_update(None, "foreign_keys", "OFF").unwrap();
            c.execute_batch(&fixed).unwrap();
            fs::remove_file(&path).unwrap();
        } else if fixed != text {
            // In place, so that it keeps its mode.
            fs::write(&path, fixed).unwrap();
        }
    }
}
