//! `cargo bench`: what the operator does for its cost, against a real API server and a simulated vendor.
//!
//! | question | file |
//! |---|---|
//! | what can be asked for? | `args`, `scenarios` |
//! | what is a scenario played on? | `stage`, `load`, `relay` |
//! | where do the numbers come from? | `calls` (the vendor), `requests` (the audit log), `finals` (a watch), `cpu` (`/proc`) |
//! | what becomes of them? | `figures`, `results`, `stats`, `table`, `chart`, `docs`, `scaling`, `compare` |

// No number here is so large that a float would not hold it.
#![allow(clippy::cast_precision_loss)]

mod args;
mod calls;
mod chart;
mod compare;
mod cpu;
mod docs;
mod figures;
mod finals;
mod load;
mod machine;
mod progress;
mod relay;
mod requests;
mod results;
mod scaling;
mod scenarios;
mod stage;
mod stats;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use console::style;

use self::args::{Args, Instead};
use self::machine::{Machine, cores};
use self::progress::Progress;
use self::results::{Measured, Results, Run};
use self::scenarios::{Bench, Scenario};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::given()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    match &args.instead {
        Some(Instead::Compare { before, after }) => show_comparison(before, after),
        Some(Instead::Show { results, write_docs }) => {
            let results = Results::read(results)?;
            for measured in &results.scenarios {
                println!("{}", shown(measured, results.quick));
            }
            if *write_docs { write_docs_from(&results) } else { Ok(()) }
        }
        None => measure(args).await,
    }
}

async fn measure(args: &Args) -> Result<()> {
    let begun = Instant::now();
    let plane = testbed::ControlPlane::start(testbed::Options::default()).await?;
    let mut results = Results::begin(args.quick, Machine::here(&plane, &args.operator));
    drop(plane);
    let file = args.out.clone().unwrap_or_else(|| results.new_file());
    let bench = Bench { quick: args.quick, operator: args.operator.clone(), progress: Progress::start() };

    for scenario in scenarios::chosen(&args.scenarios) {
        let mut measured = Measured { name: scenario.name.to_owned(), runs: Vec::new() };
        for _ in 0..args.runs {
            let run =
                one_run(&bench, scenario).await.with_context(|| format!("scenario {}", scenario.name))?;
            measured.runs.push(run);
        }
        bench.progress.print(&shown(&measured, args.quick));
        results.scenarios.push(measured);
        // After each one: what has been measured is kept, whatever happens to the rest.
        results.took_seconds = begun.elapsed().as_secs();
        results.store(&file)?;
    }
    bench.progress.end();
    println!("\nstored in {}", file.display());
    if results.disturbed_percent() > 10.0 {
        println!(
            "Other programs took up to {:.0} % of this machine meanwhile: measure again at a quieter moment.",
            results.disturbed_percent()
        );
    }
    if args.write_docs { write_docs_from(&results) } else { Ok(()) }
}

async fn one_run(bench: &Bench, scenario: &Scenario) -> Result<Run> {
    let (begun, busy, own) = (Instant::now(), cpu::busy()?, cpu::own()?);
    let cases = (scenario.run)(bench).await?;
    let others = (cpu::busy()? - busy) - (cpu::own()? - own);
    let available = begun.elapsed().as_secs_f64() * cores() as f64;
    Ok(Run { disturbed_percent: (100.0 * others / available).max(0.0), cases })
}

fn shown(measured: &Measured, quick: bool) -> String {
    let title = scenarios::named(&measured.name).map_or("", |scenario| scenario.title);
    let less = if quick { " (a tenth of it)" } else { "" };
    let heading = style(format!("{}: {title}{less}", measured.name)).bold().cyan();
    let notes = table::notes(measured).into_iter().map(|(name, text)| format!("\n{name}: {text}"));
    format!("\n{heading}\n{}{}", table::text(&table::of(measured)), notes.collect::<String>())
}

fn show_comparison(before: &Path, after: &Path) -> Result<()> {
    let (rows, remarks) = compare::compare(&Results::read(before)?, &Results::read(after)?)?;
    println!("{}\n\n{}", table::text(&rows), remarks.join("\n"));
    Ok(())
}

fn write_docs_from(results: &Results) -> Result<()> {
    println!("written: {}", docs::write(results)?.join(", "));
    Ok(())
}
