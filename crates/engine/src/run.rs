//! The life of the engine in a process: takes over what a dead one left, then claims, watches and settles until it is told to
//! end.

use crate::engine::Engine;
use crate::project::Projects;
use crate::{budgets, driver, pause, runner, standing};
use orch_core::effect::Lane;
use orch_ports::Fault;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

impl Engine {
    /// From now on these are the projects. Jobs under way keep what they began with, tasks their pipeline.
    pub async fn reload(&self, projects: Projects) -> Result<(), Fault> {
        self.set_projects(projects);
        standing::take_up(self).await?;
        budgets::look_again(self).await;
        self.wake.values().for_each(tokio::sync::Notify::notify_one);
        Ok(())
    }

    /// Works until `shutdown`: takes over what a dead process left, then claims, watches and settles.
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) -> Result<(), Fault> {
        let store = &self.ports.store;
        let lease_ms = self.options.merge_lease_ms;
        let recover = || store.recover(&self.options.worker, lease_ms);
        let Some(taken) = self.until_answered(&shutdown, recover).await? else { return Ok(()) };
        if !taken.is_empty() {
            tracing::info!("{} jobs of the process before are taken over", taken.len());
        }
        for reaped in taken.iter().filter(|r| 0 < r.deaths) {
            tracing::warn!(job = %reaped.job, "its worker died {} times", reaped.deaths);
        }
        // Whatever was put off for longer than anything ever is was put off by a clock that was wrong.
        let longest = || self.ports.clock.now().plus_ms(self.options.backoff_max_ms.saturating_mul(2));
        let hurry = || store.hurry(longest(), self.ports.clock.now());
        let Some(_) = self.until_answered(&shutdown, hurry).await? else { return Ok(()) };
        let Some(unknown) = self.until_answered(&shutdown, || store.unknown_jobs()).await? else { return Ok(()) };
        for unknown in unknown {
            let (id, kind, why) = (unknown.id, &unknown.kind, &unknown.why);
            tracing::warn!("job {id} is of a kind this version does not know (`{kind}`) and is kept: {why}");
        }
        let Some(()) = self.until_answered(&shutdown, || self.load_circuits()).await? else { return Ok(()) };
        let Some(()) = self.until_answered(&shutdown, || standing::at_start(self)).await? else { return Ok(()) };
        let Some(()) = self.until_answered(&shutdown, || self.know_what_is_halted()).await? else { return Ok(()) };
        for pause in self.paused() {
            tracing::warn!("{}: nothing is begun, agents stand still; `{}` ends it", pause.line(), pause.ends);
        }
        let mut loops = JoinSet::new();
        // Before anything is tried: agents that ran on without this process stand again.
        loops.spawn(pause::follow(Arc::clone(self), shutdown.clone()));
        runner::trials(self, &shutdown, &mut loops).await;
        for lane in Lane::ALL {
            loops.spawn(runner::run_lane(Arc::clone(self), *lane, shutdown.clone()));
        }
        loops.spawn(driver::run(Arc::clone(self), shutdown.clone()));
        while loops.join_next().await.is_some() {}
        // What is still claimed has not failed anybody: nobody has died.
        match store.release(&self.options.worker).await {
            Ok(0) => {}
            Ok(released) => tracing::info!("{released} jobs are left to the next process"),
            // The next process takes them back; it only cannot know that nobody died.
            Err(error) => tracing::warn!(%error, "could not give back what was claimed"),
        }
        Ok(())
    }

    /// Asks the store until it answers: a disk that is full at the start is no reason to end. `None`: `shutdown` came
    /// first.
    ///
    /// # Errors
    /// A fault that does not pass by itself.
    pub async fn until_answered<T, E, F>(
        &self,
        shutdown: &CancellationToken,
        ask: impl Fn() -> F,
    ) -> Result<Option<T>, Fault>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Fault>,
    {
        loop {
            match ask().await.map_err(Into::into) {
                Ok(answer) => return Ok(Some(answer)),
                Err(fault) if fault.is_transient() => {
                    tracing::error!(%fault, "cannot begin; trying again");
                    tokio::select! {
                        () = self.ports.clock.sleep_ms(1_000) => {}
                        () = shutdown.cancelled() => return Ok(None),
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}
