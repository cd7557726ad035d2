//! What every forge must do. Prevents that orch is right on the local forge and wrong on a real one: a merge of
//! something other than the tested head, a second pull request for the same branch, a status of the wrong age, a
//! default branch that can be pushed to.

use super::{must, must_fail};
use crate::forge::{CommitStatus, Forge, MergeAnswer, MergeMethod, PullRequest, PullState, Review, Right, StatusState};
use orch_core::fault_code::FaultCode;
use orch_core::ids::{Actor, ProjectKey, Sha, Time};
use orch_core::verdict::FaultKind;

/// What the suite needs beside the port.
#[async_trait::async_trait]
pub trait ForgeFixture: Send + Sync {
    /// A project the suite may write into. Its default branch has at least one commit and is protected.
    fn project(&self) -> ProjectKey;
    /// A word no other run of the suite has used, fit for branch and file names.
    fn unique(&self) -> String;
    /// Does the forge itself keep everybody but orch from pushing to the default branch? A plain git server does not.
    fn guards_main(&self) -> bool {
        true
    }
    /// Somebody whose approval counts and who opened none of the pull requests.
    fn reviewer(&self) -> Actor;
    /// Makes a commit on top of `parent` with one more file and pushes it, by force, to a branch. `Err` holds what the
    /// forge said when it refused.
    async fn push(&self, branch: &str, parent: &Sha, path: &str, text: &str) -> Result<Sha, String>;
    /// Pushes the deletion of a branch. `Err` holds what the forge said when it refused.
    async fn push_deletion(&self, branch: &str) -> Result<(), String>;
    /// Tree of a commit.
    async fn tree(&self, commit: &Sha) -> String;
    /// Parents of a commit.
    async fn parents(&self, commit: &Sha) -> Vec<Sha>;
    /// Text of the comment with this key on a pull request, and how many comments there are.
    async fn comment(&self, number: u64, key: &str) -> (Option<String>, usize);
    /// Returns when the forge has digested what was pushed to it; some compute mergeability in the background.
    async fn settled(&self);
}

/// Runs the whole suite.
pub async fn all(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    a_branch_is_at_its_tip_or_not_there(forge, fixture).await;
    the_default_branch_cannot_be_pushed_to(forge, fixture).await;
    one_open_pull_request_per_branch(forge, fixture).await;
    a_pull_request_needs_its_branches(forge, fixture).await;
    open_pull_requests_are_listed_newest_first(forge, fixture).await;
    a_closed_pull_request_makes_room_for_the_next(forge, fixture).await;
    a_pull_request_that_is_not_there_is_gone(forge, fixture).await;
    the_newest_status_of_a_context_counts(forge, fixture).await;
    the_newest_review_of_a_person_counts(forge, fixture).await;
    a_comment_is_written_once_per_key(forge, fixture).await;
    a_fast_forward_lands_the_tested_commit_itself(forge, fixture).await;
    a_moved_head_is_not_merged(forge, fixture).await;
    a_moved_base_is_not_merged(forge, fixture).await;
    what_was_tested_on_another_base_is_not_merged(forge, fixture).await;
    merge_and_squash_land_the_tested_tree(forge, fixture).await;
}

async fn main_of(forge: &dyn Forge, fixture: &dyn ForgeFixture) -> (String, Sha) {
    let project = fixture.project();
    let name = must("default branch", forge.default_branch(&project).await);
    let tip = must("its tip", forge.branch_head(&project, &name).await);
    (name, tip.expect("the default branch has a commit"))
}

/// A branch from the tip of the default branch with one commit, and its open pull request.
async fn proposal(forge: &dyn Forge, fixture: &dyn ForgeFixture) -> PullRequest {
    let (main, tip) = main_of(forge, fixture).await;
    let unique = fixture.unique();
    let branch = format!("feature/{unique}");
    let pushed = fixture.push(&branch, &tip, &format!("{unique}.txt"), &unique).await;
    let head = pushed.expect("a feature branch can be pushed");
    let opened = forge.ensure_pull_request(&fixture.project(), &branch, &main, &unique, "body").await;
    let pull = must("open", opened);
    assert_eq!(pull.head, head);
    fixture.settled().await;
    pull
}

async fn merge(
    forge: &dyn Forge,
    fixture: &dyn ForgeFixture,
    pull: &PullRequest,
    head: &Sha,
    method: MergeMethod,
) -> MergeAnswer {
    must(
        "merge",
        forge.merge(&fixture.project(), pull.number, head, Right::Person, method, "Merged by the suite").await,
    )
}

