//! Files on tickets: put there by people, and given to agents as copies that they may read and that are no part of the branch.

use crate::commands::{self, Answer};
use crate::cx::Cx;
use crate::engine::Engine;
use crate::text::hex;
use crate::{shell, tickets};
use orch_core::event::Event;
use orch_core::ids::{Actor, WorkItem};
use orch_core::policy::Act;
use orch_ports::Fault;
use orch_ports::attachment::{Attachment, too_large, wrong_name};
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

impl Engine {
    /// Puts a file to the ticket of a task: the journal says who, and then it is durable with the tracker before it is
    /// acknowledged. Asked again with the same key and content it is put there again.
    pub async fn attach(
        &self,
        item: &WorkItem,
        key: &str,
        by: &Actor,
        name: &str,
        content: &[u8],
    ) -> Result<Answer, Fault> {
        let store = &self.ports.store;
        let task = store.task_by_item(item).await?;
        let task = task.ok_or_else(|| Fault::gone(format!("there is no task {item}")))?;
        let project = self.project(&task.project)?;
        let act = Act::Steer { own_branch: task.branch.source.is_some() };
        if !project.policy.may(by, act) {
            return Ok(Answer::Refused(project.policy.refusal(by, act, "attach files to tasks of this project")));
        }
        if task.is_closed() {
            return Ok(Answer::Refused("it is over: nobody would read it".into()));
        }
        if task.branch.source.is_some() {
            return Ok(Answer::Refused("it lands a person's branch: no agent would read it".into()));
        }
        let there = project.tracker.attachments(&task.project, task.number).await?;
        if let Some(why) = wrong_name(name).or_else(|| too_large(name, content.len() as u64, &there)) {
            return Ok(Answer::Refused(why));
        }
        if !tickets::is_own(&**store, &task, &project.tracker.ticket(&task.project, task.number).await?).await? {
            return Ok(Answer::Refused(tickets::not_own(&task)));
        }
        // Decided and written down first; what was asked before is put there again, which changes nothing.
        let sha256 = hex(&Sha256::digest(content));
        let (key, size) = (format!("{key}:{sha256}"), content.len() as u64);
        let event = Event::Attached { by: by.clone(), name: name.to_owned(), size, sha256 };
        let answer = self.ask(item, &key, event).await?;
        let put = match &answer {
            Answer::Done(_) => true,
            Answer::Refused(why) => why == commands::ASKED_BEFORE,
        };
        if put {
            project.tracker.attach(&task.project, task.number, name, content, by).await?;
        }
        Ok(answer)
    }

    /// Files on the ticket of a task.
    pub async fn attachments(&self, item: &WorkItem) -> Result<Vec<Attachment>, Fault> {
        let task = self.ports.store.task_by_item(item).await?;
        let task = task.ok_or_else(|| Fault::gone(format!("there is no task {item}")))?;
        self.project(&task.project)?.tracker.attachments(&task.project, task.number).await
    }
}

/// Puts copies of the ticket's files beside a run's brief; remarks for the brief that name them, if there are any.
pub(crate) async fn hand_over(cx: &Cx, run_dir: &Path) -> Result<Vec<String>, Fault> {
    let (tracker, project, number) = (&cx.project.tracker, &cx.project.key, cx.task.number);
    let files = tracker.attachments(project, number).await?;
    // Those of another ticket that has this number now are nobody's business here.
    if files.is_empty() || !tickets::is_own(cx.store(), &cx.task, &tracker.ticket(project, number).await?).await? {
        return Ok(Vec::new());
    }
    let dir = run_dir.join("input");
    shell::private_dir(&dir)?;
    let mut lines = vec![format!(
        "People have put files to the ticket. Copies of them, to be read only, are in {}; none of them belongs to the change:",
        dir.display()
    )];
    for file in files {
        // A tracker's word is not enough for a path.
        if let Some(why) = wrong_name(&file.name) {
            tracing::warn!("a file of ticket {project}-{number} is left out: {why}");
            continue;
        }
        let content = tracker.attachment(project, number, &file.name).await?;
        let path = dir.join(&file.name);
        let put = || -> std::io::Result<()> {
            // What an attempt before has left is replaced, and never written through.
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            shell::written(&path, &content)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400))
        };
        put().map_err(|e| Fault::transient(format!("write {}: {e}", path.display())))?;
        lines.push(format!("{} ({} bytes, from {})", file.name, file.size, file.by));
    }
    Ok(lines)
}
