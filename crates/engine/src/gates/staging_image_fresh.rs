//! Is what will land what ran on staging? Its code must have come up there for this task; where the project can tell of
//! the image that staging runs, that image must be built from this code as well. Without it a branch that was brought to
//! the tip of main, or an image that another task replaced, would go to production unseen.

use super::bench::{CommandRun, ProjectCommand};
use super::gate::{Gate, Look, Meta, Subject};
use super::papers::{Paper, code_key};
use crate::project::Project;
use orch_core::ids::{Environment, GateId, Sha};
use orch_core::run_of::RunOf;
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;
use std::collections::BTreeMap;

/// Name of the run that tells of the image.
pub(super) const RUN: &str = "image";
const LOG: &str = "15-staging-log.md";

pub(super) struct StagingImageFresh;

#[derive(Serialize)]
pub(super) struct Evidence {
    /// What came up on staging for this task, newest first; `None` where nobody knows.
    staged: Option<Vec<Sha>>,
    /// The one of them that has the code that is judged.
    same_code: Option<Sha>,
    image: Option<Image>,
    /// What staging said when this commit was brought there again.
    log: Paper,
}

/// What the project's `image` command told.
#[derive(Serialize)]
struct Image {
    command: String,
    run: CommandRun,
    /// Revision it was built from, `org.opencontainers.image.revision`.
    revision: Option<String>,
    /// Its digest, handed to production.
    digest: Option<String>,
    /// Is that revision a commit with the code that is judged?
    same_code: bool,
}

impl Gate for StagingImageFresh {
    const META: Meta =
        Meta { id: GateId::StagingImageFresh, asks: "is the image that will ship the one that ran on staging?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        // Somebody else may have replaced what runs there since an earlier look: the answer belongs to this preparation.
        let run = look.subject.task.as_ref().and_then(|t| t.run).unwrap_or(0);
        Ok(format!("{} run {run}", code_key(look).await?))
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let log = Paper::find(look, LOG).await?;
        let mut evidence = Evidence { staged: look.bench.staged().await?, same_code: None, image: None, log };
        for staged in evidence.staged.iter().flatten() {
            if same_code(look, staged.as_str()).await? {
                evidence.same_code = Some(staged.clone());
                break;
            }
        }
        if let Some(line) = &look.project.deploy.image {
            let commit = &look.subject.head;
            let env = BTreeMap::from([
                ("ORCH_ENVIRONMENT".to_owned(), Environment::Staging.to_string()),
                ("ORCH_REVISION".to_owned(), commit.to_string()),
            ]);
            let what = RunOf::Command(format!("image of {}", commit.short()));
            let run =
                look.bench.run(&ProjectCommand { name: RUN.into(), what, line, commit, env, setup: false }).await?;
            let (revision, digest) = (word(&run.output, "revision="), word(&run.output, "digest="));
            let same_code = match &revision {
                Some(revision) => same_code(look, revision).await?,
                None => false,
            };
            evidence.image = Some(Image { command: line.clone(), run, revision, digest, same_code });
        }
        Ok(evidence)
    }

    fn judge(evidence: &Evidence, subject: &Subject, project: &Project) -> Verdict {
        if project.deploy.staging.is_none() && project.deploy.image.is_none() {
            return Verdict::Skipped { why: "nothing to deploy: no staging hook is configured".into() };
        }
        let head = subject.head.short();
        if let Some(image) = &evidence.image {
            if !image.run.ok {
                let text =
                    format!("`{}` could not tell of the image: {}\n{}", image.command, image.run.end, image.run.tail);
                return Verdict::Inconclusive { fault: FaultNote::new(FaultKind::Permanent, text) };
            }
            if !image.same_code {
                let built = match &image.revision {
                    Some(revision) => format!("is built from {revision}"),
                    None => format!(
                        "does not say what it is built from (no word `revision=` in what `{}` printed)",
                        image.command
                    ),
                };
                let text = format!("the image on staging {built}; what will land is {head}\n{}", image.run.tail);
                return Verdict::Fail { findings: vec![Finding::must_fix(text.trim_end())] };
            }
        }
        match (&evidence.staged, &evidence.same_code) {
            (_, Some(_)) => Verdict::Pass,
            // By hand the image is all there is to look at.
            (None, None) if evidence.image.is_some() => Verdict::Pass,
            (None, None) => Verdict::Skipped {
                why: "by hand nobody knows what came up on staging, and no `image` is configured".into(),
            },
            (Some(staged), None) => Verdict::Fail { findings: not_staged(staged, evidence, head) },
        }
    }
}

/// The log of staging it again says most; without it, what did come up there.
fn not_staged(staged: &[Sha], evidence: &Evidence, head: &str) -> Vec<Finding> {
    if let Verdict::Fail { findings } = evidence.log.judge("staging_status", "SUCCESS", "FAILED") {
        return findings;
    }
    let ran = staged.first().map_or_else(|| "nothing".to_owned(), |s| s.short().to_owned());
    vec![Finding::must_fix(format!("what will land, {head}, has not come up on staging; what did last is {ran}"))]
}

