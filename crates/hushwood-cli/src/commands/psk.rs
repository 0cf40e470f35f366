//! `hushwood psk`: keys that members share by another way.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hushwood::group::client;
use hushwood_crypto::Secret;

use crate::args::Global;
use crate::failure::Failure;
use crate::files;
use crate::output::{Output, Report};
use crate::session::Session;
use crate::text;

/// Keep keys that members share by another way
///
/// A pre-shared key that all members know, mixed in with `hushwood propose psk`, keeps out whoever does
/// not know it.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood psk add gate secret.key")]
pub(crate) struct PskCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(Add),
}

/// Add a key under a name, the same for all members
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood psk add gate secret.key\n  head -c 32 /dev/urandom | tee secret.key | hushwood psk add gate"
)]
struct Add {
    /// The key's name, which others see
    name: String,
    /// A file with the key, taken byte for byte; standard input by default
    file: Option<PathBuf>,
}

impl PskCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let Action::Add(add) = self.action;
        let key = Secret::new(files::read(add.file.as_deref())?);
        if key.len() < 16 {
            return Err(
                Failure::refused("a key shorter than 16 bytes can be guessed").advise("use 32 random bytes")
            );
        }
        let mut session = Session::open(global, output)?;
        session.home.retrying(|home| {
            let step = client::keep_psk(add.name.as_bytes(), &key)?;
            home.commit(step)
        })?;
        let shown = text::name(add.name.as_bytes());
        output.finish("psk add", &Report::new().line(format!("added the key `{shown}`")).fact("psk", shown))
    }
}
