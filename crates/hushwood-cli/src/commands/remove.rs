//! `hushwood remove`: a commit that removes members.

use clap::Args;
use hushwood::group::{CommitPlan, NewProposal};

use crate::args::Global;
use crate::commits::{self, Plan};
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output};
use crate::session::Session;

/// Remove members from a group: a commit
///
/// They can read nothing that is sent after it. To remove yourself, see `hushwood leave`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hushwood remove tea phone\n  hushwood remove tea leaf:3")]
pub(crate) struct Remove {
    /// The group
    name: GroupName,
    /// Who: a name, or leaf:N
    #[arg(required = true, value_name = "MEMBER")]
    members: Vec<String>,
    #[command(flatten)]
    folder: Folder,
}

impl Remove {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let report = commits::make(&mut session, &self.name, &self.folder, |room| {
            let leaves = self.members.iter().map(|member| room.member(member));
            let proposals = leaves.map(|leaf| leaf.map(NewProposal::Remove)).collect::<Result<_, _>>()?;
            Ok(Plan { commit: CommitPlan { proposals, ..CommitPlan::default() }, checks: Vec::new() })
        })?;
        output.finish("remove", &report)
    }
}
