//! Everything that leaves over HTTP, whoever wrote it: no key that orch knows, nothing that controls what shows it.

use super::world::World;
use axum::http::StatusCode;
use orch_core::plain::is_hostile;
use orch_ports::Secret;
use serde_json::json;

const KEY: &str = "sk-canary/http+4711/ZmZmZm\"&<>AbCdEf09";
/// What a terminal, a page or a reader would obey: CSI, OSC 8, OSC 52, C1, turned text, an overwriting line.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]8;;http://evil.example\u{1b}\\\u{1b}]52;c;aGk=\u{7}\u{9b}8m\u{9d}0;t\u{9c}\u{202e}\u{2066}\r\u{e0041}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;")
}

fn forms() -> Vec<String> {
    let percent = KEY.bytes().fold(String::new(), |all, b| all + &format!("%{b:02X}"));
    let hex = KEY.bytes().fold(String::new(), |all, b| all + &format!("{b:02x}"));
    // base64 of the key alone, and of `user:key`.
    let base64 = |text: &str| {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for three in text.as_bytes().chunks(3) {
            let n = three.iter().chain([0; 3].iter()).take(3).fold(0_u32, |n, b| n << 8 | u32::from(*b));
            for i in 0..=three.len() {
                out.push(char::from(ALPHABET[(n >> (18 - 6 * i) & 63) as usize]));
            }
        }
        out
    };
    let (head, tail) = KEY.split_at(17);
    vec![KEY.into(), percent, hex, base64(KEY), base64(&format!("user:{KEY}")), format!("{head}\n{tail}")]
}

/// Longest piece of a key that may be seen: of base64 a few characters belong to what stands around it.
fn leaks(text: &str) -> Option<String> {
    forms().into_iter().find(|form| {
        let flat: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let form: String = form.chars().filter(|c| !c.is_whitespace()).collect();
        (0..form.len().saturating_sub(14)).any(|at| flat.contains(&form[at..at + 14]))
    })
}

#[tokio::test]
async fn nothing_that_is_asked_for_over_http_shows_a_key_or_controls_its_reader() {
    let _known = Secret::new(KEY);
    let world = World::new().await;
    let evil = format!("{} {HOSTILE}", forms().join(" and "));
    // Whatever a handler makes of it, in every kind of answer there is.
    let app = axum::Router::new()
        .route(
            "/json",
            axum::routing::get({
                let text = evil.clone();
                async move || axum::Json(json!({ "text": text, &text: [text] }))
            }),
        )
        .route(
            "/page",
            axum::routing::get({
                let text = evil.clone();
                async move || axum::response::Html(format!("<p>{}</p>", escaped(&text)))
            }),
        )
        .route(
            "/text",
            axum::routing::get({
                let text = evil.clone();
                async move || text
            }),
        )
        .route(
            "/refused",
            axum::routing::get({
                let text = evil.clone();
                async move || super::super::Problem::bad(text)
            }),
        )
        .route(
            "/broken",
            axum::routing::get({
                let text = evil.clone();
                async move || -> String { panic!("{text}") }
            }),
        )
        .route(
            "/events",
            axum::routing::get({
                let text = evil.clone();
                async move || {
                    let one = axum::response::sse::Event::default().data(json!({ "text": text }).to_string());
                    axum::response::sse::Sse::new(futures::stream::iter([Ok::<_, std::convert::Infallible>(one)]))
                }
            }),
        );
    let app = super::super::around(app, world.state.clone());
    for path in ["/json", "/page", "/text", "/refused", "/broken", "/events"] {
        let seen = world.see_of(&app, World::asked(path)).await;
        let text = seen.text();
        assert_eq!(leaks(&text), None, "{path}: {text}");
        assert!(!text.chars().any(|c| is_hostile(c) && c != '\r'), "{path}: {text:?}");
        if path != "/broken" {
            assert!(text.contains("***"), "{path}: {text}");
        }
        match path {
            "/json" | "/refused" | "/broken" => drop(seen.json()),
            "/events" => {
                let data = text.strip_prefix("data: ").unwrap().trim();
                serde_json::from_str::<serde_json::Value>(data).unwrap();
            }
            _ => {}
        }
        assert!(seen.headers.contains_key("content-security-policy"), "{path}");
    }
}

#[tokio::test]
async fn a_ticket_with_a_key_and_control_characters_is_shown_by_no_route() {
    let _known = Secret::new(KEY);
    let world = World::new().await;
    let body = format!("{} {HOSTILE}", forms().join(" and "));
    let title = format!("Use {KEY} \u{202e}now");
    let made =
        world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": title, "body": body, "start": true })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    world.post("/api/v1/tasks/DEMO-1/comment", json!({ "text": body })).await;
    for route in readable_routes() {
        let path = route.replace("{id}", "DEMO-1").replace("{key}", "DEMO").replace("{n}", "1");
        let text = world.get(&path).await.text();
        assert_eq!(leaks(&text), None, "{path}: {text}");
        assert!(!text.chars().any(is_hostile), "{path}: {text:?}");
    }
}

/// Every route that is read and ends, as the sources declare them.
fn readable_routes() -> Vec<String> {
    let source = concat!(include_str!("../mod.rs"), include_str!("../../web/mod.rs"));
    let lines = source.lines().filter(|line| line.contains(".route(\"") && line.contains("get("));
    let routes: Vec<&str> = lines.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(20 < routes.len(), "{routes:?}");
    let answers = routes.into_iter().filter(|route| !route.ends_with("/events"));
    // What is not nested is not found below, and says so as any refusal does.
    answers.flat_map(|route| [route.to_owned(), format!("/api/v1{route}")]).collect()
}
