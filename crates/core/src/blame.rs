//! Whose fault a red run of the project's tests is. A run is red because of the branch, because the base is red as well, by
//! chance, or because of the machine; only the first is a finding for the developer. Told apart by running again: the same
//! tree once more, then the base, now. Words in a log decide nothing.
//!
//! The numbers are a compromise between what tests cost and what a wrong verdict costs. A red of a test that the branch itself
//! brings, of many tests, and of a suite that takes long is believed after two runs; any other after three or four, with the
//! base green beside it: a test that fails one time in five is red four times in a row once in six hundred.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most runs of one tree.
pub const MOST_RUNS: usize = 5;
/// A red of at most so many tests may still be chance after two runs; one of more is not.
const FEW: usize = 3;
/// So many of [`MOST_RUNS`] runs are red on the branch and none on the base: it is the branch.
const TOO_OFTEN: usize = 4;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// What is judged.
    Branch,
    /// The commit of the default branch it stands on.
    Base,
    /// Where the default branch is now, if that is another commit.
    Tip,
}

/// A run that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Exit 0?
    pub ok: bool,
    /// Tests that failed, by name; none where the runner named none.
    pub failed: BTreeSet<String>,
    /// Did it end before the command began, in the project's setup?
    pub in_setup: bool,
    /// What the machine lacked at its end, by orch's own look.
    pub lacked: Option<String>,
}

/// The runs so far, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs<'a> {
    /// Of the branch.
    pub branch: &'a [Seen],
    /// Of its base.
    pub base: &'a [Seen],
    /// Of the tip of the default branch.
    pub tip: &'a [Seen],
}

/// What is known beside them.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tests that fail by chance on the default branch.
    pub flaky: BTreeSet<String>,
    /// Has the command failed by chance without naming a test?
    pub flaky_whole: bool,
    /// Does a run take so long that no more are made than must be?
    pub slow: bool,
    /// Is there a base to be run? There is none where the branch is its own base.
    pub has_base: bool,
    /// Has the branch the very code of its base, or is it the base that is judged?
    pub is_base: bool,
    /// Is the default branch somewhere else by now, so that the branch will be judged again on top of it?
    pub moved: bool,
    /// Is the branch there to repair the base? Then its red is its own.
    pub repairs_base: bool,
}

/// What to do next, or the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "blame", rename_all = "snake_case")]
pub enum Blame {
    /// Run this tree once more.
    Run {
        /// Which.
        tree: Tree,
    },
    /// It was green at once.
    Green,
    /// It was red and green on the same tree, and the branch is not to blame.
    Chance {
        /// Tests that failed in one of the runs.
        tests: BTreeSet<String>,
    },
    /// The branch is to blame.
    Branch {
        /// Tests that fail by chance since the branch; none: every run was red.
        flaky: BTreeSet<String>,
    },
    /// The base fails in the same way now.
    Base,
    /// The base fails in the same way, and the default branch has moved on and is green there: it is judged again on top.
    BaseBefore,
    /// Tests that are known to fail by chance failed in every run.
    Unlucky {
        /// Which.
        tests: BTreeSet<String>,
    },
    /// The machine lacked something.
    Machine {
        /// What.
        lacked: String,
    },
}

