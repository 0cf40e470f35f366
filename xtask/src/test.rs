//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::report::{Outcome, Report};
use crate::{lint, peers, run, vectors};

/// `cargo xtask test`.
pub(crate) fn test() -> Result<bool> {
    let mut report = Report::default();
    lint::steps(&mut report);
    report.step("tests", unit_and_integration);
    report.step("examples", || counted(&["test", "--workspace", "--exclude", "peers", "--doc"]));
    report.step("vectors", || vectors::counts(&vectors::Args::default()));
    report.step("peers", || peers::counts(&["--random", "20"]));
    report.step("peers in Node", peers::counts_with_node);
    Ok(report.close())
}

/// With nextest where it is installed, which runs the tests of all crates side by side. The crate `peers`
/// is left out: it is run, not tested, and optimised.
fn unit_and_integration() -> Result<Outcome> {
    let workspace = ["--workspace", "--exclude", "peers", "--all-targets"];
    if run::is_there(&mut run::cargo(&["nextest", "--version"])) {
        counted(&[&["nextest", "run", "--no-fail-fast", "--no-tests=warn"], workspace.as_slice()].concat())
    } else {
        counted(&[&["test", "--no-fail-fast"], workspace.as_slice()].concat())
    }
}

fn counted(arguments: &[&str]) -> Result<Outcome> {
    run::counts(&mut run::cargo(arguments)).map(Outcome::Counted)
}
