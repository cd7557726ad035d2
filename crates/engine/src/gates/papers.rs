//! What several gates need of artefacts: digests that verdicts belong to, and findings out of a verdict's paper.

use super::Look;
use crate::effects::hex;
use orch_core::frontmatter::{self, Unreadable};
use orch_core::verdict::{Finding, Severity, Verdict};
use orch_ports::Fault;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Longest body that is carried into a brief whole, in characters.
const MAX_BODY: usize = 20_000;

/// A paper with a machine verdict, as it was found.
#[derive(Serialize)]
pub(super) struct Paper {
    /// Name.
    pub(super) name: &'static str,
    /// SHA-256 of its bytes; `None` if this run did not write it.
    pub(super) sha256: Option<String>,
    /// Its text.
    pub(super) text: Option<String>,
}

impl Paper {
    pub(super) async fn find(look: &Look<'_>, name: &'static str) -> Result<Self, Fault> {
        let bytes = look.bench.paper(name).await?;
        Ok(Self {
            name,
            sha256: bytes.as_ref().map(|b| hex(&Sha256::digest(b))),
            text: bytes.map(|b| String::from_utf8_lossy(&b).into_owned()),
        })
    }

    /// Reads its verdict: pass, fail with findings, or unreadable.
    pub(super) fn judge(&self, key: &str, positive: &str, negative: &str) -> Verdict {
        let Some(text) = &self.text else {
            let what =
                format!("`{}` was not written by this run (one from an earlier round does not count)", self.name);
            return Verdict::Unreadable { findings: vec![Finding::must_fix(what)] };
        };
        match read(text, key, positive, negative) {
            Err(unreadable) => Verdict::Unreadable { findings: vec![unreadable.finding(self.name)] },
            Ok((true, findings, _)) if findings.iter().all(|f| Severity::P1 < f.severity) => Verdict::Pass,
            Ok((_, findings, body)) => Verdict::Fail { findings: blocking(findings, &body) },
        }
    }
}

/// The verdict, the listed findings and the body.
fn read(text: &str, key: &str, positive: &str, negative: &str) -> Result<(bool, Vec<Finding>, String), Unreadable> {
    let good = frontmatter::verdict(text.as_bytes(), key, positive, negative)?;
    match frontmatter::read(text.as_bytes()) {
        Ok(document) if !good => {
            // A refusal stands even if its list of findings is broken: then the whole body is carried.
            Ok((false, document.findings().unwrap_or_default(), document.body))
        }
        Ok(document) => Ok((true, document.findings()?, document.body)),
        // Both tokens could be read: the negative one wins, with everything the paper says.
        Err(_) if !good => Ok((false, Vec::new(), text.to_owned())),
        Err(unreadable) => Err(unreadable),
    }
}

/// What goes into the next brief: the listed findings, or without a list the whole body.
fn blocking(findings: Vec<Finding>, body: &str) -> Vec<Finding> {
    if !findings.is_empty() {
        return findings;
    }
    let body = body.trim();
    let cut: String = body.chars().take(MAX_BODY).collect();
    let text = if cut.is_empty() { "refused without a word".to_owned() } else { cut };
    vec![Finding::must_fix(text)]
}

/// Digest over the artefacts a run left.
pub(super) async fn digest(look: &Look<'_>, names: &[&str]) -> Result<String, Fault> {
    let mut sum = Sha256::new();
    let mut all = look.bench.papers().await?;
    all.sort();
    for name in all.iter().filter(|n| names.iter().any(|w| n.as_str() == *w || (w.ends_with('/') && n.starts_with(w))))
    {
        let bytes = look.bench.paper(name).await?.unwrap_or_default();
        sum.update((name.len() as u64).to_be_bytes());
        sum.update(name.as_bytes());
        sum.update((bytes.len() as u64).to_be_bytes());
        sum.update(&bytes);
    }
    Ok(hex(&sum.finalize()))
}

/// Key of verdicts on what the branch changes: survives a conflict-free update, not a new run of the role.
pub(super) async fn patch_key(look: &Look<'_>) -> Result<String, Fault> {
    let s = &look.subject;
    let patch = look.git.patch_id(&look.project.key, &s.base, &s.head, &s.artefact_dir).await?;
    let run = s.task.as_ref().and_then(|t| t.run).unwrap_or(0);
    Ok(format!("patch {patch} run {run}"))
}

/// Key of verdicts on code: the code digest, or inside the merge the whole tree.
pub(super) async fn code_key(look: &Look<'_>) -> Result<String, Fault> {
    let s = &look.subject;
    if s.exact {
        return Ok(format!("tree {}", look.git.tree(&look.project.key, &s.head).await?));
    }
    Ok(format!("code {}", look.git.code_digest(&look.project.key, &s.head, &s.artefact_dir).await?))
}
