//! Says which rungs of the ladder a supervisor started from here would have. Decides nothing: a supervisor tries each
//! rung itself and goes on with the others where one is missing.

use crate::{cgroup, proc};

/// One way of getting hold of a run's whole process tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// For people.
    pub name: &'static str,
    /// Why it cannot be used here; `None`: it can.
    pub missing: Option<String>,
}

/// The ladder, in the order in which it is climbed. Looks and changes nothing.
pub fn rungs() -> Vec<Rung> {
    let rung = |name, found: Result<(), String>| Rung { name, missing: found.err() };
    vec![
        rung("control group", cgroup::available().map(drop)),
        rung(
            "session and subreaper",
            rustix::process::child_subreaper().map(drop).map_err(|e| format!("ask for the subreaper: {e}")),
        ),
        rung(
            "sweep of /proc",
            match proc::scan() {
                Ok(all) if all.iter().any(|s| s.id.pid == std::process::id() as i32) => Ok(()),
                Ok(_) => Err("/proc does not show this process".into()),
                Err(e) => Err(format!("read /proc: {e}")),
            },
        ),
    ]
}
