//! Node: which package manager, which script.

use super::ci::Ci;
use super::machine::Machine;
use super::plan::{Other, Plan, quoted};
use super::tree::Dir;
use serde_json::Value;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    /// The first one, up to 1.22.
    Yarn,
    /// 2 and later.
    Berry,
    Bun,
}

use Manager::{Berry, Bun, Npm, Pnpm, Yarn};

/// Lock files, in the order in which they are believed.
const LOCKS: &[(&str, Manager)] = &[
    ("pnpm-lock.yaml", Pnpm),
    ("yarn.lock", Yarn),
    ("bun.lock", Bun),
    ("bun.lockb", Bun),
    ("package-lock.json", Npm),
    ("npm-shrinkwrap.json", Npm),
];

/// Scripts that run tests, the most likely first.
const SCRIPTS: &[&str] = &["test", "test:unit", "unit", "test-unit", "test:ci", "tests"];

impl Manager {
    fn name(self) -> &'static str {
        match self {
            Npm => "npm",
            Pnpm => "pnpm",
            Yarn | Berry => "yarn",
            Bun => "bun",
        }
    }
}

/// What a `package.json` and the files beside it say.
pub(super) fn plan(dir: &Dir<'_>, ci: &Ci, machine: &Machine) -> Option<Plan> {
    let package: Value = serde_json::from_str(&dir.read("package.json")?).ok()?;
    let (manager, lock, doubt) = manager(dir, &package, ci);
    let (call, bring, tools) = call(dir, manager, &package, machine);
    let script = script_of(&package);
    let test = match script {
        Some("test") if manager != Bun => format!("{call} test"),
        Some(name) => format!("{call} run {name}"),
        None => all_packages(dir, manager, &call)?,
    };
    let because = match lock {
        Some(lock) => format!("package.json and {lock}"),
        None => "package.json".to_owned(),
    };
    let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
    let install = format!("{}{}", bring.clone().unwrap_or_default(), install(manager, &call, lock));
    let mut plan = Plan::new(test, because, &tools).setup(&*install);
    plan.notes.extend(doubt);
    if bring.is_some() {
        plan.notes.push(format!(
            "{0} is not installed here: the setup brings it for every run; `npm install -g {0}` and the plain name save that \
             time",
            manager.name()
        ));
    }
    if scripts(&package).is_some_and(|scripts| scripts.contains_key("build")) {
        plan.others.push(Other {
            setup: Some(format!("{install} && {call} run build")),
            test: plan.test.clone(),
            because: "with what the script `build` makes".into(),
            tools: plan.tools.clone(),
            beside: Vec::new(),
            if_generated: true,
        });
    }
    Some(plan)
}

fn scripts(package: &Value) -> Option<&serde_json::Map<String, Value>> {
    package.get("scripts")?.as_object()
}

/// A script that runs tests; what `npm init` writes in its place is none.
fn script_of(package: &Value) -> Option<&'static str> {
    let scripts = scripts(package)?;
    SCRIPTS.iter().copied().find(|name| {
        let line = scripts.get(*name).and_then(Value::as_str).unwrap_or_default().trim();
        !line.is_empty() && !line.contains("no test specified")
    })
}

