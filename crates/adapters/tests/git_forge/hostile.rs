//! Moments at which a merge over a remote can go wrong, each made to happen.

use super::servers::Weather;
use super::{WORD, World, demo, git};
use orch_adapters::git_forge::GitForge;
use orch_core::ids::Sha;
use orch_core::verdict::FaultKind;
use orch_ports::forge::{Forge, MergeAnswer, MergeMethod, PullRequest, PullState, Right};
use orch_ports::{Fault, Remote, Secret};
use std::process::{Command, Stdio};

async fn merge(forge: &GitForge, pull: &PullRequest, base: &Sha) -> Result<MergeAnswer, Fault> {
    forge.merge(&demo(), pull.number, &pull.head, Right::Documents { base }, MergeMethod::FastForwardOnly, "m").await
}

async fn state(forge: &GitForge, pull: &PullRequest) -> PullState {
    forge.pull_request(&demo(), pull.number).await.unwrap().state
}

#[tokio::test]
async fn a_push_to_main_between_the_look_and_the_merge_stays_and_the_merge_is_prepared_again() {
    // Before the push is told where main is, and after that.
    for told in [false, true] {
        let Some((world, http)) = World::over_http() else { return };
        let forge = world.open().await.unwrap();
        let (pull, base) = world.proposal(&forge).await;
        let theirs = world.push("theirs", base.as_str(), "theirs.txt", "theirs").unwrap();
        let (bare, id) = (world.bare(), theirs.to_string());
        let moves = move || drop(git(&bare, &["update-ref", "refs/heads/main", &id]).unwrap());
        if told {
            http.before_push(moves);
        } else {
            http.before_push_looks(moves);
        }
        assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::BaseMoved);
        assert_eq!(world.tip("main"), theirs.as_str(), "the colleague's commit is not lost");
        assert_eq!(state(&forge, &pull).await, PullState::Open);
        assert_eq!(world.count(&forge, "merge-abandoned").await, 1);
    }
}

