//! A call that was executed while its answer got lost. It takes its time, so other scenes play meanwhile.

use anyhow::Result;
use testbed::vendor::{Misbehaviour, When};

use super::{reset, show_way};
use crate::{
    screen::{INDENT, Waiting, quote, say, tell},
    stage::{NAMESPACE, Stage},
    story::Bookmark,
};

pub(super) async fn begin(stage: &Stage) -> Result<Bookmark> {
    tell(
        "The vendor clears the room, and the connection breaks before its answer. Was it executed? Sending again could \
         take seats from people who came in since, so the operator does not guess: it reads the room back.",
    );
    let sample = &stage.samples.careful;
    stage.vendor.script(When::clear().of(sample.group()?).times(1), Misbehaviour::Reset { execute: true });
    let bookmark = stage.story.bookmark(&reset(sample.name()?));
    stage.apply(NAMESPACE, sample).await?;
    let seen = stage.story.until(&bookmark, "Verifying").await?;
    show_way(stage, &bookmark);
    quote(&seen.message);
    tell(
        "That is about 15 s from the call, as designed: the vendor may still be at work. On with the show meanwhile.",
    );
    Ok(bookmark)
}

pub(super) async fn end(stage: &Stage, bookmark: &Bookmark) -> Result<()> {
    let line = Waiting::for_("waiting for the look into the room, 15 s after the call");
    let seen = stage.story.until(bookmark, "VerifiedEmpty").await?;
    drop(line);
    show_way(stage, bookmark);
    quote(&seen.message);
    let calls = stage.vendor.clears_of(stage.samples.careful.group()?).len();
    say(&format!("{INDENT}clears that the vendor has seen for this room: {calls}"));
    Ok(())
}
