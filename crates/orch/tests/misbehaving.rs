//! Agents that do what agents do on a bad day. Each story ends the same way: nobody has to clean up by hand, the default
//! branch holds only what was judged, and `orch why` says what happened in words a person can act on.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{CODE, Setup, World, processes};
use serde_json::json;
use std::fs;

/// A lite project with this agent.
fn lite(agent: &str) -> World {
    World::up(&Setup { agent: agent.into(), ..Setup::default() })
}

/// A lite project whose agents may be silent for a second only.
fn impatient(agent: &str) -> World {
    let program = "silence_s = 1\ndeadline_s = 30".into();
    World::up(&Setup { agent: agent.into(), program, ..Setup::default() })
}

#[test]
fn one_that_exits_1_twice_blocks_its_task_and_a_retry_goes_on_once_it_is_repaired() {
    let world = lite(r"developer() { printf '\033[31mcannot find\033[0m my tools\a\n' >&2; exit 1; }");
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("developer") && why.contains("exit 1"), "{why}");
    assert!(why.contains("cannot find my tools"), "its last words are there: {why}");
    assert!(!why.contains('\u{1b}') && !why.contains('\u{7}'), "but not what moves a terminal: {why:?}");
    assert_eq!(world.runs_of("developer").len(), 2);
    assert_eq!(world.trunk(), world.tip);
    assert!(
        world.runs_of("developer")[1].prompt().contains("cannot find my tools"),
        "the second attempt knows of the first"
    );

    world.agent("");
    world.orch(&["task", "retry", &id]).ok();
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["round"], 0, "no repair round was spent");
    assert_eq!(world.moves_of_trunk(), 1);
}

#[test]
fn one_that_exits_75_meets_a_passing_fault_and_spends_no_attempt() {
    // Two spent attempts would be the end of the task.
    let world = lite(
        r#"developer() {
            n=$(cat "$here/tries" 2>/dev/null || echo 0); echo $((n + 1)) > "$here/tries"
            if [ "$n" -lt 2 ]; then echo overloaded; exit 75; fi
            wait_for go
            echo "x" >> "$code"
        }"#,
    );
    let id = world.task("Версия");
    world.run_said("developer", 3, "start developer");
    let queue = world.orch(&["queue", "--json"]).ok().json();
    let job = queue["open"].as_array().unwrap().iter().find(|j| j["lane"] == "agent").unwrap();
    assert_eq!((&job["attempts"], &job["transient_attempts"]), (&json!(0), &json!(2)), "{job:#}");
    world.allow("go");
    world.wait(&id, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 3);
}

#[test]
fn one_that_hangs_is_stopped_after_its_silence_with_its_whole_tree() {
    let world = impatient(r#"developer() { sleep "$NAP" & sh -c 'sleep "$1"; :' x "$NAP"; }"#);
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("silence"), "{why}");
    assert_eq!(processes::with_argument(&world.nap), Vec::<u32>::new(), "nothing of it is left");
    assert_eq!(processes::of_runs_below(&world.root), Vec::<u32>::new());
    assert_eq!(world.runs_of("developer").len(), 2);
}

#[test]
fn a_developer_that_writes_nothing_gets_its_attempts_and_then_a_person_is_asked() {
    let world = lite("developer() { echo 'all is well'; }");
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("the developer did not deliver") && why.contains("no code was changed"), "{why}");
    assert_eq!(world.runs_of("developer").len(), 2);
    assert!(world.runs_of("reviewer").is_empty(), "there is nothing to review");
    assert_eq!(world.show(&id)["round"], 0);
}

#[test]
fn a_reviewer_that_approves_in_prose_has_not_approved_and_costs_the_developer_nothing() {
    let world = lite(r#"reviewer() { printf '# Review\n\nverdict: APPROVED. Ship it!\n' > "$art/12-review.md"; }"#);
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("the reviewer did not deliver"), "{why}");
    assert!(why.contains("12-review.md") || why.contains("front matter"), "{why}");
    assert_eq!((world.runs_of("developer").len(), world.runs_of("reviewer").len()), (1, 2));
    assert_eq!(world.show(&id)["round"], 0);
    assert_eq!(world.trunk(), world.tip);

    world.agent("");
    world.orch(&["task", "retry", &id]).ok();
    world.wait(&id, &["done"]);
    assert_eq!(world.runs_of("developer").len(), 1, "the developer's work stood");
}