/// Whose fault it is, as far as these runs tell. `is_new` says of a test whether the branch itself brings it.
pub fn blame(runs: Runs<'_>, known: &Known, is_new: impl Fn(&str) -> bool) -> Blame {
    let run = |tree| Blame::Run { tree };
    let Runs { branch, base, tip } = runs;
    match branch {
        [] => return run(Tree::Branch),
        [only] if only.ok => return Blame::Green,
        _ => {}
    }
    let last = [branch, base, tip].into_iter().filter_map(|all| all.last());
    if let Some(lacked) = last.filter(|seen| !seen.ok).find_map(|seen| seen.lacked.clone()) {
        return Blame::Machine { lacked };
    }
    if branch.len() == 1 {
        return run(Tree::Branch);
    }
    let on_main: BTreeSet<&String> =
        known.flaky.iter().chain(base.iter().chain(tip).flat_map(|seen| &seen.failed)).collect();
    let failed: BTreeSet<String> = branch.iter().flat_map(|seen| seen.failed.clone()).collect();
    let unknown: BTreeSet<String> = failed.iter().filter(|test| !on_main.contains(test)).cloned().collect();
    if branch.iter().any(|seen| seen.ok) {
        return by_chance(runs, known, failed, unknown, is_new);
    }
    if known.repairs_base {
        return Blame::Branch { flaky: BTreeSet::new() };
    }
    let is_named = branch.iter().all(|seen| !seen.failed.is_empty());
    let red_base = base.iter().all(|seen| !seen.ok);
    if is_named && unknown.is_empty() && (base.is_empty() || !red_base) {
        let most = if known.slow { 2 } else { MOST_RUNS };
        let green_base = !base.is_empty() && base.iter().all(|seen| seen.ok);
        return match () {
            () if branch.len() < most => run(Tree::Branch),
            // As often red here as it is green there is no chance any more.
            () if known.has_base && (base.is_empty() || green_base && base.len() < most) => run(Tree::Base),
            () if green_base => Blame::Branch { flaky: BTreeSet::new() },
            () => Blame::Unlucky { tests: failed },
        };
    }
    let always = |test: &String| branch.iter().all(|seen| seen.failed.contains(test));
    let constant: BTreeSet<&String> = failed.iter().filter(|test| always(test)).collect();
    if known.is_base {
        return Blame::Base;
    }
    if !known.has_base {
        return Blame::Branch { flaky: BTreeSet::new() };
    }
    if base.is_empty() || red_base && base.len() < 2 {
        return run(Tree::Base);
    }
    if red_base {
        // What names its tests is held against names; what does not, by where it ended. A build that fails is not what a base
        // with a red test does.
        let nameless = base.iter().any(|seen| seen.failed.is_empty());
        let in_setup = |all: &[Seen]| all.iter().all(|seen| seen.in_setup);
        let same =
            if is_named { nameless || unknown.is_empty() } else { nameless && in_setup(branch) == in_setup(base) };
        return match tip.last() {
            _ if !same => Blame::Branch { flaky: BTreeSet::new() },
            None if known.moved => run(Tree::Tip),
            Some(seen) if seen.ok => Blame::BaseBefore,
            _ => Blame::Base,
        };
    }
    let brought = !constant.is_empty() && constant.iter().all(|test| is_new(test));
    let enough = match (is_named, known.flaky_whole) {
        (true, _) if brought || known.slow || FEW < failed.len() => 2,
        (true, _) => 4,
        (false, _) if known.slow => 2,
        (false, true) => MOST_RUNS,
        (false, false) => 3,
    };
    if branch.len() < enough {
        return run(Tree::Branch);
    }
    Blame::Branch { flaky: BTreeSet::new() }
}