/// Reading branches.
pub async fn a_branch_is_at_its_tip_or_not_there(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (_, tip) = main_of(forge, fixture).await;
    let (project, branch) = (fixture.project(), format!("feature/{}", fixture.unique()));
    assert_eq!(must("read", forge.branch_head(&project, &branch).await), None);
    let head = fixture.push(&branch, &tip, "a.txt", &branch).await.expect("push");
    assert_eq!(must("read", forge.branch_head(&project, &branch).await), Some(head));
    assert_eq!(must("read a part of the name", forge.branch_head(&project, "feature").await), None);
    assert!(!must("remote", forge.remote(&project).await).url.is_empty());
}

/// Only a merge moves it: no push, no force, no deletion. Where the forge cannot see to that, a push is seen at once.
pub async fn the_default_branch_cannot_be_pushed_to(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (main, mut tip) = main_of(forge, fixture).await;
    let pushed = fixture.push(&main, &tip, &fixture.unique(), "x").await;
    if fixture.guards_main() {
        pushed.expect_err("a push to the default branch is refused");
        fixture.push_deletion(&main).await.expect_err("so is its deletion");
    } else {
        tip = pushed.expect("nobody guards the default branch");
    }
    assert_eq!(main_of(forge, fixture).await.1, tip);
    let branch = format!("feature/{}", fixture.unique());
    fixture.push(&branch, &tip, "a.txt", "x").await.expect("other branches can be pushed");
    fixture.push_deletion(&branch).await.expect("and deleted");
    assert_eq!(must("read", forge.branch_head(&fixture.project(), &branch).await), None);
}

/// Asking twice gives the same one, as it is; its head is where the branch is.
pub async fn one_open_pull_request_per_branch(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    assert_eq!((pull.state, pull.merge_commit.as_ref()), (PullState::Open, None));
    assert_eq!(pull.base_branch, main_of(forge, fixture).await.0);
    assert!(pull.number > 0 && !pull.url.is_empty());
    let again = forge.ensure_pull_request(&project, &pull.head_branch, &pull.base_branch, "another title", "").await;
    let again = must("ensure again", again);
    assert_eq!((again.number, &again.title), (pull.number, &pull.title), "an open one is returned as it is");
    let head = fixture.push(&pull.head_branch, &pull.head, "more.txt", "more").await.expect("push");
    fixture.settled().await;
    let read = must("read", forge.pull_request(&project, pull.number).await);
    assert_eq!((read.head, read.head_branch), (head, pull.head_branch), "the head follows the branch");
}

/// A branch that is not there cannot be proposed, nor into nothing.
pub async fn a_pull_request_needs_its_branches(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (main, tip) = main_of(forge, fixture).await;
    let (project, branch) = (fixture.project(), format!("feature/{}", fixture.unique()));
    let opened = forge.ensure_pull_request(&project, &branch, &main, "t", "").await;
    let fault = must_fail("open without a branch", FaultKind::Gone, opened);
    assert_eq!(fault.code, FaultCode::NoSuchBranch, "{fault}");
    fixture.push(&branch, &tip, "a.txt", &branch).await.expect("push");
    let opened = forge.ensure_pull_request(&project, &branch, &format!("{branch}-base"), "t", "").await;
    let fault = must_fail("open into nothing", FaultKind::Gone, opened);
    assert_eq!(fault.code, FaultCode::NoSuchBranch, "{fault}");
}

/// Those that are open, as each of them reads alone; none that is closed, merged, or has lost its branch.
pub async fn open_pull_requests_are_listed_newest_first(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let (closed, first, second) =
        (proposal(forge, fixture).await, proposal(forge, fixture).await, proposal(forge, fixture).await);
    let (gone, merged) = (proposal(forge, fixture).await, proposal(forge, fixture).await);
    must("close", forge.close_pull_request(&project, closed.number).await);
    fixture.push_deletion(&gone.head_branch).await.expect("a feature branch can be deleted");
    merge(forge, fixture, &merged, &merged.head, MergeMethod::FastForwardOnly).await;
    let head = fixture.push(&first.head_branch, &first.head, "more.txt", "more").await.expect("push");
    fixture.settled().await;
    let listed = must("list", forge.pull_requests(&project).await);
    let mine: Vec<_> =
        listed.iter().filter(|p| closed.number <= p.number).map(|p| (p.number, &p.title, &p.head, p.state)).collect();
    let open = PullState::Open;
    let expected = [(second.number, &second.title, &second.head, open), (first.number, &first.title, &head, open)];
    assert_eq!(mine, expected);
    assert!(listed.windows(2).all(|two| two[1].number < two[0].number), "newest first");
}

