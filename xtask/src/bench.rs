//! The benchmark: the crate `bench`, built with its own profile.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are, but for what decides how it is built and run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--sizes 10,1000 --ops join_flat --peers`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask bench`.
pub(crate) fn bench(args: &Args) -> Result<bool> {
    let with_peers = args.arguments.iter().any(|argument| argument == "--peers");
    let features: &[&str] = if with_peers { &["--features", "peers"] } else { &[] };
    let build = [&["--bins", "--profile", "bench"], features].concat();
    Program { package: "bench", name: "bench", build: &build, folder: "release" }.run(&args.arguments)
}
