//! A model server for trying real agent programs without a model: it speaks as much of Anthropic's Messages API as Claude
//! Code asks for, plays every role by reading the brief, and can fail on demand. Development only, loopback only.
//!
//! `orch-fake-model --port 0 --play 'CMD' [--develop 'CMD'] [--fail KIND --from N --times M] [--ask ROLE]`
//!
//! `--play` is the shell line by which roles other than the developer do their work, `--develop` the developer's. KIND is an
//! HTTP status, `hang`, `drop` or `limit` (a subscription's usage limit). Requests are counted from 1. With `--ask ROLE` that
//! role asks the user first, until its brief has an answer.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
struct Options {
    port: u16,
    play: String,
    develop: String,
    fail: String,
    from: u64,
    times: u64,
    ask: String,
    slow_s: u64,
}

fn options() -> Result<Options, String> {
    let mut o = Options {
        play: "true".into(),
        develop: "echo changed >> fake-model.txt".into(),
        from: 1,
        times: u64::MAX,
        ..Options::default()
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{word} {value}: {e}"));
        match word.as_str() {
            "--port" => o.port = u16::try_from(number()?).map_err(|e| e.to_string())?,
            "--play" => o.play = value,
            "--develop" => o.develop = value,
            "--fail" => o.fail = value,
            "--from" => o.from = number()?,
            "--times" => o.times = number()?,
            "--ask" => o.ask = value,
            "--slow-s" => o.slow_s = number()?,
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(o)
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "orch-fake-model: {e}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let options = Arc::new(options()?);
    let listener = TcpListener::bind(("127.0.0.1", options.port)).map_err(|e| e.to_string())?;
    let at = listener.local_addr().map_err(|e| e.to_string())?;
    let _ = writeln!(std::io::stdout(), "http://{at}");
    let count = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming().flatten() {
        let (options, count) = (Arc::clone(&options), Arc::clone(&count));
        std::thread::spawn(move || {
            let _ = connection(stream, &options, &count);
        });
    }
    Ok(())
}

/// Requests of one connection, one after the other.
fn connection(stream: TcpStream, options: &Options, count: &AtomicU64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if !first.starts_with("POST /v1/messages") || first.contains("count_tokens") {
            answer(&mut out, 200, "", &json!({"input_tokens": 10}))?;
            continue;
        }
        let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let fails = !options.fail.is_empty() && options.from <= nth && nth - options.from < options.times;
        if fails && !fail(&mut out, &options.fail)? {
            return Ok(());
        }
        if !fails {
            std::thread::sleep(std::time::Duration::from_secs(options.slow_s));
            say(&mut out, &request, &next(&request, options))?;
        }
        let _ = writeln!(std::io::stdout(), "{nth} {}", if fails { &options.fail } else { "answered" });
    }
}

/// False: the connection is over.
fn fail(out: &mut TcpStream, kind: &str) -> std::io::Result<bool> {
    let error = |kind: &str, text: &str| json!({"type": "error", "error": {"type": kind, "message": text}});
    match kind {
        "drop" => return Ok(false),
        "hang" => loop {
            std::thread::sleep(std::time::Duration::from_hours(1));
        },
        "limit" => {
            let resets = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let head = format!(
                "anthropic-ratelimit-unified-status: rejected\r\nanthropic-ratelimit-unified-reset: {}\r\n\
                 anthropic-ratelimit-unified-representative-claim: five_hour\r\n",
                resets + 60
            );
            answer(out, 429, &head, &error("rate_limit_error", "limit reached"))?;
        }
        status => {
            let kind = match status {
                "401" => "authentication_error",
                "402" => "billing_error",
                "429" => "rate_limit_error",
                "529" => "overloaded_error",
                "400" => "invalid_request_error",
                _ => "api_error",
            };
            answer(out, status.parse().unwrap_or(500), "", &error(kind, "the fake model fails on demand"))?;
        }
    }
    Ok(true)
}

fn answer(out: &mut TcpStream, status: u16, head: &str, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nrequest-id: req_fake\r\n{head}content-length: {length}\r\n\r\n{body}"
    )
}

