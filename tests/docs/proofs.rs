//! The page of proofs names tests for every promise of the program, and every test it names exists.

use std::collections::BTreeSet;

use groupattr::chat::codes::{all_listed, lookup};

use crate::names::{app_reasons, reasons};
use crate::sources::{Test, Tests, tests};
use crate::text::{files, page, root, rows, section};

const PAGE: &str = "docs/dev/proofs.md";
const MATRIX: &str = "tests/testbed/src/bin/campaign/matrix.rs";
const FAULTS: &str = "tests/e2e/faults/mod.rs";
const MUTATIONS: &str = "docs/dev/mutations.md";

/// A table row.
struct Row {
    /// The promise: the first cell without backticks.
    label: String,
    cells: Vec<String>,
    /// Tests in `src`.
    unit: Vec<String>,
    /// Tests in `tests`.
    end_to_end: Vec<String>,
}

impl Row {
    fn tests(&self) -> impl Iterator<Item = &String> {
        self.unit.iter().chain(&self.end_to_end)
    }
}

/// The rows of all tables with a column for tests.
fn proofs(text: &str) -> Vec<Row> {
    const UNIT: &str = "unit or property test";
    const END_TO_END: &str = "end-to-end test";
    let (mut found, mut header) = (Vec::new(), Vec::new());
    for cells in rows(text) {
        if cells.iter().any(|cell| cell == END_TO_END) {
            header = cells;
        } else if !cells[0].starts_with("---") {
            assert_eq!(cells.len(), header.len(), "{cells:?} does not have the columns {header:?}");
            let names = |column: &str| -> Vec<String> {
                let place = header.iter().position(|name| name == column);
                let names = place.into_iter().flat_map(|place| cells[place].split(", "));
                names.filter(|name| !name.is_empty()).map(|name| name.trim_matches('`').to_owned()).collect()
            };
            found.push(Row {
                label: cells[0].trim_matches('`').to_owned(),
                unit: names(UNIT),
                end_to_end: names(END_TO_END),
                cells,
            });
        }
    }
    found
}

/// The table rows below a heading of the page.
fn table(heading: &str) -> Vec<Row> {
    proofs(&section(&page(PAGE), heading))
}

/// The test of this name, which must be unique.
fn only<'a>(tests: &'a Tests, name: &str) -> &'a Test {
    let found = tests.get(name).map(Vec::as_slice).unwrap_or_default();
    let [test] = found else { panic!("{PAGE}: {} tests are named {name:?}", found.len()) };
    test
}

/// Whether the test's file contains this word. Tables of cases may be outside of the test itself.
fn mentions(test: &Test, word: &str) -> bool {
    test.file.split(|character: char| !character.is_alphanumeric()).any(|one| one == word)
}

fn assert_mentioned(rows: &[Row]) {
    let tests = tests();
    for row in rows {
        for name in row.tests() {
            assert!(
                mentions(only(&tests, name), &row.label),
                "the file of {name} never mentions {}",
                row.label
            );
        }
    }
}

/// Asserts that each label has exactly one row, and that there are no other rows.
fn assert_each_once(rows: &[Row], known: &BTreeSet<String>) {
    let mut labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    labels.sort_unstable();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(labels, known, "left: {PAGE}, right: the program");
}

#[test]
fn each_row_names_existing_tests_of_its_column() {
    let (rows, tests) = (proofs(&page(PAGE)), tests());
    for row in &rows {
        assert!(row.tests().next().is_some(), "{:?} has no proof", row.cells);
        for (names, folder) in [(&row.unit, "src"), (&row.end_to_end, "tests")] {
            for name in names {
                let path = &only(&tests, name).path;
                assert!(path.starts_with(root().join(folder)), "{name} is in {}", path.display());
            }
        }
    }
    assert!(rows.len() > 100, "only {} rows were found", rows.len());
}

