//! The talk with a program: what is answered to what it says.

#![allow(clippy::unwrap_used, unreachable_pub)]

use orch_driver::classify::ProgramExit;
use orch_driver::rules::Rules;
use orch_driver::session::{Do, Plan, Talk};
use orch_ports::agent::EndClass;
use serde_json::{Value, json};

fn talk() -> Talk {
    let mut talk = Talk::new(Plan {
        prompt: "the brief".into(),
        rules: Rules {
            tools: ["Bash", "Read", "Write", "AskUserQuestion"].map(Into::into).into(),
            places: vec!["/w".into()],
            worktree: "/w".into(),
            deny: vec!["git push".into()],
        },
        test: Some("make test".into()),
        most_refusals: 3,
    });
    assert_eq!(sent(&talk.begin())[0]["request"]["subtype"], "initialize");
    talk
}

/// A talk in which the brief was sent.
fn working() -> Talk {
    let mut talk = talk();
    let answer =
        json!({"type": "control_response", "response": {"subtype": "success", "request_id": "orch-initialize"}});
    let out = say(&mut talk, &answer);
    assert_eq!(sent(&out)[0]["message"]["content"], "the brief");
    say(&mut talk, &json!({"type": "system", "subtype": "init", "session_id": "s", "claude_code_version": "2.1.332"}));
    talk
}

fn say(talk: &mut Talk, value: &Value) -> Vec<Do> {
    talk.line(value.to_string().as_bytes())
}

fn sent(todo: &[Do]) -> Vec<Value> {
    todo.iter().filter_map(|d| if let Do::Send(value) = d { Some(value.clone()) } else { None }).collect()
}

fn asks(n: u32, tool: &str, input: &Value) -> Value {
    let id = format!("r{n}");
    json!({"type": "control_request", "request_id": id,
           "request": {"subtype": "can_use_tool", "tool_name": tool, "input": input}})
}

fn result(is_error: bool) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": is_error, "result": "done", "total_cost_usd": 0.5})
}

fn good() -> ProgramExit {
    ProgramExit { code: Some(0), ..ProgramExit::default() }
}

#[test]
fn a_permission_is_given_or_refused_by_our_rules_and_the_input_goes_back_unchanged() {
    let mut talk = working();
    let input = json!({"command": "make test", "x": [1, {"y": null}]});
    let yes = sent(&say(&mut talk, &asks(1, "Bash", &input)));
    assert_eq!(yes[0]["response"]["request_id"], "r1");
    assert_eq!(yes[0]["response"]["response"], json!({"behavior": "allow", "updatedInput": input}));
    let no = sent(&say(&mut talk, &asks(2, "Write", &json!({"file_path": "/etc/passwd"}))));
    assert_eq!(no[0]["response"]["response"]["behavior"], "deny");
    let unknown = json!({"type": "control_request", "request_id": "r3", "request": {"subtype": "hook_callback"}});
    assert_eq!(sent(&say(&mut talk, &unknown))[0]["response"]["subtype"], "error");
}

#[test]
fn a_question_for_the_user_is_one_for_a_person_and_ends_the_turn() {
    let mut talk = working();
    let input = json!({"questions": [{"question": "Red or blue?", "options": [
        {"label": "Red", "description": "warm"}, {"label": "Blue"}]}]});
    let out = sent(&say(&mut talk, &asks(1, "AskUserQuestion", &input)));
    assert_eq!(out[0]["response"]["response"]["behavior"], "deny");
    assert_eq!(out[1]["request"]["subtype"], "interrupt");
    let over = say(
        &mut talk,
        &json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
                                      "terminal_reason": "aborted_tools"}),
    );
    assert!(over.contains(&Do::Close), "{over:?}");
    let end = talk.end(&good());
    assert_eq!((end.class, talk.question()), (EndClass::Question, Some("Red or blue?\n- Red: warm\n- Blue")));
}

#[test]
fn a_missing_document_is_asked_for_once_in_the_same_session() {
    let mut talk = working();
    assert!(say(&mut talk, &result(false)).contains(&Do::Look));
    let again = talk.looked(&["docs/12-review.md".into()], false);
    assert!(sent(&again)[0]["message"]["content"].as_str().unwrap().contains("docs/12-review.md"));
    say(&mut talk, &json!({"type": "system", "subtype": "init", "session_id": "s"}));
    assert_eq!(talk.end(&good()).class, EndClass::Crash, "the second message is not over yet");
    assert!(say(&mut talk, &result(false)).contains(&Do::Look));
    assert_eq!(talk.looked(&["docs/12-review.md".into()], false), [Do::Close], "once");
    assert_eq!(talk.end(&good()).class, EndClass::Finished, "what it left is for the gates");
    // A role that says why it stops is not asked.
    let mut talk = working();
    say(&mut talk, &result(false));
    assert_eq!(talk.looked(&["docs/12-review.md".into()], true), [Do::Close]);
}

