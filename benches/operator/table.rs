//! Results as tables: a row for each figure, a column for each case.

use console::{measure_text_width, style};

use super::figures::{Case, Figure, plain};
use super::results::Measured;
use super::stats::{median, spread};

/// A table before it gets a shape: the header and the rows, all of one length.
pub(crate) type Rows = (Vec<String>, Vec<Vec<String>>);

/// One scenario's table. A figure that misses what is wanted is marked with ✘, one that meets it with ✔.
pub(crate) fn of(measured: &Measured) -> Rows {
    let cases = measured.cases();
    let mut header = vec![String::new()];
    header.extend(cases.iter().map(|case| (*case).to_owned()));
    let mut rows = Vec::new();
    for figure in measured.figures() {
        let cells = cases.iter().map(|case| cell(measured, case, &figure.name));
        rows.push(std::iter::once(figure.heading()).chain(cells).collect());
    }
    (header, rows)
}

fn cell(measured: &Measured, case: &str, name: &str) -> String {
    let values = measured.values(case, name);
    if values.is_empty() {
        return String::new();
    }
    let middle = median(&values);
    let (least, most) = spread(&values);
    let range =
        if values.len() > 1 { format!(" ({}–{})", plain(least), plain(most)) } else { String::new() };
    format!("{}{range}{}", plain(middle), mark(measured, case, name, middle))
}

/// What is said in words: name and case, and the text.
pub(crate) fn notes(measured: &Measured) -> Vec<(String, String)> {
    let cases = measured.runs.first().map(|run| run.cases.as_slice()).unwrap_or_default();
    let of_case = |case: &Case| {
        let heading =
            |name: &str| if cases.len() > 1 { format!("{name}, {}", case.name) } else { name.to_owned() };
        case.notes.iter().map(|(name, text)| (heading(name), text.clone())).collect::<Vec<_>>()
    };
    cases.iter().flat_map(of_case).collect()
}

/// What is wanted can differ from case to case.
fn mark(measured: &Measured, case: &str, name: &str, value: f64) -> &'static str {
    let run = measured.runs.first();
    let case = run.and_then(|run| run.cases.iter().find(|candidate| candidate.name == case));
    match case.and_then(|case| case.figure(name)).and_then(|figure: &Figure| figure.is_met_by(value)) {
        Some(true) => " ✔",
        Some(false) => " ✘",
        None => "",
    }
}

/// For a terminal.
pub(crate) fn text((header, rows): &Rows) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = std::iter::once(header).chain(rows).map(|row| measure_text_width(&row[column]));
            cells.max().unwrap_or_default()
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let space = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            if column == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![style(line(header)).bold().to_string()];
    lines.extend(rows.iter().map(|row| {
        let line = line(row);
        if line.contains('✘') { style(line).red().to_string() } else { line }
    }));
    lines.join("\n")
}

/// For docs.
pub(crate) fn markdown((header, rows): &Rows) -> String {
    let line = |row: &Vec<String>| {
        format!("| {} |", row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
    };
    let rule = format!("|---{}|", "|---:".repeat(header.len() - 1));
    let mut lines = vec![line(header), rule];
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}
