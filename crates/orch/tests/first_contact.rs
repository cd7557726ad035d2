//! `orch init --run` on repositories of every kind that this machine has the tools for, and on those that have no tests, no
//! commit or no tool. The real binary, in worlds of their own.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{ORCH, Ran, processes};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A machine of its own: a clone, a HOME, a directory for temporary files.
struct Machine {
    root: tempfile::TempDir,
    path: String,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["home", "tmp", "shop"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        let machine = Self { root, path: std::env::var("PATH").unwrap_or_default() };
        machine.git(&["init", "-q", "-b", "main"]);
        machine.put(files);
        if !files.is_empty() {
            machine.commit();
        }
        machine
    }
    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
    fn shop(&self) -> PathBuf {
        self.at("shop")
    }
    fn put(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = self.shop().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }
    fn git(&self, args: &[&str]) {
        let done = self.command("git", &self.shop()).args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "Begin"]);
    }
    fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).env_clear().env("PATH", &self.path).env("HOME", self.at("home"));
        command.env("TMPDIR", self.at("tmp")).env("XDG_STATE_HOME", self.at("state")).stdin(Stdio::null());
        // What downloads needs this machine's word on whom to trust; toolchains are found as a user would have them found.
        for (name, value) in std::env::vars() {
            let of_network = name.to_lowercase().ends_with("_proxy") || name.starts_with("SSL_CERT_");
            if of_network || ["RUSTUP_HOME", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN", "JAVA_HOME"].contains(&&*name) {
                command.env(name, value);
            }
        }
        if let (Err(_), Ok(home)) = (std::env::var("RUSTUP_HOME"), std::env::var("HOME")) {
            command.env("RUSTUP_HOME", format!("{home}/.rustup"));
        }
        command
    }
    fn init(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(ORCH, &self.shop()).arg("init").args(args).output().unwrap())
    }
    /// `orch init --run --json`.
    fn tried(&self) -> (i32, Value) {
        let ran = self.init(&["--run", "--json"]);
        assert!(!ran.out.is_empty(), "{ran:#?}");
        assert_eq!(self.temporary(), Vec::<PathBuf>::new());
        (ran.code, ran.json())
    }
    fn temporary(&self) -> Vec<PathBuf> {
        fs::read_dir(self.at("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
    fn written(&self) -> String {
        fs::read_to_string(self.shop().join("orch.toml")).unwrap()
    }
}

/// Is every one of these programs here? If not, says so; a run that must skip nothing fails.
fn has(programs: &[(&str, &str)]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let Some((name, how)) = programs.iter().find(|(name, _)| !there(name)) else { return true };
    let skipped = format!("skipped: needs {name} ({how})");
    assert!(std::env::var_os("ORCH_NOTHING_SKIPPED").is_none(), "{skipped}");
    // Past the capture of the test's output: who reads the log should see it.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{skipped}\n").as_bytes());
    false
}

fn green(machine: &Machine, setup: Option<&str>, test: &str) {
    let (code, said) = machine.tried();
    assert_eq!((code, said["run"]["outcome"].as_str()), (0, Some("green")), "{said:#}");
    assert_eq!((said["setup"].as_str(), said["test"].as_str()), (setup, Some(test)), "{said:#}");
    assert!(machine.written().contains("\n# Green on main at "), "{}", machine.written());
    let checked = Ran::of(&machine.command(ORCH, &machine.shop()).args(["config", "check"]).output().unwrap());
    assert_eq!(checked.code, 0, "{checked:#?}");
}

#[test]
fn a_workspace_of_rust_is_green_at_once() {
    if !has(&[("cargo", "https://rustup.rs"), ("cc", "apt install gcc")]) {
        return;
    }
    let package = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let machine = Machine::new(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"a\"]\nresolver = \"2\"\n"),
        ("a/Cargo.toml", package),
        ("a/src/lib.rs", "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}\n"),
    ]);
    green(&machine, None, "cargo test --workspace");
}

#[test]
fn a_module_of_go_is_green_at_once() {
    if !has(&[("go", "apt install golang")]) {
        return;
    }
    let test =
        "package shop\n\nimport \"testing\"\n\nfunc TestAdds(t *testing.T) {\n\tif 1+1 != 2 {\n\t\tt.Fatal()\n\t}\n}\n";
    let machine = Machine::new(&[("go.mod", "module example.com/shop\n\ngo 1.18\n"), ("shop_test.go", test)]);
    green(&machine, None, "go test ./...");
}

