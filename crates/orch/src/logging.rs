//! The daemon's log. Decides how a foreign text may stand in it: without the keys orch knows, without anything a terminal
//! obeys, and never as a line of its own that looks like one of ours.

use orch_core::plain;
use orch_ports::masks;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Where the log goes.
pub(crate) struct Log<W> {
    to: W,
    json: bool,
}

impl Log<fn() -> io::Stderr> {
    /// To standard error; `json`: every line is an object.
    pub(crate) fn stderr(json: bool) -> Self {
        Self { to: io::stderr as fn() -> io::Stderr, json }
    }
}

impl<'a, O: Write, W: Fn() -> O + 'a> MakeWriter<'a> for Log<W> {
    type Writer = Entry<O>;
    fn make_writer(&'a self) -> Entry<O> {
        Entry { to: (self.to)(), json: self.json }
    }
}

/// One entry; it is written at once.
pub(crate) struct Entry<O> {
    to: O,
    json: bool,
}

impl<O: Write> Write for Entry<O> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let clean = if self.json {
            plain::in_json(&masks::mask_json(&text)).trim_end().to_owned()
        } else {
            // What follows the first line of an entry is indented: no text can write an entry of its own.
            masks::readable(text.trim_end()).replace('\n', "\n    ")
        };
        self.to.write_all(format!("{clean}\n").as_bytes())?;
        Ok(entry.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, log: impl Fn()) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let writer = Log { to: move || to.clone(), json };
        let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).without_time();
        if json {
            tracing::subscriber::with_default(builder.json().finish(), log);
        } else {
            tracing::subscriber::with_default(builder.with_target(false).finish(), log);
        }
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_text_in_the_log_shows_a_key_controls_a_terminal_or_writes_an_entry_of_its_own() {
        let key = "ghp_canary2342ForTheLogOnlyAb";
        let _known = orch_ports::Secret::new(key);
        let text = format!("agent said {key}\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\n WARN it is all well");
        let log = || tracing::warn!(field = text, "{text}");
        let plain = logged(false, log);
        assert!(plain.contains("agent said ***") && !plain.contains(key), "{plain}");
        assert!(!plain.chars().any(orch_core::plain::is_hostile), "{plain:?}");
        assert_eq!(plain.lines().filter(|line| !line.starts_with("    ")).count(), 1, "{plain}");
        let json = logged(true, log);
        assert!(json.contains("agent said ***") && !json.contains(key), "{json}");
        assert!(!json.chars().any(orch_core::plain::is_hostile) && json.lines().count() == 1, "{json:?}");
        let entry: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(entry["level"], "WARN");
    }
}
