//! The official test vectors on every provider: finds the files and runs the crate `test-support` on them.

use anyhow::Result;

use crate::report::Outcome;
use crate::run;

/// What counts as a failure.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// A file that is not found is a failure
    #[arg(long)]
    strict: bool,
}

/// `cargo xtask vectors`.
pub(crate) fn vectors(_args: &Args) -> Result<bool> {
    run::has_member("test-support")
}

/// The same as a step of a report.
pub(crate) fn counts(_args: &Args) -> Result<Outcome> {
    Ok(Outcome::Skipped("no vectors yet".into()))
}
