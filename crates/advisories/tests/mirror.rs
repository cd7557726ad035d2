//! Stories of a mirror on disk: read, imported, old, broken, and a bomb.

#![allow(clippy::unwrap_used)] // A test that fails here has failed.

use orch_advisories::mirror::AsOf;
use orch_advisories::mirror::import;
use orch_advisories::{Dependency, Ecosystem, Mirror, Severity, audit};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn write_zip(path: &Path, entries: &[(String, Vec<u8>)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn record(ecosystem: &str, id: &str, package: &str, modified: &str) -> (String, Vec<u8>) {
    let text = format!(
        r#"{{"id": "{id}", "modified": "{modified}", "summary": "a hole", "database_specific": {{"severity": "HIGH"}},
            "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "{package}"}},
              "ranges": [{{"type": "SEMVER", "events": [{{"introduced": "0"}}, {{"fixed": "2.0.0"}}]}}]}}]}}"#
    );
    (format!("{id}.json"), text.into_bytes())
}

fn npm(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count)
        .map(|i| record("npm", &format!("GHSA-{i}"), &format!("package-{i}"), "2024-05-06T07:08:09.123Z"))
        .collect()
}

fn wanted(ecosystem: Ecosystem, name: &str) -> Dependency {
    let (version, manifest) = (Some("1.0.0".into()), "lock".into());
    Dependency { ecosystem, name: name.into(), version, wanted: None, manifest, line: None }
}

fn all_zip(dir: &Path) -> PathBuf {
    dir.join("npm/all.zip")
}

#[test]
fn only_what_was_asked_for_is_kept_and_the_age_is_that_of_the_newest_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = npm(50);
    entries.push(record("npm", "GHSA-new", "other", "2024-06-01T00:00:00Z"));
    entries.push(record("npm", "GHSA-future", "other", "9999-01-01T00:00:00Z"));
    write_zip(&all_zip(dir.path()), &entries);
    let deps = [wanted(Ecosystem::Npm, "package-7"), wanted(Ecosystem::Npm, "unheard-of")];
    let records = Mirror::open(dir.path()).unwrap().read(&deps);
    assert_eq!(records.problems, Vec::<String>::new());
    assert_eq!((records.feeds[0].records, records.feeds[0].unreadable), (52, 0));
    assert_eq!(records.feeds[0].as_of, AsOf::NewestRecord(1_717_200_000));
    assert!(
        records.feeds[0].as_of.is_older_than(3600, 1_717_203_601)
            && !records.feeds[0].as_of.is_older_than(3600, 1_717_203_600)
    );
    let found = audit(&deps, &records);
    assert_eq!(found.advisories.len(), 1);
    assert_eq!((found.advisories[0].id.as_str(), found.advisories[0].severity), ("GHSA-7", Severity::High));
    assert_eq!(records.about(Ecosystem::Npm, "other").count(), 0, "nobody asked for it");
}

#[test]
fn a_feed_that_is_missing_is_a_problem_only_where_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    write_zip(&all_zip(dir.path()), &npm(1));
    let mirror = Mirror::open(dir.path()).unwrap();
    assert_eq!(mirror.read(&[wanted(Ecosystem::Npm, "package-0")]).problems, Vec::<String>::new());
    let records = mirror.read(&[wanted(Ecosystem::PyPI, "requests")]);
    assert!(records.problems[0].contains("PyPI"), "{:?}", records.problems);
    assert!(Mirror::open(&dir.path().join("nowhere")).is_err());
}

#[test]
fn a_feed_can_be_inspected_without_asking_for_a_package() {
    let dir = tempfile::tempdir().unwrap();
    write_zip(&all_zip(dir.path()), &npm(3));
    let mirror = Mirror::open(dir.path()).unwrap();
    let npm = mirror.inspect(Ecosystem::Npm);
    assert_eq!((npm.feeds[0].records, npm.feeds[0].as_of), (3, AsOf::NewestRecord(1_714_979_289)));
    assert_eq!((npm.problems.len(), npm.about(Ecosystem::Npm, "package-1").count()), (0, 0));
    let none = mirror.inspect(Ecosystem::Go);
    assert_eq!((none.feeds.len(), none.problems.len()), (0, 1));
}

