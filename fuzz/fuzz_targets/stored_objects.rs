//! Objects as they may be stored, by any version and under any CRD: decoded, planned, called for and read back until
//! nothing is left to do. Nothing panics; and as long as what was stored keeps to the CRD's bounds, so does every next
//! status, below 8 KiB and without the vendor's secrets.
//!
//! Input, in three lines: what is stored, the answer of the vendor to each call, and bytes that decide the rest.
#![no_main]

use std::time::Duration;

use groupattr::api::{AppReason, GroupAttributeReset, PendingAttempt, ResetStatus};
use groupattr::chat::wire::parse_reply;
use groupattr::chat::{AccountId, Answer, MAX_TEXT_BYTES, NetworkError, Reply, clean_text};
use groupattr::limits::mono::Mono;
use groupattr::protocol::Now;
use groupattr::protocol::classify::classify;
use groupattr::protocol::deadlines::prune_metadata;
use groupattr::protocol::event_policy::event_for;
use groupattr::protocol::outcome::{WriteContext, after_attempt, after_read_back, intent};
use groupattr::protocol::plan::{AppState, AppView, LocalState, Step, plan};
use groupattr::protocol::status::current;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;

const SIG: &str =
    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZi*QUFmSlAKUMTAyiAyqVWFGQ-ZpYJk__";
const HOST: &str = "chat.example.com:443";

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let (stored, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let dice = parts.next().unwrap_or_default();
    let Ok(mut reset) = serde_json::from_slice::<GroupAttributeReset>(stored) else { return };
    prune_metadata(&mut reset.metadata);
    let mut run =
        Run { bounded: fits_the_crd(&reset), quotes: contains(stored), reset, dice, now: 1_770_000_000 };
    for _ in 0..12 {
        if !run.step(body) {
            return;
        }
    }
});

struct Run<'a> {
    reset: GroupAttributeReset,
    /// What was stored keeps to the CRD's bounds.
    bounded: bool,
    /// What was stored has the signature in it from the start.
    quotes: bool,
    dice: &'a [u8],
    now: i64,
}

impl Run<'_> {
    fn die(&mut self) -> u8 {
        let Some((first, rest)) = self.dice.split_first() else { return 0 };
        self.dice = rest;
        *first
    }

    fn now(&self) -> Now {
        let since = Duration::from_secs(u64::try_from(self.now - 1_770_000_000).unwrap_or_default());
        Now { wall: Timestamp::from_second(self.now).expect("a year of ours"), mono: Mono::START + since }
    }

    /// One step; false when nothing is left to do.
    fn step(&mut self, body: &[u8]) -> bool {
        let die = self.die();
        self.now += [0, 1, 6, 20, 400, 3_700, 700_000, 1][usize::from(die & 7)];
        let state = match die >> 3 & 7 {
            1 => AppState::Missing,
            2 => AppState::NotAllowed,
            3 => AppState::Suspended,
            4 => AppState::Checking,
            5 => AppState::NotReady(AppReason::CredentialsRejected, Some(70009)),
            _ => AppState::Working,
        };
        let account = Some(AccountId { sdk_app_id: 1_400_000_000, host: HOST.to_owned() });
        let app = AppView { state, account: account.filter(|_| die & 64 == 0) };
        let now = self.now();
        let local = LocalState {
            read_back_at: Some(now.mono),
            hold_until: (die & 128 != 0).then_some(now.mono),
            eligible_since: Some(now.mono - Duration::from_secs(11)),
            clock_ahead: SignedDuration::from_hours(i64::from(die & 32 != 0)),
        };
        let plan = plan(&self.reset, &app, &local, now);
        if let Some(explanation) = plan.explain {
            self.check(&explanation);
        }
        match plan.step {
            Step::Wait(_) => true,
            Step::Delete => false,
            Step::Record(next) => self.store(*next),
            Step::Send => {
                let pending = pending(&self.reset, now);
                self.store(intent(&self.reset, pending.clone(), now));
                let next = after_attempt(&self.reset, &pending, &classify(&answer(body)), at(now, die));
                self.store(next)
            }
            Step::ReadBack(pending) => {
                match after_read_back(&self.reset, &pending, &classify(&answer(body)), at(now, die)) {
                    Some(next) => self.store(next),
                    None => true,
                }
            }
        }
    }

    fn store(&mut self, next: ResetStatus) -> bool {
        self.check(&next);
        let before = current(&self.reset);
        if let Some(notice) = event_for(&before, &next) {
            assert!(self.quotes || !contains(notice.note.as_bytes()), "{}", notice.note);
        }
        self.reset.status = Some(next);
        true
    }

    fn check(&self, status: &ResetStatus) {
        let text = serde_json::to_vec(status).expect("JSON");
        assert!(self.quotes || !contains(&text), "{}", String::from_utf8_lossy(&text));
        let read: ResetStatus = serde_json::from_slice(&text).expect("what is written can be read");
        assert_eq!(read, *status);
        if self.bounded {
            assert!(text.len() <= 8192, "{} bytes: {}", text.len(), String::from_utf8_lossy(&text));
            let mut after = self.reset.clone();
            after.status = Some(status.clone());
            assert!(fits_the_crd(&after), "the API server would refuse {}", String::from_utf8_lossy(&text));
        }
    }
}

