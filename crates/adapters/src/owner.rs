//! Who a temporary name belongs to, and whether a repository has a git at work in it. A process is its number and its
//! start time, within one boot: the number alone is given out again. What a dead owner left may go at once, what a live
//! one holds stays, however old it is; no clock is asked. What cannot be told counts as alive.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers names within this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A piece of a name no other call of this or another process uses, which tells whose it is:
/// `<pid>.<start time>.<boot>-<number>`.
pub(crate) fn mark() -> String {
    static OWN: OnceLock<String> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let pid = std::process::id();
        format!("{pid}.{}.{}", started(pid).unwrap_or_default(), boot())
    });
    format!("{own}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Is what carries this name left of a process that is gone? A name without a mark is of an orch before this one, which is
/// gone: a data directory has one owner at a time.
pub(crate) fn is_leftover(name: &str) -> bool {
    is_alive(name.strip_suffix(".lock").unwrap_or(name)) != Some(true)
}

/// Does the process live that made this mark? `name` may hold anything in front of the mark. `None`: there is none in it.
pub(crate) fn is_alive(name: &str) -> Option<bool> {
    let (rest, number) = name.rsplit_once('-')?;
    number.parse::<u64>().ok()?;
    let owner = rest.rsplit_once(|c: char| !c.is_ascii_alphanumeric() && c != '.').map_or(rest, |(_, owner)| owner);
    let mut parts = owner.rsplitn(4, '.');
    let (of_boot, since, pid) = (parts.next()?, parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u32>().ok()?);
    Some(of_boot == boot() && started(pid) == Some(since))
}

/// The first digits of this boot's id.
pub(crate) fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.chars().filter(char::is_ascii_hexdigit).take(12).collect()
    })
}

/// Start time of a process in clock ticks since boot: field 22 of its `stat`, counted behind the last parenthesis, since
/// the name before it may hold anything. A process that has ended and was not waited for yet has none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind = stat.iter().rposition(|b| *b == b')')? + 1;
    let mut fields = std::str::from_utf8(stat.get(behind..)?).ok()?.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    fields.nth(18)?.parse().ok().filter(|_| !ended)
}

/// Looks at a process without arguments, until they are there or it has ended; then it is taken for one that writes.
const STARTING_LOOKS: u32 = 1_000;

/// Is a git at work in this repository, ours or somebody else's? One that we are not allowed to look at counts; one that
/// waits to be asked what objects are holds nothing and does not.
pub(crate) fn git_at_work(git_dir: &Path) -> bool {
    let own = git_dir.canonicalize().unwrap_or_else(|_| git_dir.to_owned());
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id()).any(|pid| works_in(pid, git_dir, &own))
}

