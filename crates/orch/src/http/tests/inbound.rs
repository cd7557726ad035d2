//! Webhooks over HTTP: what is answered to whom, and what is kept.

use super::world::World;
use axum::body::Body;
use axum::http::{Method, Request};
use hmac::{Hmac, KeyInit as _, Mac as _};
use orch_adapters::gitea::hook::GiteaHook;
use orch_adapters::plane::hook::PlaneHook;
use orch_ports::Secret;
use orch_ports::inbound::Webhook;
use sha2::Sha256;
use std::sync::Arc;

const OLD: &str = "the-old-secret-of-this-test";
const NEW: &str = "the-new-secret-of-this-test";

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize().into_bytes();
    mac.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn delivery(body: &str, signature: &str, name: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("/webhook/gitea")
        // A server of another name, without any token.
        .header("host", "orch.example.org")
        .header("x-gitea-event", "push")
        .header("x-gitea-delivery", name)
        .header("x-gitea-signature", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn world(secrets: &[&str]) -> World {
    let world = World::new().await;
    let secrets: Vec<Secret> = secrets.iter().map(|s| Secret::new(*s)).collect();
    let hooks: [Arc<dyn Webhook>; 2] = [Arc::new(GiteaHook::new(secrets)), Arc::new(PlaneHook::default())];
    world.engine.set_webhooks(hooks.into());
    world
}

#[tokio::test]
async fn a_signed_delivery_is_kept_once_and_any_other_is_turned_away_and_counted() {
    let world = world(&[OLD, NEW]).await;
    let body = r#"{"ref":"refs/heads/main","repository":{"full_name":"acme/shop"}}"#;
    let (good, other) = (sign(NEW, body.as_bytes()), format!("{body} "));
    for (body, signature, name, status) in [
        (body, good.as_str(), "n1", 202),
        (body, good.as_str(), "n1", 200),
        (body, good.as_str(), "n2", 200),
        (&other, &sign(OLD, other.as_bytes()), "n3", 202),
        (&other, &good, "n4", 401),
        (body, "", "n5", 401),
        (body, &sign("", body.as_bytes()), "n6", 401),
    ] {
        let seen = world.see(delivery(body, signature, name)).await;
        assert_eq!(seen.status.as_u16(), status, "{name}: {}", seen.text());
    }
    let long = "x".repeat(1024 * 1024 + 1);
    assert_eq!(world.see(delivery(&long, &sign(NEW, long.as_bytes()), "n7")).await.error().0, 413);
    let status = world.get("/status").await.json();
    let gitea = &status["inbound"][0];
    for (key, n) in
        [("received", 4), ("duplicate", 2), ("refused", 3), ("too_large", 1), ("unresolved", 2), ("not_kept", 0)]
    {
        assert_eq!(gitea[key], n, "{key}: {gitea}");
    }
    assert_eq!(world.get("/queue").await.json()["inbound"][0], *gitea);
    let metrics = world.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "orch_inbound_received_total{source=\"gitea\"} 4\n",
        "orch_inbound_refused_total{source=\"gitea\"} 3\n",
        "orch_inbound_unresolved{source=\"gitea\"} 2\n",
        "orch_inbound_received_total{source=\"plane\"} 0\n",
        "orch_tracker_poll_interval_seconds{project=\"DEMO\"} 1\n",
    ] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }
    assert_eq!(status["polls"]["DEMO"]["every_ms"], 1_000);
}

#[tokio::test]
async fn without_a_secret_nothing_is_taken_in_and_the_answer_names_the_key() {
    let world = world(&[]).await;
    for (path, key) in [("/webhook/gitea", "[gitea] webhook_secret"), ("/webhook/plane", "[plane] webhook_secret")] {
        let request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
        let seen = world.see(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(seen.error().0, 404);
        assert!(seen.text().contains(key), "{}", seen.text());
    }
    assert_eq!(world.get("/status").await.json()["inbound"][0]["not_set_up"], 1);
    assert_eq!(world.get("/webhook/gitea").await.status.as_u16(), 405);
    // The other addresses of this server are as they were for whoever comes by another name.
    let request = Request::builder().method(Method::POST).uri("/webhook/gitea/").header("host", "orch.example.org");
    assert_eq!(world.see(request.body(Body::empty()).unwrap()).await.error().1, "host");
}
