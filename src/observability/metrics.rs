//! What the process counts. Labels come from closed sets: an app's kind, namespace and name, classes, codes and
//! reasons; never a group, a reset or a URL.

mod apps;
mod series;

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

pub use self::apps::{AppFigures, AppLabel, AppSeries};
use self::series::{FloatGauge, Series, add, count, set, timed};
use crate::api::Reason;

/// Unlisted codes counted one by one; the rest are counted as `other`.
const UNLISTED_CODES: usize = 100;

/// The vendor's code in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No readable answer.
    Absent,
    /// A code the program knows.
    Listed(i64),
    /// A code the program does not know.
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

/// Labels of a metric that has nothing to do with an app: names and values.
type Plain<V, const N: usize> = [(&'static str, V); N];
/// Everything that is counted and measured. Cheap to clone.
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
}

impl Metrics {
    /// The metrics, and the registry that shows them.
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
            attempts: add(r, "attempts", "Calls made for resets, by class of outcome and vendor's code"),
            results: add(r, "results", "Resets that ended, by reason of the condition Succeeded"),
            call_duration: timed(r, "call_duration", "From sending a call to its end", Series::of(calls)),
            permit_wait: timed(r, "permit_wait", "From when a reset could go to its account's permit", waits),
            watch_delay: timed(
                r,
                "watch_delay",
                "From a status write to the moment the watch shows it",
                delays,
            ),
            end_to_end: timed(r, "end_to_end", "From a reset's status.startTime to its end", lives),
            waiting_resets: add(r, "waiting_resets", "Resets that have not ended"),
            oldest_waiting: add(r, "oldest_waiting_seconds", "Age of the app's oldest waiting reset"),
            permits_in_use: add(r, "permits_in_use", "Permits held of the account's limit for clears"),
            effective_rate: add(r, "effective_rate", "Calls a second that the account's limit allows"),
            circuit_open: add(r, "circuit_open", "1 while nothing is sent for the app, else 0"),
            accounts: add(r, "accounts", "Accounts whose limits are remembered"),
            usersig_expiry: add(r, "usersig_expiry_timestamp_seconds", "Unix time of the signature's end"),
            unknown_outcomes: add(r, "unknown_outcomes", "Calls whose outcome nobody saw"),
            unlisted_codes: add(r, "unlisted_codes", "Answers with a code the program does not know"),
            api_writes: add(r, "api_writes", "Writes to the API server, by what and how it went"),
            watch_errors: add(r, "watch_errors", "Lists and watches that failed, by kind of object"),
            leader: add(r, "leader", "1 while this process leads, else 0"),
            malformed_objects: add(r, "malformed_objects", "Stored objects that do not decode"),
            events_dropped: add(r, "events_dropped", "Events dropped because too many waited"),
            http_connections: add(r, "http_connections", "Open connections to the port of /livez"),
            http_connections_closed: add(r, "http_connections_closed", "Connections that ended, by reason"),
            checks_waiting: add(r, "checks_waiting", "Apps that wait for their first check"),
            secret_reads: add(r, "secret_reads", "Reads of Secrets under way"),
            app_writes_waiting: add(r, "app_writes_waiting", "Apps whose status waits to be written"),
            apps_sharing_series: add(r, "apps_sharing_series", "Apps that have no series of their own"),
        };
        r.register("build", "The running program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        (metrics, registry)
    }

    /// One call for a reset came to an end of `class`; an unlisted code is counted by itself, too.
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

    /// A reset ended with `reason`, `since_start` after its `status.startTime`.
    pub fn result(&self, app: &AppLabel, reason: &'static str, since_start: Duration) {
        self.results.with(ResultLabel { app: app.clone(), reason }, count);
        self.end_to_end.observe(since_start.as_secs_f64());
    }

    /// The app is there from now on. What is worth an alert the first time it happens is counted from zero: Prometheus sees
    /// no increase in a series that begins with a one.
    pub fn app(&self, app: &AppLabel) {
        self.results.with(ResultLabel { app: app.clone(), reason: Reason::OutcomeUnknown.word() }, |_| ());
    }

    /// A call took this long.
    pub fn call_duration(&self, app: &AppLabel, took: Duration) {
        self.call_duration.with(app.clone(), |histogram| histogram.observe(took.as_secs_f64()));
    }

    /// A permit came after this long.
    pub fn permit_wait(&self, waited: Duration) {
        self.permit_wait.observe(waited.as_secs_f64());
    }

    /// The watch showed one of our writes after this long.
    pub fn watch_delay(&self, took: Duration) {
        self.watch_delay.observe(took.as_secs_f64());
    }

    /// `resets` wait for the app, the oldest for `oldest`.
    pub fn waiting(&self, app: &AppLabel, resets: usize, oldest: Duration) {
        self.waiting_resets.with(app.clone(), |gauge| set(gauge, resets));
        self.oldest_waiting.with(app.clone(), |gauge| _ = gauge.set(oldest.as_secs_f64()));
    }

    /// The limit of the app's account: permits held, and calls a second it allows now.
    pub fn limit(&self, app: &AppLabel, permits_in_use: usize, effective_rate: f64) {
        self.permits_in_use.with(app.clone(), |gauge| set(gauge, permits_in_use));
        self.effective_rate.with(app.clone(), |gauge| _ = gauge.set(effective_rate));
    }

    /// Whether the app's circuit is open.
    pub fn circuit(&self, app: &AppLabel, open: bool) {
        self.circuit_open.with(app.clone(), |gauge| _ = gauge.set(open.into()));
    }

    /// The limits of so many accounts are remembered.
    pub fn accounts(&self, accounts: usize) {
        set(&self.accounts, accounts);
    }

    /// The app's signature runs out at this Unix time, in seconds.
    pub fn usersig_expiry(&self, app: &AppLabel, unix_seconds: i64) {
        self.usersig_expiry.with(app.clone(), |gauge| _ = gauge.set(unix_seconds));
    }

    /// A call ended without anybody seeing its outcome.
    pub fn unknown_outcome(&self) {
        self.unknown_outcomes.inc();
    }

    /// A write of `kind` (`intent`, `outcome`, `record`, `app`, `delete`, `event`) went as `result` says (`ok` or an error's
    /// label).
    pub fn api_write(&self, kind: &'static str, result: &'static str) {
        self.api_writes.with([("kind", kind), ("result", result)], count);
    }

    /// Objects of `kind` are watched from now on; what fails about that is counted from zero.
    pub fn watching(&self, kind: &'static str) {
        self.watch_errors.with([("kind", kind)], |_| ());
    }

    /// A list or a watch of objects of `kind` failed; it is tried again.
    pub fn watch_error(&self, kind: &'static str) {
        self.watch_errors.with([("kind", kind)], count);
    }

    /// Whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// `objects` stored objects of `kind` do not decode.
    pub fn malformed_objects(&self, kind: &'static str, objects: usize) {
        self.malformed_objects.with([("kind", kind)], |gauge| set(gauge, objects));
    }

    /// So many apps wait for their first check, and so many for a write of their status.
    pub fn apps_waiting(&self, for_check: usize, for_write: usize) {
        set(&self.checks_waiting, for_check);
        set(&self.app_writes_waiting, for_write);
    }

    /// So many Secrets are being read.
    pub fn secret_reads(&self, under_way: usize) {
        set(&self.secret_reads, under_way);
    }

    /// So many apps share their series with others.
    pub fn apps_sharing_series(&self, apps: usize) {
        set(&self.apps_sharing_series, apps);
    }

    /// An event was dropped.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// So many connections to the port of the pages are open.
    pub fn http_connections(&self, open: usize) {
        set(&self.http_connections, open);
    }

    /// `more` of them ended for this reason; with none of them, it is counted from zero.
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
