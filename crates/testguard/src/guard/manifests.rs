//! Build tools and test runners, and the manifests they read: which part of them decides what runs, and what that runs in
//! turn. Names and places are those of the tools' own documentation.

use super::containers::{compose_file, image};
use super::parts::{Part, Recipes, package_scripts};
use super::walk::{At, Language, Place, ROOT, Walk};
use super::words::join;
use std::collections::BTreeSet;

use Part::{Json, Lines, NoDependencies, Pom, Tables, Whole};

/// Of these programs, files of these names (here, above and below), and which part.
type Settings = (&'static [&'static str], &'static [(&'static str, Part)]);

const SETTINGS: &[Settings] = &[
    (
        &["pytest", "py.test"],
        &[
            ("conftest.py", Whole),
            ("pytest.ini", Whole),
            (".pytest.ini", Whole),
            ("pytest.toml", Whole),
            (".pytest.toml", Whole),
            ("pyproject.toml", Tables(&["tool.pytest"])),
            ("setup.cfg", Tables(&["tool:pytest"])),
            ("tox.ini", Tables(&["pytest"])),
        ],
    ),
    (
        &["tox"],
        &[
            ("tox.ini", NoDependencies),
            ("tox.toml", NoDependencies),
            ("pyproject.toml", Tables(&["tool.tox", "tool.pytest", "build-system"])),
            ("setup.cfg", Tables(&["tox:tox", "tool:pytest"])),
            ("conftest.py", Whole),
            ("pytest.ini", Whole),
        ],
    ),
    (&["nox"], &[("noxfile.py", Whole), ("conftest.py", Whole), ("pyproject.toml", Tables(&["tool.pytest"]))]),
    (&["invoke", "inv"], &[("tasks.py", Whole), ("invoke.yaml", Whole)]),
    (&["fab"], &[("fabfile.py", Whole)]),
    (&["mypy"], &[("mypy.ini", Whole), (".mypy.ini", Whole), ("pyproject.toml", Tables(&["tool.mypy"]))]),
    (&["ruff"], &[("ruff.toml", Whole), (".ruff.toml", Whole), ("pyproject.toml", Tables(&["tool.ruff"]))]),
    (&["flake8"], &[(".flake8", Whole), ("setup.cfg", Tables(&["flake8"])), ("tox.ini", Tables(&["flake8"]))]),
    (&["pylint"], &[(".pylintrc", Whole), ("pylintrc", Whole), ("pyproject.toml", Tables(&["tool.pylint"]))]),
    (&["nose2", "nosetests"], &[("unittest.cfg", Whole), ("nose2.cfg", Whole), ("setup.cfg", Tables(&["nosetests"]))]),
    (
        &["pip", "pip3", "build"],
        &[("setup.py", Whole), ("pyproject.toml", Tables(&["build-system", "tool.setuptools.cmdclass"]))],
    ),
    (&["poe", "poethepoet"], &[("pyproject.toml", Tables(&["tool.poe"])), ("poe_tasks.toml", Whole)]),
    (&["mocha"], &[(".mocharc.*", Whole), (".mocharc", Whole), ("mocha.opts", Whole)]),
    (&["jest"], &[("jest.config.*", Whole), ("jest.setup.*", Whole), ("babel.config.*", Whole), (".babelrc*", Whole)]),
    (&["vitest"], &[("vitest.config.*", Whole), ("vitest.workspace.*", Whole), ("vite.config.*", Whole)]),
    (&["ava"], &[("ava.config.*", Whole)]),
    (&["tap"], &[(".taprc", Whole)]),
    (&["borp"], &[(".borp.*", Whole)]),
    (&["karma"], &[("karma.conf.*", Whole)]),
    (&["cypress"], &[("cypress.config.*", Whole), ("cypress.json", Whole)]),
    (&["playwright"], &[("playwright.config.*", Whole)]),
    (&["nyc"], &[(".nycrc*", Whole), ("nyc.config.*", Whole)]),
    (&["c8"], &[(".c8rc*", Whole)]),
    (&["eslint"], &[(".eslintrc*", Whole), ("eslint.config.*", Whole), (".eslintignore", Whole)]),
    (&["tsc", "tsd", "ts-node", "tsx"], &[("tsconfig*.json", Whole)]),
    (&["webpack"], &[("webpack.config.*", Whole)]),
    (&["rollup"], &[("rollup.config.*", Whole)]),
    (&["vite"], &[("vite.config.*", Whole)]),
    (&["gulp"], &[("gulpfile.*", Whole)]),
    (&["grunt"], &[("Gruntfile.*", Whole)]),
    (&["turbo"], &[("turbo.json", Whole)]),
    (&["nx"], &[("nx.json", Whole), ("project.json", Whole)]),
    (&["lerna"], &[("lerna.json", Whole)]),
    (&["deno"], &[("deno.json", Whole), ("deno.jsonc", Whole)]),
    (&["golangci-lint"], &[(".golangci.*", Whole)]),
    (&["mage"], &[("magefile.go", Whole), ("magefiles/*.go", Whole)]),
    (&["goreleaser"], &[(".goreleaser.*", Whole)]),
    (&["task", "go-task"], &[("Taskfile.*", Whole), ("Taskfile", Whole)]),
    (&["rake"], &[("Rakefile", Whole), ("*.rake", Whole)]),
    (&["rspec"], &[(".rspec", Whole), ("spec_helper.rb", Whole), ("rails_helper.rb", Whole)]),
    (&["rails"], &[("Rakefile", Whole), ("test_helper.rb", Whole)]),
    (&["cap"], &[("Capfile", Whole), ("config/deploy.rb", Whole), ("config/deploy/**", Whole)]),
    (&["phpunit"], &[("phpunit.xml", Whole), ("phpunit.xml.dist", Whole)]),
    (&["composer"], &[("composer.json", Json(&["scripts", "config", "extra"]))]),
    (
        &["gradle", "gradlew"],
        &[
            ("build.gradle", NoDependencies),
            ("build.gradle.kts", NoDependencies),
            ("settings.gradle", Whole),
            ("settings.gradle.kts", Whole),
            ("gradle.properties", Whole),
            ("gradle/wrapper/**", Whole),
            ("buildSrc/**", Whole),
        ],
    ),
    (&["mvn", "mvnw"], &[("pom.xml", Pom), (".mvn/**", Whole)]),
    (&["ant"], &[("build.xml", Whole)]),
    (&["mill"], &[("build.sc", Whole), ("build.mill", Whole)]),
    (&["lein"], &[("project.clj", Whole), ("profiles.clj", Whole)]),
    (&["clojure", "clj"], &[("deps.edn", Whole), ("tests.edn", Whole)]),
    (&["bb"], &[("bb.edn", Whole)]),
    (
        &["stack", "cabal"],
        &[("*.cabal", Whole), ("cabal.project*", Whole), ("stack.yaml", Whole), ("package.yaml", Whole)],
    ),
    (&["dune", "opam"], &[("dune", Whole), ("dune-project", Whole), ("*.opam", Whole)]),
    (&["dart", "flutter"], &[("dart_test.yaml", Whole), ("build.yaml", Whole)]),
    (&["prove"], &[(".proverc", Whole)]),
    (&["scons"], &[("SConstruct", Whole), ("SConscript", Whole)]),
    (&["waf"], &[("wscript", Whole)]),
    (&["rebar3"], &[("rebar.config*", Whole)]),
    (&["nimble", "testament"], &[("*.nimble", Whole), ("config.nims", Whole)]),
    (&["busted"], &[(".busted", Whole)]),
    (&["behave"], &[("behave.ini", Whole), ("environment.py", Whole)]),
    (&["doit"], &[("dodo.py", Whole)]),
    (&["fastlane"], &[("fastlane/**", Whole)]),
    (&["pants", "buck2", "buck"], &[("pants.toml", Whole), (".buckconfig", Whole), ("BUILD", Whole), ("BUCK", Whole)]),
    (&["zig"], &[("build.zig", Whole), ("build.zig.zon", Lines(&[".path", ".paths"]))]),
    (&["sbt"], &[("build.sbt", Whole), ("project/**", Whole)]),
    (&["dotnet"], &[("*.runsettings", Whole), ("Directory.Build.*", Whole), ("global.json", Whole)]),
    (&["swift"], &[("Package.swift", Whole)]),
    (&["mix"], &[("mix.exs", Whole), ("test_helper.exs", Whole)]),
    (&["bazel", "bazelisk"], &[(".bazelrc", Whole), ("BUILD", Whole), ("BUILD.bazel", Whole), ("*.bzl", Whole)]),
    (
        &["cmake", "ctest", "ninja"],
        &[
            ("CMakeLists.txt", Lines(&["add_test", "add_custom", "execute_process", "enable_testing", "include("])),
            ("CMakePresets.json", Whole),
            ("CTestTestfile.cmake", Whole),
            ("CTestConfig.cmake", Whole),
        ],
    ),
    (&["meson"], &[("meson.build", Lines(&["test(", "run_command", "custom_target", "run_target"]))]),
    (&["ansible-playbook", "ansible"], &[("ansible.cfg", Whole), ("roles/**", Whole)]),
    (&["fly", "flyctl"], &[("fly.toml", Whole)]),
    (&["vercel"], &[("vercel.json", Whole)]),
    (&["netlify"], &[("netlify.toml", Whole)]),
    (&["wrangler"], &[("wrangler.toml", Whole), ("wrangler.json*", Whole)]),
    (&["serverless", "sls"], &[("serverless.*", Whole)]),
    (&["skaffold"], &[("skaffold.yaml", Whole)]),
    (&["kamal"], &[("config/deploy.yml", Whole), (".kamal/**", Whole)]),
    (&["earthly"], &[("Earthfile", Whole)]),
    (&["direnv"], &[(".envrc", Whole)]),
    (&["nix", "nix-shell", "nix-build"], &[("flake.nix", Whole), ("shell.nix", Whole), ("default.nix", Whole)]),
];

