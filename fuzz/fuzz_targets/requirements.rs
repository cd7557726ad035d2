//! Whatever stands in a requirements file: packages or problems, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::manifests::{Kind, read};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(Kind::Requirements, "requirements.txt", bytes);
});
