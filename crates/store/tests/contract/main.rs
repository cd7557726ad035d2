//! The contract of a store on SQLite, in memory and in a file, and databases as earlier versions wrote them.

// A story that cannot go on ends where it is.
#![allow(clippy::unwrap_used)]

mod fixture;

use orch_store::sqlite::{Durability, OpenOptions};
use orch_store::{SqliteStore, StoreClock, store_contract};

fn file(durability: Durability, clock: StoreClock) -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store =
        SqliteStore::open(dir.path().join("orch.db"), OpenOptions { durability, holder: "a test".into(), clock });
    (store.unwrap(), dir)
}

store_contract!(sqlite_memory, |clock| (SqliteStore::open_in_memory(clock).unwrap(), ()));
store_contract!(sqlite_file, |clock| file(Durability::Full, clock));
