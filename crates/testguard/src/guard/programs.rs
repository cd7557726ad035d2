//! What programs run that a line names: interpreters their scripts, wrappers the command behind them, runners and build
//! tools what their settings say. A program that is not known runs what of its arguments are scripts.

use super::manifests;
use super::parts::Part;
use super::walk::{At, Language, Place, Walk};
use super::words::join;

/// Programs that run the command behind them, with those of their options that take a value.
const WRAPPERS: [(&str, &[&str]); 58] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"]),
    ("doas", &["-u", "-C"]),
    ("env", &["-u", "-C", "--chdir", "--unset"]),
    ("nice", &["-n"]),
    ("ionice", &["-c", "-n"]),
    ("chrt", &[]),
    ("time", &["-f", "-o"]),
    ("timeout", &["-s", "-k", "--signal", "--kill-after"]),
    ("gtimeout", &["-s", "-k"]),
    ("nohup", &[]),
    ("setsid", &[]),
    ("stdbuf", &["-i", "-o", "-e"]),
    ("unbuffer", &[]),
    ("exec", &["-a"]),
    ("command", &[]),
    ("builtin", &[]),
    ("flock", &["-w", "-E"]),
    ("xvfb-run", &["-s", "-n", "-e", "-f", "-p", "-w"]),
    ("dbus-run-session", &[]),
    ("strace", &["-o", "-e"]),
    ("catchsegv", &[]),
    ("tini", &[]),
    ("dumb-init", &[]),
    ("chronic", &[]),
    ("ts", &[]),
    ("retry", &["-t", "-d"]),
    ("watch", &["-n"]),
    ("parallel", &["-j", "-a"]),
    ("xargs", &["-n", "-P", "-I", "-L", "-d", "-a", "-s", "-E"]),
    ("caffeinate", &[]),
    ("arch", &[]),
    ("faketime", &[]),
    ("fakeroot", &[]),
    ("proxychains", &[]),
    ("npx", &["-p", "--package", "-c"]),
    ("bunx", &[]),
    ("pnpx", &[]),
    ("cross-env", &[]),
    ("cross-env-shell", &[]),
    ("dotenv", &["-e", "-f"]),
    ("dotenvx", &["-f"]),
    ("env-cmd", &["-f"]),
    ("wireit", &[]),
    ("c8", &["-r", "--reporter", "--check-coverage"]),
    ("nyc", &["-r", "--reporter"]),
    ("pipx", &[]),
    ("uvx", &["--from", "--with", "-p", "--python"]),
    ("aws-vault", &[]),
    ("doppler", &[]),
    ("op", &["--env-file"]),
    ("direnv", &[]),
    ("mise", &[]),
    ("asdf", &[]),
    ("devbox", &[]),
    ("rustup", &[]),
    ("pre-commit", &[]),
    ("busybox", &[]),
    ("su", &["-s"]),
];
/// Words behind a wrapper that belong to it: `poetry run`, `bundle exec`.
const SUBCOMMANDS: [&str; 6] = ["run", "exec", "--", "stable", "nightly", "dlx"];
/// Programs that only look at what they are given.
const LOOKERS: [&str; 40] = [
    "echo",
    "printf",
    "ls",
    "rm",
    "rmdir",
    "mkdir",
    "touch",
    "test",
    "[",
    "[[",
    "grep",
    "rg",
    "git",
    "stat",
    "file",
    "du",
    "diff",
    "cmp",
    "wc",
    "head",
    "tail",
    "sort",
    "sha256sum",
    "md5sum",
    "tar",
    "zip",
    "gzip",
    "shellcheck",
    "shfmt",
    "yamllint",
    "markdownlint",
    "prettier",
    "gofmt",
    "goimports",
    "isort",
    "black",
    "rustfmt",
    "codespell",
    "return",
    "exit",
];
/// Programs whose arguments are sources or tests, which have readers of their own; their options are looked at.
const OF_TESTS: [&str; 34] = [
    "pytest",
    "py.test",
    "mocha",
    "jest",
    "vitest",
    "ava",
    "tap",
    "tape",
    "borp",
    "playwright",
    "cypress",
    "karma",
    "eslint",
    "tsc",
    "tsd",
    "ruff",
    "mypy",
    "flake8",
    "pylint",
    "pyright",
    "standard",
    "xo",
    "phpunit",
    "rspec",
    "minitest",
    "ctest",
    "go",
    "cargo",
    "nose2",
    "unittest",
    "deno",
    "bats",
    "biome",
    "oxlint",
];
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "mksh", "rbash"];

