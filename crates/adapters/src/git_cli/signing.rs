//! Signing as the operator's own git would: key, format and program are read from the git configuration of the user orch
//! runs as, one by one, and handed to the one call that signs. Decides nothing about what is signed. It may never let any
//! other setting of that user in, and a start finds out with a throw-away commit whether it works.

use super::GitCli;
use super::dirs::{discard, unique};
use super::run::GitRun;
use super::tree::Repo;
use orch_ports::Fault;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Settings that say how to sign.
const KEYS: &[&str] = &[
    "user.signingkey",
    "gpg.format",
    "gpg.program",
    "gpg.openpgp.program",
    "gpg.x509.program",
    "gpg.ssh.program",
    "gpg.ssh.defaultKeyCommand",
];
/// Where the operator's git finds its configuration.
const CONFIG_ENV: &[&str] =
    &["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "PATH"];
/// Where the operator's programs find their keys.
const SIGN_ENV: &[&str] = &["HOME", "GNUPGHOME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "PATH"];
/// Longest signature at the start: a program that asks a person for a passphrase would hang for ever.
const TRIAL: Duration = Duration::from_mins(1);

/// How to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Settings of git, by name.
    pub(super) config: Vec<(String, String)>,
    /// Environment of the program that signs.
    pub(super) env: Vec<(String, String)>,
}

impl Signing {
    /// Reads the settings of the user whose environment this is.
    ///
    /// # Errors
    /// Git cannot be started, or its configuration cannot be read.
    pub async fn read(env: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let only = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().filter_map(|n| Some(((*n).to_owned(), env.get(*n)?.clone()))).collect()
        };
        let mut config = Vec::new();
        for key in KEYS {
            let mut command = tokio::process::Command::new("git");
            command.args(["config", "--get", key]).current_dir("/").env_clear().envs(only(CONFIG_ENV));
            let output = command.stdin(Stdio::null()).output().await;
            let output = output.map_err(|e| Fault::permanent(format!("read {key}: cannot start git: {e}")))?;
            match output.status.code() {
                Some(0) => {
                    let value = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
                    config.push(((*key).to_owned(), value));
                }
                Some(1) => {}
                _ => {
                    let said = super::run::told(&output.stderr);
                    return Err(Fault::permanent(format!(
                        "[merge] sign: read {key} of your git configuration: {said}"
                    )));
                }
            }
        }
        Ok(Self { config, env: only(SIGN_ENV) })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.config.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Signs nothing of value, and says what is wrong if that fails.
    async fn prove(&self, git: &GitRun, dir: &Path) -> Result<(), Fault> {
        let fresh = dir.join(format!(".sign-{}", unique()));
        let made = self.trial(git, &fresh).await;
        discard(&fresh)?;
        let Err(fault) = made else { return Ok(()) };
        let format = self.get("gpg.format").unwrap_or("openpgp");
        let (key, fix) = match self.get("user.signingkey") {
            Some(key) => (
                format!("with user.signingkey `{key}`"),
                "see that this key is there, needs no passphrase typed in, and is meant by gpg.format",
            ),
            None => (
                "because no user.signingkey is set".to_owned(),
                "run `git config --global user.signingkey KEY` as the user orch runs as (and gpg.format ssh for an SSH key)",
            ),
        };
        Err(Fault::permanent(format!(
            "[merge] `sign` is true, and git cannot sign {key} (gpg.format {format}): {}; {fix}, or set `sign = false`",
            fault.text
        )))
    }

    async fn trial(&self, git: &GitRun, dir: &Path) -> Result<(), Fault> {
        let init = git.call(None, "init").args(["-q", "--bare", "--template=", "--end-of-options"]);
        init.arg(dir).ok().await?;
        let repo = Repo { git: git.clone(), dir: dir.to_owned(), index_dir: dir.to_owned() };
        let tree = repo.empty_tree().await?;
        let author = orch_ports::git::Author::orch();
        let new = super::history::NewCommit { tree: &tree, parents: &[], message: "trial", author: &author, at: None };
        let signed = repo.commit_by(&new, &author, Some(self));
        let commit = tokio::time::timeout(TRIAL, signed)
            .await
            .map_err(|_| Fault::permanent(format!("no signature after {} s", TRIAL.as_secs())))??;
        let raw = repo.call("cat-file").args(["commit", commit.as_str()]).ok().await?;
        if String::from_utf8_lossy(&raw).lines().any(|l| l.starts_with("gpgsig")) {
            Ok(())
        } else {
            Err(Fault::permanent("the commit came out without a signature"))
        }
    }
}

impl GitCli {
    /// The same, with commits that are to be signed signed like this; tried out first.
    ///
    /// # Errors
    /// It does not work: a sentence that names the key and the fix.
    pub async fn signing_with(mut self, signing: Signing) -> Result<Self, Fault> {
        signing.prove(&self.git, &self.repos_dir).await?;
        self.signing = Some(signing);
        Ok(self)
    }
}
