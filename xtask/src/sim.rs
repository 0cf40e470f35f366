//! The simulated world: the crate `sim`, built optimised.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--seeds 0..100 --steps 10000 --members 64 --fake-crypto`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask sim`.
pub(crate) fn sim(args: &Args) -> Result<bool> {
    if !run::has_member("sim")? {
        bail!("the workspace has no member `sim`");
    }
    if !run::succeeds(&mut run::cargo(&["build", "--package", "sim", "--release"]))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("release").join("sim");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
