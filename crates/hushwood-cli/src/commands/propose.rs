//! `hushwood propose`: a change that somebody else may commit.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hushwood::error::Error;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender};
use hushwood::group::NewProposal;
use hushwood::proposal::{Proposal, ReInit};
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::version::ProtocolVersion;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, Random};

use crate::args::Global;
use crate::commits;
use crate::events;
use crate::failure::Failure;
use crate::home::Home;
use crate::identity::Identity;
use crate::names::GroupName;
use crate::output::{Destination, Output, Report};
use crate::pins::Judge;
use crate::psks;
use crate::room::Room;
use crate::session::{self, Session};
use crate::suite_arg::SuiteArg;
use crate::system::OsRandom;
use crate::text;

/// Propose a change that any member may commit
///
/// The proposal goes to standard output, for the other members to `receive`. Until it is committed,
/// nobody who has seen it can send.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood propose remove tea phone > p1\n  hushwood propose add tea pad.kp --out p2"
)]
pub(crate) struct Propose {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Add(Add),
    Update(Update),
    Remove(Remove),
    Psk(PskCommand),
    Reinit(Reinit),
    Context(Context),
}

/// Propose to add somebody
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood propose add tea phone.kp > p1")]
struct Add {
    /// The group
    name: GroupName,
    /// A file with their key package
    key_package: PathBuf,
    #[command(flatten)]
    destination: Destination,
}

/// Propose to replace your own keys
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood propose update tea > p1")]
struct Update {
    /// The group
    name: GroupName,
    #[command(flatten)]
    destination: Destination,
}

/// Propose to remove a member
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood propose remove tea phone > p1")]
struct Remove {
    /// The group
    name: GroupName,
    /// Who: a name, or leaf:N
    member: String,
    #[command(flatten)]
    destination: Destination,
}

/// Propose to mix a pre-shared key into the group's keys
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood propose psk tea gate > p1\n  hushwood propose psk tea --epoch 3 > p1"
)]
struct PskCommand {
    /// The group
    name: GroupName,
    /// The key's name, as every member has added it with `hushwood psk add`
    #[arg(required_unless_present = "epoch")]
    psk: Option<String>,
    /// A key of a past epoch of this group instead
    #[arg(long, conflicts_with = "psk")]
    epoch: Option<u64>,
    #[command(flatten)]
    destination: Destination,
}

/// Propose to replace the group by a new one, perhaps with another cipher suite
///
/// The group's extensions stay, except external senders whose keys do not fit the new suite.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood propose reinit tea --suite 7 > p1")]
struct Reinit {
    /// The group
    name: GroupName,
    /// The new group's cipher suite; the same by default
    #[arg(long)]
    suite: Option<SuiteArg>,
    #[command(flatten)]
    destination: Destination,
}

/// Propose other extensions of the group
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood propose context tea --external-sender bot.kp > p1\n  hushwood propose context tea --unset external_senders > p1\n  hushwood propose context tea --set 0xf123=cafe > p1"
)]
struct Context {
    /// The group
    name: GroupName,
    /// Let whoever made this key package propose from outside
    #[arg(long, value_name = "KEYPACKAGE")]
    external_sender: Vec<PathBuf>,
    /// An extension: its type as a number or a name, and its content in hexadecimal
    #[arg(long, value_name = "TYPE=HEX", value_parser = extension)]
    set: Vec<(ExtensionType, Vec<u8>)>,
    /// An extension's type to take away
    #[arg(long, value_name = "TYPE", value_parser = extension_type)]
    unset: Vec<ExtensionType>,
    #[command(flatten)]
    destination: Destination,
}

impl Propose {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let run = (global, output);
        match self.what {
            What::Add(command) => command.run(run),
            What::Update(Update { name, destination }) => {
                make("propose update", run, &name, &destination, |home, room| {
                    Ok(NewProposal::Update(Identity::load(home)?.leaf_update(&room.group)?))
                })
            }
            What::Remove(Remove { name, member, destination }) => {
                make("propose remove", run, &name, &destination, |_, room| {
                    room.member(&member).map(NewProposal::Remove)
                })
            }
            What::Psk(command) => command.run(run),
            What::Reinit(command) => command.run(run),
            What::Context(command) => command.run(run),
        }
    }
}

impl Add {
    fn run(self, run: (&Global, Output)) -> Result<u8, Failure> {
        let packages = session::key_packages(std::slice::from_ref(&self.key_package))?;
        let [package] = packages.as_slice() else {
            return Err(Failure::usage("a proposal adds one: name a file with one key package"));
        };
        make("propose add", run, &self.name, &self.destination, |_, _| {
            Ok(NewProposal::Add(Box::new(package.clone())))
        })
    }
}

impl PskCommand {
    fn run(self, run: (&Global, Output)) -> Result<u8, Failure> {
        make("propose psk", run, &self.name, &self.destination, |home, room| {
            let psk = match (self.epoch, &self.psk) {
                (Some(psk_epoch), _) => Psk::Resumption {
                    usage: ResumptionPskUsage::Application,
                    psk_group_id: room.group.group_id().to_vec(),
                    psk_epoch,
                },
                (None, Some(name)) => Psk::External { psk_id: name.as_bytes().to_vec() },
                (None, None) => return Err(Failure::usage("which key?")),
            };
            // Whoever proposes it must be able to follow the commit.
            psks::check(home, &psk)?;
            Ok(NewProposal::Psk(psk))
        })
    }
}

