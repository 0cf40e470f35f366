//! `hushwood psk`: keys that members share by another way.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hushwood::group::client;
use hushwood::schedule::Psk;
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
    /// Replace another key of this name: what waits for that one can then not be received
    #[arg(long)]
    force: bool,
}

impl PskCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let Action::Add(add) = self.action;
        if add.name.is_empty() || add.name.len() > 1000 {
            return Err(Failure::usage("a key's name has 1 to 1000 bytes"));
        }
        let key = Secret::new(files::read(add.file.as_deref())?);
        if key.len() < 16 {
            return Err(
                Failure::refused("a key shorter than 16 bytes can be guessed").advise("use 32 random bytes")
            );
        }
        let mut session = Session::open(global, output)?;
        let psk = Psk::External { psk_id: add.name.as_bytes().to_vec() };
        session.home.retrying(|home| {
            let old = client::psk(&home.store, &psk)?;
            if !add.force && old.is_some_and(|old| !old.ct_eq(&key)) {
                return Err(Failure::refused("there is another key of this name already")
                    .advise("choose another name, or replace it with `--force`"));
            }
            let step = client::keep_psk(add.name.as_bytes(), &key)?;
            home.commit(step)
        })?;
        let shown = text::name(add.name.as_bytes());
        output.finish("psk add", &Report::new().line(format!("added the key `{shown}`")).fact("psk", shown))
    }
}