/// Has a name this ending?
fn ends_in(name: &str, ending: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case(ending))
}

/// Guards the settings of a program that has some.
pub(super) fn settings(walk: &mut Walk<'_>, base: &str, args: &[String], at: &At) -> bool {
    let Some((_, files)) = SETTINGS.iter().find(|(programs, _)| programs.contains(&base)) else { return false };
    for (name, part) in *files {
        walk.around(name, part, at);
    }
    if ["pytest", "py.test"].contains(&base) {
        // `-p plugin`: a module of the repository.
        for plugin in
            args.windows(2).filter(|two| two[0] == "-p").map(|two| two[1].replace('.', "/")).collect::<Vec<_>>()
        {
            for dir in at.dirs.clone() {
                walk.run(&format!("{ROOT}/{}", join(&dir, &format!("{plugin}.py"))), Language::Python, at);
            }
        }
    }
    true
}

/// Tasks of Python's managers, which stand in `pyproject.toml`.
pub(super) fn tasks(walk: &mut Walk<'_>, _args: &[String], at: &At) {
    let tables = Tables(&[
        "tool.poetry.scripts",
        "tool.hatch.envs",
        "tool.pdm.scripts",
        "tool.poe",
        "tool.rye.scripts",
        "tool.pixi.tasks",
        "scripts",
    ]);
    walk.around("pyproject.toml", &tables, at);
}

