//! `cargo demo`: the operator at work, in front of one's eyes, on this machine and with real parts.
//!
//! | question | module |
//! |---|---|
//! | What can be asked for on the command line? | [`args`] |
//! | How is the operator built? | [`build`] |
//! | What runs, and in which order is it started? | [`stage`] |
//! | Which manifests are applied, and what is changed in them? | [`samples`] |
//! | Who is in which room? | [`rooms`] |
//! | What happened to an object, and when? | [`story`] |
//! | What is shown? | [`scenes`] |
//! | How does it look on the screen? | [`screen`], [`table`] |
//! | How does one look around by hand? | [`around`] |

mod args;
mod around;
mod build;
mod rooms;
mod samples;
mod scenes;
mod screen;
mod stage;
mod story;
mod table;

use std::{
    process::exit,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use self::{args::Args, stage::Stage};

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

fn main() {
    screen::set_up();
    let args = Args::given();
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let code = runtime.block_on(show_until_interrupted(args.keep));
    // Not by returning: the runtime would first wait for a build of the control plane that nobody wants any more.
    exit(code);
}

/// The show; Ctrl-C ends it at any time. Whatever it started ends when its future is dropped.
async fn show_until_interrupted(keep: bool) -> i32 {
    tokio::select! {
        biased;
        () = interruption() => {
            let expected = around::is_everything_shown();
            let word = if expected { "Done" } else { "Interrupted" };
            screen::say(&format!("\n{word}; everything that was started is taken down."));
            if expected { 0 } else { INTERRUPTED }
        }
        shown = show(keep) => match shown {
            Ok(()) => 0,
            Err(error) => {
                screen::error(&format!("{error:#}"));
                1
            }
        },
    }
}

async fn interruption() {
    let [mut interrupt, mut terminate, mut hang_up] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).expect("signals can be listened to"));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}

async fn show(keep: bool) -> Result<()> {
    let since = Instant::now();
    screen::title("groupattr-operator: what it does with your rooms");
    screen::tell(
        "An audio room of Tencent Cloud Chat keeps custom attributes, often who sits where. After the show somebody \
         has to clear them, once. Here that is a Kubernetes object. All parts are real but the vendor, which is a \
         strict simulator.",
    );
    screen::say("");
    let stage = Stage::set_up().await?;
    let shown = tokio::select! {
        shown = scenes::play(&stage) => shown,
        error = stage.operator_ends() => Err(error),
    };
    shown.map_err(|error| stage.with_logs_kept(error))?;
    around::tell_how(&stage, keep)?;
    if keep {
        around::stay(&stage).await;
    }
    stage.take_down().await?;
    screen::good(&format!("Done in {}. Nothing was left running.", seconds(since.elapsed())));
    Ok(())
}

/// "0.04 s", "3.2 s", "41 s": as exact as somebody wants to read it.
fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.995 => format!("{s:.2} s"),
        s if s < 9.95 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}
