//! `[db]`: the durable state. Everything the daemon writes for itself lives beside the database.

use super::section::section;
use std::path::PathBuf;

section! {
    /// The database. Run directories, the local forge and the API token are kept in the same directory.
    Db {
        /// SQLite file; created on the first start.
        path: PathBuf = "~/.local/share/orch/orch.db".into();
    }
}
