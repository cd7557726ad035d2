//! Whatever a mirror holds: a record that can be matched, or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::Ecosystem;
use orch_advisories::osv::{Record, covered, severity_of};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::read(bytes) else { return };
    for affected in &record.affected {
        let _ = severity_of(&record, affected);
        for ecosystem in Ecosystem::ALL {
            for version in [None, Some("1.2.3"), Some("v1.0.0-rc.1+build"), Some("1!2.0rc1.post1.dev2+local")] {
                let _ = covered(ecosystem, affected, version);
            }
        }
    }
});
