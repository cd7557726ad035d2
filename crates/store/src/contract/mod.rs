//! What every store must do, told as stories on real tasks. A story knows the trait only; a backend joins with one line,
//! [`store_contract!`](crate::store_contract), in its tests. Everything runs without an async runtime, as the simulation
//! does.

// A story that cannot go on ends where it is; its name says what it is about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod deliveries;
pub mod evidence;
pub mod fences;
pub mod inbox;
pub mod leases;
pub mod money;
pub mod people;
pub mod queue;
pub mod stops;
pub mod world;

/// Tests that tell every story on a backend: `store_contract!(name, |clock| (store, guard))`. The store is measured by that
/// clock; the guard is dropped after it.
#[macro_export]
macro_rules! store_contract {
    ($backend:ident, $make:expr) => {
        $crate::store_contract!(@ $backend, $make,
            queue::a_lite_task_goes_to_done, queue::a_full_task_goes_to_done,
            queue::the_oldest_job_is_claimed_first, queue::a_delayed_job_waits_for_its_time,
            queue::an_exclusive_key_runs_once_at_a_time, queue::a_deploy_that_was_begun_keeps_its_environment,
            queue::a_ticket_is_synced_once_per_wish,
            queue::putting_back_spends_what_it_says, queue::a_merge_is_never_given_up,
            queue::an_expired_claim_is_reaped_and_costs_no_attempt, queue::a_new_owner_takes_back_what_others_claimed,
            queue::a_failed_job_is_kept_with_its_fault, queue::timers_and_delays_say_when_to_wake,
            queue::a_ticket_makes_one_task, queue::a_task_keeps_the_pipeline_it_began_with, queue::a_side_effect_is_settled_without_the_task,
            queue::only_the_claim_ends_a_job, queue::only_a_worker_that_did_the_work_itself_dies_of_it,
            queue::a_hung_workers_claim_is_taken_back_and_nobody_elses,
            queue::one_certain_job_can_be_claimed_if_it_is_available,
            queue::nobody_waits_for_a_time_that_was_never_meant,
            queue::parked_jobs_wait_for_their_service_and_cost_nothing,
            queue::fifty_tickets_of_one_project_cost_another_one_turn,
            queue::whoever_was_served_last_waits_also_after_a_pause,
            queue::within_a_project_the_highest_priority_goes_first,
            queue::a_delayed_job_of_high_priority_holds_nobody_up,
            queue::a_project_that_fills_a_lane_leaves_a_place_to_each_that_is_at_work,
            queue::no_place_is_kept_for_a_project_that_cannot_begin,
            queue::no_project_has_more_than_its_share,
            queue::a_project_that_is_left_out_is_not_claimed_from_and_keeps_no_place,
            stops::a_queued_job_is_cancelled_at_once,
            stops::a_queued_job_whose_program_may_run_is_not_cancelled_behind_it, stops::a_running_job_is_asked_to_stop,
            stops::a_job_of_a_held_task_ends_unless_it_is_under_way, stops::a_deploy_that_was_begun_is_not_cancelled_behind_its_hook,
            stops::a_deploy_and_a_watch_that_were_begun_are_finished_while_the_task_is_held,
            stops::a_merge_under_way_is_not_stopped, stops::a_stop_survives_the_death_of_its_worker,
            fences::a_worker_paused_past_its_lease_changes_nothing, fences::evidence_is_for_its_own_task_only,
            leases::the_second_task_waits_and_is_woken, leases::steps_and_heartbeats_keep_a_lease,
            leases::a_dead_holder_loses_the_lease, leases::an_unknown_merge_keeps_the_lease,
            leases::a_wrong_tree_freezes_the_queue, leases::a_new_owner_adopts_merges_under_way,
            leases::projects_do_not_share_a_lease,
            leases::projects_on_one_repository_share_its_lease,
            leases::two_workers_on_one_store_leave_each_other_what_they_have,
            leases::a_lease_goes_on_with_whoever_works_on_its_task,
            inbox::the_end_of_the_journal_is_read_without_the_rest, inbox::the_same_delivery_counts_once, inbox::a_row_is_stepped_once,
            inbox::what_people_did_is_kept_and_noise_is_not, inbox::what_became_of_a_delivery_is_known,
            evidence::a_verdict_stands_while_its_key_does, evidence::the_newest_artefact_wins,
            evidence::the_last_word_of_a_gate_is_read_alone, evidence::runs_are_completed, evidence::what_agents_have_used_is_added_up, evidence::two_commands_of_one_attempt_are_two_runs,
            evidence::deployments_are_listed_newest_first,
            evidence::a_fact_is_remembered_under_its_owner_and_replaced,
            evidence::a_fact_ends_with_its_owner_or_at_its_time,
            evidence::what_was_kept_long_enough_goes_of_tasks_that_are_over_only,
            evidence::people_have_a_number_of_their_own_for_ever,
            people::a_person_who_is_forgotten_is_a_number_wherever_they_were_named,
            people::what_names_somebody_else_stays_as_it_is,
            money::runs_beside_each_other_cannot_pass_a_days_budget,
            money::without_a_cap_a_run_takes_what_is_left_of_the_tightest_budget,
            money::a_reservation_is_given_back_where_no_run_began,
            money::a_run_that_is_to_be_stopped_keeps_its_reservation,
            money::a_reservation_outlives_the_worker_of_a_run_that_began_and_its_cost_counts_once,
            money::a_setup_before_an_agents_run_is_not_the_run,
            money::a_cost_that_nobody_knows_counts_as_what_was_reserved,
            money::a_cost_that_was_measured_counts_as_the_most_it_can_have_been, money::a_retry_grants_a_task_as_much_again,
            money::a_run_counts_for_the_day_it_was_reserved_on,
            inbox::what_was_dealt_with_loses_its_text_and_stays_known,
            deliveries::a_delivery_is_kept_once_by_its_name_and_by_its_body,
            deliveries::a_delivery_is_open_until_it_is_resolved,
            deliveries::a_delivery_loses_its_body_first_and_goes_once_it_is_resolved,
        );
    };
    (@ $backend:ident, $make:expr, $($module:ident :: $story:ident),* $(,)?) => {
        mod $backend {
            use super::*;
            $(#[test] fn $story() {
                let hand = ::std::sync::Arc::new(::std::sync::atomic::AtomicI64::new(50_000));
                let (store, _guard) = ($make)($crate::StoreClock::by_hand(&hand));
                let world = &mut $crate::contract::world::World::new(::std::sync::Arc::new(store), hand);
                $crate::contract::$module::$story(world);
            })*
        }
    };
}
