//! The rows of the fault matrix that run often: which test each is, and how often it is meant to run.

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// As the test names it in `runs`.
    pub(crate) id: &'static str,
    /// For people.
    pub(crate) fault: &'static str,
    /// The test binary, by the name of its file or folder in `tests`.
    pub(crate) binary: &'static str,
    /// The test in it.
    pub(crate) test: &'static str,
    /// Runs of a whole campaign.
    pub(crate) runs: u32,
    /// Runs of one start of the binary, which starts an API server each time.
    pub(crate) batch: u32,
}

/// All of them. `A1` has 31 points, `C2` 60: each number of runs is a multiple.
pub(crate) const MATRIX: &[Row] = &[
    Row {
        id: "A1",
        fault: "SIGKILL at each boundary, before, while the answer is lost, after",
        binary: "faults",
        test: "killed::a_kill_at_any_boundary_loses_nothing_and_sends_nothing_twice",
        runs: 31 * 200,
        batch: 62,
    },
    Row {
        id: "A1-page-2",
        fault: "SIGKILL at the second page of a list",
        binary: "faults",
        test: "killed::a_kill_at_the_second_page_of_a_list_loses_nothing",
        runs: 200,
        batch: 2,
    },
    Row {
        id: "A2",
        fault: "a second SIGKILL while the next process recovers",
        binary: "faults",
        test: "killed_again::a_second_kill_during_the_recovery_loses_nothing_and_sends_nothing_twice",
        runs: 3000,
        batch: 60,
    },
    Row {
        id: "A3",
        fault: "SIGTERM during a call, a wait, a list",
        binary: "faults",
        test: "told_to_end::whoever_is_told_to_end_records_what_is_in_flight_and_hands_over",
        runs: 300,
        batch: 30,
    },
    Row {
        id: "A4",
        fault: "SIGKILL again and again for a minute under 200 resets",
        binary: "faults",
        test: "storm::a_minute_of_kills_under_200_resets_loses_nothing_and_sends_nothing_twice",
        runs: 20,
        batch: 1,
    },
    Row {
        id: "B1",
        fault: "watch events held back, and delivered ten times over",
        binary: "faults",
        test: "stale::events_that_come_late_and_ten_times_over_cause_no_call",
        runs: 100,
        batch: 20,
    },
    Row {
        id: "B2",
        fault: "history gone (410), streams cut, lists that fail",
        binary: "faults",
        test: "missed::what_the_watch_did_not_show_is_found_all_the_same_and_nothing_is_sent_twice",
        runs: 50,
        batch: 10,
    },
    Row {
        id: "B2-silent",
        fault: "a watch that is half-open",
        binary: "faults",
        test: "missed::a_watch_that_died_silently_is_replaced_within_its_time",
        runs: 5,
        batch: 1,
    },
    Row {
        id: "C1",
        fault: "another writer of labels, annotations and specs, 20 a second",
        binary: "faults",
        test: "writers::another_writer_of_labels_and_specs_stops_nothing_and_repeats_nothing",
        runs: 10,
        batch: 2,
    },
    Row {
        id: "C2",
        fault: "each error at each call to the API server",
        binary: "faults",
        test: "refused::each_error_at_each_call_to_the_api_server_is_overcome",
        runs: 60 * 5,
        batch: 60,
    },
    Row {
        id: "C3",
        fault: "API server and etcd restart under load",
        binary: "faults",
        test: "servers::restarts_of_the_api_server_and_of_etcd_under_load_lose_and_repeat_nothing",
        runs: 20,
        batch: 2,
    },
    Row {
        id: "C3-all",
        fault: "outage of the vendor, restart of the API server and dead leader at once",
        binary: "faults",
        test: "servers::an_outage_of_the_vendor_a_restart_of_the_api_server_and_a_dead_leader_at_once_lose_and_repeat_nothing",
        runs: 20,
        batch: 1,
    },
];

impl Row {
    /// How many of its runs belong to a campaign of this scale: at least one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn wanted(&self, scale: f64) -> u32 {
        (f64::from(self.runs) * scale).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }
}
