//! Webhooks of Gitea and Plane over recorded deliveries. `data/gitea-deliveries.jsonl`: sent by an unmodified Gitea 1.25.4, one
//! of every kind of event it sends; `data/plane-deliveries.jsonl`: by an unmodified Plane Community Edition 1.3.1. Each line has
//! the headers that matter and the exact body. The secrets, names and ids are throw-away ones of those servers.

// A test that cannot go on ends where it is.
#![allow(clippy::unwrap_used)]

use orch_adapters::gitea::hook::GiteaHook;
use orch_adapters::plane::hook::PlaneHook;
use orch_ports::Secret;
use orch_ports::inbound::{Delivery, Signal, Webhook};
use serde::Deserialize;
use std::collections::BTreeMap;

const GITEA: &str = include_str!("data/gitea-deliveries.jsonl");
const PLANE: &str = include_str!("data/plane-deliveries.jsonl");
/// The secrets that the servers were given.
const GITEA_SECRET: &str = "s3cret";
const PLANE_SECRET: &str = "plane_wh_0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
struct Recorded {
    name: String,
    headers: Vec<(String, String)>,
    raw: String,
}

impl Recorded {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
    fn read(&self, hook: &dyn Webhook) -> Delivery {
        hook.read(&|name| self.header(name), self.raw.as_bytes())
    }
    fn is_genuine(&self, hook: &dyn Webhook, body: &[u8]) -> bool {
        hook.is_genuine(&|name| self.header(name), body)
    }
}

fn recorded(text: &str) -> Vec<Recorded> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn secrets(all: &[&str]) -> Vec<Secret> {
    all.iter().map(|s| Secret::new(*s)).collect()
}

/// Deliveries of a vendor, its hook with the secret they were signed with, and one with others.
type Case = (Vec<Recorded>, Box<dyn Webhook>, Box<dyn Webhook>);

fn all() -> [Case; 2] {
    [
        (
            recorded(GITEA),
            Box::new(GiteaHook::new(secrets(&[GITEA_SECRET]))),
            Box::new(GiteaHook::new(secrets(&["another one", "and one more"]))),
        ),
        (
            recorded(PLANE),
            Box::new(PlaneHook::new(secrets(&[PLANE_SECRET]))),
            Box::new(PlaneHook::new(secrets(&["another one", "and one more"]))),
        ),
    ]
}

/// A signal in a few words.
fn words(signal: Signal) -> String {
    match signal {
        Signal::Branch { repository, branch } => format!("{repository} {branch}"),
        Signal::Commit { repository, commit } => format!("{repository} @{}", &commit.as_str()[..8]),
        Signal::Ticket { project, ticket, comment: None } => format!("{project} #{ticket}"),
        Signal::Ticket { project, ticket, comment: Some(comment) } => format!("{project} #{ticket} ({comment})"),
    }
}

/// What the deliveries of each event say, by their type and action; what several say in the same way is said once.
fn signals(text: &str, hook: &dyn Webhook) -> BTreeMap<String, Vec<String>> {
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in recorded(text) {
        let delivery = one.read(hook);
        let key = format!("{} {}", one.name, delivery.event);
        said.entry(key)
            .or_default()
            .push(hook.signals(&delivery).into_iter().map(words).collect::<Vec<_>>().join(", "));
    }
    said
}

#[test]
fn every_recorded_delivery_is_genuine_and_none_with_another_secret() {
    for (deliveries, hook, other) in all() {
        assert!(40 < deliveries.len());
        for one in &deliveries {
            assert!(one.is_genuine(&*hook, one.raw.as_bytes()), "{}", one.name);
            assert!(!one.is_genuine(&*other, one.raw.as_bytes()), "{}", one.name);
        }
    }
}

#[test]
fn while_a_secret_is_replaced_both_are_valid() {
    let (old, new) = (recorded(GITEA).swap_remove(0), GITEA_SECRET);
    for both in [["the next one", new], [new, "the one before"]] {
        assert!(old.is_genuine(&GiteaHook::new(secrets(&both)), old.raw.as_bytes()), "{both:?}");
    }
    assert!(!GiteaHook::new(Vec::new()).has_secret());
    assert!(!old.is_genuine(&GiteaHook::new(Vec::new()), old.raw.as_bytes()));
}

/// Numbers that look random and are the same at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

