//! `docs/bench.md` with its charts, and the measured part of `docs/scaling.md`, from a result file.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::figures::{Curve, plain};
use super::results::{Measured, Results};
use super::scenarios::Scenario;
use super::{chart, scaling, scenarios, table};

/// Scenarios with a chart: its title and the limit that is drawn across.
const CHARTS: [(&str, &str, f64); 2] = [
    ("burst", "Calls at the vendor while 10,000 resets are sent", 200.0),
    ("adapting", "Another consumer takes half of the account's budget", 80.0),
];

/// Writes them, and returns what was written.
pub(crate) fn write(results: &Results) -> Result<Vec<String>> {
    if results.quick {
        bail!("docs/bench.md is not written from results of --quick");
    }
    let missing =
        scenarios::ALL.iter().filter(|scenario| !scenario.is_extra() && of(results, scenario.name).is_none());
    let missing: Vec<_> = missing.map(|scenario| scenario.name).collect();
    if !missing.is_empty() {
        bail!("docs/bench.md needs all scenarios; these were not measured: {}", missing.join(", "));
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut written = Vec::new();
    for (name, title, line) in CHARTS {
        let curves: Vec<Curve> = of(results, name)
            .into_iter()
            .flat_map(|measured| &measured.runs[0].cases)
            .flat_map(|case| case.curves.clone())
            .collect();
        let file = chart_file(name);
        fs::write(docs.join(&file), chart::calls_per_second(title, &curves, line)?)?;
        written.push(format!("docs/{file}"));
    }
    fs::write(docs.join("bench.md"), page(results))?;
    written.push("docs/bench.md".to_owned());
    let scaling = docs.join("scaling.md");
    fs::write(&scaling, scaling::page(&fs::read_to_string(&scaling)?, results)?)?;
    written.push("docs/scaling.md".to_owned());
    Ok(written)
}

fn page(results: &Results) -> String {
    let machine = &results.machine;
    let runs = results.scenarios.first().map_or(0, |measured| measured.runs.len());
    let mut page = format!(
        "# Figures\n\n\
         <!-- Written by `cargo bench -- --write-docs`; manual changes are lost with the next run. -->\n\n\
         | | |\n|---|---|\n\
         | date | {} |\n\
         | machine | {} cores of {}, {} GiB of memory, {} |\n\
         | versions | {} (commit {}), {}, {} |\n\
         | runs | {runs} of each scenario, {} minutes in all |\n\
         | other programs | took at most {} % of the machine during any scenario |\n\n\
         Everything runs on this one machine: the operator, kube-apiserver, etcd (without fsync), the simulated vendor and \
         the bench itself. The operator is the release build with the permissions of its own service account; the API \
         server keeps an audit log (metadata) of its requests, and handles up to 3,000 requests at a time (by default \
         400 reads and 200 writes). ✔ and ✘ show whether a figure meets the operator's target.\n\n\
         ```console\n\
         $ cargo bench                              # all of it, as on this page\n\
         $ cargo bench -- --quick                   # a tenth of the work, under three minutes\n\
         $ cargo bench -- burst latency             # only these; --help lists all\n\
         $ cargo bench -- --runs 3 --out old.json   # then build another version, measure it alike, and:\n\
         $ cargo bench -- compare old.json new.json\n\
         ```\n",
        results.begun.strftime("%Y-%m-%d"),
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.system,
        machine.operator,
        machine.commit,
        machine.kube_apiserver,
        machine.etcd,
        results.took_seconds.div_ceil(60),
        plain(results.disturbed_percent()),
    );
    for scenario in &scenarios::ALL {
        let Some(measured) = of(results, scenario.name) else { continue };
        page.push_str(&section(scenario, measured));
    }
    page
}

fn section(scenario: &Scenario, measured: &Measured) -> String {
    let mut parts = vec![
        format!("## {}: {}", scenario.name, scenario.title),
        scenario.about.to_owned(),
        table::markdown(&table::of(measured)),
    ];
    let notes: Vec<_> =
        table::notes(measured).into_iter().map(|(name, text)| format!("- {name}: {text}")).collect();
    if !notes.is_empty() {
        parts.push(notes.join("\n"));
    }
    if let Some((_, title, _)) = CHARTS.iter().find(|(name, ..)| *name == scenario.name) {
        parts.push(format!("![{title}]({})", chart_file(scenario.name)));
    }
    format!("\n{}\n", parts.join("\n\n"))
}

fn of<'a>(results: &'a Results, name: &str) -> Option<&'a Measured> {
    results.scenarios.iter().find(|measured| measured.name == name)
}

fn chart_file(name: &str) -> String {
    format!("bench-{name}.svg")
}
