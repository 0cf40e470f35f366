//! What attacks cost: the program `attack` of `test-support`, built optimised.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `--members 1000` for the tables of messages, or `--messages 1000000` for a flood
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask attack`.
pub(crate) fn attack(args: &Args) -> Result<bool> {
    let program = Program {
        package: "test-support",
        name: "attack",
        build: &["--bin", "attack", "--release"],
        folder: "release",
    };
    program.run(&args.arguments)
}
