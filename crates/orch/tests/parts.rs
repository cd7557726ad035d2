//! A repository with several parts, on the real binary.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use std::fs;

const PARTS: &str = r#"
[[project.parts]]
name = "web"
paths = ["/web/"]
test = "echo web-test >> ROOT/ran"
ci = "echo web-ci >> ROOT/ran"

[[project.parts]]
name = "api"
paths = ["/api/"]
test = "echo \"it's api-test\" >> ROOT/ran; [ ! -e web/broken ]"
ci = "echo api-ci >> ROOT/ran"
"#;

#[test]
fn a_branch_runs_the_part_it_touches_and_lands_only_if_every_part_is_green_with_it() {
    let agent = r#"developer() {
        mkdir -p web
        echo "$ORCH_ROUND" > web/page.txt
        if [ "$ORCH_ROUND" = 0 ]; then : > web/broken; else rm -f web/broken; fi
    }"#;
    let mut world = World::new(&Setup { agent: agent.into(), ..Setup::default() });
    let root = world.root.display().to_string();
    let mut config = fs::read_to_string(world.config_file()).unwrap();
    config.push_str(&PARTS.replace("ROOT", &root));
    fs::write(world.config_file(), config).unwrap();
    world.orch(&["config", "check"]).ok();
    let doctor = world.orch(&["doctor"]).out;
    assert!(doctor.contains("part web of") && doctor.contains("no file of trunk is in its `paths`: /web/"), "{doctor}");
    world.start();
    let id = world.task("A page");
    world.wait(&id, &["done"]);
    assert_eq!(world.show(&id)["round"], 1, "the other part is broken by it: seen in the merge\n{}", world.story(&id));

    let ran = fs::read_to_string(world.root.join("ran")).unwrap();
    let ran: Vec<&str> = ran.lines().collect();
    let branch = ran.iter().position(|line| *line == "web-ci" || *line == "web-test");
    assert!(branch.is_some());
    let count = |what: &str| ran.iter().filter(|line| **line == what).count();
    assert!(count("it's api-test") < count("web-test"), "{ran:?}");
    let evidence = world.evidence(&id).to_string();
    assert!(evidence.contains(r#""parts":["web"]"#), "{evidence}");
    world.terminate();
}