/// Are its arguments sources, tests and words of its own, and no commands?
pub(super) fn reads_its_arguments(program: &str) -> bool {
    // What `go` and `cargo` are given may be run.
    OF_TESTS.contains(&program) && !["go", "cargo", "deno"].contains(&program)
}

/// Where a command begins that is handed to a script: behind the script, and a program whose arguments are no commands.
fn behind_script(args: &[String]) -> Option<usize> {
    let script = args.iter().position(|arg| !arg.starts_with(['-', '+']))?;
    let next = script + 1;
    let name = args.get(next)?;
    let takes_a_command = WRAPPERS.iter().any(|(wrapper, _)| wrapper == name);
    let known = OF_TESTS.contains(&name.as_str()) || LOOKERS.contains(&name.as_str()) || takes_a_command;
    (known && args[..next].iter().all(|arg| !["-c", "-e", "-m", "--eval", "--command"].contains(&arg.as_str())))
        .then_some(next)
}

impl Walk<'_> {
    /// A program with its arguments, and the text it is fed.
    pub(super) fn program(&mut self, name: &str, args: &[String], here: Option<&str>, at: &mut At) {
        let base = name.rsplit('/').next().unwrap_or_default();
        let base = base.strip_suffix(".exe").unwrap_or(base);
        let of_machine = !name.contains('/') || name.starts_with("/usr/") || name.starts_with("/bin/");
        match base {
            "cd" | "pushd" => {
                return self.change_directory(
                    args.iter().map(String::as_str).find(|a| *a != "--" && *a != "-P" && *a != "-L"),
                    at,
                );
            }
            "popd" => return self.change_directory(None, at),
            "export" | "local" | "declare" | "readonly" | "typeset" => {
                for arg in args {
                    if let Some((name, value)) = arg.split_once('=') {
                        self.variable(name, value, at);
                        at.vars.insert(name.to_owned(), vec![value.to_owned()]);
                    }
                }
                return;
            }
            "." | "source" => {
                if let Some(file) = args.first() {
                    self.run(file, Language::Shell, at);
                }
                return;
            }
            "eval" | "trap" => {
                let text = if base == "trap" { args.first().cloned().unwrap_or_default() } else { args.join(" ") };
                return self.inside(&text, at);
            }
            _ => {}
        }
        if !of_machine {
            self.run(name, Language::Guess, at);
        } else if !name.starts_with('/') {
            self.looked_for(base, at);
        }
        let interpreted = self.interpreter(base, args, here, at);
        if interpreted && let Some(behind) = behind_script(args) {
            // `node hotfix.js mocha test/**/*.js`: the script, which is guarded, runs what stands behind it.
            let (own, command) = args.split_at(behind);
            self.arguments(base, own, true, at);
            if let Some((name, args)) = command.split_first() {
                self.program(name, args, here, at);
            }
            return;
        }
        let known = interpreted
            || self.wrapper(base, args, here, at)
            || self.tool(base, args, at)
            || manifests::settings(self, base, args, at);
        self.arguments(base, args, known, at);
    }

    /// What of its arguments a program may run.
    fn arguments(&mut self, base: &str, args: &[String], known: bool, at: &At) {
        let only_options = OF_TESTS.contains(&base) || LOOKERS.contains(&base);
        if LOOKERS.contains(&base) && base != "git" && !args.iter().any(|a| a.starts_with("--config")) {
            return;
        }
        let mut of_option = false;
        for arg in args {
            let is_option = arg.starts_with('-');
            if is_option || of_option || !only_options {
                // `--require test/support/env`
                if of_option && (known || only_options) && (OF_TESTS.contains(&base) || base == "c8" || base == "nyc") {
                    self.required(arg, at);
                }
                self.mentioned(arg, at);
            }
            of_option = is_option && !arg.contains('=');
        }
    }

    /// A module of JavaScript that an option names, with or without its ending.
    fn required(&mut self, value: &str, at: &At) {
        for place in self.places(value, at) {
            let Place::Path(path) = place else { continue };
            let mut candidates = [".js", ".mjs", ".cjs", ".ts", "/index.js"].iter().map(|e| format!("{path}{e}"));
            if let Some(there) = candidates.find(|path| self.exists(path)) {
                self.run(&format!("{}/{there}", super::walk::ROOT), Language::JavaScript, at);
            }
        }
    }

    fn interpreter(&mut self, base: &str, args: &[String], here: Option<&str>, at: &mut At) -> bool {
        let python = ["python", "python2", "python3", "pypy", "pypy3", "py"].contains(&base)
            || base.strip_prefix("python3.").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
        let (language, with_value): (Language, &[&str]) = if SHELLS.contains(&base) {
            (Language::Shell, &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"])
        } else if python {
            (Language::Python, &["-W", "-X", "--check-hash-based-pycs"])
        } else if ["node", "nodejs", "tsx", "ts-node", "babel-node", "electron"].contains(&base) {
            (
                Language::JavaScript,
                &[
                    "-r",
                    "--require",
                    "--import",
                    "--loader",
                    "--experimental-loader",
                    "-C",
                    "--conditions",
                    "-P",
                    "--project",
                ],
            )
        } else if [
            "ruby",
            "perl",
            "php",
            "lua",
            "Rscript",
            "julia",
            "groovy",
            "java",
            "osascript",
            "pwsh",
            "tclsh",
            "expect",
            "awk",
            "gawk",
        ]
        .contains(&base)
        {
            (Language::Guess, &["-r", "-I", "-cp", "-classpath", "-jar", "-File", "-F", "-v"])
        } else {
            return false;
        };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let short = arg.strip_prefix('-').filter(|a| !a.starts_with('-')).unwrap_or_default();
            if language == Language::Shell && short.contains('c') || arg == "--command" {
                // `bash -ec 'text'`, `bash -euo pipefail -c 'text'`
                let text = rest.find(|a| !a.starts_with(['-', '+']) && *a != "pipefail");
                if let Some(text) = text {
                    self.inside(text, at);
                }
                return true;
            }
            if python && (arg == "-m" || short.ends_with('m') && short.len() <= 3) {
                if let Some(module) = rest.next() {
                    let others: Vec<String> = rest.cloned().collect();
                    self.module(module, &others, at);
                }
                return true;
            }
            if python && (arg == "-c" || short.ends_with('c') && short.len() <= 3)
                || matches!(arg.as_str(), "-e" | "--eval" | "-p" | "--print" | "-n") && language != Language::Shell
            {
                // Code: the files it names.
                for word in rest.next().map_or("", String::as_str).split(['"', '\'', '`', ' ', '(', ')']) {
                    self.mentioned(word, at);
                }
                return true;
            }
            if arg == "--run" {
                if let Some(script) = rest.next() {
                    manifests::package(self, std::slice::from_ref(script), &[], at);
                }
                return true;
            }
            if language == Language::Shell && short.ends_with('o') && short.len() > 1 {
                // `-euo pipefail`
                rest.next();
            } else if with_value.contains(&arg.as_str()) {
                if let Some(value) = rest.next() {
                    let is_shell = ["--rcfile", "--init-file"].contains(&arg.as_str());
                    if is_shell || language != Language::Shell && (value.contains('/') || value.contains('.')) {
                        self.run(value, if language == Language::Python { Language::Guess } else { language }, at);
                    }
                }
            } else if !arg.starts_with(['-', '+']) {
                if !(language == Language::JavaScript && args.iter().any(|a| a == "--test")) {
                    self.run(arg, language, at);
                }
                return true;
            }
        }
        if let Some(text) = here.filter(|_| language == Language::Shell) {
            self.inside(text, at);
        }
        true
    }

    /// `python -m module`: a module of the repository, or one of the machine that a file of its name would hide.
    fn module(&mut self, module: &str, args: &[String], at: &mut At) {
        let path = module.replace('.', "/");
        for dir in at.dirs.clone() {
            let whole = join(&dir, &path);
            for file in [format!("{whole}.py"), format!("{whole}/__main__.py")] {
                if self.exists(&file) || !path.contains('/') {
                    self.run(&format!("{}/{file}", super::walk::ROOT), Language::Python, at);
                }
            }
            if !self.is_directory(&whole) && !path.contains('/') {
                self.guard(&format!("/{whole}/__init__.py"), Part::Whole, at);
            }
        }
        if module != "py" {
            let _known = self.wrapper(module, args, None, at)
                || self.tool(module, args, at)
                || manifests::settings(self, module, args, at);
            self.arguments(module, args, true, at);
        }
    }

    fn wrapper(&mut self, base: &str, args: &[String], here: Option<&str>, at: &mut At) -> bool {
        let managers = ["poetry", "uv", "pipenv", "pdm", "hatch", "rye", "pixi", "conda", "bundle"];
        let runs = ["run", "exec"].iter().any(|word| args.iter().take(3).any(|a| a == word));
        let with_value: &[&str] = match WRAPPERS.iter().find(|(name, _)| *name == base) {
            Some((_, with_value)) => with_value,
            None if managers.contains(&base) && runs => {
                &["--with", "--extra", "--group", "-p", "--python", "--project", "--directory", "-n", "--env-file"]
            }
            None if base == "coverage" && runs => {
                &["--source", "--rcfile", "--omit", "--include", "--data-file", "--context"]
            }
            None if base == "nix-shell" || base == "nix" => &["-p", "-A", "-f"],
            None if base == "script" => &[],
            None if base == "find" => return self.found(args, at),
            None if base == "run-parts" => {
                for arg in args.iter().filter(|a| !a.starts_with('-')) {
                    self.below(arg, at);
                }
                return true;
            }
            None => return false,
        };
        if managers.contains(&base) {
            manifests::tasks(self, args, at);
        }
        // Some of them read settings of their own before they run anything.
        manifests::settings(self, base, args, at);
        let mut rest = args;
        while let Some((first, behind)) = rest.split_first() {
            if ["-c", "--command", "--run", "-S", "--split-string"].contains(&first.as_str()) && base != "timeout" {
                return self.split(behind, base, at);
            }
            if let Some(text) = first.strip_prefix("-S").filter(|_| base == "env") {
                self.inside(&format!("{text} {}", behind.join(" ")), at);
                return true;
            }
            if ["-C", "--chdir", "--directory"].contains(&first.as_str()) && with_value.contains(&first.as_str()) {
                self.change_directory(behind.first().map(String::as_str), at);
            }
            if with_value.contains(&first.as_str()) {
                if let Some(value) = behind.first() {
                    self.mentioned(value, at);
                }
                rest = behind.get(1..).unwrap_or_default();
                continue;
            }
            let number = first.chars().next().is_some_and(|c| c.is_ascii_digit());
            let assigned = first.split_once('=').filter(|(name, _)| !name.starts_with('-'));
            if let Some((name, value)) = assigned {
                self.variable(name, value, at);
            } else if !(first.starts_with('-')
                || number
                || SUBCOMMANDS.contains(&first.as_str())
                || base == "flock" && rest.len() == args.len())
            {
                break;
            }
            rest = behind;
        }
        if base == "coverage" {
            self.around(".coveragerc", &Part::Whole, at);
            let as_python = rest.first().is_some_and(|a| a.contains('.') || a.contains('/'));
            let module = args.iter().position(|a| a == "-m").and_then(|n| Some((args.get(n + 1)?, args.get(n + 2..)?)));
            match (module, rest.first()) {
                (Some((module, others)), _) => self.module(module, others, at),
                (None, Some(script)) if as_python => self.run(script, Language::Python, at),
                _ => {}
            }
            return true;
        }
        if let Some((program, args)) = rest.split_first() {
            self.program(&program.clone(), args, here, at);
        }
        true
    }

    fn split(&mut self, behind: &[String], base: &str, at: &At) -> bool {
        let text = if base == "env" { behind.join(" ") } else { behind.first().cloned().unwrap_or_default() };
        self.inside(&text, at);
        true
    }

    /// `find ci -name '*.sh' -exec sh {} ;`
    fn found(&mut self, args: &[String], at: &mut At) -> bool {
        let Some(from) = args.iter().position(|a| ["-exec", "-execdir", "-ok"].contains(&a.as_str())) else {
            return true;
        };
        for arg in args.iter().take_while(|a| !a.starts_with('-')) {
            let of_shell = args[from..].iter().any(|a| SHELLS.contains(&a.as_str()) || a == "python3" || a == "{}");
            if of_shell && arg != "." {
                self.below(arg, at);
            }
        }
        if let Some((program, rest)) = args[from + 1..].split_first() {
            let rest: Vec<String> = rest.iter().filter(|a| !["{}", ";", "+"].contains(&a.as_str())).cloned().collect();
            if program != "{}" {
                self.program(&program.clone(), &rest, None, at);
            }
        }
        true
    }

    /// Everything below a directory.
    pub(super) fn below(&mut self, value: &str, at: &At) {
        for place in self.places(value, at) {
            match place {
                Place::Path(path) if path.is_empty() => {}
                Place::Path(path) if self.exists(&path) => self.guard_path(&path, Part::Whole, at),
                Place::Path(path) => self.guard(&format!("/{path}/**"), Part::Whole, at),
                Place::Pattern(pattern) => self.guard(&pattern, Part::Whole, at),
            }
        }
    }

    /// A file of this name here, above and below: settings are looked for upwards, and there is one for each package.
    pub(super) fn around(&mut self, name: &str, part: &Part, at: &At) {
        for dir in at.dirs.clone() {
            let below = if dir.is_empty() { format!("**/{name}") } else { format!("/{dir}/**/{name}") };
            self.guard(&below, part.clone(), at);
            self.above(&dir, name, part, at);
        }
    }

    /// A file of this name here and above.
    pub(super) fn above(&mut self, dir: &str, name: &str, part: &Part, at: &At) {
        let mut here = Some(dir);
        while let Some(dir) = here {
            self.guard_path(&join(dir, name), part.clone(), at);
            here = (!dir.is_empty()).then(|| dir.rsplit_once('/').map_or("", |(above, _)| above));
        }
    }

    /// The value of an option: `-f x`, `-fx`, `--file x`, `--file=x`.
    pub(super) fn option<'a>(args: &'a [String], names: &[&str]) -> Option<&'a str> {
        args.iter().enumerate().find_map(|(n, arg)| {
            names.iter().find_map(|name| {
                if arg == name {
                    return args.get(n + 1).map(String::as_str);
                }
                let rest = arg.strip_prefix(name)?;
                let short = !name.starts_with("--") && name.len() == 2 && !rest.is_empty();
                rest.strip_prefix('=').or_else(|| short.then_some(rest))
            })
        })
    }

    /// The directories an option names, or those the line is run in.
    pub(super) fn directories(&self, named: Option<&str>, at: &At) -> At {
        let paths = named.map(|dir| self.places(dir, at)).unwrap_or_default();
        let dirs = paths.into_iter().filter_map(|p| if let Place::Path(path) = p { Some(path) } else { None });
        Self::in_dirs(at, dirs.collect())
    }

    fn tool(&mut self, base: &str, args: &[String], at: &mut At) -> bool {
        match base {
            "make" | "gmake" | "remake" => manifests::make(self, args, at),
            "just" => manifests::just(self, args, at),
            "npm" | "pnpm" | "yarn" | "bun" | "cnpm" => manifests::node(self, base, args, at),
            "npm-run-all" | "npm-run-all2" | "run-s" | "run-p" | "concurrently" => {
                let names: Vec<String> = args.iter().filter(|a| !a.starts_with('-')).cloned().collect();
                manifests::package(self, &names, &[], at);
                for line in names.iter().filter(|name| name.contains(' ')) {
                    self.inside(line, at);
                }
            }
            "cargo" | "cross" => manifests::cargo(self, args, at),
            "go" => manifests::go(self, args, at),
            "docker" | "podman" | "docker-compose" | "podman-compose" | "nerdctl" | "buildah" => {
                manifests::docker(self, base, args, at);
            }
            "kubectl" | "oc" | "kustomize" | "helm" | "helmfile" => {
                let paths: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
                for path in paths
                    .into_iter()
                    .filter(|p| {
                        self.places(p, at)
                            .iter()
                            .any(|p| matches!(p, Place::Path(path) if self.is_directory(path) && !path.is_empty()))
                    })
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    self.below(&path, at);
                }
            }
            "terraform" | "tofu" | "terragrunt" => {
                let at = self.directories(Self::option(args, &["-chdir"]), at);
                for dir in at.dirs.clone() {
                    for ending in ["tf", "tfvars", "hcl"] {
                        self.guard(&format!("/{}", join(&dir, &format!("*.{ending}"))), Part::Whole, &at);
                    }
                }
            }
            "bats" => {
                for arg in args.iter().filter(|a| a.contains("setup_suite")).cloned().collect::<Vec<_>>() {
                    self.run(&arg, Language::Shell, at);
                }
            }
            _ => return false,
        }
        true
    }
}
