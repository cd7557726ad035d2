//! What a red run lacked, read from what it printed: a tool, a service, a generated step. A guess for a person to start
//! with; nothing decides by it.

use super::known::{PROGRAMS, SERVERS, SERVICES};
use super::plan::Plan;

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Missing {
    /// `tool`, `service`, `generated step`, `package`, `toolchain`, `network`, `submodule`, `variable`, `space`.
    pub(super) kind: &'static str,
    /// For people, with what to do.
    pub(super) text: String,
}

/// A program that is not on this machine.
pub(super) fn tool(name: &str) -> Missing {
    let how = PROGRAMS.iter().find(|(program, _)| *program == name).map(|(_, how)| *how);
    let how = how.unwrap_or("install it, or correct the PATH orch is started with");
    let kind = if SERVERS.contains(&name) { "service" } else { "tool" };
    Missing { kind, text: format!("the program `{name}` is not on this machine: {how}") }
}

/// Everything an output tells of, each thing once.
pub(super) fn read(output: &str, plan: &Plan) -> Vec<Missing> {
    let mut found: Vec<Missing> = Vec::new();
    for line in output.lines() {
        let line = plain(line);
        if line.len() > 2_000 {
            continue;
        }
        let lack = program(&line)
            .map(|name| tool(&name))
            .or_else(|| service(&line))
            .or_else(|| toolchain(&line))
            .or_else(|| header(&line))
            .or_else(|| package(&line, plan))
            .or_else(|| others(&line));
        if let Some(lack) = lack
            && !found.contains(&lack)
            && found.len() < 6
        {
            found.push(lack);
        }
    }
    found
}

/// Without colours.
pub(super) fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

fn is_program(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    (1..=40).contains(&name.len()) && name.chars().all(good) && name.chars().any(|c| c.is_ascii_alphabetic())
}

/// The word between quotes that begins a text.
fn in_quotes(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|c| ['"', '\'', '`', '‘'].contains(c))?;
    let close = if quote == '‘' { '’' } else { quote };
    text[quote.len_utf8()..].split(close).next()
}

/// A program that was not found.
fn program(line: &str) -> Option<String> {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    // `sh: 1: pytest: not found`, `./test.sh: 17: redis-server: not found`, `bash: line 1: just: command not found`.
    let shells = [": command not found", ": not found", ": No such file or directory"];
    for (at, end) in shells.iter().enumerate() {
        let Some(before) = line.strip_suffix(end) else { continue };
        let words: Vec<&str> = before.split(": ").collect();
        let name = words.last().copied().unwrap_or_default().trim();
        // The third says it of files, too: there only make's and env's form counts.
        let of_shell = words.len() >= 2
            && (at < 2 || words[0] == "make" || words[0] == "env" || words[0].starts_with("/usr/bin/env"));
        let name = name.trim_matches(['\'', '‘', '’', '"']);
        if of_shell && is_program(&base(name)) && (at < 2 || !name.contains('/')) {
            return Some(base(name));
        }
    }
    // `exec: "redis-server": executable file not found in $PATH`.
    if let Some((before, _)) = line.split_once(": executable file not found in") {
        let name = before.rsplit('"').nth(1)?;
        return is_program(&base(name)).then(|| base(name));
    }
    // `Error: spawn docker ENOENT`.
    if let Some((_, rest)) = line.split_once("spawn ")
        && let Some(name) = rest.split_whitespace().next()
        && rest.contains("ENOENT")
    {
        return is_program(&base(name)).then(|| base(name));
    }
    // `FileNotFoundError: [Errno 2] No such file or directory: 'redis-server'`.
    if let Some((_, rest)) = line.split_once("FileNotFoundError: [Errno 2] No such file or directory: ") {
        let name = in_quotes(rest)?;
        return (is_program(name) && !name.contains('.')).then(|| name.to_owned());
    }
    // ``linker `cc` not found``, ``error: could not find `protoc` ``.
    for sign in ["linker ", "Could not find ", "could not find "] {
        if let Some((_, rest)) = line.split_once(sign)
            && let Some(name) = in_quotes(rest)
            && (rest.contains("not found") || name == "protoc")
        {
            return is_program(name).then(|| name.to_owned());
        }
    }
    None
}

/// A service that was not reached.
fn service(line: &str) -> Option<Missing> {
    let lower = line.to_ascii_lowercase();
    if lower.contains("docker daemon") || lower.contains("valid docker environment") {
        let text =
            "the tests start containers, and no Docker daemon answers: start one, and let the user of orch use it";
        return Some(Missing { kind: "service", text: text.into() });
    }
    let refused = ["connection refused", "econnrefused", "could not connect to server", "failed to connect"];
    if !refused.iter().any(|sign| lower.contains(sign)) {
        return None;
    }
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|n| (2..=5).contains(&n.len()));
    let known = numbers.clone().find_map(|n| SERVICES.iter().find(|(port, _)| *port == n));
    let local = ["127.0.0.1", "localhost", "::1"].iter().any(|host| line.contains(host));
    let name = match known {
        Some((port, name)) => format!("{name} (port {port})"),
        None if local => "a server on this machine".into(),
        None if lower.contains("redis") => "Redis".into(),
        None if lower.contains("postgres") => "PostgreSQL".into(),
        None => return None,
    };
    let text = format!("the tests need {name}, and nothing answers there: start it on this machine");
    Some(Missing { kind: "service", text })
}

