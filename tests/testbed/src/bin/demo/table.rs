//! Tables with a frame.

use console::{measure_text_width, style};

use super::screen::{INDENT, say};

/// Prints rows below a header. Cells may carry colours; all rows are as long as the header.
pub(crate) fn show(header: &[&str], rows: &[Vec<String>]) {
    for line in lines(header, rows) {
        say(&format!("{INDENT}{line}"));
    }
}

fn lines(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().map(|row| measure_text_width(&row[column]));
            cells.chain([measure_text_width(header[column])]).max().unwrap_or_default()
        })
        .collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let parts: Vec<_> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        style(format!("{left}{}{right}", parts.join(middle))).dim().to_string()
    };
    let line = |cells: Vec<String>| {
        let bar = style("│").dim().to_string();
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!(" {cell}{} ", " ".repeat(width - measure_text_width(cell))))
            .collect();
        format!("{bar}{}{bar}", padded.join(&bar))
    };
    let mut lines = vec![rule("╭", "┬", "╮")];
    lines.push(line(header.iter().map(|name| style(name).bold().to_string()).collect()));
    lines.push(rule("├", "┼", "┤"));
    lines.extend(rows.iter().map(|row| line(row.clone())));
    lines.push(rule("╰", "┴", "╯"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let shown = lines(&["A", "LONG"], &[vec!["éé".into(), "x".into()]]);
        assert_eq!(
            shown,
            ["╭────┬──────╮", "│ A  │ LONG │", "├────┼──────┤", "│ éé │ x    │", "╰────┴──────╯"]
        );
    }
}
