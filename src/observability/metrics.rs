//! The metrics. Label values come from bounded sets: an app's kind, namespace and name, classes, codes and reasons;
//! never a group, a reset or a URL.

mod apps;
mod series;

use std::time::Duration;

use jiff::SignedDuration;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

pub use self::apps::{AppGauges, AppLabel, AppSeries};
use self::series::{FloatGauge, Series, add, count, set, timed};
use crate::api::Reason;

/// How many unlisted codes get a series of their own; the rest are counted as `other`.
const UNLISTED_CODES: usize = 100;

/// The vendor's code in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There was no readable answer.
    Absent,
    /// A code that the program knows.
    Listed(i64),
    /// A code that the program does not know.
    Unlisted(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    #[prometheus(flatten)]
    app: AppLabel,
    class: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    #[prometheus(flatten)]
    app: AppLabel,
    reason: &'static str,
}

/// Labels of a metric that does not concern an app, as names and values.
type Plain<V, const N: usize> = [(&'static str, V); N];

/// All metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: Series<AttemptLabel, Counter>,
    results: Series<ResultLabel, Counter>,
    call_duration: Series<AppLabel, Histogram>,
    permit_wait: Histogram,
    watch_delay: Histogram,
    end_to_end: Histogram,
    waiting_resets: Series<AppLabel, Gauge>,
    oldest_waiting: Series<AppLabel, FloatGauge>,
    permits_in_use: Series<AppLabel, Gauge>,
    effective_rate: Series<AppLabel, FloatGauge>,
    circuit_open: Series<AppLabel, Gauge>,
    accounts: Gauge,
    usersig_expiry: Series<AppLabel, Gauge>,
    unknown_outcomes: Counter,
    unlisted_codes: Series<Plain<String, 1>, Counter>,
    api_writes: Series<Plain<&'static str, 2>, Counter>,
    watch_errors: Series<Plain<&'static str, 1>, Counter>,
    leader: Gauge,
    malformed_objects: Series<Plain<&'static str, 1>, Gauge>,
    events_dropped: Counter,
    http_connections: Gauge,
    http_connections_closed: Series<Plain<&'static str, 1>, Counter>,
    checks_waiting: Gauge,
    secret_reads: Gauge,
    app_writes_waiting: Gauge,
    apps_sharing_series: Gauge,
    clock_skew: FloatGauge,
}

impl Metrics {
    /// Creates the metrics, and the registry that exposes them with the prefix `groupattr`.
    #[must_use]
    pub fn new() -> (Self, Registry) {
        let mut registry = Registry::with_prefix("groupattr");
        let r = &mut registry;
        let calls = || Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let waits = Histogram::new([0.005, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0]);
        let delays = Histogram::new([0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        let lives = Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0]);
        // The library adds `_total`, the unit and the full stop.
        let metrics = Self {
            attempts: add(r, "attempts", "Calls made for resets, by outcome class and vendor code"),
            results: add(r, "results", "Completed resets, by reason of the condition Succeeded"),
            call_duration: timed(
                r,
                "call_duration",
                "Time from sending a call to its end",
                Series::of(calls),
            ),
            permit_wait: timed(
                r,
                "permit_wait",
                "Time that a reset ready to be sent waits for a permit",
                waits,
            ),
            watch_delay: timed(
                r,
                "watch_delay",
                "Time from a status write until the watch delivers it",
                delays,
            ),
            end_to_end: timed(
                r,
                "end_to_end",
                "Time from a reset's status.startTime to its completion",
                lives,
            ),
            waiting_resets: add(r, "waiting_resets", "Resets that have not completed"),
            oldest_waiting: add(r, "oldest_waiting_seconds", "Age of the app's oldest waiting reset"),
            permits_in_use: add(r, "permits_in_use", "Permits in use of the account's limit for clears"),
            effective_rate: add(r, "effective_rate", "Calls per second that the account's rate limit allows"),
            circuit_open: add(r, "circuit_open", "1 unless the app's circuit breaker is closed, else 0"),
            accounts: add(r, "accounts", "Accounts whose limits are remembered"),
            usersig_expiry: add(
                r,
                "usersig_expiry_timestamp_seconds",
                "Unix time when the signature expires",
            ),
            unknown_outcomes: add(r, "unknown_outcomes", "Calls whose outcome is unknown"),
            unlisted_codes: add(r, "unlisted_codes", "Answers with a code that the program does not know"),
            api_writes: add(r, "api_writes", "Writes to the API server, by kind and result"),
            watch_errors: add(r, "watch_errors", "Failed lists and watches, by kind of object"),
            leader: add(r, "leader", "1 while this process is the leader, else 0"),
            malformed_objects: add(r, "malformed_objects", "Stored objects that cannot be decoded"),
            events_dropped: add(r, "events_dropped", "Events dropped because the queue was full"),
            http_connections: add(r, "http_connections", "Open connections to the port of /livez"),
            http_connections_closed: add(r, "http_connections_closed", "Closed connections, by reason"),
            checks_waiting: add(r, "checks_waiting", "Apps waiting for their first check"),
            secret_reads: add(r, "secret_reads", "Reads of Secrets in flight"),
            app_writes_waiting: add(r, "app_writes_waiting", "Apps whose status is waiting to be written"),
            apps_sharing_series: add(r, "apps_sharing_series", "Apps that have no series of their own"),
            clock_skew: add(r, "clock_skew_seconds", "How far the clock is ahead of the API server's"),
        };
        r.register("build", "The running program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        (metrics, registry)
    }

    /// Counts a call for a reset that ended with `class`. An unlisted code is also counted on its own.
    pub fn attempt(&self, app: &AppLabel, class: &'static str, code: Code) {
        let shown = match code {
            Code::Absent => "none".to_owned(),
            Code::Listed(code) => code.to_string(),
            Code::Unlisted(_) => "unlisted".to_owned(),
        };
        self.attempts.with(AttemptLabel { app: app.clone(), class, code: shown }, count);
        if let Code::Unlisted(code) = code {
            let mut label = [("code", code.to_string())];
            let known = self.unlisted_codes.all();
            if known.len() >= UNLISTED_CODES && !known.contains_key(&label) {
                label = [("code", "other".to_owned())];
            }
            drop(known);
            self.unlisted_codes.with(label, count);
        }
    }

    /// Counts a reset that completed with `reason`, `since_start` after its `status.startTime`.
    pub fn result(&self, app: &AppLabel, reason: &'static str, since_start: Duration) {
        self.results.with(ResultLabel { app: app.clone(), reason }, count);
        self.end_to_end.observe(since_start.as_secs_f64());
    }

    /// Initialises the series of a new app. A counter that deserves an alert on its first increment starts at zero,
    /// because Prometheus sees no increase in a series that begins at 1.
    pub fn app(&self, app: &AppLabel) {
        self.results.with(ResultLabel { app: app.clone(), reason: Reason::OutcomeUnknown.as_str() }, |_| ());
    }

    /// Records how long a call took.
    pub fn call_duration(&self, app: &AppLabel, took: Duration) {
        self.call_duration.with(app.clone(), |histogram| histogram.observe(took.as_secs_f64()));
    }

    /// Records how long a permit was waited for.
    pub fn permit_wait(&self, waited: Duration) {
        self.permit_wait.observe(waited.as_secs_f64());
    }

    /// Records how long it took until the watch delivered one of our writes.
    pub fn watch_delay(&self, took: Duration) {
        self.watch_delay.observe(took.as_secs_f64());
    }

    /// Sets the number of resets that wait for the app, and the age of the oldest.
    pub fn waiting(&self, app: &AppLabel, resets: usize, oldest: Duration) {
        self.waiting_resets.with(app.clone(), |gauge| set(gauge, resets));
        self.oldest_waiting.with(app.clone(), |gauge| _ = gauge.set(oldest.as_secs_f64()));
    }

    /// Sets the state of the limit of the app's account: permits in use, and the calls per second it allows now.
    pub fn limit(&self, app: &AppLabel, permits_in_use: usize, effective_rate: f64) {
        self.permits_in_use.with(app.clone(), |gauge| set(gauge, permits_in_use));
        self.effective_rate.with(app.clone(), |gauge| _ = gauge.set(effective_rate));
    }

    /// Sets whether the app's circuit breaker is open.
    pub fn circuit(&self, app: &AppLabel, open: bool) {
        self.circuit_open.with(app.clone(), |gauge| _ = gauge.set(open.into()));
    }

    /// Sets the number of accounts whose limits are remembered.
    pub fn accounts(&self, accounts: usize) {
        set(&self.accounts, accounts);
    }

    /// Sets when the app's signature expires, in Unix seconds.
    pub fn usersig_expiry(&self, app: &AppLabel, unix_seconds: i64) {
        self.usersig_expiry.with(app.clone(), |gauge| _ = gauge.set(unix_seconds));
    }

    /// Counts a call whose outcome is unknown.
    pub fn unknown_outcome(&self) {
        self.unknown_outcomes.inc();
    }

    /// Counts a write of `kind` (`intent`, `outcome`, `record`, `explanation`, `restore`, `app`, `delete`, `event`) with its `result` (`ok` or an
    /// error's label).
    pub fn api_write(&self, kind: &'static str, result: &'static str) {
        self.api_writes.with([("kind", kind), ("result", result)], count);
    }

    /// Initialises the error counter of a watch of objects of `kind`, so that it starts at zero.
    pub fn watching(&self, kind: &'static str) {
        self.watch_errors.with([("kind", kind)], |_| ());
    }

    /// Counts a failed list or watch of objects of `kind`. It is retried.
    pub fn watch_error(&self, kind: &'static str) {
        self.watch_errors.with([("kind", kind)], count);
    }

    /// Sets whether this process is the leader.
    pub fn leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// Sets the number of stored objects of `kind` that cannot be decoded.
    pub fn malformed_objects(&self, kind: &'static str, objects: usize) {
        self.malformed_objects.with([("kind", kind)], |gauge| set(gauge, objects));
    }

    /// Sets the number of apps that wait for their first check, and of those that wait for a write of their status.
    pub fn apps_waiting(&self, for_check: usize, for_write: usize) {
        set(&self.checks_waiting, for_check);
        set(&self.app_writes_waiting, for_write);
    }

    /// Sets the number of Secrets that are being read.
    pub fn secret_reads(&self, in_flight: usize) {
        set(&self.secret_reads, in_flight);
    }

    /// Sets the number of apps that share their series with others.
    pub fn apps_sharing_series(&self, apps: usize) {
        set(&self.apps_sharing_series, apps);
    }

    /// Sets how far the clock of this process is ahead of the API server's.
    pub fn clock_skew(&self, ahead: SignedDuration) {
        self.clock_skew.set(ahead.as_secs_f64());
    }

    /// Counts a dropped event.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Sets the number of open connections to the health server.
    pub fn http_connections(&self, open: usize) {
        set(&self.http_connections, open);
    }

    /// Counts `more` connections that were closed for `reason`; 0 initialises the counter at zero.
    pub fn http_closed(&self, reason: &'static str, more: u64) {
        self.http_connections_closed.with([("reason", reason)], |counter| _ = counter.inc_by(more));
    }

    /// Removes the series of an app that was deleted.
    pub fn forget_app(&self, app: &AppLabel) {
        self.attempts.all().retain(|label, _| label.app != *app);
        self.results.all().retain(|label, _| label.app != *app);
        self.call_duration.all().remove(app);
        for gauges in [&self.waiting_resets, &self.permits_in_use, &self.circuit_open, &self.usersig_expiry] {
            gauges.all().remove(app);
        }
        for gauges in [&self.oldest_waiting, &self.effective_rate] {
            gauges.all().remove(app);
        }
    }
}

#[cfg(test)]
mod tests;