/// A compiler of another version.
fn toolchain(line: &str) -> Option<Missing> {
    let signs = [
        (
            "rustup could not choose a version",
            "rustup does not find its toolchains: set RUSTUP_HOME in [project.commands.env]",
        ),
        ("is not installed\nhelp: run `rustup", ""),
        ("go.mod requires go >=", ""),
        ("is not in the allowed range", ""),
        ("requires Maven version", ""),
        ("invalid target release", ""),
        ("release version ", "not supported"),
        ("Unsupported class file major version", ""),
        ("requires a different Python", ""),
        ("Current Python version", "not allowed"),
        ("The engine \"node\" is incompatible", ""),
        ("Unsupported engine", ""),
        ("ensurepip is not", ""),
    ];
    if let Some((_, version)) = line.split_once(" requires rustc ") {
        let version = version.split_whitespace().next().unwrap_or_default();
        let text = format!("Rust {version} or newer is needed: `rustup update`, or install that toolchain");
        return Some(Missing { kind: "toolchain", text });
    }
    let rustup = line.contains("toolchain '") && line.contains("is not installed");
    let found = signs.iter().find(|(sign, _)| line.contains(sign));
    let (sign, more) = match found {
        Some((sign, more)) => (*sign, *more),
        None if rustup => ("toolchain", ""),
        None => return None,
    };
    if sign == "release version " && !line.contains(more) || sign == "Current Python version" && !line.contains(more) {
        return None;
    }
    if sign.starts_with("rustup") {
        return Some(Missing { kind: "toolchain", text: more.into() });
    }
    if sign == "ensurepip is not" {
        return Some(Missing {
            kind: "tool",
            text: "Python cannot make environments: `apt install python3-venv`".into(),
        });
    }
    Some(Missing { kind: "toolchain", text: format!("another version of a toolchain is needed: {}", short(line)) })
}

/// A library's header, which on Debian is in a package of its own.
fn header(line: &str) -> Option<Missing> {
    if let Some((before, _)) = line.split_once(": No such file or directory")
        && let Some((_, name)) = before.rsplit_once("fatal error: ")
    {
        let text =
            format!("the C header {name} is not on this machine: install the development package of its library");
        return Some(Missing { kind: "package", text });
    }
    if let Some((_, name)) = line.split_once("cannot find -l") {
        let name = name.split([':', ' ']).next().unwrap_or_default();
        let text = format!("the library lib{name} is not on this machine: install its development package");
        return Some(Missing { kind: "package", text });
    }
    if line.contains("was not found in the pkg-config search path")
        || line.contains("No package '") && line.ends_with("found")
    {
        return Some(Missing { kind: "package", text: format!("a system library is missing: {}", short(line)) });
    }
    None
}

/// A package that setup did not install, or a file that a build makes first.
fn package(line: &str, plan: &Plan) -> Option<Missing> {
    if let Some((_, rest)) = line.split_once("No module named ") {
        let name = in_quotes(rest).unwrap_or(rest.split_whitespace().next()?);
        let where_ =
            if plan.setup.is_some() { "the setup does not install it" } else { "there is no setup that installs it" };
        return Some(Missing { kind: "package", text: format!("the Python module `{name}` is missing: {where_}") });
    }
    if line.contains("unrecognized arguments: --cov") {
        let text = "pytest is called with --cov: add pytest-cov to what the setup installs";
        return Some(Missing { kind: "package", text: text.into() });
    }
    for sign in
        ["Cannot find module ", "Cannot find package ", "Could not resolve ", "Failed to resolve entry for package "]
    {
        let Some((_, rest)) = line.split_once(sign) else { continue };
        let Some(name) = in_quotes(rest) else { continue };
        let made = ["dist", "build", "lib/", "generated", "/out/"].iter().any(|part| name.contains(part));
        let own = name.starts_with('.') || name.starts_with('/') || sign.starts_with("Failed to resolve entry");
        return Some(if made || own {
            let text = format!("`{name}` is not there: it may be made by a build step, which belongs into `setup`");
            Missing { kind: "generated step", text }
        } else {
            Missing { kind: "package", text: format!("the package `{name}` is missing: the setup does not install it") }
        });
    }
    if line.starts_with("make") && line.contains("No rule to make target ") {
        return Some(Missing { kind: "generated step", text: short(line) });
    }
    if line.contains("package ") && line.contains(" is not in std") {
        return Some(Missing { kind: "generated step", text: format!("a Go package is missing: {}", short(line)) });
    }
    None
}

