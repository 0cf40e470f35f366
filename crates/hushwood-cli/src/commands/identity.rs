//! `hushwood identity`: who this home is.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::Global;
use crate::certificates;
use crate::failure::Failure;
use crate::home::Home;
use crate::identity::Identity;
use crate::output::{Output, Report};
use crate::pins::NewPins;
use crate::session::Session;
use crate::text;
use crate::unlock;

/// Make or show who this home is
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hushwood --home a identity new desk\n  hushwood --home a identity show")]
pub(crate) struct IdentityCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(New),
    Show(Show),
    Renew(Renew),
    Unlock(Unlock),
}

/// Make a home with a new identity
///
/// The home is sealed under a passphrase (from HUSHWOOD_PASSPHRASE, else asked for twice) or the key in
/// --key-file, which is made if it is not there. Without it nothing can be read: there is no way back.
///
/// With a certificate, its names are yours: others accept you if they trust whoever issued it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood --home a identity new desk\n  hushwood --home a identity new --certificate chain.pem --certificate-key key.pem"
)]
struct New {
    /// The name that others see; they know you by it and by your safety number
    #[arg(required_unless_present = "certificate")]
    name: Option<String>,
    /// Instead of a name: a file with your X.509 certificate and those that lead from it to the root
    #[arg(long, value_name = "FILE", conflicts_with = "name", requires = "certificate_key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key (PKCS #8); it is copied into the home
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,
}

/// Show the identity of this home and its safety numbers
///
/// Read your safety number to others in person or by phone; they compare it with what
/// `hushwood verify GROUP YOU` shows them. Each signature scheme has a key and a number of its own.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood --home a identity show")]
struct Show {
    /// The numbers of all signature schemes, not only that of the default suite
    #[arg(long)]
    all: bool,
}

/// Show another certificate for the same key and names from now on
///
/// Each group has it with your next `hushwood update` there.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood identity renew --certificate chain.pem && hushwood update tea")]
struct Renew {
    /// A file with the new certificate and those that lead from it to the root
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

/// Change what opens this home
///
/// The new passphrase comes from HUSHWOOD_NEW_PASSPHRASE or is asked for twice. A copy that was made
/// before still opens with the old one.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood identity unlock\n  hushwood identity unlock --new-key-file home.key"
)]
struct Unlock {
    /// A key file instead of a passphrase; made if it is not there
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

impl IdentityCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        match self.action {
            Action::New(command) => command.run(global, output),
            Action::Show(command) => command.run(global, output),
            Action::Renew(command) => command.run(global, output),
            Action::Unlock(command) => command.run(global, output),
        }
    }
}

impl New {
    fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let identity = match (&self.name, &self.certificate, &self.certificate_key) {
            (None, Some(certificate), Some(key)) => {
                let chain = certificates::chain(certificate)?;
                certificates::check_not_expired(&chain, text::now())?;
                let key = certificates::key(key, &chain)?;
                Identity::certified(chain, key)
            }
            (Some(name), _, _) if (1..=1000).contains(&name.len()) => Identity::generate(name)?,
            _ => return Err(Failure::usage("a name has 1 to 1000 bytes")),
        };
        let place = Home::create(global, |home| {
            let mut rows = home.begin()?;
            identity.put(&mut rows)?;
            // Somebody else who shows our name is not us.
            let mut pins = NewPins::default();
            identity.claims().try_for_each(|claim| pins.add(&claim, true))?;
            pins.put(home, &mut rows)?;
            home.write(rows)
        })?;
        show("identity new", &place, &identity, false, output)
    }
}

impl Renew {
    fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let chain = certificates::chain(&self.certificate)?;
        certificates::check_not_expired(&chain, text::now())?;
        let mut home = Home::open(global, output)?;
        let identity = home.retrying(|home| {
            let mut rows = home.begin()?;
            let identity = Identity::load(home)?.renewed(chain.clone())?;
            identity.put(&mut rows)?;
            home.write(rows)?;
            Ok(identity)
        })?;
        output.remark("each group has it with your next `hushwood update` there");
        show("identity renew", &home.path, &identity, false, output)
    }
}

impl Show {
    fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let Session { home, identity, .. } = Session::open(global, output)?;
        show("identity show", &home.path, &identity, self.all, output)
    }
}

impl Unlock {
    fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut home = Home::open(global, output)?;
        home.change_unlock(&unlock::replacement(self.new_key_file.as_deref())?)?;
        let place = home.path.display().to_string();
        let line = format!("{place} opens with the new key only");
        output.finish("identity unlock", &Report::new().line(line).fact("home", place))
    }
}

fn show(command: &str, home: &Path, identity: &Identity, all: bool, output: Output) -> Result<u8, Failure> {
    let place = home.display().to_string();
    let mut report = Report::new()
        .line(format!("{}, at home in {place}", identity.name()))
        .fact("name", identity.name())
        .fact("home", place);
    let mut numbers = Vec::new();
    for (index, (suite, number)) in identity.numbers()?.into_iter().enumerate() {
        if all || index == 0 {
            report = report
                .line(format!("safety number ({}):", scheme_name(suite)))
                .line(format!("  {}", number.digits()))
                .line(format!("  {}", number.words()));
        }
        numbers.push(json!({
            "scheme": scheme_name(suite),
            "digits": number.digits(),
            "words": number.words(),
        }));
    }
    output.finish(command, &report.fact("safety_numbers", numbers))
}

/// The signature scheme of a suite: the last part of its name.
fn scheme_name(suite: hushwood_crypto::CipherSuiteId) -> String {
    let name = suite.to_string();
    text::printable(name.rsplit_once('_').map_or(name.as_str(), |(_, scheme)| scheme))
}
