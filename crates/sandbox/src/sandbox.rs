//! What a run sees of the machine, as arguments of bubblewrap.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// What encloses a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    #[default]
    Off,
    /// bubblewrap.
    Bwrap {
        /// The program.
        program: PathBuf,
        /// It can forbid further user namespaces inside (bubblewrap 0.8).
        last: bool,
    },
}

/// What holds for all runs of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// What encloses them.
    pub kind: Kind,
    /// Paths that they may read beside the system's.
    pub read: Vec<PathBuf>,
    /// Paths that they may write.
    pub write: Vec<PathBuf>,
    /// Unix sockets that they may use.
    pub sockets: Vec<PathBuf>,
    /// Hosts that they may reach: `crates.io`, `*.crates.io`, `example.com:8443`. Without a port: 443 and 80.
    pub allow: Vec<String>,
    /// What no run may see, whatever lies beside it: the state of the instance, its configuration, files of keys, the home of its
    /// user. No tool chain that holds one of them is shown.
    pub private: Vec<PathBuf>,
    /// The state of the instance.
    pub state: PathBuf,
    /// Where clones of repositories lie, whose objects lie in a directory that they share: each sees that of its own.
    pub clones: PathBuf,
    /// This program, which is the door and the relay.
    pub orch: PathBuf,
}

/// What one run may use beside that. It is there under its own path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Where it starts.
    pub cwd: PathBuf,
    /// Its environment: tool chains are where `PATH` and variables like `JAVA_HOME` say.
    pub env: BTreeMap<String, String>,
    /// What it may write.
    pub write: Vec<PathBuf>,
    /// What it may read.
    pub read: Vec<PathBuf>,
    /// Where the socket of its door is made.
    pub door: PathBuf,
}

/// Where the objects are that clones of a repository share, below the repository's directory.
const SHARED: &str = ".objects.git/objects";

/// Longest file that names them, bytes.
const LONGEST: u64 = 16 * 1024;

/// The system, read only. What is a link on this machine is one inside.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What programs need of `/etc`: no file of it holds a secret.
const ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "gai.conf",
    "group",
    "hosts",
    "inputrc",
    "java",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "mailcap",
    "manpath.config",
    "maven/logging",
    "maven/m2.conf",
    "mime.types",
    "nanorc",
    "networks",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki/ca-trust",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "rpc",
    "services",
    "shells",
    "skel",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ssl/cert.pem",
    "terminfo",
    "timezone",
    "vimrc",
    "xattr.conf",
];

impl Sandbox {
    /// For people, of one run: what encloses it, and what is open in it.
    pub fn shown(&self) -> String {
        let list = |what: &str, all: Vec<String>| {
            if all.is_empty() { String::new() } else { format!("; {what} {}", all.join(", ")) }
        };
        let paths = |all: &[PathBuf]| all.iter().map(|path| path.display().to_string()).collect();
        match self.kind {
            Kind::Off => "off: it runs as the user of orch, with that user's files and network".to_owned(),
            Kind::Bwrap { .. } => [
                "bwrap".to_owned(),
                list("reads", paths(&self.read)),
                list("writes", paths(&self.write)),
                list("uses", paths(&self.sockets)),
                list("reaches", self.allow.clone()),
            ]
            .concat(),
        }
    }

    /// Is it a way into the state of the instance?
    fn opens_state(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.state.canonicalize().is_ok_and(|state| real.starts_with(&state) || state.starts_with(&real))
    }

    /// Does it hold nothing that is private?
    fn is_harmless(&self, dir: &Path) -> bool {
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        !self.private.iter().any(|private| private.starts_with(&real) || private.starts_with(dir))
    }

