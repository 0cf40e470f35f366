//! `hushwood branch` and `hushwood reinit`: a group that follows another.

use std::path::PathBuf;

use clap::Args;
use hushwood::group::Successor;
use hushwood::policy::Policy;

use crate::args::Global;
use crate::commits;
use crate::events;
use crate::failure::Failure;
use crate::names::{self, GroupName};
use crate::output::{Folder, Output, Report};
use crate::pins::Judge;
use crate::policy_args::PolicyArgs;
use crate::progress::Progress;
use crate::room::Room;
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
        let Session { home, identity } = &mut session;
        let (change, first_uses) = home.retrying(|home| {
            let mut rows = home.begin()?;
            names::check_free(home, &self.new)?;
            let room = Room::open(home, &self.name)?;
            let now = text::now();
            let checks: Vec<_> = packages.iter().map(|package| package.credential_check(now)).collect();
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
            let (_, change) = home.commit_named(step, rows, &self.new)?;
            Ok((change, first_uses))
        })?;
        drop(progress);
        let room = Room::open(&session.home, &self.new)?;
        let event = events::epoch_change(&room, &change)?;
        let report = first_uses.add_to(Report::new().line(format!("`{}` follows `{}`", self.new, self.name)));
        let report = event.add_to(report).fact("group", self.new.as_str()).fact("epoch", change.epoch);
        let report =
            commits::write_joiners_files(&mut session, (&self.new, 0), &self.folder, &change, report)?;
        let command = match kind {
            Kind::Branch => "branch",
            Kind::Reinit => "reinit",
        };
        output.finish(command, &report)
    }
}
