use super::*;
use crate::tamper::protected;

/// A commit of these files; `path -> target` is a link.
fn files(of: &[(&str, &str)]) -> Files {
    let mut files = Files::default();
    for (path, text) in of {
        if let Some((path, target)) = path.split_once(" -> ") {
            files.add(path, Some(target));
        } else {
            files.add(path, None);
            files.set_text(path, text.as_bytes().to_vec());
        }
    }
    files
}

fn guards(line: &str, of: &[(&str, &str)]) -> Vec<Guard> {
    let command = Configured { key: "commands.test".into(), line: line.into() };
    let derived = derive(&[command], &files(of));
    assert_eq!(derived.wanted, Vec::<String>::new(), "{line}: every text is there");
    derived.guards
}

/// Is all of a path guarded?
fn whole(guards: &[Guard], path: &str) -> bool {
    guards.iter().any(|g| g.part == Part::Whole && protected(path, &[&g.pattern]).is_some())
}
fn partly(guards: &[Guard], path: &str) -> bool {
    guards.iter().any(|g| g.part != Part::Whole && protected(path, &[&g.pattern]).is_some())
}

#[test]
fn a_script_that_a_command_names_is_guarded_however_it_is_named() {
    let there = [
        ("ci/all.sh", "#!/bin/sh\nexit 0\n"),
        ("run-tests.sh", "pytest\n"),
        ("tools/x y.sh", ""),
        ("tools/check", "#!/usr/bin/env bash\n"),
        ("tools/report.py", ""),
        ("web/smoke.js", ""),
        ("web/test.sh", ""),
        ("src/main.rs", ""),
        ("README.md", ""),
        ("Makefile", "test:\n\t./ci/all.sh\n"),
        ("link.sh -> ci/all.sh", ""),
        ("bin -> tools", ""),
    ];
    for (line, path) in [
        ("sh ci/all.sh", "ci/all.sh"),
        ("./run-tests.sh", "run-tests.sh"),
        ("run-tests.sh/../run-tests.sh", "run-tests.sh"),
        ("bash -euo pipefail ci/all.sh --fast", "ci/all.sh"),
        ("bash -c './ci/all.sh'", "ci/all.sh"),
        ("sh -ec \"cd ci && ./all.sh\"", "ci/all.sh"),
        ("env A=b sh ci/all.sh", "ci/all.sh"),
        ("A=b B='c d' sh './ci/all.sh'", "ci/all.sh"),
        ("cd ci && ./all.sh", "ci/all.sh"),
        ("cd ci; sh ../ci/./all.sh", "ci/all.sh"),
        ("(cd web && ./test.sh) && ./run-tests.sh", "run-tests.sh"),
        ("(cd web && ./test.sh) && ./run-tests.sh", "web/test.sh"),
        ("cargo build && ./run-tests.sh | tee log", "run-tests.sh"),
        ("false || ./run-tests.sh", "run-tests.sh"),
        ("timeout -k 5 600 nice -n 5 ./run-tests.sh", "run-tests.sh"),
        ("sudo -u deploy -- ./run-tests.sh", "run-tests.sh"),
        ("'tools/x y.sh'", "tools/x y.sh"),
        ("tools/x\\ y.sh", "tools/x y.sh"),
        ("tools/check all", "tools/check"),
        ("python3 -u tools/report.py", "tools/report.py"),
        ("python -m tools.report", "tools/report.py"),
        ("node --max-old-space-size=9 web/smoke.js", "web/smoke.js"),
        ("node ./web/smoke", "web/smoke.js"),
        (". ci/all.sh", "ci/all.sh"),
        ("source ci/all.sh && run", "ci/all.sh"),
        ("sh < ci/all.sh", "ci/all.sh"),
        ("cat ci/all.sh | sh -s", "ci/all.sh"),
        ("bash <(cat ci/all.sh)", "ci/all.sh"),
        ("eval \"$(cat ci/all.sh)\"", "ci/all.sh"),
        ("cp ci/all.sh /tmp/x.sh && sh /tmp/x.sh", "ci/all.sh"),
        ("for f in ci/*.sh; do sh \"$f\"; done", "ci/all.sh"),
        ("find ci -name '*.sh' -exec sh {} \\;", "ci/all.sh"),
        ("ls ci/*.sh | xargs -n1 sh", "ci/new.sh"),
        ("DIR=ci; \"$DIR/all.sh\"", "ci/all.sh"),
        ("X=${X:-ci/all.sh}; sh $X", "ci/all.sh"),
        ("CMD='sh ci/all.sh'; $CMD", "ci/all.sh"),
        ("\"$UNKNOWN/all.sh\"", "ci/all.sh"),
        ("cd \"$SOMEWHERE\" && ./all.sh", "ci/all.sh"),
        ("if true; then ./run-tests.sh; fi", "run-tests.sh"),
        ("case $1 in a) ./run-tests.sh ;; esac", "run-tests.sh"),
        ("run() { ./run-tests.sh; }; run", "run-tests.sh"),
        ("trap './run-tests.sh' EXIT", "run-tests.sh"),
        ("ci/{all,lint}.sh", "ci/lint.sh"),
        ("sh <<'E'\n./run-tests.sh\nE", "run-tests.sh"),
        ("docker run --rm -v $PWD:/w -w /w image sh ci/all.sh", "ci/all.sh"),
        ("ssh host 'bash -s' < ci/all.sh", "ci/all.sh"),
        ("docker compose run web ./run-tests.sh", "run-tests.sh"),
        ("PATH=$PWD/tools:$PATH check", "tools/check"),
        ("export PATH=\"$PWD/tools:$PATH\"; check", "tools/check"),
        ("make test", "ci/all.sh"),
        ("./link.sh", "ci/all.sh"),
        ("./link.sh", "link.sh"),
        ("bin/check", "tools/check"),
        ("mocha -r web/smoke", "web/smoke.js"),
        ("./CI/ALL.SH", "ci/all.sh"),
        ("./missing.sh", "missing.sh"),
    ] {
        assert!(whole(&guards(line, &there), path), "{line}: {path} {:?}", guards(line, &there));
    }
}