fn works_in(pid: u32, git_dir: &Path, own: &Path) -> bool {
    let file = |name: &str| format!("/proc/{pid}/{name}");
    let is_git = fs::read_to_string(file("comm")).is_ok_and(|name| name.starts_with("git"));
    if !is_git {
        return false;
    }
    let cwd = match fs::read_link(file("cwd")) {
        Ok(cwd) => cwd,
        // Another user's; what is ending has no directory any more.
        Err(e) => return e.kind() == std::io::ErrorKind::PermissionDenied && !ended(pid),
    };
    let args = arguments(pid);
    // What is ending loses its arguments before its directory.
    if args.is_empty() && ended(pid) {
        return false;
    }
    if args.split(|b| *b == 0).skip(1).take(2).eq([&b"cat-file"[..], b"--batch-command"]) {
        return false;
    }
    let names = |bytes: &[u8]| {
        [git_dir, own].iter().any(|dir| {
            let dir = dir.as_os_str().as_bytes();
            bytes.windows(dir.len()).any(|w| w == dir)
        })
    };
    cwd.starts_with(own)
        || fs::read(file("environ")).is_ok_and(|env| names(&env))
        || names(&args)
        || fs::read_dir(file("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.starts_with(own)))
}

/// What a process was started with. One that is just being started has its new name a moment before its arguments, and one
/// that is ending loses them a moment before it is over: both are looked at until they are one or the other.
fn arguments(pid: u32) -> Vec<u8> {
    let read = || fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut args = read();
    for _ in 0..STARTING_LOOKS {
        if !args.is_empty() || ended(pid) {
            break;
        }
        std::thread::yield_now();
        args = read();
    }
    args
}

/// A zombie holds nothing.
fn ended(pid: u32) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return true };
    let behind = stat.iter().rposition(|b| *b == b')').map_or(0, |at| at + 1);
    String::from_utf8_lossy(&stat[behind..]).trim_start().starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_says_whether_its_owner_lives() {
        let mine = mark();
        assert_ne!(mine, mark());
        for name in [mine.clone(), format!(".new-RUN-7-{mine}"), format!("KEY.git-importing-{mine}")] {
            assert_eq!(is_alive(&name), Some(true), "{name}");
        }
        let me = std::process::id();
        let since = started(me).unwrap();
        for (name, alive) in [
            // The number was given out again, to this very process.
            (format!("x-{me}.{}.{}-0", since + 1, boot()), Some(false)),
            (format!("x-{me}.{since}.000000000000-0"), Some(false)),
            (format!("x-4194304.{since}.{}-0", boot()), Some(false)),
            (".new-DEMO-1".into(), None),
            (format!(".new-1-{me}-4"), None),
            ("KEY.git-importing".into(), None),
        ] {
            assert_eq!(is_alive(&name), alive, "{name}");
        }
    }

    #[test]
    fn a_name_is_a_leftover_when_its_very_process_is_gone_and_never_before() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (other, began, boot) = (child.id(), started(child.id()).unwrap(), boot());
        let names =
            |owner: String| [format!("DEMO-1-{owner}-7"), format!("code-{owner}-7.lock"), format!(".x-{owner}-0")];
        for (owner, left) in [
            (format!("{other}.{began}.{boot}"), false),
            (format!("{other}.{}.{boot}", began + 1), true),
            (format!("4194999.12.{boot}"), true),
            // As an orch before this one wrote them.
            (std::process::id().to_string(), true),
            ("x.y".to_owned(), true),
        ] {
            for name in names(owner) {
                assert_eq!(is_leftover(&name), left, "{name}");
            }
        }
        assert!(is_leftover("") && is_leftover("README") && !is_leftover(&mark()));
        child.kill().unwrap();
        let name = format!("DEMO-1-{other}.{began}.{boot}-7");
        // Dead, and nothing has waited for it yet.
        while !is_leftover(&name) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_leftover(&name));
    }

    #[test]
    fn a_git_at_work_is_seen_by_where_it_works_and_by_what_it_was_told() {
        let tmp = tempfile::tempdir().unwrap();
        let (here, elsewhere) = (tmp.path().join("here.git"), tmp.path().join("elsewhere.git"));
        for dir in [&here, &elsewhere] {
            assert!(Command::new("git").args(["init", "-q", "--bare"]).arg(dir).status().unwrap().success());
        }
        assert!(!git_at_work(&here));
        // `cat-file --batch` waits for its input.
        let waiting = |set: &dyn Fn(&mut Command)| {
            let mut git = Command::new("git");
            git.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::null());
            set(&mut git);
            git.spawn().unwrap()
        };
        let ways: [&dyn Fn(&mut Command); 2] = [
            &|git| {
                git.env("GIT_DIR", &here).current_dir("/");
            },
            &|git| {
                git.current_dir(&here);
            },
        ];
        for way in ways {
            let mut git = waiting(way);
            // Until it has become git, it is a copy of this process.
            while fs::read_to_string(format!("/proc/{}/comm", git.id())).is_ok_and(|name| !name.starts_with("git")) {
                std::thread::yield_now();
            }
            assert!(git_at_work(&here) && !git_at_work(&elsewhere));
            git.kill().unwrap();
            git.wait().unwrap();
            assert!(!git_at_work(&here));
        }
        let mut reads = waiting(&|git| {
            *git = Command::new("git");
            git.args(["cat-file", "--batch-command"]).stdin(Stdio::piped()).stdout(Stdio::null()).current_dir(&here);
        });
        assert!(!git_at_work(&here), "whoever only reads holds no lock");
        reads.kill().unwrap();
        reads.wait().unwrap();
    }
}
