//! A life: first everything goes wrong that can, at random; then nothing does any more and people help, and everything
//! must come to an end. A quiet life has only the second part, and its people only move tickets.

use crate::choices::Choices;
use crate::crash::CRASHES;
use crate::invariants as inv;
use crate::money::OF_TASK;
use crate::outside;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::sim::{Live, Sim, pipeline};
use crate::site::{Setup, Site};
use crate::{Life, transcript};
use orch_core::ids::TaskId;
use orch_core::landing::{History, LandingPlan};
use orch_core::policy::Policy;
use orch_core::task::Phase;
use orch_ports::tracker::{Ticket, TicketState};
use orch_store::Fact;
use std::collections::BTreeMap;

/// Things that happen while faults are on.
const ROUGH: u64 = 1_000;
/// Longest quiet time before that.
const PRELUDE: usize = 1_000;
/// Things that may happen after that before whatever has not ended is stuck.
const CALM: u64 = 6_000;

/// Lives one life.
pub fn run(life: &Life) -> Report {
    live(life, Choices::seeded(life.seed), |sim| sim.live(life))
}

/// Lives a life again, or one that somebody wrote.
pub fn replay(scenario: &Scenario, trace: bool) -> Report {
    let (life, choices) = script(scenario, trace);
    live(&life, choices, |sim| sim.live(&life))
}

/// The same, but only what is written, without the calm end.
pub(crate) fn replay_script(scenario: &Scenario) -> Report {
    let (life, choices) = script(scenario, false);
    live(&life, choices, |sim| sim.live_script(&life, &mut BTreeMap::new()))
}

fn script(scenario: &Scenario, trace: bool) -> (Life, Choices) {
    let life = Life { seed: 0, tasks: scenario.tasks, profile: scenario.profile, on: scenario.on, trace };
    (life, Choices::scripted(scenario.lines.clone()))
}

/// Lives a life without faults whose people do nothing but move tickets, with every hint of it delivered or none.
pub fn quiet(life: &Life, hints: bool) -> Report {
    live(life, Choices::seeded(life.seed), |sim| {
        sim.hints = hints;
        sim.live_quietly(life)
    })
}

fn live(life: &Life, choices: Choices, how: impl FnOnce(&mut Sim) -> Live<()>) -> Report {
    let mut sim = match Sim::new(life, choices) {
        Ok(sim) => sim,
        Err(violation) => return Report { violation: Some(violation), ..Report::default() },
    };
    let violation = how(&mut sim).err();
    let transcript = if life.trace { transcript::of(&sim) } else { Vec::new() };
    Report {
        seed: life.seed,
        steps: sim.steps,
        seen: sim.seen.clone(),
        violation,
        ends: transcript::ends(&sim),
        transcript,
        choices: sim.choices.written(),
        story: sim.story.into(),
    }
}

impl Sim {
    fn live_script(&mut self, life: &Life, patience: &mut BTreeMap<TaskId, u32>) -> Live<()> {
        self.choices.begin(false);
        self.settle_down(life)?;
        while let Some(faults) = self.choices.next_line() {
            self.turn(faults, patience);
            self.happen(patience)?;
        }
        Ok(())
    }

    fn live(&mut self, life: &Life) -> Live<()> {
        let mut patience = BTreeMap::new();
        if self.choices.is_scripted() {
            self.live_script(life, &mut patience)?;
        } else {
            self.choices.begin(false);
            self.settle_down(life)?;
            // Most lives are quiet at first, so that faults meet tasks at every stage, not only young ones.
            let quiet = self.choices.chance("quiet at first", 800);
            let prelude = if quiet { self.choices.below("how quiet", PRELUDE) as u64 } else { 0 };
            while self.steps < prelude {
                self.happen(&mut patience)?;
            }
            self.turn(true, &mut patience);
            while self.steps < prelude + ROUGH {
                self.happen(&mut patience)?;
            }
        }
        self.turn(false, &mut patience);
        self.end_well(&mut patience)
    }

    /// From here on things can fail, or they cannot any more.
    fn turn(&mut self, faults: bool, patience: &mut BTreeMap<TaskId, u32>) {
        if self.faults_on == faults {
            return;
        }
        self.faults_on = faults;
        if faults {
            self.say(|| "-- from here on everything can fail --".into());
            return;
        }
        self.say(|| "-- from here on nothing fails and people help --".into());
        for flight in &mut self.flights {
            flight.asleep = false;
            flight.hung = false;
        }
        patience.clear();
    }

