//! Watches production for a while after the deploy. A probe that cannot look says nothing about the service: it is
//! neither success nor a reason to roll back.

use super::deploy::{contains, later};
use crate::cx::{Cx, Ended};
use crate::shell::stamp;
use crate::text::hex;
use orch_core::effect::Outcome;
use orch_core::ids::{Sha, StageId, Time};
use orch_core::task::DoneOutcome;
use orch_ports::Fault;
use orch_ports::probe::ProbeAnswer;
use orch_store::ArtefactRow;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Longest wait for one probe, milliseconds.
const PROBE_MS: u64 = 5_000;

/// What one look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Good,
    Bad(String),
    Unknown(String),
}

pub(super) async fn ensure(cx: &Cx, revision: &Sha, since: Time) -> Result<Ended, Fault> {
    let Some(url) = cx.project.deploy.health_url.as_deref() else {
        return Ok(Outcome::Watched { outcome: DoneOutcome::NotWatched }.into());
    };
    let plan = &cx.project.watch;
    let ends = since.plus_ms(plan.window_ms);
    let mut seen: Vec<(Time, Seen)> = Vec::new();
    let outcome = loop {
        seen.push((cx.now(), look(cx, url, revision).await));
        if let Some(outcome) = early(&seen, plan.fails) {
            break outcome;
        }
        let now = cx.now();
        if ends <= now {
            break at_the_end(&seen);
        }
        let pause = ends.since_ms(now).min(plan.interval_ms).max(1);
        tokio::select! {
            () = cx.engine.ports.clock.sleep_ms(pause.unsigned_abs()) => {}
            () = cx.stop.cancelled() => return Ok(Outcome::Cancelled.into()),
        }
    };
    record(cx, url, revision, outcome, &seen).await?;
    Ok(Outcome::Watched { outcome }.into())
}

async fn look(cx: &Cx, url: &str, revision: &Sha) -> Seen {
    let answer = cx.engine.ports.probe.get(url, PROBE_MS).await;
    let running = answer.as_ref().ok().and_then(|a| a.revision.as_deref());
    match replaced(cx, running, revision).await {
        Ok(later) => seen(answer, revision, later.as_ref()),
        Err(fault) => Seen::Unknown(fault.text),
    }
}

/// The later revision in production: by what the service reports, for a deploy is written down only after its check;
/// else by what was deployed.
async fn replaced(cx: &Cx, running: Option<&str>, revision: &Sha) -> Result<Option<Sha>, Fault> {
    match running {
        Some(running) if contains(cx, running, revision).await? => Ok(Some(Sha::new(running))),
        _ => later(cx, revision).await,
    }
}

/// What an answer says about this revision. Once a later one has replaced it, good is still good, for the later one
/// contains it; but what is bad then belongs to the later one's own watch, and must not roll this one back.
fn seen(answer: Result<ProbeAnswer, Fault>, revision: &Sha, later: Option<&Sha>) -> Seen {
    let bad = |text: String| match later {
        Some(later) => Seen::Unknown(format!("{} has replaced it; {text}", later.short())),
        None => Seen::Bad(text),
    };
    match answer {
        Ok(answer) if !(200..300).contains(&answer.status) => bad(format!("HTTP {}", answer.status)),
        Ok(answer) => match answer.revision {
            Some(running) if running != revision.as_str() && later.is_none_or(|l| running != l.as_str()) => {
                bad(format!("it runs {running}"))
            }
            Some(_) | None => Seen::Good,
        },
        Err(fault) if fault.is_transient() => Seen::Unknown(fault.text),
        Err(fault) => bad(fault.text),
    }
}

/// Degraded as soon as enough looks in a row were bad.
fn early(seen: &[(Time, Seen)], fails: u32) -> Option<DoneOutcome> {
    let bad = seen.iter().rev().take_while(|(_, s)| matches!(s, Seen::Bad(_))).count();
    (fails.max(1) as usize <= bad).then_some(DoneOutcome::Degraded)
}

