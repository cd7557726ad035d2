//! `orch audit import`, and what `orch doctor` says of scanners and advisories.

use super::tests::{Said, git, orch_in, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A feed of OSV with so many records, the newest so many days old.
fn feed(file: &Path, ecosystem: &str, count: usize, days: i64) {
    let at = jiff::Timestamp::from_second(super::audit::now_s() - days * 86_400 - 60).unwrap();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(file).unwrap());
    for i in 0..count {
        zip.start_file(format!("A-{i}.json"), zip::write::SimpleFileOptions::default()).unwrap();
        let record = format!(
            r#"{{"id": "A-{i}", "modified": "{at}", "affected": [{{"package": {{"ecosystem": "{ecosystem}",
            "name": "p{i}"}}, "versions": ["1.0.0"]}}]}}"#
        );
        zip.write_all(record.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn import(dir: &Path, args: &[&str]) -> Said {
    orch_in(dir, &[], &[&["audit", "import"], args].concat())
}

#[test]
fn feeds_are_taken_into_the_configured_mirror_and_told_line_by_line() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    std::fs::write(dir.join("orch.toml"), "[security]\nosv_dir = \"mirror\"\n").unwrap();
    feed(&dir.join("a.zip"), "npm", 20, 3);
    feed(&dir.join("stick/PyPI/all.zip"), "PyPI", 2, 0);
    feed(&dir.join("stick/Go/all.zip"), "Go", 1, 1);
    let said = import(dir, &["a.zip", "stick"]);
    assert_eq!((said.code, said.err.as_str()), (0, "checking a.zip ...\nchecking stick ...\n"));
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(
        lines[0].starts_with("npm: 20 advisories, newest of 20") && lines[0].contains(", 3 days old; "),
        "{lines:?}"
    );
    assert!(lines[0].ends_with("mirror/npm/all.zip"), "{lines:?}");
    assert!(lines[1].contains("1 day old") && lines[2].contains("less than a day old"), "{lines:?}");
    assert!(dir.join("mirror/npm/all.zip").is_file() && dir.join("mirror/Go/all.zip").is_file());

    // Another one, older and much smaller, named twice: taken, and worth a look.
    feed(&dir.join("a.zip"), "npm", 5, 90);
    let again = import(dir, &["a.zip", "a.zip"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(again.out.contains("there were 20 before"), "{}", again.out);
    for words in ["npm is stale already", "far fewer advisories", "npm was named twice"] {
        assert!(again.err.contains(words), "{words}: {}", again.err);
    }
}

#[test]
fn what_is_no_feed_is_named_with_the_way_out_and_the_others_are_taken() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    feed(&dir.join("good.zip"), "npm", 2, 0);
    std::fs::write(dir.join("bad.zip"), "<html>404</html>").unwrap();
    let said = import(dir, &["bad.zip", "good.zip", "--to", "mirror"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.out.starts_with("npm: 2 advisories"), "{}", said.out);
    assert!(said.err.contains("not taken: ") && said.err.contains("bad.zip is no zip"), "{}", said.err);
    assert!(said.err.contains("/npm/all.zip; what the mirror had before, it still has"), "{}", said.err);
    let json = import(dir, &["bad.zip", "good.zip", "--to", "mirror", "--json"]);
    let value: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &value["ok"]), (1, &Value::Bool(false)));
    assert_eq!((&value["imported"][0]["ecosystem"], &value["imported"][0]["before"]), (&"npm".into(), &2.into()));
    assert!(value["refused"][0]["text"].as_str().unwrap().contains("bad.zip"), "{value}");
    let fine: Value = serde_json::from_str(&import(dir, &["good.zip", "--to", "m", "--json"]).out).unwrap();
    assert_eq!((&fine["ok"], fine["warnings"].as_array().map(Vec::len)), (&Value::Bool(true), Some(0)));
    // A file stands where the mirror belongs.
    let blocked = import(dir, &["good.zip", "--to", "bad.zip"]);
    assert!(blocked.code == 1 && blocked.err.contains("writable for this user"), "{}", blocked.err);
}

#[test]
fn without_a_mirror_or_a_file_the_command_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let gone = import(dir, &["nothing.zip", "--to", "mirror"]);
    assert_eq!((gone.code, gone.out.as_str()), (2, ""));
    assert!(gone.err.starts_with("orch: nothing.zip: there is no such file"), "{}", gone.err);
    assert!(!dir.join("mirror").exists());
    feed(&dir.join("a.zip"), "npm", 1, 0);
    assert!(import(dir, &["a.zip"]).err.contains("or name it with --config FILE"));
    std::fs::write(dir.join("orch.toml"), "").unwrap();
    let unset = import(dir, &["a.zip"]);
    assert_eq!(unset.code, 2);
    assert!(unset.err.contains("osv_dir is not set") && unset.err.contains("--to DIR"), "{}", unset.err);
    // With a directory named, a broken configuration is still told, as everywhere.
    std::fs::write(dir.join("orch.toml"), "[securty]\n").unwrap();
    assert_eq!(import(dir, &["a.zip", "--to", "m"]).code, 2);
}

/// A directory of nothing but git and a shell, and of the programs that are played.
fn path_of(dir: &Path, programs: &[(&str, &str)]) -> String {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (name, says) in programs {
        // Another process writes it: see what "text file busy" is about.
        let file = bin.join(name);
        let mut writer = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{says}\n").as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
    }
    let sh = std::env::split_paths("/usr/bin:/bin").map(|d| d.join("sh")).find(|f| f.exists()).unwrap();
    if !bin.join("sh").exists() {
        std::os::unix::fs::symlink(sh, bin.join("sh")).unwrap();
    }
    bin.display().to_string()
}

