//! The rows of the fault matrix that run often: which test each is, and how often it is meant to run.

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// As the test names it in `runs`.
    pub(crate) id: &'static str,
    /// For people.
    pub(crate) fault: &'static str,
    /// The test in `tests/e2e`.
    pub(crate) test: &'static str,
    /// Runs of a whole campaign.
    pub(crate) runs: u32,
    /// Runs of one start of the tests, which starts an API server each time.
    pub(crate) batch: u32,
}

/// All of them. `A1` has 31 points, `C2` 60: each number of runs is a multiple.
pub(crate) const MATRIX: &[Row] = &[
    row(
        ["A1", "SIGKILL at each boundary, before, while the answer is lost, after"],
        "faults::killed::a_kill_at_any_boundary_loses_nothing_and_sends_nothing_twice",
        (31 * 200, 62),
    ),
    row(
        ["A1-page-2", "SIGKILL at the second page of a list"],
        "faults::killed::a_kill_at_the_second_page_of_a_list_loses_nothing",
        (200, 2),
    ),
    row(
        ["A2", "a second SIGKILL while the next process recovers"],
        "faults::killed_again::a_second_kill_during_the_recovery_loses_nothing_and_sends_nothing_twice",
        (3000, 60),
    ),
    row(
        ["A3", "SIGTERM during a call, a wait, a list"],
        "faults::told_to_end::whoever_is_told_to_end_records_what_is_in_flight_and_hands_over",
        (300, 30),
    ),
    row(
        ["A4", "SIGKILL again and again for a minute under 200 resets"],
        "faults::storm::a_minute_of_kills_under_200_resets_loses_nothing_and_sends_nothing_twice",
        (20, 1),
    ),
    row(
        ["B1", "watch events held back, and delivered ten times over"],
        "faults::stale::events_that_come_late_and_ten_times_over_cause_no_call",
        (100, 20),
    ),
    row(
        ["B2", "history gone (410), streams cut, lists that fail"],
        "faults::missed::what_the_watch_did_not_show_is_found_all_the_same_and_nothing_is_sent_twice",
        (50, 10),
    ),
    row(
        ["B2-silent", "half-open watches of all kinds: what they did not show is found within a minute"],
        "faults::missed::a_watch_that_died_silently_is_replaced_within_its_time",
        (5, 1),
    ),
    row(
        ["C1", "another writer of labels, annotations and specs, 20 a second"],
        "faults::writers::another_writer_of_labels_and_specs_stops_nothing_and_repeats_nothing",
        (10, 2),
    ),
    row(
        ["C2", "each error at each call to the API server"],
        "faults::refused::each_error_at_each_call_to_the_api_server_is_overcome",
        (60 * 5, 60),
    ),
    row(
        ["C3", "API server and etcd restart under load"],
        "faults::servers::restarts_of_the_api_server_and_of_etcd_under_load_lose_and_repeat_nothing",
        (20, 2),
    ),
    row(
        ["C3-all", "outage of the vendor, restart of the API server and dead leader at once"],
        "faults::servers::an_outage_of_the_vendor_a_restart_of_the_api_server_and_a_dead_leader_at_once_lose_and_repeat_nothing",
        (20, 1),
    ),
    row(
        ["D1", "leader killed, frozen, cut off from the API server"],
        "replicas::take_over::whatever_ends_a_leader_the_other_takes_over_in_time_and_their_calls_never_overlap",
        (300, 9),
    ),
    row(
        ["D2", "two candidates race for an expired lease"],
        "replicas::race::of_two_that_race_for_a_lease_that_has_run_out_one_wins",
        (1000, 20),
    ),
    row(
        ["D3", "the clock of one replica is an hour off"],
        "replicas::clocks::a_follower_whose_clock_is_an_hour_off_does_not_take_over_early_and_sends_nothing_twice",
        (20, 2),
    ),
    row(
        ["E2", "outage of the vendor with 1,000 waiting"],
        "disorder::outage::an_outage_with_a_thousand_waiting_costs_one_probe_in_five_seconds_and_loses_nothing",
        (3, 1),
    ),
    row(
        ["E3", "1,000 at once, two replicas, both replaced midway"],
        "replicas::crowd::a_thousand_at_once_keep_the_limit_and_are_sent_once_each_while_both_replicas_are_replaced",
        (10, 1),
    ),
    row(
        ["F3", "deleted and made again at each point of an attempt"],
        "disorder::made_again::whenever_a_reset_is_deleted_and_made_again_each_of_the_two_has_its_own_outcome",
        (50, 2),
    ),
    row(
        ["F3-held", "deleted and made again while a request is held"],
        "disorder::made_again::deleted_and_made_again_in_the_middle_of_an_attempt_each_of_the_two_has_its_own_outcome",
        (60, 6),
    ),
    row(
        ["F4", "each right taken away in turn"],
        "disorder::rights::each_missing_right_is_named_within_ten_seconds_and_heals_without_a_restart",
        (30, 10),
    ),
    row(
        ["G1", "the account's Secret goes wrong under load"],
        "disorder::secrets::a_secret_that_goes_wrong_under_load_is_told_and_no_reset_fails_for_it",
        (250, 10),
    ),
];

const fn row([id, fault]: [&'static str; 2], test: &'static str, (runs, batch): (u32, u32)) -> Row {
    Row { id, fault, test, runs, batch }
}

impl Row {
    /// How many of its runs belong to a campaign of this scale: at least one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn wanted(&self, scale: f64) -> u32 {
        (f64::from(self.runs) * scale).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }
}
