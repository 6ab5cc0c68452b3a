//! Looking around by hand.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Result;
use console::style;
use testbed::vendor::{Answer, Command, Entry};

use super::{
    screen::{INDENT, heading, say, tell},
    stage::{NAMESPACE, Stage},
};

/// Whether only the looking around is left. Ctrl-C then is the end that was announced, not an interruption.
static SHOWN: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_everything_shown() -> bool {
    SHOWN.load(Ordering::Relaxed)
}

/// Prints the commands.
pub(crate) fn tell_how(stage: &Stage, keep: bool) -> Result<()> {
    heading("Look around yourself");
    if keep {
        tell("It stays up until Ctrl-C. In another terminal:");
        typed(&format!("export KUBECONFIG={}", stage.plane.admin_kubeconfig().display()));
        if !is_in_path("kubectl") {
            typed(&format!("alias kubectl={}", stage.plane.binaries().kubectl().display()));
        }
    } else {
        tell("All of this is taken down now. `cargo demo --keep` leaves it up; then you can:");
    }
    let suspended = stage.samples.suspended.name()?;
    let twice = stage.samples.again.name()?;
    for (command, why) in [
        (format!("kubectl -n {NAMESPACE} get gar -o wide"), "with times and messages"),
        (format!("kubectl -n {NAMESPACE} get gar {twice} -o yaml"), "a whole status, with history"),
        (format!("kubectl -n {NAMESPACE} get chatapps"), "the accounts"),
        (
            format!(
                "kubectl -n {NAMESPACE} patch gar {suspended} --type=merge -p '{{\"spec\":{{\"suspend\":false}}}}'"
            ),
            "say the word",
        ),
        (
            format!("kubectl -n {NAMESPACE} wait gar {suspended} --for=condition=Finished --timeout=30s"),
            "what a script does",
        ),
    ] {
        say(&format!("{INDENT}{}", style(format!("# {why}")).dim()));
        typed(&command);
    }
    if keep {
        say(&format!("{INDENT}{}", style("# the operator's log and its metrics").dim()));
        typed(&format!("tail -f {}", stage.operator.log_file().display()));
        if let Some(address) = listening_at(stage) {
            typed(&format!("curl -s http://{address}/metrics"));
        }
    }
    Ok(())
}

/// Stays up, and shows each call that reaches the vendor. Ends only from outside, by Ctrl-C: who ends the operator to
/// try another one in its place keeps the rest.
pub(crate) async fn stay(stage: &Stage) {
    SHOWN.store(true, Ordering::Relaxed);
    say("");
    tell(&format!("Accounts of your own reach the simulator with `endpoint: {}`.", stage.vendor.url()));
    tell("Calls that reach the vendor from now on:");
    tokio::select! {
        () = tell_calls(stage) => {}
        error = stage.operator_ends() => {
            // Ctrl-C reaches the operator too, and may reach it first.
            tokio::time::sleep(Duration::from_millis(500)).await;
            tell(&format!("{error}. The control plane and the simulator stay up until Ctrl-C."));
            tell_calls(stage).await;
        }
    }
}

async fn tell_calls(stage: &Stage) {
    let mut known = stage.vendor.entries(|_| true).len();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let new = stage.vendor.entries(|entry| entry.sequence >= known && entry.answer != Answer::Waiting);
        for entry in &new {
            known = known.max(entry.sequence + 1);
            say(&format!("{INDENT}{}", described(entry)));
        }
    }
}

fn described(entry: &Entry) -> String {
    let what = match entry.command {
        Command::Clear => "clear",
        Command::Get => "read",
        Command::Other => "something else",
    };
    let answer = match entry.answer {
        Answer::Code(0) => style("done".to_owned()).green(),
        other => style(format!("{other:?}")).red(),
    };
    let time = entry.arrived_at.strftime("%H:%M:%S UTC");
    format!("{} {what} {} {answer}", style(time).dim(), entry.group.as_deref().unwrap_or("?"))
}

fn typed(command: &str) {
    say(&format!("{INDENT}{}", style(command).yellow()));
}

fn is_in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The operator's own port, as its command line says.
fn listening_at(stage: &Stage) -> Option<String> {
    let line = stage.operator.command_line().ok()?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "--listen");
    words.nth(1).map(ToOwned::to_owned)
}
