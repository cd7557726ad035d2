//! What lands is what ran on staging: code that changed under way is brought there again, once, before it may land.

use crate::runs::{Does, Run};
use crate::world::{Choice, World, demo, git};
use orch_core::ids::{Environment, GateId, Sha};
use orch_core::pipeline::Pipeline;
use orch_core::task::{Phase, WaitReason};
use orch_core::verdict::Verdict;
use std::sync::{Arc, Mutex};

/// A pipeline that goes over staging, without analysis and testing.
pub fn over_staging(c: &mut Choice) {
    let full = Pipeline::full();
    let wanted = ["created", "development", "deploy-staging", "deploy", "done"];
    let stages = full.stages.into_iter().filter(|s| wanted.contains(&s.id.as_str())).collect();
    c.pipeline = Pipeline { name: "own".into(), stages };
    c.deploy.staging = Some("stage".into());
}

fn says(run: &Run, text: &str) {
    std::fs::write(run.dir.join("stdout.log"), text).unwrap();
}

/// Main moves between the first deploy to staging and the preparation of the merge.
async fn main_moves_while_staging(world: &World) {
    world.eventually("staging is being deployed", async || world.runs.live("stage")).await;
    world.outsider_merges("by-hand", "other.txt", "somebody else\n").await;
    world.runs.finish("stage", |_| {});
}

fn first_hangs(world: &World, mut then: impl FnMut(&Run) -> Does + Send + 'static) -> Arc<Mutex<Vec<Sha>>> {
    let staged: Arc<Mutex<Vec<Sha>>> = Arc::default();
    let seen = staged.clone();
    world.runs.on("stage", move |run| {
        seen.lock().unwrap().push(run.var("ORCH_REVISION").into());
        if run.nth == 1 { Does::Hang } else { then(run) }
    });
    staged
}

fn tree(world: &World, commit: &Sha) -> String {
    git(&world.bare(), &["rev-parse", &format!("{commit}^{{tree}}")])
}

#[tokio::test]
async fn what_ran_on_staging_is_not_brought_there_again() {
    let world = World::with(over_staging).await;
    world.runs.on("stage", |_| Does::Exit(0));
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((world.runs.count("stage"), task.spent.rounds), (1, 0));
    assert_eq!(world.says(&item, "was brought there again").await, 0);
    let judged = world.store.judgements(task.id).await.unwrap();
    let fresh = judged.iter().find(|j| j.gate == GateId::StagingImageFresh).unwrap();
    assert_eq!(fresh.verdict, Verdict::Pass, "judged, not skipped");
}

#[tokio::test]
async fn main_moved_and_what_will_land_is_brought_to_staging_once_more() {
    let world = World::with(over_staging).await;
    let staged = first_hangs(&world, |_| Does::Exit(0));
    world.start();
    let item = world.begin("Add a file").await;
    main_moves_while_staging(&world).await;
    let task = world.until_done(&item).await;
    let staged = staged.lock().unwrap().clone();
    assert_eq!((staged.len(), task.spent.rounds), (2, 0));
    assert_eq!(world.says(&item, "was brought there again").await, 1);
    let landed = task.landing.merged.unwrap().commit;
    assert_ne!(tree(&world, &staged[0]), tree(&world, &landed));
    assert_eq!(tree(&world, &staged[1]), tree(&world, &landed));
    assert_eq!(world.show("main", "other.txt"), "somebody else");
}

