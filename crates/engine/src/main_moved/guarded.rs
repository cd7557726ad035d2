//! What of a main that somebody else moved a person would have had to approve, had it come by a task: protected paths, what
//! configured commands run, tests that were taken away. It names them; it stops nobody.

use crate::engine::Engine;
use crate::project::Project;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_testguard::tamper;

/// Of a longer way only the names of the paths are looked at.
const LONGEST: usize = 500;
/// Most lines that are kept.
const LINES: usize = 20;

/// As every project on the repository would have asked: each has commands of its own.
pub(super) async fn came_in(
    engine: &Engine,
    project: &Project,
    from: &Sha,
    to: &Sha,
    rewound: bool,
) -> Result<Vec<String>, Fault> {
    let mut lines: Vec<String> = Vec::new();
    for of in engine.sharing(&project.repository) {
        for line in for_one(engine, &of, from, to, rewound).await? {
            if lines.len() < LINES && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

async fn for_one(
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
    let range = project.range(&*engine.ports.git, from, to, engine.ports.clock.now());
    let found = orch_security::protection(&range).await?;
    let lines = found.shown().into_iter().map(|line| line.replace(", so a person has to approve it", ""));
    let lines = lines.map(|line| orch_core::plain::shown_line(&line));
    Ok(lines.take(LINES).collect())
}

/// Why what these commits bring in may hold a secret, a line each.
pub(crate) async fn secrets(engine: &Engine, project: &Project, from: &Sha, to: &Sha) -> Result<Vec<String>, Fault> {
    orch_security::leaks(&project.range(&*engine.ports.git, from, to, engine.ports.clock.now())).await
}
