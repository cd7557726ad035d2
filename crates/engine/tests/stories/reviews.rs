//! Reviews that converge: whoever reviews again is told what changed and what was left open, a matter of taste in code
//! that was let pass blocks nobody, and what was only noted is on the pull request, once.

use crate::faults::How;
use crate::runs::{Does, Run};
use crate::world::{World, demo};
use orch_core::ids::{GateId, Sha};
use orch_core::pipeline::Pipeline;
use orch_core::task::{BlockReason, Phase, Task};
use orch_core::verdict::ChangedRange;
use orch_core::verdict::Verdict;
use orch_ports::git::{ChangedLines, Git};
use std::sync::{Arc, Mutex};

/// What the reviews of a story say, one after the other; the last is repeated.
fn reviews(world: &World, papers: &[&str]) -> Arc<Mutex<Vec<String>>> {
    let papers: Vec<String> = papers.iter().map(|p| format!("---\n{p}\n---\n\nIn words.\n")).collect();
    let briefs = Arc::new(Mutex::new(Vec::new()));
    let kept = briefs.clone();
    world.runs.on("reviewer", move |run| {
        kept.lock().unwrap().push(run.prompt());
        run.paper("12-review.md", &papers[(run.nth - 1).min(papers.len() - 1)]);
        Does::Exit(0)
    });
    briefs
}

/// A developer who changes line 2 of `work.txt` in every round, and leaves the other lines alone.
fn second_line_changes(world: &World) {
    world.runs.on("developer", |run: &Run| {
        run.write("work.txt", &format!("one\nround {}\nthree\nfour\n", run.nth));
        Does::Exit(0)
    });
}

async fn notes(world: &World, task: &Task) -> Vec<(String, String)> {
    world.forge.comments(&demo(), task.branch.pull_request.unwrap()).await.unwrap()
}

const BUG: &str =
    "verdict: REQUEST_CHANGES\nfindings:\n- {id: R1, severity: P1, file: work.txt, line: 2, text: the total is wrong}";

