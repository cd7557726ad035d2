//! What the mirror answers for, and when it is not clean although it found nothing.

use super::*;
use orch_ports::security::ManifestFile;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const DAY: i64 = 86_400;
/// 2024-06-01, when the newest record of the feed below was written.
const WRITTEN: i64 = 1_717_200_000;

fn feed(osv: &Path, ecosystem: &str, package: &str) {
    let dir = osv.join(ecosystem);
    std::fs::create_dir_all(&dir).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(dir.join("all.zip")).unwrap());
    zip.start_file("A-1.json", zip::write::SimpleFileOptions::default()).unwrap();
    let record = format!(
        r#"{{"id": "A-1", "modified": "2024-06-01T00:00:00Z", "summary": "a hole",
        "database_specific": {{"severity": "HIGH"}}, "affected": [{{"package": {{"ecosystem": "{ecosystem}",
        "name": "{package}"}}, "versions": ["1.0.0"]}}]}}"#
    );
    zip.write_all(record.as_bytes()).unwrap();
    zip.finish().unwrap();
}

fn pins(text: &str) -> [ManifestFile; 1] {
    [ManifestFile { path: "requirements.txt".into(), bytes: text.into() }]
}

async fn ask(mirror: &AdvisoryMirror, head: &[ManifestFile], base: &[ManifestFile], days_later: i64) -> Audited {
    let sides = Sides { head, base, timeout: Duration::from_secs(20), now_s: WRITTEN + days_later * DAY };
    match mirror.audit(&sides).await.unwrap() {
        AuditAnswer::Done(audited) => audited,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_fresh_feed_finds_on_both_sides_and_answers_for_its_ecosystem() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), "PyPI", "jinja2");
    let mirror = AdvisoryMirror::new(Some(dir.path().to_owned()), None, 14 * DAY);
    let (bad, good) = (pins("jinja2==1.0.0\n"), pins("jinja2==2.0.0\n"));
    let audited = ask(&mirror, &bad, &good, 3).await;
    assert_eq!((audited.head.len(), audited.base.len(), audited.covered), (1, 0, vec![Ecosystem::PyPI]));
    assert_eq!((audited.head[0].id.as_str(), audited.problems.len()), ("A-1", 0));
    assert_eq!(audited.by, "advisory mirror (osv PyPI 3 days old)");
    let mended = ask(&mirror, &good, &bad, 3).await;
    assert_eq!((mended.head.len(), mended.base.len()), (0, 1));
}

#[tokio::test]
async fn a_stale_feed_still_finds_and_is_degraded() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), "PyPI", "jinja2");
    let mirror = AdvisoryMirror::new(Some(dir.path().to_owned()), None, 14 * DAY);
    let bad = pins("jinja2==1.0.0\n");
    assert_eq!(ask(&mirror, &bad, &[], 14).await.problems, Vec::<String>::new());
    let audited = ask(&mirror, &bad, &[], 15).await;
    assert_eq!(
        (audited.head.len(), audited.problems),
        (1, vec!["the advisories of osv for PyPI are 15 days old".into()])
    );
}

#[tokio::test]
async fn an_ecosystem_without_a_feed_is_not_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), "npm", "lodash");
    let mirror = AdvisoryMirror::new(Some(dir.path().to_owned()), None, 14 * DAY);
    let audited = ask(&mirror, &pins("jinja2==1.0.0\n"), &[], 0).await;
    assert!(audited.covered.is_empty() && audited.unknown.is_empty(), "{audited:?}");
    assert!(audited.problems[0].contains("PyPI"), "{audited:?}");
}

#[tokio::test]
async fn a_zip_that_cannot_be_read_is_not_clean() {
    let dir = tempfile::tempdir().unwrap();
    feed(dir.path(), "PyPI", "jinja2");
    let zip = dir.path().join("PyPI/all.zip");
    let whole = std::fs::read(&zip).unwrap();
    let mirror = AdvisoryMirror::new(Some(dir.path().to_owned()), None, 14 * DAY);
    for part in [&whole[..whole.len() / 2], b"", b"<html>404</html>"] {
        std::fs::write(&zip, part).unwrap();
        let audited = ask(&mirror, &pins("jinja2==1.0.0\n"), &[], 0).await;
        assert!(audited.covered.is_empty() && audited.head.is_empty(), "{audited:?}");
        assert!(audited.problems.iter().any(|p| p.contains("all.zip")), "{audited:?}");
    }
}

#[tokio::test]
async fn no_mirror_is_missing_and_one_that_is_gone_a_fault() {
    let head = pins("jinja2==1.0.0\n");
    let sides = Sides { head: &head, base: &[], timeout: Duration::from_secs(20), now_s: WRITTEN };
    let none = AdvisoryMirror::new(None, None, DAY).audit(&sides).await.unwrap();
    assert!(matches!(&none, AuditAnswer::Missing { why } if why.contains("orch audit import")), "{none:?}");
    let gone = AdvisoryMirror::new(Some("/nonexistent".into()), None, DAY).audit(&sides).await.unwrap_err();
    assert!(gone.text.contains("/nonexistent"), "{}", gone.text);
}
