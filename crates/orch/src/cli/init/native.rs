//! Rust, Go, Maven and Gradle: their own tool downloads what the tests need, so that no setup is written for them. Each run
//! has its own cache, so that nothing a branch did is found by another.

use super::ci::Ci;
use super::machine::Machine;
use super::plan::{Plan, quoted};
use super::tree::Dir;

/// `cargo test`.
pub(super) fn rust(dir: &Dir<'_>) -> Option<Plan> {
    if !dir.has("Cargo.toml") {
        return None;
    }
    let manifest = dir.toml("Cargo.toml");
    // A package that only says `[workspace]` stands for itself.
    let members = manifest.get("workspace").and_then(|w| w.get("members")).is_some();
    let line = if members { "cargo test --workspace" } else { "cargo test" };
    Some(Plan::new(line, if members { "Cargo.toml (a workspace)" } else { "Cargo.toml" }, &["cargo"]))
}

/// `go test ./...`; of a `go.work`, in each of its modules.
pub(super) fn go(dir: &Dir<'_>) -> Option<Plan> {
    if let Some(work) = dir.read("go.work") {
        let modules = modules_of(&work);
        let of = |module: &String| quoted(&format!("{}/...", module.trim_end_matches('/')));
        if !modules.is_empty() {
            let line = format!("go test {}", modules.iter().map(of).collect::<Vec<_>>().join(" "));
            return Some(Plan::new(line, "go.work", &["go"]));
        }
    }
    let inner = dir.files().filter(|name| name.ends_with("/go.mod")).count();
    let plan = dir.has("go.mod").then(|| Plan::new("go test ./...", "go.mod", &["go"]))?;
    Some(match inner {
        0 => plan,
        n => plan.note(format!("{n} more Go modules lie below the first one; `go test ./...` does not enter them")),
    })
}

/// `use ./a` and `use ( ./a ./b )`.
fn modules_of(work: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in work.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let rest = match line.strip_prefix("use") {
            Some(rest) if rest.starts_with([' ', '\t', '(']) => {
                inside = rest.trim_start().starts_with('(');
                rest.trim().trim_start_matches('(')
            }
            _ if inside => line,
            _ => continue,
        };
        inside &= !rest.contains(')');
        let name = rest.trim().trim_end_matches(')').trim().trim_matches('"');
        if !name.is_empty() {
            found.push(if name.starts_with('.') { name.to_owned() } else { format!("./{name}") });
        }
    }
    found
}

/// Maven: `verify` where CI runs it, else `test`; Gradle otherwise.
pub(super) fn jvm(dir: &Dir<'_>, ci: &Ci, machine: &Machine) -> Option<Plan> {
    if dir.has("pom.xml") {
        let wrapper = dir.has("mvnw");
        let program = if wrapper { "sh ./mvnw" } else { "mvn" };
        let tool = if wrapper { "java" } else { "mvn" };
        let goal =
            |words: Vec<&str>| words.into_iter().find(|w| ["test", "verify", "install"].contains(w)).map(str::to_owned);
        let goals = ci.runs("mvn").chain(ci.runs("mvnw")).find_map(goal);
        let goal = if goals.is_some_and(|goal| goal != "test") { "verify" } else { "test" };
        // Java takes a user's home from the system and not from HOME: without a word it would share one repository.
        let line = |program: &str, goal: &str| format!("{program} -B -ntp -Dmaven.repo.local=\"$HOME/.m2\" {goal}");
        let mut plan = Plan::new(line(program, goal), if wrapper { "pom.xml and mvnw" } else { "pom.xml" }, &[tool]);
        if wrapper && machine.has("mvn") {
            plan.others
                .push(Plan::new(line("mvn", goal), "", &["mvn"]).other("with the Maven of this machine, not mvnw"));
        }
        if goal == "verify" {
            plan.others
                .push(Plan::new(line(program, "test"), "", &[tool]).other("with `test` in the place of `verify`"));
        }
        return Some(plan);
    }
    let build = dir.first(&["build.gradle.kts", "build.gradle", "settings.gradle.kts", "settings.gradle"])?;
    let (program, tool) = if dir.has("gradlew") { ("sh ./gradlew", "java") } else { ("gradle", "gradle") };
    Some(Plan::new(format!("{program} --no-daemon -g \"$HOME/.gradle\" test"), build, &[tool]))
}