/// What the model does next: a text, and perhaps a tool.
struct Next {
    text: String,
    tool: Option<(&'static str, Value)>,
}

/// Reads the newest brief and counts what was done since.
fn next(request: &Value, options: &Options) -> Next {
    let messages = request["messages"].as_array().cloned().unwrap_or_default();
    let text_of = |message: &Value| match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().filter_map(|b| b["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    };
    let begins = "# You are the ";
    let brief_at = messages.iter().rposition(|m| m["role"] == "user" && text_of(m).contains(begins));
    let Some(brief_at) = brief_at else { return Next { text: "ok".into(), tool: None } };
    let brief = text_of(&messages[brief_at]);
    let after = brief.split(begins).nth(1).unwrap_or_default();
    let role: String = after.split_whitespace().next().unwrap_or_default().to_owned();
    let done = messages[brief_at..].iter().filter(|m| m["role"] == "assistant").count();
    let bash = |line: String| Some(("Bash", json!({"command": line, "description": "work"})));
    if role == options.ask && !brief.contains("## Answers you were given") && done == 0 {
        let question = json!({"questions": [{"question": "Red or blue?", "header": "Colour", "multiSelect": false,
            "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]});
        return Next { text: "I have to ask.".into(), tool: Some(("AskUserQuestion", question)) };
    }
    let test = brief.lines().find_map(|l| l.strip_prefix("Test command: ")).unwrap_or_default().trim_end_matches('.');
    let steps = if role == "developer" {
        vec![
            options.develop.clone(),
            if test.starts_with("none") { "true".into() } else { test.trim_matches('`').into() },
        ]
    } else {
        vec![options.play.clone()]
    };
    match steps.get(done) {
        Some(line) => Next { text: format!("Step {} of the {role}.", done + 1), tool: bash(line.clone()) },
        None => Next { text: format!("Done: {role}."), tool: None },
    }
}

/// The answer as a stream of events, or whole where no stream was asked for.
fn say(out: &mut TcpStream, request: &Value, next: &Next) -> std::io::Result<()> {
    static IDS: AtomicU64 = AtomicU64::new(0);
    let n = IDS.fetch_add(1, Ordering::SeqCst);
    let (id, model) = (format!("msg_fake{n:06}"), request["model"].clone());
    let stop = if next.tool.is_some() { "tool_use" } else { "end_turn" };
    let usage = json!({"input_tokens": 2_000, "output_tokens": 100, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0});
    let tool = next.tool.as_ref().map(|(name, input)| {
        (json!({"type": "tool_use", "id": format!("toolu_fake{n:06}"), "name": name, "input": {}}), input)
    });
    if request["stream"] != true {
        let mut content = vec![json!({"type": "text", "text": next.text})];
        content.extend(tool.map(|(mut block, input)| {
            block["input"] = input.clone();
            block
        }));
        let body = json!({"id": id, "type": "message", "role": "assistant", "model": model, "content": content,
                          "stop_reason": stop, "stop_sequence": null, "usage": usage});
        return answer(out, 200, "", &body);
    }
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant", "model": model,
               "content": [], "stop_reason": null, "stop_sequence": null,
               "usage": {"input_tokens": 2_000, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": next.text}}),
        json!({"type": "content_block_stop", "index": 0}),
    ];
    if let Some((block, input)) = tool {
        events.push(json!({"type": "content_block_start", "index": 1, "content_block": block}));
        events.push(json!({"type": "content_block_delta", "index": 1,
                           "delta": {"type": "input_json_delta", "partial_json": input.to_string()}}));
        events.push(json!({"type": "content_block_stop", "index": 1}));
    }
    events
        .push(json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let mut body = String::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        body.extend(["event: ", kind, "\ndata: ", &event.to_string(), "\n\n"]);
    }
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_fake\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
