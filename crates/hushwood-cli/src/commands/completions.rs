//! `hushwood completions`: completion of commands in shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::{self, Output, Report};

/// Print a script that makes a shell complete hushwood's commands
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  hushwood completions bash > ~/.local/share/bash-completion/completions/hushwood"
)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, output: Output) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hushwood", &mut script);
        if output.json {
            let script = String::from_utf8_lossy(&script).into_owned();
            return output.finish("completions", &Report::new().fact("script", script));
        }
        output::write_stdout(&script)?;
        Ok(0)
    }
}