#[test]
fn an_approval_of_an_earlier_round_is_not_one_of_this_round() {
    // The tester sends the first round back; the reviewer of the second writes nothing, and the first review is there.
    let world = World::up(&Setup {
        pipeline: "full",
        agent: r#"
            tester() { printf -- '---\nresult: FAIL\n---\nTC-01 shows no number.\n' > "$art/13-test-report.md"; }
            developer() {
                echo "раунд $ORCH_ROUND" >> "$code"
                # And a developer that helps itself to an approval.
                mkdir -p "$art"; printf -- '---\nverdict: APPROVED\n---\n' > "$art/12-review.md"
            }
            reviewer() {
                [ "$ORCH_ROUND" = 0 ] || { ls "$art"; return 0; }
                printf -- '---\nverdict: APPROVED\n---\nfine\n' > "$art/12-review.md"
            }"#
        .into(),
        project: "[project.gates.check_analysis_approved]\nmode = \"off\"\n".into(),
        ..Setup::default()
    });
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("the reviewer did not deliver") && why.contains("12-review.md"), "{why}");
    let task = world.show(&id);
    assert_eq!((task["stage"].as_str(), task["round"].as_u64()), (Some("review"), Some(1)), "{task:#}");
    assert_eq!((world.runs_of("reviewer").len(), world.runs_of("tester").len()), (3, 1));
    assert!(world.runs_of("developer")[1].prompt().contains("TC-01 shows no number."), "the finding is in the brief");
    assert!(
        !world.runs_of("reviewer")[1].out.contains("12-review.md"),
        "the old review was not even there to be found"
    );
    assert_eq!(world.trunk(), world.tip);
}

#[test]
fn one_that_leaves_daemons_behind_is_cleaned_up_after() {
    // One in a session of its own, one that also threw its environment away and has no parent left.
    let world = lite(
        r#"developer() {
            echo x >> "$code"
            setsid sleep "$NAP" >/dev/null 2>&1 &
            ( env -i "$(command -v setsid)" "$(command -v sleep)" "$NAP" >/dev/null 2>&1 & ) &
            sleep 0.2
        }"#,
    );
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    assert_eq!(processes::with_argument(&world.nap), Vec::<u32>::new());
    let runs = world.evidence(&id)["runs"].to_string();
    assert!(runs.contains("left-over processes were ended"), "it is said: {runs}");
}

#[test]
fn one_that_deletes_its_git_directory_loses_nothing_of_its_work() {
    let world = lite(r#"developer() { echo x >> "$code"; rm -rf .git; }"#);
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    assert!(world.forge_git(&["show", &format!("trunk:{CODE}")]).ends_with('x'));
}

#[test]
fn one_that_deletes_its_whole_working_directory_deletes_nothing_of_ours() {
    let world = lite(
        r#"
        vanish_once() {
            [ ! -e "$here/$1" ] || return 0
            touch "$here/$1"; gone=$PWD; cd /; rm -rf "$gone"
            # The reviewer even puts a way to somebody else's files in its place.
            [ "$1" = developer ] || ln -s "$here" "$gone"
            exit 0
        }
        developer() { vanish_once developer; echo x >> "$code"; }
        reviewer() {
            vanish_once reviewer
            printf -- '---\nverdict: APPROVED\n---\nfine\n' > "$art/12-review.md"
        }"#,
    );
    let id = world.task("Версия");
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["round"], 0, "each role tried again, no repair was spent");
    assert_eq!((world.runs_of("developer").len(), world.runs_of("reviewer").len()), (2, 2));
    assert!(world.runs_of("developer")[1].prompt().contains("the whole working directory"), "and was told why");
    let files = world.forge_git(&["ls-tree", "-r", "--name-only", "trunk"]);
    for path in [CODE, "test.sh", "данные/образ 1.bin"] {
        assert!(files.contains(path), "{path} is gone from trunk:\n{files}");
    }
    assert!(!files.contains("orch.toml"), "what the link led to was not taken:\n{files}");
    assert!(world.config_file().exists() && world.repo.join(CODE).exists(), "nor was it removed");
}

