//! Shows that it goes on: a moving line on a terminal, plain lines now and then elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal a line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    heading: Mutex<String>,
    last_line: Mutex<Instant>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let template = "{spinner} {prefix} · {msg} {wide_bar:.green/dim} {elapsed}";
            let style = ProgressStyle::with_template(template).expect("a constant").progress_chars("━━─");
            let bar = ProgressBar::new(0).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, heading: Mutex::default(), last_line: Mutex::new(Instant::now()) }
    }

    /// Another scenario or case begins.
    pub(crate) fn heading(&self, text: &str) {
        text.clone_into(&mut self.heading.lock().expect("no panic while holding this lock"));
        match &self.bar {
            Some(bar) => bar.set_prefix(text.to_owned()),
            None => eprintln!("bench: {text}"),
        }
    }

    /// What is done now, for which there is no number.
    pub(crate) fn now(&self, text: &str) {
        self.count(text, 0, 0);
    }

    /// So many of so many.
    pub(crate) fn count(&self, text: &str, done: usize, all: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            bar.set_message(if all > 0 { format!("{text} {done}/{all}") } else { text.to_owned() });
            return;
        }
        let mut last = self.last_line.lock().expect("no panic while holding this lock");
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            let heading = self.heading.lock().expect("no panic while holding this lock");
            eprintln!("bench: {heading}: {text} {done}/{all}");
        }
    }

    /// Prints above the moving line.
    pub(crate) fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{text}")),
            None => println!("{text}"),
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
