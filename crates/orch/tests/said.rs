//! What agents say of their work as a whole, with the real binary: a word survives a `kill -9`, is shown by every command a person
//! would ask, and ends as the documentation says.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::json;
use std::fs;

/// Says what the test has written down for the role, if it has.
const SAYS: &str = r#"
says() { if [ -e "$here/$1.json" ]; then cp "$here/$1.json" "$ORCH_RESULT_FILE"; return 0; fi; return 1; }
developer() {
    if [ -e "$here/slow" ]; then echo ready; wait_for go; fi
    if says developer; then return; fi
    printf 'line %s\n' "$ORCH_ROUND" >> "$code"
}
"#;

fn say(world: &World, role: &str, json: &str) {
    fs::write(world.repo.join(format!("{role}.json")), json).unwrap();
}

#[test]
fn unable_survives_a_kill_and_waits_until_a_person_lets_it_try_again() {
    let mut world = World::up(&Setup { agent: SAYS.into(), ..Setup::default() });
    say(&world, "developer", r#"{"unable": "no compiler: \u001b[31mcc\u001b[0m not found"}"#);
    world.allow("slow");
    let id = world.task("Версия");
    world.run_said("developer", 1, "ready");
    world.kill();
    world.allow("go");
    world.start();
    let task = world.wait(&id, &["needs_input"]);
    assert_eq!(task["round"], 0);
    let why = world.orch(&["why", &id]);
    for needed in
        ["the developer is unable to do its work: no compiler: cc not found", "orch task retry", "orch task cancel"]
    {
        assert!(why.out.contains(needed), "{}", why.out);
    }
    assert!(!why.out.contains('\u{1b}'));
    let refused = world.orch(&["answer", &id, "try again"]);
    assert!(refused.code != 0 && format!("{}{}", refused.out, refused.err).contains("orch task retry"), "{refused:?}");
    assert_eq!(world.runs_of("developer").len(), 1, "nothing loops");
    fs::remove_file(world.repo.join("developer.json")).unwrap();
    world.orch(&["task", "retry", &id]).ok();
    world.wait(&id, &["done"]);
    assert_eq!((world.runs_of("developer").len(), world.moves_of_trunk()), (2, 1));
}

#[test]
fn nothing_to_change_ends_as_such_everywhere_and_a_person_confirms_it_where_asked() {
    for asks in [false, true] {
        let mut world = World::new(&Setup { agent: SAYS.into(), ..Setup::default() });
        if asks {
            world.edit_config("[[project]]\n", "[[project]]\nno_change_approval = true\n");
        }
        world.start();
        say(&world, "developer", r#"{"no_change": "the version is shown already"}"#);
        let id = world.task("Версия");
        if asks {
            world.wait(&id, &["awaiting_approval"]);
            world.kill();
            world.start();
            let why = world.orch(&["why", &id]).out;
            assert!(why.contains("nothing has to be changed") && why.contains("the version is shown already"), "{why}");
            world.orch(&["approve", &id]).ok();
        }
        let task = world.wait(&id, &["done"]);
        assert_eq!((&task["outcome"], &task["merge_commit"]), (&json!("nothing_to_change"), &json!(null)), "{task:#}");
        let why = world.orch(&["why", &id]).ok().out;
        assert!(why.contains("done, nothing to change: the version is shown already"), "{why}");
        assert!(world.orch(&["task", "show", &id]).ok().out.contains("nothing_to_change"));
        assert!(world.runs_of("reviewer")[0].prompt().contains("The developer declares: nothing has to be changed"));
        assert_eq!((world.moves_of_trunk(), world.trunk()), (0, world.tip.clone()));
        assert!(world.orch(&["evidence", &id]).ok().out.contains("check_reviewer_verdict"));
    }
}

#[test]
fn a_full_pipeline_is_returned_to_its_analysis_twice_and_then_a_person_decides() {
    let world = World::up(&Setup { agent: SAYS.into(), pipeline: "full", ..Setup::default() });
    say(&world, "developer", r#"{"return_to": {"stage": "analysis", "reason": "TC-02 contradicts TC-01"}}"#);
    let id = world.task("Версия");
    for round in 1..=3 {
        world.until("it is analysed", || (world.runs_of("analyst").len() == round).then_some(()));
        world.wait(&id, &["awaiting_approval"]);
        world.orch(&["approve", &id]).ok();
        world.until("it is returned", || (world.runs_of("developer").len() == round).then_some(()));
    }
    let why = world.why_blocked(&id);
    assert!(why.contains("found wrong 3 times") && why.contains("developer: TC-02 contradicts TC-01"), "{why}");
    assert!(world.runs_of("analyst")[1].prompt().contains("the developer returned the task to its analysis: TC-02"));
    fs::remove_file(world.repo.join("developer.json")).unwrap();
    world.orch(&["task", "retry", &id]).ok();
    world.until("it is analysed again", || (world.runs_of("analyst").len() == 4).then_some(()));
}
