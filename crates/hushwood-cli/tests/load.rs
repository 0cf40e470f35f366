//! The load test with a few connections: that it measures at all, and that nobody is refused.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use clap::Parser;
use load::args::Args;
use load::report::Report;
use load::run::run;
use load::scale::Scale;

fn measured(words: &[&str]) -> Report {
    let args = Args::parse_from([&["load"], words].concat());
    let report = run(&args, env!("CARGO_BIN_EXE_hushwood").as_ref(), &Scale::tiny()).unwrap();
    println!("{}", report.tables());
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    report
}

#[test]
fn all_of_it_is_measured_on_sqlite() {
    let report = measured(&["--database", "sqlite"]);
    assert!(report.disk.unwrap().per_second > 0.0);
    assert!(report.rates.iter().all(|rate| rate.per_second > 0.0 && rate.p50 <= rate.p99));
    let of_nodes = |nodes| report.rates.iter().filter(move |rate| rate.nodes == nodes).count();
    assert_eq!((of_nodes(0), of_nodes(1)), (4, 4), "commits and messages, two numbers of writers each");
    assert!(report.rates.iter().filter(|rate| rate.nodes == 1).all(|rate| rate.memory > 1.0));
    assert_eq!(report.fanouts.len(), 2);
    let flood = &report.floods[0];
    assert!(flood.flooded.sent > 0 && flood.flooded.read == 2 * flood.flooded.sent, "{flood:?}");
    assert!(flood.hostile.values().all(|count| *count > 0), "{flood:?}");
}

#[test]
fn nodes_on_postgresql_are_measured() {
    let report = measured(&["--database", "postgres", "--only", "bare,messages,commits,fanout"]);
    for nodes in [0, 1, 2] {
        assert!(
            report.rates.iter().any(|rate| rate.nodes == nodes && rate.per_second > 0.0),
            "{nodes} nodes"
        );
    }
    assert_eq!(report.fanouts.len(), 2);
}