#[test]
fn a_reviewer_that_deletes_everything_does_not_inherit_an_earlier_approval() {
    let world = World::up(&Setup {
        pipeline: "full",
        agent: r#"
            tester() { printf -- '---\nresult: FAIL\n---\nno number\n' > "$art/13-test-report.md"; }
            reviewer() {
                if [ "$ORCH_ROUND" != 0 ]; then gone=$PWD; cd /; rm -rf "$gone"; return; fi
                printf -- '---\nverdict: APPROVED\n---\nfine\n' > "$art/12-review.md"
            }"#
        .into(),
        project: "[project.gates.check_analysis_approved]\nmode = \"off\"\n".into(),
        ..Setup::default()
    });
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("the reviewer did not deliver"), "{why}");
    assert_eq!((world.runs_of("reviewer").len(), world.runs_of("tester").len()), (3, 1));
    assert_eq!(world.trunk(), world.tip);
}

#[test]
fn one_that_commits_by_itself_has_its_commits_made_one() {
    let world = lite(
        r#"developer() {
            me='-c user.name=Мой -c user.email=me@example.invalid'
            for n in 1 2 3; do echo "$n" >> "$code"; git $me commit -qam "step $n"; done
            git switch -q -c elsewhere; echo 4 >> "$code"
            git config core.fsmonitor "touch $here/owned"; git config filter.x.clean "touch $here/owned"
        }"#,
    );
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    let log = world.forge_git(&["log", "--format=%an|%cn|%s", &format!("{}..trunk", world.tip), "--", CODE]);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.starts_with("orch developer|") && !log.contains("step"), "{log}");
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert!(text.ends_with("1\n2\n3\n4"), "{text}");
    assert!(!world.repo.join("owned").exists(), "the agent's git configuration was never used");
}

#[test]
fn one_that_pushes_by_itself_moves_nothing_that_counts() {
    let world = lite(
        r#"developer() {
            echo x >> "$code"
            git -c user.name=m -c user.email=m@example.invalid commit -qam mine
            forge="$state/forge/$ORCH_PROJECT.git"
            git push "$forge" HEAD:refs/heads/trunk 2>&1 && echo PUSHED-TRUNK
            git push --force "$forge" HEAD:refs/heads/trunk 2>&1 && echo PUSHED-TRUNK
            git push "$forge" :refs/heads/trunk 2>&1 && echo PUSHED-TRUNK
            git push -q "$forge" HEAD:refs/heads/stray 2>&1 && echo pushed stray
            wait_for go
        }"#,
    );
    let id = world.task("Версия");
    let run = world.run_said("developer", 1, "pushed stray");
    assert!(!run.out.contains("PUSHED-TRUNK"), "{}", run.out);
    assert!(run.out.contains("moves only when orch merges a pull request"), "{}", run.out);
    assert_eq!(world.trunk(), world.tip);
    world.allow("go");
    world.wait(&id, &["done"]);
    assert_eq!(world.moves_of_trunk(), 1);
    let stray = world.forge_git(&["rev-parse", "refs/heads/stray"]);
    assert_ne!(world.trunk(), stray);
    let merged = world.forge_git(&["rev-list", "trunk"]);
    assert!(!merged.contains(&stray), "what the agent pushed by itself is not what was merged");
}

#[test]
fn one_that_pushes_to_its_own_branch_stops_the_task_until_a_person_has_looked() {
    let world = lite(
        r#"developer() {
            [ ! -e "$here/pushed" ] || { echo y >> "$code"; return 0; }
            touch "$here/pushed"
            echo behind-your-back >> "$code"
            git -c user.name=m -c user.email=m@example.invalid commit -qam mine
            git push -q --force "$state/forge/$ORCH_PROJECT.git" "HEAD:refs/heads/$ORCH_BRANCH"
        }"#,
    );
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("somebody else pushed"), "{why}");
    assert_eq!(world.trunk(), world.tip);
    world.orch(&["task", "retry", &id]).ok();
    world.wait(&id, &["done"]);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert!(text.ends_with("behind-your-back\ny"), "what was pushed was built upon, and judged: {text}");
    assert_eq!(world.moves_of_trunk(), 1);
}

