//! Keys that are accepted because files and environments already have them, while nothing reads them yet. They are
//! shown as such: a switch that does nothing must not look like one that does. Whoever builds a mechanism removes its
//! line here.

/// Sections (`telegram`) or single keys (`merge.method`) that nothing reads yet.
pub const NOT_USED_YET: &[&str] = &[
    "gitea.owner",
    "gitea.token",
    "gitea.url",
    "merge.defer_max_attempts",
    "plane.api_token",
    "plane.api_url",
    "plane.workspace",
    "post_deploy.base_url",
    "project.deploy.env",
    "project.deploy.on_failure",
    "project.states",
    // Nothing that polls ever touches a blocked task: only a person's own move of its ticket does.
    "reconcile.skip_blocked_enabled",
    "staging.instance",
    "telegram",
];

/// Is this key accepted without being used?
pub fn not_used_yet(path: &str) -> bool {
    NOT_USED_YET.iter().any(|p| path == *p || path.strip_prefix(p).is_some_and(|rest| rest.starts_with('.')))
}
