//! A life as text: options, the choices that make it, what it is for, and the story as comments. What a failing seed is
//! shrunk to, and what `scenarios/` keeps.

use crate::actions::Action;
use crate::choices::{Choice, Line};
use crate::report::Report;
use crate::{Life, On, Profile};
use std::fmt::Write as _;

/// First words of a file.
const HEAD: &str = "# A life of the simulation (version 1). Replay it: cargo run -p orch-sim -- --trace --scn FILE\n\
# A line is what happened, then its choices; what is not said is 0: nothing fails, the first of several.\n";

/// What a scenario shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This invariant does not hold.
    Violation(String),
    /// Everything holds, and the life comes to this place: a kind and a name of the coverage table.
    Reaches(String, String),
    /// Everything holds.
    Nothing,
}

impl Wanted {
    /// Did the life come to it?
    pub fn is_met(&self, report: &Report) -> bool {
        match (self, &report.violation) {
            (Self::Violation(wanted), Some(v)) => *wanted == v.invariant,
            (Self::Reaches(kind, name), None) => 0 < report.seen.visits(kind, name),
            (Self::Nothing, None) => true,
            _ => false,
        }
    }
}

/// A life that is made by its choices instead of by a seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many tasks.
    pub tasks: u64,
    /// Their pipelines.
    pub profile: Profile,
    /// The store it is lived on.
    pub on: On,
    /// What it shows.
    pub wanted: Wanted,
    pub(crate) lines: Vec<Line>,
}

impl Scenario {
    /// A life that was lived, as a scenario.
    pub fn of(life: &Life, report: &Report, wanted: Wanted) -> Self {
        Self { tasks: life.tasks, profile: life.profile, on: life.on, wanted, lines: report.choices.clone() }
    }

    /// How many things happen in it.
    pub fn steps(&self) -> usize {
        self.lines.len()
    }

    /// Writes it; `report` has the story, kept with a trace.
    pub fn to_text(&self, title: &str, report: &Report) -> String {
        let mut text = HEAD.to_owned();
        for line in title.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "tasks {}\npipeline {}", self.tasks, self.profile.name());
        if self.on != On::Memory {
            let _ = writeln!(text, "on {}", self.on.name());
        }
        match &self.wanted {
            Wanted::Violation(name) => writeln!(text, "expect invariant_{name}"),
            Wanted::Reaches(kind, name) => writeln!(text, "expect none\nreaches {kind}/{name}"),
            Wanted::Nothing => writeln!(text, "expect none"),
        }
        .unwrap_or_default();
        let mut section = "";
        for (at, line) in self.lines.iter().enumerate() {
            let now = match (at, line.faults) {
                (0, _) => "setup",
                (_, true) => "rough",
                (_, false) => "calm",
            };
            if now != section {
                let _ = writeln!(text, "{now}");
                section = now;
            }
            let _ = writeln!(text, "  {}", line_text(line, at != 0));
            for (_, told) in report.story.iter().filter(|(step, _)| *step == at as u64) {
                let _ = writeln!(text, "    # {}", told.trim());
            }
        }
        let after = report.story.iter().filter(|(step, _)| self.lines.len() as u64 <= *step);
        for (n, (_, told)) in after.enumerate() {
            if n == 0 {
                let _ = writeln!(text, "# and then, without any faults:");
            }
            let _ = writeln!(text, "    # {}", told.trim());
        }
        if let Some(violation) = &report.violation {
            let _ = writeln!(text, "# invariant_{} does not hold: {}", violation.invariant, violation.what);
        }
        text
    }

    /// Reads what `to_text` wrote, or a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scenario =
            Self { tasks: 1, profile: Profile::Lite, on: On::Memory, wanted: Wanted::Nothing, lines: Vec::new() };
        let mut section = None;
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            let wrong = |what: &str| format!("line {}: {what}: `{line}`", n + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if matches!(line, "setup" | "rough" | "calm") {
                section = Some(line);
            } else if let Some(section) = section {
                if section != "setup" && scenario.lines.is_empty() {
                    scenario.lines.push(Line::default());
                }
                scenario.lines.push(parse_line(line, section).map_err(|e| wrong(&e))?);
            } else {
                let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
                match word {
                    "tasks" => scenario.tasks = rest.parse().map_err(|_| wrong("not a number of tasks"))?,
                    "pipeline" => scenario.profile = Profile::parse(rest).ok_or_else(|| wrong("no such pipeline"))?,
                    "on" => scenario.on = On::parse(rest).ok_or_else(|| wrong("no such store"))?,
                    "expect" if rest == "none" => {}
                    "expect" => {
                        let name =
                            rest.strip_prefix("invariant_").ok_or_else(|| wrong("not `none` or an invariant"))?;
                        scenario.wanted = Wanted::Violation(name.into());
                    }
                    "reaches" => {
                        let (kind, name) = rest.split_once('/').ok_or_else(|| wrong("not `<kind>/<name>`"))?;
                        scenario.wanted = Wanted::Reaches(kind.into(), name.into());
                    }
                    _ => return Err(wrong("cannot be read")),
                }
            }
        }
        Ok(scenario)
    }
}

