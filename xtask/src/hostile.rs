//! A hostile member: the crate `hostile`, built optimised.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--sizes 2,3,17 --family path --fake-crypto`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask hostile`.
pub(crate) fn hostile(args: &Args) -> Result<bool> {
    let program = Program { package: "hostile", name: "hostile", build: &["--release"], folder: "release" };
    program.run(&args.arguments)
}
