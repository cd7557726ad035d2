//! The plan of a world's faults, as `orch` built with the feature `fault-points` reads it, and what it wrote about it.

use crate::world::World;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;

/// A line of the plan's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This fault has struck, at this point, in work on this kind of effect (`-`: outside of any).
    Fired {
        /// Its name in the plan.
        name: String,
        /// The point.
        point: String,
        /// The effect that was at work.
        effect: String,
    },
    /// A paused worker goes on, or was ended in its pause.
    Resumed {
        /// The point.
        point: String,
        /// The effect.
        effect: String,
        /// What had become of its claim meanwhile: `held`, `lost`, `claimed` by another worker, or `settled` by one.
        became: String,
        /// Did it go on? Otherwise it was ended.
        goes_on: bool,
    },
    /// A point was reached for the first time in this life.
    Seen(String),
    /// All points there are.
    Points(Vec<String>),
    /// The plan could not be read.
    Wrong(String),
}

impl Said {
    fn parse(line: &str) -> Option<Self> {
        let (what, rest) = line.split_once(' ')?;
        let words: Vec<&str> = rest.split(' ').collect();
        let own = |n: usize| words.get(n).map(|w| (*w).to_owned());
        Some(match what {
            "fired" => Self::Fired { name: own(0)?, point: own(1)?, effect: own(3)? },
            "resumed" | "dropped" => {
                Self::Resumed { point: own(1)?, effect: own(3)?, became: own(4)?, goes_on: what == "resumed" }
            }
            "seen" => Self::Seen(own(0)?),
            "points" => Self::Points(words.iter().map(|w| (*w).to_owned()).collect()),
            "wrong" => Self::Wrong(rest.to_owned()),
            _ => return None,
        })
    }
}

impl World {
    /// Where the plan is.
    pub fn plan_file(&self) -> PathBuf {
        self.dir.join("plan")
    }

    /// Replaces the plan; the running daemon takes it up at its next fault point.
    pub fn plan(&self, lines: &[String]) -> Result<()> {
        let (new, file) = (self.dir.join("plan.new"), self.plan_file());
        fs::write(&new, lines.join("\n") + "\n")
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("write {}", file.display()))
    }

    /// What the daemon wrote about it so far.
    pub fn plan_log(&self) -> Vec<Said> {
        let text = fs::read_to_string(self.dir.join("plan.log")).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(Said::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_as_the_daemon_writes_it() {
        let fired = Said::parse("fired 7 forge.merge:after 3-12@2 Merge");
        let merge = || ("forge.merge:after".to_owned(), "Merge".to_owned());
        let (point, effect) = merge();
        assert_eq!(fired, Some(Said::Fired { name: "7".into(), point, effect }));
        let (point, effect) = merge();
        let ended = Said::Resumed { point, effect, became: "claimed".into(), goes_on: false };
        assert_eq!(Said::parse("dropped 7 forge.merge:after 3-12@2 Merge claimed"), Some(ended));
        assert_eq!(Said::parse("fired 7 forge.merge"), None);
        assert_eq!(Said::parse(""), None);
    }
}
