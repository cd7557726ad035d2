//! What a branch must not bring in: secrets, and changes of what guards the project. Until it is gone, or a person has
//! agreed, main and production stay as they are.

use crate::runs::{Does, Run};
use crate::world::{World, anna};
use orch_core::event::Event;
use orch_core::ids::{GateId, WorkItem};
use orch_core::task::{ApprovalKind, BlockReason, Phase, WaitReason};
use orch_core::verdict::Verdict;
use orch_engine::GateMode;
use orch_ports::Fault;
use orch_ports::security::{Leak, Range, Scanned, SecretScanner};
use orch_security::Security;
use orch_store::Judgement;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A token nobody ever had; whole only while the tests run.
pub fn token() -> String {
    format!("{}{}", "ghp_", "q7Zt2LmX9vRb4KcN8sWd1FhJ6yPg3TaE5uQo")
}

/// Developers who leave what the closure writes; every brief is kept.
pub fn develops(world: &World, mut work: impl FnMut(&Run) + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let briefs = Arc::new(Mutex::new(Vec::new()));
    let kept = briefs.clone();
    world.runs.on("developer", move |run| {
        kept.lock().unwrap().push(run.prompt());
        work(run);
        Does::Exit(0)
    });
    briefs
}

async fn judgements(world: &World, item: &WorkItem) -> Vec<Judgement> {
    let all = world.store.judgements(world.task(item).await.id).await.unwrap();
    all.into_iter().filter(|j| j.gate == GateId::SecurityGate).collect()
}

pub async fn report(world: &World, item: &WorkItem) -> String {
    let all = world.store.artefacts(world.task(item).await.id).await.unwrap();
    let row = all.into_iter().find(|a| a.name == "17-security-report.md").expect("a report");
    String::from_utf8(row.bytes).unwrap()
}

#[tokio::test]
async fn a_planted_secret_goes_back_with_its_place_and_never_reaches_main() {
    let world = World::new().await;
    let briefs = develops(&world, |run| {
        let line = if run.nth == 1 { format!("token = \"{}\"\n", token()) } else { "token = env(\"TOKEN\")\n".into() };
        run.write("src/settings.py", &line);
    });
    world.start();
    let item = world.begin("Add settings").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1);
    let second = briefs.lock().unwrap()[1].clone();
    assert!(second.contains("src/settings.py") && second.contains("github"), "{second}");
    assert!(second.contains("treat it as leaked") && !second.contains(&token()), "{second}");
    let all = judgements(&world, &item).await;
    assert!(matches!(all[0].verdict, Verdict::Fail { .. }), "{all:#?}");
    assert_eq!(world.runs.count("deploy"), 1, "production, once, after the repair");
    let queue = serde_json::to_value(world.engine().queue().await.unwrap()).unwrap();
    assert_eq!(queue["security"]["failed_total"], 1, "{}", queue["security"]);
    // What the branch once held is in no commit that landed, and in nothing orch wrote down.
    let history = crate::world::git(&world.bare(), &["log", "-p", "--all", "main"]);
    assert!(!history.contains(&token()), "{history}");
    let stored = format!("{all:#?} {} {:#?}", report(&world, &item).await, world.told_story(&item).await);
    assert!(!stored.contains(&token()));
    assert!(report(&world, &item).await.contains("security_status: PASS"));
}

