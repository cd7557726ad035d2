//! What passes the proxy, how, and for whom.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;

use common::{ASK, COST, DELTA, KEY, START, STOP, STREAM, TEXT, World};
use orch_ports::Secret;
use orch_proxy::gate::Limits;
use orch_proxy::server::Heard;
use orch_proxy::settings::Settings;

#[tokio::test]
async fn every_piece_arrives_before_the_next_one_is_sent() {
    let mut world = World::new(Limits::default()).await;
    let mut client = world.ask().await;
    let mut call = world.call().await;
    assert!(call.head.starts_with("POST /v1/messages?beta=true "), "{}", call.head);
    assert_eq!(call.body, ASK);
    call.say(STREAM).await;
    client.until("req_1").await;
    for piece in [START, TEXT, DELTA] {
        call.say(piece).await;
        client.until(piece.trim_end()).await;
    }
    assert_eq!(world.totals().cut, 1, "until its end it counts at the most it can cost");
    call.say(STOP).await;
    client.until("message_stop").await;
    // The program has seen the end, so it is written down.
    let totals = world.totals();
    assert_eq!((totals.spent.micro_usd, totals.cut, totals.requests), (COST, 0, 1));
}

#[tokio::test]
async fn the_key_goes_to_the_service_alone_and_the_token_of_the_run_does_not() {
    let mut world = World::new(Limits::default()).await;
    let client = world.ask().await;
    let call = world.call().await;
    assert!(call.head.contains(KEY) && !call.head.contains(world.token.expose()), "{}", call.head);
    assert!(!call.head.to_ascii_lowercase().contains("accept-encoding"), "{}", call.head);
    call.answer().await;
    let got = client.all().await;
    assert!(got.contains("message_stop") && !got.contains("canary"), "{got}");
    let journal = std::fs::read_to_string(world.journal()).unwrap();
    assert!(!journal.contains("canary") && !journal.contains(world.token.expose()), "{journal}");
    let below: Vec<_> = std::fs::read_dir(world.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(below.len(), 2, "a journal and a socket, and no bodies: {below:?}");
}

#[tokio::test]
async fn only_the_models_routes_are_open() {
    let mut world = World::new(Limits::default()).await;
    for path in
        ["/v1/files", "/v1/messages/batches", "/v1/organizations/api_keys", "/v1/messages/../files", "/api/oauth/usage"]
    {
        let got = world.post(path, "{}").await.all().await;
        assert!(got.starts_with("HTTP/1.1 403 ") && got.contains("permission_error"), "{path}: {got}");
    }
    let mut probe = world.connect().await;
    probe.send("HEAD", "/", &[], "").await;
    assert!(probe.all().await.starts_with("HTTP/1.1 200 "));
    let got = world.post("/v1/messages", "no json").await.all().await;
    assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
    assert!(world.calls.try_recv().is_err(), "something went out");
    assert_eq!(world.totals().requests, 0);
}

#[tokio::test]
async fn an_unknown_token_is_refused_and_an_alarm() {
    let world = World::new(Limits::default()).await;
    let own = world.token.expose().to_owned();
    let foreign = "sk-ant-api03-somebody-elses";
    let bearer = format!("Bearer {own}");
    let raised = || world.heard.lock().unwrap().iter().filter(|h| matches!(h, Heard::Alarm(_))).count();
    for (n, headers) in [
        vec![],
        vec![("x-api-key", foreign)],
        vec![("authorization", "Bearer sk-ant-oat01-x")],
        vec![("authorization", bearer.as_str()), ("x-api-key", foreign)],
        vec![("x-api-key", "")],
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = world.connect().await;
        client.send("POST", "/v1/messages", &headers, ASK).await;
        let got = client.all().await;
        assert!(got.starts_with("HTTP/1.1 401 ") && got.contains("authentication_error"), "{got}");
        assert_eq!(raised(), n, "{headers:?}");
    }
    for _ in 0..30 {
        let mut client = world.connect().await;
        client.send("POST", "/v1/messages", &[("x-api-key", foreign)], ASK).await;
        client.all().await;
    }
    assert_eq!(raised(), 20, "the log is not filled with it");
    let alarms = world.totals().alarms;
    assert!(!alarms.is_empty() && alarms.len() < 4, "people read each sentence once: {alarms:?}");
    let heard = world.heard.lock().unwrap();
    assert!(!format!("{heard:?}").contains("somebody-elses"), "{heard:?}");
}

#[tokio::test]
async fn a_subscription_costs_no_dollars_and_keeps_the_betas_of_the_program() {
    let mut world = World::with(&[("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-canary")], Settings::default()).await;
    let mut client = world.connect().await;
    let bearer = format!("Bearer {}", world.token.expose());
    client.send("POST", "/v1/messages", &[("authorization", &bearer), ("anthropic-beta", "one,two")], ASK).await;
    let call = world.call().await;
    assert!(call.head.contains("authorization: Bearer sk-ant-oat01-canary"), "{}", call.head);
    assert!(call.head.contains("anthropic-beta: one,two,oauth-2025-04-20"), "{}", call.head);
    call.answer().await;
    client.until("message_stop").await;
    let totals = world.totals();
    assert_eq!((totals.spent.micro_usd, totals.spent.tokens, totals.cut), (0, 1_500, 0));
}

#[tokio::test]
async fn a_refusal_of_the_service_passes_as_it_is_and_its_time_is_kept() {
    let mut world = World::new(Limits::default()).await;
    let client = world.ask().await;
    let mut call = world.call().await;
    call.say("HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 9\r\n\r\nslow down").await;
    let got = client.all().await;
    assert!(
        got.starts_with("HTTP/1.1 429 ") && got.ends_with("slow down") && got.contains("retry-after: 3600"),
        "{got}"
    );
    let totals = world.totals();
    let (at, until) = totals.wait.unwrap();
    assert_eq!((until.since_ms(at) + 500) / 1_000, 3_600);
    assert_eq!(totals.spent.micro_usd, 0, "a refusal costs nothing");
}

#[tokio::test]
async fn bodies_are_written_down_only_if_they_are_asked_for() {
    let settings = Settings { log_bodies: true, ..Settings::default() };
    let mut world = World::with(&[("ANTHROPIC_API_KEY", KEY)], settings).await;
    let client = world.ask().await;
    world.call().await.answer().await;
    client.all().await;
    let read = |name: &str| std::fs::read_to_string(world.dir.path().join("bodies").join(name)).unwrap();
    assert_eq!((read("0.request").as_str(), read("0.response")), (ASK, [START, TEXT, DELTA, STOP].concat()));
    assert_eq!(format!("{:?}", Secret::new(KEY)), "***");
}

#[tokio::test]
async fn openai_and_bedrock_have_their_own_routes() {
    let mut world = World::with(&[("OPENAI_API_KEY", "sk-canary-openai")], Settings::default()).await;
    let chat = r#"{"model":"gpt-6-sol","stream":true,"messages":[]}"#;
    let client = world.post("/v1/chat/completions", chat).await;
    let mut call = world.call().await;
    assert!(call.body.contains("\"include_usage\":true"), "{}", call.body);
    assert!(call.head.contains("authorization: Bearer sk-canary-openai"), "{}", call.head);
    let usage = r#"data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}"#;
    call.say(&format!("{STREAM}{usage}\n\ndata: [DONE]\n\n")).await;
    drop(call);
    assert!(client.all().await.contains("[DONE]"));
    assert_eq!(world.totals().spent.micro_usd, COST);
    assert!(world.post("/v1/messages", ASK).await.all().await.starts_with("HTTP/1.1 403 "));

    let keys = [("AWS_BEARER_TOKEN_BEDROCK", "canary-aws"), ("AWS_REGION", "eu-central-1")];
    let mut world = World::with(&keys, Settings::default()).await;
    let client = world.post("/model/eu.anthropic.claude-sonnet-5-v1%3A0/invoke", r#"{"max_tokens":9}"#).await;
    let mut call = world.call().await;
    let body = r#"{"usage":{"input_tokens":1000,"output_tokens":500}}"#;
    call.say(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    assert!(client.all().await.ends_with(body));
    assert_eq!(world.totals().spent.micro_usd, COST / 10 * 11, "an endpoint of a region costs 10 % more");
}
