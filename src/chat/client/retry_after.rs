//! How long an answer asks to be left alone: the header `Retry-After` of HTTP.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest pause that an answer can ask for. A gateway's mistake must not stop an account for a day.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// The pause that the headers ask for, in seconds or as a date, at most five minutes. `None` if they ask for none, or
/// for something that cannot be read.
///
/// A date is compared with the time of the answer, if that is given, so that the clocks need not agree; otherwise with
/// `now`.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let sent = date(headers, &DATE).unwrap_or(now);
        httpdate::parse_http_date(value).ok()?.duration_since(sent).unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER)).filter(|pause| !pause.is_zero())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(value: &str, date: Option<&str>) -> Option<u64> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, now).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds_and_dates_say_the_same() {
        assert_eq!(asked("30", None), Some(30));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT", None), Some(30));
        assert_eq!(asked("Sunday, 06-Nov-94 08:50:07 GMT", None), Some(30), "the older forms of HTTP");
        let hour_ahead = Some("Sun, 06 Nov 1994 09:49:37 GMT");
        assert_eq!(asked("Sun, 06 Nov 1994 09:50:07 GMT", hour_ahead), Some(30), "the other clock is ahead");
    }

    #[test]
    fn nobody_is_kept_waiting_for_longer_than_five_minutes() {
        for value in ["86400", "99999999999999999999999", "Mon, 06 Nov 2034 08:49:37 GMT"] {
            assert_eq!(asked(value, None), Some(300), "{value}");
        }
    }

    #[test]
    fn what_asks_for_no_pause_gives_none() {
        for value in ["", "0", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:36 GMT"] {
            assert_eq!(asked(value, None), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }
}
