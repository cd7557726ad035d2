//! A repository that is not the sample, with everything real ones have (a default branch of its own name, names that are
//! not ASCII and hold spaces, a merge, attributes), goes to done. What is true is read from the forge's bare repository.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{CODE, CODE_TEXT, DECOY, Setup, World};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// What the project's commands and agents have in their environment; the agent program has a `MINE` of its own.
const ENVIRONMENT: &str = "\n[project.commands.env]\nTOOLCHAIN = \"here\"\nMINE = \"no\"\n";

/// The names of an agent's whole environment: the contract, what the configuration adds, and the supervisor's marker.
const CONTRACT: [&str; 21] = [
    "HOME",
    "LANG",
    "MINE",
    "ORCH_ARTEFACT_DIR",
    "ORCH_ATTEMPT",
    "ORCH_BASE",
    "ORCH_BRANCH",
    "ORCH_OUT",
    "ORCH_PROJECT",
    "ORCH_PROMPT_FILE",
    "ORCH_RESULT_FILE",
    "ORCH_ROLE",
    "ORCH_ROUND",
    "ORCH_RUN_ID",
    "ORCH_RUN_MARKER",
    "ORCH_STAGE",
    "ORCH_WORK_ITEM",
    "PATH",
    "TERM",
    "TMPDIR",
    "TOOLCHAIN",
];

#[test]
fn a_foreign_repository_goes_through_the_full_pipeline_with_an_approval() {
    let world = World::up(&Setup { pipeline: "full", project: ENVIRONMENT.into(), ..Setup::default() });
    assert_eq!(world.init["default_branch"], "trunk");
    assert_eq!(world.init["test"], "sh test.sh");

    let id = world.task("Показать версию");
    assert_eq!(id, format!("{}-1", world.key));
    world.wait(&id, &["awaiting_approval"]);
    let why = world.orch(&["why", &id]).ok().out;
    assert!(why.contains("approve") && why.contains(&format!("orch approve {id}")), "{why}");
    assert_eq!(world.trunk(), world.tip, "nothing is merged before the approval");
    world.orch(&["approve", &id, "--comment", "так и есть"]).ok();
    let task = world.wait(&id, &["done"]);
    assert_eq!(task["outcome"], "not_watched", "nothing is deployed, so nothing was watched: {task:#}");
    assert_eq!(task["round"], 0);
    assert!(task["waiting"].is_null());

    the_bare_repository_says_it_is_merged_once(&world, &id, &task);
    let papers = [
        "00-business-request.md",
        "01-brd.md",
        "02-trz.md",
        "03-acceptance-criteria.md",
        "04-test-plan.yaml",
        "06-adr/ADR-001-one-line.md",
        "12-review.md",
        "13-test-report.md",
    ];
    let listed = world.forge_git(&["ls-tree", "-r", "--name-only", "trunk", &format!("docs/work-items/{id}/")]);
    for paper in papers {
        assert!(listed.contains(&format!("docs/work-items/{id}/{paper}")), "{paper} is not committed:\n{listed}");
    }
    let log = world.forge_git(&["log", "--format=%an: %s", &format!("{}..trunk", world.tip)]);
    assert_eq!(log, "orch: Показать версию", "one commit, with the title as its subject");

    let evidence = world.evidence(&id);
    let text = evidence.to_string();
    for gate in [
        "check_analysis_complete",
        "check_analysis_approved",
        "check_architecture_done",
        "check_ci_green",
        "check_tests_local",
        "check_reviewer_verdict",
        "check_tests_passed",
        "check_branch_mergeable",
    ] {
        assert!(text.contains(gate), "{gate} is not in the evidence");
    }
    let unchecked = evidence["not_checked"].to_string();
    assert!(unchecked.contains("nothing to deploy"), "what was not checked is said: {unchecked}");
    agents_saw_nothing_but_the_contract(&world, 5);
    // The first run is that of the tests on the default branch as it was.
    assert!(world.orch(&["logs", &id, "--run", "2"]).ok().out.contains("start analyst analysis"));
    let queue = world.orch(&["queue", "--json"]).ok().json();
    for block in ["counts", "max_concurrency", "resilience", "reconcile", "reaper", "post_deploy", "security", "recent"]
    {
        assert!(!queue[block].is_null(), "{block}: {queue:#}");
    }
    the_users_clone_is_as_it_was(&world);
}

