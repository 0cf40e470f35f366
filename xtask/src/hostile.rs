//! A hostile member: the crate `hostile`, built optimised.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--sizes 2,3,17 --family path --fake-crypto`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask hostile`.
pub(crate) fn hostile(args: &Args) -> Result<bool> {
    if !run::has_member("hostile")? {
        bail!("the workspace has no member `hostile`");
    }
    if !run::succeeds(&mut run::cargo(&["build", "--package", "hostile", "--release"]))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("release").join("hostile");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
