//! The simulated world: the crate `sim`, built optimised.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--seeds 0..100 --steps 10000 --members 64 --fake-crypto`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask sim`.
pub(crate) fn sim(args: &Args) -> Result<bool> {
    let program = Program { package: "sim", name: "sim", build: &["--release"], folder: "release" };
    program.run(&args.arguments)
}