fn line_text(line: &Line, acts: bool) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    let value = |name: &str| line.choices.iter().filter(|c| c.name == name).map(|c| c.value).collect::<Vec<_>>();
    if acts {
        words.push(Action::at(value(Action::NAME).first().copied().unwrap_or(0) as usize).name().into());
        done.push(Action::NAME);
    }
    for choice in &line.choices {
        let name: &str = &choice.name;
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let values = value(name);
        if values == [1] {
            words.push(name.to_owned());
        } else {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            words.push(format!("{name}={}", values.join(",")));
        }
    }
    if words.is_empty() { "as usual".into() } else { words.join("; ") }
}

fn parse_line(text: &str, section: &str) -> Result<Line, String> {
    let mut line = Line { faults: section == "rough", choices: Vec::new() };
    let mut words = text.split(';').map(str::trim).filter(|w| !w.is_empty() && *w != "as usual");
    if section != "setup" {
        let action = words.next().and_then(Action::parse).ok_or("nothing that can happen")?;
        line.choices.push(Choice { name: Action::NAME.into(), value: action.index() as u64 });
    }
    for word in words {
        let (name, values) = word.rsplit_once('=').unwrap_or((word, "1"));
        for value in values.split(',') {
            let value = value.parse().map_err(|_| format!("not a number: {value}"))?;
            line.choices.push(Choice { name: name.to_owned().into(), value });
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{replay, run};

    #[test]
    fn a_life_written_down_is_the_same_life() {
        let life = Life { seed: 3, tasks: 2, profile: Profile::Mixed, on: On::Memory, trace: true };
        let lived = run(&life);
        assert!(lived.violation.is_none());
        let scenario = Scenario::of(&life, &lived, Wanted::Nothing);
        let text = scenario.to_text("a life", &lived);
        let read = Scenario::parse(&text).unwrap();
        assert!(read.to_text("a life", &lived) == text, "read and written again it is another text");
        let again = replay(&read, true);
        assert!(again.transcript == lived.transcript, "another journal");
        assert!(again.story[..lived.story.len()] == lived.story[..], "another story");
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let error = |text: &str| Scenario::parse(text).unwrap_err();
        assert_eq!(error("tasks many"), "line 1: not a number of tasks: `tasks many`");
        assert_eq!(error("tasks 1\nrough\n  dance"), "line 3: nothing that can happen: `dance`");
        assert_eq!(error("rough\nclaim; lane=x"), "line 2: not a number: x: `claim; lane=x`");
        assert_eq!(error("expect failure"), "line 1: not `none` or an invariant: `expect failure`");
        let read =
            Scenario::parse("tasks 2\nexpect invariant_told_once\nsetup\nas usual\nrough\nclaim; lane=2").unwrap();
        assert_eq!((read.tasks, read.steps(), read.wanted), (2, 2, Wanted::Violation("told_once".into())));
    }
}