pub(super) fn make(walk: &mut Walk<'_>, args: &[String], at: &At) {
    let inner = walk.directories(Walk::option(args, &["-C", "--directory"]), at);
    let file = Walk::option(args, &["-f", "--file", "--makefile"]);
    let takes = ["-C", "-f", "-I", "-o", "-W", "-j", "--directory", "--file", "--makefile", "-l"];
    let mut goals = Vec::new();
    let mut skip = false;
    for arg in args {
        if std::mem::take(&mut skip) {
            skip = false;
        } else if arg.starts_with('-') {
            // `-j 4`, and `-j test`.
            skip = takes.contains(&arg.as_str()) && arg != "-j";
        } else if !arg.contains('=') && !arg.chars().all(|c| c.is_ascii_digit()) {
            goals.push(arg.clone());
        }
    }
    let names: Vec<String> = file
        .map_or_else(|| ["GNUmakefile", "makefile", "Makefile"].map(str::to_owned).to_vec(), |f| vec![f.to_owned()]);
    recipes(walk, &names, &goals, &inner, false, 0);
}

pub(super) fn just(walk: &mut Walk<'_>, args: &[String], at: &At) {
    let inner = walk.directories(Walk::option(args, &["-d", "--working-directory"]), at);
    let file = Walk::option(args, &["-f", "--justfile"]);
    let takes = ["-f", "--justfile", "-d", "--working-directory", "--set", "--shell"];
    let behind = |n: &usize| *n > 0 && takes.contains(&args[*n - 1].as_str());
    let goals = args.iter().enumerate().filter(|(n, a)| !a.starts_with('-') && !a.contains('=') && !behind(n));
    // The words behind the recipe may be its arguments; one that is no recipe reaches nothing.
    let goals: Vec<String> = goals.map(|(_, a)| a.clone()).collect();
    let names: Vec<String> = file.map_or_else(
        || ["justfile", "Justfile", ".justfile", "JUSTFILE"].map(str::to_owned).to_vec(),
        |f| vec![f.to_owned()],
    );
    recipes(walk, &names, &goals, &inner, true, 0);
}

