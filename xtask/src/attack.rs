//! What attacks cost: the program `attack` of `test-support`, built optimised.

use std::process::Command;

use anyhow::Result;

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `--members 1000` for the tables of messages, or `--messages 1000000` for a flood
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask attack`.
pub(crate) fn attack(args: &Args) -> Result<bool> {
    let build = ["build", "--package", "test-support", "--bin", "attack", "--release"];
    if !run::succeeds(&mut run::cargo(&build))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("release").join("attack");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
