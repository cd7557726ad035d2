//! Where a clone comes from, and what that makes of its project: a repository that has a remote is worked on at that remote,
//! and only one that has none is copied.

use super::super::git_probe;
use std::path::Path;

/// Where the branches of a project live.
#[derive(Clone)]
pub(super) enum Origin {
    /// With this clone alone: orch makes a bare copy of it.
    None,
    /// At a remote.
    Remote {
        /// Its name in the clone.
        name: String,
        /// Its address, without credentials.
        url: String,
        /// The clone's own configuration has credentials in the address.
        had_credentials: bool,
    },
}

impl Origin {
    /// `origin`, or the first remote if none has that name.
    pub(super) fn of(top: &Path) -> Self {
        let names = git_probe::remotes(top);
        let Some(name) = names.iter().find(|name| *name == "origin").or_else(|| names.first()) else {
            return Self::None;
        };
        let Some(address) = git_probe::remote_url(top, name) else { return Self::None };
        let remote = orch_ports::Remote::of(&address);
        let is_address =
            remote.url.contains("://") || remote.url.split_once(':').is_some_and(|(host, _)| !host.contains('/'));
        // A path of a clone is relative to the clone.
        let url = if is_address { remote.url } else { top.join(&remote.url).display().to_string() };
        Self::Remote { name: name.clone(), url, had_credentials: remote.credentials.is_some() }
    }

    /// The address, if it is one that asks for a name and a password.
    pub(super) fn http(&self) -> Option<&str> {
        match self {
            Self::Remote { url, .. } if url.starts_with("https://") || url.starts_with("http://") => Some(url),
            _ => None,
        }
    }

    /// The name of the remote in the clone.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Remote { name, .. } => Some(name),
        }
    }

    /// What a person should know of it.
    pub(super) fn notes(&self, token_env: &str) -> Vec<String> {
        let Self::Remote { name, url, had_credentials } = self else { return Vec::new() };
        let mut notes = Vec::new();
        if *had_credentials {
            notes.push(format!(
                "the address of `{name}` holds a user name or a password, which was not written down: put the password into \
                 the environment variable {token_env} where orch is started, and remove the `#` before `token_env`"
            ));
        } else if self.http().is_some() {
            notes.push(format!(
                "to push to {url} orch needs a password or token: put it into the environment variable {token_env} where orch \
                 is started, and remove the `#` before `token_env`"
            ));
        }
        let host = url.split("://").last().unwrap_or(url).split('/').next().unwrap_or_default().to_ascii_lowercase();
        if ["gitea", "forgejo", "codeberg"].iter().any(|name| host.contains(name)) {
            notes.push(
                "this looks like a Gitea or Forgejo: orch works with its repository, and keeps pull requests beside its own \
                 database; `forge = \"gitea\"`, with pull requests over there, comes later"
                    .to_owned(),
            );
        }
        notes
    }
}

/// Hosts that the submodules of a `.gitmodules` come from, beside the one the project itself is at.
pub(super) fn submodule_hosts(modules: &str, origin: &Origin) -> Vec<String> {
    let own = match origin {
        Origin::Remote { url, .. } => host_of(url),
        Origin::None => None,
    };
    let urls = modules.lines().filter_map(|line| line.trim().strip_prefix("url")?.trim_start().strip_prefix('='));
    let mut hosts: Vec<String> =
        urls.filter_map(|url| host_of(url.trim())).filter(|h| Some(h) != own.as_ref()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// `github.com`; nothing of a path.
fn host_of(url: &str) -> Option<String> {
    let (rest, is_url) = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => (rest, true),
        None => (url, false),
    };
    let end = if is_url { rest.find('/').unwrap_or(rest.len()) } else { rest.find(':')? };
    let host = &rest[..end];
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next().unwrap_or(host);
    (!host.is_empty() && !host.contains('/') && !host.starts_with('.')).then(|| host.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodules_of_other_hosts_are_named() {
        let modules = "[submodule \"a\"]\n\tpath = a\n\turl = https://github.com/x/a.git\n\turl=git@gitlab.com:x/b\n\turl = ../c\n\
                       \turl = /srv/d\n\turl = https://github.com/x/e\n";
        assert_eq!(submodule_hosts(modules, &Origin::None), ["github.com", "gitlab.com"]);
        let url = "ssh://git@github.com/x/y".to_owned();
        let origin = Origin::Remote { name: "origin".into(), url, had_credentials: false };
        assert_eq!(submodule_hosts(modules, &origin), ["gitlab.com"]);
    }
}
