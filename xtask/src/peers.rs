//! Cross-play with other implementations of MLS: the crate `peers`, built optimised.

use anyhow::{Result, bail};

use crate::report::Outcome;
use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--random 200 --seed 7`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask peers`.
pub(crate) fn peers(args: &Args) -> Result<bool> {
    if !run::has_member("peers")? {
        bail!("the workspace has no member `peers`");
    }
    let mut command = run::cargo(&COMMAND);
    run::succeeds(command.args(&args.arguments))
}

/// The same as a step of a report.
pub(crate) fn counts(arguments: &[&str]) -> Result<Outcome> {
    if !run::has_member("peers")? {
        return Ok(Outcome::Skipped("the workspace has no member `peers`".into()));
    }
    run::counts(run::cargo(&COMMAND).args(arguments)).map(Outcome::Counted)
}

const COMMAND: [&str; 5] = ["run", "--release", "--package", "peers", "--"];
