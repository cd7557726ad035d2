//! This machine: which programs it has, and what of the environment a command needs that runs with a HOME of its own and
//! an environment built from nothing.

use super::super::programs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What says how the network is reached and whom to trust: needed by whatever downloads.
const NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];

/// The same of one tool: a program, and the variables that say where its toolchains and registries are.
const OF_TOOLS: &[(&[&str], &[&str])] = &[
    (
        &["cargo"],
        &["RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUSTUP_DIST_SERVER", "RUSTUP_AUTO_INSTALL", "CARGO_HTTP_CAINFO"],
    ),
    (&["go"], GO),
    (
        &["python3", "uv", "poetry", "pdm", "tox"],
        &[
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_FIND_LINKS",
            "PIP_CERT",
            "REQUESTS_CA_BUNDLE",
            "UV_INDEX_URL",
            "UV_DEFAULT_INDEX",
            "UV_PYTHON_INSTALL_DIR",
            "PYENV_ROOT",
            "PYENV_VERSION",
        ],
    ),
    (
        &["npm", "pnpm", "yarn", "bun", "npx", "node"],
        &["NODE_EXTRA_CA_CERTS", "NPM_CONFIG_REGISTRY", "npm_config_registry", "YARN_NPM_REGISTRY_SERVER"],
    ),
    (&["mvn", "gradle", "java"], &["JAVA_HOME", "M2_HOME"]),
];

/// Variables of Go, which it also reads from a file below HOME.
const GO: &[&str] = &[
    "GOPROXY",
    "GOPRIVATE",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GONOSUMCHECK",
    "GOINSECURE",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "GOROOT",
];

/// Variables that name a file, a directory or a version, and no address.
const FILES: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "CARGO_HTTP_CAINFO",
    "GOROOT",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "UV_PYTHON_INSTALL_DIR",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "NODE_EXTRA_CA_CERTS",
    "JAVA_HOME",
    "M2_HOME",
];

/// This machine.
pub(super) struct Machine {
    env: BTreeMap<String, String>,
    /// Programs there are, where a test says so; else `PATH` is looked at.
    #[cfg(test)]
    only: Option<Vec<&'static str>>,
}

/// Variables that are written down, and names of those that hold a password and are not.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) env: BTreeMap<String, String>,
    pub(super) kept_back: Vec<String>,
}

impl Machine {
    pub(super) fn of(env: &BTreeMap<String, String>) -> Self {
        Self {
            env: env.clone(),
            #[cfg(test)]
            only: None,
        }
    }

