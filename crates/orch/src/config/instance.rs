//! `[instance]`: the name under which this installation keeps its state outside of every working tree.

use super::section::section;
use std::path::PathBuf;

section! {
    /// Which installation this is. Its state lies in `$XDG_STATE_HOME/orch/<name>` (without the variable
    /// `~/.local/state/orch/<name>`; for root, and where systemd sets `STATE_DIRECTORY`, `/var/lib/orch/<name>`).
    Instance {
        /// The name, written once by `orch init`: small letters, digits and `-`. Not set: `[db] path` says where the state lies.
        name: Option<String> = None;
        /// The clone this file belongs to, where the file lies elsewhere; written by `orch init --global`.
        clone: Option<PathBuf> = None;
    }
}
