//! Scripted misbehaviour: what goes wrong, for which requests and how often.

use std::time::Duration;

use super::Command;

/// The requests a script applies to. Unset criteria match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// Only this command.
    pub command: Option<Command>,
    /// Only this group, by the `GroupId` of the body.
    pub group: Option<String>,
    /// Only this account, by the `sdkappid` of the query.
    pub sdkappid: Option<u64>,
    /// How many times; `None` for unlimited.
    pub times: Option<u32>,
}

impl When {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Every clear.
    #[must_use]
    pub fn clear() -> Self {
        Self { command: Some(Command::Clear), ..Self::default() }
    }

    /// Every read.
    #[must_use]
    pub fn get() -> Self {
        Self { command: Some(Command::Get), ..Self::default() }
    }

    /// Only for this group.
    #[must_use]
    pub fn of(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Only for this account.
    #[must_use]
    pub fn by(self, sdkappid: u64) -> Self {
        Self { sdkappid: Some(sdkappid), ..self }
    }

    /// Only the first `times` requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn matches(&self, command: Command, group: Option<&str>, sdkappid: Option<u64>) -> bool {
        self.times != Some(0)
            && self.command.is_none_or(|wanted| wanted == command)
            && self.group.as_deref().is_none_or(|wanted| group == Some(wanted))
            && self.sdkappid.is_none_or(|wanted| sdkappid == Some(wanted))
    }
}

/// How the vendor misbehaves. An invalid request (say, signed with a wrong key) is never executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Refuses with this code; nothing is executed.
    Code(i64),
    /// Executes, but answers with this code.
    CodeAfterExecuting(i64),
    /// Waits, then behaves normally.
    DelayBefore(Duration),
    /// Executes, waits, then answers normally.
    DelayAfter(Duration),
    /// Never answers, and keeps the connection until the client gives up.
    Hang {
        /// Whether the call takes effect.
        execute: bool,
    },
    /// Resets the connection (RST).
    Reset {
        /// Whether the call takes effect.
        execute: bool,
    },
    /// Executes, then closes the connection in the middle of the answer's body.
    Truncate,
    /// Executes; status 200 with this body.
    WrongBody(String),
    /// A gateway answers with this HTTP status; nothing is executed.
    Status(u16),
    /// A gateway answers with this HTTP status and this `Retry-After`; nothing is executed.
    RetryAfter(u16, String),
    /// Executes, but a gateway answers with this HTTP status.
    StatusAfterExecuting(u16),
    /// A gateway's HTML page with status 200; nothing is executed.
    Html,
    /// Executes; an answer of this many bytes, sent as fast as the client reads.
    HugeBody(u64),
    /// Executes; the correct answer at four bytes a second.
    SlowBytes,
    /// Redirects to this URL; nothing is executed.
    Redirect(String),
    /// Executes; a gzip-encoded answer that decompresses to 1 GiB.
    GzipBomb,
    /// Executes; a gateway compresses the correct answer with gzip, unless told not to.
    CompressUnlessTold,
    /// Executes; a gateway compresses the correct answer with gzip, whatever it is told.
    Compress,
    /// Executes; the correct answer as a gateway passes it on: status 203, in chunks.
    PassedOn,
    /// Executes; the correct answer with content type `text/html`.
    WrongContentType,
    /// Executes; `ErrorCode` is a string.
    CodeAsString,
    /// Executes; the correct answer without `ActionStatus`. That is a success.
    MissingActionStatus,
    /// Executes; the correct answer without `ErrorInfo`. That is a success.
    MissingErrorInfo,
    /// `FAIL`, but with code 0; nothing is executed.
    FailWithCodeZero,
    /// Behaves normally, then closes the connection without announcing it.
    CloseIdle,
}

impl Misbehaviour {
    /// Whether the call is executed although the answer is bad or missing.
    #[must_use]
    pub fn executes(&self) -> bool {
        match self {
            Self::Hang { execute } | Self::Reset { execute } => *execute,
            Self::Code(_)
            | Self::Status(_)
            | Self::RetryAfter(..)
            | Self::Html
            | Self::Redirect(_)
            | Self::FailWithCodeZero => false,
            Self::CodeAfterExecuting(_)
            | Self::DelayBefore(_)
            | Self::DelayAfter(_)
            | Self::Truncate
            | Self::WrongBody(_)
            | Self::StatusAfterExecuting(_)
            | Self::HugeBody(_)
            | Self::SlowBytes
            | Self::GzipBomb
            | Self::CompressUnlessTold
            | Self::Compress
            | Self::PassedOn
            | Self::WrongContentType
            | Self::CodeAsString
            | Self::MissingActionStatus
            | Self::MissingErrorInfo
            | Self::CloseIdle => true,
        }
    }
}

/// All scripts in order; the first match applies.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    scripts: Vec<(When, Misbehaviour)>,
}

impl Scripts {
    pub(super) fn add(&mut self, when: When, misbehaviour: Misbehaviour) {
        self.scripts.push((when, misbehaviour));
    }

    pub(super) fn clear(&mut self) {
        self.scripts.clear();
    }

    /// Finds the script for a request and counts it as used once.
    pub(super) fn play(
        &mut self,
        command: Command,
        group: Option<&str>,
        sdkappid: Option<u64>,
    ) -> Option<Misbehaviour> {
        let (when, misbehaviour) =
            self.scripts.iter_mut().find(|(when, _)| when.matches(command, group, sdkappid))?;
        if let Some(times) = &mut when.times {
            *times -= 1;
        }
        Some(misbehaviour.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_script_runs_as_often_as_it_says() {
        let mut scripts = Scripts::default();
        scripts.add(When::clear().of("a").times(2), Misbehaviour::Code(1));
        scripts.add(When::any().by(7), Misbehaviour::Code(2));
        assert_eq!(scripts.play(Command::Get, Some("a"), Some(7)), Some(Misbehaviour::Code(2)));
        assert_eq!(scripts.play(Command::Clear, Some("a"), Some(7)), Some(Misbehaviour::Code(1)));
        assert_eq!(scripts.play(Command::Clear, Some("a"), Some(7)), Some(Misbehaviour::Code(1)));
        assert_eq!(scripts.play(Command::Clear, Some("a"), Some(7)), Some(Misbehaviour::Code(2)));
        assert_eq!(scripts.play(Command::Clear, Some("b"), Some(8)), None);
    }
}
