//! The talk with a program of one run, as a machine without clocks and processes: lines go in, what is to be done comes out.
//! It sends the brief, answers requests for permission by rules, turns a question for the user into one for a person, asks
//! once for documents that are missing, and ends the talk where tools are refused again and again.

use crate::classify::{self, ProgramExit, Seen};
use crate::event::{self, Kind};
use crate::rules::{Answer, Rules, runs};
use crate::stream::{Permission, ResultSeen, Said, ToolUse, parse};
use orch_ports::agent::{AgentEnd, EndClass, Usage};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a talk is about.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The first message.
    pub prompt: String,
    /// What tools may do.
    pub rules: Rules,
    /// The project's test command.
    pub test: Option<String>,
    /// Most refusals of one and the same wish; ten times as many in all.
    pub most_refusals: u32,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Write a line to the program.
    Send(Value),
    /// Look which documents are missing, then say so by [`Talk::looked`].
    Look,
    /// Close the program's input: it ends by itself then.
    Close,
    /// Log an event.
    Log(Kind, String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Until the program has answered the greeting.
    #[default]
    Greeting,
    /// It works on a message.
    Working,
    /// Its turn is over; what it left is looked at.
    Looking,
    /// It is asked to stop.
    Stopping,
    /// Nothing more is said.
    Closed,
}

/// Name of the first request.
const GREETING: &str = "orch-initialize";
/// Name of the request that stops the program.
const INTERRUPT: &str = "orch-interrupt";
/// How many uses of tools are remembered: a refusal names one of the last.
const REMEMBERED: usize = 256;
/// Longest question, characters.
const LONGEST_QUESTION: usize = 4_000;

/// A talk.
#[derive(Debug, Default)]
pub struct Talk {
    plan: Plan,
    state: State,
    seen: Seen,
    uses: VecDeque<ToolUse>,
    refusals: BTreeMap<String, u32>,
    counted: BTreeSet<String>,
    asked_again: bool,
    question: Option<String>,
    /// Why the talk was ended by us.
    refused: Option<(EndClass, String)>,
    /// The newest result of the run, and how many turns it covers.
    settled: Option<(ResultSeen, u64)>,
    stopped: bool,
    turns: BTreeMap<String, u64>,
}

impl Talk {
    /// A talk that has not begun.
    pub fn new(plan: Plan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// Begins it.
    pub fn begin(&mut self) -> Vec<Do> {
        vec![Do::Send(json!({
            "type": "control_request", "request_id": GREETING, "request": {"subtype": "initialize", "hooks": {}}
        }))]
    }

    /// What was printed so far.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
    /// What the person is to be asked.
    pub fn question(&self) -> Option<&str> {
        self.question.as_deref()
    }
    /// Has the program still not answered the greeting?
    pub fn is_greeting(&self) -> bool {
        self.state == State::Greeting
    }
    /// Is nothing more to be said, so that the program is to end?
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }
    /// Is it asked to stop?
    pub fn is_stopping(&self) -> bool {
        self.state == State::Stopping
    }

    /// Takes a line that was too long to be read.
    pub fn too_long(&self, bytes: usize) -> Vec<Do> {
        vec![Do::Log(Kind::Note, format!("a line of {bytes} bytes was left out"))]
    }

    /// Takes a line of the program.
    pub fn line(&mut self, line: &[u8]) -> Vec<Do> {
        let said = parse(line);
        self.seen.take(&said);
        let mut out: Vec<Do> =
            event::of(&said, &self.plan.rules.worktree).into_iter().map(|(kind, text)| Do::Log(kind, text)).collect();
        match &said {
            Said::Response { id, error } if id == GREETING => out.extend(self.greeted(error.as_deref())),
            Said::Assistant(a) => {
                if !a.inner && a.error.is_none() && !a.id.is_empty() {
                    self.turns.insert(a.id.clone(), a.input_tokens);
                }
                for tool in &a.tools {
                    self.uses.push_back(tool.clone());
                }
                while REMEMBERED < self.uses.len() {
                    self.uses.pop_front();
                }
            }
            Said::Permission(wish) => out.extend(self.permission(wish)),
            Said::Request { id, kind } => out.push(Do::Send(json!({
                "type": "control_response",
                "response": {"subtype": "error", "request_id": id, "error": format!("orch does not know `{kind}`")}
            }))),
            Said::Denied { tool, id, message } => {
                let input = self.uses.iter().rev().find(|u| u.id == *id).map(|u| u.input.clone()).unwrap_or_default();
                out.extend(self.refusal(id, tool, &input, message));
            }
            Said::Result(result) => {
                self.settled = Some(((**result).clone(), self.turns.len() as u64));
                for denial in result.denials.clone() {
                    out.extend(self.refusal(&denial.id, &denial.name, &denial.input, "the program refused it"));
                }
                // A refusal may have asked it to stop, but its turn is over already.
                out.retain(|d| !matches!(d, Do::Send(v) if v["request_id"] == INTERRUPT));
                out.extend(self.over(result.is_error));
            }
            _ => {}
        }
        out
    }

