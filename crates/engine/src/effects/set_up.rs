//! The project's setup in an agent's working directory, before the agent begins: an agent can run the tests at once. What it made
//! and git ignores stays for the agent; whatever else it wrote is gone before. One that fails does not keep the agent from its
//! work, which may be to repair it: it is told.

use super::desk;
use crate::cx::{Cx, Ended};
use crate::prepare::{Prepared, Runs};
use crate::shell::{self, Supervised};
use crate::{layer, layers};
use orch_core::effect::Outcome;
use orch_core::ids::{Role, StageId};
use orch_core::run_of::RunOf;
use orch_ports::Fault;
use orch_ports::agent::files as agent;
use orch_ports::supervisor::{EndReason, ExitRecord, RunState, files};
use orch_store::Charge;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Name of its run.
const NAME: &str = "setup";
/// In its run directory, once the working directory is being made ready for the agent: what the setup left may have moved.
const TAKEN: &str = "taken";
/// Lines of a failed one that the agent is told.
const TOLD: usize = 5;

/// How far it has come.
pub(super) enum SetUp {
    /// The project has none.
    None,
    /// It has run; what the agent is told of it.
    Ran { note: Option<String> },
    /// It has run, and the agent's run was asked for.
    Asked,
    /// The job ends here.
    Over(Ended),
}

pub(super) async fn ensure(cx: &Cx, role: &Role, stage: &StageId) -> Result<SetUp, Fault> {
    let Some(line) = cx.project.preparation.setup.as_deref() else { return Ok(SetUp::None) };
    let (dir, asked) = (cx.run_dir(NAME), cx.run_dir(""));
    let taken = dir.join(TAKEN).exists();
    match cx.engine.ports.supervisor.look(&dir)? {
        RunState::Absent => begin(cx, role, stage, line, &dir).await?,
        RunState::Ended(_) if taken && asked.join(files::SPEC).exists() => return Ok(SetUp::Asked),
        RunState::Ended(_) if taken => {
            shell::never_began(cx, &asked).await?;
            let fault = Fault::transient("the working directory was not made ready: the setup runs again");
            return Ok(SetUp::Over(Ended::Again { charge: Charge::Nothing, new_run: true, not_before: None, fault }));
        }
        RunState::Ended(_) | RunState::Live | RunState::Lost => {}
    }
    let exit = match shell::wait(cx, &dir, &|| cx.project.preparation.setup_keys()).await {
        Ok(Supervised::Ended(exit)) => exit,
        Ok(Supervised::Stopped(exit)) => {
            shell::finish(cx, &dir, &exit, None).await?;
            return Ok(SetUp::Over(Outcome::Cancelled.into()));
        }
        Err(fault) if fault.is_transient() => return Ok(SetUp::Over(shell::again(cx, NAME, fault))),
        Err(fault) => return Err(fault),
    };
    shell::finish(cx, &dir, &exit, None).await?;
    if matches!(exit.reason, EndReason::Cancelled | EndReason::SpawnFailed) {
        // Nobody who may had asked for it.
        let fault = Fault::transient(format!("the setup before the {role}: {}", exit.describe()));
        return Ok(SetUp::Over(Ended::Again { charge: Charge::Attempt, new_run: true, not_before: None, fault }));
    }
    let made = names(&asked.join(agent::HOME)).join("\n");
    std::fs::write(dir.join(TAKEN), made).map_err(|e| Fault::transient(format!("write {}: {e}", dir.display())))?;
    Ok(SetUp::Ran { note: note(line, &dir, &exit) })
}

/// Names in the agent's HOME that the setup made, as they are, and no others: what the agent left there stays.
fn names(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.contains('\n')).collect()
}

/// The agent has ended: what the setup had brought into its HOME ends with it. The agent could write into both places: nothing
/// outside of its HOME is touched, whatever they say.
pub(super) fn over(cx: &Cx) {
    let home = cx.run_dir("").join(agent::HOME);
    if !home.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    let made = std::fs::read_to_string(cx.run_dir(NAME).join(TAKEN)).unwrap_or_default();
    for name in made.lines() {
        let mut parts = Path::new(name).components();
        if let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) {
            layer::discard(&home.join(name));
        }
    }
}

async fn begin(cx: &Cx, role: &Role, stage: &StageId, line: &str, dir: &Path) -> Result<(), Fault> {
    let mut checkout = desk::desk(cx, role, stage, false).await?.worktree;
    let own = cx.run_dir("");
    let [home, tmp] = [agent::HOME, agent::TMP].map(|name| own.join(name));
    for place in [dir, &own, &home, &tmp] {
        shell::private_dir(place)?;
    }
    shell::emptied(&home)?;
    if let Some(layer) = layers::of(cx).await? {
        // A run does without what it cannot have.
        if layer.lay(&home, &checkout).await.is_err() {
            shell::emptied(&home)?;
            checkout = desk::desk(cx, role, stage, false).await?.worktree;
        }
    }
    let env = BTreeMap::from([
        ("ORCH_WORK_ITEM".to_owned(), cx.task.work_item.to_string()),
        ("ORCH_RUN_DIR".to_owned(), dir.display().to_string()),
        ("TMPDIR".to_owned(), tmp.display().to_string()),
    ]);
    let spec = cx.project.preparation.spec(Prepared {
        line,
        runs: Runs::Setup,
        checkout,
        run_dir: dir,
        home: &home,
        path: &cx.engine.options.path,
        env,
        timeout_ms: cx.project.test_timeout_ms,
        detach: false,
    })?;
    let sandbox = Some(cx.project.preparation.sandbox.shown());
    let what = RunOf::Command(format!("setup for the {role}"));
    shell::start(cx, dir, &spec, what, (shell::SHELL, sandbox)).await
}

fn note(line: &str, dir: &Path, exit: &ExitRecord) -> Option<String> {
    if exit.ok() {
        return None;
    }
    let told = shell::tail(&shell::output(dir), TOLD);
    Some(format!("The setup `{line}` failed in your working directory ({}):\n{told}", exit.describe()))
}