#[test]
fn ten_thousand_forged_and_tampered_deliveries_are_refused_and_none_breaks_the_reader() {
    let mut dice = Dice(7);
    for (deliveries, hook, _) in all() {
        for n in 0..5_000 {
            let one = &deliveries[n % deliveries.len()];
            let mut body = one.raw.clone().into_bytes();
            match dice.roll(4) {
                // A bit turned over, a piece cut off, a byte put in, two bytes exchanged for another.
                0 => {
                    let at = dice.roll(body.len());
                    body[at] ^= 1 << dice.roll(8);
                }
                1 => body.truncate(dice.roll(body.len())),
                2 => body.insert(dice.roll(body.len()), b' '),
                _ => {
                    let at = dice.roll(body.len() - 1);
                    body[at] = body[at].wrapping_add(1);
                    body[at + 1] = body[at + 1].wrapping_sub(1);
                }
            }
            assert!(!one.is_genuine(&*hook, &body), "{}", one.name);
            // Whoever has the secret may send anything.
            let read = hook.read(&|name| one.header(name), &body);
            for signal in hook.signals(&read) {
                if let Signal::Commit { commit, .. } = signal {
                    assert!([40, 64].contains(&commit.as_str().len()), "{commit}");
                }
            }
        }
        let one = &deliveries[0];
        for signature in ["", "0", &"0".repeat(64), &"f".repeat(64), "sha256=00"] {
            let forged = |name: &str| if name.ends_with("-signature") { Some(signature) } else { one.header(name) };
            assert!(!hook.is_genuine(&forged, one.raw.as_bytes()));
        }
        assert!(!hook.is_genuine(&|_| None, one.raw.as_bytes()), "without a signature");
        let deep = "[".repeat(100_000);
        for odd in ["", "null", "[]", "\"x\"", "{\"repository\":7}", deep.as_str()] {
            let read = hook.read(&|name| one.header(name), odd.as_bytes());
            assert_eq!(hook.signals(&read), [], "{odd:.20}");
        }
    }
}

#[test]
fn gitea_says_where_there_is_news() {
    let said = signals(GITEA, &GiteaHook::default());
    let of = |key: &str| said.get(key).unwrap_or_else(|| panic!("{key} of {:#?}", said.keys())).clone();
    for (key, want) in GITEA_WANT {
        assert_eq!(of(key), *want, "{key}");
    }
    // What nobody here looks at says nothing.
    for (key, all) in &said {
        let event = key.split(' ').next_back().unwrap();
        if ["wiki", "fork", "release", "repository"].contains(&event) {
            assert!(all.iter().all(String::is_empty), "{key}: {all:?}");
        }
    }
}

#[test]
fn plane_says_which_ticket_has_news() {
    let said = signals(PLANE, &PlaneHook::default());
    let project = "plane:52cfbda7-5d4b-456e-a91c-cbf609155c62";
    let ticket = format!("{project} #040ca030-275c-40aa-a111-403efa99a3b4");
    assert_eq!(said["issue-state-web issue"], std::slice::from_ref(&ticket));
    let comment = &said["comment-created-web issue_comment"][0];
    assert!(comment.starts_with(project) && comment.ends_with(')'), "{comment}");
    for (key, all) in &said {
        let of_ticket = key.ends_with(" issue") || key.ends_with(" issue_comment");
        assert_eq!(of_ticket, !all[0].is_empty(), "{key}: {all:?}");
    }
    let changed = recorded(PLANE).into_iter().find(|one| one.name == "issue-state-web").unwrap();
    let delivery = changed.read(&PlaneHook::default());
    assert_eq!((delivery.action.as_deref(), delivery.field.as_deref()), (Some("updated"), Some("state_id")));
    assert_eq!(delivery.actor.as_deref(), Some("a70a697c-a2ae-4047-8ba8-8c6b30011fc9"));
}

/// By the name of the recording and the type of the event.
const GITEA_WANT: &[(&str, &[&str])] = &[
    ("test-delivery push", &["acme/hk main, acme/hk @f835b31a"]),
    ("push-new-branch create", &["acme/hk feat, acme/hk @6cc9226f"]),
    ("push-new-branch push", &["acme/hk feat, acme/hk @6cc9226f"]),
    ("push-tag push", &[""]),
    ("push-tag create", &[""]),
    ("delete-branch delete", &["acme/hk x1"]),
    ("pull-request-opened pull_request", &["acme/hk feat, acme/hk @3ceb40a1"]),
    ("pull-request-synchronized pull_request_sync", &["acme/hk feat, acme/hk @cdef11de"]),
    ("review-approved pull_request_review_approved", &["acme/hk feat, acme/hk @cdef11de"]),
    ("review-comment-with-inline pull_request_review_comment", &["acme/hk feat, acme/hk @cdef11de"]),
    ("pr-comment-created pull_request_comment", &["gitea:acme/hk #1 (533)"]),
    ("status-success status", &["acme/hk @cdef11de"]),
    (
        "pull-request-merged-branch-deleted pull_request",
        &["acme/hk feat, acme/hk main, acme/hk @cdef11de, acme/hk @5213ebfa"],
    ),
    ("pull-request-head-branch-deleted pull_request", &["acme/hk @0690afe0"]),
    ("issue-opened issues", &["gitea:acme/hk #4"]),
    ("issue-opened issue_label", &["gitea:acme/hk #4"]),
    ("issue-comment-edited issue_comment", &["gitea:acme/hk #4 (562)"]),
    ("issue-deleted issues", &["gitea:acme/hk #4"]),
];
