//! What can go wrong with the database, in words a person can act on.

use orch_core::fault_code::FaultCode;
use orch_ports::Fault;
use std::path::PathBuf;

/// A store error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the database.
    #[error("the database {} is in use by {holder}; stop that process, or give this one another [db] path", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// Who: pid, program, since when.
        holder: String,
    },
    /// The file is damaged or not a database.
    #[error("the database {} is damaged ({detail}); bring a backup back with `orch restore DIR`, or move \
         it away and see with `orch db new` what a new one can know", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// A newer orch wrote it.
    #[error("the database {} has schema version {found}, this orch knows up to {known}; use the newer orch", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Version this program knows.
        known: i64,
    },
    /// It cannot be opened or written.
    #[error("the database {} cannot be used: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, with the fix if one is known.
        detail: String,
    },
    /// No space left. Nothing was changed.
    #[error("the disk of the database is full: nothing was changed; free some space, orch goes on by itself")]
    Full,
    /// A read or write failed. Nothing was changed.
    #[error("the database failed: {0}")]
    Io(String),
    /// A stored value cannot be read, or a rule of the store would be broken.
    #[error("{0}")]
    Bug(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Full => Self::transient(text).coded(FaultCode::NoRoom),
            StoreError::Io(_) => Self::transient(text),
            StoreError::Bug(_) => Self::bug(text),
            StoreError::Held { .. } => Self::permanent(text).coded(FaultCode::Busy),
            StoreError::Corrupt { .. } => Self::permanent(text).coded(FaultCode::Damaged),
            StoreError::Newer { .. } => Self::permanent(text).coded(FaultCode::Newer),
            StoreError::Unusable { .. } => Self::permanent(text),
        }
    }
}
