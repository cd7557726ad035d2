//! Whatever bytes come in, every parser answers and none panics: fixtures with bytes changed, cut, doubled and swapped,
//! always the same ones. And a mutated input is never believed to be clean where the whole one was not: either something
//! is found, or a problem is told, or an error is given.

use orch_advisories::auditors::{Audited, cargo_audit, npm_audit, pip_audit};
use orch_advisories::manifests::{self, Kind, Manifest};
use orch_advisories::osv::Record;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const FIXTURES: [(Kind, &[u8]); 4] = [
    (Kind::PackageLock, include_bytes!("fixtures/npm_lock.json")),
    (Kind::CargoLock, include_bytes!("fixtures/cargo_lock.toml")),
    (Kind::Requirements, b"-r base.txt\nrequests[socks]==2.19.1 ; python_version < '3' \\\n  --hash=sha256:aa\n-e git+https://h/r#egg=x\n"),
    (Kind::GoMod, b"module m\ngo 1.21\nrequire (\n\ta.b/c v1.0.0 // indirect\n)\nreplace a.b/c => d.e/f v1.0.1\n"),
];
const MORE: [(Kind, &[u8]); 8] = [
    (Kind::PackageJson, b"{\"dependencies\": {\"a\": \"^1\", \"b\": \"npm:c@1.0.0\"}, \"overrides\": {\"d\": \"npm:e@1\"}}"),
    (Kind::PnpmLock, b"lockfileVersion: '9.0'\npackages:\n  '@a/b@1.0.0':\n    resolution: {integrity: x}\n  t@https://h/t:\n    version: 1.0.0\n"),
    (Kind::YarnLock, b"# yarn lockfile v1\n\"@a/b@^1\", c@1:\n  version \"1.0.0\"\n  dependencies:\n    d \"1\"\n"),
    (Kind::YarnLock, b"__metadata:\n  version: 8\n\"a@npm:^1\":\n  version: 1.0.0\n  resolution: \"a@npm:1.0.0\"\n"),
    (Kind::UvLock, b"version = 1\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"r\" }\n"),
    (Kind::PipfileLock, b"{\"_meta\": {}, \"default\": {\"a\": {\"version\": \"==1.0\"}}}"),
    (Kind::Pylock, b"lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1.0'\n"),
    (Kind::PyProject, b"[project]\ndependencies = [\"a==1.0\", \"b>=2 ; x\"]\n[tool.poetry.dependencies]\nc = \"^1\"\n"),
];
const RECORD: &[u8] =
    br#"{"id": "GHSA-1", "modified": "2024-01-01T00:00:00Z", "aliases": ["CVE-1"], "severity": [{"type": "CVSS_V3",
 "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}], "affected": [{"package": {"ecosystem": "npm", "name": "a"},
 "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0"}]}], "versions": ["1.0.0"]}]}"#;
const PIP: &[u8] = include_bytes!("fixtures/pip_audit_found.json");
const NPM: &[u8] = include_bytes!("fixtures/npm_audit_found.json");
const CARGO: &[u8] = include_bytes!("fixtures/cargo_audit_found.json");

/// The same numbers every time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn mutations(whole: &[u8], count: usize, mut see: impl FnMut(&[u8])) {
    const SPICE: &[u8] = b"\"'{}[](),:=#\\\n\r\t \0\xff\xc3-+@/*!<>~^0129azAZ_.";
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..count {
        let mut bytes = whole.to_vec();
        for _ in 0..=dice.below(4) {
            let (at, to) = (dice.below(bytes.len()), dice.below(bytes.len() + 1));
            match dice.below(6) {
                0 if !bytes.is_empty() => bytes[at] = SPICE[dice.below(SPICE.len())],
                1 => bytes.insert(at, SPICE[dice.below(SPICE.len())]),
                2 => bytes.truncate(to),
                3 => drop(bytes.drain(at.min(to)..at.max(to))),
                4 => {
                    let part = bytes[at.min(to)..at.max(to)].to_vec();
                    bytes.extend(part);
                }
                _ if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
                _ => {}
            }
        }
        see(&bytes);
    }
}

const NOBODY: Audited<'_> = Audited { manifest: "m", dependencies: &[] };

#[test]
fn no_mutation_of_a_manifest_makes_a_parser_panic() {
    for (kind, whole) in FIXTURES.iter().chain(&MORE) {
        assert!(!manifests::read(*kind, "m", whole).dependencies.is_empty(), "{kind:?}");
        mutations(whole, 5_000, |bytes| {
            let _: Manifest = manifests::read(*kind, "m", bytes);
        });
    }
}

#[test]
fn no_mutation_of_an_advisory_or_a_report_makes_a_parser_panic() {
    assert!(Record::read(RECORD).is_ok());
    mutations(RECORD, 10_000, |bytes| drop(Record::read(bytes)));
    for (whole, parse) in
        [(PIP, pip_audit::parse as fn(&[u8], Audited<'_>) -> _), (NPM, npm_audit::parse), (CARGO, cargo_audit::parse)]
    {
        assert!(!parse(whole, NOBODY).unwrap().advisories.is_empty());
        mutations(whole, 5_000, |bytes| drop(parse(bytes, NOBODY)));
    }
}

#[test]
fn a_report_that_was_cut_off_is_never_an_empty_one() {
    for end in 0..NPM.len() - 2 {
        assert!(npm_audit::parse(&NPM[..end], NOBODY).is_err());
    }
    for end in 0..PIP.len() - 2 {
        assert!(pip_audit::parse(&PIP[..end], NOBODY).is_err());
    }
    for end in 0..CARGO.len() - 2 {
        assert!(cargo_audit::parse(&CARGO[..end], NOBODY).is_err());
    }
    for end in 0..RECORD.len() {
        assert!(Record::read(&RECORD[..end]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, rng_seed: RngSeed::Fixed(2026), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[ -~\n]{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            for (kind, _) in FIXTURES.iter().chain(&MORE) {
                let _ = manifests::read(*kind, "m", bytes);
            }
            let _ = Record::read(bytes);
            let _ = (pip_audit::parse(bytes, NOBODY), npm_audit::parse(bytes, NOBODY), cargo_audit::parse(bytes, NOBODY));
            let _ = orch_advisories::osv::of_vector(&text);
            let _ = orch_advisories::is_manifest(&text);
        }
    }
}
