//! How a clean checkout is made ready for a command of the project: its environment, and the project's `setup` before its
//! tests. Gates, CI and whoever runs the tests by hand build their runs here, so that all of them see the same.
//!
//! Setup and command are one run of the supervisor, one after the other in the same checkout with the same HOME: one thing
//! to find again after a restart, one log, and nothing that outlives the checkout.

use crate::files::private_dir;
pub use crate::files::remove;
use orch_ports::supervisor::{KeySource, Keys, PoliteSignal, RunSpec};
use orch_ports::{Fault, Secret};
use orch_sandbox::{Kind, Places, Sandbox};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says in the run directory what is under way: [`SETUP`] or [`COMMAND`]. Not there where there is no setup.
const PHASE_FILE: &str = "phase";
/// What a run may write of its run directory: a directory of this name.
pub const OUT: &str = "out";
/// Where the way out of its sandbox is.
const DOOR: &str = "net.sock";
const SETUP: &str = "setup";
const COMMAND: &str = "command";

/// The setup in a shell of its own, then the command. `$1` is the phase file, `$2` the setup, `$3` the command. In place of
/// `SETUP` and `COMMAND` each loses the keys of the other: it is another program then, so that they are not in its environment.
const SETUP_FIRST: &str =
    r#"echo setup >"$1" && (SETUP exec sh -c "$2") || exit; echo command >"$1"; COMMAND exec sh -c "$3""#;

/// What every checkout of a project is prepared with.
#[derive(Clone, Debug, Default)]
pub struct Preparation {
    /// Shell line before the tests: installs what they need.
    pub setup: Option<String>,
    /// Environment of the project's commands beyond the cleared basis.
    pub env: BTreeMap<String, String>,
    /// Keys of the project's commands. Neither agents nor setups see them.
    pub keys: Option<Arc<dyn KeySource>>,
    /// Keys of its setup alone.
    pub setup_keys: Option<Arc<dyn KeySource>>,
    /// What a setup on the default branch leaves for later runs: `~` is its HOME, the others are paths in the checkout.
    pub cache: Vec<String>,
    /// What encloses setup, tests and CI. Hooks run outside of it.
    pub sandbox: Sandbox,
}

/// What a run is, of setup and command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The command alone.
    Command,
    /// The project's setup, if it has one, and then the command.
    SetupFirst,
    /// The line is the setup.
    Setup,
}

/// A command and where it runs.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    /// Shell line.
    pub line: &'a str,
    /// Which it is.
    pub runs: Runs,
    /// Clean checkout it starts in.
    pub checkout: PathBuf,
    /// The run's own directory.
    pub run_dir: &'a Path,
    /// HOME and TMPDIR, for this run alone.
    pub home: &'a Path,
    /// `PATH`, unless the project has one of its own.
    pub path: &'a str,
    /// Environment beyond the project's.
    pub env: BTreeMap<String, String>,
    /// Longest run of setup and command together, milliseconds.
    pub timeout_ms: u64,
    /// What it puts into a session of its own goes on when it has ended.
    pub detach: bool,
}

