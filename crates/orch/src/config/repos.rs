//! `[repos]`: where git repositories are kept. Never inside a project's own checkout, unless excluded from it.

use super::section::section;
use std::path::PathBuf;

section! {
    /// Mirrors of the projects' repositories and the worktrees made from them.
    Repos {
        /// Directory of the mirrors. Not set: `repos` beside the database.
        dir: Option<PathBuf> = None;
        /// Directory of the worktrees. Not set: `worktrees` below `dir`.
        worktrees_dir: Option<PathBuf> = None;
        /// Megabytes the worktrees may take together; beyond, those nobody works in are removed. 0: no limit.
        worktrees_max_mb: u64 = 20_480;
        /// Clones for agents and checkouts for tests read the objects of main from one cache per repository, which lies
        /// beside them. false: each has all of its own, for agents that see nothing but their working directory (a
        /// container).
        share_objects: bool = true;
    }
}