/// Who installs here, by which lock file, and what is in doubt.
fn manager(dir: &Dir<'_>, package: &Value, ci: &Ci) -> (Manager, Option<&'static str>, Option<String>) {
    let locks: Vec<(&'static str, Manager)> = LOCKS.iter().copied().filter(|(name, _)| dir.has(name)).collect();
    let of = |wanted: Manager| locks.iter().find(|(_, m)| *m == wanted).map(|(name, _)| *name);
    let declared = package.get("packageManager").and_then(Value::as_str).unwrap_or_default();
    let (name, version) = declared.split_once('@').unwrap_or((declared, ""));
    let major: u32 = version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let found = match name {
        "npm" => Some(Npm),
        "pnpm" => Some(Pnpm),
        "yarn" => Some(Yarn),
        "bun" => Some(Bun),
        _ => None,
    };
    let mut doubt = None;
    let manager = found.unwrap_or_else(|| {
        let mut managers: Vec<Manager> = locks.iter().map(|(_, m)| *m).collect();
        managers.dedup();
        if managers.len() < 2 {
            return managers.first().copied().unwrap_or(Npm);
        }
        let in_ci = managers.iter().copied().find(|m| ci.mentions(m.name()) || ci.contains(&format!("{}/", m.name())));
        let chosen = in_ci.unwrap_or(managers[0]);
        let names: Vec<&str> = locks.iter().map(|(name, _)| *name).collect();
        let why = if in_ci.is_some() { "CI uses it" } else { "it is a guess" };
        doubt = Some(format!(
            "there are lock files of several package managers ({}); {} was taken: {why}",
            names.join(", "),
            chosen.name()
        ));
        chosen
    });
    let lock = of(manager);
    if lock.is_none() && !locks.is_empty() {
        let names: Vec<&str> = locks.iter().map(|(name, _)| *name).collect();
        doubt = Some(format!(
            "package.json names {}, which does not read {}: what it installs is not locked",
            manager.name(),
            names.join(", ")
        ));
    }
    let modern = 2 <= major || dir.has(".yarnrc.yml");
    (if manager == Yarn && modern { Berry } else { manager }, lock, doubt)
}

/// How the manager is called, what brings it where the machine lacks it, and the programs that takes. It comes into the
/// run's HOME and before everything else on the PATH, because scripts call it by its name.
fn call(dir: &Dir<'_>, manager: Manager, package: &Value, machine: &Machine) -> (String, Option<String>, Vec<String>) {
    let name = manager.name();
    if manager == Berry
        && let Some(path) =
            dir.files().find(|f| f.starts_with(".yarn/releases/") && f.rsplit('.').next() == Some("cjs"))
    {
        return (format!("node {}", quoted(path)), None, vec!["node".into()]);
    }
    if machine.has(name) || !machine.has("npm") {
        return (name.to_owned(), None, vec![name.to_owned(), "node".to_owned()]);
    }
    let declared = package.get("packageManager").and_then(Value::as_str).unwrap_or_default();
    // `pnpm@9.4.0+sha512.…`
    let version = declared.split_once('@').map(|(_, v)| v.split('+').next().unwrap_or(v).to_owned());
    let is_version = |v: &String| !v.is_empty() && v.chars().all(|c| c.is_ascii_alphanumeric() || ".+-".contains(c));
    let version = version.filter(is_version).unwrap_or_else(|| usual_version(dir, manager).to_owned());
    let from = if manager == Berry { "@yarnpkg/cli-dist" } else { name };
    let bring = format!("npm install --global --silent --prefix \"$HOME/npm\" {from}@{version} && ");
    (format!("PATH=\"$HOME/npm/bin:$PATH\" {name}"), Some(bring), vec!["npm".into(), "node".into()])
}

fn usual_version(dir: &Dir<'_>, manager: Manager) -> &'static str {
    match manager {
        Npm => "latest",
        Yarn => "1.22.22",
        Berry => "4",
        Bun => "1",
        Pnpm => {
            let lock = dir.read("pnpm-lock.yaml").unwrap_or_default();
            let format = lock.lines().find_map(|line| line.strip_prefix("lockfileVersion:")).unwrap_or_default();
            let format = format.trim().trim_matches(['\'', '"']).to_owned();
            let ten = dir.read("pnpm-workspace.yaml").is_some_and(|text| text.contains("onlyBuiltDependencies"));
            match format.split('.').next().unwrap_or_default() {
                "5" => "7",
                "6" => "8",
                _ if ten => "10",
                _ => "9",
            }
        }
    }
}

fn install(manager: Manager, call: &str, lock: Option<&str>) -> String {
    match (manager, lock) {
        (Npm, Some(_)) => format!("{call} ci"),
        (Npm, None) => format!("{call} install --no-package-lock"),
        (Pnpm | Yarn | Bun, Some(_)) => format!("{call} install --frozen-lockfile"),
        (Berry, Some(_)) => format!("{call} install --immutable"),
        (Pnpm | Yarn | Berry | Bun, None) => format!("{call} install"),
    }
}

/// The tests of every package of a workspace that has some.
fn all_packages(dir: &Dir<'_>, manager: Manager, call: &str) -> Option<String> {
    let inner = |name: &&str| name.ends_with("/package.json") && !name.contains("node_modules/");
    let has_tests = |name: &str| {
        let package: Option<Value> = dir.read(name).and_then(|text| serde_json::from_str(&text).ok());
        package.as_ref().and_then(script_of) == Some("test")
    };
    let root: Value = serde_json::from_str(&dir.read("package.json")?).ok()?;
    if root.get("workspaces").is_none() && !dir.has("pnpm-workspace.yaml") {
        return None;
    }
    dir.files().filter(inner).take(200).any(has_tests).then(|| match manager {
        Npm => format!("{call} test --workspaces --if-present"),
        Pnpm => format!("{call} -r test"),
        Yarn => format!("{call} workspaces run test"),
        Berry => format!("{call} workspaces foreach -A run test"),
        Bun => format!("{call} run --filter '*' test"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn found(files: &[(&str, &str)], tools: &[&'static str]) -> Option<(String, String, Vec<String>)> {
        let tree = Tree::of_files(files);
        let plan = plan(&tree.dir(""), &Ci::of(&tree), &Machine::with(tools))?;
        Some((plan.setup.unwrap_or_default(), plan.test, plan.notes))
    }

    const TEST: &str = r#"{"scripts": {"test": "mocha"}}"#;

    #[test]
    fn the_lock_file_says_who_installs() {
        let all = &["npm", "pnpm", "yarn", "bun", "node"];
        for (lock, setup, test) in [
            ("package-lock.json", "npm ci", "npm test"),
            ("none", "npm install --no-package-lock", "npm test"),
            ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm test"),
            ("yarn.lock", "yarn install --frozen-lockfile", "yarn test"),
            ("bun.lock", "bun install --frozen-lockfile", "bun run test"),
        ] {
            let (s, t, notes) = found(&[("package.json", TEST), (lock, "")], all).unwrap();
            assert_eq!((&*s, &*t, notes.len()), (setup, test, 0), "{lock}");
        }
        let (s, ..) = found(&[("package.json", TEST), ("yarn.lock", ""), (".yarnrc.yml", "")], all).unwrap();
        assert_eq!(s, "yarn install --immutable");
    }

    #[test]
    fn of_two_lock_files_the_declared_manager_then_ci_then_a_guess_that_says_so() {
        let both = [("pnpm-lock.yaml", ""), ("package-lock.json", "")];
        let declared = r#"{"packageManager": "npm@10.1.0", "scripts": {"test": "mocha"}}"#;
        let (setup, _, notes) = found(&[&[("package.json", declared)][..], &both].concat(), &["npm", "pnpm"]).unwrap();
        assert_eq!((&*setup, notes.len()), ("npm ci", 0));
        let ci = (".github/workflows/a.yml", "      - run: npm ci\n");
        let (setup, _, notes) = found(&[&[("package.json", TEST), ci][..], &both].concat(), &["npm", "pnpm"]).unwrap();
        assert_eq!(setup, "npm ci");
        assert!(notes[0].ends_with("npm was taken: CI uses it"), "{notes:?}");
        let (setup, _, notes) = found(&[&[("package.json", TEST)][..], &both].concat(), &["npm", "pnpm"]).unwrap();
        assert_eq!(setup, "pnpm install --frozen-lockfile");
        assert!(notes[0].contains("it is a guess"), "{notes:?}");
    }

    #[test]
    fn a_manager_that_is_not_installed_is_brought_in_its_version() {
        let package = r#"{"packageManager": "pnpm@9.4.0+sha512.abc", "scripts": {"test": "vitest"}}"#;
        let (setup, test, notes) = found(&[("package.json", package), ("pnpm-lock.yaml", "")], &["npm"]).unwrap();
        assert_eq!(test, "PATH=\"$HOME/npm/bin:$PATH\" pnpm test");
        assert_eq!(
            setup,
            "npm install --global --silent --prefix \"$HOME/npm\" pnpm@9.4.0 && PATH=\"$HOME/npm/bin:$PATH\" pnpm install \
             --frozen-lockfile"
        );
        assert!(notes[0].starts_with("pnpm is not installed here"));
        let lock = ("pnpm-lock.yaml", "lockfileVersion: '6.0'\n");
        let (setup, ..) = found(&[("package.json", TEST), lock], &["npm"]).unwrap();
        assert!(setup.contains(" pnpm@8 && "), "{setup}");
    }

    #[test]
    fn a_lock_file_the_declared_manager_does_not_read_is_a_doubt() {
        let package = r#"{"scripts": {"test": "x"}, "packageManager": "pnpm@9.4.0"}"#;
        let tree = Tree::of_files(&[("package.json", package), ("package-lock.json", "{}")]);
        let plan = plan(&tree.dir(""), &Ci::of(&tree), &Machine::with(&["pnpm"])).unwrap();
        assert_eq!(plan.setup.as_deref(), Some("pnpm install"));
        assert!(plan.notes[0].contains("names pnpm, which does not read package-lock.json"), "{:?}", plan.notes);
    }

    #[test]
    fn nothing_a_repository_names_is_a_command_of_its_own() {
        let tree = Tree::of_files(&[
            ("package.json", r#"{"scripts": {"test": "x"}, "packageManager": "yarn@4"}"#),
            (".yarn/releases/a;touch b $(c).cjs", ""),
        ]);
        let plan = plan(&tree.dir(""), &Ci::of(&tree), &Machine::with(&["node"])).unwrap();
        assert_eq!(plan.test, "node '.yarn/releases/a;touch b $(c).cjs' test");
        for version in ["1; touch x", "$(touch x)", "https://x.example/a", ""] {
            let package = format!(r#"{{"scripts": {{"test": "x"}}, "packageManager": "pnpm@{version}"}}"#);
            let (setup, ..) = found(&[("package.json", &package)], &["npm"]).unwrap();
            assert!(setup.contains(" pnpm@9 && "), "{version:?}: {setup}");
        }
    }

    #[test]
    fn what_npm_init_writes_is_no_test_and_a_workspace_has_those_of_its_packages() {
        let placeholder = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(found(&[("package.json", placeholder)], &["npm"]), None);
        assert_eq!(found(&[("package.json", "{}")], &["npm"]), None);
        assert_eq!(found(&[("package.json", "not json")], &["npm"]), None);
        let root = r#"{"workspaces": ["packages/*"]}"#;
        let files = [("package.json", root), ("packages/a/package.json", TEST), ("package-lock.json", "{}")];
        assert_eq!(found(&files, &["npm"]).unwrap().1, "npm test --workspaces --if-present");
        assert_eq!(found(&[("package.json", root), ("packages/a/package.json", placeholder)], &["npm"]), None);
    }
}
