//! What the security gate will find on this machine: rules, scanners, and advisories with their age. Nothing here fails
//! but rules that cannot be read, with which no daemon starts: the built-in scan needs none of the others, and an audit
//! that saw too little says so at the gate. A program nobody's manifests need is no warning.

use super::super::context::Tone;
use super::super::{audit, git_probe};
use super::finding::{Check, check};
use crate::config::Config;
use crate::config::security::Use;
use orch_adapters::audit::{Network, NpmAudit, PipAudit};
use orch_adapters::gitleaks::Gitleaks;
use orch_advisories::{Ecosystem, Kind, Mirror, is_manifest};
use orch_ports::Fault;
use std::collections::BTreeSet;
use std::path::Path;

/// What the projects' default branches hold.
struct Needs {
    ecosystems: BTreeSet<Ecosystem>,
    package_lock: bool,
}

impl Needs {
    fn of(config: &Config) -> Self {
        let mut needs = Self { ecosystems: BTreeSet::new(), package_lock: false };
        for project in &config.projects {
            let Some(files) = git_probe::files(Path::new(&project.repo), &project.default_branch) else {
                // It lies elsewhere, so it may hold anything.
                return Self { ecosystems: Ecosystem::ALL.into(), package_lock: true };
            };
            for kind in files.iter().filter_map(|path| is_manifest(path)) {
                needs.ecosystems.insert(kind.ecosystem());
                needs.package_lock |= kind == Kind::PackageLock;
            }
        }
        needs
    }
}

/// The checks.
pub(super) fn checks(config: &Config, path: &str) -> Vec<Check> {
    let section = &config.security;
    let mut out = Vec::from_iter(rules(section.rules.as_deref()));
    if !section.gate_enabled {
        out.push(check("security gate", Tone::Good, "off ([security] gate_enabled)", None));
        return out;
    }
    let needs = Needs::of(config);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return out };
    if section.gitleaks == Use::Auto {
        let found = runtime.block_on(Gitleaks::new(path).probe());
        let get = "install gitleaks: `apt install gitleaks` on Debian and Ubuntu, `brew install gitleaks` on macOS, or a \
                   release of its own project with its checksums (https://github.com/gitleaks/gitleaks/releases); or set \
                   [security] gitleaks = \"off\"";
        out.push(program("gitleaks", found, true, get));
    }
    if section.auditors == Use::Auto {
        let found = runtime.block_on(PipAudit::new(path, Network::default()).probe());
        let get = "install pip-audit (https://pypi.org/project/pip-audit/), or set [security] auditors = \"off\"";
        out.push(program("pip-audit", found, needs.ecosystems.contains(&Ecosystem::PyPI), get));
        let found = runtime.block_on(NpmAudit::new(path, Network::default()).probe());
        let get = "install npm (https://docs.npmjs.com/), or set [security] auditors = \"off\"";
        out.push(program("npm", found, needs.package_lock, get));
    }
    out.extend(advisories(config, &needs));
    out
}

/// Rules of the operator's own: without them the daemon does not start.
fn rules(file: Option<&Path>) -> Option<Check> {
    let file = file?;
    let fix = || Some("correct the file, or [security] rules".to_owned());
    let read = std::fs::read_to_string(file).map_err(|e| e.to_string());
    Some(match read.and_then(|text| orch_secrets::Rules::parse(&text).map_err(|e| e.to_string())) {
        Ok(_) => check("security rules", Tone::Good, file.display().to_string(), None),
        Err(why) => check("security rules", Tone::Bad, format!("{}: {why}", file.display()), fix()),
    })
}

fn program(name: &str, found: Result<Result<String, String>, Fault>, needed: bool, get: &str) -> Check {
    match found {
        Ok(Ok(version)) => check(name, Tone::Good, format!("version {version}"), None),
        Ok(Err(why)) if !needed => check(name, Tone::Good, format!("{why}; no project has anything for it"), None),
        Ok(Err(why)) => check(name, Tone::Warn, why, Some(get.to_owned())),
        Err(fault) => check(name, Tone::Warn, fault.text, Some(get.to_owned())),
    }
}

/// Each ecosystem's feeds. A large one takes seconds: only its records say how old it is.
fn advisories(config: &Config, needs: &Needs) -> Vec<Check> {
    let section = &config.security;
    let opened = match (&section.osv_dir, &section.rustsec_dir) {
        (None, None) => {
            let names: Vec<&str> = needs.ecosystems.iter().map(|e| e.name()).collect();
            return vec![if names.is_empty() {
                check("advisories", Tone::Good, "no mirror; no project has anything for it", None)
            } else {
                let fix = "set [security] osv_dir, and fill it with `orch audit import`";
                let detail = format!("no mirror of advisories, and projects with packages of {}", names.join(", "));
                check("advisories", Tone::Warn, detail, Some(fix.into()))
            }];
        }
        (Some(osv), None) => Mirror::open(osv),
        (None, Some(rustsec)) => Mirror::of_rustsec(rustsec),
        (Some(osv), Some(rustsec)) => Mirror::open(osv).and_then(|mirror| mirror.with_rustsec(rustsec)),
    };
    let mirror = match opened {
        Ok(mirror) => mirror,
        Err(error) => {
            let fix = "correct [security] osv_dir or rustsec_dir; `orch audit import` makes and fills the first";
            return vec![check("advisories", Tone::Warn, error.to_string(), Some(fix.into()))];
        }
    };
    let max_age_s = i64::try_from(section.feed_max_age_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
    std::thread::scope(|scope| {
        let looking: Vec<_> = Ecosystem::ALL
            .into_iter()
            .map(|e| {
                scope.spawn({
                    let mirror = &mirror;
                    move || feed(mirror, e, needs, max_age_s)
                })
            })
            .collect();
        looking.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn feed(mirror: &Mirror, ecosystem: Ecosystem, needs: &Needs, max_age_s: i64) -> Check {
    let title = format!("advisories {ecosystem}");
    let now_s = audit::now_s();
    let records = mirror.inspect(ecosystem);
    let mut stale = false;
    let mut lines = Vec::new();
    for feed in &records.feeds {
        stale |= feed.as_of.is_older_than(max_age_s, now_s);
        lines.push(format!("{} {}", feed.source, audit::age(feed.as_of, now_s)));
    }
    lines.extend(records.problems.iter().cloned());
    if stale {
        lines.push("stale".into());
    }
    let good = records.problems.is_empty() && !stale;
    let needed = needs.ecosystems.contains(&ecosystem);
    if !good && !needed {
        lines.push("no project has anything for it".into());
    }
    let fix = format!("fetch {}/{ecosystem}/all.zip and bring it by `orch audit import`", audit::BUCKET);
    check(&title, if good || !needed { Tone::Good } else { Tone::Warn }, lines.join("; "), Some(fix))
}
