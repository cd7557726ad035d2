//! The default branch as it is: do the project's own setup, tests and CI pass there, before anybody works on top of it?
//! Jobs and people ask here in the same way. What tells chance from a red, and the machine from the code, is `Trial`.

use crate::gates::bench::Bench;
use crate::parts::{Of, Run};
use crate::project::Project;
use crate::text::hex;
use crate::toolchain;
use crate::trial::{Trial, Tried};
use orch_core::blame::Blame;
use orch_core::ids::{Sha, Time};
use orch_core::run_of::RunOf;
use orch_core::verdict::FaultNote;
use orch_ports::Fault;
use orch_ports::git::Git;
use orch_store::Fact;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// So many last lines are shown where no test is named.
const LAST: usize = 5;
/// So many failed tests are named.
const NAMED: usize = 100;
/// How a run ends that somebody else ended, most often the kernel for want of memory.
const KILLED: [&str; 2] = ["killed by signal 9", "exit 137"];
/// Longest line that is shown, characters.
const WIDE: usize = 300;

/// What one command said of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Found {
    /// Nothing stands in the way.
    Green {
        /// For people.
        text: String,
    },
    /// It fails there.
    Red {
        /// Digest of what fails.
        subject: String,
        /// What was run, how it ended, and what failed, a line each.
        shown: Vec<String>,
    },
    /// This machine lacks something: that says nothing of the commit.
    Unclear {
        /// What.
        why: String,
    },
}

/// The same, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Where it was run.
    pub commit: Sha,
    /// When it was found so first.
    pub since: Time,
    /// When it was run last.
    pub at: Time,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

/// A command that judges a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which of the project's lines. CI is told which commit it runs on.
    pub of: Of,
    /// Shell line, and how people are told of it.
    pub run: Run,
}

/// The commands that judge a commit of a project, each once. There are none where it has no tests.
pub fn commands(project: &Project) -> Vec<Asked> {
    let test = project.whole(Of::Test).map(|run| Asked { of: Of::Test, run });
    let ci = project.whole(Of::Ci).filter(|_| project.policy.own_ci);
    let mut all: Vec<Asked> = test.into_iter().collect();
    all.extend(ci.filter(|run| all.iter().all(|asked| asked.run != *run)).map(|run| Asked { of: Of::Ci, run }));
    all
}

/// Runs a command on a commit, as often as it takes to tell.
pub async fn judge(
    project: &Project,
    git: &dyn Git,
    bench: &dyn Bench,
    commit: &Sha,
    asked: &Asked,
) -> Result<Found, Fault> {
    let (name, what): (_, fn(String) -> RunOf) = match asked.of {
        Of::Test => ("tests", RunOf::Tests),
        Of::Ci => ("ci", RunOf::Ci),
    };
    let trial = Trial {
        name,
        what,
        run: &asked.run,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        tells_revision: asked.of == Of::Ci,
        project: &project.key,
        git,
        bench,
        head: commit,
        base: commit,
        is_base: true,
        tip: None,
        artefact_dir: "",
        repairs_base: false,
    };
    let tried = trial.run().await?;
    let tree = git.tree(&project.key, commit).await?.to_string();
    Ok(found(&asked.run.shown, (commit, &tree), &tried))
}

fn found(line: &str, (commit, tree): (&Sha, &str), tried: &Tried) -> Found {
    match &tried.blame {
        Blame::Green | Blame::Chance { .. } => {
            let less = tried.degraded().map(|less| format!(", and {less}")).unwrap_or_default();
            Found::Green { text: format!("`{line}` is green on {}{less}", commit.short()) }
        }
        Blame::Machine { .. } => Found::Unclear { why: tried.cannot(line).map(|f| f.text).unwrap_or_default() },
        // Whoever was killed each time tells nothing of the code.
        _ if !tried.run.ok && tried.runs.iter().all(|run| run.failed.is_empty() && KILLED.contains(&&*run.end)) => {
            Found::Unclear { why: format!("`{line}` on {}: {}: something ends it", commit.short(), tried.run.end) }
        }
        Blame::Run { .. } | Blame::Branch { .. } | Blame::Base | Blame::BaseBefore | Blame::Unlucky { .. } => {
            red(line, (commit, tree), tried)
        }
    }
}

fn red(line: &str, (commit, tree): (&Sha, &str), tried: &Tried) -> Found {
    let failed: BTreeSet<&String> = tried.runs.iter().flat_map(|run| &run.failed).collect();
    let run = &tried.run;
    let what = match &run.failed_setup {
        Some(setup) => format!("the setup `{setup}` on {}: {}", commit.short(), run.end),
        None => format!("`{line}` on {}: {}", commit.short(), run.end),
    };
    let mut sum = Sha256::new();
    sum.update(run.failed_setup.as_deref().unwrap_or(line));
    if failed.is_empty() {
        // What fails nobody knows: a yes to it is good for this tree alone.
        sum.update(format!("\0{}\0{tree}", run.end));
    }
    for test in &failed {
        sum.update(format!("\n{test}"));
    }
    let mut shown = vec![cut(&what)];
    if failed.is_empty() {
        let said: Vec<&str> = run.tail.lines().filter(|line| !line.trim().is_empty()).collect();
        shown.extend(said[said.len().saturating_sub(LAST)..].iter().map(|line| cut(line)));
    } else {
        shown.extend(failed.iter().take(NAMED).map(|test| cut(&format!("fails: {test}"))));
        if NAMED < failed.len() {
            shown.push(format!("and {} more", failed.len() - NAMED));
        }
    }
    if !run.log.is_empty() {
        shown.push(format!("log: {}", run.log));
    }
    Found::Red { subject: hex(&sum.finalize()[..8]), shown }
}

fn cut(line: &str) -> String {
    line.trim_end().chars().take(WIDE).collect()
}

impl Verdict {
    /// As it is remembered; `None`: written by another version, which says nothing here.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
    /// The same, the other way round.
    pub fn write(&self) -> Result<String, Fault> {
        serde_json::to_string(self).map_err(|e| Fault::bug(format!("write a verdict of the base: {e}")))
    }
    /// Was this found before, too?
    pub(crate) fn is_as(&self, found: &Found) -> bool {
        std::mem::discriminant(&self.found) == std::mem::discriminant(found)
    }
}

impl Found {
    /// A machine that lacks something, as a fault.
    pub(crate) fn unclear(why: &str) -> FaultNote {
        Fault::permanent(why).note()
    }
}

/// Under which name a verdict is remembered: by the tree, and by all it depends on beside that.
pub fn fact(project: &Project, path: &str, tree: &str, line: &str, quarantine: &str) -> Fact {
    let command = identity(project, path, line, quarantine);
    Fact::Base { project: project.key.clone(), tree: tree.to_owned(), command }
}

/// Setup, command, environment, its longest time, the tools, and which tests are in quarantine.
pub(crate) fn identity(project: &Project, path: &str, line: &str, quarantine: &str) -> String {
    let preparation = &project.preparation;
    let mut text = preparation.identity(line);
    text.extend(["\0", &project.test_timeout_ms.to_string(), "\0", path]);
    text.push_str(&toolchain::identity(
        &preparation.env,
        path,
        &[preparation.setup.as_deref().unwrap_or_default(), line],
    ));
    if !quarantine.is_empty() {
        text.extend(["\0", quarantine]);
    }
    hex(&Sha256::digest(text.as_bytes())[..8])
}
