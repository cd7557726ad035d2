//! Whatever `cargo audit` printed: an answer or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::auditors::{Audited, cargo_audit};

fuzz_target!(|bytes: &[u8]| {
    let _ = cargo_audit::parse(bytes, Audited { manifest: "m", dependencies: &[] });
});