fn others(line: &str) -> Option<Missing> {
    let lower = line.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if has(&["no space left on device"]) {
        return Some(Missing {
            kind: "space",
            text: "the disk of temporary files is full: set TMPDIR to another one".into(),
        });
    }
    let no_network = [
        "could not resolve host",
        "temporary failure in name resolution",
        "name or service not known",
        "getaddrinfo enotfound",
        "getaddrinfo eai_again",
        "no such host",
        "network is unreachable",
        "could not transfer artifact",
        "failed to download from",
    ];
    if line.contains("submodule ") && has(&no_network) {
        let text = format!("a submodule could not be fetched: {}", short(line));
        return Some(Missing { kind: "submodule", text });
    }
    if has(&no_network) {
        let text = format!(
            "something could not be downloaded: {}. Proxies and registries of this shell belong into [project.commands.env]; \
             settings below your HOME (.npmrc, pip.conf, .cargo/config.toml) are not read",
            short(line)
        );
        return Some(Missing { kind: "network", text });
    }
    if has(&["executable doesn't exist at", "could not find chrome", "no binary for chrome", "cannot find chrome"]) {
        return Some(Missing { kind: "tool", text: format!("a browser for the tests: {}", short(line)) });
    }
    let unset = ["environment variable", "env variable", "env var"];
    if has(&unset) && has(&["not set", "must be set", "is required", "missing", "not found", "undefined"]) {
        return Some(Missing { kind: "variable", text: format!("a variable of the environment: {}", short(line)) });
    }
    None
}

fn short(line: &str) -> String {
    let cut: String = line.chars().take(200).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(output: &str) -> Vec<(&'static str, String)> {
        read(output, &Plan::default()).into_iter().map(|m| (m.kind, m.text)).collect()
    }

    #[test]
    fn what_was_not_found_is_named_whoever_says_so() {
        for (line, kind, word) in [
            ("sh: 1: pytest: not found", "tool", "`pytest`"),
            ("./test.sh: 17: redis-server: not found", "service", "`redis-server`"),
            ("bash: line 1: just: command not found", "tool", "`just`"),
            ("make: cmake: No such file or directory", "tool", "`cmake`"),
            ("/usr/bin/env: ‘node’: No such file or directory", "tool", "`node`"),
            ("exec: \"redis-server\": executable file not found in $PATH", "service", "`redis-server`"),
            ("Error: spawn docker ENOENT", "tool", "`docker`"),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'git'", "tool", "`git`"),
            ("error: linker `cc` not found", "tool", "`cc`"),
            ("dial tcp 127.0.0.1:6379: connect: connection refused", "service", "Redis (port 6379)"),
            ("Error: connect ECONNREFUSED 127.0.0.1:5432", "service", "PostgreSQL (port 5432)"),
            ("error: rustup could not choose a version of cargo to run", "toolchain", "RUSTUP_HOME"),
            ("error: toolchain '1.60.0-x86_64-unknown-linux-gnu' is not installed", "toolchain", "1.60.0"),
            ("go: go.mod requires go >= 1.99 (running go 1.22)", "toolchain", "1.99"),
            ("grep@0.4.1 requires rustc 1.96", "toolchain", "Rust 1.96"),
            ("Detected Maven Version: 3.8.7 is not in the allowed range [3.9,).", "toolchain", "[3.9,)"),
            ("[ERROR] Fatal error compiling: error: release version 21 not supported", "toolchain", "21"),
            ("x.c:1:10: fatal error: zlib.h: No such file or directory", "package", "zlib.h"),
            ("/usr/bin/ld: cannot find -lssl: No such file or directory", "package", "libssl"),
            ("ModuleNotFoundError: No module named 'yaml'", "package", "`yaml`"),
            ("Error: Cannot find module '../dist/index.js'", "generated step", "dist"),
            ("Error: Cannot find module 'lodash'", "package", "`lodash`"),
            ("make: *** No rule to make target 'x.h', needed by 'x.o'.  Stop.", "generated step", "x.h"),
            (
                "check out 1a: submodule a from https://x/a: fatal: Could not resolve host: x",
                "submodule",
                "https://x/a",
            ),
            ("curl: (6) Could not resolve host: example.com", "network", "example.com"),
            ("\u{1b}[31mError: environment variable API_URL is not set\u{1b}[0m", "variable", "API_URL"),
        ] {
            let found = kinds(line);
            assert_eq!(found.len(), 1, "{line:?}: {found:?}");
            assert!(found[0].0 == kind && found[0].1.contains(word), "{line:?}: {found:?}");
        }
    }

    #[test]
    fn ordinary_output_names_nothing() {
        for line in [
            "test result: FAILED. 3 passed; 1 failed",
            "assertion failed: page not found",
            "expected: 404: not found page",
            "cat: a/b.txt: No such file or directory",
            "ok 3 - connection refused is handled",
            "Compiling env_logger v0.11",
        ] {
            assert_eq!(kinds(line), [], "{line:?}");
        }
    }
}