impl Preparation {
    /// What the supervisor is asked for.
    ///
    /// # Errors
    /// A file of keys cannot be read.
    pub fn spec(&self, run: Prepared<'_>) -> Result<RunSpec, Fault> {
        let out = run.run_dir.join(OUT);
        let mut env = basic_env(run.path, run.home);
        env.extend(self.env.clone());
        let own_tmp = run.env.get("TMPDIR").map(PathBuf::from);
        env.extend(run.env);
        env.insert("ORCH_OUT".into(), out.display().to_string());
        let phase = out.join(PHASE_FILE).display().to_string();
        let first = self.setup.as_deref().filter(|_| run.runs == Runs::SetupFirst);
        let keys = self.keys_of(run.runs)?;
        let script;
        let words = match first {
            None => vec!["sh", "-c", run.line],
            Some(setup) => {
                let unset = |own: &BTreeMap<String, Secret>| {
                    let names: Vec<&str> = keys.keys().filter(|name| !own.contains_key(*name)).map(|k| &**k).collect();
                    if names.is_empty() { String::new() } else { format!("unset {}; ", names.join(" ")) }
                };
                let [of_setup, of_command] = [unset(&self.setup_keys()?), unset(&self.command_keys()?)];
                script = SETUP_FIRST.replace("SETUP ", &of_setup).replace("COMMAND ", &of_command);
                vec!["sh", "-c", &script, "orch", &phase, setup, run.line]
            }
        };
        let mut argv: Vec<String> = words.into_iter().map(str::to_owned).collect();
        private_dir(&out)?;
        if run.runs != Runs::Command {
            argv = self.sandbox.enclose(
                argv,
                &Places {
                    cwd: run.checkout.clone(),
                    env: env.clone(),
                    write: [run.checkout.clone(), run.home.to_owned(), out].into_iter().chain(own_tmp).collect(),
                    read: vec![run.run_dir.to_owned()],
                    door: run.run_dir.join(DOOR),
                },
            );
        }
        Ok(RunSpec {
            argv,
            cwd: run.checkout,
            env,
            keys: Keys::new(keys),
            keys_on_stdin: false,
            stdin: None,
            deadline_ms: run.timeout_ms,
            silence_ms: None,
            grace_ms: GRACE_MS,
            polite: PoliteSignal::Term,
            detach: run.detach,
            keep: false,
        })
    }

    /// The keys of a run's command. None of the setup's.
    pub(crate) fn command_keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        self.keys.as_ref().map_or_else(|| Ok(BTreeMap::new()), |keys| keys.keys())
    }

    /// The keys of a setup. None of the command's.
    pub(crate) fn setup_keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
        self.setup_keys.as_ref().map_or_else(|| Ok(BTreeMap::new()), |keys| keys.keys())
    }

    /// The keys of a run, by name. Where both files have one, the command's counts.
    pub(crate) fn keys_of(&self, runs: Runs) -> Result<BTreeMap<String, Secret>, Fault> {
        match runs {
            Runs::Command => self.command_keys(),
            Runs::Setup => self.setup_keys(),
            Runs::SetupFirst if self.setup.is_none() => self.command_keys(),
            Runs::SetupFirst => {
                let mut keys = self.setup_keys()?;
                keys.extend(self.command_keys()?);
                Ok(keys)
            }
        }
    }

    /// Setup, command, environment and what is open in the sandbox as one text: what was judged under others is no answer.
    /// Without an environment and a sandbox it is the text of before there was one.
    pub(crate) fn identity(&self, line: &str) -> String {
        let mut text = self.setup.as_ref().map_or_else(|| line.to_owned(), |setup| format!("{setup}\n{line}"));
        for (name, value) in &self.env {
            // No line of a shell holds this character.
            text.extend(["\0", name, "=", value]);
        }
        // What a run could not reach yesterday may be what it needs.
        if self.sandbox.kind != Kind::Off {
            text.extend(["\0sandbox ", &self.sandbox.shown()]);
        }
        text
    }
}

/// What a command has between being asked to end and being killed, milliseconds.
pub const GRACE_MS: u64 = 5_000;

/// What is, or was last, under way in a run with a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The setup: the command has not begun.
    Setup,
    /// The command.
    Command,
}

impl Phase {
    /// Read from a run directory.
    pub fn of(run_dir: &Path) -> Self {
        let places = [run_dir.join(OUT).join(PHASE_FILE), run_dir.join(PHASE_FILE)];
        // What ran may have put a pipe there, or a link to what never ends.
        let is_plain = |place: &Path| place.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() < 64);
        let text = places.iter().filter(|place| is_plain(place)).find_map(|place| std::fs::read_to_string(place).ok());
        let text = text.unwrap_or_default();
        if text.trim() == SETUP { Self::Setup } else { Self::Command }
    }
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => SETUP,
            Self::Command => COMMAND,
        }
    }
}

