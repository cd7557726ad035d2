//! Whatever stands in a lock file of npm, pnpm or yarn: packages or problems, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orch_advisories::auditors::npm_audit::with_canary;
use orch_advisories::manifests::{Kind, read};

fuzz_target!(|bytes: &[u8]| {
    let _ = with_canary(bytes);
    for kind in [Kind::PackageLock, Kind::PackageJson, Kind::PnpmLock, Kind::YarnLock] {
        let _ = read(kind, "lock", bytes);
    }
});