/// Is this a commit, named in full, whose code is that of the judged one?
async fn same_code(look: &Look<'_>, named: &str) -> Result<bool, Fault> {
    let (project, subject) = (&look.project.key, &look.subject);
    let Some(commit) = look.git.resolve(project, named).await?.filter(|c| c.as_str() == named) else {
        return Ok(false);
    };
    if commit == subject.head {
        return Ok(true);
    }
    let digest = async |commit: &Sha| look.git.code_digest(project, commit, &subject.artefact_dir).await;
    Ok(digest(&commit).await? == digest(&subject.head).await?)
}

/// The value of the only word that begins so. Two different ones say nothing.
fn word(output: &str, key: &str) -> Option<String> {
    let mut found = output.split_whitespace().filter_map(|w| w.strip_prefix(key)).filter(|v| !v.is_empty());
    let first = found.next()?;
    found.all(|other| other == first).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, OTHER, fails, project, sha, subject, unknown};
    use super::*;

    fn paper(text: Option<&str>) -> Paper {
        Paper { name: LOG, sha256: None, text: None, bytes: text.map(|t| t.as_bytes().to_vec()) }
    }
    fn evidence(staged: Option<Vec<Sha>>, same_code: Option<Sha>) -> Evidence {
        Evidence { staged, same_code, image: None, log: paper(None) }
    }
    fn image(ok: bool, revision: Option<&str>, same_code: bool) -> Image {
        let tail = "exit and output".to_owned();
        let run = CommandRun {
            ok,
            exited: true,
            end: "exit 1".into(),
            tail,
            log: String::new(),
            failed_setup: None,
            took_ms: 0,
            lacked: None,
            output: String::new(),
        };
        let (command, revision) = ("./image.sh".into(), revision.map(ToOwned::to_owned));
        Image { command, run, revision, digest: None, same_code }
    }
    fn judge(evidence: &Evidence) -> Verdict {
        StagingImageFresh::judge(evidence, &subject(), &project())
    }

    #[test]
    fn code_that_came_up_on_staging_may_land_and_other_code_may_not() {
        assert_eq!(judge(&evidence(Some(vec![sha(HEAD)]), Some(sha(HEAD)))), Verdict::Pass);
        let text = fails(&judge(&evidence(Some(vec![sha(OTHER)]), None))).remove(0);
        assert!(text.contains(sha(HEAD).short()) && text.contains(sha(OTHER).short()), "{text}");
        assert!(fails(&judge(&evidence(Some(Vec::new()), None)))[0].ends_with("nothing"));
    }

    #[test]
    fn the_log_of_staging_it_again_is_the_finding() {
        let mut red = evidence(Some(vec![sha(OTHER)]), None);
        red.log = paper(Some("---\nstaging_status: FAILED\n---\nport taken\n"));
        assert_eq!(fails(&judge(&red)), ["port taken"]);
        red.log = paper(Some("---\nstaging_status: SUCCESS\n---\n"));
        assert!(fails(&judge(&red))[0].contains("has not come up"), "the log alone makes nothing fresh");
    }

    #[test]
    fn an_image_of_other_code_does_not_ship_whatever_was_staged() {
        let with = |image| Evidence { image: Some(image), ..evidence(Some(vec![sha(HEAD)]), Some(sha(HEAD))) };
        assert_eq!(judge(&with(image(true, Some(HEAD), true))), Verdict::Pass);
        assert!(fails(&judge(&with(image(true, Some(OTHER), false))))[0].contains(OTHER));
        assert!(fails(&judge(&with(image(true, None, false))))[0].contains("revision="));
        let (kind, text) = unknown(&judge(&with(image(false, Some(HEAD), true))));
        assert_eq!(kind, FaultKind::Permanent, "it is waited for, not run in a circle");
        assert!(text.contains("./image.sh") && text.contains("exit and output"));
        let not_staged = Evidence { image: Some(image(true, Some(HEAD), true)), ..evidence(Some(Vec::new()), None) };
        fails(&judge(&not_staged));
    }

    #[test]
    fn by_hand_only_the_image_can_be_looked_at() {
        assert!(matches!(judge(&evidence(None, None)), Verdict::Skipped { .. }));
        assert_eq!(
            judge(&Evidence { image: Some(image(true, Some(HEAD), true)), ..evidence(None, None) }),
            Verdict::Pass
        );
        let mut bare = project();
        bare.deploy.staging = None;
        let nothing = StagingImageFresh::judge(&evidence(Some(Vec::new()), None), &subject(), &bare);
        assert!(matches!(nothing, Verdict::Skipped { .. }));
    }

    #[test]
    fn an_image_tells_its_words_once_or_not_at_all() {
        assert_eq!(word("revision=abc digest=sha256:12\n", "digest=").as_deref(), Some("sha256:12"));
        assert_eq!(word("looking\nrevision=abc\nrevision=abc\n", "revision=").as_deref(), Some("abc"));
        for nothing in ["", "revision=", "revision: abc", "the revision is abc", "revision=abc revision=def"] {
            assert_eq!(word(nothing, "revision="), None, "{nothing}");
        }
    }
}
