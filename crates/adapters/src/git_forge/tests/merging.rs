//! Merges: once, at the right place, and known after any crash.

use super::*;

#[tokio::test]
async fn ten_who_merge_at_once_merge_once() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (forge, head) = (bench.forge.clone(), pull.head.clone());
            tokio::spawn(async move {
                forge.merge(&demo(), 1, &head, Right::Person, MergeMethod::Merge, "m").await.unwrap()
            })
        })
        .collect();
    let mut commits = std::collections::BTreeSet::new();
    for task in tasks {
        let MergeAnswer::Merged { commit } = task.await.unwrap() else { panic!("not merged") };
        commits.insert(commit);
    }
    assert_eq!(commits.len(), 1);
    assert_eq!(bench.effects().await, ["pull-opened", "merge-attempted", "merge-done"]);
    let log = bench.forge.log(&demo()).await.unwrap();
    assert_eq!(log[2].new_base.as_ref(), commits.first());
    assert_eq!(log[2].head, Some(pull.head));
}

#[tokio::test]
async fn of_two_merges_at_once_one_finds_the_base_moved() {
    let bench = Bench::new().await;
    let one = bench.proposal("feature/one", "one.txt").await;
    let two = bench.proposal("feature/two", "two.txt").await;
    let (one, two) =
        tokio::join!(bench.merge(&one, MergeMethod::FastForwardOnly), bench.merge(&two, MergeMethod::FastForwardOnly));
    let merged = [&one, &two].into_iter().filter(|a| matches!(a, MergeAnswer::Merged { .. })).count();
    let moved = [&one, &two].into_iter().filter(|a| **a == MergeAnswer::BaseMoved).count();
    assert_eq!((merged, moved), (1, 1), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_branch_that_is_not_where_it_was_is_not_moved() {
    let bench = Bench::new().await;
    let (tip, pull) = (bench.tip().await, bench.proposal("feature/x", "x.txt").await);
    let other = bench.proposal("feature/y", "y.txt").await;
    let served = bench.forge.served(&demo()).unwrap();
    served.repo.compare_and_move("main", &other.head, &pull.head, "test").await.unwrap_err();
    assert_eq!(bench.tip().await, tip);
    served.repo.compare_and_move("main", &tip, &pull.head, "test").await.unwrap();
    assert_eq!(bench.tip().await, pull.head);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_leaves_no_half_merge() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let merge = bench.merge(&pull, MergeMethod::FastForwardOnly);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), merge).await.is_err());
    // Whoever asks next waits for its turn and finds the merge done.
    assert_eq!(
        bench.merge(&pull, MergeMethod::FastForwardOnly).await,
        MergeAnswer::Merged { commit: pull.head.clone() }
    );
    assert_eq!((bench.count("merge-attempted").await, bench.count("merge-done").await), (1, 1));
}

#[tokio::test]
async fn a_crash_after_the_branch_moved_is_found_out_by_the_next_look() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let base = bench.tip().await;
    // What a process leaves that dies between moving the branch and writing so.
    let (head, old) = (pull.head.as_str(), base.as_str());
    bench
        .db()
        .execute(
            "UPDATE pull_request SET state = 'merging', expect_head = ?1, old_base = ?2, intended = ?1",
            [head, old],
        )
        .unwrap();
    git(&bench.bare(), &["update-ref", "refs/heads/main", head, old]).unwrap();
    let read = bench.forge.pull_request(&demo(), 1).await.unwrap();
    assert_eq!((read.state, read.merge_commit.as_ref()), (PullState::Merged, Some(&pull.head)));
    // Later commits on main and a deleted branch change nothing about it.
    let next = bench.proposal("feature/y", "y.txt").await;
    assert!(matches!(bench.merge(&next, MergeMethod::FastForwardOnly).await, MergeAnswer::Merged { .. }));
    git(&bench.bare(), &["update-ref", "-d", "refs/heads/feature/x"]).unwrap();
    let bench = bench.reopen().await;
    assert_eq!(
        bench.merge(&pull, MergeMethod::FastForwardOnly).await,
        MergeAnswer::Merged { commit: pull.head.clone() }
    );
    let log = bench.forge.log(&demo()).await.unwrap();
    let done: Vec<_> = log.iter().filter(|l| l.effect == "merge-done").map(|l| (l.number, l.detail.as_str())).collect();
    assert_eq!(done, [(Some(1), "found by a later look"), (Some(2), "fast-forward-only")]);
}

