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
        "faults::sigkill::a_sigkill_at_any_boundary_loses_nothing_and_sends_nothing_twice",
        (31 * 200, 62),
    ),
    row(
        ["A1-page-2", "SIGKILL at the second page of a list"],
        "faults::sigkill::a_sigkill_at_the_second_page_of_a_list_loses_nothing",
        (200, 2),
    ),
    row(
        ["A2", "a second SIGKILL while the next process recovers"],
        "faults::second_sigkill::a_second_sigkill_during_recovery_loses_nothing_and_sends_nothing_twice",
        (3000, 60),
    ),
    row(
        ["A3", "SIGTERM during a call, a wait, a list"],
        "faults::sigterm::sigterm_records_outcomes_in_flight_and_releases_the_lease",
        (300, 30),
    ),
    row(
        ["A4", "SIGKILL again and again for a minute under 200 resets"],
        "faults::crash_loop::a_minute_of_sigkills_under_load_loses_nothing_and_sends_nothing_twice",
        (20, 1),
    ),
    row(
        ["B1", "watch events held back, and delivered ten times over"],
        "faults::late_events::late_and_duplicated_watch_events_cause_no_call",
        (100, 20),
    ),
    row(
        ["B2", "history gone (410), streams cut, lists that fail"],
        "faults::missed_events::events_missed_by_the_watch_are_found_and_nothing_is_sent_twice",
        (50, 10),
    ),
    row(
        ["B2-silent", "half-open watches of all kinds: what they did not show is found within a minute"],
        "faults::missed_events::a_half_open_watch_is_replaced_in_time",
        (5, 1),
    ),
    row(
        ["C1", "another writer of labels, annotations and specs, 20 a second"],
        "faults::concurrent_edits::concurrent_edits_of_labels_and_specs_neither_block_nor_repeat_a_reset",
        (10, 2),
    ),
    row(
        ["C2", "each error at each call to the API server"],
        "faults::api_errors::the_operator_recovers_from_every_error_at_every_api_call",
        (60 * 5, 60),
    ),
    row(
        ["C3", "API server and etcd restart under load"],
        "faults::restarts::restarting_the_api_server_and_etcd_under_load_loses_and_repeats_nothing",
        (20, 2),
    ),
    row(
        ["C3-all", "outage of the vendor, restart of the API server and dead leader at once"],
        "faults::restarts::a_vendor_outage_an_api_server_restart_and_a_dead_leader_at_once_lose_and_repeat_nothing",
        (20, 1),
    ),
    row(
        ["D1", "leader killed, frozen, cut off from the API server"],
        "replicas::failover::failover_is_timely_and_calls_never_overlap",
        (300, 9),
    ),
    row(
        ["D2", "two candidates race for an expired lease"],
        "replicas::lease_race::one_of_two_candidates_wins_an_expired_lease",
        (1000, 20),
    ),
    row(
        ["D3", "the clock of one replica is an hour off"],
        "replicas::clock_skew::clock_skew_causes_no_early_failover_and_no_duplicate_call",
        (20, 2),
    ),
    row(
        ["E2", "outage of the vendor with 1,000 waiting"],
        "disorder::outage::an_outage_costs_one_probe_every_five_seconds_and_loses_nothing",
        (3, 1),
    ),
    row(
        ["E3", "1,000 at once, two replicas, both replaced midway"],
        "replicas::rollout::a_thousand_resets_are_sent_once_each_within_the_limit_while_both_replicas_are_replaced",
        (10, 1),
    ),
    row(
        ["F3", "deleted and made again at each point of an attempt"],
        "disorder::recreated::a_reset_recreated_at_any_point_has_its_own_outcome",
        (50, 2),
    ),
    row(
        ["F3-held", "deleted and made again while a request is held"],
        "disorder::recreated::a_reset_recreated_during_an_attempt_has_its_own_outcome",
        (60, 6),
    ),
    row(
        ["F4", "each right taken away in turn"],
        "disorder::permissions::each_missing_permission_is_reported_within_ten_seconds_and_needs_no_restart",
        (30, 10),
    ),
    row(
        ["G1", "the account's Secret goes wrong under load"],
        "disorder::secrets::a_secret_broken_under_load_is_reported_and_fails_no_reset",
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
