//! The vendor's data (accounts, rooms and attributes) and the effect of calls on it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    Command,
    http::Request,
    limits::{Limits, Window},
    verify::{self, Refusal},
};

/// The attributes of one room.
pub type Attributes = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) key: String,
    pub(super) administrators: Vec<String>,
}

#[derive(Debug, Default)]
struct Room {
    attributes: Attributes,
    writes: Window,
}

/// The result of a call.
#[derive(Debug)]
pub(super) enum Reply {
    Cleared,
    Read(Attributes),
    Refused(Refusal),
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) limits: Limits,
    /// How many seconds the vendor's clock is ahead of this machine's.
    pub(super) clock_ahead: i64,
    accounts: HashMap<u64, Account>,
    rooms: HashMap<(u64, String), Room>,
    calls: HashMap<(u64, Command), Window>,
}

impl World {
    pub(super) fn add_account(&mut self, number: u64, account: Account) {
        self.accounts.insert(number, account);
    }

    pub(super) fn remove_account(&mut self, number: u64) {
        self.accounts.remove(&number);
    }

    pub(super) fn add_room(&mut self, number: u64, group: &str, attributes: Attributes) {
        self.rooms.insert((number, group.to_owned()), Room { attributes, ..Room::default() });
    }

    pub(super) fn remove_room(&mut self, number: u64, group: &str) {
        self.rooms.remove(&(number, group.to_owned()));
    }

    pub(super) fn attributes(&self, number: u64, group: &str) -> Option<&Attributes> {
        self.rooms.get(&(number, group.to_owned())).map(|room| &room.attributes)
    }

    /// A write by somebody in the room; it counts towards the limit that the caller shares with them.
    pub(super) fn seat(&mut self, number: u64, group: &str, key: &str, value: &str, now: Instant) {
        let room = self.rooms.entry((number, group.to_owned())).or_default();
        room.attributes.insert(key.to_owned(), value.to_owned());
        room.writes.count(now);
    }

    /// Validates a request and, if it is valid, executes it.
    pub(super) fn execute(&mut self, request: &Request, at: Instant) -> Reply {
        self.try_execute(request, at).unwrap_or_else(Reply::Refused)
    }

    fn try_execute(&mut self, request: &Request, at: Instant) -> Result<Reply, Refusal> {
        let command = verify::known_call(request)?;
        let query = request.query();
        let number = verify::account_number(&query)?;
        let account = self.accounts.get(&number).ok_or(Refusal::of(60006, "sdkappid is unknown"))?;
        let now = jiff::Timestamp::now().as_second() + self.clock_ahead;
        verify::caller(request, &query, number, account, now)?;

        let calls = self.calls.entry((number, command)).or_default();
        if !calls.has_room(at, self.limits.calls_per_second) {
            return Err(Refusal::of(self.limits.too_many_calls, "too many calls"));
        }
        calls.count(at);

        let group = verify::group(&request.body)?;
        let room =
            self.rooms.get_mut(&(number, group)).ok_or(Refusal::of(10010, "the group does not exist"))?;
        if command != Command::Clear {
            return Ok(Reply::Read(room.attributes.clone()));
        }
        if !room.writes.has_room(at, self.limits.writes_per_group) {
            return Err(Refusal::of(10049, "writes to this group are too frequent"));
        }
        room.writes.count(at);
        room.attributes.clear();
        Ok(Reply::Cleared)
    }
}