#[tokio::test]
async fn after_three_repairs_in_vain_it_is_blocked_and_a_person_is_told_once() {
    let world = World::new().await;
    develops(&world, |run| run.write("a.py", &format!("# try {}\ntoken = \"{}\"\n", run.nth, token())));
    world.start();
    let item = world.begin("Add settings").await;
    let task = world.until_blocked(&item).await;
    let Phase::Blocked { why: BlockReason::RoundsSpent { from, .. }, .. } = &task.phase else { panic!("{task:?}") };
    assert_eq!((from.to_string().as_str(), world.runs.count("developer")), ("check_security_gate", 4));
    world.eventually("a person is told", async || !world.told_people().is_empty()).await;
    let told: Vec<String> = world.told_people().into_iter().filter(|t| t.contains("blocked")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((world.runs.count("deploy"), world.forge_did("merge-done").await), (0, 0), "production is as it was");
}

/// A second scanner that takes every line with the word `strange` for a secret, whichever branch wrote it.
struct Opinion;

#[async_trait::async_trait]
impl SecretScanner for Opinion {
    fn name(&self) -> &'static str {
        "opinion"
    }
    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault> {
        let blob = format!("{}:src/table.c", range.head.as_str());
        let git = std::process::Command::new("git").arg("-C").arg(range.repository).args(["show", &blob]).output();
        let text = String::from_utf8(git.unwrap().stdout).unwrap();
        let strange = (1..).zip(text.lines()).filter(|(_, line)| line.contains("strange"));
        let leak = |(line, _)| Leak {
            rule: "odd".into(),
            description: "an odd value".into(),
            path: "src/table.c".into(),
            line: Some(line),
            last_line: Some(line + 1),
            columns: None,
            commit: Some(range.head.as_str().to_owned()),
        };
        Ok(Scanned::Done { by: "opinion 1".into(), leaks: strange.map(leak).collect() })
    }
}

#[tokio::test]
async fn what_another_scanner_finds_and_main_had_before_is_not_held_against_the_task() {
    let world = World::new().await;
    let world = world.guarded(Security { scanners: vec![Arc::new(Opinion)], ..Security::default() });
    world.outsider_merges("old", "src/table.c", "strange \"4F3A99\"\n  \"77B1\"\n").await;
    let briefs = develops(&world, |run| {
        let new = if run.nth == 1 { "strange \"4F3A98\"\n  \"77B1\"\n" } else { "" };
        run.write("src/table.c", &format!("// moved\n{new}    strange \"4F3A99\"\n\"77B1\"\n"));
    });
    world.start();
    let item = world.begin("Move a table").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1, "only for what the task itself brought");
    let second = briefs.lock().unwrap()[1].clone();
    assert!(second.contains("src/table.c") && second.contains("an odd value"), "{second}");
    let report = report(&world, &item).await;
    let inherited = report.split("## Inherited").nth(1).expect("a section of what was there before");
    assert!(inherited.contains("`src/table.c` line 2") && report.contains("secrets_found: 0\n"), "{report}");
}

/// A scanner that does not answer as it should.
struct Broken(&'static str);

#[async_trait::async_trait]
impl SecretScanner for Broken {
    fn name(&self) -> &'static str {
        "scanner"
    }
    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault> {
        match self.0 {
            "missing" => Ok(Scanned::Missing { why: "not installed".into() }),
            "hangs" => {
                std::future::pending::<()>().await;
                unreachable!()
            }
            _ => Err(Fault::transient(format!("scanner: no end after {} s, killed", range.timeout.as_secs()))),
        }
    }
}

#[tokio::test]
async fn a_missing_scanner_is_recorded_and_the_built_in_scan_decides() {
    let world = World::new().await;
    let world = world.guarded(Security { scanners: vec![Arc::new(Broken("missing"))], ..Security::default() });
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    let report = report(&world, &item).await;
    assert!(report.contains("`scanner` **not complete**: not installed"), "{report}");
    assert!(report.contains("security_status: PASS\nsecrets_found: 0\n") && report.contains("`built-in"), "{report}");
}

/// A scanner that fails wherever the file `DEMO-1.txt` is.
struct Picky;

#[async_trait::async_trait]
impl SecretScanner for Picky {
    fn name(&self) -> &'static str {
        "picky"
    }
    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault> {
        let blob = format!("{}:DEMO-1.txt", range.head.as_str());
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(range.repository).args(["cat-file", "-e", &blob]);
        if git.output().unwrap().status.success() {
            return Err(Fault::permanent("picky: crashed"));
        }
        Ok(Scanned::Done { by: "picky 1".into(), leaks: Vec::new() })
    }
}

#[tokio::test]
async fn a_scan_that_fails_holds_its_own_task_and_stops_no_other() {
    let world = World::new().await;
    let world = world.guarded(Security { scanners: vec![Arc::new(Picky)], ..Security::default() });
    world.start();
    let first = world.begin("First").await;
    world.until(&first, "cannot tell", |t| t.phase_word() == "holding").await;
    let second = world.begin("Second").await;
    assert!(world.until_done(&second).await.landing.merged.is_some());
    // It looks again now and then, and comes to the same.
    world.until(&first, "cannot tell", |t| t.phase_word() == "holding").await;
}

