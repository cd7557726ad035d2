//! What orch writes where others read it: tickets, comments, pull requests, statuses, messages to people. Wraps the ports, so
//! that whoever writes there cannot forget what may not be written: keys that orch knows, and characters that control what
//! shows them.

use orch_core::ids::{Actor, ProjectKey, Sha, Time};
use orch_ports::attachment::Attachment;
use orch_ports::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, OutOfService, PullRequest, Review, Right};
use orch_ports::masks::{mask, readable};
use orch_ports::notifier::{Notice, Notifier};
use orch_ports::tracker::{CallBudget, Comment, Ticket, TicketState, Tracker};
use orch_ports::{Fault, Remote};
use std::sync::Arc;

/// A port to people.
pub struct Outward<P: ?Sized>(Arc<P>);

impl<P: ?Sized> Outward<P> {
    /// Wraps one.
    pub fn new(inner: Arc<P>) -> Arc<Self> {
        Arc::new(Self(inner))
    }
}

#[async_trait::async_trait]
impl Notifier for Outward<dyn Notifier> {
    async fn tell(&self, notice: &Notice) -> Result<(), Fault> {
        self.0.tell(&Notice { text: readable(&notice.text), ..notice.clone() }).await
    }
}

#[async_trait::async_trait]
impl Tracker for Outward<dyn Tracker> {
    fn calls_left(&self, project: &ProjectKey) -> Option<CallBudget> {
        self.0.calls_left(project)
    }
    fn delivered_as(&self, project: &ProjectKey) -> Vec<String> {
        self.0.delivered_as(project)
    }
    async fn create(
        &self,
        project: &ProjectKey,
        title: &str,
        body: &str,
        by: &Actor,
        key: &str,
        above: u64,
    ) -> Result<Ticket, Fault> {
        self.0.create(project, &readable(title), &readable(body), by, key, above).await
    }
    async fn ticket(&self, project: &ProjectKey, number: u64) -> Result<Ticket, Fault> {
        self.0.ticket(project, number).await
    }
    async fn edit(&self, project: &ProjectKey, number: u64, title: &str, body: &str, by: &Actor) -> Result<(), Fault> {
        // A text that stands there already goes back as it is, line ends and all: only keys do not.
        self.0.edit(project, number, &readable(title), &mask(body), by).await
    }
    async fn changed_since(&self, project: &ProjectKey, since: Time) -> Result<Vec<Ticket>, Fault> {
        self.0.changed_since(project, since).await
    }
    async fn set_state(&self, project: &ProjectKey, number: u64, state: TicketState, by: &Actor) -> Result<(), Fault> {
        self.0.set_state(project, number, state, by).await
    }
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        self.0.put_comment(project, number, key, &readable(body)).await
    }
    async fn attach(
        &self,
        project: &ProjectKey,
        number: u64,
        name: &str,
        content: &[u8],
        by: &Actor,
    ) -> Result<Attachment, Fault> {
        self.0.attach(project, number, name, content, by).await
    }
    async fn attachments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault> {
        self.0.attachments(project, number).await
    }
    async fn attachment(&self, project: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
        self.0.attachment(project, number, name).await
    }
    async fn comments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Comment>, Fault> {
        self.0.comments(project, number).await
    }
}

#[async_trait::async_trait]
impl Forge for Outward<dyn Forge> {
    fn out_of_service(&self, project: &ProjectKey) -> Option<OutOfService> {
        self.0.out_of_service(project)
    }
    async fn look_again(&self, project: &ProjectKey) -> Result<(), Fault> {
        self.0.look_again(project).await
    }
    async fn remote(&self, project: &ProjectKey) -> Result<Remote, Fault> {
        self.0.remote(project).await
    }
    async fn default_branch(&self, project: &ProjectKey) -> Result<String, Fault> {
        self.0.default_branch(project).await
    }
    async fn branch_head(&self, project: &ProjectKey, branch: &str) -> Result<Option<Sha>, Fault> {
        self.0.branch_head(project, branch).await
    }
    async fn ensure_pull_request(
        &self,
        project: &ProjectKey,
        head_branch: &str,
        base_branch: &str,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, Fault> {
        self.0.ensure_pull_request(project, head_branch, base_branch, &readable(title), &readable(body)).await
    }
    async fn pull_request(&self, project: &ProjectKey, number: u64) -> Result<PullRequest, Fault> {
        self.0.pull_request(project, number).await
    }
    async fn pull_requests(&self, project: &ProjectKey) -> Result<Vec<PullRequest>, Fault> {
        self.0.pull_requests(project).await
    }
    async fn close_pull_request(&self, project: &ProjectKey, number: u64) -> Result<(), Fault> {
        self.0.close_pull_request(project, number).await
    }
    async fn statuses(&self, project: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, Fault> {
        self.0.statuses(project, commit).await
    }
    async fn set_status(&self, project: &ProjectKey, commit: &Sha, status: &CommitStatus) -> Result<(), Fault> {
        let status = CommitStatus { description: readable(&status.description), ..status.clone() };
        self.0.set_status(project, commit, &status).await
    }
    async fn reviews(&self, project: &ProjectKey, number: u64) -> Result<Vec<Review>, Fault> {
        self.0.reviews(project, number).await
    }
    async fn submit_review(&self, project: &ProjectKey, number: u64, review: &Review) -> Result<(), Fault> {
        let review = Review { body: readable(&review.body), ..review.clone() };
        self.0.submit_review(project, number, &review).await
    }
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        self.0.put_comment(project, number, key, &readable(body)).await
    }
    async fn merge(
        &self,
        project: &ProjectKey,
        number: u64,
        expect_head: &Sha,
        right: Right<'_>,
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        self.0.merge(project, number, expect_head, right, method, &readable(message)).await
    }
}

#[cfg(test)]
mod tests;
