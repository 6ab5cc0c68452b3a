//! Waiting for something to become true, with a deadline and a useful last word.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// How often a condition is looked at. Short, because everything is on this machine.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks again and again until `look` sees something, and returns what it saw.
///
/// # Panics
/// When `deadline` has passed; the message names `what` was waited for.
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
        Err(_) => panic!("waited {deadline:?} in vain for {what}"),
    }
}

/// Like [`until`], but the condition says what it saw instead, and the panic shows the last of it.
///
/// # Panics
/// When `deadline` has passed.
pub async fn until_ok<T, State, Look, Seen>(deadline: Duration, what: &str, look: Look) -> T
where
    State: Debug,
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, State>>,
{
    match poll(deadline, look).await {
        Ok(seen) => seen,
        Err(Some(last)) => panic!("waited {deadline:?} in vain for {what}; last seen: {last:?}"),
        Err(None) => panic!("waited {deadline:?} in vain for {what}; not even one look came to an end"),
    }
}

/// The loop under both: `Err` holds what the last completed look saw. A look that hangs ends with the deadline.
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
        let seen = until(Duration::from_secs(5), "the third look", || {
            looks += 1;
            let looks = looks;
            async move { (looks == 3).then_some(looks) }
        });
        assert_eq!(seen.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for a miracle; last seen: \"nothing\"")]
    async fn a_timeout_reports_the_last_observation() {
        until_ok(Duration::from_millis(60), "a miracle", async || Err::<(), _>("nothing")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "not even one look")]
    async fn a_hanging_check_does_not_outlive_the_deadline() {
        until_ok(Duration::from_millis(60), "a hanging look", || async {
            std::future::pending::<Result<(), ()>>().await
        })
        .await;
    }
}
