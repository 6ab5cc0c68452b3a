//! Two result files side by side: what differs by more than noise?

use anyhow::{Result, bail};

use super::figures::{Better, Figure, plain};
use super::results::{Measured, Results};
use super::stats::{chance_of_separation, median, spread};
use super::table::Rows;

/// Differences smaller than this are of no interest, however certain.
const INTERESTING_PERCENT: f64 = 2.0;
/// Fewer runs of each build cannot be told from chance.
const ENOUGH_RUNS: usize = 3;

/// The table, and what has to be said about it.
pub(crate) fn compare(before: &Results, after: &Results) -> Result<(Rows, Vec<String>)> {
    if before.quick != after.quick {
        bail!(
            "one of the two was measured with --quick and the other without: their figures are not comparable"
        );
    }
    let header = ["", "before", "after", "change", ""].map(ToOwned::to_owned).to_vec();
    let mut rows = Vec::new();
    let mut fewest = usize::MAX;
    for old in &before.scenarios {
        let Some(new) = after.scenarios.iter().find(|new| new.name == old.name) else { continue };
        fewest = fewest.min(old.runs.len()).min(new.runs.len());
        for case in old.cases() {
            rows.extend(old.figures().into_iter().filter_map(|figure| row(old, new, case, figure)));
        }
    }
    if rows.is_empty() {
        bail!("the two have no figure in common");
    }
    Ok(((header, rows), remarks(before, after, fewest)))
}

fn row(old: &Measured, new: &Measured, case: &str, figure: &Figure) -> Option<Vec<String>> {
    let (before, after) = (old.values(case, &figure.name), new.values(case, &figure.name));
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let difference = median(&after) - median(&before);
    let change = if difference.abs() > 0.0 { 100.0 * difference / median(&before).abs() } else { 0.0 };
    let told = if change.is_finite() { format!("{change:+.1} %") } else { "was 0".to_owned() };
    Some(vec![
        format!("{}, {case}: {}", old.name, figure.heading()),
        with_range(&before),
        with_range(&after),
        told,
        verdict(&before, &after, change, figure.better).to_owned(),
    ])
}

/// Certain is only what lies apart in all runs.
fn verdict(before: &[f64], after: &[f64], change: f64, better: Better) -> &'static str {
    let ((least_before, most_before), (least_after, most_after)) = (spread(before), spread(after));
    let apart = most_before < least_after || most_after < least_before;
    if before.len().min(after.len()) < ENOUGH_RUNS || !apart || change.abs() < INTERESTING_PERCENT {
        return "";
    }
    match (better, change > 0.0) {
        (Better::Neither, _) => "differs",
        (Better::More, true) | (Better::Less, false) => "better",
        (Better::More, false) | (Better::Less, true) => "WORSE",
    }
}

fn remarks(before: &Results, after: &Results, fewest: usize) -> Vec<String> {
    let mut remarks = vec![if fewest < ENOUGH_RUNS {
        format!(
            "With {fewest} run(s) of a build nothing can be told from noise: measure each with --runs 3 or more."
        )
    } else {
        format!(
            "Medians, with the smallest and the greatest value. A verdict is given where all runs of one build lie \
             apart from all runs of the other and the medians differ by {INTERESTING_PERCENT} % or more; with {fewest} \
             runs of each, chance alone does that with one figure in {:.0}.",
            1.0 / chance_of_separation(fewest, fewest)
        )
    }];
    for (when, results) in [("before", before), ("after", after)] {
        let machine = &results.machine;
        remarks.push(format!(
            "{when}: {}, commit {}, {} cores, other programs took up to {} % of the machine",
            machine.operator,
            machine.commit,
            machine.cores,
            plain(results.disturbed_percent())
        ));
    }
    if (&before.machine.processor, before.machine.cores) != (&after.machine.processor, after.machine.cores) {
        remarks.push("They were measured on different machines.".to_owned());
    }
    remarks
}

fn with_range(values: &[f64]) -> String {
    let (least, most) = spread(values);
    let middle = plain(median(values));
    if values.len() > 1 { format!("{middle} ({}–{})", plain(least), plain(most)) } else { middle }
}
