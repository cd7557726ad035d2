//! What a project's setup left on the default branch, kept for later runs: each begins with a copy of its own, which ends with it.
//! Decides which setup, lock files and toolchain it belongs to, and when it is made. Nothing but a setup on the default branch may
//! write it: what a branch ran can change what nobody else sees. One that was changed all the same is noticed and made anew.
//!
//! It is a convenience. A run without it downloads again what it needs, so that no fault of it fails a run.

use crate::cx::Cx;
use crate::layer::{self, Layer, Turn};
use crate::prepare::Runs;
use crate::shell::{self, Command};
use crate::text::hex;
use crate::toolchain;
use orch_core::effect::Effect;
use orch_core::ids::Sha;
use orch_core::run_of::RunOf;
use orch_ports::Fault;
use orch_ports::supervisor::RunState;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;

/// Begins the names of its runs; behind it stand the layer and a number.
const NAME: &str = "layer";
/// How long after a setup of the default branch that failed none is tried, milliseconds.
const AGAIN_MS: i64 = 600_000;

/// Files that say what a setup installs, and with which toolchain.
const LOCKS: &[&str] = &[
    "build.sbt",
    "deno.lock",
    "go.work",
    "go.work.sum",
    "libs.versions.toml",
    ".ruby-version",
    "settings.gradle",
    "settings.gradle.kts",
    ".node-version",
    ".npmrc",
    ".nvmrc",
    ".python-version",
    ".tool-versions",
    ".yarnrc.yml",
    "Cargo.lock",
    "Cargo.toml",
    "Gemfile",
    "Gemfile.lock",
    "Pipfile",
    "Pipfile.lock",
    "build.gradle",
    "build.gradle.kts",
    "bun.lock",
    "bun.lockb",
    "composer.json",
    "composer.lock",
    "go.mod",
    "go.sum",
    "gradle.lockfile",
    "mix.exs",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "poetry.lock",
    "pom.xml",
    "pyproject.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "uv.lock",
    "yarn.lock",
];

/// The layer for a run of the project that is about to begin, made first if it is not there. `None`: it keeps none, or it cannot be
/// made now.
///
/// # Errors
/// The job is to be stopped.
pub(crate) async fn of(cx: &Cx) -> Result<Option<Layer>, Fault> {
    match look_for(cx).await {
        Err(fault) if !cx.stop.is_cancelled() => {
            tracing::warn!(%fault, "the run begins without what the setup left on the default branch");
            Ok(None)
        }
        found => found,
    }
}

async fn look_for(cx: &Cx) -> Result<Option<Layer>, Fault> {
    let preparation = &cx.project.preparation;
    if preparation.setup.is_none() || preparation.cache.is_empty() {
        return Ok(None);
    }
    let tip = cx.fetch().await?.tip;
    let key = key(cx, &tip).await?;
    let place = cx.engine.options.layers_dir.join(cx.project.key.as_str()).join(&key);
    let Turn { making, failed } = cx.engine.layers.turn(&cx.project.key);
    let there = || Layer::at(&place, &preparation.cache, failed.clone(), cx.now());
    let has_failed = || {
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().is_some_and(|(of, at)| *of == key && cx.now().since_ms(*at) < AGAIN_MS)
    };
    if has_failed() {
        return Ok(None);
    }
    if let Some(layer) = there() {
        return Ok(Some(layer));
    }
    // Whether the setup passes there is only being found out: it is not run once more for it.
    if matches!(cx.job.effect, Effect::JudgeBase) {
        return Ok(None);
    }
    let _alone = tokio::select! {
        alone = making.lock() => alone,
        () = cx.stop.cancelled() => return Err(Fault::transient("the run was stopped on demand before it began")),
    };
    if there().is_none() && !has_failed() && !make(cx, &tip, &place).await? {
        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((key.clone(), cx.now()));
    }
    Ok(there())
}