fn at(now: Now, die: u8) -> WriteContext {
    WriteContext { now, jitter: f64::from(die) / 255.0, throttle: Duration::from_secs(u64::from(die)) }
}

fn answer(body: &[u8]) -> Answer {
    match (body, parse_reply(body)) {
        (b"", _) => Answer::NoAnswer(NetworkError::Timeout),
        (b"-", _) => Answer::NotSent(NetworkError::Timeout),
        (_, Ok(reply)) => {
            let error_info = clean_text(&reply.error_info, &[SIG], MAX_TEXT_BYTES);
            Answer::Reply(Reply { error_info, ..reply })
        }
        (_, Err(unreadable)) => Answer::Unreadable(unreadable),
    }
}

fn pending(reset: &GroupAttributeReset, now: Now) -> PendingAttempt {
    PendingAttempt {
        id: "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(),
        number: current(reset).attempts.saturating_add(1),
        start_time: now.microsecond(),
        deadline: now.microsecond() + Duration::from_secs(10),
        holder: "h".repeat(290),
        sdk_app_id: 1_400_000_000,
        host: HOST.to_owned(),
    }
}

/// A piece of the signature, as a reader would recognise it.
fn contains(text: &[u8]) -> bool {
    SIG.as_bytes().windows(16).any(|piece| text.windows(16).any(|found| found.eq_ignore_ascii_case(piece)))
}

/// The bounds of `crds/groupattributeresets.yaml`, written a second time, as far as sizes go.
fn fits_the_crd(reset: &GroupAttributeReset) -> bool {
    // Only messages and the vendor's text may be other than ASCII.
    let at_most = |text: &str, most: usize| text.len() <= most && text.is_ascii();
    let optional = |text: Option<&String>, most| text.is_none_or(|text| at_most(text, most));
    let spec = &reset.spec;
    let spec_fits = at_most(&spec.group_id, 96)
        && at_most(&spec.app_ref.name, 63)
        && optional(spec.request_id.as_ref(), 128)
        && (1..=604_800).contains(&spec.active_deadline_seconds)
        && (0..=20).contains(&spec.backoff_limit);
    let Some(status) = &reset.status else { return spec_fits };
    let conditions = status.conditions.len() <= 5
        && status.conditions.iter().all(|condition| {
            at_most(&condition.type_, 13) && at_most(&condition.reason, 64) && condition.message.len() <= 512
        });
    let pending = status.pending_attempt.as_ref().is_none_or(|pending| {
        at_most(&pending.id, 64) && at_most(&pending.holder, 320) && at_most(&pending.host, 300)
    });
    let last = status.last_attempt.as_ref().is_none_or(|last| {
        let info = last.error_info.as_ref().is_none_or(|info| info.len() <= 256);
        at_most(&last.id, 64) && info && at_most(&last.host, 300)
    });
    let history = status.history.len() <= 5
        && status.history.iter().all(|past| optional(past.request_id.as_ref(), 128));
    let counts = status.attempts >= 0 && status.failures >= 0;
    spec_fits
        && conditions
        && pending
        && last
        && history
        && counts
        && optional(status.request_id.as_ref(), 128)
}
