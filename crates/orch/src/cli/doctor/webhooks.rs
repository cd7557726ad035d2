//! What the doctor says of webhooks: whose are taken in, and can their secrets be read?

use super::finding::{Check, check};
use crate::cli::context::Tone;
use crate::config::Config;
use crate::vendors::webhooks;

/// One line for all of them. Without a secret nothing is missing: polling finds what happens, only later.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let (hooks, faults) = webhooks(config);
    let word =
        |has_secret| if has_secret { "taken in" } else { "not taken in (no secret): polling finds its news, later" };
    let lines: Vec<String> =
        hooks.iter().map(|hook| format!("{}: {}", hook.source(), word(hook.has_secret()))).collect();
    let mut checks = vec![check("webhooks", Tone::Good, lines.join("; "), None)];
    let fix = "write the secret into it, for you alone, or set `webhook_secret`";
    checks.extend(faults.into_iter().map(|fault| check("webhooks", Tone::Bad, fault.text, Some(fix.to_owned()))));
    checks
}
