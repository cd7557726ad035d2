//! What a command may touch: the environment it was given, the directory it stands in, and two streams. Nothing here
//! reads a global, so that a test can run any command in a world of its own.

use super::exit::Failure;
use crate::config::{Config, FILE_NAME, Warning};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The world of one command.
pub struct Context<'a> {
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Current directory, absolute.
    pub cwd: PathBuf,
    /// Results for people and scripts.
    pub out: &'a mut dyn Write,
    /// Diagnostics.
    pub err: &'a mut dyn Write,
    /// Is `out` a terminal that wants colour?
    pub color: bool,
    /// Is there a person at a terminal who can answer a question?
    pub asks: bool,
}

/// Is a file this user's, or root's?
fn is_ours(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let uid = rustix::process::geteuid().as_raw();
    std::fs::metadata(file).is_ok_and(|m| m.uid() == uid || m.uid() == 0)
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Fine.
    Good,
    /// Look at it.
    Warn,
    /// Broken.
    Bad,
}

impl Context<'_> {
    /// One line of result. A reader that went away (`| head`) is no error of ours.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.out, "{}", line.as_ref());
    }

    /// One line of diagnostics.
    pub fn note(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", line.as_ref());
    }

    /// A word in colour, where colour is wanted.
    pub fn paint(&self, tone: Tone, word: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
        };
        if self.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    }

    /// The configuration file: the one named, else the nearest `orch.toml` from here upwards, else the one in the user's
    /// own directory that belongs to the clone this is.
    ///
    /// A file in a directory above is believed only if it is this user's or root's: otherwise whoever can write to `/tmp`
    /// would decide what commands run.
    pub fn find_config(&self, named: Option<&Path>) -> Option<PathBuf> {
        if let Some(path) = named {
            return Some(self.cwd.join(path));
        }
        let near = self.cwd.ancestors().map(|dir| dir.join(FILE_NAME)).find(|file| file.is_file());
        near.filter(|file| file.parent() == Some(&*self.cwd) || is_ours(file)).or_else(|| self.global_config())
    }

    /// The configuration a clone has already, wherever it lies.
    pub fn find_config_in(&self, clone: &Path) -> Option<PathBuf> {
        Some(clone.join(FILE_NAME)).filter(|file| file.is_file()).or_else(|| self.global_config_of(clone))
    }

    fn global_config(&self) -> Option<PathBuf> {
        self.global_config_of(&self.cwd)
    }

    /// The configuration in `$XDG_CONFIG_HOME/orch` whose `[instance] clone` is here or nearest above.
    fn global_config_of(&self, dir: &Path) -> Option<PathBuf> {
        let cwd = crate::instance::place::real(dir);
        let dir = crate::instance::place::config_home(&self.env)?;
        let mut found: Vec<(usize, PathBuf)> = std::fs::read_dir(dir)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| file.extension().is_some_and(|end| end == "toml"))
            .filter_map(|file| {
                let table: toml::Table = toml::from_str(&std::fs::read_to_string(&file).ok()?).ok()?;
                let clone = Path::new(table.get("instance")?.get("clone")?.as_str()?).canonicalize().ok()?;
                cwd.starts_with(&clone).then(|| (clone.components().count(), file))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, file)| file)
    }

    /// Loads the configuration and prints its warnings.
    pub fn config(&mut self, named: Option<&Path>) -> Result<Config, Failure> {
        let file = self.find_config(named).ok_or_else(|| {
            Failure::usage(format!("no {FILE_NAME} here or in a directory above"))
                .hint("write one with `orch init`, or name it with --config FILE")
        })?;
        let (config, warnings) = self.load(&file)?;
        for warning in warnings {
            self.note(format!("warning: {warning}"));
        }
        Ok(config)
    }

    /// Loads one file; messages name it the short way where it is below the current directory.
    pub fn load(&self, file: &Path) -> Result<(Config, Vec<Warning>), Failure> {
        match Config::load(file, &self.env) {
            Ok((config, warnings)) => Ok((config, warnings.into_iter().map(|w| w.seen_from(&self.cwd)).collect())),
            Err(errors) => Err(Failure::usage(errors.seen_from(&self.cwd).to_string())),
        }
    }

    /// Who sits at this machine: `local:anna`.
    pub fn actor(&self) -> String {
        format!("local:{}", self.os_user())
    }

    /// Name of the user this process runs as; the user database first, because `USER` can say anything.
    fn os_user(&self) -> String {
        let uid = rustix::process::getuid().as_raw().to_string();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id == uid).then(|| name.to_owned())
        });
        let from_env = || ["USER", "LOGNAME"].iter().find_map(|n| self.env.get(*n).filter(|u| !u.is_empty()).cloned());
        named.or_else(from_env).unwrap_or(uid)
    }
}
