//! One room at a time.

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::vendor::{Misbehaviour, When};

use super::{reset, show_way};
use crate::{
    rooms::people_in,
    samples::Sample,
    screen::{INDENT, good, quote, say, tell},
    stage::{NAMESPACE, Stage},
    story::{Moment, Subject},
};

/// The account that all others of this file use.
pub(super) async fn account(stage: &Stage) -> Result<()> {
    tell("A ChatApp holds the account; before anything is sent, one harmless read proves its key.");
    let app = stage.story.bookmark(&Subject::app(NAMESPACE, "default"));
    stage.apply(NAMESPACE, &stage.samples.app).await?;
    stage.story.until(&app, "Verified").await?;
    show_way(stage, &app);
    Ok(())
}

/// Applies a sample and tells its way to the end.
async fn play(stage: &Stage, sample: &Sample, end: &str) -> Result<Moment> {
    let bookmark = stage.story.bookmark(&reset(sample.name()?));
    stage.apply(NAMESPACE, sample).await?;
    let moment = stage.story.until(&bookmark, end).await?;
    show_way(stage, &bookmark);
    Ok(moment)
}

fn show_room(stage: &Stage, before: &str, sample: &Sample) -> Result<()> {
    let (account, group) = (stage.samples.app.account()?, sample.group()?);
    say(&format!("{INDENT}{group}: {before} → {}", people_in(&stage.vendor, account, group)));
    Ok(())
}

pub(super) async fn success(stage: &Stage) -> Result<()> {
    tell("The shortest reset has one line of spec: clear this room, once.");
    let sample = &stage.samples.reset;
    let before = people_in(&stage.vendor, stage.samples.app.account()?, sample.group()?);
    play(stage, sample, "Cleared").await?;
    show_room(stage, &before, sample)
}

pub(super) async fn again(stage: &Stage) -> Result<()> {
    tell(
        "People came in again. To apply the same manifest once more changes nothing, by design: one object, one \
         reset. A requestID that the object has not had yet asks for one more; history keeps the first.",
    );
    let sample = &stage.samples.again;
    let room = stage.rooms.iter().find(|room| Some(room.group.as_str()) == sample.group().ok());
    room.context("the sample names no room of the show")?.fill(&stage.vendor);
    let before = people_in(&stage.vendor, stage.samples.app.account()?, sample.group()?);
    stage.apply(NAMESPACE, &stage.samples.reset).await?;
    let seen = play(stage, sample, "Cleared").await?;
    show_room(stage, &before, sample)?;
    let status = &seen.object["status"];
    say(&format!("{INDENT}status: requestID {}", text(&status["requestID"])));
    for past in status["history"].as_array().into_iter().flatten() {
        say(&format!(
            "{INDENT}history: requestID {}, {} with {} call, {}",
            text(&past["requestID"]),
            text(&past["reason"]),
            past["attempts"],
            text(&past["completionTime"])
        ));
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("none")
}

pub(super) async fn missing(stage: &Stage) -> Result<()> {
    tell("It ends at once, with a reason that a person understands; the vendor had said so with HTTP 200.");
    let seen = play(stage, &stage.samples.missing_room, "GroupNotFound").await?;
    quote(&seen.message);
    Ok(())
}

pub(super) async fn busy(stage: &Stage) -> Result<()> {
    tell(
        "Live clients share the limit of writes to their room. The simulator refuses the first clear (code 10049); \
         the operator slows down for this room and comes back. This is no failure and is not counted as one.",
    );
    let sample = &stage.samples.busy_room;
    stage.vendor.script(When::clear().of(sample.group()?).times(1), Misbehaviour::Code(10049));
    let bookmark = stage.story.bookmark(&reset(sample.name()?));
    let before = people_in(&stage.vendor, stage.samples.app.account()?, sample.group()?);
    stage.apply(NAMESPACE, sample).await?;
    let limited = stage.story.until(&bookmark, "RateLimited").await?;
    let seen = stage.story.until(&bookmark, "Cleared").await?;
    show_way(stage, &bookmark);
    quote(&limited.message);
    show_room(stage, &before, sample)?;
    let (attempts, failures) = (&seen.object["status"]["attempts"], &seen.object["status"]["failures"]);
    say(&format!("{INDENT}attempts: {attempts}, failures: {}", failures.as_i64().unwrap_or_default()));
    Ok(())
}

pub(super) async fn suspended(stage: &Stage) -> Result<()> {
    let sample = &stage.samples.suspended;
    play(stage, sample, "Suspended").await?;
    let calls = stage.vendor.clears_of(sample.group()?).len();
    good(&format!("{} stays suspended, the vendor has seen {calls} calls for it", sample.name()?));
    Ok(())
}
