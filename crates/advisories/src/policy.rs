//! What blocks, what warns, what was there before. Decides over advisories only; it may never let a known-malicious
//! package that the branch brings in pass, whatever its severity. What main already had is inherited: a task is not
//! blamed for it, and it is still shown.

use crate::{Advisory, Severity};
use std::collections::BTreeSet;

/// The advisories of a branch, judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classified {
    /// The branch brought them in and they are bad enough, or malicious.
    pub blocking: Vec<Advisory>,
    /// The branch brought them in; below the threshold, or of unknown severity.
    pub warning: Vec<Advisory>,
    /// Main had them already. They warn, malicious ones too.
    pub inherited: Vec<Advisory>,
}

/// Judges the advisories of a branch by those of its base.
///
/// Main had it: the same vulnerability (by any of its names) in the same package, in whatever manifest. Another version
/// of the package that has the same vulnerability takes the place of one that is gone (an upgrade that did not go far
/// enough is no new vulnerability), but a vulnerable version *more* than main had is new. Of malicious packages only the
/// very version that main had is inherited.
pub fn classify(advisories: &[Advisory], base: &[Advisory], threshold: Severity) -> Classified {
    let mut out = Classified::default();
    for advisory in advisories {
        let to = if inherited(advisory, advisories, base) {
            &mut out.inherited
        } else if advisory.malicious || advisory.severity >= threshold.max(Severity::Low) {
            &mut out.blocking
        } else {
            &mut out.warning
        };
        to.push(advisory.clone());
    }
    out
}

fn inherited(this: &Advisory, head: &[Advisory], base: &[Advisory]) -> bool {
    let versions = |list: &[Advisory]| -> BTreeSet<Option<String>> {
        list.iter().filter(|a| a.same_matter(this)).map(|a| a.version.clone()).collect()
    };
    let (had, has) = (versions(base), versions(head));
    if had.contains(&this.version) {
        return true;
    }
    // Each vulnerable version that is gone makes room for one other.
    let gone = had.difference(&has).count();
    !this.malicious && has.difference(&had).take(gone).any(|version| *version == this.version)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
