//! A journal of all requests and their results.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Command, http::Request, limits::fullest, verify};

/// A request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The sequence number, starting at 0.
    pub sequence: usize,
    /// The number of the connection, starting at 0. Equal numbers mean a reused connection.
    pub connection: u64,
    /// When the request was complete, by the monotonic clock.
    pub arrived: Instant,
    /// The same by the wall clock.
    pub arrived_at: Timestamp,
    /// When the answer was sent; `None` before, and if no usable answer was sent.
    pub answered: Option<Instant>,
    /// The HTTP method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The raw query. It contains a credential.
    pub raw_query: String,
    /// The query's parameters in order, percent-decoded.
    pub query: Vec<(String, String)>,
    /// The HTTP headers in order.
    pub headers: Vec<(String, String)>,
    /// The body, with replacement characters for invalid UTF-8.
    pub body: String,
    /// The command, from the path.
    pub command: Command,
    /// The account from the query, if it is a number.
    pub sdkappid: Option<u64>,
    /// The group from the body, if any.
    pub group: Option<String>,
    /// The answer.
    pub answer: Answer,
    /// Whether the call was executed. A read is executed when the attributes were looked up.
    pub executed: bool,
}

/// The answer as the caller saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None yet.
    Waiting,
    /// The `ErrorCode` of a complete answer with HTTP status 200.
    Code(i64),
    /// Another HTTP status.
    Status(u16),
    /// Nothing usable, because of the misbehaviour of this name.
    Fault(&'static str),
}

impl Entry {
    /// The first query parameter of this name.
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
    /// Records a request when it arrives.
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

    /// The entry of this sequence number.
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
