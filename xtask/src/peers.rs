//! Cross-play with other implementations of MLS: the crate `peers`, built optimised.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::report::{Counts, Outcome};
use crate::run;

/// Passed on as they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Such as `--random 200 --seed 7`, or `--node` for ts-mls, too; `-- --help` shows them all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask peers`.
pub(crate) fn peers(args: &Args) -> Result<bool> {
    if !run::has_member("peers")? {
        bail!("the workspace has no member `peers`");
    }
    if args.arguments.iter().any(|argument| argument == "--node") {
        if let Some(missing) = missing_for_node() {
            bail!("{missing}");
        }
        install_packages()?;
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

/// Hushwood with ts-mls as a step of a report, where Node is there: everything in suite 1, updates in the others.
pub(crate) fn counts_with_node() -> Result<Outcome> {
    if let Some(missing) = missing_for_node() {
        return Ok(Outcome::Skipped(missing));
    }
    install_packages()?;
    let mut counts = Counts::default();
    for suite in ["1", "2", "3", "4", "5", "6", "7"] {
        let mut command = command();
        command.args(["--node", "--only", "ts-mls", "--with", "hushwood/aws-lc"]);
        command.args(["--random", "0", "--suite", suite]);
        if suite != "1" {
            command.args(["--scenario", "update"]);
        }
        counts += run::counts(&mut command)?;
    }
    Ok(Outcome::Counted(counts))
}

/// What to do before ts-mls can be played with, if anything.
fn missing_for_node() -> Option<String> {
    if !run::is_there(Command::new("node").args(["-e", NODE_IS_NEW_ENOUGH])) {
        return Some(format!("ts-mls needs Node {NODE} or newer on the PATH (`node --version`)"));
    }
    if !packages().is_dir() && !run::is_there(Command::new("npm").arg("--version")) {
        return Some("ts-mls is installed by npm, which is not on the PATH".into());
    }
    None
}

/// The packages that `package-lock.json` names, unless they are there.
fn install_packages() -> Result<()> {
    if packages().is_dir() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(node_folder());
    if !run::succeeds(&mut npm)? {
        bail!("`npm ci` in peers/node did not succeed; it needs a registry or a cache that has the packages");
    }
    Ok(())
}

fn node_folder() -> PathBuf {
    run::root().join("peers").join("node")
}

fn packages() -> PathBuf {
    node_folder().join("node_modules")
}

const NODE: &str = "20.19";
const NODE_IS_NEW_ENOUGH: &str = "const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)";

/// Some suites of a peer need the system's OpenSSL with its headers; without it they are not played.
fn command() -> Command {
    let has_openssl = run::is_there(Command::new("pkg-config").args(["--exists", "openssl"]));
    let features: &[&str] = if has_openssl { &["--features", "openssl"] } else { &["--no-default-features"] };
    run::cargo(&[&["run", "--package", "peers"], features, &["--"]].concat())
}
