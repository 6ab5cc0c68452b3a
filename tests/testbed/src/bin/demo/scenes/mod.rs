//! What is shown, in its order.
//!
//! | file | what it shows |
//! |---|---|
//! | `tables` | who is in the rooms, before and after; all resets |
//! | `one_room` | a success, a second request, a room that is missing, a busy one, one that waits |
//! | `accounts` | a wrong key that is corrected; an account of the platform team |
//! | `lost_answer` | a call whose outcome nobody saw |
//! | `burst` | 300 at once |

mod accounts;
mod burst;
mod lost_answer;
mod one_room;
mod tables;

use anyhow::Result;
use console::style;

use super::{
    screen::{self, INDENT, WIDTH, heading, say, tell},
    seconds,
    stage::{NAMESPACE, Stage},
    story::{Bookmark, Moment, Subject},
};

/// The whole show.
pub(crate) async fn play(stage: &Stage) -> Result<()> {
    let mut number = 0;
    let mut scene = |title: &str| {
        number += 1;
        heading(&format!("{number} · {title}"));
    };

    scene("Before the show");
    let before = tables::rooms_before(stage)?;
    tell(&format!(
        "The manifests are those of examples/. One line of them is changed on the way: `region: Singapore` becomes \
         `endpoint: {}`, so that they reach the simulator.",
        stage.vendor.url()
    ));

    scene("An account, and one room after the show");
    one_room::account(stage).await?;
    one_room::success(stage).await?;

    scene("A call whose outcome nobody sees");
    let lost = lost_answer::begin(stage).await?;

    scene("The same room after the second show");
    one_room::again(stage).await?;

    scene("A room that does not exist");
    one_room::missing(stage).await?;

    scene("A room where the vendor says: not so fast");
    one_room::busy(stage).await?;

    scene("A wrong key, then the right one");
    accounts::wrong_key(stage).await?;

    scene("An account of the whole company, and a reset that waits for a word");
    accounts::of_the_platform(stage).await?;
    one_room::suspended(stage).await?;

    scene("300 rooms at once");
    burst::play(stage).await?;

    scene("Back to the call whose outcome nobody saw");
    lost_answer::end(stage, &lost).await?;

    scene("After the show");
    tables::rooms_after(stage, &before)?;
    tables::resets(stage).await
}

/// The way of an object since a bookmark: `created → 0.02 s Sending → 0.06 s Cleared`.
fn show_way(stage: &Stage, since: &Bookmark) {
    let moments = stage.story.since(since);
    let Some(first) = moments.first() else { return };
    let mut way: Vec<(String, &Moment)> = Vec::new();
    for moment in &moments {
        let word = moment.reason.clone().unwrap_or_else(|| "applied".into());
        if way.last().is_none_or(|(last, _)| *last != word) {
            way.push((word, moment));
        }
    }
    let mut line = String::new();
    for (word, moment) in &way {
        let after = moment.at.duration_since(first.at);
        let step = match moment.reason {
            None => style(word).dim().to_string(),
            Some(_) => format!("{} {}", screen::reason(word), style(seconds(after)).dim()),
        };
        let arrow = if line.is_empty() { "" } else { " → " };
        if console::measure_text_width(&line) + console::measure_text_width(&step) + 3 > WIDTH - INDENT.len()
        {
            say(&format!("{INDENT}{line}{arrow}"));
            line = format!("  {step}");
        } else {
            line.push_str(arrow);
            line.push_str(&step);
        }
    }
    say(&format!("{INDENT}{line}"));
}

/// A reset in the namespace of the show.
fn reset(name: &str) -> Subject {
    Subject::reset(NAMESPACE, name)
}