fn recipes(walk: &mut Walk<'_>, names: &[String], goals: &[String], at: &At, is_just: bool, depth: usize) {
    let part = || if is_just { Part::Just(goals.to_vec()) } else { Part::Make(goals.to_vec()) };
    for name in names {
        for place in walk.places(name, at) {
            let path = match place {
                Place::Path(path) => path,
                Place::Pattern(pattern) => {
                    walk.guard(&pattern, Whole, at);
                    continue;
                }
            };
            // An included file is a part of the one that includes it: it may say anything.
            walk.guard_path(&path, if depth == 0 { part() } else { Whole }, at);
            let Some(text) = walk.text(&path) else { continue };
            let read = Recipes::read(&text, is_just);
            for line in read.lines(goals) {
                // Each line is a shell of its own.
                walk.inside(&line, at);
            }
            if depth < 3 {
                let includes: Vec<String> = read.includes().iter().map(|name| (*name).to_owned()).collect();
                recipes(walk, &includes, goals, at, is_just, depth + 1);
            }
        }
    }
}

pub(super) fn node(walk: &mut Walk<'_>, base: &str, args: &[String], at: &mut At) {
    let named = Walk::option(args, &["--prefix", "--cwd", "-C", "--dir"]);
    let inner = walk.directories(named, at);
    let takes = ["--prefix", "--cwd", "-C", "--dir", "-w", "--workspace", "--filter", "-F", "--loglevel"];
    let mut words: Vec<&String> = Vec::new();
    let mut skip = false;
    for arg in args {
        if std::mem::take(&mut skip) {
            skip = false;
        } else if arg.starts_with('-') {
            skip = takes.contains(&arg.as_str());
        } else {
            words.push(arg);
        }
    }
    let everywhere = args.iter().any(|a| {
        ["-w", "-ws", "-r", "-F", "--workspaces", "--recursive", "workspaces"].contains(&a.as_str())
            || a.starts_with("--workspace")
            || a.starts_with("--filter")
    }) || words.first().is_some_and(|w| ["workspace", "workspaces"].contains(&w.as_str()));
    let installs = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];
    let first = words.first().map_or("install", |word| word.as_str());
    let names: Vec<String> = match first {
        "ci" | "install" | "i" | "add" | "clean-install" | "rebuild" => installs.map(str::to_owned).to_vec(),
        "t" | "tst" | "test" | "install-test" | "it" | "cit" => vec!["test".to_owned()],
        "run" | "run-script" | "rum" | "urn" => words.get(1).map(|w| (*w).clone()).into_iter().collect(),
        "start" | "stop" | "restart" | "version" => vec![first.to_owned()],
        "pack" | "publish" => {
            ["prepack", "prepare", "postpack", "prepublish", "prepublishOnly", "publish", "postpublish"]
                .map(str::to_owned)
                .to_vec()
        }
        "workspace" | "workspaces" => words.iter().skip(1).filter(|w| *w != &"run").map(|w| (*w).clone()).collect(),
        "exec" | "dlx" | "x" | "audit" | "config" | "cache" => Vec::new(),
        other if base != "npm" => vec![other.to_owned()],
        _ => Vec::new(),
    };
    for name in [".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "bunfig.toml"] {
        for dir in inner.dirs.clone() {
            walk.above(&dir, name, &Whole, &inner);
        }
    }
    let others: Vec<String> = words.iter().skip(1).map(|w| (*w).clone()).collect();
    package(walk, &names, &others, &inner);
    if everywhere && !names.is_empty() {
        walk.around("package.json", &Part::Scripts(names), &inner);
    }
    if base != "npm" || ["exec", "x", "dlx"].contains(&first) {
        let mut behind =
            words.iter().skip_while(|w| ["exec", "x", "dlx", "run"].contains(&w.as_str())).map(|w| (*w).clone());
        if let Some(program) = behind.next().filter(|p| p != base && p != "test" && p != "install") {
            walk.program(&program, &behind.collect::<Vec<_>>(), None, &mut inner.clone());
        }
    }
}

