//! The benchmark: the crate `bench`, built with its own profile.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Passed on as they are, but for what decides how it is built and run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--sizes 10,1000 --ops join_flat --peers`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask bench`.
pub(crate) fn bench(args: &Args) -> Result<bool> {
    if !run::has_member("bench")? {
        bail!("the workspace has no member `bench`");
    }
    let has = |flag: &str| args.arguments.iter().any(|argument| argument == flag);
    let features: &[&str] = if has("--peers") { &["--features", "peers"] } else { &[] };
    let build = [&["build", "--package", "bench", "--bins", "--profile", "bench"], features].concat();
    if !run::succeeds(&mut run::cargo(&build))? {
        return Ok(false);
    }
    let program = run::target_dir()?.join("release").join("bench");
    run::succeeds(Command::new(program).current_dir(run::root()).args(&args.arguments))
}
