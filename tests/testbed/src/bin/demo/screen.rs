//! Everything that is printed goes through here: colours and moving lines on a terminal, plain lines elsewhere.

use std::{
    env,
    io::{IsTerminal as _, Write as _, stdout},
    process::exit,
    time::Duration,
};

use console::{measure_text_width, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines are at most this long.
pub(crate) const WIDTH: usize = 100;

/// How far everything below a heading is moved to the right.
pub(crate) const INDENT: &str = "  ";

/// Decides about colours, once.
pub(crate) fn set_up() {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    console::set_colors_enabled(stdout().is_terminal() && !unwanted);
}

/// Whether lines can be drawn anew in place.
fn is_live() -> bool {
    stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// One line, or several.
pub(crate) fn say(text: &str) {
    // Whoever read the output has gone (`| head`): there is nobody left to show anything to.
    if writeln!(stdout(), "{text}").is_err() {
        exit(1);
    }
}

/// The name of the show.
pub(crate) fn title(text: &str) {
    say(&style(text).bold().to_string());
}

/// Begins a part of the show.
pub(crate) fn heading(text: &str) {
    let rule = "─".repeat(WIDTH.saturating_sub(measure_text_width(text) + 4));
    say(&format!("\n{} {} {}", style("──").dim(), style(text).bold().cyan(), style(rule).dim()));
}

/// Sentences, wrapped.
pub(crate) fn tell(text: &str) {
    for line in wrapped(text, WIDTH - INDENT.len()) {
        say(&format!("{INDENT}{line}"));
    }
}

/// The words of an object's status, wrapped below what they belong to.
pub(crate) fn quote(text: &str) {
    for line in wrapped(text, WIDTH - INDENT.len() - 2) {
        say(&format!("{INDENT}{} {}", style("│").dim(), style(line).italic()));
    }
}

/// A command as somebody would type it.
pub(crate) fn command(text: &str) {
    say(&format!("{INDENT}{} {}", style("$").dim(), style(text).yellow()));
}

/// What a command printed.
pub(crate) fn printed(text: &str) {
    for line in text.lines() {
        say(&format!("{INDENT}  {}", style(line).dim()));
    }
}

/// Something is as it should be.
pub(crate) fn good(text: &str) {
    say(&format!("{INDENT}{} {text}", style("✔").green().bold()));
}

/// The last thing that is said when it did not work.
pub(crate) fn error(text: &str) {
    let _ = stdout().flush();
    eprintln!("\n{} {text}", style("error:").for_stderr().red().bold());
}

/// The colour of a reason tells how it ended.
pub(crate) fn reason(reason: &str) -> String {
    let styled = match reason {
        "Cleared" | "VerifiedEmpty" | "GroupGone" | "Verified" => style(reason).green(),
        "GroupNotFound"
        | "GroupTypeNotSupported"
        | "InvalidRequest"
        | "BackoffLimitExceeded"
        | "DeadlineExceeded"
        | "Expired"
        | "OutcomeUnknown" => style(reason).red(),
        "Sending" | "Pending" => style(reason).dim(),
        _ => style(reason).yellow(),
    };
    styled.bold().to_string()
}

/// A line that lives for as long as something takes; without a terminal one line that says that it is waited for.
pub(crate) struct Waiting(Option<ProgressBar>);

impl Waiting {
    pub(crate) fn for_(text: &str) -> Self {
        if !is_live() {
            say(&format!("{INDENT}… {text}"));
            return Self(None);
        }
        let style = ProgressStyle::with_template("  {spinner:.cyan} {msg} · {elapsed}").expect("a constant");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_style(style);
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    /// Whether it moves.
    pub(crate) fn is_live(&self) -> bool {
        self.0.is_some()
    }

    /// Says something else in the same line; nothing without a terminal.
    pub(crate) fn now(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A bar; without a terminal a line for each third.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    all: usize,
    said: usize,
}

impl Progress {
    pub(crate) fn of(all: usize, what: &'static str) -> Self {
        let bar = is_live().then(|| {
            let template = "  {bar:50.green/dim} {pos}/{len} {msg} · {elapsed}";
            let style = ProgressStyle::with_template(template).expect("a constant").progress_chars("━━─");
            ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stdout())
                .with_style(style)
                .with_message(what)
        });
        Self { bar, what, all, said: 0 }
    }

    pub(crate) fn show(&mut self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.tick();
        } else if self.all > 0 && done * 3 / self.all > self.said {
            self.said = done * 3 / self.all;
            say(&format!("{INDENT}… {done} of {} {}", self.all, self.what));
        }
    }

    /// The full bar stays.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            let Self { all, what, .. } = self;
            say(&format!("{INDENT}{} {all}/{all} {what}", style("━".repeat(50)).green()));
        }
    }
}

/// Breaks between words. A word that is too long stays whole: paths and commands are there to be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if measure_text_width(line) + 1 + measure_text_width(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn text_is_broken_between_words_only() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