/// What a layer is of: another setup, environment, lock file or toolchain is another layer.
async fn key(cx: &Cx, tip: &Sha) -> Result<String, Fault> {
    let preparation = &cx.project.preparation;
    let mut text = preparation.identity(&preparation.cache.join("\n"));
    text.push_str("\n\n");
    text.push_str(&toolchain::identity(
        &preparation.env,
        &cx.engine.options.path,
        &[preparation.setup.as_deref().unwrap_or_default()],
    ));
    for entry in cx.engine.ports.git.entries(&cx.project.key, tip).await? {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        if LOCKS.contains(&name) || name.contains("requirements") || entry.path.contains("requirements/") {
            text.extend(["\n", &entry.path, " ", &entry.oid]);
        }
    }
    Ok(hex(&Sha256::digest(text.as_bytes())[..12]))
}

/// The first of its runs that can still come to something: one whose files are gone has been taken, or was about to be.
async fn run_name(cx: &Cx, place: &Path) -> Result<String, Fault> {
    let key = place.file_name().unwrap_or_default().to_string_lossy();
    let mut nth = 1;
    loop {
        let name = format!("{NAME}-{key}-{nth}");
        let dir = cx.run_dir(&name);
        let files = [dir.join("tmp"), cx.engine.options.checkouts_dir.join(cx.run_name(&name))];
        match cx.engine.ports.supervisor.look(&dir)? {
            RunState::Ended(_) if !files.iter().all(|file| file.is_dir()) => nth += 1,
            RunState::Lost => {
                over(cx, &name).await?;
                nth += 1;
            }
            RunState::Absent | RunState::Live | RunState::Ended(_) => return Ok(name),
        }
    }
}

/// Nobody asks for this run again, and it left no end that could be written down.
async fn over(cx: &Cx, name: &str) -> Result<(), Fault> {
    let dir = cx.run_dir(name);
    shell::never_began(cx, &dir).await?;
    for place in [dir.join("tmp"), cx.engine.options.checkouts_dir.join(cx.run_name(name))] {
        layer::discard(&place);
    }
    Ok(())
}

/// Runs the setup on the default branch and keeps what it left. False: it failed, and nothing is kept.
async fn make(cx: &Cx, tip: &Sha, place: &Path) -> Result<bool, Fault> {
    let Some(line) = cx.project.preparation.setup.as_deref() else { return Ok(false) };
    let name = run_name(cx, place).await?;
    let (dir, own) = (cx.run_dir(&name), cx.engine.options.checkouts_dir.join(cx.run_name(&name)));
    let command = Command {
        name: &name,
        what: RunOf::Command(format!("setup on {} of the default branch", tip.short())),
        line,
        commit: tip,
        timeout_ms: cx.project.test_timeout_ms,
        env: BTreeMap::new(),
        runs: Runs::Setup,
        detach: false,
        layer: None,
        keep: true,
    };
    let ran = match shell::run(cx, &command).await {
        Ok(ran) => ran,
        Err(fault) => {
            if cx.engine.ports.supervisor.look(&dir)? != RunState::Live {
                over(cx, &name).await?;
            }
            if cx.stop.is_cancelled() {
                return Err(fault);
            }
            tracing::info!(%fault, "the setup on the default branch came to no end: nothing of it is kept for others");
            return Ok(false);
        }
    };
    let (home, checkout) = (ran.dir.join("tmp"), own);
    let kept = if ran.exit.ok() {
        let (to, cache) = (place.to_owned(), cx.project.preparation.cache.clone());
        let made = (tip.clone(), cx.now());
        let (home, checkout) = (home.clone(), checkout.clone());
        let taken = tokio::task::spawn_blocking(move || layer::take(&to, &cache, made, [&home, &checkout])).await;
        match taken {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what the setup left could not be kept");
                layer::discard(place);
                false
            }
            Err(_) => false,
        }
    } else {
        tracing::info!(
            end = ran.exit.describe(),
            "the setup fails on the default branch: nothing of it is kept for others"
        );
        false
    };
    for place in [&home, &checkout] {
        layer::discard(place);
    }
    Ok(kept)
}