#[test]
fn a_project_of_maven_keeps_its_repository_to_itself() {
    if !has(&[("mvn", "apt install maven")]) {
        return;
    }
    // Without sources it needs no plugins, and so no network.
    let pom = "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>b</artifactId><version>1</version>\
               <packaging>pom</packaging></project>\n";
    green(&Machine::new(&[("pom.xml", pom)]), None, "mvn -B -ntp -Dmaven.repo.local=\"$HOME/.m2\" test");
}

#[test]
fn a_package_of_node_is_installed_before_its_tests() {
    if !has(&[("npm", "scripts/tools.sh"), ("node", "https://nodejs.org")]) {
        return;
    }
    let package = "{\"name\": \"shop\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node test.js\"}}\n";
    let lock = "{\"name\": \"shop\", \"version\": \"1.0.0\", \"lockfileVersion\": 3, \"packages\": {\"\": {\"name\": \"shop\", \
                \"version\": \"1.0.0\"}}}\n";
    // The clean checkout is nowhere below the clone: what is installed in it must not be found.
    let test = "try { require('left-behind'); process.exit(1) } catch (e) {}\n";
    let machine = Machine::new(&[("package.json", package), ("package-lock.json", lock), ("test.js", test)]);
    machine.put(&[("node_modules/left-behind/index.js", ""), (".gitignore", "node_modules\n")]);
    green(&machine, Some("npm ci"), "npm test");
}

#[test]
fn tests_of_python_without_dependencies_need_no_setup() {
    if !has(&[("python3", "apt install python3")]) {
        return;
    }
    let test = "import unittest\n\n\nclass Adds(unittest.TestCase):\n    def test_adds(self):\n        self.assertEqual(1 + 1, 2)\n";
    let machine = Machine::new(&[("pyproject.toml", "[tool.black]\n"), ("tests/test_shop.py", test)]);
    green(&machine, None, "python3 -m unittest discover -s tests");
}

#[test]
fn a_makefile_of_a_repository_whose_file_names_are_not_utf_8_is_green() {
    if !has(&[("make", "apt install make")]) {
        return;
    }
    use std::os::unix::ffi::OsStrExt as _;
    let machine = Machine::new(&[("Makefile", "test:\n\ttest -e *.txt\n")]);
    fs::write(machine.shop().join(std::ffi::OsStr::from_bytes(b"na\xefve.txt")), "x").unwrap();
    machine.commit();
    green(&machine, None, "make test");
}

#[test]
fn the_setup_makes_what_the_tests_need_and_is_the_cause_where_it_fails() {
    let machine = Machine::new(&[("test.sh", "cat made\n")]);
    let run = |setup: &str| {
        let text =
            machine.written().replace("[project.commands]\n", &format!("[project.commands]\nsetup = \"{setup}\"\n"));
        fs::write(machine.shop().join("orch.toml"), text).unwrap();
        let (code, said) = machine.tried();
        let _ = fs::remove_file(machine.shop().join("orch.toml"));
        (code, said["run"].clone())
    };
    assert_eq!(machine.init(&[]).code, 0);
    let (code, said) = run("echo 1 > made");
    assert_eq!((code, said["outcome"].as_str()), (0, Some("green")), "{said:#}");
    assert_eq!(machine.init(&[]).code, 0);
    let (code, said) = run("echo no such package >&2; exit 9");
    assert_eq!((code, said["step"].as_str(), said["end"].as_str()), (1, Some("setup"), Some("exit 9")), "{said:#}");
    assert_eq!(said["lines"][0], "no such package", "{said:#}");
}

#[test]
fn a_gate_says_that_the_setup_failed_and_not_the_tests() {
    let machine = Machine::new(&[("test.sh", "true\n")]);
    assert_eq!(machine.init(&[]).code, 0);
    let text = machine.written().replace("[project.commands]\n", "[project.commands]\nsetup = \"exit 9\"\n");
    fs::write(machine.shop().join("orch.toml"), text).unwrap();
    let args = ["gate", "run", "tests-local", "--base", "main"];
    let ran = Ran::of(&machine.command(ORCH, &machine.shop()).args(args).output().unwrap());
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.contains("the setup `exit 9` failed, so that no test ran: exit 9"), "{ran:#?}");
}

