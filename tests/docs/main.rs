//! The documentation says what the program says.
//!
//! | question | file |
//! |---|---|
//! | which codes of the vendor are known? | `codes` |
//! | are all fields, reasons and flags documented, and no others? | `names` |
//! | are all metrics documented, and no others? | `metrics` |
//! | do the samples work, the links lead somewhere, the named tests exist? | `pages` |
//! | does every guarantee, reason, class of codes and fault have its tests? | `proofs` |

mod codes;
mod layers;
mod metrics;
mod names;
mod pages;
mod proofs;
#[path = "../world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The folder of this working copy.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a page.
fn page(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
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

/// The Markdown pages for users: those at the top, and all below `docs`, `examples` and `charts`.
fn pages() -> Vec<PathBuf> {
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = top.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    all.extend(files("docs", ".md"));
    all.extend(files("examples", ".md"));
    all.extend(files("charts", ".md"));
    all
}

/// What stands in a Markdown text between two headings: from the line that starts with `heading` to the next heading of the
/// same or a higher rank.
fn section(text: &str, heading: &str) -> String {
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

/// The cells of all table rows of a text.
fn rows(text: &str) -> Vec<Vec<String>> {
    let inner = |line: &str| line.strip_prefix('|')?.strip_suffix('|').map(str::to_owned);
    let cells = |row: String| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter_map(inner).map(cells).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// A test of this repository.
struct Test {
    path: PathBuf,
    /// The text of its file.
    file: Rc<str>,
    /// Its own text, with what follows up to the next test.
    body: String,
}

/// All tests by name; two packages may have one of the same name.
type Tests = BTreeMap<String, Vec<Test>>;

fn tests() -> Tests {
    let mut tests = Tests::new();
    for path in ["src", "tests"].iter().flat_map(|folder| files(folder, ".rs")) {
        let file: Rc<str> = std::fs::read_to_string(&path).unwrap().into();
        let lines: Vec<&str> = file.lines().map(str::trim_start).collect();
        let is_mark = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        for body in lines.split(is_mark).skip(1) {
            let signature =
                body.iter().find_map(|line| line.trim_start_matches("async ").strip_prefix("fn "));
            let name = signature.and_then(|text| text.split('(').next()).expect("a function");
            let test = Test { path: path.clone(), file: Rc::clone(&file), body: body.join("\n") };
            tests.entry(name.to_owned()).or_default().push(test);
        }
    }
    tests
}
