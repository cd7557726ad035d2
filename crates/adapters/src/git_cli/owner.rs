//! Who made a temporary file: the name says the process, by its pid and its start time. Decides whether that process is
//! gone, and with it whether the file is a leftover. Never looks at the age of a file: a clock that jumps, a file server
//! whose clock is wrong and a machine that slept all make a file in use look old.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers temporary names within this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// One process of one boot: the kernel gives a pid out again, but not with the same start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    /// Clock ticks since boot.
    start: u64,
}

impl Owner {
    /// This process.
    pub(super) fn me() -> Self {
        static ME: OnceLock<Owner> = OnceLock::new();
        *ME.get_or_init(|| {
            let pid = std::process::id();
            // Without /proc every start is 0, and a pid alone has to do.
            Self { pid, start: start_of(pid).unwrap_or(0) }
        })
    }

    /// Does this very process still run?
    fn runs(self) -> bool {
        self == Self::me() || start_of(self.pid).is_some_and(|start| start == self.start)
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once('.')?;
        Some(Self { pid: pid.parse().ok()?, start: start.parse().ok()? })
    }
}

/// Field 22 of `/proc/PID/stat`, counted from the last `)`: the name before it may hold anything. A zombie is gone.
fn start_of(pid: u32) -> Option<u64> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = line.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(line.get(after..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(start)
}

/// The end of a name that no other call of this or another process uses: `<pid>.<start>-<number>`.
pub(super) fn unique() -> String {
    let Owner { pid, start } = Owner::me();
    format!("{pid}.{start}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Is what carries this name left of a process that is gone? A name without an owner is of an orch before this one,
/// which is gone: a data directory has one owner at a time.
pub(super) fn is_leftover(name: &str) -> bool {
    let name = name.strip_suffix(".lock").unwrap_or(name);
    let mut parts = name.rsplitn(3, '-');
    let (number, owner) = (parts.next(), parts.next());
    let numbered = number.is_some_and(|n| n.parse::<u64>().is_ok());
    !owner.filter(|_| numbered).and_then(Owner::parse).is_some_and(Owner::runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_leftover_when_its_very_process_is_gone_and_never_before() {
        let Owner { pid, start } = Owner::me();
        assert_ne!(start, 0, "/proc says when this process began");
        assert_ne!(unique(), unique());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (other, began) = (child.id(), start_of(child.id()).unwrap());
        let names =
            |owner: String| [format!("DEMO-1-{owner}-7"), format!("code-{owner}-7.lock"), format!(".x-{owner}-0")];
        for (owner, left) in [
            (format!("{pid}.{start}"), false),
            (format!("{other}.{began}"), false),
            (format!("{pid}.{}", start + 1), true),
            (format!("{other}.{}", began + 1), true),
            ("4194999.12".to_owned(), true),
            // As an orch before this one wrote them.
            (pid.to_string(), true),
            ("x.y".to_owned(), true),
        ] {
            for name in names(owner) {
                assert_eq!(is_leftover(&name), left, "{name}");
            }
        }
        assert!(is_leftover("") && is_leftover("README") && !is_leftover(&unique()));
        child.kill().unwrap();
        let name = format!("DEMO-1-{other}.{began}-7");
        // Dead, and nothing has waited for it yet.
        while !is_leftover(&name) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_leftover(&name));
    }
}