#[tokio::test]
async fn a_re_reviews_brief_has_the_changed_files_and_the_open_findings() {
    let world = World::new().await;
    second_line_changes(&world);
    let briefs = reviews(&world, &[BUG, "verdict: APPROVED"]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    let briefs = briefs.lock().unwrap().clone();
    assert_eq!((task.spent.rounds, briefs.len()), (1, 2));
    assert!(!briefs[0].contains("last review"), "the first review is a first review: {}", briefs[0]);
    let judged = world.store.judgements(task.id).await.unwrap();
    let first = judged.iter().find(|j| j.gate == GateId::ReviewerVerdict).unwrap();
    assert!(matches!(first.verdict, Verdict::Fail { .. }));
    for needed in [
        format!("since the last review (`{}`)", first.head).as_str(),
        "\n- `work.txt` (M): lines 2\n",
        "#### R1 [P1] work.txt:2\n",
        "the total is wrong",
    ] {
        assert!(briefs[1].contains(needed), "it lacks {needed:?}: {}", briefs[1]);
    }
    assert_eq!(briefs[1].matches("the total is wrong").count(), 1);
    assert!(!briefs[1].contains("12-review.md` (M)"), "papers are nobody's change");
}

#[tokio::test]
async fn a_nit_on_an_unchanged_line_does_not_block_a_second_time() {
    let world = World::new().await;
    second_line_changes(&world);
    let nit = "verdict: REQUEST_CHANGES\nsettled: [R1]\nfindings:\n- {id: R2, severity: P2, file: work.txt, line: 4, text: a *better* name}";
    reviews(&world, &[BUG, nit]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    assert_eq!((task.spent.rounds, world.runs.count("reviewer")), (1, 2));
    let listed = notes(&world, &task).await;
    assert_eq!(listed.len(), 1);
    assert!(listed[0].1.contains(r"- P2 `R2` in `work.txt` line 4: a \*better\* name"), "{listed:?}");
    assert!(listed[0].1.contains("- P3: In words.\n"), "nor is what it says in words lost: {listed:?}");
    assert_eq!(world.says(&item, "2 findings of little weight").await + world.says(&item, "a *better* name").await, 2);
}

#[tokio::test]
async fn a_nit_blocks_where_the_line_changed_or_where_it_was_open_before() {
    for (settled, again, text) in [
        ("R1", "{id: R2, severity: P2, file: work.txt, line: 2, text: a better name}", "on the changed line"),
        ("R1", "{id: R1, severity: P2, file: work.txt, line: 4, text: a better name}", "open before"),
        ("R1", "{id: R2, severity: P2, file: ../work.txt, line: 4, text: a better name}", "outside of it"),
        (
            "",
            "{id: R2, severity: P2, file: work.txt, line: 4, text: a better name}",
            "beside what nobody calls settled",
        ),
    ] {
        let world = World::new().await;
        second_line_changes(&world);
        let again = format!("verdict: REQUEST_CHANGES\nsettled: [{settled}]\nfindings:\n- {again}");
        reviews(&world, &[BUG, &again, "verdict: APPROVED"]);
        world.start();
        let item = world.begin("Add a file").await;
        let task = world.until_done(&item).await;
        assert_eq!((task.spent.rounds, world.runs.count("reviewer")), (2, 3), "{text}");
        world.until_quiet().await;
        let listed = notes(&world, &task).await;
        assert!(listed.len() == 1 && listed[0].1.contains("a better name"), "{text}: a person can read it: {listed:?}");
    }
}

#[tokio::test]
async fn a_finding_is_the_same_where_other_changes_have_moved_its_line() {
    let open = "verdict: REQUEST_CHANGES\nfindings:\n\
                - {id: R1, severity: P1, file: work.txt, line: 1, text: the total is wrong}\n\
                - {id: R2, severity: P2, file: work.txt, line: 3, text: a better name}";
    // Three lines come in above: what was line 3 is line 6 now.
    for (line, rounds) in [(6, 2), (5, 1)] {
        let world = World::new().await;
        world.runs.on("developer", |run: &Run| {
            let more = if run.nth == 1 { "" } else { "a\nb\nc\n" };
            run.write("work.txt", &format!("{more}1 of {}\n2\n3\n4\n", run.nth));
            Does::Exit(0)
        });
        let again = format!(
            "verdict: REQUEST_CHANGES\nsettled: [R1]\nfindings:\n- {{id: R9, severity: P2, file: work.txt, line: {line}, text: rename}}"
        );
        reviews(&world, &[open, &again, "verdict: APPROVED"]);
        world.start();
        let item = world.begin("Add a file").await;
        let task = world.until_done(&item).await;
        assert_eq!(task.spent.rounds, rounds, "line {line}");
    }
}

#[tokio::test]
async fn the_minor_findings_are_on_the_pull_request_once_also_after_a_crash() {
    let minor = "verdict: APPROVED\nfindings:\n- {id: R1, severity: P2, file: work.txt, line: 1, text: rename it}\n\
                 - {severity: P3, text: '<b>taste</b>'}";
    for how in [How::DieBefore, How::DieAfter, How::After] {
        let world = World::new().await;
        second_line_changes(&world);
        reviews(&world, &[minor]);
        world.faults.plan("forge.put_comment", &[how]);
        world.start();
        let item = world.begin("Add a file").await;
        if matches!(how, How::DieBefore | How::DieAfter) {
            world.faults.reached("forge.put_comment").await;
            world.kill().await;
            world.start();
        }
        let task = world.until_done(&item).await;
        world.until_quiet().await;
        assert_eq!((task.spent.rounds, world.runs.count("reviewer")), (0, 1), "{how:?}");
        let listed = notes(&world, &task).await;
        assert_eq!((listed.len(), world.forge_did("comment-written").await), (1, 1), "{how:?}: {listed:?}");
        let text = &listed[0].1;
        assert!(text.contains("- P2 `R1` in `work.txt` line 1: rename it\n"), "{text}");
        assert!(text.contains("- P3: &lt;b&gt;taste&lt;/b&gt;\n"), "{text}");
    }
}

#[tokio::test]
async fn the_evidence_of_a_pass_has_what_was_noted() {
    let world = World::new().await;
    reviews(&world, &["verdict: APPROVED\nfindings: [{severity: P3, text: a nit}]"]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    world.until_quiet().await;
    let judged = world.store.judgements(task.id).await.unwrap();
    let review = judged.iter().find(|j| j.gate == GateId::ReviewerVerdict).unwrap();
    assert_eq!(review.evidence["notes"][0]["text"], "a nit");
    assert_eq!(notes(&world, &task).await.len(), 1);
}

#[tokio::test]
async fn the_fourth_refusal_blocks_and_a_person_is_told_once() {
    let world = World::new().await;
    second_line_changes(&world);
    reviews(&world, &[BUG]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    match &task.phase {
        Phase::Blocked { why: BlockReason::RoundsSpent { from, findings }, .. } => {
            assert_eq!(
                (from.to_string().as_str(), findings[0].text.as_str()),
                ("check_reviewer_verdict", "the total is wrong")
            );
        }
        other => panic!("{other:?}"),
    }
    world.until_quiet().await;
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (4, 4), "one first run, three repairs");
    assert_eq!(world.told_people().iter().filter(|t| t.contains("blocked")).count(), 1);
}

#[tokio::test]
async fn a_review_and_a_failing_test_reach_the_next_brief_word_for_word() {
    let world = World::new().await;
    let briefs: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = briefs.clone();
    world.runs.on("developer", move |run| {
        kept.lock().unwrap().push(run.prompt());
        run.write("work.txt", &format!("round {}\n", run.nth));
        Does::Exit(0)
    });
    // What the developer delivers second is red: after the review's refusal, before the developer has answered it.
    world.runs.on("ci", |run| {
        let log = format!("test cart::test_total ... FAILED\n{}3 is not 4\n", "and so on\n".repeat(9_000));
        std::fs::write(run.dir.join("stdout.log"), log).unwrap();
        Does::Exit(i32::from(run.read("work.txt") == "round 2\n"))
    });
    let reviewed = reviews(&world, &[BUG, "verdict: APPROVED"]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    let briefs = briefs.lock().unwrap();
    assert_eq!((task.spent.rounds, briefs.len()), (2, 3));
    assert!(briefs[1].contains("### R1 [P1] work.txt:2") && briefs[1].contains("the total is wrong"));
    assert!(!briefs[1].contains("test_total"));
    assert!(briefs[2].contains("failed: test cart::test_total ... FAILED"), "{}", briefs[2]);
    assert!(briefs[2].contains("3 is not 4") && briefs[2].len() < 50_000, "{}", briefs[2]);
    assert!(briefs[2].contains("### R1 [P1] work.txt:2") && briefs[2].contains("the total is wrong"), "{}", briefs[2]);
    let again = reviewed.lock().unwrap()[1].clone();
    assert!(
        again.contains("the total is wrong") && !again.contains("test_total"),
        "what is settled is not open: {again}"
    );
}

#[tokio::test]
async fn a_failing_case_of_the_tester_reaches_the_brief_and_the_next_review_is_a_re_review() {
    let world = World::with(|c| {
        let lite = Pipeline::lite();
        let full = Pipeline::full();
        let mut stages = lite.stages.clone();
        let testing = full.stages.iter().find(|s| s.id.as_str() == "testing").unwrap().clone();
        // Review, then testing, then the merge.
        let review = full.stages.iter().find(|s| s.id.as_str() == "review").unwrap().clone();
        let merging = stages[2].steps.split_off(3);
        stages[2] = review;
        let mut last = testing;
        last.steps.extend(merging);
        stages.insert(3, last);
        c.pipeline = Pipeline { name: "own".into(), stages };
    })
    .await;
    second_line_changes(&world);
    let briefs = reviews(&world, &["verdict: APPROVED"]);
    let developer: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = developer.clone();
    world.runs.on("developer", move |run| {
        kept.lock().unwrap().push(run.prompt());
        run.write("work.txt", &format!("one\nround {}\n", run.nth));
        Does::Exit(0)
    });
    world.runs.on("tester", |run| {
        let failed =
            "result: FAIL\nfailures:\n- {test: test_total, file: test_cart.py, line: 9, message: 'assert 3 == 4'}";
        let minor = "result: PASS\nfindings: [{id: T1, severity: P3, text: slow on an empty cart}]";
        let said = if run.nth == 1 { failed } else { minor };
        run.paper("13-test-report.md", &format!("---\n{said}\n---\n\nLog.\n"));
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1);
    world.until_quiet().await;
    let listed = notes(&world, &task).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].1.contains("check_tests_passed") && listed[0].1.contains("- P3 `T1`: slow on an empty cart"));
    let brief = developer.lock().unwrap()[1].clone();
    for needed in ["test_total", "test_cart.py:9", "assert 3 == 4"] {
        assert!(brief.contains(needed), "it lacks {needed:?}: {brief}");
    }
    let again = briefs.lock().unwrap()[1].clone();
    for needed in ["`work.txt` (M): lines 2", "The last review left nothing open", "assert 3 == 4"] {
        assert!(again.contains(needed), "it lacks {needed:?}: {again}");
    }
}

#[tokio::test]
async fn no_name_no_attribute_and_no_binary_flag_hides_a_changed_line() {
    let world = World::new().await;
    let odd = "a\"b\n+++ c\n@@ -1 +1 @@\nd.txt";
    let push = |name: &str, from: &str, path: &str, text: &str| world.outsider_pushes(name, from, path, text);
    push("one", "main", ".gitattributes", "* -diff -text binary diff=astextplain\n");
    push("two", "one", odd, "1\n2\n3\n4\n");
    push("three", "two", "bytes.bin", "\0\n\0\n");
    push("four", "three", "empty.txt", "");
    let before = push("five", "four", "gone.txt", "1\n");
    let src = world.path("src");
    std::fs::remove_file(src.join("gone.txt")).unwrap();
    std::fs::write(src.join(odd), "1\nTWO\n4\nfive").unwrap();
    std::fs::write(src.join("bytes.bin"), "\0\n\x01\n").unwrap();
    std::fs::remove_file(src.join("shared.txt")).unwrap();
    std::os::unix::fs::symlink("bytes.bin", src.join("shared.txt")).unwrap();
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(src.join("empty.txt"), mode).unwrap();
    crate::world::git(&src, &["add", "--all"]);
    crate::world::git(&src, &["commit", "--quiet", "-m", "after"]);
    crate::world::git(&src, &["push", "--quiet", world.bare().to_str().unwrap(), "HEAD:refs/heads/after"]);
    let after = Sha::new(crate::world::git(&src, &["rev-parse", "HEAD"]));
    world.git.fetch(&demo(), &orch_ports::Remote::of(world.bare().to_str().unwrap())).await.unwrap();
    let file = |path: &str, how, lines: &[(u32, u32, i64)]| {
        let range = |(first, last, grown)| ChangedRange { first, last, grown };
        ChangedLines { path: path.into(), how, lines: lines.iter().copied().map(range).collect() }
    };
    let changed = world.git.changed_lines(&demo(), &before, &after).await.unwrap();
    assert_eq!(
        changed,
        [
            file(odd, 'M', &[(2, 2, -1), (4, 4, 1)]),
            file("bytes.bin", 'M', &[(2, 2, 0)]),
            file("empty.txt", 'M', &[]),
            file("gone.txt", 'D', &[]),
            file("shared.txt", 'T', &[(1, 1, 1)]),
        ]
    );
    let back = world.git.changed_lines(&demo(), &after, &before).await.unwrap();
    assert_eq!(
        back[0],
        file(odd, 'M', &[(2, 3, 1), (4, 5, -1)]),
        "where a line was only taken away, its neighbours count"
    );
    assert_eq!(world.git.changed_lines(&demo(), &after, &after).await.unwrap(), []);
    let missing = Sha::new("1".repeat(40));
    assert!(world.git.changed_lines(&demo(), &missing, &after).await.is_err());
}

#[tokio::test]
async fn a_paper_of_ten_gigabytes_is_not_read_and_its_reviewer_writes_another() {
    let world = World::new().await;
    let briefs = Arc::new(Mutex::new(Vec::new()));
    let kept = briefs.clone();
    world.runs.on("reviewer", move |run| {
        kept.lock().unwrap().push(run.prompt());
        run.paper("12-review.md", "---\nverdict: APPROVED\n---\n");
        if run.nth == 1 {
            // Sparse: it takes no space, and minutes to read.
            let path = run.cwd.join(run.var("ORCH_ARTEFACT_DIR")).join("12-review.md");
            std::fs::File::options().write(true).open(path).unwrap().set_len(10 << 30).unwrap();
        }
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Work").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 0, "the developer pays nothing for it");
    let briefs = briefs.lock().unwrap().clone();
    assert_eq!(briefs.len(), 2);
    assert!(
        briefs[1].contains("12-review.md has 10737418240 bytes, more than the 10485760 that are read"),
        "{}",
        briefs[1]
    );
    let largest = crate::world::git(&world.bare(), &["cat-file", "--batch-all-objects", "--batch-check=%(objectsize)"]);
    assert!(largest.lines().all(|size| size.parse::<u64>().unwrap() < 1_000_000), "it was pushed: {largest}");
}
