//! The only place that starts git. Decides the environment, the configuration and the time limit of every call, and what
//! kind of fault a failure is. Never passes through the caller's environment, a user's or the machine's git
//! configuration, or a shell: otherwise a hook, a filter or an `fsmonitor` that somebody configured would run as us, and
//! the same call would mean something else on another machine.

use super::facts::Facts;
use super::reader::Readers;
pub(crate) use super::said::{classify, mask, told};
use crate::durable::{self, FSYNC, Kept};
use crate::locks;
use crate::tool::Tool;
use orch_core::fault_code::FaultCode;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// Longest a single git process may run; a first fetch of a large repository is the longest honest one.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(15);

/// Configuration of every call. It is handed over in the environment (git's "command" scope), so it beats whatever a
/// repository's own configuration says.
const CONFIG: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
    ("core.fileMode", "true"),
    ("core.symlinks", "true"),
    ("core.ignoreCase", "false"),
    ("core.logAllRefUpdates", "false"),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.askPass", "false"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("diff.external", ""),
    ("diff.renames", "false"),
    ("merge.conflictStyle", "merge"),
    // Else `diff.renames` would speak for merges too, and an edit of a file that was renamed would be a conflict.
    ("merge.renames", "true"),
    ("merge.directoryRenames", "conflict"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("advice.detachedHead", "false"),
    ("protocol.version", "2"),
    // `ext::` runs any command, and unknown remote helpers are programs found on the path.
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.git.allow", "always"),
    ("protocol.ext.allow", "never"),
];

/// Starts git. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct GitRun {
    /// Stands in for the user's home; holds the one global configuration file and nothing else.
    home: PathBuf,
    /// Finds git. By its whole path it is started without a copy of this process in between, which costs the more the
    /// larger this process is (std forks if a name has to be looked up in a `PATH` that was set for the child).
    program: Tool,
    /// What of the repositories' directories is on disk.
    kept: Kept,
    /// Those that stay.
    pub(super) readers: Readers,
    /// What has been found out and never changes, by repository and question.
    pub(super) facts: Facts,
}

/// What a git process left.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Exit code; `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

