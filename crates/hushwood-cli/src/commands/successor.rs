//! `hushwood branch` and `hushwood reinit`: a group that follows another.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use hushwood::group::{Status, Successor};
use hushwood::key_package::ValidKeyPackage;
use hushwood::policy::Policy;
use hushwood::proposal::ReInit;

use crate::args::Global;
use crate::commits;
use crate::events::{self, Old};
use crate::failure::Failure;
use crate::names::{self, GroupName, Place};
use crate::output::{Folder, Output, Report};
use crate::pins::Judge;
use crate::policy_args::PolicyArgs;
use crate::progress::Progress;
use crate::room::{self, Room};
use crate::session::{self, Session};
use crate::system::{OsRandom, PROVIDER};
use crate::text;

/// Start a group with some members of another
///
/// Who joins it knows that all in it are members of the old group. Needs a fresh key package of each
/// member that is to come along; writes NEW-0.welcome.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood branch tea cake phone.kp")]
pub(crate) struct Branch {
    #[command(flatten)]
    successor: SuccessorArgs,
}

/// Start the group that replaces one that was reinitialised
///
/// First `hushwood propose reinit` and a commit of it end the old group. Then one member runs this, with
/// fresh key packages of all others, for the new group's cipher suite; writes NEW-0.welcome.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood reinit tea tea2 phone.kp pad.kp")]
pub(crate) struct Reinit {
    #[command(flatten)]
    successor: SuccessorArgs,
}

#[derive(Args, Debug)]
struct SuccessorArgs {
    /// The old group
    name: GroupName,
    /// The new group's name in this home
    new: GroupName,
    /// Files with key packages of those who come along
    #[arg(required = true, value_name = "KEYPACKAGE")]
    key_packages: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Clone, Copy)]
enum Kind {
    Branch,
    Reinit,
}

impl Branch {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        self.successor.run(Kind::Branch, global, output)
    }
}

impl Reinit {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        self.successor.run(Kind::Reinit, global, output)
    }
}

impl SuccessorArgs {
    fn run(self, kind: Kind, global: &Global, output: Output) -> Result<u8, Failure> {
        let packages = session::key_packages(&self.key_packages)?;
        let mut session = Session::open(global, output)?;
        self.folder.check(&[self.new.file(0, "welcome")])?;
        let progress = Progress::start(output, "starting the new group");
        let Session { home, identity, .. } = &mut session;
        let (change, first_uses) = home.retrying(|home| {
            let mut rows = home.begin()?;
            names::check_free(home, &self.new)?;
            let room = Room::open(home, &self.name)?;
            let now = text::now();
            let checks: Vec<_> = packages.iter().map(|package| package.credential_check(now)).collect();
            if let (Kind::Reinit, Status::Reinitialised(reinit)) = (kind, room.group.status()) {
                check_reinit(&room, reinit, &packages)?;
            }
            let judge = Judge::new(home);
            judge.judge(&checks)?;
            let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
            let content = identity.leaf_content();
            let mut successor = Successor::new(content.credential, content.supported, packages.clone());
            successor.policy = self.policy.apply(Policy::default());
            let suite = match kind {
                Kind::Branch => room.group.suite(),
                Kind::Reinit => session::suite(
                    packages
                        .first()
                        .map_or(room.group.suite().id(), |package| package.key_package().cipher_suite),
                )?,
            };
            let signer = identity.signer(suite)?;
            let step = match kind {
                Kind::Branch => room.group.branch(successor, signer, now, &mut OsRandom)?,
                Kind::Reinit => {
                    room.group.reinit((PROVIDER, &home.store), successor, signer, now, &mut OsRandom)?
                }
            };
            let (_, change) = home.commit_named(step, rows, &Place::new(self.new.clone()))?;
            Ok((change, first_uses))
        })?;
        drop(progress);
        let room = Room::open(&session.home, &self.new)?;
        let event = events::epoch_change(&room, &change, &Old::of(&room, None)?)?;
        let joiners = events::joiners(&room, &change)?;
        let report = first_uses.add_to(Report::new().line(format!("`{}` follows `{}`", self.new, self.name)));
        let report = event.add_to(report).fact("group", self.new.as_str()).fact("epoch", change.epoch);
        let report = commits::write_joiners_files(
            &mut session,
            (&self.new, 0),
            &self.folder,
            (&change, &joiners),
            report,
        )?;
        let command = match kind {
            Kind::Branch => "branch",
            Kind::Reinit => "reinit",
        };
        output.finish(command, &report)
    }
}

/// RFC 9420 §11.2, C226, C344: the new group has the suite that the old one's last commit says, and all of its
/// members. Nobody could join another.
fn check_reinit(room: &Room, reinit: &ReInit, packages: &[ValidKeyPackage]) -> Result<(), Failure> {
    let suite = reinit.cipher_suite;
    let way = format!("ask for one made with `hushwood key-package --suite {}`", suite.0);
    let mut coming = BTreeSet::new();
    for package in packages {
        let credential = &package.key_package().leaf_node.credential;
        let name = room::credential_name(credential);
        if package.key_package().cipher_suite != suite {
            let message = format!("the key package of {name} is not for {suite}, the new group's suite");
            return Err(Failure::refused(message).advise(way));
        }
        coming.insert(name);
    }
    let mut missing = Vec::new();
    for member in room.group.members() {
        let member = member?;
        let name = room::credential_name(&member.leaf.credential);
        if member.index != room.group.own_leaf() && !coming.contains(&name) {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the new group is for all members of `{}`; there is no key package of {}",
        room.name,
        text::list(&missing)
    );
    Err(Failure::refused(message).advise(way))
}