    fn greeted(&mut self, error: Option<&str>) -> Vec<Do> {
        if self.state != State::Greeting {
            return Vec::new();
        }
        if let Some(error) = error {
            self.state = State::Closed;
            let why = format!("the program does not take requests on its input: {error}");
            self.refused = Some((EndClass::Configuration, why));
            return vec![Do::Close];
        }
        self.state = State::Working;
        vec![user(&self.plan.prompt)]
    }

    /// A message is over.
    fn over(&mut self, is_error: bool) -> Vec<Do> {
        match self.state {
            State::Working if !is_error && self.question.is_none() && self.refused.is_none() => {
                self.state = State::Looking;
                vec![Do::Look]
            }
            State::Closed => Vec::new(),
            _ => {
                self.state = State::Closed;
                vec![Do::Close]
            }
        }
    }

    /// What the look at the documents came to. `reported`: the role has written into its result file why it stops, so that
    /// nothing more is to come.
    pub fn looked(&mut self, missing: &[String], reported: bool) -> Vec<Do> {
        if self.state != State::Looking {
            return Vec::new();
        }
        if missing.is_empty() || reported || self.asked_again {
            self.state = State::Closed;
            return vec![Do::Close];
        }
        self.asked_again = true;
        self.state = State::Working;
        let list = missing.join("`, `");
        let text = format!(
            "Your turn is over, and `{list}` is not there. The brief names it: write it now, as the brief says. If you cannot, \
             say why in the result file, as the brief says, and stop."
        );
        vec![Do::Log(Kind::Note, format!("asked once for what is missing: {}", missing.join(", "))), user(&text)]
    }

    /// Somebody wants the run to end.
    pub fn stop(&mut self) -> Vec<Do> {
        if self.stopped {
            return Vec::new();
        }
        self.stopped = true;
        self.interrupt()
    }

    fn interrupt(&mut self) -> Vec<Do> {
        match self.state {
            State::Working => {
                self.state = State::Stopping;
                vec![Do::Send(json!({
                    "type": "control_request", "request_id": INTERRUPT, "request": {"subtype": "interrupt"}
                }))]
            }
            State::Stopping | State::Closed => Vec::new(),
            State::Greeting | State::Looking => {
                self.state = State::Closed;
                vec![Do::Close]
            }
        }
    }

    fn permission(&mut self, wish: &Permission) -> Vec<Do> {
        if wish.tool == "AskUserQuestion" {
            if self.question.is_none() {
                self.question = Some(question(&wish.input));
            }
            let message = "A person is asked, and the answer comes later. Stop here.";
            let mut out = vec![deny(&wish.request, message)];
            out.push(Do::Log(Kind::Note, "asks a person, and waits for the answer".into()));
            out.extend(self.interrupt());
            return out;
        }
        match self.plan.rules.answer(&wish.tool, &wish.input) {
            Answer::Allow => vec![Do::Send(json!({
                "type": "control_response",
                "response": {
                    "subtype": "success", "request_id": wish.request,
                    "response": {"behavior": "allow", "updatedInput": wish.input}
                }
            }))],
            Answer::Deny(why) => {
                let mut out = vec![
                    deny(&wish.request, &why),
                    Do::Log(Kind::Refused, format!("{} was refused: {why}", wish.tool)),
                ];
                out.extend(self.refusal(&format!("request {}", wish.request), &wish.tool, &wish.input, &why));
                out
            }
        }
    }

