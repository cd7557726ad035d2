//! What gates work with where they are run by hand: papers as the commit has them, and commands in clean checkouts on scratch
//! ground. No task, no store; it keeps nothing.

use super::bench::{Bench, CommandRun, ProjectCommand, took_ms};
use crate::prepare::{self, Phase, Prepared, Runs};
use crate::project::Project;
use crate::quarantine::Quarantine;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_ports::git::Git;
use orch_ports::supervisor::{Supervisor, files};
use std::path::{Path, PathBuf};

/// How often whoever watches a run is called, milliseconds.
const WATCH_MS: u64 = 1_000;
/// Last lines that are shown of a command.
const TAIL: usize = 30;

/// Looks at a run under way, by its directory; `true`: it has gone on for long enough.
pub type Watch<'a> = dyn Fn(&Path) -> bool + Sync + 'a;

/// Papers and tests of a commit, by hand.
pub struct HandBench<'a> {
    /// The project it is judged for.
    pub project: &'a Project,
    /// Has the commit.
    pub git: &'a dyn Git,
    /// Runs its commands.
    pub supervisor: &'a dyn Supervisor,
    /// Time.
    pub clock: &'a dyn Clock,
    /// What is judged.
    pub head: &'a Sha,
    /// Directory of the artefacts in the repository.
    pub artefact_dir: &'a str,
    /// Checkouts are made here, and run directories below `runs`.
    pub dir: &'a Path,
    /// `PATH` of commands.
    pub path: &'a str,
    /// Tests that a person has put into quarantine.
    pub quarantine: &'a Quarantine,
    /// A red run that leaves less room than this where it worked, bytes, says nothing about the code.
    pub least_free_bytes: u64,
    /// Asked before anything is run; refuses what cannot be checked out.
    pub before: &'a (dyn Fn() -> Result<(), Fault> + Sync),
    /// Called about once a second while something runs.
    pub watch: &'a Watch<'a>,
}

/// Where the runs are, below the directory of a bench.
pub fn runs_dir(dir: &Path) -> PathBuf {
    dir.join("runs")
}

#[async_trait::async_trait]
impl Bench for HandBench<'_> {
    async fn paper(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.git.read_file(&self.project.key, self.head, &format!("{}/{name}", self.artefact_dir)).await
    }

    async fn papers(&self) -> Result<Vec<String>, Fault> {
        let files = self.git.list_files(&self.project.key, self.head, self.artefact_dir).await?;
        let name = |f: String| f.strip_prefix(self.artefact_dir).and_then(|n| n.strip_prefix('/')).map(str::to_owned);
        Ok(files.into_iter().filter_map(name).collect())
    }

    async fn keep(&self, _: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        // By hand it is shown, with `--json`, and belongs to nobody.
        Ok(bytes)
    }

    async fn quarantine(&self) -> Result<Quarantine, Fault> {
        Ok(self.quarantine.clone())
    }

    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault> {
        (self.before)()?;
        let checkout = self.dir.join(format!("checkout-{}", command.name));
        let run = runs_dir(self.dir).join(&command.name);
        self.git.checkout(&self.project.key, command.commit, &checkout).await?;
        let home = run.join("tmp");
        std::fs::create_dir_all(&home).map_err(|e| Fault::transient(format!("write {}: {e}", home.display())))?;
        let spec = self.project.preparation.spec(Prepared {
            line: command.line,
            runs: if command.setup { Runs::SetupFirst } else { Runs::Command },
            checkout,
            run_dir: &run,
            home: &home,
            path: self.path,
            env: command.env.clone(),
            timeout_ms: self.project.test_timeout_ms,
            detach: false,
        })?;
        let ended = self.supervisor.ensure(&run, &spec);
        tokio::pin!(ended);
        let exit = loop {
            tokio::select! {
                exit = &mut ended => break exit?,
                () = self.clock.sleep_ms(WATCH_MS) => if (self.watch)(&run) {
                    self.supervisor.cancel(&run)?;
                },
            }
        };
        let lacks = || prepare::lacks(&run, self.least_free_bytes);
        let lacked = lacks();
        for over in [&spec.cwd, &home] {
            // What cannot be removed now goes with the scratch ground.
            let _ = prepare::remove(over);
        }
        let lacked = lacked.filter(|_| !exit.ok()).and_then(|_| lacks());
        let output = [files::STDOUT, files::STDERR].map(|f| std::fs::read(run.join(f)).unwrap_or_default()).concat();
        let text = orch_ports::masks::readable(&String::from_utf8_lossy(&output));
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let in_setup = !exit.ok() && Phase::of(&run) == Phase::Setup;
        Ok(CommandRun {
            ok: exit.ok(),
            exited: exit.exited(),
            end: exit.describe(),
            tail,
            log: String::new(),
            took_ms: took_ms(&exit),
            lacked,
            failed_setup: self.project.preparation.setup.clone().filter(|_| in_setup),
            output: text,
        })
    }
}
