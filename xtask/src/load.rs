//! The service under load: the crate `load`, with the program `hushwood` beside it, both as they are released.

use anyhow::Result;

use crate::run::Program;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--quick`, `--only messages,flood`, `--database sqlite`, `--write-docs`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask load`.
pub(crate) fn load(args: &Args) -> Result<bool> {
    let build = ["--release", "--package", "hushwood-cli"];
    Program { package: "load", name: "load", build: &build, folder: "release" }.run(&args.arguments)
}