impl GitRun {
    /// Prepares `home`, a directory of orch's own in which every git process believes to be at home.
    pub(crate) fn new(home: &Path) -> Result<Self, Fault> {
        let home = std::path::absolute(home).map_err(|e| io(home, "make absolute", &e))?;
        durable::make_dir(&home)?;
        // A file, because git does not hand configuration in the environment on to the server side of a local remote,
        // which may belong to another user when we run as root.
        let config = home.join("gitconfig");
        let text = "[safe]\n\tdirectory = *\n";
        if std::fs::read_to_string(&config).ok().as_deref() != Some(text) {
            durable::put(&config, text.as_bytes(), 0o644)?;
        }
        let path = std::env::var_os("PATH").unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            home,
            program: Tool::new("git", path),
            kept: Kept::default(),
            readers: Readers::default(),
            facts: Facts::default(),
        })
    }

    /// Returns when the objects of a repository and these references are found after a power cut, too. Git has synced the
    /// files themselves.
    pub(crate) async fn keep(&self, git_dir: &Path, references: &[&str]) -> Result<(), Fault> {
        let (kept, git_dir) = (self.kept.clone(), git_dir.to_owned());
        let references: Vec<String> = references.iter().map(|r| (*r).to_owned()).collect();
        super::dirs::blocking(move || kept.keep(&git_dir, &references.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
    }

    /// The same for references alone, of which the objects are kept.
    pub(crate) async fn keep_references(&self, git_dir: &Path, references: &[&str]) -> Result<(), Fault> {
        let (kept, git_dir) = (self.kept.clone(), git_dir.to_owned());
        let references: Vec<String> = references.iter().map(|r| (*r).to_owned()).collect();
        super::dirs::blocking(move || {
            kept.keep_references(&git_dir, &references.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .await
    }

    /// The git of one directory, for tests that stand between it and its caller.
    #[cfg(test)]
    pub(crate) fn found_in(home: &Path, dir: &Path) -> Self {
        let real = Self::new(home).unwrap();
        Self { program: Tool::new("git", dir.to_string_lossy()), ..real }
    }

    /// A call on a repository (its git directory), or on none.
    pub(crate) fn call(&self, git_dir: Option<&Path>, command: &str) -> Call<'_> {
        Call {
            git: self,
            git_dir: git_dir.map(Path::to_owned),
            args: vec![command.into()],
            envs: vec![],
            config: vec![],
            stdin: None,
            limit: TIMEOUT,
        }
    }

    /// The same in one go: subcommand and arguments, extra environment, standard input.
    pub(crate) async fn run(
        &self,
        git_dir: Option<&Path>,
        args: &[&str],
        envs: &[(&str, &str)],
        stdin: Option<&[u8]>,
    ) -> Result<Output, Fault> {
        let Some((command, rest)) = args.split_first() else { return Err(Fault::bug("git without a subcommand")) };
        let mut call = self.call(git_dir, command).args(rest);
        for (key, value) in envs {
            call = call.env(key, value);
        }
        if let Some(bytes) = stdin {
            call = call.stdin(bytes.to_vec());
        }
        call.run().await
    }
}

/// One git process to be. Not `Debug`: its configuration may hold credentials.
#[must_use]
pub(crate) struct Call<'g> {
    git: &'g GitRun,
    git_dir: Option<PathBuf>,
    pub(super) args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    config: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    pub(super) limit: Duration,
}

impl Call<'_> {
    /// Gives it this long instead of the longest time.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Adds an argument. Names that come from outside belong behind `--end-of-options` or `--`.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets a configuration value for this call, invisible in the list of processes.
    pub(crate) fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Gives it standard input.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The process, with everything but its streams.
    fn command(&self) -> Command {
        // Each time anew: it may be replaced while we run.
        let mut command = Command::new(self.git.program.find().unwrap_or_else(|| "git".into()));
        command.args(&self.args).current_dir(&self.git.home).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", &self.git.home)
            .env("XDG_CONFIG_HOME", &self.git.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.git.home.join("gitconfig"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CEILING_DIRECTORIES", &self.git.home)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        let own = self.config.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut count = 0_usize;
        for (key, value) in CONFIG.iter().copied().chain(FSYNC).chain(own) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        if let Some(dir) = &self.git_dir {
            command.env("GIT_DIR", dir);
        }
        command.envs(self.envs.iter().map(|(k, v)| (k, v)));
        // A process group of its own: a Ctrl-C in our terminal is ours to handle, a half-done push is not.
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Starts it, to be asked again and again; what it complains of nobody hears.
    pub(super) fn stays(self) -> std::io::Result<Child> {
        self.command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    }

    /// Runs it; any exit code is an answer. A lock that a dead git left, as a loss of power leaves them, is removed once.
    pub(crate) async fn run(self) -> Result<Output, Fault> {
        let output = self.once().await?;
        let Some(dir) = self.git_dir.clone().filter(|_| output.met_a_lock()) else { return Ok(output) };
        if super::dirs::blocking(move || Ok(locks::drop_dead(&dir))).await? { self.once().await } else { Ok(output) }
    }

    /// Starts it, its outputs to be read.
    pub(super) fn begin(&self, stdin: Stdio) -> Result<Child, Fault> {
        let what = format!("git {}", self.args[0].to_string_lossy());
        let spawned = self.command().stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        spawned.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
                // It is gone for as long as an upgrade takes, or was never there: the start says that.
                Fault::transient(format!("{what}: cannot start git: {e}; is git installed?"))
            }
            // No descriptors, no processes, no memory: that passes.
            _ => Fault::transient(format!("{what}: cannot start git: {e}")),
        })
    }

    async fn once(&self) -> Result<Output, Fault> {
        let what = format!("git {}", self.args[0].to_string_lossy());
        let mut child = self.begin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })?;
        let group = group_of(&child);
        let feed = self.stdin.clone().zip(child.stdin.take());
        let talk = async {
            let write = async {
                if let Some((bytes, mut pipe)) = feed {
                    // A process that stops reading early says why on its standard error.
                    let _ = pipe.write_all(&bytes).await;
                }
            };
            tokio::join!(write, child.wait_with_output()).1
        };
        match tokio::time::timeout(self.limit, talk).await {
            Ok(Ok(done)) => Ok(Output { status: done.status.code(), stdout: done.stdout, stderr: done.stderr }),
            Ok(Err(e)) => Err(Fault::transient(format!("{what}: {e}"))),
            Err(_) => {
                // With its helpers: what speaks to a remote is a process of its own, and would go on with a push.
                kill(group);
                let text = format!("{what}: no end after {} s, killed", self.limit.as_secs());
                Err(Fault::transient(text).coded(FaultCode::TimedOut))
            }
        }
    }

    /// Runs it; anything but exit code 0 is a fault. Returns its standard output.
    pub(crate) async fn ok(self) -> Result<Vec<u8>, Fault> {
        let what = self.args[0].to_string_lossy().into_owned();
        let output = self.run().await?;
        if output.status == Some(0) { Ok(output.stdout) } else { Err(output.fault(&what)) }
    }

    /// The same for a single line of text: an object id, a name.
    pub(crate) async fn line(self) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.ok().await?).trim_end().to_owned())
    }
}

