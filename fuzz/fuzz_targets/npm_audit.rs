//! Whatever `npm audit` printed: an answer or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::auditors::{Audited, npm_audit};

fuzz_target!(|bytes: &[u8]| {
    let _ = npm_audit::parse(bytes, Audited { manifest: "m", dependencies: &[] });
});
