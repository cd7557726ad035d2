//! What one hostile tree is made of and how it ends: everything follows from the seed and the index. Writes the scripts
//! the tree consists of; they need `sh`, `env` and `setsid`.

use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut dice = Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `low..high`.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0, of.len() as u64) as usize]
    }
}

/// How a tree ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Natural,
    Cancel,
    Deadline,
    Silence,
    KillProgram,
    KillSupervisor,
    Abandon,
}

impl End {
    const ALL: [Self; 7] = [
        Self::Natural,
        Self::Cancel,
        Self::Deadline,
        Self::Silence,
        Self::KillProgram,
        Self::KillSupervisor,
        Self::Abandon,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Natural => "exit",
            Self::Cancel => "cancel",
            Self::Deadline => "deadline",
            Self::Silence => "silence",
            Self::KillProgram => "kill program",
            Self::KillSupervisor => "kill supervisor",
            Self::Abandon => "caller dies, adopted",
        }
    }
}

macro_rules! ways {
    ($($variant:ident $name:literal $line:literal;)*) => {
        /// A way of not wanting to end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Way { $($variant),* }

        impl Way {
            const ALL: &[Self] = &[$(Self::$variant),*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Its line in the program. `@` is the tree's secret directory.
            fn line(self) -> &'static str {
                match self { $(Self::$variant => $line),* }
            }
        }
    };
}

ways! {
    Plain "plain child" "sh @/idle &";
    Session "own session" "setsid sh @/idle &";
    Daemon "double fork, own session" "(setsid sh @/idle </dev/null >/dev/null 2>&1 &)";
    Traceless "daemon without environment" "(setsid env -i /bin/sh @/away </dev/null >/dev/null 2>&1 &)";
    Cleared "cleared environment" "env -i /bin/sh @/idle &";
    Closed "closed standard files" "sh @/idle <&- >&- 2>&- &";
    Deaf "ignores TERM, INT, HUP" "setsid sh @/deaf &";
    Stopped "stopped by SIGSTOP" "sh @/stopped & setsid sh @/stopped &";
    Away "other directory" "(cd / && exec sh @/idle) &";
    Renamed "runs under another name" "@/kworker @/renamed &";
    Chain "chain of 20" "sh @/chain 20 &";
    Storm "fork storm of 63" "sh @/storm 5 &";
    Hopper "forks and exits without end" "sh @/hop &";
    Leaper "the same, by exec, in new sessions" "setsid sh @/leap &";
    Late "forks after the program's end" "setsid sh @/late $$ &";
    OnTerm "forks on TERM" "sh @/onterm &";
    Talker "fills its log" "sh @/talk &";
    LeavesGroup "leaves its control group" "setsid sh @/leave &";
    Nests "makes groups in its group" "sh @/nest &";
}

impl Way {
    /// Does it need a control group to make sense?
    fn of_groups(self) -> bool {
        matches!(self, Self::LeavesGroup | Self::Nests)
    }
}

/// One tree.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) end: End,
    pub(crate) ways: Vec<Way>,
    /// May the supervisor use a control group?
    pub(crate) groups: bool,
    /// Does the program itself, and so everything it starts, ignore SIGTERM?
    pub(crate) deaf: bool,
    /// Is the tree ended while it is still being born?
    pub(crate) early: bool,
    /// Between its being up and its end, milliseconds.
    pub(crate) wait_ms: u64,
    /// Deadline or silence limit, where that is the end, milliseconds.
    pub(crate) limit_ms: u64,
    pub(crate) code: i32,
    /// Left out because nothing but a control group could find it, and there is none.
    pub(crate) left_out: bool,
}