/// The process group of a git.
pub(super) fn group_of(child: &Child) -> Option<rustix::process::Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
}

/// Ends a git with its helpers.
pub(super) fn kill(group: Option<rustix::process::Pid>) {
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

impl Output {
    /// Did it fail because somebody holds a lock?
    pub(super) fn met_a_lock(&self) -> bool {
        self.status != Some(0) && super::said::met_a_lock(&self.stderr)
    }

    /// The fault this answer is.
    pub(crate) fn fault(&self, what: &str) -> Fault {
        let text = told(&self.stderr);
        let end = self.status.map_or_else(|| "killed by a signal".into(), |code| format!("exit code {code}"));
        let text = if text.is_empty() { format!("git {what}: {end}") } else { format!("git {what}: {text}") };
        if self.status.is_none() {
            return Fault::transient(text).coded(FaultCode::Killed);
        }
        match classify(&self.stderr) {
            // Nothing that is known: only the same words again and again are final.
            (FaultKind::Permanent, _) => Fault::permanent(text).unsure(),
            (kind, code) => Fault::new(kind, text).coded(code),
        }
    }
}

/// Errors of the system that have no name of their own in the standard library, and pass.
const NO_DESCRIPTORS: &[rustix::io::Errno] = &[rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];

/// The fault of a file operation.
pub(crate) fn io(path: &Path, what: &str, error: &std::io::Error) -> Fault {
    let text = format!("{what} {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Fault::denied(text),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::OutOfMemory => {
            Fault::transient(text).coded(FaultCode::NoRoom)
        }
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Fault::transient(text),
        _ if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.iter().any(|e| e.raw_os_error() == code)) => {
            Fault::transient(text).coded(FaultCode::NoRoom)
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Fault::transient(text),
        _ => Fault::permanent(text).unsure(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_git_that_does_not_end_is_killed_with_what_it_started() {
        let tmp = tempfile::tempdir().unwrap();
        let child = tmp.path().join("child");
        let script = format!("sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600' &\nwait", child.display());
        crate::test_program::program(tmp.path(), "git", &script);
        let git = GitRun::found_in(&tmp.path().join("home"), tmp.path());
        let fault = git.call(None, "push").within(Duration::from_secs(2)).run().await.unwrap_err();
        assert!(fault.kind == FaultKind::Transient && fault.text.contains("killed"), "{fault}");
        let pid = std::fs::read_to_string(child).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let began = std::time::Instant::now();
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", state());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn words_that_are_not_known_are_a_guess_and_what_is_known_is_none() {
        let fault = |stderr: &str, status| Output { status, stdout: vec![], stderr: stderr.into() }.fault("push");
        let guess = fault("fatal: the moon is full", Some(128));
        assert_eq!((guess.kind, guess.unsure), (FaultKind::Permanent, true));
        assert!(!fault("fatal: Authentication failed for 'http://h/'", Some(128)).unsure);
        assert_eq!(fault("", None).kind, FaultKind::Transient, "killed");
    }

    #[test]
    fn a_machine_without_room_is_no_reason_to_give_up() {
        let kind = |errno: rustix::io::Errno| io(Path::new("/x"), "write", &errno.into()).kind;
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NOSPC, rustix::io::Errno::IO] {
            assert_eq!(kind(errno), FaultKind::Transient, "{errno}");
        }
        assert_eq!(kind(rustix::io::Errno::ACCESS), FaultKind::Denied);
        assert_eq!(kind(rustix::io::Errno::NOENT), FaultKind::Permanent);
    }
}
