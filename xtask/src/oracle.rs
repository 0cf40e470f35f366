//! The ratchet tree beside a literal reading of RFC 9420: the program `oracle` of `test-support`, built optimised.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `--trees 1000000 --seed 1` for trees by chance, or `--shapes` for all up to eight leaves
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask oracle`.
pub(crate) fn oracle(args: &Args) -> Result<bool> {
    let program = Program {
        package: "test-support",
        name: "oracle",
        build: &["--bin", "oracle", "--release"],
        folder: "release",
    };
    program.run(&args.arguments)
}
