//! What the processes wrote before they failed.

use std::path::Path;

/// The last `count` lines of a file, or why there are none.
pub(crate) fn last_lines(file: &Path, count: usize) -> String {
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(count)..].join("\n")
        }
        Err(error) => format!("({}: {error})", file.display()),
    }
}
