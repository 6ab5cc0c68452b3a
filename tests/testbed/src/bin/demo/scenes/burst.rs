//! 300 resets at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use console::style;
use futures::{TryStreamExt as _, stream};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use testbed::vendor::Command;

use crate::{
    rooms::{FESTIVAL as ROOMS, festival_group},
    screen::{INDENT, Progress, good, say, tell},
    seconds,
    stage::{FESTIVAL, Stage},
    story::Subject,
};

/// What the vendor allows.
const LIMIT: usize = 200;
/// How many objects are made at the same time.
const HANDS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn play(stage: &Stage) -> Result<()> {
    tell(
        "The vendor takes 200 calls a second of an account, shared with everybody who uses it. So 300 need 1.5 s or more.",
    );
    let app = stage.story.bookmark(&Subject::app(FESTIVAL, "default"));
    stage.apply(FESTIVAL, &stage.samples.app).await?;
    stage.story.until(&app, "Verified").await?;
    say(&format!(
        "{INDENT}{ROOMS} copies of examples/{} are created, one for each room:",
        stage.samples.reset.file
    ));

    let before = calls(stage);
    let since = Instant::now();
    let mut bar = Progress::of(ROOMS, "cleared");
    let (created, cleared) = tokio::try_join!(create(stage, since), follow(stage, since, &mut bar))?;
    bar.end();

    let calls = calls(stage) - before;
    let fullest = stage.vendor.fullest_window(stage.samples.app.account()?, Command::Clear, SECOND);
    let strong = |text: String| style(text).bold().to_string();
    say(&format!(
        "{INDENT}all created after {}, all cleared after {}",
        strong(seconds(created)),
        strong(seconds(cleared))
    ));
    say(&format!("{INDENT}calls: {} for {ROOMS} rooms", strong(calls.to_string())));
    say(&format!("{INDENT}fullest second at the vendor: {} of {LIMIT} allowed", strong(fullest.to_string())));
    if calls != ROOMS || fullest > LIMIT {
        bail!("the burst should have been {ROOMS} calls, at most {LIMIT} in any second");
    }
    good("each room once, and never too fast");
    Ok(())
}

fn name(number: usize) -> String {
    format!("room-{number:03}")
}

async fn create(stage: &Stage, since: Instant) -> Result<Duration> {
    let kind =
        ApiResource::from_gvk(&GroupVersionKind::gvk("groupattr.dev", "v1alpha1", "GroupAttributeReset"));
    let api: Api<DynamicObject> = Api::namespaced_with(stage.plane.admin().await, FESTIVAL, &kind);
    let copies = (1..=ROOMS).map(|number| {
        let mut copy = stage.samples.reset.reset()?.clone();
        copy["metadata"]["name"] = name(number).into();
        copy["spec"]["groupID"] = festival_group(number).into();
        Ok::<DynamicObject, anyhow::Error>(serde_json::from_value(copy)?)
    });
    stream::iter(copies)
        .try_for_each_concurrent(HANDS, async |copy| {
            api.create(&PostParams::default(), &copy).await.context("a reset is not accepted")?;
            Ok(())
        })
        .await?;
    Ok(since.elapsed())
}

/// Moves the bar until all are cleared.
async fn follow(stage: &Stage, since: Instant, bar: &mut Progress) -> Result<Duration> {
    let all: Vec<_> = (1..=ROOMS).map(|number| Subject::reset(FESTIVAL, &name(number))).collect();
    loop {
        let cleared = stage.story.count(&all, "Cleared");
        bar.show(cleared);
        if cleared == ROOMS {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            bail!("of {ROOMS} resets {cleared} were cleared within {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Clears of rooms of the burst, whatever became of them.
fn calls(stage: &Stage) -> usize {
    let prefix = festival_group(0);
    let prefix = prefix.trim_end_matches('0');
    let of_burst = |group: &String| group.starts_with(prefix);
    stage.vendor.clears().iter().filter(|entry| entry.group.as_ref().is_some_and(of_burst)).count()
}