/// The branch was red and green. A test that fails by chance on the default branch is nobody's fault here; one that the branch
/// brings is its own; of any other the base is asked as often as the branch.
fn by_chance(
    Runs { branch, base, .. }: Runs<'_>,
    known: &Known,
    tests: BTreeSet<String>,
    unknown: BTreeSet<String>,
    is_new: impl Fn(&str) -> bool,
) -> Blame {
    if unknown.is_empty() || known.is_base {
        return Blame::Chance { tests };
    }
    if known.has_base && base.is_empty() {
        return Blame::Run { tree: Tree::Base };
    }
    let new: BTreeSet<String> = unknown.iter().filter(|test| is_new(test)).cloned().collect();
    if !new.is_empty() {
        return Blame::Branch { flaky: new };
    }
    let (most_base, most) = if known.slow { (1, 2) } else { (MOST_RUNS, MOST_RUNS) };
    if known.has_base && base.len() < most_base {
        return Blame::Run { tree: Tree::Base };
    }
    if branch.len() < most {
        return Blame::Run { tree: Tree::Branch };
    }
    let red = branch.iter().filter(|seen| !seen.ok).count();
    if red < TOO_OFTEN { Blame::Chance { tests } } else { Blame::Branch { flaky: unknown } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(tests: &[&str]) -> BTreeSet<String> {
        tests.iter().map(|t| (*t).to_owned()).collect()
    }
    fn green() -> Seen {
        Seen { ok: true, ..Seen::default() }
    }
    fn red(tests: &[&str]) -> Seen {
        Seen { failed: set(tests), ..Seen::default() }
    }
    fn known() -> Known {
        Known { has_base: true, ..Known::default() }
    }
    const RED: Blame = Blame::Branch { flaky: BTreeSet::new() };

    /// Runs until there is an answer; what each run of a tree gives is said by its number. How often each tree ran.
    fn told(known: &Known, new: &[&str], give: impl Fn(Tree, usize) -> Seen) -> (Blame, [usize; 3]) {
        let mut runs: [Vec<Seen>; 3] = Default::default();
        loop {
            let [branch, base, tip] = &runs;
            match blame(Runs { branch, base, tip }, known, |test| new.contains(&test)) {
                Blame::Run { tree } => {
                    let all = &mut runs[tree as usize];
                    all.push(give(tree, all.len() + 1));
                    assert!(all.len() <= MOST_RUNS, "{tree:?} runs for ever");
                }
                answer => return (answer, runs.map(|all| all.len())),
            }
        }
    }

    #[test]
    fn green_is_green_at_the_first_run() {
        assert_eq!(told(&known(), &[], |_, _| green()), (Blame::Green, [1, 0, 0]));
    }

    #[test]
    fn a_red_branch_on_a_green_base_is_the_branchs_fault() {
        let on =
            |tests: &'static [&'static str]| move |tree, _| if tree == Tree::Branch { red(tests) } else { green() };
        assert_eq!(told(&known(), &["new"], on(&["new"])), (RED, [2, 1, 0]), "its own test");
        assert_eq!(told(&known(), &[], on(&["old"])), (RED, [4, 1, 0]));
        assert_eq!(told(&Known { slow: true, ..known() }, &[], on(&["old"])), (RED, [2, 1, 0]));
        assert_eq!(told(&known(), &[], on(&[])), (RED, [3, 1, 0]), "a build that fails names no test");
        assert_eq!(told(&known(), &[], on(&["a", "b", "c", "d"])), (RED, [2, 1, 0]), "so much is no chance");
        let mine = Known { repairs_base: true, ..known() };
        assert_eq!(told(&mine, &[], |_, _| red(&["old"])), (RED, [2, 0, 0]));
    }

    #[test]
    fn a_base_that_fails_the_same_way_now_is_nobodys_fault_here() {
        for tests in [&["old"][..], &[]] {
            assert_eq!(told(&known(), &[], |_, _| red(tests)), (Blame::Base, [2, 2, 0]), "{tests:?}");
        }
        let moved = Known { moved: true, ..known() };
        let repaired = |tree, _| if tree == Tree::Tip { green() } else { red(&["old"]) };
        assert_eq!(told(&moved, &[], repaired), (Blame::BaseBefore, [2, 2, 1]));
        assert_eq!(told(&moved, &[], |_, _| red(&["old"])), (Blame::Base, [2, 2, 1]));
        let builds = |tree, _| if tree == Tree::Branch { red(&[]) } else { red(&["old"]) };
        assert_eq!(told(&known(), &[], builds).0, RED, "a build that fails is not what a base with a red test does");
        let same = Known { is_base: true, has_base: false, ..known() };
        assert_eq!(
            told(&same, &[], |_, _| red(&["old"])),
            (Blame::Base, [2, 0, 0]),
            "the code of the base is not to blame for it"
        );
        let once = |_, nth| if nth == 1 { red(&["old"]) } else { green() };
        let chance = Blame::Chance { tests: set(&["old"]) };
        assert_eq!(told(&same, &[], once), (chance, [2, 0, 0]), "nor for what fails there by chance");
        let worse = |tree, _| if tree == Tree::Branch { red(&["old", "broken"]) } else { red(&["old"]) };
        assert_eq!(told(&known(), &[], worse).0, RED, "what the base does not fail at is the branch's");
        // A registry that is down for the branch, and back when the base is asked.
        let back = |tree, nth| if tree == Tree::Branch && nth < 3 { red(&[]) } else { green() };
        assert_eq!(told(&known(), &[], back), (Blame::Chance { tests: set(&[]) }, [3, 1, 0]));
    }

    #[test]
    fn what_fails_by_chance_on_main_costs_nobody_anything() {
        let flaky = Known { flaky: set(&["f"]), ..known() };
        let chance = Blame::Chance { tests: set(&["f"]) };
        assert_eq!(
            told(&flaky, &[], |_, nth| if nth < 2 { red(&["f"]) } else { green() }),
            (chance.clone(), [2, 0, 0])
        );
        assert_eq!(
            told(&flaky, &[], |_, nth| if nth < 5 { red(&["f"]) } else { green() }),
            (chance.clone(), [5, 0, 0])
        );
        let unlucky = |tree, nth| if tree == Tree::Base && nth == 1 { green() } else { red(&["f"]) };
        assert_eq!(told(&flaky, &[], unlucky), (Blame::Unlucky { tests: set(&["f"]) }, [5, 2, 0]));
        let broken = |tree, _| if tree == Tree::Branch { red(&["f"]) } else { green() };
        assert_eq!(
            told(&flaky, &[], broken),
            (RED, [5, 5, 0]),
            "five of five here and none of five there is no chance"
        );
        let slow = Known { slow: true, ..flaky.clone() };
        assert_eq!(told(&slow, &[], broken), (RED, [2, 2, 0]));
        // Nobody knows it yet, and the base shows it.
        let shown = |tree, nth| match (tree, nth) {
            (Tree::Branch, 1) | (Tree::Base, 3) => red(&["f"]),
            _ => green(),
        };
        assert_eq!(told(&known(), &[], shown), (chance.clone(), [2, 3, 0]));
        // Nobody knows it, and the base does not show it: three in five is not enough to blame anybody.
        let once = |tree, nth| if tree == Tree::Branch && [1, 4, 5].contains(&nth) { red(&["f"]) } else { green() };
        assert_eq!(told(&known(), &[], once), (chance, [5, 5, 0]));
        // A runner that names no test: once it was seen, it is asked as often as can be.
        let whole = Known { flaky_whole: true, ..known() };
        let late = |tree, nth| if tree == Tree::Branch && nth < 5 { red(&[]) } else { green() };
        assert_eq!(told(&whole, &[], late), (Blame::Chance { tests: set(&[]) }, [5, 1, 0]));
        let never = |tree, _| if tree == Tree::Branch { red(&[]) } else { green() };
        assert_eq!(told(&whole, &[], never), (RED, [5, 1, 0]));
        // A real failure beside it stays one.
        let both = |tree, _| if tree == Tree::Branch { red(&["f", "mine"]) } else { green() };
        assert_eq!(told(&flaky, &["mine"], both).0, RED);
    }

    #[test]
    fn what_fails_by_chance_since_the_branch_is_the_branchs() {
        let first = |tree, nth| if tree == Tree::Branch && nth < 2 { red(&["f"]) } else { green() };
        let mine = Blame::Branch { flaky: set(&["f"]) };
        assert_eq!(told(&known(), &["f"], first), (mine.clone(), [2, 1, 0]));
        let often = |tree, nth| if tree == Tree::Branch && nth != 2 { red(&["f"]) } else { green() };
        assert_eq!(
            told(&known(), &[], often),
            (mine, [5, 5, 0]),
            "an old test that fails four times in five since then"
        );
    }

    #[test]
    fn a_machine_that_lacked_something_says_nothing_about_the_code() {
        let full = Seen { lacked: Some("no space left".into()), ..red(&["mine"]) };
        let said = told(&known(), &["mine"], |_, _| full.clone());
        assert_eq!(said, (Blame::Machine { lacked: "no space left".into() }, [1, 0, 0]));
    }

    proptest! {
        /// Whatever the runs give: it ends, a tree that never was green is never let through, and where the base failed at
        /// everything the branch failed at, nobody is blamed.
        #[test]
        fn it_ends_and_never_lets_through_what_was_never_green(
            given in proptest::collection::vec((any::<bool>(), proptest::collection::btree_set("[ab]", 0..3)), 15),
            flaky in proptest::collection::btree_set("[ab]", 0..2),
            new in proptest::collection::btree_set("[ab]", 0..2),
            flaky_whole: bool, slow: bool, has_base: bool, moved: bool, repairs_base: bool,
        ) {
            let known = Known { flaky, flaky_whole, slow, has_base, is_base: false, moved, repairs_base };
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let give = |tree: Tree, nth: usize| {
                let (ok, failed) = given[tree as usize * 5 + nth - 1].clone();
                Seen { ok, failed: if ok { BTreeSet::new() } else { failed }, ..Seen::default() }
            };
            let (answer, ran) = told(&known, &new, give);
            let runs = |tree: Tree| (1..=ran[tree as usize]).map(move |nth| give(tree, nth));
            let was_green = runs(Tree::Branch).any(|seen| seen.ok);
            match &answer {
                Blame::Green | Blame::Chance { .. } => prop_assert!(was_green),
                Blame::BaseBefore => prop_assert!(runs(Tree::Tip).any(|seen| seen.ok)),
                Blame::Base => prop_assert!(runs(Tree::Base).all(|seen| !seen.ok) && ran[1] == 2),
                Blame::Branch { flaky } if flaky.is_empty() => prop_assert!(!was_green && 2 <= ran[0]),
                Blame::Branch { flaky } => {
                    prop_assert!(flaky.iter().all(|t| !known.flaky.contains(t)));
                    prop_assert!(runs(Tree::Base).all(|seen| flaky.iter().all(|t| !seen.failed.contains(t))));
                }
                Blame::Unlucky { tests } => {
                    let most = if known.slow { 2 } else { MOST_RUNS };
                    prop_assert!(!tests.is_empty() && !was_green && ran[0] == most);
                }
                Blame::Run { .. } | Blame::Machine { .. } => prop_assert!(false, "{answer:?}"),
            }
        }
    }
}