#[tokio::test]
async fn a_main_that_was_taken_back_gets_nothing_back_by_a_merge() {
    for when in ["before the merge", "before the push looks", "during the push"] {
        let Some((world, http)) = World::over_http() else { return };
        let first = world.tip("main");
        let bad = world.push("bad", &first, "bad.txt", "bad").unwrap();
        git(&world.bare(), &["update-ref", "refs/heads/main", bad.as_str()]).unwrap();
        let forge = world.open().await.unwrap();
        let (pull, base) = world.proposal(&forge).await;
        assert_eq!(base, bad);
        // The head is a fast-forward of where main is now, and would bring back what was taken away.
        let (bare, to) = (world.bare(), first.clone());
        let rewind = move || drop(git(&bare, &["update-ref", "refs/heads/main", &to]).unwrap());
        match when {
            "before the merge" => rewind(),
            "during the push" => http.before_push(rewind),
            _ => http.before_push_looks(rewind),
        }
        assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::BaseMoved, "{when}");
        assert_eq!(world.tip("main"), first);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_hides_no_merge() {
    let Some((world, http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    let before = world.moves();
    http.weather(Weather::AnswersLost);
    let merged = MergeAnswer::Merged { commit: pull.head.clone() };
    for _ in 0..2 {
        assert_eq!(merge(&forge, &pull, &base).await.unwrap(), merged);
    }
    assert_eq!((world.tip("main"), world.moves()), (pull.head.to_string(), before + 1));
    assert_eq!(world.count(&forge, "merge-done").await, 1);
}

#[tokio::test]
async fn a_remote_that_dies_with_the_push_is_asked_again_until_it_is_known() {
    let Some((world, http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    let before = world.moves();
    // It takes the push, and is away before anybody can read anything back.
    let (bare, id) = (world.bare(), pull.head.to_string());
    let http = std::sync::Arc::new(http);
    let away = std::sync::Arc::clone(&http);
    http.before_push(move || {
        git(&bare, &["update-ref", "refs/heads/main", &id]).unwrap();
        away.weather(Weather::Away);
    });
    let fault = merge(&forge, &pull, &base).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
    let fault = forge.pull_request(&demo(), pull.number).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient, "not knowing is not open: {fault}");
    http.weather(Weather::Fair);
    let read = forge.pull_request(&demo(), pull.number).await.unwrap();
    assert_eq!((read.state, read.merge_commit), (PullState::Merged, Some(pull.head.clone())));
    assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::Merged { commit: pull.head.clone() });
    assert_eq!((world.moves(), world.count(&forge, "merge-done").await), (before + 1, 1));
}

#[tokio::test]
async fn a_process_that_dies_behind_the_push_has_merged_once_whatever_came_on_top() {
    let Some((world, _http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    drop(forge);
    world.begun(&pull, &base);
    git(&world.bare(), &["update-ref", "refs/heads/main", pull.head.as_str()]).unwrap();
    let on_top = world.push("on-top", pull.head.as_str(), "top.txt", "top").unwrap();
    git(&world.bare(), &["update-ref", "refs/heads/main", on_top.as_str()]).unwrap();
    git(&world.bare(), &["update-ref", "-d", &format!("refs/heads/{}", pull.head_branch)]).unwrap();
    let moves = world.moves();
    let forge = world.open().await.unwrap();
    assert_eq!(state(&forge, &pull).await, PullState::Merged);
    assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::Merged { commit: pull.head.clone() });
    assert_eq!((world.tip("main"), world.moves()), (on_top.to_string(), moves));
    assert_eq!(world.count(&forge, "merge-done").await, 1);
}

#[tokio::test]
async fn a_process_that_dies_before_the_push_leaves_a_pull_request_that_can_be_merged() {
    let Some((world, http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    drop(forge);
    world.begun(&pull, &base);
    // At a start without the remote nothing is known, and nothing is given up.
    http.weather(Weather::Away);
    let forge = world.open().await.unwrap();
    assert_eq!(world.count(&forge, "merge-abandoned").await, 0);
    assert_eq!(forge.pull_request(&demo(), pull.number).await.unwrap_err().kind, FaultKind::Transient);
    drop(forge);
    http.weather(Weather::Fair);
    let forge = world.open().await.unwrap();
    assert_eq!(world.count(&forge, "merge-abandoned").await, 1);
    assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::Merged { commit: pull.head.clone() });
}

#[tokio::test]
async fn while_a_git_of_a_dead_process_may_push_yet_nothing_is_given_up_closed_or_tried_again() {
    let Some((world, _http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    // As the process before has left its cache.
    forge.set_status(&demo(), &pull.head, &green()).await.unwrap();
    drop(forge);
    world.begun(&pull, &base);
    let cache = world.root.path().join("forge/remote/DEMO.git");
    let mut at_work = Command::new("git");
    at_work.args(["cat-file", "--batch"]).current_dir(&cache).stdin(Stdio::piped());
    let mut at_work = at_work.spawn().unwrap();
    let forge = world.open().await.unwrap();
    assert_eq!(world.count(&forge, "merge-abandoned").await, 0);
    assert_eq!(merge(&forge, &pull, &base).await.unwrap_err().kind, FaultKind::Transient);
    assert_eq!(forge.close_pull_request(&demo(), pull.number).await.unwrap_err().kind, FaultKind::Transient);
    at_work.kill().unwrap();
    at_work.wait().unwrap();
    forge.close_pull_request(&demo(), pull.number).await.unwrap();
    assert!(matches!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::Refused { .. }));
    assert_eq!(world.tip("main"), base.as_str());
}

fn green() -> orch_ports::forge::CommitStatus {
    orch_ports::forge::CommitStatus {
        context: "ci".into(),
        state: orch_ports::forge::StatusState::Success,
        description: String::new(),
        url: None,
        at: orch_core::ids::Time(1),
    }
}

#[tokio::test]
async fn a_hook_that_refuses_is_quoted_and_a_push_that_does_not_show_is_no_merge() {
    let Some((world, _http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    world.hook("pre-receive", "echo no merges on Fridays >&2\nexit 1");
    let MergeAnswer::Refused { why } = merge(&forge, &pull, &base).await.unwrap() else { panic!("merged") };
    assert!(why.contains("no merges on Fridays") && why.contains("pre-receive"), "{why}");
    assert_eq!((state(&forge, &pull).await, world.tip("main")), (PullState::Open, base.to_string()));
    // A server that says yes and takes it back.
    std::fs::remove_file(world.bare().join("hooks/pre-receive")).unwrap();
    world.hook(
        "post-receive",
        "while read old new ref; do [ $ref != refs/heads/main ] || git update-ref $ref $old; done",
    );
    let fault = merge(&forge, &pull, &base).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
    assert_eq!(state(&forge, &pull).await, PullState::Open);
    std::fs::remove_file(world.bare().join("hooks/post-receive")).unwrap();
    assert_eq!(merge(&forge, &pull, &base).await.unwrap(), MergeAnswer::Merged { commit: pull.head.clone() });
}

#[tokio::test]
async fn a_remote_that_is_away_is_waited_for_and_a_wrong_password_or_branch_is_said() {
    let Some((mut world, http)) = World::over_http() else { return };
    http.weather(Weather::Away);
    let forge = world.open().await.unwrap();
    let fault = forge.branch_head(&demo(), "main").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
    http.weather(Weather::Fair);
    assert!(forge.branch_head(&demo(), "main").await.unwrap().is_some());
    drop(forge);
    let wrong = Secret::new("wr0ng-4711");
    world.remote = Remote::of(&http.url("shop.git")).with_password("orch", &wrong);
    let fault = world.open().await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::Denied, "{fault}");
    assert!(fault.text.contains("token_env") && !fault.text.contains(wrong.expose()), "{fault}");
    world.remote = Remote::of(&http.url("no.git")).with_password("orch", &Secret::new(WORD));
    let fault = world.open().await.err().unwrap();
    assert!(fault.kind == FaultKind::Permanent && fault.text.contains("`repo`"), "{fault}");
}

#[tokio::test]
async fn the_password_is_in_no_list_of_processes_and_in_no_file() {
    let Some((world, http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    let (say, heard) = std::sync::mpsc::channel();
    http.before_push(move || {
        let read = |e: std::fs::DirEntry| std::fs::read(e.path().join("cmdline")).unwrap_or_default();
        let all = std::fs::read_dir("/proc").unwrap().flatten().map(read);
        let lines: Vec<String> = all.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).collect();
        say.send(lines).unwrap();
    });
    merge(&forge, &pull, &base).await.unwrap();
    let lines = heard.recv().unwrap();
    assert!(lines.iter().any(|l| l.contains("--force-with-lease=refs/heads/main:")), "the push was seen");
    assert!(!lines.iter().any(|l| l.contains(WORD) || l.contains("Basic ")), "{lines:?}");
    let found = Command::new("grep").args(["-rlaF", WORD]).arg(world.root.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[tokio::test]
async fn a_branch_that_is_checked_out_at_the_remote_is_refused_with_the_way_out() {
    let mut world = World::new();
    world.remote = Remote::of(world.root.path().join("work").to_str().unwrap());
    let fault = world.open().await.err().unwrap();
    assert!(fault.text.contains("receive.denyCurrentBranch") && fault.text.contains("`repo`"), "{fault}");
    git(&world.root.path().join("work"), &["config", "receive.denyCurrentBranch", "updateInstead"]).unwrap();
    world.open().await.unwrap();
}

#[tokio::test]
async fn objects_that_orch_has_are_not_fetched_again_and_a_merge_is_four_calls() {
    let Some((world, http)) = World::over_http() else { return };
    let forge = world.open().await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    http.asked();
    merge(&forge, &pull, &base).await.unwrap();
    // Both branches, their objects, the push, the branch read back.
    let asked = http.asked();
    let calls = asked.iter().filter(|l| l.starts_with("orch") && l.contains("/info/refs")).count();
    assert_eq!(calls, 4, "{asked:#?}");
    drop(forge);
    // With a repository that has them, without the fetch.
    let home = orch_adapters::git_forge::Home::There { remote: world.remote.clone(), objects: Some(world.bare()) };
    let repo = orch_adapters::git_forge::ServedRepo { key: demo(), home, default_branch: "main".into() };
    let clock = std::sync::Arc::new(orch_adapters::system_clock::SystemClock::new().unwrap());
    let forge = GitForge::open(&world.root.path().join("forge"), vec![repo], Vec::new(), clock).await.unwrap();
    let (pull, base) = world.proposal(&forge).await;
    http.asked();
    merge(&forge, &pull, &base).await.unwrap();
    assert_eq!(http.calls(), 3);
}