#[test]
fn what_a_command_does_not_run_is_free() {
    let there = [("src/main.rs", ""), ("README.md", ""), ("ci/all.sh", ""), ("tests/test_a.py", ""), ("a.json", "")];
    for line in [
        "cargo test",
        "pytest tests/test_a.py",
        "go test ./...",
        "npm test",
        "make",
        "echo ci/all.sh",
        "rm -f ci/all.sh",
    ] {
        let guards = guards(line, &there);
        for (path, _) in there {
            assert!(!whole(&guards, path) && !partly(&guards, path), "{line}: {path}");
        }
    }
}

#[test]
fn a_script_that_is_handed_a_command_runs_that_command() {
    let there = [
        ("bin/fix.js", "require('child_process').spawn(process.argv[2])"),
        ("test/unit/a/http.js", "import '../../../lib/core/http.js'"),
        ("test/hooks.js", ""),
        ("lib/core/http.js", ""),
        ("karma.conf.cjs", ""),
        ("tools/run.py", "import sys"),
        ("checks/a.py", ""),
    ];
    for (line, run, free) in [
        ("node bin/fix.js mocha test/unit/**/*.js --exit", "bin/fix.js", "test/unit/a/http.js"),
        ("node bin/fix.js mocha test/unit/**/*.js --exit", "bin/fix.js", "lib/core/http.js"),
        ("node bin/fix.js mocha -r test/hooks test/unit/**/*.js", "test/hooks.js", "lib/core/http.js"),
        ("node bin/fix.js eslint lib/**/*.js", "bin/fix.js", "lib/core/http.js"),
        ("node bin/fix.js cross-env A=:: karma start karma.conf.cjs", "karma.conf.cjs", "lib/core/http.js"),
        ("python tools/run.py pytest test/unit", "tools/run.py", "test/unit/a/http.js"),
        // Whatever else stands there, the script may run.
        ("python tools/run.py checks/*.py", "checks/a.py", "lib/core/http.js"),
        ("python tools/run.py all checks/a.py", "checks/a.py", "lib/core/http.js"),
        ("node bin/fix.js sh checks/a.py", "checks/a.py", "lib/core/http.js"),
    ] {
        let guards = guards(line, &there);
        assert!(whole(&guards, run), "{line}: {run} {guards:?}");
        assert!(!whole(&guards, free) && !partly(&guards, free), "{line}: {free}");
    }
}

