//! The registry has every method of every port, and a plan strikes where it says.

use super::plan::Faults;
use super::registry;
use orch_ports::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// Methods that ask nobody and write nothing.
const NO_POINT: &[&str] =
    &["forge.out_of_service", "tracker.calls_left", "tracker.delivered_as", "git.repository", "git.worktree_path"];

/// Names of a trait's methods, from its own file.
fn methods(port: &str, text: &str) -> BTreeSet<String> {
    // A port may be several traits.
    let traits = text.split("#[async_trait::async_trait]").skip(1);
    let bodies: String = traits.map(|rest| &rest[..rest.find("\n}").unwrap()]).collect();
    let names = bodies.split("fn ").skip(1).map(|rest| rest.split('(').next().unwrap());
    names.map(|name| format!("{port}.{name}")).filter(|name| !NO_POINT.contains(&name.as_str())).collect()
}

#[test]
fn every_method_of_every_port_has_a_point_on_each_side() {
    let mut wanted = BTreeSet::new();
    for (port, text) in [
        ("forge", include_str!("../../../ports/src/forge.rs")),
        ("tracker", include_str!("../../../ports/src/tracker.rs")),
        ("git", include_str!("../../../ports/src/git.rs")),
        ("supervisor", include_str!("../../../ports/src/supervisor.rs")),
        ("probe", include_str!("../../../ports/src/probe.rs")),
        ("notifier", include_str!("../../../ports/src/notifier.rs")),
        ("store", include_str!("../../../store/src/verbs.rs")),
    ] {
        wanted.extend(methods(port, text));
    }
    assert!(70 < wanted.len(), "{wanted:?}");
    let wanted: BTreeSet<String> = wanted.iter().flat_map(|m| [format!("{m}:before"), format!("{m}:after")]).collect();
    let there: BTreeSet<String> = registry().map(str::to_owned).collect();
    assert_eq!(there, wanted);
    assert_eq!(registry().count(), there.len(), "a point is there twice");
}

async fn strikes(plan: &str, point: &'static str, hits: usize) -> Vec<usize> {
    let faults = Faults::of(&BTreeMap::from([("ORCH_FAULT".to_owned(), plan.to_owned())])).unwrap();
    let mut struck = Vec::new();
    for hit in 1..=hits {
        if faults.hit(point, None).await.is_err() {
            struck.push(hit);
        }
    }
    struck
}

#[tokio::test]
async fn a_plan_strikes_at_the_hits_it_names() {
    assert_eq!(strikes("forge.merge:after=error@3", "forge.merge:after", 6).await, [3]);
    assert_eq!(strikes("forge.*:after=error@3+", "forge.merge:after", 5).await, [3, 4, 5]);
    assert_eq!(strikes("*=error@/2", "store.step:before", 5).await, [2, 4]);
    assert_eq!(strikes("store.step:before=full", "store.step:before", 3).await, [1]);
    assert!(strikes("forge.merge:before=error", "forge.merge:after", 3).await.is_empty());
    assert!(strikes("store.*:after=error", "forge.merge:after", 3).await.is_empty());
    // Nobody's claim is at stake here.
    assert!(strikes("forge.merge:after=pause:60000", "forge.merge:after", 3).await.is_empty());
    assert!(strikes("", "forge.merge:after", 3).await.is_empty());
}

#[test]
fn a_plan_that_cannot_be_read_is_refused() {
    for plan in ["forge.merge", "forge.merge:after=explode", "forge.merge:after=kill@0", "clock_ms=soon"] {
        let fault: Fault = Faults::of(&BTreeMap::from([("ORCH_FAULT".to_owned(), plan.to_owned())])).unwrap_err();
        assert!(fault.text.contains(plan), "{fault}");
    }
}
