//! `hushwood invite`: a commit that adds whoever made these key packages.

use std::path::PathBuf;

use clap::Args;
use hushwood::group::{CommitPlan, NewProposal};

use crate::args::Global;
use crate::commits::{self, Plan};
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output};
use crate::progress::Progress;
use crate::session::{self, Session};
use crate::text;

/// Invite others to a group: a commit, and a Welcome for them
///
/// Writes NAME-E.commit, E the epoch it ends, for the members. If you are the only member the change
/// applies at once and NAME-E.welcome is written too; else when you `accept` the commit, once the
/// transport has taken it and no other.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood invite tea phone.kp\n  hushwood invite tea *.kp --out /mnt/shared/tea"
)]
pub(crate) struct Invite {
    /// The group
    name: GroupName,
    /// Files with the key packages of those to be invited
    #[arg(required = true, value_name = "KEYPACKAGE")]
    key_packages: Vec<PathBuf>,
    /// One Welcome for each, instead of one for all
    #[arg(long)]
    each: bool,
    #[command(flatten)]
    folder: Folder,
}

impl Invite {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let packages = session::key_packages(&self.key_packages)?;
        let mut session = Session::open(global, output)?;
        let progress = Progress::start(output, "inviting");
        let report = commits::make(&mut session, &self.name, &self.folder, |_| {
            let now = text::now();
            let proposals =
                packages.iter().map(|package| NewProposal::Add(Box::new(package.clone()))).collect();
            let checks = packages.iter().map(|package| package.credential_check(now)).collect();
            let commit = CommitPlan { proposals, welcome_per_joiner: self.each, ..CommitPlan::default() };
            Ok(Plan { commit, checks })
        })?;
        drop(progress);
        output.finish("invite", &report)
    }
}
