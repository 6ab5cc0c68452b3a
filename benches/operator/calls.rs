//! What arrived at the vendor, as numbers.

use std::time::{Duration, Instant};

use testbed::Vendor;
use testbed::vendor::{Answer, Command, Entry};

/// How many clears of this account have arrived, answered or not.
pub(crate) fn arrived(vendor: &Vendor, account: u64) -> usize {
    let count = std::cell::Cell::new(0);
    vendor.entries(|entry| {
        if of(entry, account) {
            count.set(count.get() + 1);
        }
        false
    });
    count.get()
}

/// The arrivals of this account's clears.
pub(crate) fn arrivals(vendor: &Vendor, account: u64) -> Vec<Instant> {
    let mut moments: Vec<_> = vendor.entries(|entry| of(entry, account)).iter().map(|e| e.arrived).collect();
    moments.sort_unstable();
    moments
}

/// Calls a second from the first to the last.
pub(crate) fn rate(arrivals: &[Instant]) -> f64 {
    match arrivals {
        [first, .., last] => (arrivals.len() - 1) as f64 / (*last - *first).as_secs_f64(),
        _ => 0.0,
    }
}

/// How many of these moments lie in each second since `start`.
pub(crate) fn per_second(
    moments: impl IntoIterator<Item = Instant>,
    start: Instant,
    seconds: usize,
) -> Vec<f64> {
    let mut counts = vec![0.0; seconds];
    for moment in moments {
        let second = moment.saturating_duration_since(start).as_secs();
        if let Some(count) = counts.get_mut(usize::try_from(second).unwrap_or(usize::MAX)) {
            *count += 1.0;
        }
    }
    counts
}

/// The most clears of this account in any second, wherever it begins.
pub(crate) fn fullest_second(vendor: &Vendor, account: u64) -> f64 {
    vendor.fullest_window(account, Command::Clear, Duration::from_secs(1)) as f64
}

/// The URL of a clear that succeeded: whoever has it can call as the operator did.
pub(crate) fn signed_url(vendor: &Vendor) -> Option<String> {
    let good = vendor.entries(|entry| entry.command == Command::Clear && entry.answer == Answer::Code(0));
    good.first().map(|entry| format!("{}{}?{}", vendor.url(), entry.path, entry.raw_query))
}

fn of(entry: &Entry, account: u64) -> bool {
    entry.command == Command::Clear && entry.sdkappid == Some(account)
}