#[test]
fn what_scripts_call_is_guarded_too() {
    let there = [
        (
            "ci/all.sh",
            "set -e\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\n. \"$here/lib/common.sh\"\n\"$here\"/lint.sh # ./no.sh\ncd web\nnpm test\n",
        ),
        ("ci/lib/common.sh", "python3 \"$(git rev-parse --show-toplevel)\"/tools/report.py\n"),
        ("ci/lint.sh", "\"${BASH_SOURCE[0]%/*}/deep.sh\"\n"),
        ("ci/deep.sh", "./ci/all.sh\n"),
        (
            "tools/report.py",
            "import helper\nimport os\nfrom . import other\nfrom parts.a import b\nsubprocess.run(['sh', 'tools/last.sh'])\n",
        ),
        ("tools/helper.py", ""),
        ("tools/other.py", ""),
        ("tools/parts/__init__.py", ""),
        ("tools/parts/a.py", ""),
        ("tools/last.sh", ""),
        ("web/package.json", r#"{"scripts":{"test":"node run.js && mocha","other":"./other.sh"}}"#),
        ("web/run.js", "require('./lib/x')\n"),
        ("web/lib/x.js", ""),
        ("web/other.sh", ""),
        ("no.sh", ""),
    ];
    let guards = guards("sh ci/all.sh", &there);
    for path in [
        "ci/all.sh",
        "ci/lib/common.sh",
        "ci/lint.sh",
        "ci/deep.sh",
        "tools/report.py",
        "tools/helper.py",
        "tools/other.py",
        "tools/parts/a.py",
        "tools/last.sh",
        "web/run.js",
        "web/lib/x.js",
        "web/.mocharc.yml",
        "web/.npmrc",
    ] {
        assert!(whole(&guards, path), "{path}: {guards:?}");
    }
    assert!(partly(&guards, "web/package.json"));
    assert!(!whole(&guards, "no.sh") && !whole(&guards, "web/other.sh"));
    let because = &guards.iter().find(|g| g.pattern == "/ci/deep.sh").unwrap().because;
    assert_eq!(because, "`commands.test` runs `sh ci/all.sh`, by way of ci/all.sh");
}

#[test]
fn settings_of_runners_are_guarded_where_the_runner_looks_for_them() {
    for (line, whole_paths, parts) in [
        (
            "cargo test",
            &["build.rs", "crates/a/build.rs", ".cargo/config.toml", "rust-toolchain.toml"][..],
            &["Cargo.toml", "crates/a/Cargo.toml"][..],
        ),
        ("cargo +nightly nextest run", &[".config/nextest.toml"], &["Cargo.toml"]),
        ("pytest -q", &["conftest.py", "tests/conftest.py", "pytest.ini"], &["pyproject.toml", "setup.cfg", "tox.ini"]),
        ("python -m pytest", &["conftest.py", "pytest.py", "pytest/__init__.py"], &["pyproject.toml"]),
        ("poetry run pytest", &["conftest.py"], &["pyproject.toml"]),
        ("coverage run -m pytest", &["conftest.py", ".coveragerc"], &["tox.ini"]),
        ("uv run --with x -- pytest", &["conftest.py"], &[]),
        ("tox -e py", &["conftest.py"], &["tox.ini"]),
        ("npm test", &[".npmrc"], &["package.json"]),
        ("npm --prefix web run lint", &["web/.npmrc"], &["web/package.json"]),
        ("pnpm -r test", &[".pnpmfile.cjs"], &["package.json", "packages/a/package.json"]),
        ("yarn jest", &["jest.config.js", ".yarnrc.yml"], &["package.json"]),
        ("npx vitest run", &["vitest.config.ts", "vite.config.mts"], &[]),
        ("make -C sub test", &[], &["sub/Makefile", "sub/GNUmakefile"]),
        ("just ci", &[], &["justfile", ".justfile"]),
        ("docker compose up --build", &["compose.yaml", "docker-compose.yml"], &[]),
        ("docker build -f ops/Dockerfile .", &["ops/Dockerfile", ".dockerignore"], &[]),
        ("./gradlew test", &["gradlew", "gradle/wrapper/gradle-wrapper.jar"], &["build.gradle"]),
        ("go test ./...", &["go.work"], &["go.mod"]),
        ("go run ./ci/tool", &["ci/tool/main.go"], &[]),
        ("mvn -q verify", &[".mvn/maven.config"], &["pom.xml"]),
        ("composer test", &[], &["composer.json"]),
        ("nix flake check", &["flake.nix"], &[]),
        ("nix develop -c sh ci/t.sh", &["flake.nix"], &[]),
        ("nix-shell --run 'sh ci/t.sh'", &["shell.nix"], &[]),
        ("lein test", &["project.clj"], &[]),
        ("zig build test", &["build.zig"], &[]),
        ("stack test", &["stack.yaml", "x.cabal"], &[]),
        ("ant test", &["build.xml"], &[]),
        ("kubectl apply -f k8s.yaml", &[], &[]),
        ("tox && golangci-lint run", &[".golangci.yml"], &[]),
    ] {
        let guards = guards(line, &[]);
        for path in whole_paths {
            assert!(whole(&guards, path), "{line}: {path}");
        }
        for path in parts {
            assert!(partly(&guards, path), "{line}: {path} in part");
        }
    }
}

#[test]
fn what_is_run_in_an_environment_is_guarded_like_anything_else() {
    for line in ["nix develop -c sh ci/t.sh", "nix develop .#ci --command ./ci/t.sh", "nix-shell --run 'sh ci/t.sh'"] {
        assert!(whole(&guards(line, &[("ci/t.sh", "")]), "ci/t.sh"), "{line}");
    }
}

#[test]
fn manifests_are_read_for_what_they_run() {
    let there = [
        (
            "Makefile",
            "include common.mk\nSH ?= ./tools/sh.sh\ntest: unit\nunit:\n\t@cd web && \\\n\t$(SH) all\nother:\n\t./other.sh\n",
        ),
        ("common.mk", ""),
        ("tools/sh.sh", ""),
        ("web/tools/sh.sh", ""),
        ("other.sh", ""),
        ("docker-compose.yml", "services:\n  a:\n    build: ./app\n    command: [\"sh\", \"start.sh\"]\n"),
        ("app/Dockerfile", "FROM x\nCOPY entry.sh /\nRUN ./setup.sh && rm x\nENTRYPOINT [\"/entry.sh\"]\n"),
        ("app/entry.sh", ""),
        ("app/setup.sh", ""),
        ("start.sh", ""),
        (".cargo/config.toml", "[alias]\nxtask = \"run --quiet --package xtask --\"\n"),
        ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\nbuild = \"gen.rs\"\n"),
        ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
    ];
    let made = guards("make test", &there);
    assert!(whole(&made, "web/tools/sh.sh") && whole(&made, "common.mk") && partly(&made, "Makefile"));
    assert!(!whole(&made, "other.sh"));
    let composed = guards("docker-compose up -d", &there);
    for path in ["app/Dockerfile", "app/entry.sh", "app/setup.sh", "start.sh"] {
        assert!(whole(&composed, path), "{path} {composed:?}");
    }
    let ran = guards("cargo xtask ci", &there);
    assert!(whole(&ran, "xtask/src/main.rs") && whole(&ran, "xtask/gen.rs") && !whole(&ran, "crates/a/src/lib.rs"));
}