#[tokio::test]
async fn a_crash_before_the_branch_moved_leaves_an_open_pull_request_that_can_be_merged() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let base = bench.tip().await;
    bench
        .db()
        .execute(
            "UPDATE pull_request SET state = 'merging', expect_head = ?1, old_base = ?2, intended = ?1",
            [pull.head.as_str(), base.as_str()],
        )
        .unwrap();
    assert_eq!(bench.forge.pull_request(&demo(), 1).await.unwrap().state, PullState::Open);
    let again = bench.forge.ensure_pull_request(&demo(), "feature/x", "main", "t", "").await.unwrap();
    assert_eq!(again.number, 1, "a merge under way does not make room for a second pull request");
    let bench = bench.reopen().await;
    assert_eq!(bench.count("merge-abandoned").await, 1);
    assert_eq!(bench.tip().await, base);
    let answer = bench.merge(&pull, MergeMethod::Merge).await;
    let MergeAnswer::Merged { commit } = answer else { panic!("{answer:?}") };
    assert_eq!(bench.tip().await, commit);
}

#[tokio::test]
async fn a_crash_inside_a_squash_is_recognised_by_the_recorded_commit() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let base = bench.tip().await;
    // The commit that the interrupted merge made: not the head, and found only because it was written down first.
    let tree = git(&bench.bare(), &["rev-parse", &format!("{}^{{tree}}", pull.head)]).unwrap();
    let made = git(&bench.bare(), &["commit-tree", "-p", base.as_str(), "-m", "squashed", &tree]).unwrap();
    bench
        .db()
        .execute(
            "UPDATE pull_request SET state = 'merging', expect_head = ?1, old_base = ?2, intended = ?3",
            [pull.head.as_str(), base.as_str(), &made],
        )
        .unwrap();
    git(&bench.bare(), &["update-ref", "refs/heads/main", &made, base.as_str()]).unwrap();
    let bench = bench.reopen().await;
    assert_eq!(bench.merge(&pull, MergeMethod::Squash).await, MergeAnswer::Merged { commit: sha(made.clone()) });
    assert_eq!(bench.tip().await.as_str(), made);
    assert_eq!((bench.count("merge-done").await, bench.count("merge-attempted").await), (1, 0));
}

#[tokio::test]
async fn a_merge_that_was_cut_off_before_it_moved_anything_makes_the_same_commit_again() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let base = bench.tip().await;
    let MergeAnswer::Merged { commit } = bench.merge(&pull, MergeMethod::Merge).await else { panic!() };
    // Back to where it was, as if the process had died before the branch moved.
    git(&bench.bare(), &["update-ref", "refs/heads/main", base.as_str()]).unwrap();
    let change = "UPDATE pull_request SET state = 'merging', merge_commit = NULL";
    bench.db().execute(change, []).unwrap();
    bench.clock.set(9_000_000);
    assert_eq!(bench.merge(&pull, MergeMethod::Merge).await, MergeAnswer::Merged { commit });
}

#[tokio::test]
async fn registering_a_project_again_during_its_merges_loses_none() {
    let bench = Bench::new().await;
    for n in 0..4 {
        let pull = bench.proposal(&format!("feature/{n}"), &format!("{n}.txt")).await;
        let source = bench.work().to_str().unwrap().to_owned();
        let again = ServedRepo::here(demo(), source, "main");
        let (answer, added) =
            tokio::join!(bench.merge(&pull, MergeMethod::FastForwardOnly), bench.forge.add_project(again));
        added.unwrap();
        assert_eq!(answer, MergeAnswer::Merged { commit: pull.head.clone() });
        assert_eq!(bench.forge.pull_request(&demo(), pull.number).await.unwrap().state, PullState::Merged);
    }
    assert_eq!((bench.count("merge-done").await, bench.count("merge-abandoned").await), (4, 0));
}

