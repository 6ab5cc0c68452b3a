//! Helpers to read pages, tables and quotes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a page.
pub(crate) fn page(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder whose names end with `ending`.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.path().to_string_lossy().ends_with(ending) => found.push(entry.path()),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The Markdown pages: those in the root, and all below `docs`, `examples` and `charts`.
pub(crate) fn pages() -> Vec<PathBuf> {
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = top.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    all.extend(files("docs", ".md"));
    all.extend(files("examples", ".md"));
    all.extend(files("charts", ".md"));
    all
}

/// A section of a Markdown text: from the line that starts with `heading` to the next heading of the same or
/// a higher rank.
pub(crate) fn section(text: &str, heading: &str) -> String {
    let rank = heading.chars().take_while(|character| *character == '#').count();
    let ends = |line: &str| {
        let other = line.chars().take_while(|character| *character == '#').count();
        (1..=rank).contains(&other) && line[other..].starts_with(' ')
    };
    let lines = text.lines().skip_while(|line| !line.starts_with(heading));
    let found: Vec<&str> =
        lines.clone().take(1).chain(lines.skip(1).take_while(|line| !ends(line))).collect();
    assert!(!found.is_empty(), "there is no {heading:?}");
    found.join("\n")
}

/// The cells of all table rows.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let inner = |line: &str| line.strip_prefix('|')?.strip_suffix('|').map(str::to_owned);
    let cells = |row: String| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter_map(inner).map(cells).collect()
}

/// All quotes in backticks.
pub(crate) fn quoted(text: &str) -> BTreeSet<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}
