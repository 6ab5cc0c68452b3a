//! The tables at both ends of the show.

use anyhow::Result;
use console::style;

use crate::{
    rooms,
    screen::{say, tell},
    stage::{FESTIVAL, Stage},
    table,
};

/// Shows who is where, and returns it for the table afterwards.
pub(super) fn rooms_before(stage: &Stage) -> Result<Vec<String>> {
    let mut people: Vec<_> = stage.rooms.iter().map(|room| room.people_now(&stage.vendor)).collect();
    people.push(rooms::festival_now(&stage.vendor, stage.samples.app.account()?));
    let mut rows: Vec<_> = stage
        .rooms
        .iter()
        .zip(&people)
        .map(|(room, people)| vec![room.group.clone(), room.account.to_string(), people.clone()])
        .collect();
    rows.push(vec![festival(), stage.samples.app.account()?.to_string(), people[rows.len()].clone()]);
    table::show(&["ROOM", "ACCOUNT", "SEATS, AS THE VENDOR KEEPS THEM"], &rows);
    Ok(people)
}

/// Shows what became of it.
pub(super) fn rooms_after(stage: &Stage, before: &[String]) -> Result<()> {
    let now = |index: usize| before[index].clone();
    let mut rows: Vec<_> = stage
        .rooms
        .iter()
        .enumerate()
        .map(|(index, room)| {
            vec![room.group.clone(), now(index), room.people_now(&stage.vendor), room.fate.to_owned()]
        })
        .collect();
    let festival_now = rooms::festival_now(&stage.vendor, stage.samples.app.account()?);
    rows.push(vec![festival(), now(rows.len()), festival_now, "one call each".to_owned()]);
    table::show(&["ROOM", "BEFORE", "AFTER", "WHAT HAPPENED"], &rows);
    Ok(())
}

/// All resets as kubectl prints them; of the 300 that look alike, two.
pub(super) async fn resets(stage: &Stage) -> Result<()> {
    let printed = stage.kubectl(&["get", "gar", "-A"]).await?;
    let (burst, others): (Vec<_>, Vec<_>) = printed.lines().partition(|line| line.starts_with(FESTIVAL));
    // Not moved to the right: the names of the samples are short enough for 100 columns, and no shorter.
    let mut lines = others.into_iter();
    if let Some(header) = lines.next() {
        say(&style(header).bold().to_string());
    }
    burst.iter().take(2).for_each(|line| say(&coloured(line)));
    let more = burst.len().saturating_sub(2);
    say(&style(format!("… {more} more of the burst")).dim().to_string());
    lines.for_each(|line| say(&coloured(line)));
    tell(
        "A script waits with `kubectl wait --for=condition=Finished`; Helm, Flux and Argo CD read the same status.",
    );
    Ok(())
}

/// The column SUCCEEDED decides.
fn coloured(line: &str) -> String {
    let line = line.to_owned();
    match line.split_whitespace().nth(4) {
        Some("True") => style(line).green().to_string(),
        Some("False") => style(line).red().to_string(),
        _ => style(line).yellow().to_string(),
    }
}

fn festival() -> String {
    format!("{} rooms @TGS#aFEST…", rooms::FESTIVAL)
}
