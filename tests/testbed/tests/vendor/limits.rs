//! How fast the vendor may be called.

use std::time::Duration;

use testbed::vendor::{Command, Limits};

use crate::{
    caller::{ACCOUNT, CLEAR, Caller, GET, GROUP},
    vendor,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_sixth_write_to_a_group_within_a_second_is_refused() {
    let vendor = vendor();
    let caller = Caller::of(&vendor);
    for _ in 0..5 {
        assert_eq!(caller.code(CLEAR).await, 0);
    }
    assert_eq!(caller.code(CLEAR).await, 10049);
    assert_eq!(caller.code(GET).await, 0, "reading is no write");
    tokio::time::sleep(SECOND).await;
    assert_eq!(caller.code(CLEAR).await, 0);
}

#[tokio::test]
async fn the_people_in_the_room_use_up_the_same_limit() {
    let vendor = vendor();
    for seat in ["1", "2", "3", "4", "5"] {
        vendor.seat(ACCOUNT, GROUP, seat, "taken");
    }
    assert_eq!(Caller::of(&vendor).code(CLEAR).await, 10049);
}

#[tokio::test]
async fn more_calls_than_allowed_are_refused_for_each_command_by_itself() {
    let vendor = vendor();
    vendor.set_limits(Limits { calls_per_second: 3, too_many_calls: 60011, writes_per_group: 100 });
    let caller = Caller::of(&vendor);
    for _ in 0..3 {
        assert_eq!(caller.code(CLEAR).await, 0);
    }
    assert_eq!(caller.code(CLEAR).await, 60011);
    assert_eq!(caller.code(GET).await, 0);
    assert_eq!(vendor.fullest_window(ACCOUNT, Command::Clear, SECOND), 4);
    assert_eq!(vendor.fullest_window(ACCOUNT, Command::Get, SECOND), 1);
}

#[tokio::test]
async fn latency_lies_on_both_ways() {
    let vendor = vendor();
    vendor.set_latency(Duration::from_millis(100), Duration::from_millis(120));
    let caller = Caller::of(&vendor);
    let mut arrivals = Vec::new();
    for _ in 0..8 {
        let sent = std::time::Instant::now();
        assert_eq!(caller.code(GET).await, 0);
        assert!(sent.elapsed() >= Duration::from_millis(99), "{:?}", sent.elapsed());
        arrivals.push(vendor.journal().last().unwrap().arrived - sent);
    }
    let spread = *arrivals.iter().max().unwrap() - *arrivals.iter().min().unwrap();
    assert!(spread > Duration::from_millis(5), "calls arrive with jitter: {arrivals:?}");
}

#[tokio::test]
async fn thousands_of_calls_are_no_burden() {
    let vendor = vendor();
    vendor.set_limits(Limits { calls_per_second: 1_000_000, ..Limits::default() });
    let callers = (0..50).map(|_| {
        let caller = Caller::of(&vendor);
        tokio::spawn(async move {
            for _ in 0..40 {
                assert_eq!(caller.code(GET).await, 0);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(vendor.reads().len(), 2000);
    assert_eq!(vendor.connections(), 50);
}