/// Scripts of the `package.json` here or above, and what they run.
pub(super) fn package(walk: &mut Walk<'_>, names: &[String], _args: &[String], at: &At) {
    if names.is_empty() {
        return;
    }
    for dir in at.dirs.clone() {
        let mut here = Some(dir.as_str());
        while let Some(dir) = here {
            let path = join(dir, "package.json");
            walk.guard_path(&path, Part::Scripts(names.to_vec()), at);
            if walk.exists(&path) {
                let Some(text) = walk.text(&path) else { break };
                for line in package_scripts(&text, names).unwrap_or_default().values() {
                    walk.inside(line, &Walk::in_dirs(at, vec![dir.to_owned()]));
                }
                break;
            }
            here = (!dir.is_empty()).then(|| dir.rsplit_once('/').map_or("", |(above, _)| above));
        }
    }
}

pub(super) fn cargo(walk: &mut Walk<'_>, args: &[String], at: &At) {
    let inner = walk.directories(Walk::option(args, &["-C"]), at);
    for name in [".cargo/config.toml", ".cargo/config", "build.rs", "rust-toolchain", "rust-toolchain.toml"] {
        walk.around(name, &Whole, &inner);
    }
    walk.around("Cargo.toml", &Part::Cargo, &inner);
    let mut words = args.iter().filter(|a| !a.starts_with(['-', '+'])).map(String::as_str);
    let first = words.next().unwrap_or_default();
    let extra: &[&str] = match first {
        "nextest" => &[".config/nextest.toml"],
        "clippy" => &["clippy.toml", ".clippy.toml"],
        "fmt" => &["rustfmt.toml", ".rustfmt.toml"],
        "deny" => &["deny.toml"],
        "make" => &["Makefile.toml"],
        "llvm-cov" | "tarpaulin" => &["tarpaulin.toml", ".tarpaulin.toml"],
        _ => &[],
    };
    for name in extra {
        walk.around(name, &Whole, &inner);
    }
    let named = Walk::option(args, &["-p", "--package"]).map(str::to_owned);
    let ran = match first {
        "run" | "r" => named,
        "" | "test" | "t" | "build" | "b" | "check" | "c" | "bench" | "doc" | "clippy" | "fmt" | "nextest" => None,
        other => alias(walk, other, &inner).or_else(|| Some(other.to_owned())),
    };
    let manifests: BTreeSet<String> = inner.dirs.iter().flat_map(|dir| members(walk, dir)).collect();
    for path in manifests {
        let Some(text) = walk.text(&path) else { continue };
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let value = |key: &str| {
            let line = text.lines().map(str::trim).find(|l| l.split('=').next().map(str::trim) == Some(key))?;
            Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
        };
        if let Some(script) = value("build").filter(|b| ends_in(b, "rs")) {
            walk.guard_path(&join(dir, &script), Whole, at);
        }
        // A package of the repository that a command runs is a script of it.
        if ran.is_some() && value("name") == ran && !dir.is_empty() {
            walk.guard(&format!("/{dir}/**"), Whole, at);
        }
    }
    let manifest = Walk::option(args, &["--manifest-path"]).filter(|_| ["run", "r"].contains(&first));
    if let Some((dir, _)) = manifest.and_then(|path| path.rsplit_once('/')) {
        walk.below(dir, &inner);
    }
}

