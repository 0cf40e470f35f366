//! `hushwood update`: a commit that replaces our own keys.

use clap::Args;
use hushwood::group::CommitPlan;

use crate::args::Global;
use crate::commits::{self, Plan};
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output};
use crate::session::Session;

/// Replace your own keys in a group: a commit
///
/// Whoever has stolen them reads nothing that is sent after it (post-compromise security). Worth doing
/// now and then, and after joining by a key package of last resort.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood update tea")]
pub(crate) struct Update {
    /// The group
    name: GroupName,
    #[command(flatten)]
    folder: Folder,
}

impl Update {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let report = commits::make(&mut session, &self.name, &self.folder, |_| {
            Ok(Plan { commit: CommitPlan::default(), checks: Vec::new() })
        })?;
        output.finish("update", &report)
    }
}