#[tokio::test]
async fn a_scanner_that_fails_or_hangs_never_lets_anything_through_and_costs_no_round() {
    for how in ["fails", "hangs"] {
        let world = World::new().await;
        let scanners: Vec<Arc<dyn SecretScanner>> = vec![Arc::new(Broken(how))];
        let world = world.guarded(Security { scanners, timeout_ms: 300, ..Security::default() });
        world.start();
        let item = world.begin("Add a file").await;
        let task = world.until(&item, "cannot tell", |t| t.phase_word() == "holding").await;
        let Phase::Waiting { why: WaitReason::CannotTell { fault }, .. } = &task.phase else { panic!("{task:?}") };
        assert!(fault.text.contains("secrets cannot be ruled out: scanner: "), "{how}: {}", fault.text);
        assert_eq!((task.spent.rounds, world.runs.count("deploy"), world.forge_did("merge-done").await), (0, 0, 0));
        assert!(report(&world, &item).await.contains("security_status: FAIL"), "{how}");
    }
}

#[tokio::test]
async fn switched_off_or_out_of_scope_it_is_recorded_as_not_checked() {
    for why in ["[security] gate_enabled is false", "[security] gate_repos does not name it"] {
        let world = World::with(|c| {
            c.gates = BTreeMap::from([(GateId::SecurityGate, (GateMode::Off, why.to_owned()))]);
        })
        .await;
        develops(&world, |run| run.write("a.py", &format!("token = \"{}\"\n", token())));
        world.start();
        let item = world.begin("Add a file").await;
        assert_eq!(world.until_done(&item).await.spent.rounds, 0);
        let evidence = world.engine().evidence(&item).await.unwrap().unwrap();
        assert!(evidence.not_checked.iter().any(|n| n.contains("check_security_gate") && n.contains(why)), "{why}");
    }
}

#[tokio::test]
async fn shadowed_it_judges_and_blocks_nobody() {
    let world = World::with(|c| {
        c.gates = BTreeMap::from([(GateId::SecurityGate, (GateMode::Shadow, "shadow".to_owned()))]);
    })
    .await;
    develops(&world, |run| run.write("a.py", &format!("token = \"{}\"\n", token())));
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    let all = judgements(&world, &item).await;
    assert!(matches!(&all[0].verdict, Verdict::Skipped { why } if why.contains("would have said fail")), "{all:#?}");
}

