//! What of a main that somebody else moved a person would have had to approve, had it come by a task: protected paths, what
//! configured commands run, tests that were taken away. It names them; it stops nobody.

use crate::engine::Engine;
use crate::gates::{Bench, CommandRun, Look, ProjectCommand, Subject};
use crate::project::Project;
use crate::security::{self, Standing};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_testguard::tamper;

/// Of a longer way only the names of the paths are looked at.
const LONGEST: usize = 500;
/// Most lines that are kept.
const LINES: usize = 20;

pub(super) async fn came_in(
    engine: &Engine,
    project: &Project,
    from: &Sha,
    to: &Sha,
    rewound: bool,
) -> Result<Vec<String>, Fault> {
    let git = &engine.ports.git;
    let short =
        !rewound && git.commits(&project.key, to, std::slice::from_ref(from), LONGEST + 1).await?.len() <= LONGEST;
    if short {
        match whole(engine, project, from, to).await {
            Err(fault) if !fault.is_transient() => {
                tracing::warn!(%fault, "what came into main is looked at by its paths only");
            }
            answer => return answer,
        }
    }
    let patterns: Vec<&str> = project.security.protected.iter().map(String::as_str).collect();
    let changed = git.changed_files(&project.key, from, to).await?;
    let lines = changed.iter().filter_map(|c| {
        tamper::protected(&c.path, &patterns).map(|pattern| format!("{}: is changed; `{pattern}` is protected", c.path))
    });
    Ok(lines.take(LINES).collect())
}

/// As the security gate looks at a branch.
async fn whole(engine: &Engine, project: &Project, from: &Sha, to: &Sha) -> Result<Vec<String>, Fault> {
    let (git, look) = (&*engine.ports.git, look(engine, project, from, to));
    let brought = git.brought_in(&project.key, from, to).await?;
    let at_head = git.entries(&project.key, to).await?;
    let found = security::protection(&look, &project.security, &brought, &at_head).await?;
    let lines = found.shown().into_iter().map(|line| line.replace(", so a person has to approve it", ""));
    let lines = lines.map(|line| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect());
    Ok(lines.take(LINES).collect())
}

/// Why what these commits bring in may hold a secret, a line each.
pub(crate) async fn secrets(engine: &Engine, project: &Project, from: &Sha, to: &Sha) -> Result<Vec<String>, Fault> {
    let look = look(engine, project, from, to);
    let brought = engine.ports.git.brought_in(&project.key, from, to).await?;
    let secrets = security::secrets(&look, &brought).await?;
    let new = secrets.found.into_iter().filter(|s| s.standing == Standing::New);
    let mut why: Vec<String> = new.map(|s| format!("{}: {}", s.path, s.text)).collect();
    why.extend(secrets.too_large.into_iter().map(|(path, what)| format!("{path}: {what}")));
    why.extend(secrets.incomplete);
    Ok(why)
}

fn look<'a>(engine: &'a Engine, project: &'a Project, from: &Sha, to: &Sha) -> Look<'a> {
    let now = engine.ports.clock.now();
    let subject = Subject {
        stage: "main".into(),
        head: to.clone(),
        base: from.clone(),
        // Documents of tasks are no code there; no task has this one.
        artefact_dir: "docs/work-items/-".into(),
        exact: false,
        since: now,
        now,
        task: None,
    };
    Look { subject, project, git: &*engine.ports.git, probe: &*engine.ports.probe, bench: &Nobody }
}

/// There are no papers, and nothing is run.
struct Nobody;

#[async_trait::async_trait]
impl Bench for Nobody {
    async fn paper(&self, _: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    async fn papers(&self) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }
    async fn keep(&self, _: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        Ok(bytes)
    }
    async fn run(&self, command: &ProjectCommand<'_>) -> Result<CommandRun, Fault> {
        Err(Fault::bug(format!("{} is not run to look at main", command.name)))
    }
}
