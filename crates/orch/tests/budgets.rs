//! Money on the real binary: what is reserved for a run outlives the daemon that reserved it, once; what does not fit waits
//! and says what ends that; and it goes on by itself when the limit is raised.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::{Setup, World};
use serde_json::Value;
use std::fs;

/// A developer that works until it may end, and says what it cost. The reviewer says nothing of that.
const PAID: &str = r#"developer() {
    wait_for go
    echo "готово" >> "$code"
    printf '{"summary":"done","cost_usd":0.8}' > "$ORCH_RESULT_FILE"
}"#;

/// The day's budget: what is spent, for people, and what is reserved.
fn day(world: &World) -> (String, f64) {
    let queue = world.orch(&["queue", "--json"]).ok().json();
    let day: &Value = queue["budgets"].as_array().unwrap().iter().find(|b| b["name"] == "day").unwrap();
    (day["spent"].as_str().unwrap().to_owned(), day["reserved_usd"].as_f64().unwrap())
}

#[test]
fn what_a_run_reserves_is_there_once_whoever_dies_and_a_spent_day_waits_until_its_limit_is_raised() {
    let mut world = World::new(&Setup { agent: PAID.into(), ..Setup::default() });
    let text = fs::read_to_string(world.config_file()).unwrap();
    fs::write(world.config_file(), format!("{text}\n[budget]\nday_usd = 1.5\nrun_usd = 1\n")).unwrap();
    world.start();
    let id = world.task("Версия");
    world.run_said("developer", 1, "start developer");
    assert_eq!(day(&world), ("0.00".into(), 1.0));
    for _ in 0..2 {
        world.kill();
        world.start();
        assert_eq!(day(&world), ("0.00".into(), 1.0));
    }
    world.kill();
    world.allow("go");
    world.start();
    let why = world.until("the reviewer waits for money", || {
        let why = world.orch(&["why", &id]).ok().out;
        why.contains("waits for money").then_some(why)
    });
    assert!(why.contains("0.80 USD spent of 1.50 USD, and a run may cost 1.00 USD"), "{why}");
    assert!(why.contains("the next day begins ([server] timezone: UTC), or `[budget] day_usd` is raised"), "{why}");
    assert_eq!((day(&world), world.runs_of("developer").len()), (("0.80".into(), 0.0), 1));

    world.edit_config("day_usd = 1.5", "day_usd = 9");
    world.orch(&["reload"]).ok();
    world.wait(&id, &["done"]);
    assert_eq!(day(&world), ("<= 1.80".into(), 0.0), "nobody knows what the reviewer cost");
    let said = world.orch(&["cost", "--by", "role", "--json"]).ok().json();
    let rows = said["rows"].as_array().unwrap();
    let of = |role: &str| rows.iter().find(|row| row["key"] == role).unwrap()["cost"].as_str().unwrap().to_owned();
    assert_eq!((of("developer").as_str(), of("reviewer").as_str()), ("0.80", "<= 1.00"), "{said}");
    assert_eq!((said["total"]["cost"].as_str(), said["total"]["runs"].as_u64()), (Some("<= 1.80"), Some(2)));
    let shown = world.orch(&["cost", "--project", &world.key]).ok().out;
    assert!(shown.contains(&id) && shown.contains("<= 1.80") && shown.contains("all"), "{shown}");
    assert_eq!(world.orch(&["cost", "--project", "NONE"]).code, 2);
}
