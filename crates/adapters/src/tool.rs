//! The only place that starts a program of the operator's choosing beside git and agents: scanners and auditors. Such a
//! program gets an environment made from nothing, a directory that holds nothing of the scanned repository unless the
//! caller put it there, a time limit and a limit on what it may say, and its whole process group is gone afterwards.

use orch_core::fault_code::FaultCode;
use orch_core::plain::shown_line;
use orch_ports::Fault;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// Most bytes of an answer.
const MAX_OUTPUT: u64 = 64 * 1024 * 1024;

/// What a program left.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error, for people.
    pub(crate) stderr: String,
}

impl Said {
    /// How it ended, for people, with its last words.
    pub(crate) fn end(&self) -> String {
        let how = self.code.map_or_else(|| "was killed by a signal".into(), |c| format!("ended with exit code {c}"));
        let last = self.stderr.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
        let last: String = shown_line(last).chars().take(300).collect();
        if last.is_empty() { how } else { format!("{how}: {last}") }
    }
}

/// A program, found once.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    /// `PATH` for it and its children.
    path: String,
    /// Where the directories it works in are made.
    scratch_dir: PathBuf,
}

impl Tool {
    /// A program to be looked for in `path`, that works in the system's temporary directory.
    pub(crate) fn new(name: &'static str, path: impl Into<String>) -> Self {
        Self { name, path: path.into(), scratch_dir: std::env::temp_dir() }
    }

    /// One that works below `dir`.
    pub(crate) fn working_in(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.scratch_dir);
        self
    }

    /// A directory to work in, for this user only, that goes away.
    pub(crate) fn scratch(&self) -> Result<TempDir, Fault> {
        let made = tempfile::Builder::new().prefix(&format!("orch-{}-", self.name)).tempdir_in(&self.scratch_dir);
        made.map_err(|e| Fault::transient(format!("make a directory in {}: {e}", self.scratch_dir.display())))
    }

    /// Where it is, if it is there. A part of `PATH` that depends on where orch was started is passed over.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let runs = |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
        let dirs = std::env::split_paths(&self.path).filter(|dir| dir.is_absolute());
        dirs.map(|dir| dir.join(self.name)).find(runs)
    }

    /// The version it says it has, if that is recent enough; inside: why it is of no use.
    pub(crate) async fn probe(&self, ask: &str, oldest: (u32, u32)) -> Result<Result<String, String>, Fault> {
        if self.find().is_none() {
            return Ok(Err("not installed".into()));
        }
        let dir = self.scratch()?;
        let said = self.run([ask], dir.path(), &[], Duration::from_secs(30)).await?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let words = text.split_whitespace().map(|word| word.trim_start_matches('v'));
        let version = words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
        let mut parts = version.split('.').map(str::parse::<u32>);
        match (said.code, parts.next(), parts.next()) {
            (Some(0), Some(Ok(major)), Some(Ok(minor))) if oldest <= (major, minor) => Ok(Ok(version.to_owned())),
            (Some(0), ..) => {
                let (major, minor) = oldest;
                let shown: String = shown_line(text.trim()).chars().take(40).collect();
                Ok(Err(format!("version `{shown}` is too old or unknown: {major}.{minor} or newer is needed")))
            }
            _ => Err(Fault::transient(format!("`{} {ask}` {}", self.name, said.end()))),
        }
    }

    /// Runs it in `dir`, which it also takes for its home.
    pub(crate) async fn run<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        dir: &Path,
        env: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Said, Fault> {
        let program = self
            .find()
            .ok_or_else(|| Fault::gone(format!("{} is not installed", self.name)).coded(FaultCode::NotInstalled))?;
        let args: Vec<OsString> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let mut command = Command::new(&program);
        command
            .args(&args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", dir)
            .env("TMPDIR", dir)
            .env("LANG", "C.UTF-8")
            .envs(env.iter().copied())
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Fault::transient(format!("start {}: {e}", self.name)))?;
        let group = Group(child.id());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let talk = async {
            let (stdout, stderr) = tokio::join!(all_of(out), all_of(err));
            Ok::<_, std::io::Error>((stdout?, stderr?, child.wait().await?))
        };
        let done = tokio::time::timeout(timeout, talk).await;
        drop(group);
        match done {
            Err(_) => {
                let text = format!("{}: no end after {} s, killed", self.name, timeout.as_secs());
                Err(Fault::transient(text).coded(FaultCode::TimedOut))
            }
            Ok(Err(e)) => Err(Fault::transient(format!("{}: {e}", self.name))),
            Ok(Ok((stdout, stderr, status))) => {
                Ok(Said { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
            }
        }
    }
}

/// Everything a pipe has to say; more than is reasonable is an error and never cut off in silence.
async fn all_of(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if MAX_OUTPUT < bytes.len() as u64 {
        return Err(std::io::Error::other(format!("it said more than {MAX_OUTPUT} bytes")));
    }
    Ok(bytes)
}

/// Ends what is left of a program's process group, also when nobody waits for it any more.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(dir: &Path, script: &str) -> Tool {
        Tool::new("tool", crate::test_program::program(dir, "tool", script))
    }

    #[tokio::test]
    async fn it_gets_nothing_of_our_environment_and_says_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(dir.path(), "env | sort | grep -v '^_=\\|^PWD=\\|^SHLVL='; echo bad thing >&2; exit 3");
        let said = tool.run(["x"], dir.path(), &[("EXTRA", "1")], Duration::from_secs(20)).await.unwrap();
        let names: Vec<String> = String::from_utf8_lossy(&said.stdout)
            .lines()
            .filter_map(|l| l.split('=').next().map(str::to_owned))
            .collect();
        assert_eq!(names, ["EXTRA", "HOME", "LANG", "PATH", "TMPDIR"]);
        assert_eq!(said.end(), "ended with exit code 3: bad thing");
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(dir.path(), "sleep 600 & echo $! > child; wait");
        let fault = tool.run(["x"], dir.path(), &[], Duration::from_millis(500)).await.unwrap_err();
        assert!(fault.text.contains("no end after"), "{}", fault.text);
        let child = std::fs::read_to_string(dir.path().join("child")).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        let gone = || std::fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z"));
        for _ in 0..200 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the child lives on");
    }

    #[tokio::test]
    async fn one_that_is_not_there_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let tool = Tool::new("nothing-of-that-name", dir.path().display().to_string());
        assert_eq!(tool.find(), None);
        let fault = tool.run(["x"], dir.path(), &[], Duration::from_secs(1)).await.unwrap_err();
        assert!(fault.text.contains("not installed"), "{}", fault.text);
    }
}