#[test]
fn every_guarantee_has_a_table_and_every_oracle_is_listed() {
    let headings = |text: &str, rank: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(rank)).map(str::to_owned).collect()
    };
    let guarantees = headings(&page("docs/guarantees.md"), "## ");
    assert_eq!(headings(&section(&page(PAGE), "## Guarantees"), "### "), guarantees);
    for guarantee in &guarantees {
        assert!(!table(&format!("### {guarantee}")).is_empty(), "{guarantee} has no proof");
    }
    let rules = rows(&section(&page("tests/README.md"), "## Oracles"));
    let oracles: BTreeSet<&str> =
        rules.iter().map(|cells| cells[0].as_str()).filter(|cell| cell.starts_with('O')).collect();
    let promises = table("## Guarantees");
    let named: BTreeSet<&str> =
        promises.iter().map(|row| row.cells[1].as_str()).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(named, oracles);
}

#[test]
fn every_reason_has_a_row_and_its_tests_mention_it() {
    for (heading, known) in [("### Of a reset", reasons()), ("### Of an app", app_reasons())] {
        let rows = table(heading);
        assert_each_once(&rows, &known);
        assert_mentioned(&rows);
    }
}

#[test]
fn every_code_class_has_a_row_and_the_tests_of_a_code_mention_it() {
    let classes: BTreeSet<String> = all_listed().map(|code| format!("{:?}", code.class)).collect();
    assert_each_once(&table("### Classes"), &classes);
    let codes = table("### Single codes");
    let numbers: BTreeSet<i64> = codes.iter().map(|row| row.label.parse().expect("a code")).collect();
    assert_eq!(numbers.len(), codes.len(), "a code has two rows");
    assert!(numbers.iter().all(|number| lookup(*number).listed), "one of {numbers:?} is not listed");
    assert_mentioned(&codes);
}

#[test]
fn every_fault_matrix_row_has_its_test() {
    let (listed, tests, matrix) = (table("## Faults"), tests(), page(MATRIX));
    // `["A1", "SIGKILL at each boundary, …"]`
    let ids = matrix.split("[\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut known: BTreeSet<String> = ids.map(str::to_owned).collect();
    for cells in rows(&page(FAULTS).replace("//! |", "|")) {
        if cells[0].is_empty() {
            known.insert(cells[2].trim_matches('`').to_owned());
        } else if cells[0] != "row" && !cells[0].starts_with("---") {
            assert!(known.contains(&cells[0]), "{FAULTS}: {} is not a row of {MATRIX}", cells[0]);
        }
    }
    assert_each_once(&listed, &known);
    for Row { label, cells, end_to_end, .. } in &listed {
        let file = format!("tests/e2e/faults/{label}.rs");
        for test in end_to_end.iter().map(|name| only(&tests, name)) {
            let is_run = test.body.contains(&format!("runs(\"{label}\""));
            assert!(is_run || test.path.ends_with(&file), "{} does not run {label}", test.path.display());
        }
        let is_same = matrix.contains(&format!("[\"{label}\", \"{}\"]", cells[1]));
        assert!(is_same || root().join(&file).exists(), "{MATRIX} describes {label} differently");
    }
}

#[test]
fn every_mutation_is_documented_as_in_its_patch() {
    let patches: BTreeSet<Vec<String>> = files("tests/mutations", ".patch")
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let field = |name: &str| {
                let value = text.lines().find_map(|line| line.strip_prefix(name));
                value.unwrap_or_else(|| panic!("{}: no {name}", path.display())).to_owned()
            };
            let name = path.file_stem().unwrap().to_string_lossy();
            vec![field("mistake: "), format!("`{name}`"), format!("`{}`", field("caught-by: "))]
        })
        .collect();
    let listed: BTreeSet<Vec<String>> = rows(&page(MUTATIONS)).into_iter().skip(2).collect();
    let differing: Vec<_> = listed.symmetric_difference(&patches).collect();
    assert!(differing.is_empty() && !patches.is_empty(), "{differing:#?}");
}
