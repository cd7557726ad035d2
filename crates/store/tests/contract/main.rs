//! The contract of a store on SQLite, in memory and in a file, and databases as earlier versions wrote them.

// A story that cannot go on ends where it is.
#![allow(clippy::unwrap_used)]

mod fixture;

use orch_store::sqlite::{Durability, OpenOptions};
use orch_store::{SqliteStore, store_contract};

fn file(durability: Durability) -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("orch.db"), OpenOptions { durability, holder: "a test".into() });
    (store.unwrap(), dir)
}

store_contract!(sqlite_memory, (SqliteStore::open_in_memory().unwrap(), ()));
store_contract!(sqlite_file, file(Durability::Full));