#[tokio::test]
async fn the_branch_cannot_switch_the_gate_off_from_within() {
    let world = World::new().await;
    develops(&world, |run| {
        run.write("a.py", &format!("token = \"{}\"  # gitleaks:allow\n", token()));
        run.write(".gitleaks.toml", "[allowlist]\npaths = ['''.*''']\n");
        run.write(".gitleaksignore", "a.py:github-pat:1\n");
        run.write(".gitattributes", "* -diff\n");
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.until_blocked(&item).await;
    let all = judgements(&world, &item).await;
    let Verdict::Fail { findings } = &all[0].verdict else { panic!("{all:#?}") };
    assert!(findings.iter().any(|f| f.file.as_deref() == Some("a.py")), "{findings:#?}");
    let report = report(&world, &item).await;
    let needs = report.split("## Needs a person").nth(1).expect("what a person has to approve");
    for path in [".gitleaks.toml", ".gitleaksignore", ".gitattributes", "a.py"] {
        assert!(needs.contains(path), "{path}: {report}");
    }
}

#[tokio::test]
async fn the_allowlist_of_main_counts_and_is_listed() {
    let world = World::new().await;
    let rules = "[allowlist]\ndescription = \"fixtures\"\npaths = ['''^fixtures/''']\n";
    world.outsider_merges("rules", ".gitleaks.toml", rules).await;
    develops(&world, |run| run.write("fixtures/a.py", &format!("token = \"{}\"\n", token())));
    world.start();
    let item = world.begin("Add a fixture").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 0);
    let report = report(&world, &item).await;
    assert!(report.split("## Allowed").nth(1).is_some_and(|s| s.contains("fixtures/a.py")), "{report}");
}

#[tokio::test]
async fn a_change_of_what_guards_the_project_waits_for_a_person_and_holds_no_lease() {
    let world = World::new().await;
    world.outsider_merges("tests", "tests/test_sum.py", "def test_sum():\n    assert 1 + 1 == 2\n").await;
    let mark = ["gitleaks", ":allow"].concat();
    world.outsider_merges("mark", "src/keys.py", &format!("a = 1  # {mark}\nb = 2\n")).await;
    let tip = world.main_tip().await;
    develops(&world, |run| {
        run.write(".github/workflows/ci.yml", "on: push\n");
        run.write("tools/rules/settings.json", "{}\n");
        run.write("src/keys.py", &format!("a = 1\nb = 2  # {}\n", ["gitleaks", ":allow"].concat()));
        std::os::unix::fs::symlink("tools/rules", run.cwd.join(".claude")).unwrap();
        run.write("tests/test_sum.py", "import pytest\n\n@pytest.mark.skip\ndef test_sum():\n    assert 1 + 1 == 2\n");
    });
    world.start();
    let item = world.begin("Change CI").await;
    let task = world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    let Phase::Waiting { why: WaitReason::Approval { what, subject, shown }, .. } = task.phase.clone() else {
        panic!("{task:?}")
    };
    assert_eq!(what, ApprovalKind::Protected);
    assert!(shown.iter().any(|s| s.contains(".github/workflows/ci.yml")), "{shown:?}");
    assert!(shown.iter().any(|s| s.contains(".claude: is a link")), "{shown:?}");
    assert!(shown.iter().any(|s| s.contains("src/keys.py:2: asks secret scanners")), "{shown:?}");
    assert!(shown.iter().any(|s| s.contains("tests/test_sum.py") && s.contains("test_sum")), "{shown:?}");
    assert!(world.store.leases().await.unwrap().iter().all(|l| l.holder.is_none()), "nobody else waits for this");
    let why = world.engine().show_item(&item).await.unwrap().unwrap().waiting.unwrap();
    assert!(why.reason.contains("protected changes") && why.reason.contains("ci.yml"), "{why:?}");
    assert_eq!(world.main_tip().await, tip);
    let event = Event::Approved { by: anna(), gate: Some(GateId::SecurityGate), subject: Some(subject), comment: None };
    world.ask(&item, event).await;
    world.until_done(&item).await;
    assert_ne!(world.main_tip().await, tip);
    assert!(report(&world, &item).await.contains("approved by local:anna"));
    assert_eq!(world.says(&item, "approved by").await, 1, "one approval serves all gates");
}

#[tokio::test]
async fn a_person_who_says_no_sends_it_back_with_their_words() {
    let world = World::new().await;
    let briefs = develops(&world, |run| {
        run.write("a.txt", &format!("{}\n", run.nth));
        if run.nth == 1 {
            run.write(".github/workflows/ci.yml", "on: push\n");
        } else {
            std::fs::remove_dir_all(run.cwd.join(".github")).unwrap();
        }
    });
    world.start();
    let item = world.begin("Change CI").await;
    world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    world.ask(&item, Event::Rejected { by: anna(), gate: None, comment: "leave CI alone".into() }).await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1);
    assert!(briefs.lock().unwrap()[1].contains("leave CI alone"));
}

/// A second scanner that takes every `token = ` for a secret, and knows nothing of the operator's allowlist.
struct Tokens;

#[async_trait::async_trait]
impl SecretScanner for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }
    async fn scan(&self, range: &Range<'_>) -> Result<Scanned, Fault> {
        let blob = format!("{}:a.py", range.head.as_str());
        let git = std::process::Command::new("git").arg("-C").arg(range.repository).args(["show", &blob]).output();
        let text = String::from_utf8(git.unwrap().stdout).unwrap();
        let leak = |(at, _): (usize, &str)| Leak {
            rule: "token".into(),
            description: "a token".into(),
            path: "a.py".into(),
            line: Some(1),
            last_line: Some(1),
            columns: Some((u32::try_from(at).unwrap() + 1, u32::try_from(at).unwrap() + 50)),
            commit: Some(range.head.as_str().to_owned()),
        };
        Ok(Scanned::Done { by: "tokens 1".into(), leaks: text.match_indices("token = ").map(leak).collect() })
    }
}

