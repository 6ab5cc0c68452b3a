//! Every request that arrived, and what became of it.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Command, http::Request, limits::fullest, verify};

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// 0 for the first request of all.
    pub sequence: usize,
    /// On which connection, 0 for the first. Equal numbers mean a connection that was used again.
    pub connection: u64,
    /// When it was complete, on the monotonic clock.
    pub arrived: Instant,
    /// The same on the wall clock.
    pub arrived_at: Timestamp,
    /// When the answer left; `None` before, and when no usable one was sent.
    pub answered: Option<Instant>,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The query as it was sent. It holds a credential.
    pub raw_query: String,
    /// The query's parameters in their order, percent-decoded.
    pub query: Vec<(String, String)>,
    /// HTTP headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body, with replacement characters where it is not UTF-8.
    pub body: String,
    /// By the path.
    pub command: Command,
    /// By the query, if it names a number.
    pub sdkappid: Option<u64>,
    /// By the body, if it names a group.
    pub group: Option<String>,
    /// What was answered.
    pub answer: Answer,
    /// Whether the call took effect. A read takes effect when the attributes were looked up.
    pub executed: bool,
}

/// What the caller saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Waiting,
    /// `ErrorCode` of a complete answer with HTTP status 200.
    Code(i64),
    /// Another HTTP status.
    Status(u16),
    /// Nothing usable; by the name of the misbehaviour.
    Fault(&'static str),
}

impl Entry {
    /// A parameter of the query, the first if there are several.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
}

impl Journal {
    /// Enters a request at the moment of its arrival.
    pub(super) fn enter(&mut self, connection: u64, request: &Request, arrived: Instant) -> &Entry {
        let query = request.query();
        let sequence = self.entries.len();
        self.entries.push(Entry {
            sequence,
            connection,
            arrived,
            arrived_at: Timestamp::now(),
            answered: None,
            method: request.method.clone(),
            path: request.path.clone(),
            raw_query: request.raw_query.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            command: verify::command_of(&request.path),
            sdkappid: verify::account_number(&query).ok(),
            group: verify::group(&request.body).ok(),
            query,
            answer: Answer::Waiting,
            executed: false,
        });
        &self.entries[sequence]
    }

    /// An entry by its sequence number.
    pub(super) fn entry(&mut self, sequence: usize) -> &mut Entry {
        &mut self.entries[sequence]
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn fullest_window(&self, sdkappid: u64, command: Command, width: Duration) -> usize {
        let of_account = |entry: &&Entry| entry.sdkappid == Some(sdkappid) && entry.command == command;
        fullest(self.entries.iter().filter(of_account).map(|entry| entry.arrived).collect(), width)
    }
}
