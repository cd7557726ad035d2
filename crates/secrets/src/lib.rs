//! Says which secrets are in bytes. PURE: no files, no programs, no clock, no network; it is given bytes and a name for
//! them, and answers with masked findings. It is the part of the security gate that always runs, so it may never pass
//! what it could not look at (`ScanError`), never take the scanned text's word that something is no secret
//! (`inline_allows` only reports such comments), and never let a secret out: no finding, error or `Debug` text holds one.

mod allow;
mod decode;
mod dialect;
mod inline;
mod judge;
mod mask;
mod parse;
#[cfg(feature = "planted")]
pub mod planted;
mod residue;
mod rules;
mod scan;
mod windows;

pub use decode::Encoding;
pub use inline::inline_allows;
pub use rules::{RuleError, RuleInfo, Rules, check_built_in};
pub use scan::{Blob, Hit, MAX_BLOB_BYTES, ScanError, Scanner};