impl Reinit {
    fn run(self, run: (&Global, Output)) -> Result<u8, Failure> {
        make("propose reinit", run, &self.name, &self.destination, |_, room| {
            let random: &mut dyn Random = &mut OsRandom;
            let cipher_suite = self.suite.map_or(room.group.suite().id(), |suite| suite.0);
            let extensions = fitting(room.group.context().extensions.clone(), session::suite(cipher_suite)?)?;
            Ok(NewProposal::ReInit(ReInit {
                group_id: random.bytes(room.group.group_id().len().max(32)).map_err(Error::from)?,
                version: ProtocolVersion::MLS10,
                cipher_suite,
                extensions,
            }))
        })
    }
}

impl Context {
    fn run(self, run: (&Global, Output)) -> Result<u8, Failure> {
        if self.external_sender.is_empty() && self.set.is_empty() && self.unset.is_empty() {
            return Err(Failure::usage("nothing to change").advise("see `hushwood propose context --help`"));
        }
        let senders = session::key_packages(&self.external_sender)?;
        make("propose context", run, &self.name, &self.destination, |_, room| {
            let mut extensions: Extensions = room.group.context().extensions.clone();
            if !senders.is_empty() {
                let mut list = extensions.external_senders()?;
                list.extend(senders.iter().map(|package| {
                    let leaf = &package.key_package().leaf_node;
                    ExternalSender {
                        signature_key: leaf.signature_key.clone(),
                        credential: leaf.credential.clone(),
                    }
                }));
                extensions.set(ExtensionType::EXTERNAL_SENDERS, list.to_bytes().map_err(Error::from)?);
            }
            for (extension_type, data) in &self.set {
                extensions.set(*extension_type, data.clone());
            }
            for extension_type in &self.unset {
                extensions.remove(*extension_type);
            }
            Ok(NewProposal::GroupContextExtensions(extensions))
        })
    }
}

/// Extensions for a group of this suite: external senders whose keys are for another signature scheme would
/// keep everybody from joining it (RFC 9420 §12.1.8.1, C256).
fn fitting(mut extensions: Extensions, suite: &dyn CipherSuite) -> Result<Extensions, Failure> {
    let mut senders = extensions.external_senders()?;
    let number = senders.len();
    senders.retain(|sender| suite.signature().check_public_key(&sender.signature_key).is_ok());
    match senders.as_slice() {
        all if all.len() == number => {}
        [] => extensions.remove(ExtensionType::EXTERNAL_SENDERS),
        fewer => {
            extensions.set(ExtensionType::EXTERNAL_SENDERS, fewer.to_vec().to_bytes().map_err(Error::from)?);
        }
    }
    Ok(extensions)
}

/// Makes a proposal and writes it where it belongs.
pub(crate) fn make(
    command: &str,
    (global, output): (&Global, Output),
    name: &GroupName,
    destination: &Destination,
    proposal: impl Fn(&Home, &Room) -> Result<NewProposal<'static>, Failure>,
) -> Result<u8, Failure> {
    destination.check(output)?;
    let mut session = Session::open(global, output)?;
    let Session { home, identity, .. } = &mut session;
    let (outgoing, first_uses, what) = home.retrying(|home| {
        let mut room = Room::open_active(home, name)?;
        let proposal = proposal(home, &room)?;
        let (mut rows, now) = (home.begin()?, text::now());
        let judge = Judge::new(home);
        if let NewProposal::Add(package) = &proposal {
            judge.judge(&[package.credential_check(now)])?;
        }
        let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
        let signer = identity.signer(room.group.suite())?;
        let step = room.group.propose(proposal, b"", signer, now, &mut OsRandom)?;
        let outgoing = home.commit_with(step, rows)?;
        let what = match room.group.pending_proposals().last().map(|pending| pending.proposal) {
            Some(Proposal::Update(_)) => "replace your own keys".to_owned(),
            Some(Proposal::Remove(remove)) if remove.removed == room.group.own_leaf() => {
                "remove yourself".to_owned()
            }
            Some(proposal) => events::proposal(&room, proposal)?,
            None => String::new(),
        };
        Ok((outgoing, first_uses, what))
    })?;
    let report = first_uses.add_to(Report::new());
    let report = report
        .line(format!("you propose to {what} in `{name}`; it waits for a commit"))
        .fact("group", name.as_str())
        .fact("what", what);
    let written = destination.write(output, &outgoing.message, report);
    let report = written.map_err(|failure| failure.kept(name))?;
    commits::acknowledge(&mut session, name, &[outgoing])?;
    output.finish(command, &report)
}

fn extension_type(text: &str) -> Result<ExtensionType, String> {
    let known = [ExtensionType::REQUIRED_CAPABILITIES, ExtensionType::EXTERNAL_SENDERS];
    if let Some(known) = known.into_iter().find(|known| known.to_string() == text) {
        return Ok(known);
    }
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map(ExtensionType).map_err(|_| "a number such as 5 or 0xf001, or `external_senders`".to_owned())
}

fn extension(text: &str) -> Result<(ExtensionType, Vec<u8>), String> {
    let (extension_type_text, data) = text.split_once('=').ok_or("write TYPE=HEX")?;
    let data = text::from_hex(data).ok_or("the content is in hexadecimal")?;
    Ok((extension_type(extension_type_text)?, data))
}