/// Closing is final for that number, and twice is success.
pub async fn a_closed_pull_request_makes_room_for_the_next(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    for _ in 0..2 {
        must("close", forge.close_pull_request(&project, pull.number).await);
    }
    assert_eq!(must("read", forge.pull_request(&project, pull.number).await).state, PullState::Closed);
    let answer = merge(forge, fixture, &pull, &pull.head, MergeMethod::FastForwardOnly).await;
    assert!(matches!(answer, MergeAnswer::Refused { .. }), "a closed one is not merged: {answer:?}");
    let next = forge.ensure_pull_request(&project, &pull.head_branch, &pull.base_branch, "next", "").await;
    assert_ne!(must("open the next", next).number, pull.number);
}

/// A missing pull request is `Gone` in every verb.
pub async fn a_pull_request_that_is_not_there_is_gone(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (project, nobody) = (fixture.project(), 987_654_321);
    let (_, tip) = main_of(forge, fixture).await;
    must_fail("read", FaultKind::Gone, forge.pull_request(&project, nobody).await);
    must_fail("close", FaultKind::Gone, forge.close_pull_request(&project, nobody).await);
    must_fail("read reviews", FaultKind::Gone, forge.reviews(&project, nobody).await);
    must_fail("comment", FaultKind::Gone, forge.put_comment(&project, nobody, "k", "b").await);
    let merged = forge.merge(&project, nobody, &tip, Right::Person, MergeMethod::FastForwardOnly, "m").await;
    must_fail("merge", FaultKind::Gone, merged);
}

/// One answer per context: the last one given.
pub async fn the_newest_status_of_a_context_counts(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    let status = |context: &str, state| CommitStatus {
        context: context.into(),
        state,
        description: format!("{context} says so"),
        url: None,
        at: Time(1_000),
    };
    for (context, state) in [
        ("ci", StatusState::Pending),
        ("lint", StatusState::Success),
        ("ci", StatusState::Success),
        ("ci", StatusState::Failure),
    ] {
        must("set", forge.set_status(&project, &pull.head, &status(context, state)).await);
    }
    let mut read = must("read", forge.statuses(&project, &pull.head).await);
    read.sort_by(|a, b| a.context.cmp(&b.context));
    let told: Vec<_> = read.iter().map(|s| (s.context.as_str(), s.state, s.description.as_str())).collect();
    assert_eq!(
        told,
        [("ci", StatusState::Failure, "ci says so"), ("lint", StatusState::Success, "lint says so")],
        "the newest of each context"
    );
    let head = fixture.push(&pull.head_branch, &pull.head, "next.txt", "x").await.expect("push");
    assert_eq!(must("read", forge.statuses(&project, &head).await), [], "a status belongs to one commit");
    let nowhere = Sha::new("1".repeat(pull.head.as_str().len()));
    let set = forge.set_status(&project, &nowhere, &status("ci", StatusState::Success)).await;
    must_fail("set on an unknown commit", FaultKind::Gone, set);
}

/// One answer per person: the last one given, with the commit that was looked at.
pub async fn the_newest_review_of_a_person_counts(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    assert_eq!(must("read", forge.reviews(&project, pull.number).await), []);
    for approved in [false, true] {
        let review = Review {
            by: fixture.reviewer(),
            approved,
            commit: pull.head.clone(),
            body: format!("approved: {approved}"),
            official: true,
            at: Time(1_000),
        };
        must("review", forge.submit_review(&project, pull.number, &review).await);
        let read = must("read", forge.reviews(&project, pull.number).await);
        let told: Vec<_> = read.iter().map(|r| (&r.by, r.approved, &r.commit, r.official)).collect();
        assert_eq!(told, [(&fixture.reviewer(), approved, &pull.head, true)]);
        assert!(read[0].body.contains(&review.body));
    }
}

/// One living comment per key.
pub async fn a_comment_is_written_once_per_key(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    for body in ["first text", "second text", "second text"] {
        must("comment", forge.put_comment(&project, pull.number, "gate", body).await);
    }
    let (text, count) = fixture.comment(pull.number, "gate").await;
    assert_eq!(count, 1, "the same key writes one comment");
    assert!(text.expect("the comment is there").contains("second text"));
}

