//! Lives many lives and says what they came to; exits with 1 at the first invariant that does not hold, with the life made
//! as small as it can be in a file.

use clap::Parser;
use orch_sim::{Coverage, Life, On, Profile, Report, Scenario, Wanted, replay, run, shrink};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(about = "Simulates core and store under faults")]
struct Options {
    /// How many lives.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Stop after this many seconds, however many seeds are left (0: never).
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Live exactly this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Live exactly what this file says.
    #[arg(long, conflicts_with = "seed")]
    scn: Option<PathBuf>,
    /// Look for a life that comes to this place (`<kind>/<name>` of the table), shrink it and write it.
    #[arg(long, conflicts_with = "scn")]
    find: Option<String>,
    /// Where scenarios are written.
    #[arg(long, default_value = "target/scn")]
    scn_dir: PathBuf,
    /// How long to make a failing life smaller, seconds (0: not at all).
    #[arg(long, default_value_t = 30)]
    shrink: u64,
    /// Print everything that happens, not just the end of a failing life.
    #[arg(long)]
    trace: bool,
    /// Tasks of a life.
    #[arg(long, default_value_t = 3)]
    tasks: u64,
    /// `full`, `lite` or `mixed`.
    #[arg(long, default_value = "mixed", value_parser = profile)]
    pipeline: Profile,
    /// The store they live on: `memory`, `sqlite`, or `file` (SQLite, opened again at every crash).
    #[arg(long, default_value = "memory", value_parser = on)]
    on: On,
    /// Print one line only: `caught <invariant> <seed> <steps> <steps when shrunk>` or `survived`.
    #[arg(long)]
    short: bool,
    /// Do not stop at the first violation: one line each, to see whether there is one cause or several.
    #[arg(long)]
    keep_going: bool,
}

fn on(name: &str) -> Result<On, String> {
    On::parse(name).ok_or_else(|| "use memory, sqlite or file".into())
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::parse(name).ok_or_else(|| "use full, lite, mixed or people".into())
}

impl Options {
    fn life(&self, seed: u64) -> Life {
        Life { seed, tasks: self.tasks, profile: self.pipeline, on: self.on, trace: self.trace }
    }

    /// What has to be given again to live the same life.
    fn again(&self) -> String {
        let mut text = String::new();
        if self.pipeline != Profile::Mixed {
            let _ = write!(text, " --pipeline {}", self.pipeline.name());
        }
        if self.tasks != 3 {
            let _ = write!(text, " --tasks {}", self.tasks);
        }
        if self.on != On::Memory {
            let _ = write!(text, " --on {}", self.on.name());
        }
        text
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn main() -> ExitCode {
    let o = Options::parse();
    match (&o.scn, &o.find) {
        (Some(file), _) => live_again(&o, file),
        (None, Some(place)) => find(&o, place),
        (None, None) => live(&o),
    }
}

/// Lives what a file says.
fn live_again(o: &Options, file: &Path) -> ExitCode {
    let read = std::fs::read_to_string(file).map_err(|e| e.to_string()).and_then(|text| Scenario::parse(&text));
    let scenario = match read {
        Ok(scenario) => scenario,
        Err(error) => {
            say(&format!("{}: {error}\n", file.display()));
            return ExitCode::FAILURE;
        }
    };
    let report = replay(&scenario, o.trace);
    say(&report.told());
    let (met, what) = (scenario.wanted.is_met(&report), format!("{:?}", scenario.wanted));
    say(&format!("{} steps; expected {what}: {}\n", report.steps, if met { "yes" } else { "NO" }));
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks for a life that comes to a place.
fn find(o: &Options, place: &str) -> ExitCode {
    let Some((kind, name)) = place.split_once('/') else {
        say("a place is <kind>/<name>, as in the table\n");
        return ExitCode::FAILURE;
    };
    let wanted = Wanted::Reaches(kind.into(), name.into());
    let found = (o.start..o.start.saturating_add(o.seeds)).map(|seed| (seed, run(&o.life(seed))));
    let mut found = found.filter(|(_, report)| wanted.is_met(report));
    let Some((seed, report)) = found.next() else {
        say(&format!("no life comes to {place}\n"));
        return ExitCode::FAILURE;
    };
    let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let scenario = Scenario::of(&o.life(seed), &report, wanted);
    let title = format!("Found with: cargo run -p orch-sim -- --find '{place}'{}", o.again());
    let (_, text) = smaller(o, &scenario, &report, &title, &stem.replace("--", "-"));
    say(&text);
    ExitCode::SUCCESS
}

/// Shrinks, writes and says so. Steps of what was written.
fn smaller(o: &Options, scenario: &Scenario, report: &Report, title: &str, stem: &str) -> (usize, String) {
    let began = Instant::now();
    let Some((small, last)) = shrink(scenario, Duration::from_secs(o.shrink), u64::MAX) else {
        let text = "THE REPLAY IS ANOTHER LIFE: something in the simulation does not come from its choices\n";
        return (scenario.steps(), text.into());
    };
    let file = o.scn_dir.join(format!("{stem}.scn"));
    let written = std::fs::create_dir_all(&o.scn_dir).and_then(|()| std::fs::write(&file, small.to_text(title, &last)));
    let text = match written {
        Ok(()) => format!(
            "shrunk from {} steps and {} tasks to {} and {} in {} s: {}\n",
            report.steps,
            scenario.tasks,
            small.steps(),
            small.tasks,
            began.elapsed().as_secs(),
            file.display()
        ),
        Err(error) => format!("cannot write {}: {error}\n", file.display()),
    };
    (small.steps(), text)
}

fn live(o: &Options) -> ExitCode {
    let began = Instant::now();
    let (start, seeds) = o.seed.map_or((o.start, o.seeds), |seed| (seed, 1));
    let mut failed = false;
    let (mut seen, mut lives, mut steps) = (Coverage::default(), 0_u64, 0_u64);
    for seed in start..start.saturating_add(seeds) {
        if 0 < o.seconds && Duration::from_secs(o.seconds) <= began.elapsed() {
            break;
        }
        let report = run(&o.life(seed));
        lives += 1;
        steps += report.steps;
        seen.add(&report.seen);
        if let Some(violation) = &report.violation {
            failed = true;
            let scenario = Scenario::of(&o.life(seed), &report, Wanted::Violation(violation.invariant.into()));
            let (small, text) = if o.shrink == 0 {
                (scenario.steps(), String::new())
            } else {
                smaller(o, &scenario, &report, &format!("Seed {seed}."), &format!("seed-{seed}"))
            };
            if o.keep_going {
                say(&format!("seed {seed}: invariant_{}: {}\n{text}", violation.invariant, violation.what));
                continue;
            }
            say(&if o.short {
                format!("caught invariant_{} {seed} {} {small}\n", violation.invariant, report.steps)
            } else {
                format!("{}{text}", report.scenario(&o.again()))
            });
            return ExitCode::FAILURE;
        }
        if o.trace {
            say(&report.told());
        }
    }
    let ms = began.elapsed().as_millis();
    say(&if o.short {
        "survived\n".into()
    } else {
        format!("{}{lives} lives, {steps} steps, {ms} ms\n", seen.table())
    });
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
