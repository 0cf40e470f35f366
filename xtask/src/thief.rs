//! What a thief gets, and what time tells: the crate `thief`, built optimised.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `census --steps 500`, `forward --messages 100000`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask thief`.
pub(crate) fn thief(args: &Args) -> Result<bool> {
    program("thief", args)
}

/// `cargo xtask timing`.
pub(crate) fn timing(args: &Args) -> Result<bool> {
    program("timing", args)
}

fn program(name: &str, args: &Args) -> Result<bool> {
    Program { package: "thief", name, build: &["--release"], folder: "release" }.run(&args.arguments)
}
