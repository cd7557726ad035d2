//! Who is let in.

use super::world::World;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

const NEW: &str = r#"{"project":"DEMO","title":"Add a limit"}"#;

#[tokio::test]
async fn nothing_changes_without_the_token() {
    let world = World::new().await;
    for token in
        ["", "Bearer", "Bearer wrong", "Basic 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"]
    {
        for path in ["/api/v1/tasks", "/api/v1/drain", "/api/v1/tasks/DEMO-1/start", "/api/v1/nothing", "/"] {
            let seen = world.post_with(path, NEW.into(), &[("authorization", token)]).await;
            let (status, code, _) = seen.error();
            assert_eq!((status, code.as_str()), (401, "token"), "{token} {path}");
            assert_eq!(seen.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(world.get("/api/v1/tasks?all=1").await.json(), json!({ "tasks": [], "next": null }));
    assert!(!world.engine.is_draining());
    assert_eq!(world.post("/api/v1/drain", json!({})).await.json(), json!({ "draining": true }));
    assert!(world.engine.is_draining());
    assert_eq!(world.post("/api/v1/resume", json!({})).await.json(), json!({ "draining": false, "paused": [] }));
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let world = World::new().await;
    for origin in ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8500"] {
        let seen = world.post_with("/api/v1/tasks", NEW.into(), &[("origin", origin)]).await;
        let (status, code, _) = seen.error();
        assert_eq!((status, code.as_str()), (403, "origin"), "{origin}");
    }
    let own = world.post_with("/api/v1/tasks", NEW.into(), &[("origin", "http://127.0.0.1:8500")]).await;
    assert_eq!(own.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_name_that_was_bent_to_point_here_reads_nothing() {
    let world = World::new().await;
    for host in ["evil.example", "127.0.0.1.evil.example:8500", ""] {
        let request = Request::get("/api/v1/tasks").header("host", host).body(Body::empty()).unwrap();
        let seen = world.see(request).await;
        let (status, code, _) = seen.error();
        assert_eq!((status, code.as_str()), (403, "host"), "{host}");
    }
    let none = world.see(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(none.status, StatusCode::FORBIDDEN);
    let local = Request::get("/health").header("host", "localhost:9000").body(Body::empty()).unwrap();
    assert_eq!(world.see(local).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_forbids_what_a_page_here_never_needs() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for path in ["/", "/health", "/nothing", "/api/v1/nothing", "/api/v1/tasks/DEMO-9"] {
        answers.push(world.get(path).await);
    }
    answers.push(world.post_with("/api/v1/tasks", NEW.into(), &[("authorization", "")]).await);
    for seen in answers {
        let csp = seen.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(csp.contains(part), "{csp}");
        }
        assert!(!csp.contains("unsafe"));
        assert_eq!(seen.header("x-content-type-options"), "nosniff");
        assert_eq!(seen.header("referrer-policy"), "no-referrer");
        assert_eq!(seen.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_as_such() {
    let world = World::new().await;
    let seen = world.post_with("/api/v1/tasks", "x".repeat(2 * 1024 * 1024 + 1), &[]).await;
    let (status, code, message) = seen.error();
    assert_eq!((status, code.as_str()), (413, "too_large"));
    assert!(message.contains("2 MiB"), "{message}");
}

#[tokio::test]
async fn the_token_is_nowhere_to_be_printed() {
    let world = World::new().await;
    for path in ["/status", "/queue", "/", "/api/v1/projects"] {
        assert!(!world.get(path).await.text().contains(super::world::TOKEN), "{path}");
    }
}