#[test]
fn what_is_not_known_is_asked_for_and_then_read() {
    let mut known = Files::default();
    for path in ["a.sh", "b.sh", "c.sh"] {
        known.add(path, None);
    }
    let command = [Configured { key: "commands.ci".into(), line: "./a.sh".into() }];
    assert_eq!(derive(&command, &known).wanted, ["a.sh"]);
    known.set_text("a.sh", b"./b.sh".to_vec());
    assert_eq!(derive(&command, &known).wanted, ["b.sh"]);
    known.set_text("b.sh", b"./a.sh; ./c.sh".to_vec());
    known.set_text("c.sh", vec![0, 159, 146, 150]);
    let derived = derive(&command, &known);
    assert_eq!(derived.wanted, Vec::<String>::new());
    assert!(["a.sh", "b.sh", "c.sh"].iter().all(|path| whole(&derived.guards, path)));
}

#[test]
fn nothing_that_calls_itself_or_is_huge_takes_long() {
    let loop_of_links = [("a -> b", ""), ("b -> a", ""), ("x.sh", "./x.sh; ./a; sh -c 'sh x.sh'")];
    assert!(whole(&guards("./x.sh && ./a", &loop_of_links), "x.sh"));
    let many = "sh -c '".repeat(40) + &"./y.sh; ".repeat(5_000);
    let _ = guards(&many, &[("y.sh", "")]);
    let wide = format!("A={}; {}", "{a,b}".repeat(20), "$A".repeat(20));
    let _ = guards(&wide, &[]);
}
