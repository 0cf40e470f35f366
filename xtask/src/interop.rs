//! The working group's interop interface: our runner and our server, built together.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::report::{Counts, Outcome};
use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Such as `--client 127.0.0.1:50051 --own 1 --suites 1`; `--help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask interop`: optimised, as those are whom it plays against.
pub(crate) fn interop(args: &Args) -> Result<bool> {
    let Some(program) = build(&["--release"], "release")? else { return Ok(false) };
    run::succeeds(Command::new(program).args(&args.arguments))
}

/// What must hold before a change lands: two processes of ours, in suite 1 with every distribution of the roles, in
/// all suites with a few of them, and in long conversations. As tests are built, which need not be built again.
pub(crate) fn counts() -> Result<Outcome> {
    if !run::has_member(RUNNER)? {
        return Ok(Outcome::Skipped(format!("the workspace has no member `{RUNNER}`")));
    }
    let Some(program) = build(&[], "debug")? else { return Ok(Outcome::from(false)) };
    let mut all = Counts::default();
    for arguments in CHECKS {
        all += run::counts(Command::new(&program).args(ALWAYS).args(*arguments))?;
    }
    Ok(Outcome::Counted(all))
}

const RUNNER: &str = "interop-runner";
const ALWAYS: &[&str] = &["--jobs", "2"];
const CHECKS: &[&[&str]] = &[
    &["--own", "2", "--suites", "1", "--roles", "all"],
    &["--own", "3", "--roles", "random", "--verify", "--random-steps", "10"],
];

/// The runner, with the server beside it; nothing if they don't build.
fn build(profile: &[&str], folder: &str) -> Result<Option<PathBuf>> {
    if !run::has_member(RUNNER)? {
        bail!("the workspace has no member `{RUNNER}`");
    }
    let packages = ["build", "--package", RUNNER, "--package", "hushwood-interop", "--bins"];
    if !run::succeeds(&mut run::cargo(&[&packages, profile].concat()))? {
        return Ok(None);
    }
    Ok(Some(run::target_dir()?.join(folder).join(RUNNER)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::Xtask;

    #[test]
    fn every_argument_goes_to_the_runner() {
        for arguments in [&["--help"][..], &["-h"], &["--client", "127.0.0.1:1", "--own", "1"], &[]] {
            let line = [&["cargo xtask", "interop"], arguments].concat();
            match Xtask::try_parse_from(line) {
                Ok(Xtask::Interop(args)) => assert_eq!(args.arguments, arguments),
                Ok(_) => panic!("another command"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