#[test]
fn red_tests_are_named_with_the_service_they_lack_and_the_file_is_written() {
    let machine =
        Machine::new(&[("test.sh", "echo 'dial tcp 127.0.0.1:5432: connect: connection refused' >&2\nexit 1\n")]);
    let ran = machine.init(&["--run"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    for words in ["the tests failed (exit 1", "connection refused", "service: the tests need PostgreSQL (port 5432)"] {
        assert!(ran.out.contains(words), "{words:?}: {ran:#?}");
    }
    assert!(machine.written().contains("\n# Red on main at "), "{}", machine.written());
    // The file stays, and is asked again.
    fs::write(machine.shop().join("test.sh"), "true\n").unwrap();
    machine.commit();
    let (before, again) = (machine.written(), machine.init(&["--run"]));
    assert_eq!((again.code, machine.written()), (0, before), "{again:#?}");
    assert!(again.out.contains("was there already and stays as it is"), "{again:#?}");
}

#[test]
fn another_way_is_taken_only_where_the_first_one_could_not_begin() {
    if !has(&[("make", "apt install make")]) {
        return;
    }
    let machine = Machine::new(&[("Makefile", "test:\n\tno-such-runner\ncheck:\n\ttrue\n")]);
    let (code, said) = machine.tried();
    assert_eq!((code, said["test"].as_str()), (0, Some("make check")), "{said:#}");
    assert_eq!(said["run"]["red_before"][0], "make test", "{said:#}");
    // Red is red, though another target is green.
    let refused = "echo connect: connection refused 127.0.0.1:5432; exit 1";
    for recipe in ["exit 1", "./not-there", "echo 'not ok 1 - adds'; no-such-runner", refused] {
        let machine = Machine::new(&[("Makefile", &format!("test:\n\t{recipe}\ncheck:\n\ttrue\n"))]);
        let (code, said) = machine.tried();
        assert_eq!((code, said["test"].as_str()), (1, Some("make test")), "{recipe}: {said:#}");
        assert_eq!(said["run"]["red_before"], serde_json::json!([]), "{said:#}");
    }
}

#[test]
fn a_command_that_tests_nothing_is_not_green() {
    let machine = Machine::new(&[("test.sh", "echo 'Ran 0 tests in 0.000s'\n")]);
    let (code, said) = machine.tried();
    assert_eq!((code, said["run"]["outcome"].as_str()), (3, Some("unknown")), "{said:#}");
    assert!(said["run"]["why"].as_str().unwrap().contains("nothing was tested"), "{said:#}");
}

#[test]
fn a_tool_that_is_not_here_is_named_and_nothing_is_run() {
    let mut machine = Machine::new(&[("go.mod", "module x\n")]);
    // A machine with git and a shell, and nothing else.
    let bin = machine.at("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["git", "sh"] {
        let real = std::env::split_paths(&machine.path).map(|dir| dir.join(name)).find(|file| file.is_file()).unwrap();
        std::os::unix::fs::symlink(real, bin.join(name)).unwrap();
    }
    machine.path = bin.display().to_string();
    let (code, said) = machine.tried();
    assert_eq!((code, said["run"]["step"].as_str()), (1, Some("tools")), "{said:#}");
    assert_eq!(said["run"]["missing"][0]["kind"], "tool", "{said:#}");
    assert!(said["run"]["missing"][0]["text"].as_str().unwrap().contains("`go`"), "{said:#}");
}

#[test]
fn a_repository_without_tests_or_without_a_commit_has_a_file_and_nothing_is_run() {
    for files in [&[("README.md", "x\n")][..], &[]] {
        let machine = Machine::new(files);
        let ran = machine.init(&["--run"]);
        assert_eq!(ran.code, 3, "{ran:#?}");
        assert!(ran.err.contains("no tests were found: nothing was run"), "{ran:#?}");
        assert!(machine.written().contains("# allow_untested = true"));
    }
    let machine = Machine::new(&[]);
    machine.put(&[("test.sh", "true\n")]);
    let ran = machine.init(&["--run"]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert!(ran.err.contains("there is no commit to run the tests on"), "{ran:#?}");
}

#[test]
fn a_bare_repository_is_refused_with_what_to_do() {
    let machine = Machine::new(&[("test.sh", "true\n")]);
    machine.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = machine.at("bare.git");
    let ran = Ran::of(&machine.command(ORCH, &bare).args(["init", "--run"]).output().unwrap());
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.err.contains("is a bare repository") && ran.err.contains("make a clone of it"), "{ran:#?}");
}

#[test]
fn a_shallow_or_partial_clone_is_refused_with_what_to_do() {
    let machine = Machine::new(&[("test.sh", "true\n")]);
    machine.commit();
    machine.git(&["config", "uploadpack.allowFilter", "true"]);
    let from = format!("file://{}", machine.shop().display());
    for (option, to, what) in [
        ("--depth=1", "../shallow", "git fetch --unshallow"),
        ("--filter=blob:none", "../partial", "make a clone without `--filter`"),
    ] {
        machine.git(&["clone", "-q", option, &from, to]);
        let ran = machine.command(ORCH, &machine.shop().join(to)).args(["init", "--run"]).output();
        let ran = Ran::of(&ran.unwrap());
        assert_eq!(ran.code, 3, "{ran:#?}");
        assert!(ran.out.contains(what), "{ran:#?}");
    }
}

#[test]
fn of_several_projects_the_one_of_this_clone_is_run_and_none_is_guessed() {
    let machine = Machine::new(&[("test.sh", "true\n")]);
    assert_eq!(machine.init(&[]).code, 0);
    let text = machine.written();
    let (head, project) = text.split_at(text.find("[[project]]").unwrap());
    let key = project.lines().find(|line| line.starts_with("key = ")).unwrap();
    let other = |key_of: &str, repo: &str| {
        let project = project.replace(key, &format!("key = \"{key_of}\""));
        project.replace("repo = \".\"", &format!("repo = {repo:?}")).replace("sh test.sh", "exit 7")
    };
    let write = |projects: &[&str]| fs::write(machine.shop().join("orch.toml"), head.to_owned() + &projects.concat());
    let (far, near) = (other("FAR", "../far.git"), other("NEAR", "../near.git"));
    write(&[&far, project]).unwrap();
    let (code, said) = machine.tried();
    assert_eq!((code, said["test"].as_str()), (0, Some("sh test.sh")), "{said:#}");
    write(&[&far, &near]).unwrap();
    let ran = machine.init(&["--run"]);
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.err.contains("is the repository of none of the projects FAR, NEAR"), "{ran:#?}");
}

#[test]
fn temporary_files_inside_a_working_tree_are_refused() {
    let machine = Machine::new(&[("test.sh", "true\n")]);
    let inside = machine.shop().join("tmp");
    fs::create_dir(&inside).unwrap();
    let ran = machine.command(ORCH, &machine.shop()).env("TMPDIR", inside).args(["init", "--run"]).output();
    let ran = Ran::of(&ran.unwrap());
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert!(ran.out.contains("cannot tell") && ran.out.contains("set TMPDIR"), "{ran:#?}");
}

#[test]
fn a_run_that_is_interrupted_leaves_no_process_no_directory_and_no_file() {
    type Signal = fn(u32);
    let ways: [(&str, Signal); 3] = [("4", processes::interrupt), ("5", processes::hang_up), ("6", processes::quit)];
    for (number, stop) in ways {
        let nap = format!("{number}{}", std::process::id());
        let machine = Machine::new(&[("test.sh", &format!("sleep {nap}\n"))]);
        // Whoever runs this test may ignore these signals, and a child would, too.
        let mut child = machine
            .command("env", &machine.shop())
            .args(["--default-signal=HUP,INT,QUIT", ORCH, "init", "--run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sleeps = until("the tests run", || processes::with_argument(&nap).into_iter().next());
        stop(child.id());
        assert_eq!(until("it ends", || ended(&mut child)), 3);
        assert!(!processes::alive(sleeps));
        assert_eq!(machine.temporary(), Vec::<PathBuf>::new());
        assert!(!machine.shop().join("orch.toml").exists());
    }
}

#[test]
fn on_a_terminal_it_asks_and_no_is_an_answer() {
    if !has(&[("script", "apt install bsdutils")]) {
        return;
    }
    for (answer, ran) in [("y\n", true), ("\n", true), ("n\n", false)] {
        let machine = Machine::new(&[("test.sh", "true\n")]);
        let mut asked = machine.command("script", &machine.shop());
        asked.args(["-qec", &format!("'{ORCH}' init"), "/dev/null"]).env("SHELL", "/bin/sh");
        let mut child = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, answer.as_bytes()).unwrap();
        let said = Ran::of(&child.wait_with_output().unwrap());
        drop(input);
        assert!(said.out.contains("run them once on main, in a clean checkout?"), "{said:#?}");
        assert_eq!(machine.written().contains("\n# Green on main at "), ran, "{answer:?}: {said:#?}");
    }
}

fn ended(child: &mut Child) -> Option<i32> {
    child.try_wait().unwrap().map(|status| status.code().unwrap())
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
