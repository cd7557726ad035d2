//! `[project.git]`, `[gitea]`, `[plane]`, `[telegram]`: access to other people's servers, which forges there are, and what
//! a project must say for each. Tokens are secrets and are never shown.

use super::project::Project;
use super::section::section;
use orch_ports::Secret;
use std::path::PathBuf;

/// A kind of forge, as `forge` of a project names it.
pub struct ForgeKind {
    /// Its name.
    pub name: &'static str,
    /// Is it built?
    pub built: bool,
    /// Do people review and decide on it?
    pub people: bool,
    /// What is wrong with a project's settings for it: the key below the project, and the sentence.
    pub faults: fn(&Project) -> Vec<(&'static str, String)>,
}

/// All of them.
pub const FORGES: &[ForgeKind] = &[
    ForgeKind { name: "local", built: true, people: false, faults: local_faults },
    ForgeKind { name: "git", built: true, people: false, faults: git_faults },
    ForgeKind { name: "gitea", built: false, people: true, faults: |_| Vec::new() },
];

fn local_faults(project: &Project) -> Vec<(&'static str, String)> {
    let text = "[project.git] `token_env` is for `forge = \"git\"`: a copy that is made once is let in nowhere";
    project.git.token_env.iter().map(|_| ("git.token_env", text.to_owned())).collect()
}

fn git_faults(project: &Project) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let GitAccess { username, token_env } = &project.git;
    let http = project.repo.split_once("://").filter(|(s, _)| ["http", "https"].contains(&&*s.to_ascii_lowercase()));
    if http.is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@'))) {
        let text = "[[project]] `repo` holds a user name or a password, which everything that shows the address would show: \
                    write it without what stands before the `@`, the name as `username` in [project.git], and as `token_env` \
                    there the name of an environment variable that holds the password";
        faults.push(("repo", text.to_owned()));
    }
    if token_env.is_some() && http.is_none() {
        let text =
            "[project.git] `token_env` is for addresses that begin with https:// or http://: ssh logs in with keys";
        faults.push(("git.token_env", text.to_owned()));
    }
    let is_name = |n: &String| {
        n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && n.starts_with(|c: char| !c.is_ascii_digit())
    };
    if token_env.as_ref().is_some_and(|name| !is_name(name)) {
        // Its value is not shown: somebody may have written the token itself.
        let text = "[project.git] `token_env` must be the name of an environment variable, like \"SHOP_TOKEN\", and not the \
                    token itself";
        faults.push(("git.token_env", text.to_owned()));
    }
    if username.is_empty() || username.contains([':', '\n']) {
        faults.push(("git.username", "[project.git] `username` must not be empty or hold a colon".to_owned()));
    }
    faults
}

section! {
    /// How orch is let in at a remote over HTTP. Over ssh it is the user orch runs as who logs in, with keys and agent.
    GitAccess {
        /// User name for HTTP. Most servers take any name with a token.
        username: String = "git".into();
        /// Name of the environment variable that holds the password or token. Without it nobody is asked for one.
        token_env: Option<String> = None;
    }
}

section! {
    /// A Gitea server as forge.
    Gitea {
        /// Its address.
        url: Option<String> = None;
        /// Owner of the repositories.
        owner: Option<String> = None;
        /// Access token.
        token: Option<Secret> = None;
        /// Secret of the webhook that Gitea sends to `/webhook/gitea`. Without one of these two keys nothing is taken in.
        webhook_secret: Option<Secret> = None;
        /// A file with such secrets, one a line, that others cannot read. All of them are valid: put the new one beside the
        /// old one, run `orch reload`, and take the old one out once Gitea has the new one.
        webhook_secret_file: Option<PathBuf> = None;
    }
}

section! {
    /// A Plane server as tracker.
    Plane {
        /// Address of its API.
        api_url: Option<String> = None;
        /// Access token.
        api_token: Option<Secret> = None;
        /// Slug of the workspace.
        workspace: Option<String> = None;
        /// Secret of the webhook that Plane sends to `/webhook/plane`; Plane shows it once, when the webhook is made. Without
        /// one of these two keys nothing is taken in.
        webhook_secret: Option<Secret> = None;
        /// A file with such secrets, one a line, that others cannot read. All of them are valid.
        webhook_secret_file: Option<PathBuf> = None;
    }
}

section! {
    /// Messages by Telegram.
    Telegram {
        /// Token of the bot.
        bot_token: Option<Secret> = None;
        /// Chat it writes to.
        chat_id: Option<String> = None;
    }
}
