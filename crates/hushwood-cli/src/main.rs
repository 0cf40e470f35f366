//! The program `hushwood`: end-to-end encrypted group conversations (RFC 9420) over any transport.
//!
//! One command, one process: state lives in a home folder, messages are files or pipes. What the
//! commands do is in `commands`, one file each; what they say in `output`, what goes wrong in `failure`.

mod advice;
mod anchors;
mod args;
mod certificates;
mod commands;
mod commits;
mod events;
mod failure;
mod files;
mod home;
mod identity;
mod inspect;
mod names;
mod output;
mod pins;
mod policy_args;
mod progress;
mod psks;
mod receiving;
mod room;
mod session;
mod suite_arg;
mod system;
mod text;
mod unlock;
mod words;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::failure::{EXIT_USAGE, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    let output = Output { json: cli.global.json };
    let code = commands::run(cli).unwrap_or_else(|failure| {
        output.fail(&failure);
        failure.exit_code()
    });
    ExitCode::from(code)
}

/// Help and version were asked for and succeed; anything else is wrong usage, told in the way the
/// caller reads.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ if json => {
            let rendered = error.render().to_string();
            // What is wrong may take several lines; usage and tips come after an empty one.
            let lines: Vec<_> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let sentence = lines.join(" ");
            let sentence = match error.kind() {
                // Then the help is what is shown to people.
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command or an argument is missing",
                _ => sentence.trim_start_matches("error: "),
            };
            let failure = Failure::usage(sentence).advise("see `hushwood --help`");
            Output { json }.fail(&failure);
            ExitCode::from(EXIT_USAGE)
        }
        _ => {
            let rendered = error.render().to_string();
            let shown = text::printable_lines(&rendered);
            // An argument may be the name of a file that somebody else has chosen (`hushwood receive *`).
            // Nothing is left to do if standard error is closed.
            let _ = match shown == rendered {
                true => error.print(),
                false => write!(std::io::stderr().lock(), "{shown}"),
            };
            ExitCode::from(EXIT_USAGE)
        }
    }
}
