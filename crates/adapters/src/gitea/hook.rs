//! Webhooks of Gitea. Facts as measured on 1.25.4: `X-Gitea-Signature` is the HMAC-SHA256 of the raw JSON body as lower-case
//! hexadecimal digits; `X-Gitea-Delivery` is unique per hook and event, and another one when a person sends a delivery
//! again; each is tried once, with several senders in any order; labels in payloads may be wrong. With the content type
//! `application/x-www-form-urlencoded` the signature is that of the decoded payload and never fits the body.

use crate::payload::{at, header, json};
use crate::signed::is_signed;
use orch_core::ids::Sha;
use orch_ports::Secret;
use orch_ports::inbound::{About, Delivery, Headers, Signal, Webhook};
use serde_json::Value;

/// Its name as a source.
pub const SOURCE: &str = "gitea";

/// Webhooks of Gitea, verified with any of these secrets.
#[derive(Debug, Default)]
pub struct GiteaHook {
    secrets: Vec<Secret>,
}

impl GiteaHook {
    /// With the secrets that are valid now.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self { secrets }
    }
}

impl Webhook for GiteaHook {
    fn source(&self) -> &'static str {
        SOURCE
    }
    fn has_secret(&self) -> bool {
        !self.secrets.is_empty()
    }
    fn is_genuine(&self, headers: Headers<'_>, body: &[u8]) -> bool {
        is_signed(&self.secrets, body, headers("x-gitea-signature"))
    }

    fn read(&self, headers: Headers<'_>, body: &[u8]) -> Delivery {
        let said = json(body);
        // The type is the finer word: `issue_label` of the event `issues`.
        let event = header(headers, "x-gitea-event-type").or_else(|| header(headers, "x-gitea-event"));
        let event = event.unwrap_or_default();
        Delivery {
            about: about(&event, &said),
            action: at(&said, &["action"]),
            sent_as: header(headers, "x-gitea-delivery"),
            actor: at(&said, &["sender", "login"]),
            field: said.get("changes").and_then(Value::as_object).and_then(|c| c.keys().next().cloned()),
            event,
        }
    }

    fn signals(&self, delivery: &Delivery) -> Vec<Signal> {
        let About { repository, branches, commits, ticket, comment, .. } = &delivery.about;
        let Some(repository) = repository else { return Vec::new() };
        let branches =
            branches.iter().map(|branch| Signal::Branch { repository: repository.clone(), branch: branch.clone() });
        let commits =
            commits.iter().map(|commit| Signal::Commit { repository: repository.clone(), commit: Sha::new(commit) });
        let ticket = ticket.iter().map(|ticket| Signal::Ticket {
            project: format!("{SOURCE}:{repository}"),
            ticket: ticket.clone(),
            comment: comment.clone(),
        });
        branches.chain(commits).chain(ticket).collect()
    }
}

/// What an event is about. Events that are not listed are about nothing orch looks at.
fn about(event: &str, said: &Value) -> About {
    let mut about = About {
        repository: at(said, &["repository", "full_name"]).map(|name| name.to_lowercase()),
        ..About::default()
    };
    match event {
        "push" => {
            let branch = at(said, &["ref"]).and_then(|r| r.strip_prefix("refs/heads/").map(str::to_owned));
            if let Some(branch) = branch {
                about.branches.push(branch);
                about.commits.extend(at(said, &["after"]));
            }
        }
        "create" | "delete" if at(said, &["ref_type"]).as_deref() == Some("branch") => {
            about.branches.extend(at(said, &["ref"]));
            about.commits.extend(at(said, &["sha"]));
        }
        // A status names no branch.
        "status" => about.commits.extend(at(said, &["sha"])),
        "workflow_run" | "workflow_job" => about.commits.extend(at(said, &[event, "head_sha"])),
        "action_run_failure" | "action_run_recover" | "action_run_success" => {
            about.commits.extend(at(said, &["run", "commit_sha"]));
        }
        "pull_request_comment" | "issue_comment" => {
            about.ticket = at(said, &["issue", "number"]);
            about.comment = at(said, &["comment", "id"]);
        }
        _ if event.starts_with("pull_request") => of_pull_request(&mut about, said),
        _ if event.starts_with("issue") => about.ticket = at(said, &["number"]),
        _ => {}
    }
    about.commits.retain(|commit| is_commit(commit));
    about
}

/// The head of a pull request; of one that was merged also what it went into.
fn of_pull_request(about: &mut About, said: &Value) {
    let pull = said.get("pull_request").unwrap_or(&Value::Null);
    // Once its branch is gone it is called `refs/pull/N/head`, which is no branch.
    about.branches.extend(at(pull, &["head", "ref"]).filter(|name| !name.starts_with("refs/")));
    about.commits.extend(at(pull, &["head", "sha"]));
    if pull.get("merged").and_then(Value::as_bool) == Some(true) {
        about.branches.extend(at(pull, &["base", "ref"]));
        about.commits.extend(at(pull, &["merge_commit_sha"]));
    }
}

/// A whole id, and not the zeros that stand for nothing.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && text.bytes().any(|b| b != b'0')
}