/// Status and detail of each check.
fn doctor(dir: &Path, path: &str) -> BTreeMap<String, (String, String)> {
    let said = orch_in(dir, &[("PATH", path), ("ORCH_SERVER_LISTEN", "127.0.0.1:0")], &["doctor", "--json"]);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let checks = value["checks"].as_array().unwrap().iter();
    checks
        .map(|c| {
            assert!(c["status"] == "ok" || c["fix"].is_string(), "no fix: {c}");
            (text(&c["name"]), (text(&c["status"]), format!("{} {}", text(&c["detail"]), text(&c["fix"]))))
        })
        .collect()
}

/// A project with Python packages and a lock file of npm on its default branch.
fn project(home: &Path, security: &str) -> PathBuf {
    let dir = home.join("shop");
    repository(&dir, "main", &[("requirements.txt", "a==1\n"), ("package-lock.json", "{}")]);
    git(&dir, &["add", "."]);
    git(&dir, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "second"]);
    let repo = dir.display();
    let text = format!(
        "[security]\n{security}\n[agents]\ndefault = \"mine\"\n[agents.programs.mine]\nkind = \"command\"\ncommand = [\"sh\"]\n[[project]]\nkey = \
         \"SHOP\"\nrepo = \"{repo}\"\ndefault_branch = \"main\"\napprovers = [\"local:a\"]\nallow_untested = true\n"
    );
    std::fs::write(dir.join("orch.toml"), text).unwrap();
    dir
}

#[test]
fn the_doctor_says_what_the_security_gate_will_lack() {
    let home = tempfile::tempdir().unwrap();
    let dir = project(home.path(), "");
    let checks = doctor(&dir, &path_of(home.path(), &[]));
    for (name, words) in [
        ("gitleaks", "https://github.com/gitleaks/gitleaks"),
        ("pip-audit", "not installed"),
        ("npm", "not installed"),
        ("advisories", "projects with packages of npm, PyPI"),
    ] {
        let (status, text) = &checks.get(name).unwrap_or_else(|| panic!("no {name}: {checks:?}"));
        assert!(status == "warn" && text.contains(words), "{name}: {status} {text}");
    }
    // Programs: one fine, one too old, one broken.
    let path =
        path_of(home.path(), &[("gitleaks", "echo v8.30.1"), ("pip-audit", "echo pip-audit 2.4"), ("npm", "exit 3")]);
    let checks = doctor(&dir, &path);
    let is = |name: &str| (checks[name].0.as_str(), checks[name].1.as_str());
    assert_eq!(is("gitleaks"), ("ok", "version 8.30.1 "));
    assert!(is("pip-audit").0 == "warn" && is("pip-audit").1.contains("2.7 or newer"), "{:?}", is("pip-audit"));
    assert!(is("npm").0 == "warn" && is("npm").1.contains("exit code 3"), "{:?}", is("npm"));
}

#[test]
fn the_doctor_knows_how_old_each_feed_is_and_which_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let mirror = home.path().join("osv");
    let dir = project(home.path(), &format!("osv_dir = \"{}\"", mirror.display()));
    let path = path_of(home.path(), &[]);
    let checks = doctor(&dir, &path);
    assert!(checks["advisories"].0 == "warn" && checks["advisories"].1.contains("orch audit import"), "{checks:?}");
    feed(&mirror.join("PyPI/all.zip"), "PyPI", 2, 3);
    feed(&mirror.join("Go/all.zip"), "Go", 2, 300);
    let checks = doctor(&dir, &path);
    let is = |name: &str| (checks[name].0.as_str(), checks[name].1.as_str());
    assert!(is("advisories PyPI").0 == "ok" && is("advisories PyPI").1.contains("3 days old"), "{checks:?}");
    assert!(is("advisories npm").0 == "warn" && is("advisories npm").1.contains("/npm/all.zip"), "{checks:?}");
    // What no project needs may be old or missing.
    assert!(is("advisories Go").0 == "ok" && is("advisories Go").1.contains("300 days old; stale"), "{checks:?}");
    assert_eq!(is("advisories crates.io").0, "ok");
    feed(&mirror.join("PyPI/all.zip"), "PyPI", 2, 15);
    std::fs::create_dir_all(mirror.join("npm")).unwrap();
    std::fs::write(mirror.join("npm/all.zip"), "nonsense").unwrap();
    let checks = doctor(&dir, &path);
    assert!(checks["advisories PyPI"].0 == "warn" && checks["advisories PyPI"].1.contains("stale"), "{checks:?}");
    assert!(checks["advisories npm"].0 == "warn" && checks["advisories npm"].1.contains("no zip"), "{checks:?}");
}

#[test]
fn rules_that_cannot_be_read_stop_the_daemon_and_the_doctor_says_so() {
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("rules.toml");
    let dir = project(home.path(), &format!("rules = \"{}\"\ngate_enabled = false", rules.display()));
    let path = path_of(home.path(), &[]);
    let status = |checks: BTreeMap<String, (String, String)>| checks["security rules"].0.clone();
    assert_eq!(status(doctor(&dir, &path)), "fail");
    std::fs::write(&rules, "[[rules]]\nid = 7\n").unwrap();
    assert_eq!(status(doctor(&dir, &path)), "fail");
    std::fs::write(&rules, "[extend]\nuseDefault = true\n").unwrap();
    let checks = doctor(&dir, &path);
    assert_eq!(checks["security gate"].1.trim(), "off ([security] gate_enabled)");
    assert!(!checks.contains_key("gitleaks"), "{checks:?}");
    assert_eq!(status(checks), "ok");
}
