//! Where a run stands, judged from its directory alone. Decides the one question that must never be answered wrongly:
//! may this run still be started, or was its program perhaps started already?

use crate::files;
use orch_ports::supervisor::{ExitRecord, files as names};
use std::io;
use std::path::Path;

/// What the directory proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No spec.
    Absent,
    /// Asked for, and no supervisor ever came as far as the intent to spawn: safe to start, any number of times.
    Waiting,
    /// The lock is held.
    Live,
    /// The record is there.
    Ended(ExitRecord),
    /// The intent to spawn is on disk, nobody holds the lock, no record: the supervisor died and its program may live.
    Lost,
}

/// Reads the standing. The order of the looks is the point: a supervisor takes the lock, then writes its pids, then the
/// record, then frees the lock. Pids seen *before* a free lock belong to a supervisor that is gone, so a record missing
/// *after* it will never come. Any other order mistakes a start or an end that happens between two looks for a loss.
pub(crate) fn standing(dir: &Path) -> io::Result<Standing> {
    let intent = dir.join(names::PIDS).try_exists()?;
    if files::is_locked(dir)? {
        return Ok(Standing::Live);
    }
    match files::read_exit(dir) {
        Ok(Some(record)) => return Ok(Standing::Ended(record)),
        // Cut off by a loss of power: how the run ended is not known, and its supervisor is gone.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(Standing::Lost),
        Ok(None) => {}
        Err(e) => return Err(e),
    }
    Ok(match (intent, dir.join(names::SPEC).try_exists()?) {
        (true, _) => Standing::Lost,
        (false, true) => Standing::Waiting,
        (false, false) => Standing::Absent,
    })
}