/// Label, tested head and merge commit are one; merging what is merged says so again.
pub async fn a_fast_forward_lands_the_tested_commit_itself(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let project = fixture.project();
    let pull = proposal(forge, fixture).await;
    for _ in 0..2 {
        let answer = merge(forge, fixture, &pull, &pull.head, MergeMethod::FastForwardOnly).await;
        assert_eq!(answer, MergeAnswer::Merged { commit: pull.head.clone() });
        assert_eq!(main_of(forge, fixture).await.1, pull.head, "the default branch is at the tested commit");
    }
    must("close after the merge", forge.close_pull_request(&project, pull.number).await);
    let read = must("read", forge.pull_request(&project, pull.number).await);
    assert_eq!((read.state, read.merge_commit, read.head), (PullState::Merged, Some(pull.head.clone()), pull.head));
}

/// What was not tested is not merged.
pub async fn a_moved_head_is_not_merged(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (_, before) = main_of(forge, fixture).await;
    let pull = proposal(forge, fixture).await;
    fixture.push(&pull.head_branch, &pull.head, "late.txt", "late").await.expect("push");
    fixture.settled().await;
    let answer = merge(forge, fixture, &pull, &pull.head, MergeMethod::FastForwardOnly).await;
    assert_eq!(answer, MergeAnswer::HeadMoved);
    assert_eq!(main_of(forge, fixture).await.1, before);
    assert_eq!(must("read", forge.pull_request(&fixture.project(), pull.number).await).state, PullState::Open);
}

/// Main moved between test and merge: a fast-forward is impossible and nothing else may happen instead.
pub async fn a_moved_base_is_not_merged(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let slow = proposal(forge, fixture).await;
    let quick = proposal(forge, fixture).await;
    let answer = merge(forge, fixture, &quick, &quick.head, MergeMethod::FastForwardOnly).await;
    assert_eq!(answer, MergeAnswer::Merged { commit: quick.head.clone() });
    fixture.settled().await;
    let answer = merge(forge, fixture, &slow, &slow.head, MergeMethod::FastForwardOnly).await;
    assert_eq!(answer, MergeAnswer::BaseMoved);
    assert_eq!(main_of(forge, fixture).await.1, quick.head);
    assert_eq!(must("read", forge.pull_request(&fixture.project(), slow.number).await).state, PullState::Open);
}

/// The base the head was tested on is compared too, whatever the method could do about it.
pub async fn what_was_tested_on_another_base_is_not_merged(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let (project, (_, tip)) = (fixture.project(), main_of(forge, fixture).await);
    let pull = proposal(forge, fixture).await;
    for method in [MergeMethod::FastForwardOnly, MergeMethod::Merge, MergeMethod::Squash] {
        let answer =
            forge.merge(&project, pull.number, &pull.head, Right::Documents { base: &pull.head }, method, "m").await;
        assert_eq!(must("merge", answer), MergeAnswer::BaseMoved, "{method:?}");
    }
    assert_eq!(main_of(forge, fixture).await.1, tip);
    let method = MergeMethod::FastForwardOnly;
    let answer = forge.merge(&project, pull.number, &pull.head, Right::Documents { base: &tip }, method, "m").await;
    assert_eq!(must("merge", answer), MergeAnswer::Merged { commit: pull.head.clone() });
}

/// The other methods make a commit of their own, with the tested tree and the right parents.
pub async fn merge_and_squash_land_the_tested_tree(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    for method in [MergeMethod::Merge, MergeMethod::Squash] {
        let (_, base) = main_of(forge, fixture).await;
        let pull = proposal(forge, fixture).await;
        let answer = merge(forge, fixture, &pull, &pull.head, method).await;
        let MergeAnswer::Merged { commit } = answer else { panic!("{method:?}: {answer:?}") };
        assert_ne!(commit, pull.head);
        assert_eq!(main_of(forge, fixture).await.1, commit);
        assert_eq!(fixture.tree(&commit).await, fixture.tree(&pull.head).await, "{method:?}: the tested tree landed");
        let parents = if method == MergeMethod::Merge { vec![base, pull.head.clone()] } else { vec![base] };
        assert_eq!(fixture.parents(&commit).await, parents, "{method:?}");
        let read = must("read", forge.pull_request(&fixture.project(), pull.number).await);
        assert_eq!((read.state, read.merge_commit.as_ref()), (PullState::Merged, Some(&commit)));
        assert_eq!(merge(forge, fixture, &pull, &pull.head, method).await, MergeAnswer::Merged { commit });
    }
}
