//! The arithmetic of the bench, checked with known numbers.

#![allow(dead_code, unreachable_pub, clippy::cast_precision_loss)] // The rest is used by the bench.

#[path = "../benches/operator/compare.rs"]
mod compare;
#[path = "../benches/operator/figures.rs"]
mod figures;
#[path = "../benches/operator/machine.rs"]
mod machine;
#[path = "../benches/operator/results.rs"]
mod results;
#[path = "../benches/operator/stats.rs"]
mod stats;
#[path = "../benches/operator/table.rs"]
mod table;

use figures::Case;
use machine::Machine;
use results::{Measured, Results, Run};

/// Runs of one scenario with two figures: more calls are better, less memory is better.
fn results(calls: &[f64], memory: &[f64]) -> Results {
    let machine = Machine {
        processor: "a processor".into(),
        cores: 2,
        memory_gib: 8,
        system: "Linux".into(),
        operator: "groupattr-operator".into(),
        kube_apiserver: "Kubernetes".into(),
        etcd: "etcd".into(),
        commit: "abc".into(),
    };
    let run = |(calls, memory): (&f64, &f64)| {
        let mut case = Case::named("1 ms");
        case.more("calls", "/s", *calls).wanted(190.0);
        case.less("memory", "MB", *memory);
        Run { disturbed_percent: 1.0, cases: vec![case] }
    };
    let mut results = Results::begin(false, machine);
    let runs = calls.iter().zip(memory).map(run).collect();
    results.scenarios.push(Measured { name: "burst".into(), runs });
    results
}

/// The verdicts on calls and memory.
fn verdicts(before: &Results, after: &Results) -> Vec<String> {
    let ((_, rows), _) = compare::compare(before, after).unwrap();
    rows.iter().map(|row| row[4].clone()).collect()
}

#[test]
fn a_difference_counts_if_the_runs_of_two_builds_do_not_overlap() {
    let old = results(&[150.0, 155.0, 152.0], &[40.0, 41.0, 42.0]);
    let new = results(&[190.0, 191.0, 192.0], &[50.0, 51.0, 52.0]);
    assert_eq!(verdicts(&old, &new), ["better", "WORSE"]);
    assert_eq!(verdicts(&new, &old), ["WORSE", "better"]);
}

#[test]
fn overlapping_similar_or_few_runs_are_noise() {
    let old = results(&[150.0, 155.0, 192.0], &[40.0, 40.1, 40.2]);
    let new = results(&[190.0, 191.0, 193.0], &[40.3, 40.4, 40.5]);
    assert_eq!(verdicts(&old, &new), ["", ""]);
    let (one, other) = (results(&[100.0, 101.0], &[1.0, 1.0]), results(&[200.0, 201.0], &[9.0, 9.0]));
    assert_eq!(verdicts(&one, &other), ["", ""]);
    let (_, remarks) = compare::compare(&one, &other).unwrap();
    assert!(remarks[0].contains("nothing can be told from noise"), "{remarks:?}");
}

#[test]
fn a_quick_run_is_not_compared_with_a_full_run() {
    let old = results(&[1.0], &[1.0]);
    let new = Results { quick: true, ..old.clone() };
    assert!(compare::compare(&old, &new).is_err());
}

#[test]
fn a_table_shows_median_range_and_verdict() {
    let measured = &results(&[180.0, 195.0, 191.0], &[40.0, 40.0, 40.0]).scenarios[0];
    let (header, rows) = table::of(measured);
    assert_eq!(header, ["", "1 ms"]);
    assert_eq!(rows[0], ["calls, /s (at least 190)", "191 (180–195) ✔"]);
    assert_eq!(rows[1], ["memory, MB", "40 (40–40)"]);
    let (_, rows) = table::of(&results(&[180.0], &[40.0]).scenarios[0]);
    assert_eq!(rows[0][1], "180 ✘");
}

#[test]
fn a_result_file_round_trips() {
    let folder = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    let file = folder.join("deep/results.json");
    let stored = results(&[180.0], &[40.0]);
    stored.store(&file).unwrap();
    let read = Results::read(&file).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(read.scenarios[0].values("1 ms", "calls"), [180.0]);
    assert_eq!(read.begun, stored.begun);
    assert!(Results::read(&file).unwrap_err().to_string().contains("results.json"));
}

#[test]
fn percentiles_are_observed_values() {
    let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
    for (percent, expected) in [(50, 100.0), (99, 198.0), (100, 200.0)] {
        let value = stats::percentile(&values, percent);
        assert!((value - expected).abs() < 1e-9, "p{percent} is {value}, not {expected}");
    }
    assert_eq!((stats::median(&[3.0, 1.0]), stats::median(&[])), (2.0, 0.0));
    assert_eq!(stats::spread(&[2.0, 7.0, 1.0]), (1.0, 7.0));
    // Three against three: 20 arrangements, two of which separate the sets.
    assert!((stats::chance_of_separation(3, 3) - 0.1).abs() < 1e-9);
}

/// `cargo bench -- --quick` passes `--quick` to every target it runs, and any target other than the bench
/// fails on it.
#[test]
fn cargo_bench_runs_only_the_bench() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (member, others) in [("tests/testbed", 1), ("tests/image", 1)] {
        let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap();
        // Its library or main program, and the binaries that Cargo discovers.
        let found = std::fs::read_dir(root.join(member).join("src/bin")).map_or(0, Iterator::count);
        let excluded = manifest.lines().filter(|line| *line == "bench = false").count();
        assert_eq!(excluded, others + found, "{member}: each target needs `bench = false`");
    }
}