    /// The objects that a clone shares with others of its repository. What the clone says of that may be a lie of what ran in
    /// it before: it is believed where it leads to such a directory.
    fn objects(&self, clone: &Path) -> Option<PathBuf> {
        let file = clone.join(".git/objects/info/alternates");
        // A setup that ran in the clone may have put a pipe there, or a link to what never ends.
        let is_plain = file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() < LONGEST);
        if !is_plain {
            return None;
        }
        let said = std::fs::read_to_string(file).ok()?;
        let said = Path::new(said.lines().next()?);
        let real = said.canonicalize().ok()?;
        let below = real.strip_prefix(self.clones.canonicalize().ok()?).ok()?;
        let mut parts = below.components();
        let is_cache = parts.next().is_some() && parts.as_path() == Path::new(SHARED);
        // By the path that git reads there; what it leads to comes with it.
        is_cache.then(|| said.to_owned())
    }

    /// The program and arguments that start these enclosed, with a way out that knows what is allowed and says what is not.
    pub fn enclose(&self, argv: Vec<String>, places: &Places) -> Vec<String> {
        if self.kind == Kind::Off {
            return argv;
        }
        let [orch, door] = [&self.orch, &places.door].map(|path| path.display().to_string());
        let mut outside = vec![orch.clone(), door::SUBCOMMAND.to_owned(), "--socket".to_owned(), door.clone()];
        outside.extend(self.allow.iter().flat_map(|name| ["--allow".to_owned(), name.clone()]));
        outside.push("--".to_owned());
        let program = program_files(argv.first().map_or("", String::as_str), places);
        outside.extend(self.bwrap(
            places,
            program.iter().chain([&self.orch]).map(PathBuf::as_path),
            Some(&places.door),
        ));
        outside.extend([orch, relay::SUBCOMMAND.to_owned(), door, "--".to_owned()]);
        outside.into_iter().chain(argv).collect()
    }

    /// bubblewrap with all of its arguments; what is to run follows them.
    pub(crate) fn bwrap<'a>(
        &self,
        places: &Places,
        programs: impl Iterator<Item = &'a Path>,
        door: Option<&Path>,
    ) -> Vec<String> {
        let Kind::Bwrap { program, last } = &self.kind else { return Vec::new() };
        let mut args = Args::default();
        args.all.push(program.display().to_string());
        args.words(&["--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]);
        args.words(&["--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]);
        if *last {
            args.words(&["--disable-userns"]);
        }
        for path in SYSTEM.iter().map(Path::new) {
            match std::fs::read_link(path) {
                Ok(target) => args.pair("--symlink", target.as_os_str(), path),
                Err(_) => args.bind("--ro-bind-try", path),
            }
        }
        for name in ETC {
            args.bind("--ro-bind-try", &Path::new("/etc").join(name));
        }
        // Without the second, a run of root could write what the kernel starts when a program dies: the file is its user's.
        args.words(&["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]);
        args.words(&["--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--dir", "/run"]);
        for dirs in tools(&places.env) {
            if let Some(dir) = dirs.iter().find(|dir| self.is_harmless(dir)) {
                args.read(dir);
            }
        }
        // A link may lead elsewhere than when the configuration was read.
        for path in self.read.iter().filter(|path| !self.opens_state(path)).chain(&places.read) {
            args.read(path);
        }
        for objects in places.write.iter().filter_map(|place| self.objects(place)) {
            args.read(&objects);
        }
        programs.for_each(|file| args.read(file));
        // What is configured may not be there now.
        let writes = self.write.iter().filter(|path| !self.opens_state(path));
        for path in writes.chain(&self.sockets) {
            args.bind("--bind-try", path);
        }
        for path in places.write.iter().map(PathBuf::as_path).chain(door) {
            args.bind("--bind", path);
        }
        args.words(&["--remount-ro", "/", "--chdir"]);
        args.all.push(places.cwd.display().to_string());
        args.words(&["--"]);
        args.all
    }
}

use crate::{door, relay};

#[derive(Default)]
struct Args {
    all: Vec<String>,
    seen: BTreeSet<PathBuf>,
}

impl Args {
    fn words(&mut self, words: &[&str]) {
        self.all.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn pair(&mut self, flag: &str, from: &OsStr, to: &Path) {
        self.all.extend([flag.to_owned(), from.to_string_lossy().into_owned(), to.display().to_string()]);
    }

    fn bind(&mut self, flag: &str, path: &Path) {
        self.pair(flag, path.as_os_str(), path);
    }

    /// What is there; what is in the system is there already. A link has what it leads to beside it.
    fn read(&mut self, path: &Path) {
        let Ok(real) = path.canonicalize() else { return };
        for path in [path, &real] {
            let is_plain = path.is_absolute() && path.components().all(|part| part != Component::ParentDir);
            if is_plain && !in_system(path) && path.parent().is_some() && self.seen.insert(path.to_owned()) {
                self.pair("--ro-bind", real.as_os_str(), path);
            }
        }
    }
}

/// Variables that say where a tool chain, certificates or packages lie. None of them is where a tool keeps credentials
/// (`CARGO_HOME` is).
const HOMES: &[&str] = &[
    "ANDROID_HOME",
    "ANDROID_SDK_ROOT",
    "ASDF_DIR",
    "CARGO_HTTP_CAINFO",
    "CONDA_PREFIX",
    "CURL_CA_BUNDLE",
    "DOTNET_ROOT",
    "FLUTTER_ROOT",
    "GIT_SSL_CAINFO",
    "GOROOT",
    "JAVA_HOME",
    "M2_HOME",
    "MAVEN_HOME",
    "MISE_DATA_DIR",
    "NODE_EXTRA_CA_CERTS",
    "NVM_DIR",
    "PIP_CERT",
    "PIP_FIND_LINKS",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "REQUESTS_CA_BUNDLE",
    "RUSTUP_HOME",
    "SDKMAN_DIR",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "UV_PYTHON_INSTALL_DIR",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
];

/// Beside the `bin` of a tool chain.
const LIBRARIES: &[&str] = &["lib", "lib64", "libexec", "pkg"];

/// Where the tool chains of a run lie: of each the most that it may need, and less.
fn tools(env: &BTreeMap<String, String>) -> Vec<Vec<PathBuf>> {
    let path = env.get("PATH").map_or("", String::as_str);
    let homes = HOMES.iter().filter_map(|name| env.get(*name)).map(|place| vec![PathBuf::from(place)]);
    std::env::split_paths(path).map(|dir| vec![tool_root(&dir), dir]).chain(homes).collect()
}

/// What has to be there for the programs of a directory of `PATH`: a tool chain's libraries lie beside its `bin`, and what
/// `shims` start lies above them. A home is no tool chain, neither is a directory that hides in one (`~/.cargo` has
/// credentials), nor what has no libraries.
fn tool_root(dir: &Path) -> PathBuf {
    let (Some(name), Some(above)) = (dir.file_name().and_then(OsStr::to_str), dir.parent()) else {
        return dir.to_owned();
    };
    let is_hidden = above.file_name().and_then(OsStr::to_str).is_none_or(|name| name.starts_with('.'));
    let is_home = above.parent().is_none_or(|root| [Path::new("/"), Path::new("/home")].contains(&root));
    match name {
        "shims" if !is_home => above.to_owned(),
        "bin" | "sbin" if !is_home && !is_hidden && LIBRARIES.iter().any(|lib| above.join(lib).is_dir()) => {
            above.to_owned()
        }
        _ => dir.to_owned(),
    }
}

fn in_system(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| path.starts_with(dir))
}

/// The program itself, where it lies outside the system: its file, and what a link in a directory of `PATH` leads to.
fn program_files(program: &str, places: &Places) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![places.cwd.join(program)];
    }
    let path = places.env.get("PATH").map_or("", String::as_str);
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> Sandbox {
        let kind = Kind::Bwrap { program: "/usr/bin/bwrap".into(), last: true };
        Sandbox { kind, orch: "/opt/orch".into(), ..Sandbox::default() }
    }

    #[test]
    fn a_run_without_a_sandbox_is_what_it_was() {
        let argv = vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()];
        assert_eq!(Sandbox::default().enclose(argv.clone(), &Places::default()), argv);
        assert!(Sandbox::default().shown().starts_with("off"));
    }

    #[test]
    fn a_run_sees_the_system_and_its_own_places_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            dir.path().join(name)
        };
        let places = Places {
            cwd: at("work"),
            env: BTreeMap::from([
                ("PATH".to_owned(), format!("{}:/usr/bin:/no/such/place", at("tools").display())),
                ("JAVA_HOME".to_owned(), at("java").display().to_string()),
                ("CARGO_HOME".to_owned(), at("cargo").display().to_string()),
            ]),
            write: vec![at("work")],
            ..Places::default()
        };
        let argv = sandbox().enclose(vec!["sh".into()], &places).join(" ");
        let here = dir.path().display();
        for part in [
            "--unshare-net",
            "--ro-bind-try /usr /usr",
            "--ro-bind /proc/sys /proc/sys",
            &format!("--ro-bind {here}/tools {here}/tools"),
            &format!("--ro-bind {here}/java {here}/java"),
            &format!("--bind {here}/work {here}/work"),
            &format!("--remount-ro / --chdir {here}/work -- /opt/orch sandbox-relay"),
        ] {
            assert!(argv.contains(part), "{part}: {argv}");
        }
        assert!(!argv.contains("/cargo"), "{argv}");
        for none in ["/no/such/place", "/root ", "/home ", "/etc/shadow", "--bind / "] {
            assert!(!argv.contains(none), "{none}: {argv}");
        }
    }

    #[test]
    fn a_directory_of_path_brings_its_tool_chain_and_no_home() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for made in ["node/bin", "node/lib", "app/bin", "app/secrets", "state/bin", "state/lib"] {
            std::fs::create_dir_all(at(made)).unwrap();
        }
        assert_eq!(tool_root(&at("node/bin")), at("node"));
        assert_eq!(tool_root(&at("app/bin")), at("app/bin"), "it has no libraries");
        let sandbox = Sandbox { private: vec![at("state/orch.db"), at("node/bin/keys")], ..sandbox() };
        let path = std::env::join_paths(["node/bin", "app/bin", "state/bin"].map(at)).unwrap().into_string().unwrap();
        let places = Places { env: BTreeMap::from([("PATH".to_owned(), path)]), ..Places::default() };
        let argv = sandbox.enclose(vec!["sh".into()], &places).join(" ");
        let shown = |name: &str| argv.contains(&format!(" {} ", at(name).display()));
        assert!(shown("app/bin") && shown("state/bin"), "{argv}");
        assert!(
            !shown("state") && !shown("node") && !shown("node/bin"),
            "what holds something private is not shown: {argv}"
        );
        for (dir, root) in [
            ("/home/anna/.pyenv/shims", "/home/anna/.pyenv"),
            ("/home/anna/.cargo/bin", "/home/anna/.cargo/bin"),
            ("/home/anna/.local/bin", "/home/anna/.local/bin"),
            ("/home/anna/bin", "/home/anna/bin"),
            ("/root/bin", "/root/bin"),
            ("/opt/tools", "/opt/tools"),
            ("/", "/"),
        ] {
            assert_eq!(tool_root(Path::new(dir)), Path::new(root), "{dir}");
        }
    }

    #[test]
    fn a_clone_is_believed_where_it_names_the_shared_objects_and_nothing_in_their_place_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let clones = dir.path().join("clones");
        let (shared, elsewhere) = (clones.join("SHOP/.objects.git/objects"), dir.path().join("elsewhere"));
        let info = clones.join("SHOP/SHOP-1/.git/objects/info");
        for made in [&shared, &elsewhere, &info] {
            std::fs::create_dir_all(made).unwrap();
        }
        let file = info.join("alternates");
        let sandbox = Sandbox { clones: clones.clone(), ..sandbox() };
        let objects = || sandbox.objects(&clones.join("SHOP/SHOP-1"));
        std::fs::write(&file, format!("{}\n", shared.display())).unwrap();
        assert_eq!(objects(), Some(shared));
        std::fs::write(&file, format!("{}\n", elsewhere.display())).unwrap();
        assert_eq!(objects(), None);
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert_eq!(objects(), None);
        std::fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert_eq!(objects(), None);
    }

    #[test]
    fn names_that_a_run_may_reach_put_a_door_outside_and_a_relay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let orch = dir.path().join("orch");
        std::fs::write(&orch, "").unwrap();
        let sandbox = Sandbox { allow: vec!["crates.io".into(), "*.crates.io".into()], orch, ..sandbox() };
        let door = dir.path().join("net.sock");
        let places = Places { cwd: dir.path().to_owned(), door: door.clone(), ..Places::default() };
        let argv = sandbox.enclose(vec!["cargo".into(), "fetch".into()], &places);
        let orch = sandbox.orch.display();
        let first = format!(
            "{orch} sandbox-door --socket {} --allow crates.io --allow *.crates.io -- /usr/bin/bwrap",
            door.display()
        );
        let last = format!("-- {orch} sandbox-relay {} -- cargo fetch", door.display());
        let text = argv.join(" ");
        assert!(text.starts_with(&first) && text.ends_with(&last), "{text}");
        assert!(sandbox.shown().contains("reaches crates.io, *.crates.io"));
    }
}