#[test]
fn a_foreign_repository_goes_through_lite_without_any_deploy_hook() {
    let world = World::up(&Setup { project: ENVIRONMENT.into(), ..Setup::default() });
    let id = world.task("Ещё одна правка: «кавычки», 100% & <b>");
    let task = world.wait(&id, &["done"]);
    the_bare_repository_says_it_is_merged_once(&world, &id, &task);
    let unchecked = world.evidence(&id)["not_checked"].to_string();
    assert!(unchecked.contains("production: nothing to deploy"), "{unchecked}");
    agents_saw_nothing_but_the_contract(&world, 2);
    the_users_clone_is_as_it_was(&world);

    // A second task starts from what the first one merged.
    let second = world.task("Вторая");
    world.wait(&second, &["done"]);
    assert_eq!(world.moves_of_trunk(), 2);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert_eq!(text.matches("показана").count(), 2, "{text}");
}

fn the_bare_repository_says_it_is_merged_once(world: &World, id: &str, task: &Value) {
    assert_eq!(world.moves_of_trunk(), 1, "one merge, no more");
    assert_eq!(world.trunk(), task["merge_commit"].as_str().unwrap());
    world.forge_git(&["merge-base", "--is-ancestor", &world.tip, "trunk"]);
    let text = world.forge_git(&["show", &format!("trunk:{CODE}")]);
    assert_eq!(format!("{text}\n"), format!("{CODE_TEXT}показана: раунд 0\n"));
    assert_eq!(world.forge_git(&["show", "trunk:новая папка/файл «ё».txt"]), "привет");
    for path in ["данные/образ 1.bin", ".gitattributes", "docs/заметка №1.md", "test.sh", "README.md"]
    {
        let blob = |rev: &str| world.forge_git(&["rev-parse", &format!("{rev}:{path}")]);
        assert_eq!(blob("trunk"), blob(&world.tip), "{path} was not to be touched");
    }
    let changed = world.forge_git(&["diff", "--name-only", &world.tip, "trunk"]);
    for path in changed.lines() {
        let expected =
            path == CODE || path.starts_with("новая папка/") || path.starts_with(&format!("docs/work-items/{id}/"));
        assert!(expected, "{path} has no business on trunk");
    }
    let branch = task["branch"].as_str().unwrap();
    assert!(branch.is_ascii() && branch.starts_with(&format!("feature/{id}-")), "{branch}");
    let slug = branch.strip_prefix(&format!("feature/{id}-")).unwrap();
    assert!(
        !slug.is_empty() && slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
        "{slug}"
    );
}

fn agents_saw_nothing_but_the_contract(world: &World, agents: usize) {
    let token = fs::read_to_string(world.data().join("token")).unwrap();
    let mut seen = 0;
    for run in world.runs() {
        let Ok(environ) = fs::read_to_string(run.dir.join("tmp/environ.txt")) else { continue };
        seen += 1;
        let names: BTreeSet<&str> = environ.lines().filter_map(|l| Some(l.split_once('=')?.0)).collect();
        assert_eq!(names, BTreeSet::from(CONTRACT), "run {}", run.name);
        let value = |name: &str| {
            environ.lines().find_map(|l| l.strip_prefix(&format!("{name}="))).unwrap_or_default().to_owned()
        };
        assert!(!environ.contains(DECOY) && !environ.contains(token.trim()), "run {}:\n{environ}", run.name);
        for name in ["HOME", "TMPDIR", "ORCH_PROMPT_FILE", "ORCH_RESULT_FILE"] {
            assert!(value(name).starts_with(&run.dir.display().to_string()), "{name}={}", value(name));
        }
        assert_eq!(value("ORCH_RUN_ID"), run.name);
        assert_eq!((value("MINE"), value("TOOLCHAIN")), ("yes".into(), "here".into()));
        assert!(run.prompt().contains("Команда должна показывать версию."), "{}", run.prompt());
    }
    assert_eq!(seen, agents);
    // Nor does the daemon's environment reach what it printed or the logs.
    for run in world.runs() {
        assert!(!format!("{}{}", run.out, run.err).contains(DECOY));
    }
}

fn the_users_clone_is_as_it_was(world: &World) {
    assert_eq!(world.git(&world.repo, &["rev-parse", "HEAD"]), world.tip);
    assert_eq!(world.git(&world.repo, &["status", "--porcelain"]), "?? agent.sh\n?? orch.toml");
    assert_eq!(world.git(&world.root.join("upstream"), &["rev-parse", "trunk"]), world.tip);
}