/// Healthy if the last thing that could be seen was good; nothing seen at all is inconclusive.
fn at_the_end(seen: &[(Time, Seen)]) -> DoneOutcome {
    match seen.iter().rev().find(|(_, s)| !matches!(s, Seen::Unknown(_))) {
        Some((_, Seen::Good)) => DoneOutcome::Healthy,
        Some((_, Seen::Bad(_) | Seen::Unknown(_))) => DoneOutcome::Degraded,
        None => DoneOutcome::Inconclusive,
    }
}

async fn record(cx: &Cx, url: &str, revision: &Sha, outcome: DoneOutcome, seen: &[(Time, Seen)]) -> Result<(), Fault> {
    let status = if outcome == DoneOutcome::Healthy { "HEALTHY" } else { "DEGRADED" };
    let action = if outcome == DoneOutcome::Degraded && cx.project.policy.auto_rollback { "rollback" } else { "none" };
    let mut text = format!(
        "---\npost_deploy_status: {status}\naction_taken: {action}\n---\n\n# {} in production\n\n",
        cx.task.work_item
    );
    let _ = writeln!(text, "- `{url}`, expected revision `{revision}`\n- outcome: {}\n", outcome.as_str());
    for (at, look) in seen {
        let _ = match look {
            Seen::Good => writeln!(text, "- {} good", stamp(*at)),
            Seen::Bad(why) => writeln!(text, "- {} bad: {why}", stamp(*at)),
            Seen::Unknown(why) => writeln!(text, "- {} cannot tell: {why}", stamp(*at)),
        };
    }
    let row = ArtefactRow {
        task: cx.task.id,
        stage: StageId::new("done"),
        run: cx.job.id.seq,
        name: "16-post-deploy-log.md".into(),
        sha256: hex(&Sha256::digest(text.as_bytes())),
        bytes: text.into_bytes(),
        subject: revision.to_string(),
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_artefacts(cx.job.fence(), vec![row]).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(looks: &[&str]) -> Vec<(Time, Seen)> {
        let look = |w: &&str| match *w {
            "good" => Seen::Good,
            "bad" => Seen::Bad("HTTP 500".into()),
            _ => Seen::Unknown("no network".into()),
        };
        looks.iter().map(|w| (Time(0), look(w))).collect()
    }

    #[test]
    fn only_bad_looks_in_a_row_degrade_early() {
        assert_eq!(early(&looks(&["bad", "good", "bad", "bad"]), 3), None);
        assert_eq!(early(&looks(&["bad", "bad", "?"]), 2), None);
        assert_eq!(early(&looks(&["good", "bad", "bad", "bad"]), 3), Some(DoneOutcome::Degraded));
    }

    #[test]
    fn a_watch_that_saw_nothing_is_inconclusive() {
        assert_eq!(at_the_end(&looks(&["?", "?"])), DoneOutcome::Inconclusive);
        assert_eq!(at_the_end(&looks(&["good", "?"])), DoneOutcome::Healthy);
        assert_eq!(at_the_end(&looks(&["good", "bad"])), DoneOutcome::Degraded);
    }

    #[test]
    fn a_later_revision_answers_for_itself() {
        let (ours, later) = (Sha::new("1".repeat(40)), Sha::new("2".repeat(40)));
        let says = |status, revision: &Sha| {
            Ok(ProbeAnswer { status, revision: Some(revision.to_string()), body: String::new() })
        };
        assert_eq!(seen(says(200, &ours), &ours, None), Seen::Good);
        assert!(matches!(seen(says(200, &later), &ours, None), Seen::Bad(_)));
        assert_eq!(seen(says(200, &later), &ours, Some(&later)), Seen::Good);
        assert!(matches!(seen(says(500, &ours), &ours, None), Seen::Bad(_)));
        assert!(matches!(seen(says(500, &later), &ours, Some(&later)), Seen::Unknown(_)));
        assert!(matches!(seen(Err(Fault::gone("refused")), &ours, Some(&later)), Seen::Unknown(_)));
    }
}
