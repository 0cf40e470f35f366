//! The commands, one file each.

pub(crate) mod completions;
pub(crate) mod inspect;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command and gives the exit code.
pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    let output = Output { json: cli.global.json };
    match cli.command {
        Command::Inspect(command) => command.run(output),
        Command::Completions(command) => command.run(),
    }
}
