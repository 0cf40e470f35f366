//! The commands, one file each.

pub(crate) mod completions;
mod identity;
mod inspect;

use clap::Subcommand;

use crate::args::{Cli, Global};
use crate::failure::Failure;
use crate::output::Output;

/// The commands, in the order in which they are needed.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Identity(identity::IdentityCommand),
    Inspect(inspect::Inspect),
    Completions(completions::Completions),
}

/// Runs the command and gives the exit code.
pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    let output = Output { json: cli.global.json };
    let global: &Global = &cli.global;
    match cli.command {
        Command::Identity(command) => command.run(global, output),
        Command::Inspect(command) => command.run(output),
        Command::Completions(command) => command.run(),
    }
}
