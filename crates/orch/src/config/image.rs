//! `[image]`: what ran on staging is what ships.

use super::section::section;

section! {
    /// Container images.
    Image {
        /// Judge `check_staging_image_fresh`. False beats every other switch of that gate.
        freshness_enabled: bool = true;
        /// Repositories the gate is real for. Not set: all; empty: only projects marked `self`.
        freshness_repos: Option<Vec<String>> = None;
    }
}