#[tokio::test]
async fn a_lock_on_the_branch_stays_while_a_git_is_at_work_and_goes_with_the_last_one_however_young_it_is() {
    let bench = Bench::new().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    let lock = bench.bare().join("refs/heads/main.lock");
    let file = std::fs::File::create(&lock).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(5)).unwrap();
    let mut at_work = Command::new("git");
    at_work.args(["cat-file", "--batch"]).current_dir(bench.bare()).stdin(std::process::Stdio::piped());
    let mut at_work = at_work.spawn().unwrap();
    let held =
        bench.forge.merge(&demo(), 1, &pull.head, Right::Person, MergeMethod::FastForwardOnly, "m").await.unwrap_err();
    assert_eq!(held.kind, FaultKind::Transient, "{held}");
    assert!(lock.exists(), "it may be that git's");
    at_work.kill().unwrap();
    at_work.wait().unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(bench.forge.pull_request(&demo(), 1).await.unwrap().state, PullState::Open);
    // A git that was only asked something may still be ending, and is one at work until it has.
    let mut tries = 0;
    let merged = loop {
        match bench.forge.merge(&demo(), 1, &pull.head, Right::Person, MergeMethod::FastForwardOnly, "message").await {
            Err(fault) if fault.kind == FaultKind::Transient && tries < 100 => tries += 1,
            answer => break answer.unwrap(),
        }
    };
    assert!(matches!(merged, MergeAnswer::Merged { .. }));
    assert!(!lock.exists());
    assert_eq!(bench.count("merge-done").await, 1);
}

#[tokio::test]
async fn a_conflict_is_refused_by_name_and_moves_nothing() {
    let bench = Bench::new().await;
    let one = bench.proposal("feature/one", "same file.txt").await;
    let two = bench.proposal("feature/two", "same file.txt").await;
    assert!(matches!(bench.merge(&one, MergeMethod::Squash).await, MergeAnswer::Merged { .. }));
    let tip = bench.tip().await;
    assert_eq!(bench.forge.pull_request(&demo(), two.number).await.unwrap().mergeable, Some(false));
    for method in [MergeMethod::Merge, MergeMethod::Squash] {
        let MergeAnswer::Refused { why } = bench.merge(&two, method).await else { panic!("merged a conflict") };
        assert!(why.contains("same file.txt"), "{why}");
    }
    assert_eq!(bench.tip().await, tip);
    assert_eq!(bench.count("merge-refused").await, 2);
}

#[tokio::test]
async fn another_head_than_the_merged_one_is_not_called_merged() {
    let bench = Bench::new().await;
    let base = bench.tip().await;
    let pull = bench.proposal("feature/x", "x.txt").await;
    bench.merge(&pull, MergeMethod::FastForwardOnly).await;
    let answer = bench.forge.merge(&demo(), 1, &base, Right::Person, MergeMethod::FastForwardOnly, "m").await.unwrap();
    let MergeAnswer::Refused { why } = answer else { panic!("{answer:?}") };
    assert!(why.contains("already merged"), "{why}");
}

#[tokio::test]
async fn a_branch_without_anything_new_is_refused() {
    let bench = Bench::new().await;
    let tip = bench.tip().await;
    git(&bench.bare(), &["update-ref", "refs/heads/feature/x", tip.as_str()]).unwrap();
    let pull = bench.forge.ensure_pull_request(&demo(), "feature/x", "main", "t", "").await.unwrap();
    for method in [MergeMethod::FastForwardOnly, MergeMethod::Merge, MergeMethod::Squash] {
        let answer = bench.merge(&pull, method).await;
        assert!(matches!(&answer, MergeAnswer::Refused { why } if why.contains("nothing to merge")), "{answer:?}");
    }
}