#[test]
fn a_refused_test_command_is_a_fault_of_the_configuration_at_once() {
    // The program itself refuses it.
    let mut talk = working();
    say(
        &mut talk,
        &json!({"type": "assistant", "message": {"id": "m", "content": [
        {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "cd /w && make  test 2>&1"}}]}}),
    );
    let denied = json!({"type": "system", "subtype": "permission_denied", "tool_name": "Bash", "tool_use_id": "t1",
                        "message": "This command requires approval"});
    assert_eq!(sent(&say(&mut talk, &denied))[0]["request"]["subtype"], "interrupt");
    let end = talk.end(&good());
    assert_eq!(end.class, EndClass::ToolRefused);
    assert!(end.why.contains("make  test") && end.why.contains("requires approval"), "{}", end.why);
    // Or an older version says it with the result only.
    let mut talk = working();
    let mut over = result(false);
    over["permission_denials"] =
        json!([{"tool_name": "Bash", "tool_use_id": "t", "tool_input": {"command": "make test"}}]);
    assert!(say(&mut talk, &over).contains(&Do::Close));
    assert_eq!(talk.end(&good()).class, EndClass::ToolRefused);
}

#[test]
fn a_wish_that_is_refused_again_and_again_ends_the_run_and_the_same_refusal_counts_once() {
    let mut talk = working();
    for n in 1..3 {
        assert_eq!(sent(&say(&mut talk, &asks(n, "Bash", &json!({"command": "git push"})))).len(), 1, "{n}");
        say(&mut talk, &asks(n + 10, "Bash", &json!({"command": format!("git push {n}")})));
    }
    let last = sent(&say(&mut talk, &asks(3, "Bash", &json!({"command": "git push"}))));
    assert_eq!(last[1]["request"]["subtype"], "interrupt");
    let end = talk.end(&good());
    assert!(end.class == EndClass::ToolRefused && end.why.contains("3 times"), "{end:?}");
}

#[test]
fn a_stop_interrupts_and_what_it_cost_is_known() {
    let mut talk = working();
    assert_eq!(sent(&talk.stop())[0]["request"]["subtype"], "interrupt");
    assert_eq!(talk.stop(), []);
    let over = json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
                      "terminal_reason": "aborted_tools", "total_cost_usd": 0.25});
    assert!(say(&mut talk, &over).contains(&Do::Close));
    assert_eq!(talk.end(&good()).class, EndClass::Stopped);
    assert_eq!(talk.usage().micro_usd(), Some(250_000));
    let mut early = talk_that_never_began();
    assert_eq!(early.stop(), [Do::Close]);
}

fn talk_that_never_began() -> Talk {
    talk()
}

#[test]
fn what_was_asked_of_the_model_and_not_settled_has_an_unknown_cost() {
    let mut talk = working();
    assert_eq!(talk.usage().micro_usd(), Some(0), "nothing was asked yet");
    let turn = |id: &str| {
        json!({"type": "assistant", "message": {"id": id, "content": [{"type": "text", "text": "x"}],
                                 "usage": {"input_tokens": 100, "cache_read_input_tokens": 20, "output_tokens": 1}}})
    };
    say(&mut talk, &turn("a"));
    say(&mut talk, &turn("a"));
    assert_eq!((talk.usage().micro_usd(), talk.usage().input_tokens, talk.usage().turns), (None, 120, 1));
    say(&mut talk, &result(false));
    assert_eq!(talk.usage().micro_usd(), Some(500_000));
    talk.looked(&["x".into()], false);
    say(&mut talk, &turn("b"));
    assert_eq!(talk.usage().micro_usd(), None, "a second message that broke off");
}

#[test]
fn a_program_that_does_not_take_requests_is_a_fault_of_the_configuration() {
    let mut talk = talk();
    let answer = json!({"type": "control_response",
                        "response": {"subtype": "error", "request_id": "orch-initialize", "error": "unsupported"}});
    assert_eq!(say(&mut talk, &answer), [Do::Close]);
    assert_eq!(talk.end(&good()).class, EndClass::Configuration);
    let usage = ProgramExit { code: Some(1), stderr: "error: unknown option '--restricted'".into(), ..good() };
    let end = Talk::default().end(&usage);
    assert!(end.class == EndClass::Configuration && end.why.contains("--restricted"), "{end:?}");
}
