//! Hosts that setup and tests of a repository fetch packages from: what `orch init` writes as `[sandbox] allow`.

use reqwest::Url;
use std::collections::{BTreeMap, BTreeSet};

/// Where the tools of a language look, unless they are told otherwise, by their own documentation.
const OF_TOOLS: &[(&[&str], &[&str])] = &[
    (&["cargo"], &["crates.io", "index.crates.io", "static.crates.io"]),
    (&["go"], &["proxy.golang.org", "sum.golang.org"]),
    (&["python3", "pip", "uv", "poetry", "pdm", "tox"], &["files.pythonhosted.org", "pypi.org"]),
    (&["npm", "npx", "node", "pnpm", "yarn", "bun"], &["registry.npmjs.org", "registry.yarnpkg.com"]),
    (&["mvn", "gradle", "java"], &["plugins.gradle.org", "repo.maven.apache.org", "repo1.maven.org"]),
];

/// Those of these programs, and those that their environment names (`PIP_INDEX_URL`).
pub(super) fn of(tools: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    let uses = |names: &[&str]| names.iter().any(|name| tools.iter().any(|tool| tool == name));
    let known = OF_TOOLS.iter().filter(|(programs, _)| uses(programs)).flat_map(|(_, hosts)| *hosts);
    let mut hosts: BTreeSet<String> = known.map(|host| (*host).to_owned()).collect();
    for value in env.values().flat_map(|value| value.split([',', ' ', '|'])) {
        let Ok(url) = Url::parse(value) else { continue };
        let Some(host) = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())) else { continue };
        hosts.insert(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
    }
    hosts.into_iter().collect()
}

#[cfg(test)]
mod tests {

    #[test]
    fn packages_come_from_where_the_tools_and_the_environment_say() {
        let of = |tools: &[&str], env: &[(&str, &str)]| {
            let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
            super::of(&tools, &env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(of(&["cargo"], &[]), ["crates.io", "index.crates.io", "static.crates.io"]);
        assert_eq!(of(&["sh", "make"], &[]), Vec::<String>::new());
        let env = [("GOPROXY", "https://goproxy.example:8443,direct"), ("PIP_CERT", "/etc/ssl/cert.pem")];
        assert_eq!(of(&["go"], &env), ["goproxy.example:8443", "proxy.golang.org", "sum.golang.org"]);
    }
}