#[tokio::test]
async fn what_does_not_come_up_the_second_time_does_not_land() {
    let world = World::with(over_staging).await;
    first_hangs(&world, |run| {
        says(run, "it clashes with other.txt\n");
        Does::Exit(i32::from(run.nth == 2))
    });
    let (bare, briefs) = (world.bare(), Arc::<Mutex<Vec<String>>>::default());
    let kept = briefs.clone();
    world.runs.on("developer", move |run| {
        assert!(!git(&bare, &["ls-tree", "--name-only", "main"]).contains("DEMO-1.txt"), "it has landed");
        kept.lock().unwrap().push(run.prompt());
        run.write("DEMO-1.txt", &format!("round {}\n", run.var("ORCH_ROUND")));
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    main_moves_while_staging(&world).await;
    let task = world.until_done(&item).await;
    assert_eq!(
        (world.runs.count("stage"), task.spent.rounds),
        (3, 1),
        "the repaired branch is staged in the ordinary way"
    );
    assert!(briefs.lock().unwrap()[1].contains("it clashes with other.txt"), "the log is in the brief");
    assert_eq!(world.forge_did("merge-done").await, 2, "the outsider's and ours");
}

/// What the tag `staging` points to: the revision its image was built from.
fn tagged(world: &World) -> Arc<Mutex<String>> {
    let tag: Arc<Mutex<String>> = Arc::default();
    let told = tag.clone();
    world.runs.on("image", move |run| {
        assert_eq!(run.var("ORCH_ENVIRONMENT"), "staging");
        let built_from = told.lock().unwrap().clone();
        says(run, &format!("revision={built_from} digest=sha256:{built_from}\n"));
        Does::Exit(0)
    });
    tag
}

#[tokio::test]
async fn an_image_somebody_replaced_is_built_again_and_its_digest_goes_to_production() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.image = Some("image".into());
    })
    .await;
    let tag = tagged(&world);
    let pushed = tag.clone();
    world.runs.on("stage", move |run| {
        // After the first deploy somebody else's image takes the tag.
        let revision = if run.nth == 1 { "0".repeat(40) } else { run.var("ORCH_REVISION").to_owned() };
        *pushed.lock().unwrap() = revision;
        Does::Exit(0)
    });
    let (shipped, production) = (Arc::<Mutex<String>>::default(), world.production.clone());
    let digest = shipped.clone();
    world.runs.on("deploy", move |run| {
        *digest.lock().unwrap() = run.var("ORCH_IMAGE_DIGEST").to_owned();
        *production.revision.lock().unwrap() = Some(run.var("ORCH_REVISION").to_owned());
        Does::Exit(0)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_done(&item).await;
    assert_eq!((world.runs.count("stage"), task.spent.rounds), (2, 0));
    let built_from: Sha = tag.lock().unwrap().as_str().into();
    assert_eq!(tree(&world, &built_from), tree(&world, &task.landing.merged.unwrap().commit));
    assert_eq!(*shipped.lock().unwrap(), format!("sha256:{built_from}"));
}

#[tokio::test]
async fn an_image_that_stays_another_one_fails_after_one_rebuild() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.image = Some("image".into());
        c.policy.max_developer_retries = 1;
    })
    .await;
    world.runs.on("stage", |_| Does::Exit(0));
    *tagged(&world).lock().unwrap() = "0".repeat(40);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    assert_eq!(world.runs.count("stage"), 4, "two rounds, each staged and staged again");
    let zeros = "0".repeat(40);
    assert!(task.findings.open[0].text.contains(&format!("is built from {zeros}")), "{:?}", task.findings.open);
    assert_eq!(world.forge_did("merge-done").await, 0);
}

#[tokio::test]
async fn an_image_nobody_can_look_at_is_waited_for_and_says_so() {
    let world = World::with(|c| {
        over_staging(c);
        c.deploy.image = Some("image".into());
    })
    .await;
    let tag = tagged(&world);
    let pushed = tag.clone();
    world.runs.on("stage", move |run| {
        *pushed.lock().unwrap() = run.var("ORCH_REVISION").to_owned();
        Does::Exit(0)
    });
    world.runs.on("image", |run| {
        says(run, "the registry is away\n");
        Does::Exit(1)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world
        .until(&item, "waiting", |t| matches!(t.phase, Phase::Waiting { why: WaitReason::CannotTell { .. }, .. }))
        .await;
    let Phase::Waiting { why: WaitReason::CannotTell { fault }, .. } = task.phase else { unreachable!() };
    assert!(fault.text.contains("the registry is away"), "{}", fault.text);
    let lease = world.store.leases().await.unwrap();
    assert!(lease.iter().all(|l| l.task.is_none()), "nobody holds up the others while waiting: {lease:?}");
    tagged_by(&world, &tag);
    let task = world.until_done(&item).await;
    assert_eq!(
        (world.runs.count("stage"), task.spent.rounds),
        (1, 0),
        "what could not be seen was not rebuilt for that"
    );
}

/// From now on the image can be looked at.
fn tagged_by(world: &World, tag: &Arc<Mutex<String>>) {
    let told = tag.clone();
    world.runs.on("image", move |run| {
        says(run, &format!("revision={}\n", told.lock().unwrap()));
        Does::Exit(0)
    });
}

#[tokio::test]
async fn only_sandbox_infrastructure_is_waived_and_each_waiver_is_listed() {
    // Tolerated or not, how the check ends, and how often the developer has to work.
    for (tolerance, exit, rounds) in [(true, 0, 0), (false, 0, 1), (true, 1, 1)] {
        let world = World::with(|c| {
            over_staging(c);
            c.deploy.check = Some("check".into());
            c.deploy.infra_tolerance = tolerance;
        })
        .await;
        world.runs.on("stage", |_| Does::Exit(0));
        world.runs.on("check", move |run| {
            let first = run.nth == 1;
            says(run, if first { "INFRA: mail bot\n" } else { "all green\n" });
            Does::Exit(if first { exit } else { 0 })
        });
        world.start();
        let item = world.begin("Add a file").await;
        let task = world.until_done(&item).await;
        assert_eq!(task.spent.rounds, rounds, "tolerance {tolerance}, exit {exit}");
        let judged = world.store.judgements(task.id).await.unwrap();
        let first = judged.iter().find(|j| j.gate == GateId::StagingStatus).unwrap();
        let log = first.evidence["text"].as_str().unwrap();
        let listed = log.contains("infra_waived: [\"mail bot\"]") && log.contains("mail bot (waived");
        assert_eq!(listed, rounds == 0, "{log}");
        assert_eq!(log.contains("staging_status: SUCCESS"), rounds == 0, "{log}");
        let told = world.says(&item, "mail bot failed on staging; waived").await;
        assert_eq!(told, usize::from(rounds == 0), "and people read it on the pull request");
        let staged = world.store.deployments(&demo(), Environment::Staging, 10).await.unwrap();
        assert_eq!(staged.last().unwrap().ok, rounds == 0);
    }
}
