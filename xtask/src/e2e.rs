//! The service and its clients as processes: the crate `e2e`, with the program `hushwood` beside it.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--database postgres --seed 2`, `--race`, `--quick`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask e2e`. As it is tested: with checks of overflows, and with dependencies that are optimised.
pub(crate) fn e2e(args: &Args) -> Result<bool> {
    let program =
        Program { package: "e2e", name: "e2e", build: &["--package", "hushwood-cli"], folder: "debug" };
    program.run(&args.arguments)
}
