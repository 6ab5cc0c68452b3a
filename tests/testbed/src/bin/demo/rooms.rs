//! The rooms of the show, and who sits in them.

use anyhow::Result;
use console::style;
use testbed::Vendor;

use super::samples::{Sample, Samples};

/// How many rooms the burst clears.
pub(crate) const FESTIVAL: usize = 300;

/// Who sits in each of them.
const SEATS_IN_FESTIVAL_ROOM: [(&str, &str); 3] = [("seat1", "Ida"), ("seat2", "Jon"), ("seat3", "Kim")];

/// A room with the people in it before the show.
pub(crate) struct Room {
    pub(crate) account: u64,
    pub(crate) group: String,
    pub(crate) people: &'static [&'static str],
    /// What the show does with it.
    pub(crate) fate: &'static str,
}

/// The rooms that the samples name, and one that nobody names.
pub(crate) fn cast(samples: &Samples) -> Result<Vec<Room>> {
    let main = samples.app.account()?;
    let room = |account, sample: &Sample, people, fate| {
        Ok::<_, anyhow::Error>(Room { account, group: sample.group()?.to_owned(), people, fate })
    };
    Ok(vec![
        room(main, &samples.reset, &["Ann", "Bob", "Cem"], "cleared after each of two shows")?,
        room(main, &samples.busy_room, &["Dan", "Eve", "Fay", "Gus"], "throttled first, then cleared")?,
        room(main, &samples.careful, &["Hal", "Ivy"], "cleared; the answer got lost")?,
        room(
            samples.second_account.account()?,
            &samples.second_account,
            &["Jim", "Kay"],
            "cleared, once the key was right",
        )?,
        room(
            samples.cluster_app.account()?,
            &samples.cluster_app,
            &["Lea", "Max", "Ned"],
            "cleared by the company's account",
        )?,
        room(main, &samples.suspended, &["Oda", "Pia"], "waits for somebody's word")?,
        Room { account: main, group: "@TGS#aBAR".into(), people: &["Quy", "Ray"], fate: "nobody asked" },
    ])
}

impl Room {
    /// People come in, or come back.
    pub(crate) fn fill(&self, vendor: &Vendor) {
        let seats: Vec<_> = (1..).map(|number| format!("seat{number}")).zip(self.people).collect();
        let seats: Vec<_> = seats.iter().map(|(seat, person)| (seat.as_str(), **person)).collect();
        vendor.room(self.account, &self.group, &seats);
    }

    /// Who is in it now, as a cell of a table.
    pub(crate) fn people_now(&self, vendor: &Vendor) -> String {
        people_in(vendor, self.account, &self.group)
    }
}

/// Who is in a room now.
pub(crate) fn people_in(vendor: &Vendor, account: u64, group: &str) -> String {
    match vendor.attributes(account, group) {
        None => style("no such room").red().to_string(),
        Some(seats) if seats.is_empty() => style("empty").dim().to_string(),
        Some(seats) => style(seats.into_values().collect::<Vec<_>>().join(" · ")).green().to_string(),
    }
}

/// The group of a room of the burst.
pub(crate) fn festival_group(number: usize) -> String {
    format!("@TGS#aFEST{number:03}")
}

/// People fill all rooms of the burst.
pub(crate) fn fill_festival(vendor: &Vendor, account: u64) {
    for number in 1..=FESTIVAL {
        vendor.room(account, &festival_group(number), &SEATS_IN_FESTIVAL_ROOM);
    }
}

/// How many seats are taken in all of them, as a cell of a table.
pub(crate) fn festival_now(vendor: &Vendor, account: u64) -> String {
    let taken = (1..=FESTIVAL).filter_map(|number| vendor.attributes(account, &festival_group(number)));
    match taken.map(|seats| seats.len()).sum() {
        0 => style("all empty").dim().to_string(),
        seats => style(format!("{seats} people")).green().to_string(),
    }
}
