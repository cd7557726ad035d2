//! What a command may touch: the environment it was given, the directory it stands in, and two streams. Nothing here
//! reads a global, so that a test can run any command in a world of its own.

use super::exit::Failure;
use crate::config::{Config, FILE_NAME, Warning};
use orch_ports::masks::{self, readable};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The world of one command.
pub struct Context<'a> {
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Current directory, absolute.
    pub cwd: PathBuf,
    /// Results for people and scripts. Private, like the next: what goes there goes through [`Context::say`] and its kin.
    out: &'a mut dyn Write,
    /// Diagnostics.
    err: &'a mut dyn Write,
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

/// What [`Context::paint`] writes, and nothing else that a terminal obeys.
const COLOURS: [&str; 4] = ["\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"];

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

impl<'a> Context<'a> {
    /// A world.
    pub fn new(
        env: BTreeMap<String, String>,
        cwd: PathBuf,
        (out, err): (&'a mut dyn Write, &'a mut dyn Write),
        color: bool,
    ) -> Self {
        Self { env, cwd, out, err, color, asks: false }
    }

    /// One line of result. A reader that went away (`| head`) is no error of ours.
    pub fn say(&mut self, line: impl AsRef<str>) {
        let line = self.readable(line.as_ref());
        let _ = writeln!(self.out, "{line}");
    }

    /// One line of diagnostics.
    pub fn note(&mut self, line: impl AsRef<str>) {
        let line = self.readable(line.as_ref());
        let _ = writeln!(self.err, "{line}");
    }

    /// A piece of a program's output as it comes; false: nobody reads it any more.
    pub fn pour(&mut self, text: &str) -> bool {
        let text = readable(text);
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_ok()
    }

    /// What was said is seen now.
    pub fn flush(&mut self) {
        let _ = self.out.flush();
    }

    /// The one way to a terminal: without the keys orch knows, and without anything a terminal obeys but our own colours.
    fn readable(&self, text: &str) -> String {
        let Some((at, colour)) = self.next_colour(text) else { return readable(text) };
        let (before, after) = (&text[..at], &text[at + colour.len()..]);
        // A key may have a colour in the middle: then the colours go.
        let masked = masks::mask(text);
        if *masked != *text {
            return readable(text);
        }
        readable(before) + colour + &self.readable(after)
    }

    fn next_colour(&self, text: &str) -> Option<(usize, &'static str)> {
        if !self.color {
            return None;
        }
        COLOURS.iter().filter_map(|colour| Some((text.find(colour)?, *colour))).min()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(color: bool, say: impl Fn(&mut Context<'_>)) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        say(&mut Context::new(BTreeMap::new(), PathBuf::from("/"), (&mut out, &mut err), color));
        String::from_utf8([out, err].concat()).unwrap()
    }

    #[test]
    fn nothing_foreign_controls_a_terminal_and_our_own_colours_stay() {
        let title = "\u{1b}]52;c;aGk=\u{7}Title\u{1b}[8m\u{9b}2J\u{202e}";
        for color in [false, true] {
            let said = shown(color, |context| {
                let word = context.paint(Tone::Good, "pass");
                context.say(format!("{word} {title}"));
                context.note(title);
                assert!(context.pour(&format!("{title}\r\n")));
            });
            let pass = if color { "\u{1b}[32mpass\u{1b}[0m" } else { "pass" };
            let title = "Title\\u{202e}\n";
            // What was noted goes the other way and is read last here.
            assert_eq!(said, format!("{pass} {title}{title}{title}"));
        }
    }

    #[test]
    fn no_key_is_said_with_a_colour_in_it_or_without() {
        let key = "ghp_canary0815ForTerminalsOnly";
        let _known = orch_ports::Secret::new(key);
        for color in [false, true] {
            for text in [format!("it is {key}"), format!("it is {}\u{1b}[32m{}", &key[..9], &key[9..])] {
                assert_eq!(shown(color, |context| context.say(&text)), "it is ***\n");
                assert_eq!(shown(color, |context| context.note(&text)), "it is ***\n");
            }
        }
    }
}
