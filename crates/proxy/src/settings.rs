//! What a proxy is told about its run. No key: those come beside it.

use crate::gate::Limits;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Names of a proxy's files in the run directory.
pub mod files {
    /// What was used, one record a line.
    pub const JOURNAL: &str = "usage.jsonl";
    /// Where the program reaches it.
    pub const SOCKET: &str = "model.sock";
    /// Bodies of requests and responses, if they are asked for.
    pub const BODIES: &str = "bodies";
}

/// Longest path of a socket, bytes: the kernel's limit is 107 (unix(7)).
const LONGEST_PATH: usize = 100;

/// One proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Address of the service instead of the vendor's.
    pub base_url: Option<String>,
    /// What the run may use.
    pub limits: Limits,
    /// Files whose being there pauses it.
    pub pause: Vec<PathBuf>,
    /// Are the bodies of requests and responses written down?
    pub log_bodies: bool,
}

/// Where a proxy listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a socket.
    Socket(PathBuf),
    /// On a port of the loopback interface that the system picks.
    Loopback,
}

impl Place {
    /// The socket of a run directory; a port where its path is too long for one.
    pub fn in_run(dir: &Path) -> Self {
        let socket = dir.join(files::SOCKET);
        if LONGEST_PATH < socket.as_os_str().len() { Self::Loopback } else { Self::Socket(socket) }
    }
}
