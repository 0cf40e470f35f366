//! The service and its clients as processes: the crate `e2e`, with the program `hushwood` beside it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--database postgres --seed 2`, `--race`, `--quick`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask e2e`. As it is tested: with checks of overflows, and with dependencies that are optimised.
pub(crate) fn e2e(args: &Args) -> Result<bool> {
    if !run::has_member("e2e")? {
        bail!("the workspace has no member `e2e`");
    }
    if !run::succeeds(&mut run::cargo(&["build", "--package", "e2e", "--package", "hushwood-cli"]))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("debug").join("e2e");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
