//! Vulnerable and malicious dependencies, and manifests nobody can read: what a branch brings in of them goes back, what
//! main had warns, and a feed that is down is told.

use crate::security::{develops, report, token};
use crate::world::World;
use orch_adapters::audit::AdvisoryMirror;
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Auditor, Sides};
use orch_security::Security;
use std::io::Write as _;
use std::sync::Arc;

/// A mirror that knows of one vulnerable package, as new as the story's clock.
fn mirror(world: &World, severity: &str) -> AdvisoryMirror {
    mirror_of(
        world,
        &serde_json::json!({
            "schema_version": "1.6.0", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2023-0001"],
            "modified": "2023-11-14T00:00:00Z", "summary": "reads any file",
            "affected": [{
                "package": { "ecosystem": "PyPI", "name": "sample-lib" },
                "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "1.4.2" }] }],
            }],
            "database_specific": { "severity": severity },
        }),
    )
}

fn mirror_of(world: &World, record: &serde_json::Value) -> AdvisoryMirror {
    let (from, to) = (world.path("all.zip"), world.path("osv"));
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&from).unwrap());
    let name = format!("{}.json", record["id"].as_str().unwrap());
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(record.to_string().as_bytes()).unwrap();
    zip.finish().unwrap();
    orch_advisories::mirror::import(&from, &to).unwrap();
    AdvisoryMirror::new(Some(to), None, 30 * 86_400)
}

#[tokio::test]
async fn a_vulnerable_dependency_goes_back_with_the_version_that_is_fixed() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "HIGH"))], ..Security::default() };
    let world = world.guarded(security);
    let briefs = develops(&world, |run| {
        let version = if run.nth == 1 { "1.4.0" } else { "1.4.2" };
        run.write("service/requirements.txt", &format!("sample-lib=={version}\n"));
    });
    world.start();
    let item = world.begin("Use a library").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1);
    let second = briefs.lock().unwrap()[1].clone();
    for word in
        ["sample-lib 1.4.0", "GHSA-aaaa-bbbb-cccc", "CVE-2023-0001", "fixed in 1.4.2", "service/requirements.txt"]
    {
        assert!(second.contains(word), "{word}: {second}");
    }
    assert_eq!(world.show("main", "service/requirements.txt"), "sample-lib==1.4.2");
    assert_eq!(world.runs.count("deploy"), 1);
}

#[tokio::test]
async fn what_main_already_has_warns_and_is_not_held_against_the_task() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "CRITICAL"))], ..Security::default() };
    let world = world.guarded(security);
    world.outsider_merges("old", "requirements.txt", "sample-lib==1.0.0\n").await;
    world.outsider_merges("older", "old.py", &format!("token = \"{}\"\n", token())).await;
    develops(&world, |run| run.write("old.py", &format!("# touched\ntoken = \"{}\"\n", token())));
    world.start();
    let item = world.begin("Touch a file").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0);
    let report = report(&world, &item).await;
    let inherited = report.split("## Inherited").nth(1).expect("a section of what was there before");
    assert!(inherited.contains("old.py") && inherited.contains("GHSA-aaaa-bbbb-cccc"), "{report}");
    assert!(report.contains("secrets_found: 0\ndeps_blocking: 0\ndeps_warning: 1\n"), "{report}");
}

#[tokio::test]
async fn below_the_threshold_it_warns_and_passes() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "MODERATE"))], ..Security::default() };
    let world = world.guarded(security);
    develops(&world, |run| run.write("requirements.txt", "sample-lib==1.0.0\n"));
    world.start();
    let item = world.begin("Use a library").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 0);
    let report = report(&world, &item).await;
    assert!(report.contains("deps_blocking: 0\ndeps_warning: 1\n") && report.contains("sample-lib 1.0.0"), "{report}");
}

/// A feed that does not answer as it should.
struct Broken(&'static str);

#[async_trait::async_trait]
impl Auditor for Broken {
    fn name(&self) -> &'static str {
        "feed"
    }
    async fn audit(&self, _: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        match self.0 {
            "hangs" => {
                std::future::pending::<()>().await;
                unreachable!()
            }
            _ => Err(Fault::transient("feed: connection refused")),
        }
    }
}

#[tokio::test]
async fn a_feed_that_is_down_is_told_once_and_passes_unless_it_must_not() {
    for (how, strict) in [("down", false), ("hangs", false), ("down", true)] {
        let world = World::new().await;
        let auditors: Vec<Arc<dyn Auditor>> = vec![Arc::new(Broken(how))];
        let security = Security { auditors, timeout_ms: 300, audit_fail_closed: strict, ..Security::default() };
        let world = world.guarded(security);
        develops(&world, |run| run.write("requirements.txt", "sample-lib==1.0.0\n"));
        world.start();
        let item = world.begin("Use a library").await;
        if strict {
            let task = world.until(&item, "cannot tell", |t| t.phase_word() == "holding").await;
            assert_eq!((task.spent.rounds, world.forge_did("merge-done").await), (0, 0));
        } else {
            world.until_done(&item).await;
            let report = report(&world, &item).await;
            assert!(report.contains("deps_audit_degraded: true\n"), "{report}");
            assert!(report.contains("nothing has looked at the packages of PyPI"), "{report}");
            // It passed, and nowhere is that written as a plain pass.
            let evidence = world.engine().evidence(&item).await.unwrap().unwrap();
            let gate = "check_security_gate: pass, degraded: ";
            assert!(evidence.not_checked.iter().any(|line| line.starts_with(gate)), "{:?}", evidence.not_checked);
            let rows = world.engine().journal(Some(&item), 0, 1_000).await.unwrap();
            let story: Vec<&String> = rows.iter().flat_map(|row| &row.story).collect();
            assert!(story.iter().any(|line| line.starts_with(gate)), "{story:?}");
            assert!(!story.iter().any(|line| **line == "check_security_gate: pass"), "{story:?}");
            let id = evidence.judgements[0].task;
            assert!(world.engine().degraded(id).await.unwrap().iter().any(|line| line.starts_with(gate)));
        }
        let told: Vec<String> =
            world.told_people().into_iter().filter(|t| t.contains("saw less than it should have")).collect();
        assert_eq!(told.len(), 1, "{how} {strict}: {told:?}");
    }
}