/// The environment every foreign program starts from.
pub(crate) fn basic_env(path: &str, scratch: &Path) -> BTreeMap<String, String> {
    let scratch = scratch.display().to_string();
    [("PATH", path), ("HOME", &scratch), ("TMPDIR", &scratch), ("LANG", "C.UTF-8"), ("TERM", "dumb")]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// What a place where something ran lacks: room, by the file system's own word or because nothing can be written there.
pub fn lacks(place: &Path, least_free_bytes: u64) -> Option<String> {
    let there = place.ancestors().find(|dir| dir.is_dir())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < least_free_bytes {
        return Some(format!("{} bytes are free in {}", free, there.display()));
    }
    // Some file systems count no files.
    if 0 < stat.f_files && stat.f_favail == 0 {
        return Some(format!("no more files can be made in {}", there.display()));
    }
    let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
    let written = crate::files::probe(there).err().filter(|error| full.contains(&error.kind()));
    written.map(|error| format!("{} cannot be written: {error}", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(setup: Option<&str>, line: &str, dir: &Path) -> RunSpec {
        let env = BTreeMap::from([("PATH".to_owned(), "/mine".to_owned()), ("LEVEL".to_owned(), "project".to_owned())]);
        Preparation { setup: setup.map(Into::into), env, ..Preparation::default() }
            .spec(Prepared {
                line,
                runs: Runs::SetupFirst,
                checkout: dir.to_owned(),
                run_dir: dir,
                home: dir,
                path: "/usr/bin",
                env: BTreeMap::from([("LEVEL".to_owned(), "command".to_owned())]),
                timeout_ms: 1_000,
                detach: false,
            })
            .unwrap()
    }

    /// Runs it as the supervisor would: exit code, and what was under way.
    fn run(spec: &RunSpec, dir: &Path) -> (i32, Phase) {
        let done = std::process::Command::new("/bin/sh").args(&spec.argv[1..]).current_dir(dir).status().unwrap();
        (done.code().unwrap(), Phase::of(dir))
    }

    #[test]
    fn the_command_finds_what_the_setup_made_and_does_not_begin_if_it_failed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(run(&spec(Some("echo 1 > made"), "test -s made && exit 3", dir), dir), (3, Phase::Command));
        assert_eq!(run(&spec(Some("exit 7"), "touch began", dir), dir), (7, Phase::Setup));
        assert!(!dir.join("began").exists());
        // `exit` of a setup ends the setup alone, and quotes stay quotes.
        assert_eq!(run(&spec(Some("exit 0"), "test \"it's\" = \"it's\"", dir), dir), (0, Phase::Command));
    }

    #[test]
    fn what_a_run_puts_in_the_place_of_its_phase_says_nothing_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (out, phase) = (dir.path().join(OUT), dir.path().join(OUT).join(PHASE_FILE));
        std::fs::create_dir(&out).unwrap();
        std::fs::write(&phase, SETUP).unwrap();
        assert_eq!(Phase::of(dir.path()), Phase::Setup);
        std::fs::write(&phase, format!("{SETUP}{}", " ".repeat(100))).unwrap();
        assert_eq!(Phase::of(dir.path()), Phase::Command, "it is too long");
        std::fs::remove_file(&phase).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &phase).unwrap();
        assert_eq!(Phase::of(dir.path()), Phase::Command);
        std::fs::remove_file(&phase).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &phase, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(Phase::of(dir.path()), Phase::Command);
    }

    #[derive(Debug)]
    struct Known(&'static [(&'static str, &'static str)]);

    impl KeySource for Known {
        fn keys(&self) -> Result<BTreeMap<String, Secret>, Fault> {
            Ok(self.0.iter().map(|(k, v)| ((*k).to_owned(), Secret::of(k, (*v).to_owned()))).collect())
        }
    }

    #[test]
    fn the_setups_keys_are_gone_before_the_command_begins_and_none_is_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let preparation = Preparation {
            setup: Some("env | grep _OF_ | sort > setup.env".into()),
            keys: Some(Arc::new(Known(&[
                ("A_OF_COMMANDS", "canary-of-commands"),
                ("B_OF_BOTH", "canary-of-the-second"),
            ]))),
            setup_keys: Some(Arc::new(Known(&[
                ("B_OF_BOTH", "canary-of-a-login"),
                ("C_OF_SETUP", "canary-of-the-setup"),
            ]))),
            ..Preparation::default()
        };
        let ran = |runs, line: &str| {
            let env = BTreeMap::new();
            let checkout = dir.to_owned();
            let run = Prepared {
                line,
                runs,
                checkout,
                run_dir: dir,
                home: dir,
                path: "/usr/bin:/bin",
                env,
                timeout_ms: 1,
                detach: false,
            };
            let spec = preparation.spec(run).unwrap();
            let written = serde_json::to_string(&spec).unwrap();
            assert!(!written.contains("canary"), "{written}");
            let mut command = std::process::Command::new("/bin/sh");
            command
                .args(&spec.argv[1..])
                .current_dir(dir)
                .env_clear()
                .envs(&spec.env)
                .envs(spec.keys.values().unwrap());
            assert!(command.status().unwrap().success());
            ["setup.env", "command.env", "proc.env"].map(|name| {
                let text = std::fs::read(dir.join(name)).unwrap_or_default();
                let _ = std::fs::remove_file(dir.join(name));
                String::from_utf8(text).unwrap()
            })
        };
        let line =
            "env | grep _OF_ | sort > command.env; tr '\\0' '\\n' < /proc/$$/environ | grep _OF_ | sort > proc.env";
        let own = "A_OF_COMMANDS=canary-of-commands\nB_OF_BOTH=canary-of-the-second\n";
        let [setup, command, proc] = ran(Runs::SetupFirst, line);
        let setups = "B_OF_BOTH=canary-of-the-second\nC_OF_SETUP=canary-of-the-setup\n";
        assert_eq!(setup, setups, "nor does it see those of the command");
        assert_eq!((&*command, &*proc), (own, own), "not even where the system shows what it began with");
        let [setup, command, _] = ran(Runs::Command, line);
        assert_eq!((&*setup, &*command), ("", own));
        let [setup, ..] = ran(Runs::Setup, "env | grep _OF_ | sort > setup.env");
        assert_eq!(setup, "B_OF_BOTH=canary-of-a-login\nC_OF_SETUP=canary-of-the-setup\n");
    }

    #[test]
    fn another_environment_is_another_command_and_none_changes_nothing() {
        let of = |setup: Option<&str>, env: &[(&str, &str)]| {
            let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Preparation { setup: setup.map(Into::into), env, ..Preparation::default() }.identity("make test")
        };
        assert_eq!(of(None, &[]), "make test");
        assert_eq!(of(Some("npm ci"), &[]), "npm ci\nmake test");
        let one = of(None, &[("A", "1"), ("B", "2")]);
        assert_eq!(one, of(None, &[("B", "2"), ("A", "1")]));
        for other in [of(None, &[]), of(None, &[("A", "1")]), of(None, &[("A", "1"), ("B", "3")])] {
            assert_ne!(one, other);
        }
        let enclosed = |allow: &[&str]| {
            let kind = Kind::Bwrap { program: "/usr/bin/bwrap".into(), last: true };
            let allow = allow.iter().map(|host| (*host).to_owned()).collect();
            let sandbox = Sandbox { kind, allow, ..Sandbox::default() };
            Preparation { sandbox, ..Preparation::default() }.identity("make test")
        };
        assert_ne!(enclosed(&[]), of(None, &[]));
        assert_ne!(enclosed(&[]), enclosed(&["crates.io"]), "another host is allowed: it is judged anew");
    }

    #[test]
    fn the_projects_environment_wins_over_the_basis_and_the_commands_over_both() {
        let spec = spec(None, "true", Path::new("/x"));
        assert_eq!(spec.argv, ["sh", "-c", "true"]);
        assert_eq!((&*spec.env["PATH"], &*spec.env["LEVEL"], &*spec.env["HOME"]), ("/mine", "command", "/x"));
    }
}
