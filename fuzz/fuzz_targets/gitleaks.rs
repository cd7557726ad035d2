//! Whatever gitleaks, or somebody in its place, leaves as a report: findings, or an error, never a panic and never an
//! empty list out of something that is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_adapters::gitleaks::read;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaks) = read(bytes) {
        let items = serde_json::from_slice::<Vec<serde_json::Value>>(bytes).map(|items| items.len());
        assert_eq!(items.ok(), Some(leaks.len()), "a report of another length was read");
    }
});