    /// A tool was refused. The test command is one that the role cannot do without; any other wish is one too many when it
    /// is uttered again and again.
    fn refusal(&mut self, id: &str, tool: &str, input: &Value, why: &str) -> Vec<Do> {
        // The same refusal is told live and in the result.
        if !self.counted.insert(id.to_owned()) || self.refused.is_some() {
            return Vec::new();
        }
        let wish = ToolUse { id: String::new(), name: tool.to_owned(), input: input.clone() };
        let shown = event::tool_use(&wish, &self.plan.rules.worktree);
        let command = input.get("command").and_then(Value::as_str).unwrap_or_default();
        let is_test = self.plan.test.as_deref().is_some_and(|test| runs(command, test));
        let times = self.refusals.entry(format!("{tool} {input}")).or_default();
        *times += 1;
        let (times, all) = (*times, self.refusals.values().sum::<u32>());
        let most = self.plan.most_refusals.max(1);
        let reason = if is_test {
            format!("the test command was refused: {shown}: {why}")
        } else if most <= times {
            format!("refused {times} times: {shown}: {why}")
        } else if most.saturating_mul(10) <= all {
            format!("{all} wishes were refused, the last one: {shown}: {why}")
        } else {
            return Vec::new();
        };
        self.refused = Some((EndClass::ToolRefused, reason.clone()));
        let mut out = vec![Do::Log(Kind::Note, format!("stopped: {reason}"))];
        out.extend(self.interrupt());
        out
    }

    /// What was used so far. Output tokens and cost are known from results only: where the model has answered since the
    /// last one, or there is none, what it cost is not known.
    pub fn usage(&self) -> Usage {
        let (result, covered) = self.settled.as_ref().map_or((None, 0), |(result, covered)| (Some(result), *covered));
        let turns = self.turns.len() as u64;
        let seen: u64 = self.turns.values().fold(0, |sum, n| sum.saturating_add(*n));
        let cost = result.and_then(|r| r.cost_usd);
        let unread = "the program ended before it said what it had cost".to_owned();
        let is_known = cost.is_some() && turns <= covered || turns == 0;
        Usage {
            cost_usd: cost.unwrap_or(0.0),
            cost_unread: (!is_known).then_some(unread),
            cost_note: (cost.is_some() && is_known).then(|| "an estimate of the program, at list prices".to_owned()),
            input_tokens: result.map_or(seen, |r| r.input_tokens.max(seen)),
            output_tokens: result.map_or(0, |r| r.output_tokens),
            turns,
            ..Usage::default()
        }
    }

    /// The class of the end, once the program has exited.
    pub fn end(&self, exit: &ProgramExit) -> AgentEnd {
        if let Some(question) = &self.question {
            return AgentEnd::new(EndClass::Question, question.clone());
        }
        if let Some((class, why)) = &self.refused {
            return AgentEnd::new(*class, why.clone());
        }
        if self.stopped && self.seen.result.as_ref().is_none_or(|r| r.is_error) {
            return AgentEnd::new(EndClass::Stopped, "it was asked to stop");
        }
        if self.state == State::Greeting && self.seen.init.is_none() && exit.code == Some(0) {
            return AgentEnd::new(EndClass::Configuration, "it ended before it had answered the first request");
        }
        classify::end(&self.seen, exit)
    }
}

fn user(text: &str) -> Do {
    Do::Send(json!({"type": "user", "message": {"role": "user", "content": text}}))
}

fn deny(request: &str, message: &str) -> Do {
    Do::Send(json!({
        "type": "control_response",
        "response": {
            "subtype": "success", "request_id": request,
            "response": {"behavior": "deny", "message": message, "interrupt": false}
        }
    }))
}

/// Questions of the tool as one text: each with its options.
fn question(input: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let one = |question: &Value| {
        let options = list(question, "options");
        let options = options.iter().map(|option| {
            let (label, more) = (text(option, "label"), text(option, "description"));
            if more.is_empty() { format!("- {label}") } else { format!("- {label}: {more}") }
        });
        std::iter::once(text(question, "question")).chain(options).collect::<Vec<_>>().join("\n")
    };
    let all: Vec<String> = list(input, "questions").iter().map(one).filter(|q| !q.trim().is_empty()).collect();
    let all = if all.is_empty() {
        "It asks a question that cannot be read; look at its log.".into()
    } else {
        all.join("\n\n")
    };
    all.chars().take(LONGEST_QUESTION).collect()
}
