//! The ratchet tree beside a literal reading of RFC 9420: the program `oracle` of `test-support`, built optimised.

use std::process::Command;

use anyhow::Result;

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `--trees 1000000 --seed 1` for trees by chance, or `--shapes` for all up to eight leaves
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask oracle`.
pub(crate) fn oracle(args: &Args) -> Result<bool> {
    let build = ["build", "--package", "test-support", "--bin", "oracle", "--release"];
    if !run::succeeds(&mut run::cargo(&build))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("release").join("oracle");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
