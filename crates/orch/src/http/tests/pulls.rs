//! Changes and pull requests over HTTP and on the page of a task.

use super::world::{Seen, TOKEN, World};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use orch_adapters::git_forge::ServedRepo;
use orch_core::effect::{Effect, Outcome};
use orch_core::ids::{GateId, Sha};
use orch_core::verdict::{Verdict, WaitFor};
use serde_json::{Value, json};
use std::path::Path;

const HOSTILE: &str = "<script>alert(1)</script> \u{202e}live\u{1b}[2J";

fn git(dir: &Path, args: &[&str]) -> String {
    let done = std::process::Command::new("git")
        .args(["-c", "user.name=Eve", "-c", "user.email=eve@example.org"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "@1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "@1700000000 +0000")
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A served repository with `trunk` and a branch `theirs`; their tips.
async fn repository(world: &World) -> (Sha, Sha) {
    let src = world.home.path().join("src");
    std::fs::create_dir(&src).unwrap();
    git(&src, &["init", "-q", "-b", "trunk"]);
    std::fs::write(src.join("app.txt"), "one\ntwo\n").unwrap();
    git(&src, &["add", "."]);
    git(&src, &["commit", "-q", "-m", "first"]);
    let trunk = git(&src, &["rev-parse", "HEAD"]);
    git(&src, &["checkout", "-q", "-b", "theirs"]);
    std::fs::write(src.join("app.txt"), format!("one\n{HOSTILE}\n")).unwrap();
    std::fs::write(src.join("logo.bin"), b"\0\0").unwrap();
    git(&src, &["add", "."]);
    git(&src, &["commit", "-q", "-m", "Change the app"]);
    let theirs = git(&src, &["rev-parse", "HEAD"]);
    git(world.home.path(), &["clone", "-q", "--bare", "src", "served.git"]);
    let served = world.home.path().join("served.git");
    world.forge.add_project(ServedRepo::here("DEMO".into(), served.to_str().unwrap(), "trunk")).await.unwrap();
    (Sha::new(trunk), Sha::new(theirs))
}

/// A task that waits for the approval of its analysis, with this head.
async fn asking(world: &World, head: &Sha, base: &Sha) {
    world.started("First").await;
    while let Some(job) = world.claim().await {
        let outcome = match &job.effect {
            Effect::OpenBranch => Outcome::Opened { head: base.clone(), base: base.clone() },
            Effect::Publish { .. } => Outcome::Published {
                head: head.clone(),
                empty: false,
                discarded: Vec::new(),
                unresolved: Vec::new(),
                refused: vec![],
            },
            Effect::Judge { gate: GateId::AnalysisApproved, .. } => {
                let what = orch_core::task::ApprovalKind::Analysis;
                let why = WaitFor::Approval { what, subject: "3fa9c1d27be04411".into(), shown: Vec::new() };
                world.judge(&job, Verdict::Wait { why, until: None, recheck: None }).await
            }
            Effect::Judge { .. } => world.judge(&job, Verdict::Pass).await,
            Effect::RunAgent { .. } => {
                Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() }
            }
            Effect::EnsurePullRequest => Outcome::PullRequestOpen { number: 7 },
            _ => Outcome::Sent,
        };
        world.settle(&job, outcome).await;
    }
}

async fn get(world: &World, path: &str, authorization: &str) -> Seen {
    let request = Request::get(path).header("host", "127.0.0.1:8500").header("authorization", authorization);
    world.see(request.body(Body::empty()).unwrap()).await
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

/// As a browser sends a name and a password.
fn basic(password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let given = format!("anna:{password}");
    let bits: Vec<usize> =
        given.bytes().flat_map(|byte| (0..8).rev().map(move |bit| usize::from((byte >> bit) & 1))).collect();
    let six = bits.chunks(6).map(|six| six.iter().fold(0, |n, bit| n * 2 + bit) << (6 - six.len()));
    let text: String = six.map(|n| char::from(LETTERS[n])).collect();
    format!("Basic {text}")
}

#[tokio::test]
async fn what_shows_source_code_needs_the_token_although_it_only_reads() {
    let world = World::new().await;
    let (trunk, theirs) = repository(&world).await;
    asking(&world, &theirs, &trunk).await;
    let made = world.post("/api/v1/projects/DEMO/pulls", json!({ "branch": "theirs" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    for path in ["/api/v1/tasks/DEMO-1/diff", "/api/v1/projects/DEMO/pulls/1/diff", "/api/v1/tasks/NO-1/diff"] {
        for none in
            [world.get(path).await, get(&world, path, "Bearer wrong").await, get(&world, path, &basic(TOKEN)).await]
        {
            let (status, code, _) = none.error();
            assert_eq!((status, code.as_str()), (401, "token"), "{path}");
            assert_eq!(none.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(get(&world, "/api/v1/tasks/DEMO-1/diff", &bearer()).await.status, StatusCode::OK);
    assert_eq!(get(&world, "/api/v1/projects/demo/pulls/1/diff", &bearer()).await.status, StatusCode::OK);
    assert_eq!(get(&world, "/api/v1/tasks/NO-1/diff", &bearer()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/api/v1/projects/DEMO/pulls").await.status, StatusCode::OK, "names are no source code");
}

#[tokio::test]
async fn the_change_of_a_task_has_its_files_its_text_and_what_is_missing_of_it() {
    let world = World::new().await;
    let (trunk, theirs) = repository(&world).await;
    world.started("Not begun").await;
    let (status, code, message) = get(&world, "/api/v1/tasks/DEMO-1/diff", &bearer()).await.error();
    assert_eq!((status, code.as_str()), (409, "refused"));
    assert_eq!(message, "DEMO-1 has no branch yet: nothing is changed");
    asking(&world, &theirs, &trunk).await;
    let path = "/api/v1/tasks/DEMO-2/diff";
    let text = "diff --git a/app.txt b/app.txt\nindex 814f4a4..8a2ddb7 100644\n--- a/app.txt\n+++ b/app.txt\n\
                @@ -1,2 +1,2 @@\n one\n-two\n+HOSTILE\ndiff --git a/logo.bin b/logo.bin\nnew file mode 100644\n\
                index 0000000..09f370e\nBinary files /dev/null and b/logo.bin differ\n";
    let mut whole = json!({
        "task": "DEMO-2", "from": trunk, "to": theirs, "merged": false,
        "files": [
            { "path": "app.txt", "how": "modified", "kind": "file", "binary": false, "added": 1, "removed": 1 },
            { "path": "logo.bin", "how": "added", "kind": "file", "binary": true, "added": null, "removed": null },
        ],
        "files_total": 2, "added": 1, "removed": 1,
        "text": text.replace("HOSTILE", HOSTILE),
        "truncated": { "files": false, "text": false, "long_files": 0, "lines": 0, "counts": false },
    });
    let seen = get(&world, path, &bearer()).await.json();
    let ids = |text: &str| text.lines().filter(|l| !l.starts_with("index ")).collect::<Vec<_>>().join("\n");
    assert_eq!(ids(seen["text"].as_str().unwrap()), ids(whole["text"].as_str().unwrap()), "raw, whatever is in it");
    whole["text"] = seen["text"].clone();
    assert_eq!(seen, whole);
    whole["text"] = Value::Null;
    assert_eq!(get(&world, "/api/v1/tasks/DEMO-2/diff?stat=true", &bearer()).await.json(), whole);
}

#[tokio::test]
async fn pull_requests_are_opened_once_listed_and_refused_in_plain_words() {
    let world = World::new().await;
    let (_, theirs) = repository(&world).await;
    let path = "/api/v1/projects/DEMO/pulls";
    let empty = world.get(path).await.json();
    assert_eq!(empty, json!({ "project": "DEMO", "pulls": [], "truncated": false }));
    let without = world.post_with(path, r#"{"branch":"theirs"}"#.into(), &[("authorization", "")]).await;
    assert_eq!(without.error().0, 401);
    let made = world.post(path, json!({ "branch": "theirs", "body": "Why." })).await;
    let url = made.json()["pull"]["url"].clone();
    let pull = json!({
        "number": 1, "title": "Change the app", "branch": "theirs", "head": theirs, "into": "trunk", "state": "open",
        "author": "Eve", "task": null, "url": url,
    });
    assert_eq!(
        (made.status, made.json()),
        (StatusCode::CREATED, json!({ "project": "DEMO", "existed": false, "pull": pull }))
    );
    let again = world.post("/api/v1/projects/demo/pulls", json!({ "branch": "theirs", "title": "Other" })).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::OK, json!({ "project": "DEMO", "existed": true, "pull": pull }))
    );
    assert_eq!(world.get(path).await.json()["pulls"], json!([pull]));
    let shown = get(&world, "/api/v1/projects/DEMO/pulls/1/diff", &bearer()).await.json();
    assert_eq!((&shown["pull"], &shown["files_total"]), (&pull, &json!(2)));
    for (body, status, words) in [
        (json!({ "branch": "trunk" }), 409, "`trunk` is the default branch of DEMO"),
        (json!({ "branch": "feature/DEMO-9-x" }), 409, "has a name that orch keeps"),
        (json!({ "branch": "gone" }), 409, "there is no branch `gone`"),
        (json!({ "branch": " " }), 400, "`branch` is empty"),
        (json!({ "branch": "theirs", "title": "a\nb" }), 400, "`title` must be one line"),
        (json!({ "branch": "theirs", "into": "x" }), 400, "`into`: there is no such field here"),
    ] {
        let (seen, _, message) = world.post(path, body).await.error();
        assert!(seen == status && message.contains(words), "{seen}: {message}");
    }
    assert_eq!(world.get("/api/v1/projects/NO/pulls").await.error().0, 404);
    assert_eq!(get(&world, "/api/v1/projects/DEMO/pulls/99/diff", &bearer()).await.error().0, 404);
    assert_eq!(get(&world, "/api/v1/projects/DEMO/pulls/x/diff", &bearer()).await.error().0, 400);
}

#[tokio::test]
async fn the_page_that_asks_for_an_approval_shows_the_change_and_its_text_to_who_has_the_token() {
    let world = World::new().await;
    let (trunk, theirs) = repository(&world).await;
    asking(&world, &theirs, &trunk).await;
    let harmless = |page: &str| {
        assert!(!page.contains("<script>alert") && !page.contains('\u{202e}') && !page.contains('\u{1b}'), "{page}");
    };
    let page = world.get("/tasks/DEMO-1").await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK);
    for part in ["2 files, +1 −1 lines", "app.txt", "logo.bin", "binary", "orch diff DEMO-1", "/tasks/DEMO-1?diff=1"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("alert(1)"), "no source code without the token");
    let asked = world.get("/tasks/DEMO-1?diff=1").await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert!(asked.header("www-authenticate").starts_with("Basic "), "a browser asks for it");
    assert!(!asked.text().contains("alert(1)"));
    assert_eq!(get(&world, "/tasks/DEMO-1?diff=1", &basic("wrong")).await.status, StatusCode::UNAUTHORIZED);
    for path in ["/tasks/DEMO-1", "/tasks/DEMO-1?diff=1", "/tasks/DEMO-1?fragment=1"] {
        for with in [basic(TOKEN), bearer()] {
            let text = get(&world, path, &with).await.text();
            harmless(&text);
            let line =
                "<span class=\"add\">+&#60;script&#62;alert(1)&#60;/script&#62; \\u{202e}live\\u{1b}[2J\n</span>";
            assert!(text.contains(line) && text.contains("<span class=\"del\">-two\n</span>"), "{text}");
        }
    }
    // What a browser sends along by itself changes nothing.
    let sent = world.post_with("/api/v1/tasks/DEMO-1/approve", "{}".into(), &[("authorization", &basic(TOKEN))]).await;
    assert_eq!(sent.error().0, 401);
    world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    assert!(!world.get("/tasks/DEMO-1").await.text().contains("id=\"change\""), "nothing is asked any more");
}

#[tokio::test]
async fn a_change_that_cannot_be_shown_now_leaves_the_page_as_it_is() {
    let world = World::new().await;
    let sha = Sha::new("1".repeat(40));
    asking(&world, &sha, &sha).await;
    let page = world.get("/tasks/DEMO-1").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("cannot be shown now: ") && page.text().contains("orch approve DEMO-1"));
}
