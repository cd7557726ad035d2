//! `[sandbox]`: what encloses agents, setups, tests and CI, and what is open in it. A path through which a run would reach the
//! state of the instance is refused.

use super::Tables;
use super::load::{Loader, full_key};
use super::section::section;
use super::value::choices;
use std::path::{Path, PathBuf};

section! {
    /// The sandbox around agents, setups, tests and CI of a branch. Deploy, check and rollback hooks run outside of it.
    Sandbox {
        /// What encloses them. `auto`: bubblewrap where it works, else nothing, which `orch doctor` and each start say.
        level: Level = Level::Auto;
        /// Hosts that runs may reach by HTTP and HTTPS, setups too: `crates.io`, `*.crates.io`, `example.com:8443`. Without any: no
        /// network at all but an agent's model.
        allow: Vec<String> = Vec::new();
        /// Files and directories that runs may read beside the system's (`/usr` and what is on PATH): tool chains.
        allow_paths: Vec<PathBuf> = Vec::new();
        /// Files and directories that all runs may write. What one run leaves there the next one finds: a cache of a package
        /// manager there can be poisoned by a branch.
        allow_write_paths: Vec<PathBuf> = Vec::new();
        /// Unix sockets of services that runs may use.
        allow_sockets: Vec<PathBuf> = Vec::new();
    }
}

choices! {
    /// What encloses runs.
    Level {
        /// bubblewrap where it works, else nothing.
        Auto = "auto",
        /// bubblewrap; without it nothing is begun.
        Bwrap = "bwrap",
        /// Nothing: runs are processes of the user of orch.
        Off = "off",
    }
}

/// Refuses what would open the instance, and names that are none.
pub(super) fn check(loader: &mut Loader<'_>, tables: &Tables) {
    let sandbox = &tables.sandbox;
    let data = tables.db.path.parent().unwrap_or(Path::new("/")).to_owned();
    let lists = [
        ("allow_paths", &sandbox.allow_paths),
        ("allow_write_paths", &sandbox.allow_write_paths),
        ("allow_sockets", &sandbox.allow_sockets),
    ];
    for (key, paths) in lists {
        let at = format!("sandbox.{key}");
        for path in paths {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let whole = data.canonicalize().unwrap_or_else(|_| data.clone());
            if whole.starts_with(&real) || real.starts_with(&whole) || data.starts_with(path) || path.starts_with(&data)
            {
                let text = format!(
                    "{} `{}` would open the state of the instance ({}) to every run",
                    full_key(&at),
                    path.display(),
                    data.display()
                );
                loader.at_path(&at, text);
            }
        }
    }
    let programs = tables.agents.programs.iter().map(|(name, p)| (format!("agents.programs.{name}.allow"), &p.allow));
    let lists = std::iter::once(("sandbox.allow".to_owned(), &sandbox.allow)).chain(programs);
    for (at, name) in lists.flat_map(|(at, names)| names.iter().map(move |name| (at.clone(), name))) {
        let host = name.strip_prefix("*.").unwrap_or(name);
        let (host, port) = host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
        if !is_host || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            let text = format!(
                "{} `{name}` is no name of a host, like `crates.io`, `*.crates.io` or `example.com:8443`",
                full_key(&at)
            );
            loader.at_path(&at, text);
        }
    }
}