    fn end_well(&mut self, patience: &mut BTreeMap<TaskId, u32>) -> Live<()> {
        let mut quiet = 0;
        let end = self.steps + CALM;
        while self.steps < end && quiet < 60 {
            self.happen(patience)?;
            let open = self.tasks.values().filter(|t| !t.is_closed());
            let given_up = open
                .into_iter()
                .all(|t| matches!(t.phase, Phase::Blocked { .. }) && patience.get(&t.id).is_some_and(|n| 5 < *n));
            let over = given_up
                && self.sites.values().map(|s| s.tickets.len()).sum::<usize>() == self.tasks.len()
                && self.flights.is_empty()
                && self.db(async |s| s.open_jobs(None).await)?.is_empty()
                && self.db(async |s| s.pending_inbox(1).await)?.is_empty()
                && self.unseen()?.is_empty();
            quiet = if over { quiet + 1 } else { 0 };
        }
        self.seen.count("life", "lived");
        inv::invariant_everything_ends(self)?;
        inv::invariant_no_move_is_lost(self)?;
        inv::invariant_nothing_is_left_over(self)?;
        outside::invariant_what_is_let_through_is_noted(self)?;
        outside::invariant_the_outside_agrees(self)
    }

    fn live_quietly(&mut self, life: &Life) -> Live<()> {
        self.choices.begin(false);
        self.settle_down(life)?;
        self.plan();
        self.end_well(&mut BTreeMap::new())
    }

    fn settle_down(&mut self, life: &Life) -> Live<()> {
        self.roughness = [20, 50, 100, 100, 180][self.choices.below("roughness", 5)];
        self.prey = CRASHES[self.choices.below("prey", CRASHES.len())];
        let projects = if self.choices.chance("two projects", 250) { vec!["DEMO", "SIDE"] } else { vec!["DEMO"] };
        self.one_repository = 1 < projects.len() && self.choices.chance("one repository", 500);
        if self.choices.chance("two engines", 250) {
            self.begin_a_second();
        }
        self.days_are_limited = self.choices.chance("a day's budget", 200);
        for key in &projects {
            let policy = Policy {
                max_developer_retries: 1 + self.choices.below("repairs", 3) as u32,
                max_role_attempts: 2,
                max_updates: 20,
                task_budget_micro_usd: self.choices.chance("budget", 400).then_some(OF_TASK),
                starters: vec!["local:sam".into()],
                approvers: vec!["local:anna".into()],
                production_approval: self.choices.chance("production is approved", 600),
                watch: self.choices.chance("production is watched", 700),
                auto_rollback: self.choices.chance("brought back by itself", 500),
                base_first: self.choices.chance("base first", 400),
                own_ci: self.choices.chance("own CI", 600),
                confirm_no_change: self.choices.chance("no change is confirmed", 300),
                ..Policy::default()
            };
            let one = self.choices.chance("one commit lands", 700);
            let history = if one { History::OneCommit } else { History::AsIs };
            let landing = LandingPlan { history, ..LandingPlan::default() };
            let setup = Setup {
                policy,
                staging_hook: self.choices.chance("staging", 800),
                production_hook: self.choices.chance("production", 850),
                local_tests: self.choices.chance("local tests", 700),
                review_on_forge: self.choices.chance("review on the forge", 300),
                shadow_security: self.choices.chance("security in shadow", 150),
                landing,
                runs_are_capped: self.choices.chance("runs have a cap", 500),
                project_day: self.choices.chance("a project's day", 150),
                dismisses: self.choices.chance("forge dismisses approvals", 500),
            };
            self.sites.insert((*key).into(), Site::new((*key).into(), setup));
        }
        for number in 1..=life.tasks.max(1) {
            let project = projects[self.choices.below("project", projects.len())];
            let pipeline = pipeline(life.profile, &mut self.choices);
            let ticket = Ticket {
                project: project.into(),
                number,
                title: format!("ticket {number}"),
                body: "please".into(),
                state: TicketState::Backlog.into(),
                state_by: Some("local:sam".into()),
                updated_at: self.now,
                id: number.to_string(),
                created_at: self.now,
            };
            // Some are made in the tracker, and orch has not heard of them.
            let foreign = self.choices.chance("made in the tracker", 150);
            let site = self.site(&ticket.project)?;
            site.pipelines.insert(number, pipeline);
            site.tickets.insert(number, ticket.clone());
            if !foreign {
                self.adopt(&ticket)?;
                let (seen, now) = (Fact::TicketSeen(ticket.project.clone(), number), self.now);
                self.db(async |s| s.remember(&seen, ticket.state.as_str(), now).await)?;
            }
        }
        Ok(())
    }
}
