//! The command line. Each command's own arguments stand in its file in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::commands::Command;

/// End-to-end encrypted group conversations over any transport (RFC 9420)
///
/// State lives in a home folder, sealed under a passphrase or a key file. Messages are files or pipes:
/// carry them by mail, a shared folder, a bulletin board. These commands open no network connection; `hushwood
/// serve` runs a delivery service, `hushwood bot` is a client of one, `hushwood demo --server` shows both.
#[derive(Debug, Parser)]
#[command(name = "hushwood", version, max_term_width = 100, after_help = EXAMPLE)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLE: &str = "\
Example: two homes on one machine
  export HUSHWOOD_PASSPHRASE=...
  hushwood --home a identity new desk
  hushwood --home b identity new phone
  hushwood --home b key-package > phone.kp
  hushwood --home a group create tea
  hushwood --home a invite tea phone.kp       # writes tea-0.commit and tea-0.welcome
  hushwood --home b join tea-0.welcome
  echo hello | hushwood --home a send tea > m1
  hushwood --home b receive m1                # desk: hello

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 wrong passphrase or locked home.";

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The folder that holds the state [env: HUSHWOOD_HOME] [default: where your data is kept, as in
    /// ~/.local/share/hushwood]
    #[arg(long, global = true, value_name = "DIR", help_heading = HEADING)]
    home: Option<PathBuf>,
    /// A file with the key of the home, `-` for standard input [env: HUSHWOOD_KEY_FILE] [default: a passphrase,
    /// from HUSHWOOD_PASSPHRASE or asked for]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    key_file: Option<PathBuf>,
    /// Print one JSON object; failures too, on standard error
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) json: bool,
}

const HEADING: &str = "Options of every command";

impl Global {
    /// The folder that was named.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.home.clone().or_else(|| from_environment("HUSHWOOD_HOME"))
    }

    /// The key file that was named. A passphrase in the environment is less than a key file there: whoever sets
    /// both means the file.
    pub(crate) fn key_file(&self) -> Option<PathBuf> {
        self.key_file.clone().or_else(|| from_environment("HUSHWOOD_KEY_FILE"))
    }
}

/// An empty variable is none, as in shells.
fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
