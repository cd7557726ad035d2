//! Brings an environment back to what ran before a failed revision. Once; whether it worked is said, not assumed.

use super::deploy::{command, hook_env, image, previous};
use crate::cx::{Cx, Ended};
use orch_core::effect::Outcome;
use orch_core::ids::{Environment, Sha};
use orch_core::run_of::RunOf;
use orch_ports::Fault;
use orch_store::Deployment;

pub(super) async fn ensure(cx: &Cx, environment: Environment, failed: &Sha) -> Result<Ended, Fault> {
    let deploy = &cx.project.deploy;
    let Some(previous) = previous(cx, environment, failed).await? else {
        let text = format!("{environment} has never run another revision: there is nothing to bring back");
        return Ok(Outcome::RolledBack { ok: true, text }.into());
    };
    // `rollback` knows both revisions; without one, deploying the previous revision is the way back.
    let (line, revision, before) = match (&deploy.rollback, &deploy.production) {
        (Some(line), _) => (line, failed, Some(&previous)),
        (None, Some(line)) => (line, &previous, Some(failed)),
        (None, None) => {
            let text = format!("no hook can bring {environment} back to {}", previous.short());
            return Ok(Outcome::RolledBack { ok: false, text }.into());
        }
    };
    let mut env = hook_env(environment, revision, before);
    env.extend(image(cx, &previous).await?);
    let ran = match command(cx, "rollback", RunOf::Rollback(environment), line, revision, env).await? {
        Ok(ran) => ran,
        Err(again) => return Ok(again),
    };
    let ok = ran.exit.ok();
    let deployment = Deployment {
        project: cx.project.key.clone(),
        environment,
        revision: previous.clone(),
        task: cx.task.id,
        ok,
        rollback: true,
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_deployment(cx.job.fence(), deployment).await?)?;
    let text = if ok {
        format!("{environment} is back on {}", previous.short())
    } else {
        format!(
            "{environment} could not be brought back to {}: {}\n{}",
            previous.short(),
            ran.exit.describe(),
            ran.tail
        )
    };
    Ok(Outcome::RolledBack { ok, text }.into())
}
