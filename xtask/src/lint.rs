//! What can be said without running anything: format, layers, sections, clippy, documentation, licences.

use anyhow::Result;

use crate::report::{Outcome, Report};
use crate::{layers, run, sections};

/// `cargo xtask lint`.
pub(crate) fn lint() -> Result<bool> {
    let mut report = Report::default();
    steps(&mut report);
    Ok(report.close())
}

/// The checks, each a step of the report. The quick ones come first.
pub(crate) fn steps(report: &mut Report) {
    report.step("format", || cargo_passes(&["fmt", "--all", "--check"]));
    report.step("layers", || layers::layers().map(Outcome::from));
    report.step("sections", || sections::check().map(Outcome::from));
    report
        .step("clippy", || cargo_passes(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    // The other members of the workspace bring the feature with them, so nothing else builds it without.
    report.step("without threads", || {
        cargo_passes(&["clippy", "-p", "hushwood", "--lib", "--no-default-features", "--", "-D", "warnings"])
    });
    report.step("documentation", || {
        let mut doc = run::cargo(&["doc", "--workspace", "--no-deps"]);
        run::succeeds(doc.env("RUSTDOCFLAGS", "-D warnings")).map(Outcome::from)
    });
    report.step("licences, bans", deny);
}

fn cargo_passes(arguments: &[&str]) -> Result<Outcome> {
    run::succeeds(&mut run::cargo(arguments)).map(Outcome::from)
}

/// Advisories are not asked for here: their database comes over the network. CONTRIBUTING.md has the command.
fn deny() -> Result<Outcome> {
    if !run::is_there(&mut run::cargo(&["deny", "--version"])) {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed (cargo install --locked cargo-deny)".into(),
        ));
    }
    cargo_passes(&["deny", "--offline", "--all-features", "check", "bans", "licenses", "sources"])
}
