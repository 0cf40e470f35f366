//! Cross-play with other implementations of MLS: the crate `peers`, built optimised.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::report::Outcome;
use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--random 200 --seed 7`; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask peers`.
pub(crate) fn peers(args: &Args) -> Result<bool> {
    if !run::has_member("peers")? {
        bail!("the workspace has no member `peers`");
    }
    run::succeeds(command().args(&args.arguments))
}

/// The same as a step of a report.
pub(crate) fn counts(arguments: &[&str]) -> Result<Outcome> {
    if !run::has_member("peers")? {
        return Ok(Outcome::Skipped("the workspace has no member `peers`".into()));
    }
    run::counts(command().args(arguments)).map(Outcome::Counted)
}

/// How they follow the conversations in files of vectors, as a step of a report.
pub(crate) fn follow(folder: &Path) -> Result<Outcome> {
    if !run::has_member("peers")? {
        return Ok(Outcome::Skipped("the workspace has no member `peers`".into()));
    }
    run::counts(command().arg("--vectors").arg(folder)).map(Outcome::Counted)
}

/// Some suites of a peer need the system's OpenSSL with its headers; without it they are not played.
fn command() -> Command {
    let has_openssl = run::is_there(Command::new("pkg-config").args(["--exists", "openssl"]));
    let features: &[&str] = if has_openssl { &["--features", "openssl"] } else { &["--no-default-features"] };
    run::cargo(&[&["run", "--package", "peers"], features, &["--"]].concat())
}