#[test]
fn records_that_cannot_be_read_are_counted_and_the_others_still_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = npm(3);
    entries.push(("GHSA-broken.json".into(), b"{\"id\": ".to_vec()));
    let (name, text) = record("npm", "GHSA-odd", "package-1", "2024-01-01T00:00:00Z");
    entries.push((name, String::from_utf8(text).unwrap().replace("SEMVER", "NEW").into_bytes()));
    entries.push(("README.md".into(), b"hello".to_vec()));
    write_zip(&all_zip(dir.path()), &entries);
    let deps = [wanted(Ecosystem::Npm, "package-1")];
    let records = Mirror::open(dir.path()).unwrap().read(&deps);
    assert_eq!((records.feeds[0].records, records.feeds[0].unreadable), (5, 2));
    let found = audit(&deps, &records);
    assert_eq!((found.advisories.len(), found.problems.len()), (1, 1));
    assert!(
        found.problems[0].contains("2 of its records") && found.problems[0].contains("GHSA-broken.json"),
        "{found:?}"
    );
}

#[test]
fn a_bomb_and_a_zip_that_was_cut_off_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = npm(2);
    entries.push(("bomb.json".into(), vec![b' '; 17 * 1024 * 1024]));
    write_zip(&all_zip(dir.path()), &entries);
    let mirror = Mirror::open(dir.path()).unwrap();
    let deps = [wanted(Ecosystem::Npm, "package-1")];
    let records = mirror.read(&deps);
    assert!(records.problems[0].contains("larger than 16 MiB"), "{:?}", records.problems);
    assert_eq!(records.about(Ecosystem::Npm, "package-1").count(), 1);

    let whole = fs::read(all_zip(dir.path())).unwrap();
    for part in [&whole[..whole.len() / 2], b"", b"not a zip"] {
        fs::write(all_zip(dir.path()), part).unwrap();
        let records = mirror.read(&deps);
        assert!(!records.problems.is_empty() && !records.has(Ecosystem::Npm));
        assert!(audit(&deps, &records).problems.len() >= 2);
    }
}

#[test]
fn an_import_puts_a_checked_copy_in_its_place_by_what_is_in_it() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let osv = to.path().join("osv");
    write_zip(&from.path().join("named-wrongly.zip"), &npm(3));
    let done = import(&from.path().join("named-wrongly.zip"), &osv).unwrap();
    assert_eq!((done[0].ecosystem, done[0].records, done[0].before), (Ecosystem::Npm, 3, None));
    assert_eq!(done[0].as_of, AsOf::NewestRecord(1_714_979_289));
    assert_eq!(done[0].path, osv.join("npm/all.zip"));
    assert_eq!(fs::metadata(&done[0].path).unwrap().permissions().mode() & 0o777, 0o644, "for whoever runs the daemon");
    // A directory, the way the bucket is laid out, replaces what is there.
    fs::remove_file(from.path().join("named-wrongly.zip")).unwrap();
    write_zip(&from.path().join("npm/all.zip"), &npm(2));
    write_zip(&from.path().join("Go/all.zip"), &[record("Go", "GO-1", "a.b/c", "2024-01-01T00:00:00Z")]);
    let done = import(from.path(), &osv).unwrap();
    let brief: Vec<_> = done.iter().map(|d| (d.ecosystem, d.records, d.before)).collect();
    assert_eq!(brief, [(Ecosystem::Go, 1, None), (Ecosystem::Npm, 2, Some(3))]);
    let read = Mirror::open(&osv).unwrap().read(&[wanted(Ecosystem::Go, "a.b/c")]);
    assert_eq!(read.about(Ecosystem::Go, "a.b/c").count(), 1);
}

#[test]
fn nonsense_is_refused_with_the_reason_and_what_was_there_stays() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let good = from.path().join("good.zip");
    write_zip(&good, &npm(3));
    import(&good, to.path()).unwrap();
    let before = fs::read(all_zip(to.path())).unwrap();
    let mixed = vec![
        record("npm", "A-1", "a", "2024-01-01T00:00:00Z"),
        record("PyPI", "A-2", "a", "2024-01-01T00:00:00Z"),
        record("npm", "A-3", "a", "2024-01-01T00:00:00Z"),
    ];
    let foreign = vec![record("Debian:12", "DSA-1", "a", "2024-01-01T00:00:00Z")];
    for (entries, why) in [
        (vec![("a.json".to_owned(), b"{}".to_vec())], "cannot be read"),
        (vec![("a.txt".to_owned(), b"{}".to_vec())], "no OSV records"),
        (vec![("a.json".to_owned(), b"{\"id\": \"A-1\"}".to_vec())], "name no packages"),
        (mixed, "one ecosystem"),
        (foreign, "Debian"),
    ] {
        let bad = from.path().join("bad.zip");
        write_zip(&bad, &entries);
        let error = import(&bad, to.path()).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("bad.zip"), "{error}");
    }
    fs::write(from.path().join("bad.zip"), b"<html>not found</html>").unwrap();
    assert!(import(from.path(), to.path()).is_err(), "one bad zip of a directory refuses all");
    assert!(import(&from.path().join("nowhere"), to.path()).is_err());
    fs::copy(&good, from.path().join("bad.zip")).unwrap();
    assert!(import(from.path(), to.path()).unwrap_err().to_string().contains("so does"), "two feeds of one ecosystem");
    assert_eq!(fs::read(all_zip(to.path())).unwrap(), before);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing is left lying about");
}