#[test]
fn one_that_breaks_the_tests_gets_three_repairs_with_the_failure_in_its_brief_and_then_stops() {
    let world = lite(r#"developer() { echo "broken $ORCH_ROUND" > "$code"; }"#);
    let id = world.task("Версия");
    let why = world.why_blocked(&id);
    assert!(why.contains("all repairs are spent") && why.contains("check_ci_green"), "{why}");
    let runs = world.runs_of("developer");
    assert_eq!(runs.len(), 4, "one first run and three repairs");
    for (round, run) in runs.iter().enumerate() {
        assert!(run.out.contains(&format!("round={round} ")), "{}", run.out);
        assert_eq!(run.prompt().contains("check_ci_green"), 0 < round, "round {round}:\n{}", run.prompt());
    }
    assert!(world.runs_of("reviewer").is_empty());
    assert_eq!(world.trunk(), world.tip);
}

#[test]
fn a_reviewer_that_changes_code_reviews_and_changes_nothing() {
    let world = lite(
        r#"reviewer() {
            echo 'reviewer was here' >> "$code"; echo new > extra.sh; rm test.sh
            printf -- '---\nverdict: APPROVED\n---\nfine\n' > "$art/12-review.md"
        }"#,
    );
    let id = world.task("Версия");
    world.wait(&id, &["done"]);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert!(!text.contains("reviewer"), "{text}");
    let files = world.forge_git(&["ls-tree", "-r", "--name-only", "trunk"]);
    assert!(files.contains("test.sh") && !files.contains("extra.sh"), "{files}");
    let story = world.story(&id);
    assert!(story.contains("not taken, outside this role's business"), "it is said: {story}");
}

#[test]
fn a_question_waits_for_a_person_and_the_answer_is_in_the_next_brief() {
    let world = lite(
        r#"developer() {
            if grep -q 'Только цифры, пожалуйста' "$ORCH_PROMPT_FILE"; then echo x >> "$code"; return; fi
            printf '{"summary":"stuck","question":"Цифры или слова?","cost_usd":0.25}' > "$ORCH_RESULT_FILE"
        }"#,
    );
    let id = world.task("Версия");
    let task = world.wait(&id, &["needs_input"]);
    assert_eq!(task["cost_usd"], json!(0.25));
    let why = world.orch(&["why", &id]).ok().out;
    assert!(why.contains("Цифры или слова?") && why.contains(&format!("orch answer {id}")), "{why}");
    assert_eq!(world.orch(&["answer", &id, "  "]).code, 2, "an empty answer is none");
    world.orch(&["answer", &id, "Только цифры, пожалуйста"]).ok();
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["round"], 0, "asking costs no round");
    let runs = world.runs_of("developer");
    assert_eq!(runs.len(), 2);
    assert!(runs[1].prompt().contains("Цифры или слова?"), "the question is there with its answer");
}

#[test]
fn only_those_who_may_approve_can_approve() {
    let world = World::up(&Setup { pipeline: "full", ..Setup::default() });
    let id = world.task("Версия");
    world.wait(&id, &["awaiting_approval"]);
    let path = format!("/api/v1/tasks/{id}/approve");
    for stranger in ["local:mallory", "orch", "plane:anna"] {
        let (status, body) = world.http("POST", &path, Some(stranger), "{}").unwrap();
        assert!((400..500).contains(&status), "{stranger}: {status} {body}");
        assert!(body.contains("may not approve"), "{stranger}: {body}");
    }
    let task = world.show(&id);
    assert_eq!(task["phase"], "awaiting_approval");
    assert_eq!(world.evidence(&id)["approvals"], json!([]));
    // Without the token nobody is anybody.
    let token = world.data().join("token");
    let text = fs::read(&token).unwrap();
    fs::write(&token, "0".repeat(64)).unwrap();
    let (status, _) = world.http("POST", &path, Some("local:root"), "{}").unwrap();
    fs::write(&token, text).unwrap();
    assert_eq!(status, 401);
    world.orch(&["approve", &id]).ok();
    world.wait(&id, &["done"]);
}
