//! Builds the operator with cargo and tells how far it is.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use console::strip_ansi_codes;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};

use super::{
    screen::{INDENT, Waiting, good, say},
    seconds,
};

const PROGRAM: &str = "groupattr-operator";

/// On two cores with nothing compiled so far; measured.
const COLD: &str = "for the first time: 2 to 4 minutes on two cores";

/// Where there is no moving line, how often a line says that it still goes on.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Builds it, or finds that it is up to date. Returns the program.
pub(crate) async fn operator() -> Result<PathBuf> {
    let since = Instant::now();
    let estimate = if is_built() { "seconds as a rule" } else { COLD };
    let waiting = Waiting::for_(&format!("building the operator, {estimate}"));

    let mut cargo = command();
    let mut child = cargo.spawn().context("cannot start cargo; is Rust installed (https://rustup.rs)?")?;
    let mut messages = String::new();
    let stdout = child.stdout.take().context("cargo has no output")?;
    let stderr = child.stderr.take().context("cargo has no output")?;
    let (read, said) = tokio::join!(to_end(stdout, &mut messages), follow(stderr, &waiting, since));
    read?;
    drop(waiting);
    if !child.wait().await?.success() {
        show_beginning(&said);
        bail!("the operator does not build; see above, mend it and try `cargo build --bin {PROGRAM}`");
    }
    let program = executable(&messages).context("cargo built the operator but did not say where it is")?;
    good(&format!("operator: up to date after {}", seconds(since.elapsed())));
    Ok(program)
}

/// The first complaint matters; those after it often follow from it.
fn show_beginning(said: &str) {
    let (shown, all) = (40, said.lines().count());
    said.lines().take(shown).for_each(say);
    if all > shown {
        say(&format!("{INDENT}… and {} more lines", all - shown));
    }
}

/// This program was built into the same folder.
fn is_built() -> bool {
    env::current_exe().is_ok_and(|here| here.with_file_name(PROGRAM).is_file())
}

fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    cargo.args(["build", "--bin", PROGRAM, "--message-format=json-render-diagnostics"]);
    // `cargo run` told us who we are. Build scripts that look at these variables would run again.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
    }
    // Its progress bar is the only place where cargo says how much is left.
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "80");
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    cargo
}

async fn to_end(mut from: impl AsyncRead + Unpin, text: &mut String) -> Result<()> {
    from.read_to_string(text).await?;
    Ok(())
}

/// Shows the progress; returns what else cargo said, which is what the compiler complains about.
async fn follow(mut stderr: impl AsyncRead + Unpin, waiting: &Waiting, since: Instant) -> String {
    let (mut said, mut line, mut buffer) = (String::new(), Vec::new(), [0; 4096]);
    let mut next_line = since + LINE_EVERY;
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        for byte in &buffer[..read] {
            if !matches!(byte, b'\r' | b'\n') {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            let text = strip_ansi_codes(&text);
            if let Some(progress) = progress_in(&text) {
                let now = format!("building the operator: {progress}");
                if Instant::now() >= next_line && !waiting.is_live() {
                    next_line = Instant::now() + LINE_EVERY;
                    say(&format!("{INDENT}… {now} after {}", seconds(since.elapsed())));
                }
                waiting.now(now);
            } else if text.trim_start().starts_with("Blocking") {
                waiting.now("building the operator: another cargo is at work, waiting for it".into());
            } else if !is_chatter(&text) {
                said.push_str(text.trim_end());
                said.push('\n');
            }
        }
    }
    said
}

/// "57 of 213 crates" from `Building [=====>     ] 57/213: serde, tokio`.
fn progress_in(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("Building [")?;
    let counts = rest.split_once("] ")?.1.split(':').next()?;
    let (done, all) = counts.split_once('/')?;
    let (done, all): (u32, u32) = (done.trim().parse().ok()?, all.trim().parse().ok()?);
    Some(format!("{done} of {all} crates"))
}

/// What cargo does, line by line. The verb stands right-aligned in twelve columns; the compiler's words do not.
fn is_chatter(line: &str) -> bool {
    let Some((verb, _)) = line.trim_start().split_once(' ') else { return line.trim().is_empty() };
    line.find(verb).is_some_and(|at| at + verb.len() == 12) && verb.starts_with(char::is_uppercase)
}

fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_program = messages.filter(|message| message["target"]["name"] == PROGRAM);
    of_program.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_from_cargos_bar() {
        let bar = "    Building [=======>            ] 57/213: serde, tokio(build)";
        assert_eq!(progress_in(bar).as_deref(), Some("57 of 213 crates"));
        assert_eq!(progress_in("   Compiling serde v1.0.0"), None);
    }

    #[test]
    fn what_the_compiler_says_is_no_chatter() {
        assert!(is_chatter("   Compiling serde v1.0.0"));
        assert!(is_chatter("    Finished `dev` profile in 3 s"));
        assert!(!is_chatter("error[E0425]: cannot find value `x`"));
        assert!(!is_chatter(" --> src/main.rs:3:5"));
        assert!(!is_chatter("     |     ^ not found in this scope"));
    }
}
