//! Crashes: the crate `crash`, which has programs of its own.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--campaign --seed 2`, `--scenario list`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask crash`. As it is tested: with checks of overflows, and with dependencies that are optimised.
pub(crate) fn crash(args: &Args) -> Result<bool> {
    let program = Program { package: "crash", name: "crash", build: &[], folder: "debug" };
    program.run(&args.arguments)
}