/// The package that an alias of `.cargo/config.toml` runs.
fn alias(walk: &mut Walk<'_>, name: &str, at: &At) -> Option<String> {
    let files: Vec<String> =
        at.dirs.iter().flat_map(|dir| [".cargo/config.toml", ".cargo/config"].map(|f| join(dir, f))).collect();
    let texts: Vec<String> = files.iter().filter_map(|path| walk.text(path)).collect();
    let line = texts.iter().flat_map(|t| t.lines()).find(|l| l.split('=').next().map(str::trim) == Some(name))?;
    let words: Vec<String> = line
        .split_once('=')?
        .1
        .split([' ', '"', ',', '[', ']', '\''])
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect();
    Walk::option(&words, &["-p", "--package"]).map(str::to_owned)
}

fn members(walk: &Walk<'_>, dir: &str) -> Vec<String> {
    let inside = |path: &&String| dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let all = walk.files.paths.iter().filter(|path| *path == "Cargo.toml" || path.ends_with("/Cargo.toml"));
    all.filter(inside).take(300).cloned().collect()
}

pub(super) fn go(walk: &mut Walk<'_>, args: &[String], at: &At) {
    let inner = walk.directories(Walk::option(args, &["-C"]), at);
    walk.around("go.mod", &Lines(&["toolchain "]), &inner);
    walk.around("go.work", &Whole, &inner);
    for option in ["-exec", "-toolexec", "-vettool", "-overlay"] {
        if let Some(value) = Walk::option(args, &[option]).map(str::to_owned) {
            walk.run(value.split(' ').next().unwrap_or_default(), Language::Guess, &inner);
        }
    }
    let first = args.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    if first != "run" {
        return;
    }
    let package =
        args.iter().skip_while(|a| *a != "run").skip(1).find(|a| a.starts_with('.') || ends_in(a, "go")).cloned();
    for place in package.map(|p| walk.places(&p, &inner)).unwrap_or_default() {
        match place {
            Place::Path(path) if ends_in(&path, "go") => walk.guard_path(&path, Whole, &inner),
            // The program itself is no script, and stands at the top or below `cmd`.
            Place::Path(path) if path.is_empty() || path.starts_with("cmd/") => {}
            Place::Path(path) => walk.guard(&format!("/{path}/**"), Whole, &inner),
            Place::Pattern(pattern) => walk.guard(&pattern, Whole, &inner),
        }
    }
}

