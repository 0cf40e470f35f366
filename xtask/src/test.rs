//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::report::{Outcome, Report};
use crate::{interop, lint, peers, postgres, requirements, run, vectors};

/// `cargo xtask test`.
pub(crate) fn test() -> Result<bool> {
    let mut report = Report::default();
    lint::steps(&mut report);
    report.step("PostgreSQL", postgres::step);
    report.step("tests", unit_and_integration);
    report.step("requirements", || match has_nextest() {
        true => requirements::after_tests(),
        false => requirements::requirements(&requirements::Args::default()).map(Outcome::from),
    });
    report.step("examples", || counted(&["test", "--workspace", "--exclude", "peers", "--doc"]));
    report.step("vectors", vectors::counts);
    report.step("own vectors", vectors::own_counts);
    report.step("peers on them", || peers::follow(&vectors::own_folder()?.join("mls")));
    report.step("peers", || peers::counts(&["--random", "20"]));
    report.step("peers in Node", peers::counts_with_node);
    report.step("interop", interop::counts);
    Ok(report.close())
}

/// With nextest where it is installed, which runs the tests of all crates side by side. The crate `peers`
/// is left out: it is run, not tested, and optimised.
fn unit_and_integration() -> Result<Outcome> {
    let workspace = ["--workspace", "--exclude", "peers", "--all-targets"];
    if has_nextest() {
        let arguments = [&["nextest", "run", "--no-fail-fast", "--no-tests=warn"], workspace.as_slice()];
        let mut nextest = run::cargo(&arguments.concat());
        requirements::observe(&mut nextest)?;
        run::counts(&mut nextest).map(Outcome::Counted)
    } else {
        counted(&[&["test", "--no-fail-fast"], workspace.as_slice()].concat())
    }
}

fn has_nextest() -> bool {
    run::is_there(&mut run::cargo(&["nextest", "--version"]))
}

fn counted(arguments: &[&str]) -> Result<Outcome> {
    run::counts(&mut run::cargo(arguments)).map(Outcome::Counted)
}
