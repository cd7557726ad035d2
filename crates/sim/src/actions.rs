//! What can happen next, and how often: one of these is chosen again and again, and each is one line of a scenario.

use crate::choices::Choices;
use crate::crash::CRASH_NOW;
use crate::sim::{Live, Sim};
use orch_core::ids::TaskId;
use std::collections::BTreeMap;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A paused worker wakes.
    Wake,
    /// A worker claims a job.
    Claim,
    /// A worker does what it claimed.
    Act,
    /// A worker reports.
    Settle,
    /// Somebody does something.
    Person,
    /// A person who means well helps one task on.
    Help,
    /// Somebody else does something on the forge.
    Stranger,
    /// Time passes.
    Pass,
    /// The watcher of timers looks.
    Timers,
    /// The reaper looks.
    Reaper,
    /// The watcher of the inbox looks.
    Inbox,
    /// The watchers of tickets and of main look.
    Poll,
    /// The watcher of the disk looks.
    Disk,
    /// A task is told to look.
    Nudge,
    /// The process is killed.
    Crash,
}

use Action::{Act, Claim, Crash, Disk, Help, Inbox, Nudge, Pass, Person, Poll, Reaper, Settle, Stranger, Timers, Wake};

/// How often while things fail, and while nothing does.
const WEIGHTS: &[(Action, &str, u64, u64)] = &[
    (Wake, "wake", 2, 0),
    (Claim, "claim", 20, 25),
    (Act, "act", 32, 25),
    (Settle, "settle", 20, 25),
    (Person, "person", 7, 0),
    (Help, "help", 0, 7),
    (Stranger, "stranger", 1, 0),
    (Pass, "pass", 8, 8),
    (Timers, "timers", 3, 4),
    (Reaper, "reaper", 2, 3),
    (Inbox, "inbox", 2, 2),
    (Poll, "poll", 2, 2),
    (Disk, "disk", 1, 1),
    (Nudge, "nudge", 2, 0),
    (Crash, "crash", 1, 0),
];

/// Whose turn it is behind the end of a script: everybody's.
const TURNS: [Action; Choices::ROUND as usize] =
    [Claim, Act, Settle, Help, Claim, Act, Settle, Pass, Timers, Reaper, Inbox, Poll];

impl Action {
    /// Name of the choice.
    pub(crate) const NAME: &'static str = "do";

    /// Each.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        WEIGHTS.iter().map(|w| w.0)
    }
    pub(crate) fn at(index: usize) -> Self {
        WEIGHTS.get(index).map_or(Wake, |w| w.0)
    }
    pub(crate) fn index(self) -> usize {
        WEIGHTS.iter().position(|w| w.0 == self).unwrap_or(0)
    }
    pub(crate) fn name(self) -> &'static str {
        WEIGHTS[self.index()].1
    }
    pub(crate) fn parse(name: &str) -> Option<Self> {
        WEIGHTS.iter().find(|w| w.1 == name).map(|w| w.0)
    }
}

impl Sim {
    /// One thing happens.
    pub(crate) fn happen(&mut self, patience: &mut BTreeMap<TaskId, u32>) -> Live<()> {
        self.steps += 1;
        self.choices.begin(self.faults_on);
        self.take_turns();
        let weights: Vec<u64> = WEIGHTS.iter().map(|w| if self.faults_on { w.2 } else { w.3 }).collect();
        let turns: Vec<u64> = TURNS.iter().map(|a| a.index() as u64).collect();
        let action = Action::at(self.choices.weighted(Action::NAME, &weights, &turns));
        if self.hunts_a_process() && self.hit("process killed", 60) {
            return self.crash(CRASH_NOW);
        }
        if self.a_merge_is_over_for_a_sleeper() && self.hit("zombie of a merge wakes", 600) {
            self.wake_a_sleeper();
            return self.act_any();
        }
        match action {
            Wake => {
                self.wake_a_sleeper();
                Ok(())
            }
            Claim => self.claim_any(),
            Act => self.act_any(),
            Settle => self.settle_any(),
            Person => self.person(),
            Help => self.help(patience),
            Stranger => self.stranger(),
            Pass => self.pass(),
            Timers => self.sweep_timers(),
            Reaper => self.sweep_claims(),
            Inbox => self.sweep_inbox(),
            Poll => {
                self.sweep_tickets()?;
                self.sweep_main()
            }
            Disk => self.sweep_disk(),
            Nudge => self.nudge(),
            Crash => {
                if self.hit("process killed", 250) {
                    self.crash(CRASH_NOW)
                } else {
                    Ok(())
                }
            }
        }
    }
}
