//! `orch-supervise <run-dir>` or `orch-supervise supervise <run-dir>`: the supervisor alone, without the rest of orch.
//! Decides nothing; exists so that a run can be owned (and tested) where the whole binary is not wanted.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [dir] => orch_supervise::supervise_main(Path::new(dir)),
        [verb, dir] if verb == "supervise" => orch_supervise::supervise_main(Path::new(dir)),
        _ => {
            let _ = writeln!(std::io::stderr(), "usage: orch-supervise [supervise] <run-dir>");
            ExitCode::from(orch_supervise::exit_codes::UNUSABLE)
        }
    }
}