#[tokio::test]
async fn a_manifest_the_branch_has_made_unreadable_goes_back() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "HIGH"))], ..Security::default() };
    let world = world.guarded(security);
    let briefs = develops(&world, |run| {
        let good = "package = []\n\n[metadata]\nlock-version = \"2.0\"\n";
        run.write("tests/fixtures/broken/poetry.lock", "[[package]\n");
        run.write("poetry.lock", if run.nth == 1 { "[[package]\nname = \"sample-lib\"\n" } else { good });
    });
    world.start();
    let item = world.begin("Use a library").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 1);
    let second = briefs.lock().unwrap()[1].clone();
    assert!(second.contains("nobody can say what it brings in") && !second.contains("fixtures"), "{second}");
    assert!(report(&world, &item).await.contains("deps_audit_degraded: true"), "and it is said");
}

/// A link under the name of a manifest is what installers follow. A branch hides no package behind one.
#[tokio::test]
async fn a_manifest_behind_a_link_is_read_and_one_that_leads_nowhere_goes_back() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "HIGH"))], ..Security::default() };
    let world = world.guarded(security);
    let briefs = develops(&world, |run| {
        let link = run.cwd.join("requirements.txt");
        let _ = std::fs::remove_file(&link);
        let target = if run.nth == 2 { "../elsewhere" } else { "deps.dat" };
        std::os::unix::fs::symlink(target, link).unwrap();
        run.write("deps.dat", if run.nth == 3 { "sample-lib==1.4.2\n" } else { "sample-lib==1.4.0\n" });
    });
    world.start();
    let item = world.begin("Use a library").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 2);
    let briefs = briefs.lock().unwrap().clone();
    assert!(briefs[1].contains("sample-lib 1.4.0") && briefs[1].contains("requirements.txt"), "{}", briefs[1]);
    assert!(briefs[2].contains("leads out of the repository: ../elsewhere"), "{}", briefs[2]);
}

/// More manifests than are read hide none that the branch brings in; a file they name has to be there.
#[tokio::test]
async fn many_manifests_hide_none_that_is_new() {
    let world = World::new().await;
    let security = Security { auditors: vec![Arc::new(mirror(&world, "HIGH"))], ..Security::default() };
    let world = world.guarded(security);
    for n in 0..1_001 {
        let dir = world.path("src").join("requirements");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{n:04}.txt")), "sample-lib==1.4.2\n").unwrap();
    }
    world.outsider_merges("old", "old.txt", "many\n").await;
    let briefs = develops(&world, |run| {
        run.write(
            "zz/requirements.txt",
            if run.nth == 1 { "-r more.txt\nsample-lib==1.4.0\n" } else { "-r more.txt\n" },
        );
        if run.nth == 2 {
            run.write("zz/more.txt", "sample-lib==1.4.2\n");
        }
    });
    world.start();
    let item = world.begin("Use a library").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 1);
    let second = briefs.lock().unwrap()[1].clone();
    for word in ["sample-lib 1.4.0", "zz/requirements.txt names it, and it is not there"] {
        assert!(second.contains(word), "{second}");
    }
    assert!(!second.contains("too many"), "{second}");
    assert!(report(&world, &item).await.contains("too many manifests: requirements/0999.txt and 2 in all"));
}

/// Whatever the threshold: a package some of whose releases are attacks is not for a task to bring in without saying which.
#[tokio::test]
async fn a_package_with_malicious_releases_is_pinned_to_another_one_or_goes_back() {
    let world = World::new().await;
    let record = serde_json::json!({
        "schema_version": "1.6.0", "id": "MAL-2023-1", "modified": "2023-11-14T00:00:00Z", "summary": "steals keys",
        "affected": [{ "package": { "ecosystem": "PyPI", "name": "sample-lib" }, "versions": ["1.4.1"] }],
    });
    let auditors: Vec<Arc<dyn Auditor>> = vec![Arc::new(mirror_of(&world, &record))];
    let security = Security { auditors, block_from: orch_advisories::Severity::Critical, ..Security::default() };
    let world = world.guarded(security);
    world.outsider_merges("old", "old/requirements.txt", "sample-lib\n").await;
    let briefs = develops(&world, |run| {
        let lines = ["sample-lib>=1\n", "sample-lib==1.4.1\n", "sample-lib==1.4.2\n"];
        run.write("requirements.txt", lines[(run.nth - 1).min(2)]);
    });
    world.start();
    let item = world.begin("Use a library").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 2);
    let briefs = briefs.lock().unwrap().clone();
    assert!(briefs[1].contains("sample-lib >=1: releases of it are attacks") && briefs[1].contains("MAL-2023-1"));
    assert!(!briefs[1].contains("old/requirements.txt"), "what main has is not the task's: {}", briefs[1]);
    assert!(briefs[2].contains("sample-lib 1.4.1, MALICIOUS: MAL-2023-1"), "{}", briefs[2]);
    assert!(report(&world, &item).await.contains("`old/requirements.txt` line 1"));
}
