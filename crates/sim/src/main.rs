//! Lives many lives and says what they came to; exits with 1 at the first invariant that does not hold.

use clap::Parser;
use orch_sim::{Coverage, Life, Profile, run};
use std::io::Write as _;
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
    /// Print everything that happens, not just the end of a failing life.
    #[arg(long)]
    trace: bool,
    /// Tasks of a life.
    #[arg(long, default_value_t = 3)]
    tasks: u64,
    /// `full`, `lite` or `mixed`.
    #[arg(long, default_value = "mixed", value_parser = profile)]
    pipeline: Profile,
    /// Keep the store in a file that is opened again at every crash.
    #[arg(long)]
    file: bool,
    /// Print one line only: `caught <invariant> <seed>` or `survived`.
    #[arg(long)]
    short: bool,
    /// Do not stop at the first violation: one line each, to see whether there is one cause or several.
    #[arg(long)]
    keep_going: bool,
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::parse(name).ok_or_else(|| "use full, lite or mixed".into())
}

fn main() -> ExitCode {
    let o = Options::parse();
    let mut out = std::io::stdout().lock();
    let began = Instant::now();
    let (start, seeds) = o.seed.map_or((o.start, o.seeds), |seed| (seed, 1));
    let mut failed = false;
    let (mut seen, mut lives, mut steps) = (Coverage::default(), 0_u64, 0_u64);
    for seed in start..start.saturating_add(seeds) {
        if 0 < o.seconds && Duration::from_secs(o.seconds) <= began.elapsed() {
            break;
        }
        let report = run(&Life { seed, tasks: o.tasks, profile: o.pipeline, file: o.file, trace: o.trace });
        lives += 1;
        steps += report.steps;
        seen.add(&report.seen);
        if let Some(violation) = &report.violation {
            if o.keep_going {
                failed = true;
                let _ = writeln!(out, "seed {seed}: invariant_{}: {}", violation.invariant, violation.what);
                continue;
            }
            let name = match o.pipeline {
                Profile::Full => " --pipeline full",
                Profile::Lite => " --pipeline lite",
                Profile::Mixed => "",
            };
            let tasks = if o.tasks == 3 { String::new() } else { format!(" --tasks {}", o.tasks) };
            let file = if o.file { " --file" } else { "" };
            let text = if o.short {
                format!("caught invariant_{} {seed}\n", violation.invariant)
            } else {
                report.scenario(&format!("{name}{tasks}{file}"))
            };
            let _ = out.write_all(text.as_bytes());
            return ExitCode::FAILURE;
        }
        if o.trace {
            let _ = out.write_all(report.scenario("").as_bytes());
        }
    }
    let ms = began.elapsed().as_millis();
    let table =
        if o.short { "survived\n".into() } else { format!("{}{lives} lives, {steps} steps, {ms} ms\n", seen.table()) };
    let _ = out.write_all(table.as_bytes());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