#[test]
fn a_checkout_of_rustsec_is_one_more_source() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rustsec");
    let mirror = Mirror::of_rustsec(&dir).unwrap();
    let deps: Vec<Dependency> = [
        ("time", "0.1.44"),
        ("time", "0.2.0"),
        ("time", "0.2.22"),
        ("time", "0.2.23"),
        ("ansi_term", "0.12.1"),
        ("serde", "1.0.0"),
    ]
    .iter()
    .map(|(name, version)| Dependency { version: Some((*version).into()), ..wanted(Ecosystem::CratesIo, name) })
    .collect();
    let records = mirror.read(&deps);
    assert_eq!((records.problems.len(), records.feeds[0].source), (0, "rustsec"));
    let found = audit(&deps, &records);
    let brief: Vec<_> =
        found.advisories.iter().map(|a| (a.id.as_str(), a.version.as_deref().unwrap(), a.severity)).collect();
    assert_eq!(
        brief,
        [
            ("RUSTSEC-2021-0139", "0.12.1", Severity::Unknown),
            ("RUSTSEC-2020-0071", "0.1.44", Severity::Medium),
            ("RUSTSEC-2020-0071", "0.2.22", Severity::Medium),
        ]
    );
    assert_eq!(found.advisories[1].fixed, ["0.2.0", "0.2.1", "0.2.23"]);
    assert!(found.advisories[1].names().any(|n| n == "CVE-2020-26235"));
}

#[test]
fn a_rustsec_file_that_cannot_be_read_costs_that_file_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("crates/time")).unwrap();
    fs::write(dir.path().join("crates/time/RUSTSEC-2020-0001.md"), "# no front matter").unwrap();
    let records = Mirror::of_rustsec(dir.path()).unwrap().read(&[wanted(Ecosystem::CratesIo, "time")]);
    assert_eq!((records.problems.len(), records.feeds[0].unreadable), (1, 1));
    let empty = tempfile::tempdir().unwrap();
    let records = Mirror::of_rustsec(empty.path()).unwrap().read(&[wanted(Ecosystem::CratesIo, "time")]);
    assert_eq!((records.problems.len(), records.has(Ecosystem::CratesIo)), (1, false));
}

/// Measures a feed of the size of npm's. Not part of the normal run: it writes a zip of some 50 MB.
#[test]
#[ignore = "a measurement; run with --release -- --ignored --nocapture"]
fn two_hundred_thousand_records() {
    let dir = tempfile::tempdir().unwrap();
    let count = 200_000;
    let filler = "Affected versions of this package run code of somebody else during its installation. ".repeat(50);
    {
        fs::create_dir_all(dir.path().join("npm")).unwrap();
        let mut zip = ZipWriter::new(File::create(all_zip(dir.path())).unwrap());
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(1));
        for i in 0..count {
            let (name, bytes) =
                record("npm", &format!("MAL-2024-{i}"), &format!("package-{i}"), "2024-05-06T07:08:09Z");
            let text = String::from_utf8(bytes).unwrap().replace("a hole", &format!("{i} {filler}"));
            zip.start_file(name, options).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }
    let deps: Vec<Dependency> = (0..2000).map(|i| wanted(Ecosystem::Npm, &format!("package-{}", i * 97))).collect();
    let memory = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap().to_owned()
    };
    let before = memory();
    let begun = std::time::Instant::now();
    let records = Mirror::open(dir.path()).unwrap().read(&deps);
    let read = begun.elapsed();
    let found = audit(&deps, &records);
    assert_eq!((records.feeds[0].records, found.advisories.len()), (count, 2000));
    let begun = std::time::Instant::now();
    let to = tempfile::tempdir().unwrap();
    import(&all_zip(dir.path()), to.path()).unwrap();
    let size = fs::metadata(all_zip(dir.path())).unwrap().len() >> 20;
    let imported = begun.elapsed();
    let shown = format!("{size} MiB zip; read {read:?}, import {imported:?}; {before} before, {} after", memory());
    std::io::stderr().write_all(shown.as_bytes()).unwrap();
}
