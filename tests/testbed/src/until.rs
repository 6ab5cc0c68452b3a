//! Polling with a deadline and a useful error message.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// The polling interval. Short, because everything is local.
const PAUSE: Duration = Duration::from_millis(25);

/// Polls `look` until it returns something, and returns that.
///
/// # Panics
/// If the deadline passes; the message contains `what`.
pub async fn until<T, Look, Seen>(deadline: Duration, what: &str, mut look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Option<T>>,
{
    let seen = poll(deadline, || {
        let seen = look();
        async { seen.await.ok_or(()) }
    });
    match seen.await {
        Ok(seen) => seen,
        Err(_) => panic!("timed out after {deadline:?} waiting for {what}"),
    }
}

/// Like [`until`], but `look` returns the observed state as an error, and the panic message shows the last
/// one.
///
/// # Panics
/// If the deadline passes.
pub async fn until_ok<T, State, Look, Seen>(deadline: Duration, what: &str, look: Look) -> T
where
    State: Debug,
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, State>>,
{
    match poll(deadline, look).await {
        Ok(seen) => seen,
        Err(Some(last)) => panic!("timed out after {deadline:?} waiting for {what}; last seen: {last:?}"),
        Err(None) => panic!("timed out after {deadline:?} waiting for {what}; no check completed"),
    }
}

/// The loop of both: `Err` holds the result of the last completed poll. A hanging poll is aborted at the
/// deadline.
pub(crate) async fn poll<T, State, Look, Seen>(deadline: Duration, mut look: Look) -> Result<T, Option<State>>
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, State>>,
{
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(seen)) => return Ok(seen),
            Ok(Err(state)) => last = Some(state),
            Err(_) => return Err(last),
        }
        if Instant::now() >= end {
            return Err(last);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_the_condition_holds() {
        let mut looks = 0;
        let seen = until(Duration::from_secs(5), "the third check", || {
            looks += 1;
            let looks = looks;
            async move { (looks == 3).then_some(looks) }
        });
        assert_eq!(seen.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "waiting for a miracle; last seen: \"nothing\"")]
    async fn a_timeout_reports_the_last_observation() {
        until_ok(Duration::from_millis(60), "a miracle", async || Err::<(), _>("nothing")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "no check completed")]
    async fn a_hanging_check_does_not_outlive_the_deadline() {
        until_ok(Duration::from_millis(60), "a hanging check", || async {
            std::future::pending::<Result<(), ()>>().await
        })
        .await;
    }
}