    #[cfg(test)]
    pub(super) fn with(tools: &[&'static str]) -> Self {
        Self { env: BTreeMap::new(), only: Some(tools.to_vec()) }
    }

    /// Is there such a program?
    pub(super) fn has(&self, tool: &str) -> bool {
        #[cfg(test)]
        if let Some(only) = &self.only {
            return only.contains(&tool);
        }
        self.find(tool).is_some()
    }

    fn find(&self, tool: &str) -> Option<PathBuf> {
        programs::on_path(tool, self.env.get("PATH")?)
    }

    fn home(&self) -> Option<&Path> {
        self.env.get("HOME").filter(|home| !home.is_empty()).map(Path::new)
    }

    /// What the commands of a project need of this environment that start these programs.
    pub(super) fn carry(&self, tools: &[String]) -> Carried {
        let uses = |names: &[&str]| names.iter().any(|name| tools.iter().any(|tool| tool == name));
        let mut found = BTreeMap::new();
        let mut names: Vec<&str> = NETWORK.to_vec();
        names.extend(OF_TOOLS.iter().filter(|(programs, _)| uses(programs)).flat_map(|(_, names)| *names));
        if uses(&["go"]) {
            found.extend(self.go_settings());
        }
        if let Some(rustup) = self.rustup_home().filter(|_| uses(&["cargo"])) {
            found.insert("RUSTUP_HOME".to_owned(), rustup);
        }
        for name in names {
            if let Some(value) = self.env.get(name).filter(|value| !value.is_empty()) {
                found.insert(name.to_owned(), value.clone());
            }
        }
        let (env, secret): (BTreeMap<_, _>, BTreeMap<_, _>) =
            found.into_iter().partition(|(name, value)| !may_be_secret(name, value));
        Carried { env, kept_back: secret.into_keys().collect() }
    }

    /// Where rustup keeps its toolchains, if it is what `cargo` starts: it looks below HOME, which is another one there.
    fn rustup_home(&self) -> Option<String> {
        let cargo = self.find("cargo")?;
        let shim = |dir: &Path| dir.join("rustup").is_file();
        if !cargo.parent().is_some_and(shim) && !cargo.canonicalize().ok()?.ends_with("rustup") {
            return None;
        }
        let dir = self.home()?.join(".rustup");
        dir.is_dir().then(|| dir.display().to_string())
    }

    /// What `go env -w` wrote.
    fn go_settings(&self) -> BTreeMap<String, String> {
        let config = self.env.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let Some(dir) = config.or_else(|| Some(self.home()?.join(".config"))) else { return BTreeMap::new() };
        let text = std::fs::read_to_string(dir.join("go/env")).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
        pairs.filter(|(name, _)| GO.contains(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }
}

/// `http://anna:secret@proxy`, `anna:secret@proxy:3128`, `https://index.example/simple?token=secret`. A file may have such
/// a name: `/opt/openjdk@17`.
fn may_be_secret(name: &str, value: &str) -> bool {
    (!FILES.contains(&name) || value.contains("://")) && value.contains(['@', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_hold_a_password_is_secret_and_the_name_of_a_file_is_not() {
        for (name, value) in [
            ("HTTPS_PROXY", "http://anna:secret@proxy:3128"),
            ("HTTPS_PROXY", "anna:secret@proxy:3128"),
            ("https_proxy", "//anna:se/cret@proxy:3128"),
            ("GOPROXY", "https://direct.example,https://anna:p/w@goproxy.example"),
            ("PIP_INDEX_URL", "https://index.example/simple?token=secret"),
            ("npm_config_registry", "https://token@registry.example"),
            ("SSL_CERT_FILE", "https://anna:secret@certificates.example"),
        ] {
            assert!(may_be_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("JAVA_HOME", "/opt/openjdk@17"),
            ("GOPROXY", "https://goproxy.example,direct"),
        ] {
            assert!(!may_be_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn what_a_private_home_hides_is_carried_and_passwords_are_not() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for dir in ["bin", ".rustup", ".config/go"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        for program in ["bin/cargo", "bin/rustup"] {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(at(program), "").unwrap();
            std::fs::set_permissions(at(program), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(at(".config/go/env"), "GOFLAGS=-buildvcs=false\nGOTELEMETRY=off\n").unwrap();
        let text = |name: &str| at(name).display().to_string();
        let env = [
            ("HOME", home.path().display().to_string()),
            ("PATH", text("bin")),
            ("HTTPS_PROXY", "http://anna:secret@proxy:3128".to_owned()),
            ("NO_PROXY", "localhost".to_owned()),
            ("GOPROXY", "https://goproxy.example".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
        ];
        let env: BTreeMap<String, String> = env.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let machine = Machine::of(&env);
        let rust = machine.carry(&["cargo".to_owned()]);
        let expected = [("NO_PROXY", "localhost".to_owned()), ("RUSTUP_HOME", text(".rustup"))];
        assert_eq!(rust.env, expected.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        assert_eq!(rust.kept_back, ["HTTPS_PROXY"]);
        let go = machine.carry(&["go".to_owned()]);
        let expected =
            [("GOFLAGS", "-buildvcs=false"), ("GOPROXY", "https://goproxy.example"), ("NO_PROXY", "localhost")];
        assert_eq!(go.env, expected.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
    }
}
