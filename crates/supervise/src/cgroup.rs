//! The first rung of the ladder: a control group per run, whose `cgroup.kill` ends everything in it at once. Decides
//! whether this machine lets us use one, and which recorded group may be killed by whom.
//!
//! It is additional: a program may leave its group, so the other rungs run all the same, and where a group cannot be
//! made (no cgroup v2, not delegated, Linux before 5.14) nothing else changes. It may never kill a group that holds
//! this process or one it descends from, nor a group whose name is not the one its run directory gives.

use crate::proc::{self, Identity};
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Set to `off`, no supervisor makes a control group: for places where the groups belong to somebody else.
pub const CGROUP_SWITCH: &str = "ORCH_SUPERVISE_CGROUP";

/// Every run's group begins with this, so that a person who finds one knows whose it is.
const PREFIX: &str = "orch-run-";
/// `f_type` of a cgroup v2 file system, from `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// Groups a program may have made inside its own that are looked at; more than that are left to the kernel's limits.
const MOST_GROUPS: usize = 10_000;
/// Between two looks at a group that is being killed.
const LOOK: Duration = Duration::from_millis(1);
/// Between two kills of a group that does not become empty: something may have moved in meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// The control group of one run.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    /// Where this process was before, and goes back to.
    home: PathBuf,
}

impl Cgroup {
    /// Makes the group of the run in `dir` below the group of this process. The error says why there is none.
    pub(crate) fn create(dir: &Path) -> Result<Self, String> {
        let home = wanted().and_then(|()| home())?;
        let group = Self { path: home.join(name(dir)), home };
        let shown = group.path.display();
        if fs::create_dir(&group.path).is_err() {
            // A supervisor that was killed before it wrote down its group has left it, empty.
            group.remove();
            fs::create_dir(&group.path).map_err(|e| format!("make {shown}: {e}"))?;
        }
        if !group.path.join("cgroup.kill").exists() {
            group.remove();
            return Err(format!("{shown} has no cgroup.kill (Linux before 5.14)"));
        }
        Ok(group)
    }

    /// The group a supervisor that is gone wrote down for the run in `dir`, if it can only be that.
    pub(crate) fn recorded(path: &Path, dir: &Path) -> Option<Self> {
        let plain =
            path.is_absolute() && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        let ours = plain
            && path.file_name().is_some_and(|found| found.as_bytes() == name(dir).as_bytes())
            && path.canonicalize().is_ok_and(|real| real == path)
            && is_cgroup2(path);
        let group = Self { path: path.to_owned(), home: path.parent()?.to_owned() };
        // The root of a mount cannot carry our name by accident, but it costs nothing to ask.
        (ours && is_cgroup2(&group.home)).then_some(group)
    }

    /// What is written down for whoever must clean up.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves this process in: what it spawns from now on is born in the group.
    pub(crate) fn enter(&self) -> io::Result<()> {
        write(&self.path.join("cgroup.procs"), "0")
    }

    /// Moves another process of the run out, to where this process was before.
    pub(crate) fn release(&self, pid: i32) {
        let _ = write(&self.home.join("cgroup.procs"), &pid.to_string());
    }

    /// Moves this process back.
    pub(crate) fn leave(&self) -> io::Result<()> {
        write(&self.home.join("cgroup.procs"), "0")
    }

    /// Processes in the group and below it.
    pub(crate) fn members(&self) -> HashSet<Identity> {
        self.groups().iter().flat_map(|group| pids(group)).filter_map(Identity::of).collect()
    }

