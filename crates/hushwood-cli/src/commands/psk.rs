//! `hushwood psk`: keys that members share by another way.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hushwood::group::client;
use hushwood::schedule::Psk;
use hushwood::transition::{InstanceId, RecordKind, Records};
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
    List(List),
    Remove(Remove),
}

/// List the names of the keys
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood psk list")]
struct List {}

/// Erase a key
///
/// What was mixed into a group already stays in it; a commit that asks for the key can't be received any more.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood psk remove gate")]
struct Remove {
    /// The key's name
    name: String,
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
        let (command, report) = match self.action {
            Action::Add(add) => ("psk add", add.run(global, output)?),
            Action::List(List {}) => ("psk list", list(&Session::open(global, output)?)?),
            Action::Remove(remove) => ("psk remove", remove.run(&mut Session::open(global, output)?)?),
        };
        output.finish(command, &report)
    }
}

impl Add {
    fn run(self, global: &Global, output: Output) -> Result<Report, Failure> {
        if self.name.is_empty() || self.name.len() > 1000 {
            return Err(Failure::usage("a key's name has 1 to 1000 bytes"));
        }
        let key = Secret::new(files::read(self.file.as_deref())?);
        if key.len() < 16 {
            return Err(
                Failure::refused("a key shorter than 16 bytes can be guessed").advise("use 32 random bytes")
            );
        }
        let mut session = Session::open(global, output)?;
        session.home.retrying(|home| {
            let old = client::psk(&home.store, &psk(&self.name))?;
            if !self.force && old.is_some_and(|old| !old.ct_eq(&key)) {
                return Err(Failure::refused("there is another key of this name already")
                    .advise("choose another name, or replace it with `--force`"));
            }
            let step = client::keep_psk(self.name.as_bytes(), &key)?;
            home.commit(step)
        })?;
        let shown = text::name(self.name.as_bytes());
        Ok(Report::new().line(format!("added the key `{shown}`")).fact("psk", shown))
    }
}

impl Remove {
    fn run(self, session: &mut Session) -> Result<Report, Failure> {
        let shown = text::name(self.name.as_bytes());
        session.home.retrying(|home| {
            if client::psk(&home.store, &psk(&self.name))?.is_none() {
                return Err(Failure::refused(format!("there is no key `{shown}` here"))
                    .advise("see `hushwood psk list`"));
            }
            home.commit(client::forget_psk(self.name.as_bytes()))
        })?;
        Ok(Report::new().line(format!("erased the key `{shown}`")).fact("psk", shown))
    }
}

fn list(session: &Session) -> Result<Report, Failure> {
    let keys = session.home.store.list(InstanceId::CLIENT, RecordKind::ExternalPsk)?;
    let mut names: Vec<_> = keys.iter().map(|(name, _)| text::name(name)).collect();
    names.sort();
    let report = match names.is_empty() {
        true => Report::new().line("no keys; add one with `hushwood psk add NAME FILE`"),
        false => names.iter().fold(Report::new(), |report, name| report.line(name)),
    };
    Ok(report.fact("psks", names))
}

fn psk(name: &str) -> Psk {
    Psk::External { psk_id: name.as_bytes().to_vec() }
}
