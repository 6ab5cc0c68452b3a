//! Accounts that do not work, and accounts of others.

use anyhow::{Context as _, Result};
use console::style;

use super::{reset, show_way};
use crate::{
    screen::{INDENT, Waiting, quote, say, tell},
    stage::{NAMESPACE, RIGHT_KEY, Stage},
    story::Subject,
};

/// No key: nothing is sent and everything waits; the right one: everything goes on, without anybody's help.
pub(super) async fn wrong_key(stage: &Stage) -> Result<()> {
    let sample = &stage.samples.second_account;
    tell(
        "Somebody applied the sample and forgot to put in the key. The account says so, and its reset waits.",
    );
    let app = stage.story.bookmark(&Subject::app(NAMESPACE, "second"));
    let waiting = stage.story.bookmark(&reset(sample.name()?));
    stage.apply(NAMESPACE, sample).await?;
    let rejected = stage.story.until(&app, "SecretKeyInvalid").await?;
    say(&format!("{INDENT}{}", style("ChatApp second").bold()));
    quote(&rejected.message);
    let stuck = stage.story.until(&waiting, "AppNotReady").await?;
    say(&format!("{INDENT}{}", style(format!("GroupAttributeReset {}", sample.name()?)).bold()));
    quote(&stuck.message);

    tell("Now the right key. Nothing else is touched: no restart, no new reset.");
    let patch = format!("{{\"stringData\":{{\"secretKey\":\"{RIGHT_KEY}\"}}}}");
    stage.kubectl(&["-n", NAMESPACE, "patch", "secret", "second", "-p", &patch]).await?;
    let line =
        Waiting::for_("the operator tries an account that was refused after 5 s, then after 10, 20 … 60 s");
    stage.story.until(&app, "Verified").await?;
    stage.story.until(&waiting, "Cleared").await?;
    drop(line);
    say(&format!("{INDENT}{}", style("ChatApp second").bold()));
    show_way(stage, &app);
    say(&format!("{INDENT}{}", style(format!("GroupAttributeReset {}", sample.name()?)).bold()));
    show_way(stage, &waiting);
    let calls = stage.vendor.clears_of(sample.group()?).len();
    say(&format!("{INDENT}clears that the vendor has seen for this room: {calls}"));
    Ok(())
}

/// A `ClusterChatApp`: used by a team that cannot read its key.
pub(super) async fn of_the_platform(stage: &Stage) -> Result<()> {
    let sample = &stage.samples.cluster_app;
    tell(
        "A ClusterChatApp is opened to the namespaces that the platform team chooses; its key stays at home.",
    );
    let app = stage.story.bookmark(&Subject::cluster_app("company"));
    let bookmark = stage.story.bookmark(&reset(sample.name()?));
    stage.apply_as_it_is(sample).await?;
    stage.story.until(&app, "Verified").await?;
    stage.story.until(&bookmark, "Cleared").await.context("the account was verified")?;
    show_way(stage, &bookmark);
    tell("And a reset that was prepared beforehand:");
    Ok(())
}
