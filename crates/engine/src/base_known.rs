//! What is remembered of the default branch as it is, by tree, command, tools and quarantine.

use crate::base::{self, Found, Verdict};
use crate::cx::Cx;
use crate::quarantine;
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_store::Fact;

/// Whatever has this tree is green with this command, the default branch too once it has landed. For what is green by itself
/// only, and not because a test is in quarantine.
pub(crate) async fn was_green(cx: &Cx, commit: &Sha, line: &str) -> Result<(), Fault> {
    let policy = &cx.project.policy;
    if !policy.base_first {
        return Ok(());
    }
    let quarantine = quarantine::of(cx.store(), &cx.project.key, cx.now()).await?;
    let fact = fact(cx, commit, line, &quarantine::identity(&quarantine)).await?;
    if recall(cx, &fact).await?.is_some_and(|verdict| matches!(verdict.found, Found::Green { .. })) {
        return Ok(());
    }
    let (at, text) = (cx.now(), String::new());
    let verdict = Verdict { commit: commit.clone(), since: at, at, found: Found::Green { text } };
    remember(cx, &fact, &verdict).await
}

pub(crate) async fn recall(cx: &Cx, fact: &Fact) -> Result<Option<Verdict>, Fault> {
    let kept = cx.store().recall(fact).await?;
    Ok(kept.and_then(|text| Verdict::read(&text)))
}

pub(crate) async fn remember(cx: &Cx, fact: &Fact, verdict: &Verdict) -> Result<(), Fault> {
    Ok(cx.store().remember(fact, &verdict.write()?, cx.now()).await?)
}

pub(crate) async fn fact(cx: &Cx, commit: &Sha, line: &str, quarantine: &str) -> Result<Fact, Fault> {
    let tree = cx.engine.ports.git.tree(&cx.project.key, commit).await?.to_string();
    Ok(base::fact(&cx.project, &cx.engine.options.path, &tree, line, quarantine))
}