impl Plan {
    /// `groups`: can this machine's supervisors make control groups? `renames`: can `sh` run under another name?
    pub(crate) fn new(seed: u64, index: u64, groups: bool, renames: bool) -> Self {
        let mut dice = Dice::new(seed, index);
        // In turn, so that a short run has them all.
        let end = End::ALL[(index % End::ALL.len() as u64) as usize];
        let with_groups = dice.one_in(2) && groups;
        let mut ways: Vec<Way> = (0..dice.within(2, 7)).map(|_| dice.pick(Way::ALL)).collect();
        ways.sort_by_key(|way| *way as u8);
        ways.dedup();
        let before = ways.len();
        ways.retain(|way| {
            !(*way == Way::Talker && end == End::Silence
                || way.of_groups() && !with_groups
                || *way == Way::Renamed && !renames)
        });
        // The limit of a sweep, written down there: without a group nothing tells whose such a process was.
        let blind = end == End::KillSupervisor && !with_groups;
        let left_out = blind && ways.contains(&Way::Traceless);
        ways.retain(|way| !(blind && *way == Way::Traceless));
        if ways.is_empty() && before > 0 {
            ways.push(Way::Daemon);
        }
        // A program alone: how fast its end is noticed shows only where nothing of a tree is left to be ended.
        if dice.one_in(6) {
            ways.clear();
        }
        Self {
            end,
            ways,
            groups: with_groups,
            deaf: dice.one_in(4),
            early: dice.one_in(5),
            wait_ms: dice.within(0, 200),
            limit_ms: dice.within(400, 900),
            code: dice.within(0, 100) as i32,
            left_out,
        }
    }

    /// Writes the program and its helpers into `secret`, and returns the program.
    pub(crate) fn write(&self, secret: &Path, run_dir: &Path) -> Result<PathBuf> {
        fs::create_dir_all(secret)?;
        let (s, run) = (secret.display().to_string(), run_dir.display().to_string());
        let made = Command::new("mkfifo").arg(secret.join("fifo")).status().context("run mkfifo")?;
        ensure!(made.success(), "mkfifo failed");
        let sh = Path::new("/bin/sh").canonicalize()?;
        std::os::unix::fs::symlink(&sh, secret.join("kworker"))?;
        // Blocks for ever without a child: nobody ever writes into the pipe.
        let idle = format!("exec 9<>{s}/fifo; while :; do read x <&9; done");
        let group = format!("g=$(sed -n 's/.*\"cgroup\": \"\\(.*\\)\".*/\\1/p' {run}/pids.json)");
        let files = [
            ("idle", idle.clone()),
            ("away", format!("cd /\n{idle}")),
            ("deaf", format!("trap '' TERM INT HUP\n{idle}")),
            ("stopped", format!("kill -STOP $$\n{idle}")),
            ("renamed", format!("[ \"$1\" ] || exec {s}/kworker {s}/renamed again\n{idle}")),
            ("chain", format!("[ $1 -gt 0 ] && sh {s}/chain $(($1 - 1)) &\n{idle}")),
            (
                "storm",
                format!(
                    "storm() {{ [ $1 -gt 0 ] && {{ storm $(($1 - 1)) & storm $(($1 - 1)) & }}\n{idle}\n}}\nstorm $1"
                ),
            ),
            // The file `stop` is for the oracle alone, when it has to clear up after a failure.
            ("hop", format!("hop() {{ [ -e {s}/stop ] || (hop &); exit; }}\nhop")),
            ("leap", format!("[ -e {s}/stop ] || setsid sh {s}/leap &\nexit")),
            (
                "late",
                format!(
                    "while kill -0 $1 2>/dev/null; do sleep 0.02; done\nfor i in 1 2 3; do \
                     (setsid sh {s}/idle </dev/null >/dev/null 2>&1 &); done\n{idle}"
                ),
            ),
            ("onterm", format!("trap '(setsid sh {s}/idle </dev/null >/dev/null 2>&1 &)' TERM\n{idle}")),
            ("talk", format!("i=0; while [ $i -lt 20000 ]; do echo {}; i=$((i + 1)); done\n{idle}", "talk".repeat(40))),
            ("leave", format!("{group}\n[ \"$g\" ] && echo 0 >${{g%/*}}/cgroup.procs\n{idle}")),
            ("nest", format!("{group}\n[ \"$g\" ] && mkdir -p $g/a/b && echo 0 >$g/a/b/cgroup.procs\n{idle}")),
        ];
        for (name, text) in files {
            fs::write(secret.join(name), text + "\n")?;
        }
        let mut main = format!("echo x >>{s}/starts\n");
        if self.deaf {
            main += "trap '' TERM\n";
        }
        for way in &self.ways {
            let _ = writeln!(main, "{}", way.line().replace('@', &s));
        }
        let _ = writeln!(main, "echo up >{s}/up\nwhile [ ! -e {s}/go ]; do sleep 0.02; done\nexit {}", self.code);
        let program = secret.join("main");
        fs::write(&program, main)?;
        Ok(program)
    }
}
