//! What a run may use, what is counted of what broke off, and what holds it still.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;

use common::{ASK, COST, DELTA, START, STOP, STREAM, TEXT, World};
use orch_proxy::gate::Limits;
use orch_proxy::pause::{LOOK, Pause};
use std::time::Duration;

fn usd(micro_usd: u64) -> Limits {
    Limits { micro_usd: Some(micro_usd), ..Limits::default() }
}
/// What the whole body of [`ASK`] and 2,000 tokens of output can cost at most.
fn most() -> u64 {
    ASK.len() as u64 * 4 + 20_000
}

#[tokio::test]
async fn the_response_that_passes_the_cap_is_the_last_one() {
    let mut world = World::new(usd(COST + 1)).await;
    for _ in 0..2 {
        let client = world.ask().await;
        world.call().await.answer().await;
        assert!(client.all().await.contains("message_stop"));
    }
    let got = world.ask().await.all().await;
    assert!(got.starts_with("HTTP/1.1 402 ") && got.contains(r#""type":"billing_error""#), "{got}");
    assert!(got.contains("has used 0.014000 USD of the 0.007001 USD"), "{got}");
    assert!(world.calls.try_recv().is_err(), "it went out all the same");
    let totals = world.totals();
    assert_eq!((totals.requests, totals.spent.micro_usd), (2, 2 * COST));
    assert!(totals.refused.unwrap().contains("reserved for it"));
}

#[tokio::test]
async fn eight_requests_at_once_pass_the_cap_by_one_response_at_most() {
    let mut world = World::new(usd(COST)).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(world.ask().await);
    }
    // They go out one after the other, because two of them may not fit.
    world.call().await.answer().await;
    let (mut answered, mut cut) = (0, 0);
    for client in clients {
        let got = client.all().await;
        answered += u64::from(got.contains("message_stop"));
        cut += u64::from(got.starts_with("HTTP/1.1 402 "));
    }
    assert_eq!((answered, cut), (1, 7));
    assert_eq!(world.totals().spent.micro_usd, COST);
}

#[tokio::test]
async fn a_response_that_breaks_off_counts_its_input_and_max_tokens() {
    // With max_tokens 2000, of which each costs 10 millionths.
    for (said, micro_usd) in [
        (vec![], most()),
        (vec![STREAM], most()),
        (vec![STREAM, &START[..60]], most()),
        (vec![STREAM, START], 2_000 + 20_000),
        (vec![STREAM, START, TEXT, DELTA], 2_000 + 20_000),
        (vec![STREAM, START, TEXT, DELTA, &STOP[..20]], 2_000 + 20_000),
        (vec![STREAM, START, TEXT, DELTA, STOP], COST),
    ] {
        let mut world = World::new(Limits::default()).await;
        let client = world.ask().await;
        let mut call = world.call().await;
        for text in &said {
            call.say(text).await;
        }
        drop(call);
        client.all().await;
        let whole = micro_usd == COST;
        let totals = world.until(|t| t.requests == 1 && (t.cut == 0) == whole).await;
        assert_eq!(totals.spent.micro_usd, micro_usd, "{said:?}");
    }
}

#[tokio::test]
async fn a_program_that_goes_away_leaves_its_response_counted_and_the_next_request_free() {
    let mut world = World::new(usd(1_000_000)).await;
    let mut client = world.ask().await;
    let mut call = world.call().await;
    call.say(&[STREAM, START].concat()).await;
    client.until("message_start").await;
    drop(client);
    // The service is told by its connection; it may send on for a while.
    let journal = world.journal();
    let gone = async {
        while !std::fs::read_to_string(&journal).unwrap().contains("went away") {
            call.say(TEXT).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), gone).await;
    let totals = world.totals();
    assert_eq!((totals.cut, totals.spent.micro_usd), (1, 22_000), "input as it was said, and max_tokens");
    let client = world.ask().await;
    world.call().await.answer().await;
    assert!(client.all().await.contains("message_stop"));
}

#[tokio::test]
async fn a_service_that_is_not_there_costs_nothing() {
    let world = World::new(usd(1_000_000)).await;
    let journal = world.journal();
    let dir = tempfile::tempdir().unwrap();
    let settings = orch_proxy::settings::Settings::default();
    let place = orch_proxy::settings::Place::in_run(dir.path());
    // A port that is taken and where nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = taken.local_addr().unwrap().port();
    let base = format!("http://127.0.0.1:{port}");
    let start = orch_proxy::server::Start {
        dir: dir.path(),
        settings: &settings,
        credential: orch_proxy::credential::Credential::of(&std::collections::BTreeMap::new(), Some(&base)).unwrap(),
        token: world.token.clone(),
        place: &place,
        way: orch_proxy::server::Way::default(),
    };
    let proxy = orch_proxy::server::Proxy::start(start, |_| {}).await.unwrap();
    let away = World { dir, proxy, ..world };
    let got = away.ask().await.all().await;
    assert!(got.starts_with("HTTP/1.1 502 ") && got.contains("api_error"), "{got}");
    let totals = away.totals();
    assert_eq!((totals.requests, totals.cut, totals.spent.micro_usd), (1, 0, 0));
    assert_eq!(std::fs::read_to_string(journal).unwrap().lines().count(), 1, "the other run's says that it began");
}

#[tokio::test]
async fn while_paused_no_request_goes_out_and_then_it_does() {
    let mut world = World::new(Limits::default()).await;
    let flag = world.dir.path().join("pause");
    std::fs::write(&flag, "").unwrap();
    let client = world.ask().await;
    let none = tokio::time::timeout(LOOK * 3, world.calls.recv()).await;
    assert!(none.is_err(), "a request went out");
    assert_eq!(world.totals().requests, 0);
    std::fs::remove_file(&flag).unwrap();
    world.call().await.answer().await;
    assert!(client.all().await.contains("message_stop"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_as_long_as_its_file_is_there_and_ends_within_a_look() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("run"), dir.path().join("everything"));
    std::fs::write(&other, "").unwrap();
    let pause = Pause::new(vec![one, other.clone()]);
    assert!(pause.is_on());
    assert!(tokio::time::timeout(Duration::from_hours(1), pause.is_over()).await.is_err());
    std::fs::remove_file(&other).unwrap();
    let begun = tokio::time::Instant::now();
    pause.is_over().await;
    assert!(begun.elapsed() <= LOOK && !pause.is_on());
    assert!(LOOK < Duration::from_secs(1));
}
