//! Shows that a long build or download is alive.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal (CI logs) a line this often says that it still goes on.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// A moving line on a terminal; elsewhere plain lines now and then.
pub(super) struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    since: Instant,
    next_line: Instant,
}

impl Progress {
    pub(super) fn start(title: String) -> Self {
        let since = Instant::now();
        let bar = stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {msg} · {elapsed}").expect("a constant template");
            ProgressBar::new_spinner().with_style(style).with_message(title.clone())
        });
        if bar.is_none() {
            eprintln!("testbed: {title}");
        }
        Self { title, bar, since, next_line: since + LINE_EVERY }
    }

    /// To be called a few times a second with what is done so far, such as `12 packages`. There is no percentage: go
    /// does not say how many packages are left.
    pub(super) fn show(&mut self, done: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} · {done}", self.title));
            bar.tick();
        } else if Instant::now() >= self.next_line {
            self.next_line += LINE_EVERY;
            eprintln!("testbed: {} · {done} after {} s", self.title, self.since.elapsed().as_secs());
        }
    }

    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("testbed: {} · ended after {} s", self.title, self.since.elapsed().as_secs());
    }
}