pub(super) fn docker(walk: &mut Walk<'_>, base: &str, args: &[String], at: &mut At) {
    let compose = base.ends_with("compose") || args.iter().any(|a| a == "compose");
    let takes = [
        "-f",
        "--file",
        "-t",
        "--tag",
        "-e",
        "--env",
        "-v",
        "--volume",
        "-p",
        "--build-arg",
        "--target",
        "--name",
        "-w",
        "--workdir",
        "-u",
        "--user",
        "--platform",
        "--network",
        "-H",
        "--host",
        "-c",
        "--context",
        "--entrypoint",
        "--env-file",
        "--project-name",
        "--profile",
        "--output",
        "-o",
    ];
    let mut words: Vec<&String> = Vec::new();
    let mut skip = false;
    for arg in args {
        if std::mem::take(&mut skip) {
            skip = false;
        } else if arg.starts_with('-') {
            skip = takes.contains(&arg.as_str());
        } else {
            words.push(arg);
        }
    }
    if compose {
        let files: Vec<String> = args
            .windows(2)
            .filter(|two| ["-f", "--file"].contains(&two[0].as_str()))
            .map(|two| two[1].clone())
            .chain(args.iter().filter_map(|a| a.strip_prefix("--file=")).map(str::to_owned))
            .collect();
        let inner = walk.directories(Walk::option(args, &["--project-directory"]), at);
        let named = !files.is_empty();
        let usual = [
            "compose.yaml",
            "compose.yml",
            "docker-compose.yaml",
            "docker-compose.yml",
            "compose.override.yaml",
            "compose.override.yml",
            "docker-compose.override.yml",
            "docker-compose.override.yaml",
        ];
        let files = if named { files } else { usual.map(str::to_owned).to_vec() };
        for file in files {
            compose_file(walk, &file, &inner);
        }
        for dir in inner.dirs.clone() {
            walk.guard_path(&join(&dir, ".env"), Whole, &inner);
        }
    } else if words.iter().any(|w| *w == "build" || *w == "bake") || base == "buildah" {
        let context =
            words.last().filter(|w| !["build", "bake", "buildx"].contains(&w.as_str())).map_or(".", |w| w.as_str());
        let inner = walk.directories(Some(context), at);
        match Walk::option(args, &["-f", "--file"]).map(str::to_owned) {
            Some(file) => image(walk, &file, at, &inner),
            None => {
                for name in ["Dockerfile", "Containerfile"] {
                    image(walk, name, &inner, &inner);
                }
            }
        }
        for dir in inner.dirs.clone() {
            walk.guard_path(&join(&dir, ".dockerignore"), Whole, &inner);
        }
        if words.iter().any(|w| *w == "bake") {
            walk.around("docker-bake.*", &Whole, at);
        }
    }
    // `docker compose run web ./run-tests.sh`, `docker run image sh -c '...'`
    if let Some(n) = words.iter().position(|w| ["run", "exec"].contains(&w.as_str())) {
        let behind: Vec<String> = words.iter().skip(n + 2).map(|w| (*w).clone()).collect();
        let shell = args
            .iter()
            .position(|a| a == "-c")
            .and_then(|n| args.get(n + 1))
            .filter(|_| args.iter().any(|a| a == "sh" || a == "bash"));
        if let Some(text) = shell {
            walk.inside(text, at);
        } else if let Some((program, rest)) = behind.split_first() {
            walk.program(&program.clone(), rest, None, &mut at.clone());
        }
    }
}

impl Walk<'_> {
    /// Modules beside a script of Python that it imports: the script's directory is where Python looks first.
    pub(super) fn imports(&mut self, path: &str, text: &str, at: &At) {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let modules = text.lines().map(str::trim).filter_map(|line| {
            let words: Vec<&str> = line.split([' ', ',']).filter(|w| !w.is_empty()).collect();
            match words[..] {
                ["from", dots, "import", ref names @ ..] if dots.chars().all(|c| c == '.') => Some(names.to_vec()),
                ["from", module, "import", ..] => Some(vec![module]),
                ["import", ref modules @ ..] => Some(modules.to_vec()),
                _ => None,
            }
        });
        let modules: BTreeSet<String> =
            modules.flatten().map(|m| m.trim_start_matches('.').replace('.', "/")).collect();
        for module in modules {
            let whole = join(dir, &module);
            // At the top stands the product itself.
            if dir.is_empty() {
                continue;
            }
            if self.exists(&format!("{whole}.py")) {
                self.run(&format!("{ROOT}/{whole}.py"), Language::Python, at);
            } else if self.exists(&format!("{whole}/__init__.py")) {
                self.guard(&format!("/{whole}/**"), Whole, at);
            }
        }
        self.started(text, at);
    }

    /// Modules of the repository that a script of JavaScript asks for by a path, as long as they are scripts, too: those in
    /// the script's own directory or below.
    pub(super) fn requires(&mut self, path: &str, text: &str, at: &At) {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let inner = Walk::in_dirs(at, vec![dir.to_owned()]);
        for word in text.split(['"', '\'', '`']).filter(|w| w.starts_with("./") && !w.contains(char::is_whitespace)) {
            if !dir.is_empty() {
                self.run(word, Language::JavaScript, &inner);
            }
        }
        self.started(text, at);
    }

    /// Scripts that code starts: shell scripts of the repository that it names.
    fn started(&mut self, text: &str, at: &At) {
        let named = text.split(['"', '\'', '`', ' ', '\n', '(', ')']).filter(|w| ends_in(w, "sh") && w.len() < 200);
        let named: BTreeSet<&str> = named.collect();
        for word in named {
            self.mentioned(word, at);
        }
    }
}
