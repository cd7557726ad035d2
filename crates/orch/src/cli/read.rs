//! Texts that people give as a file or on standard input.

use super::context::Context;
use super::exit::Failure;
use std::io::Read;

/// Reads a file, or standard input for `-`.
pub(super) fn read_text(context: &Context<'_>, file: &std::path::Path) -> Result<String, Failure> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        return match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(e) => Err(Failure::usage(format!("cannot read standard input: {e}"))),
        };
    }
    std::fs::read_to_string(context.cwd.join(file))
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))
}
