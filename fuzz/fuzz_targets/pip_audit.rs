//! Whatever `pip-audit` printed: an answer or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::auditors::{Audited, pip_audit};

fuzz_target!(|bytes: &[u8]| {
    let _ = pip_audit::parse(bytes, Audited { manifest: "m", dependencies: &[] });
});