#[tokio::test]
async fn what_is_allowed_on_a_line_allows_nothing_beside_it() {
    let world = World::new().await;
    let rules = format!("[allowlist]\nregexes = [\"{}\"]\n", token());
    let scanners: Vec<Arc<dyn SecretScanner>> = vec![Arc::new(Tokens)];
    let rules = Some(("rules".to_owned(), rules));
    let world = world.guarded(Security { scanners, rules, ..Security::default() });
    let briefs = develops(&world, |run| {
        let allowed = format!("token = \"{}\"", token());
        let more = if run.nth == 1 { "; token = \"not-for-the-built-in-scan\"" } else { "" };
        run.write("a.py", &format!("{allowed}{more}\n"));
    });
    world.start();
    let item = world.begin("Add a token").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 1);
    assert!(briefs.lock().unwrap()[1].contains("a token (commit"), "{}", briefs.lock().unwrap()[1]);
    assert!(report(&world, &item).await.split("## Allowed").nth(1).is_some_and(|s| s.contains("a.py")));
}

#[tokio::test]
async fn a_secret_that_one_line_may_hold_is_not_allowed_on_every_line() {
    let world = World::new().await;
    let rules = "[allowlist]\nregexTarget = \"line\"\nregexes = [\"# an example$\"]\n".to_owned();
    let world = world.guarded(Security { rules: Some(("rules".to_owned(), rules)), ..Security::default() });
    let briefs = develops(&world, |run| {
        let token = token();
        let more = if run.nth == 1 { format!("used = \"{token}\"\n") } else { String::new() };
        run.write("a.py", &format!("shown = \"{token}\"  # an example\n{more}"));
    });
    world.start();
    let item = world.begin("Add a token").await;
    assert_eq!(world.until_done(&item).await.spent.rounds, 1);
    assert!(briefs.lock().unwrap()[1].contains("a.py:2"), "{}", briefs.lock().unwrap()[1]);
}

/// A link that a person once approved does not open a way around every approval after it.
#[tokio::test]
async fn what_a_protected_link_leads_to_is_protected_for_as_long_as_it_leads_there() {
    let world = World::new().await;
    let src = world.path("src");
    std::os::unix::fs::symlink("shared", src.join(".claude")).unwrap();
    std::os::unix::fs::symlink("tools/rules", src.join("shared")).unwrap();
    world.outsider_merges("old", "tools/rules/settings.json", "{}\n").await;
    develops(&world, |run| {
        run.write("tools/rules/settings.json", "{ \"hooks\": 1 }\n");
        run.write("tools/other.txt", "not behind the link\n");
    });
    world.start();
    let item = world.begin("Change a tool").await;
    let task = world.until(&item, "wants approval", |t| t.phase_word() == "awaiting_approval").await;
    let Phase::Waiting { why: WaitReason::Approval { shown, .. }, .. } = task.phase.clone() else { panic!("{task:?}") };
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].starts_with("tools/rules/settings.json: is changed, and the link .claude leads to it"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_file_too_large_to_be_scanned_goes_back_to_the_developer() {
    let world = World::new().await;
    let briefs = develops(&world, |run| {
        let big = run.cwd.join("big.dat");
        run.write("small.txt", &format!("run {}\n", run.nth));
        if run.nth == 1 {
            std::fs::File::create(&big).unwrap().set_len(orch_secrets::MAX_BLOB_BYTES as u64 + 1).unwrap();
        } else if big.exists() {
            std::fs::remove_file(&big).unwrap();
        }
    });
    world.start();
    let item = world.begin("Add data").await;
    let task = world.until_done(&item).await;
    assert_eq!(task.spent.rounds, 1, "a repair, and not a wait");
    let second = briefs.lock().unwrap()[1].clone();
    assert!(second.contains("big.dat") && second.contains("take the file out"), "{second}");
    // It is in no commit that landed either.
    let landed = crate::world::git(&world.bare(), &["log", "--format=", "--name-only", "main"]);
    assert!(!landed.contains("big.dat") && landed.contains("small.txt"), "{landed}");
}