    /// Has it a living process, here or below? No: also where the group is gone.
    pub(crate) fn populated(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Moves this process back if it is in the group, because going back failed or because the run has moved it.
    pub(crate) fn step_out(&self) {
        let me = std::process::id() as i32;
        if self.groups().iter().any(|group| pids(group).contains(&me)) {
            let _ = self.leave();
        }
    }

    /// SIGKILLs everything in the group until it is empty, calling `meanwhile` between two looks; at most `longest`.
    /// Does nothing, and says false, where that would hit this process or one it descends from.
    pub(crate) fn kill(&self, longest: Duration, mut meanwhile: impl FnMut()) -> bool {
        let begun = Instant::now();
        let mut last: Option<Instant> = None;
        while self.populated() {
            if begun.elapsed() >= longest {
                return false;
            }
            if last.is_none_or(|at| at.elapsed() >= AGAIN) {
                if self.holds_us() || write(&self.path.join("cgroup.kill"), "1").is_err() {
                    return false;
                }
                last = Some(Instant::now());
            }
            meanwhile();
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Removes the group and those made inside it. What still has a process stays.
    pub(crate) fn remove(&self) {
        // Found parents first, so the other way round: children first.
        for group in self.groups().iter().rev() {
            let _ = fs::remove_dir(group);
        }
    }

    /// Is this process, or one it descends from, in the group or below it? A run may have moved us there.
    fn holds_us(&self) -> bool {
        let ours = proc::ancestry();
        self.groups().iter().flat_map(|group| pids(group)).any(|pid| ours.contains(&pid))
    }

    /// This group and all below it, parents before their children.
    fn groups(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path.clone()];
        let mut next = 0;
        while next < found.len() && found.len() < MOST_GROUPS {
            let below = fs::read_dir(&found[next]).into_iter().flatten().flatten();
            found.extend(below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            next += 1;
        }
        found
    }
}

/// Can supervisors started from here make control groups? The error says why not. Looks and changes nothing.
pub(crate) fn available() -> Result<PathBuf, String> {
    let home = wanted().and_then(|()| home())?;
    for (path, what) in [(home.clone(), "make a group in"), (home.join("cgroup.procs"), "move processes in")] {
        rustix::fs::access(&path, rustix::fs::Access::WRITE_OK)
            .map_err(|e| format!("not delegated: {what} {}: {e}", home.display()))?;
    }
    // The root group has no such file although its children have.
    if !home.join("cgroup.kill").exists() && !kernel_has_kill() {
        return Err("Linux before 5.14 has no cgroup.kill".into());
    }
    Ok(home)
}

fn wanted() -> Result<(), String> {
    match std::env::var_os(CGROUP_SWITCH) {
        Some(value) if value == "off" => Err(format!("{CGROUP_SWITCH} is off")),
        _ => Ok(()),
    }
}

fn kernel_has_kill() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14)
}

/// The directory of the group this process is in. Believed only if the kernel lists this process there: under
/// namespaces and bind mounts the path alone may lead to another group.
fn home() -> Result<PathBuf, String> {
    let read = |file: &str| fs::read(file).map_err(|e| format!("read {file}: {e}"));
    let mounts = String::from_utf8_lossy(&read("/proc/self/mountinfo")?).into_owned();
    let groups = String::from_utf8_lossy(&read("/proc/self/cgroup")?).into_owned();
    let own = own_path(&groups).ok_or("this process is in no cgroup v2 group")?;
    let me = std::process::id() as i32;
    let found = mounted(&mounts, own);
    if found.is_empty() {
        return Err("no cgroup2 file system is mounted that shows this process's group".into());
    }
    found
        .into_iter()
        .find(|dir| is_cgroup2(dir) && pids(dir).contains(&me))
        .ok_or_else(|| "the mounted cgroup2 file system does not show this process".into())
}

/// The path in the line `0::/path` of `/proc/self/cgroup`.
fn own_path(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::")).filter(|path| path.starts_with('/'))
}

/// Where the cgroup2 mounts of `mountinfo` show the group `own`. Fields from proc(5): 4 is the root of the mount within
/// the file system, 5 the mount point; after a lone `-` comes the type.
fn mounted(mountinfo: &str, own: &str) -> Vec<PathBuf> {
    let one = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let fields: Vec<&str> = left.split(' ').collect();
        let below = Path::new(own).strip_prefix(unescape(fields.get(3)?)).ok()?.to_owned();
        let outside = below.components().any(|c| matches!(c, Component::ParentDir));
        let mount = PathBuf::from(unescape(fields.get(4)?));
        (!outside).then(|| if below.as_os_str().is_empty() { mount.clone() } else { mount.join(below) })
    };
    mountinfo.lines().filter_map(one).collect()
}

/// Blanks, tabs, newlines and backslashes are octal escapes in `mountinfo`.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn is_cgroup2(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type as u64 == CGROUP2_MAGIC)
}

/// The processes of one group. Those of another pid namespace are shown as 0.
fn pids(group: &Path) -> Vec<i32> {
    let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// Files of a cgroup are written with one `write`, and never created.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// The one name a run's group can have. Two runs of one machine never share it, and a record cannot point at another
/// run's group: the hash is of the canonical run directory.
fn name(dir: &Path) -> String {
    let shown: String = dir.file_name().map_or(String::new(), |last| {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        last.to_string_lossy().chars().take(60).map(plain).collect()
    });
    // FNV-1a, because a name must be the same in the next release too and `DefaultHasher` promises nothing.
    let hash = dir
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{PREFIX}{shown}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_pure_hybrid_and_bound_mounts() {
        let pure = "25 24 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let bound = "9 1 0:22 /docker/1 /my\\040groups rw - cgroup2 cgroup2 rw";
        let at =
            |mounts: &str, own: &str| mounted(mounts, own).iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert_eq!(at(pure, "/user.slice/a.scope"), ["/sys/fs/cgroup/user.slice/a.scope"]);
        assert_eq!(at(hybrid, "/"), ["/sys/fs/cgroup/unified"]);
        assert_eq!(at(bound, "/docker/1/sub"), ["/my groups/sub"]);
        assert!(at(bound, "/docker/2").is_empty(), "not shown by that mount");
        assert!(at(pure, "/../outside").is_empty(), "beyond the namespace");
        assert!(at("1 1 0:1 / /x rw - tmpfs tmpfs rw", "/").is_empty());
    }

    #[test]
    fn the_line_of_version_2_is_taken_and_no_other() {
        assert_eq!(own_path("4:memory:/a\n0::/b:c\n"), Some("/b:c"));
        assert_eq!(own_path("4:memory:/a\n"), None);
    }

    #[test]
    fn a_name_is_one_harmless_component_and_each_runs_own() {
        let hostile = name(Path::new("/runs/../a b\n/é%"));
        assert!(hostile.starts_with("orch-run-_") && !hostile.contains(['/', '.', ' ', '\n']), "{hostile}");
        assert_ne!(name(Path::new("/a/1-1-1")), name(Path::new("/b/1-1-1")));
        assert_eq!(name(Path::new("/a/1-1-1")), "orch-run-1-1-1-bc108101d3548f09", "stored: may never change");
    }

    #[test]
    fn a_directory_that_only_looks_like_a_group_is_not_one() {
        let place = tempfile::tempdir().unwrap();
        let fake = place.path().canonicalize().unwrap().join(name(Path::new("/a/1")));
        fs::create_dir(&fake).unwrap();
        assert!(Cgroup::recorded(&fake, Path::new("/a/1")).is_none(), "no cgroup file system");
        for path in ["/", "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "relative", "/sys/fs/cgroup/../cgroup"] {
            assert!(Cgroup::recorded(Path::new(path), Path::new("/a/1")).is_none(), "{path}");
        }
    }
}
