//! Crashes: the crate `crash`, which has programs of its own.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--campaign --seed 2`, `--scenario list`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask crash`. As it is tested: with checks of overflows, and with dependencies that are optimised.
pub(crate) fn crash(args: &Args) -> Result<bool> {
    if !run::has_member("crash")? {
        bail!("the workspace has no member `crash`");
    }
    if !run::succeeds(&mut run::cargo(&["build", "--package", "crash"]))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("debug").join("crash");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
