//! `hushwood commit`: a commit of the proposals that wait.

use clap::Args;
use hushwood::framing::Sender;
use hushwood::group::{CommitPlan, PendingProposal};
use hushwood::proposal::Proposal;

use crate::args::Global;
use crate::commits::{self, Plan};
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output};
use crate::room::Room;
use crate::session::Session;

/// Commit the proposals that wait
///
/// Writes NAME-E.commit, E the epoch it ends. `hushwood group show NAME` lists what waits.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood commit tea")]
pub(crate) struct Commit {
    /// The group
    name: GroupName,
    /// Leave your own keys as they are where the proposals allow it: smaller, but a thief of them stays
    #[arg(long)]
    keep_keys: bool,
    #[command(flatten)]
    folder: Folder,
}

impl Commit {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let report = commits::make(&mut session, &self.name, &self.folder, |room| {
            if room.group.pending_proposals().next().is_none() {
                return Err(Failure::refused(format!("no proposals wait in `{}`", self.name))
                    .advise("to replace your own keys, use `hushwood update`"));
            }
            if room.group.pending_proposals().all(|pending| is_for_others(room, &pending)) {
                return Err(Failure::refused("nobody commits their own removal or update")
                    .advise("let another member commit it"));
            }
            let commit = CommitPlan { omit_path: self.keep_keys, ..CommitPlan::default() };
            Ok(Plan { commit, checks: Vec::new() })
        })?;
        output.finish("commit", &report)
    }
}

/// RFC 9420 §12.2, C262, C263: a committer neither removes itself nor covers an Update of its own.
fn is_for_others(room: &Room, pending: &PendingProposal<'_>) -> bool {
    let own = room.group.own_leaf();
    match pending.proposal {
        Proposal::Remove(remove) => remove.removed == own,
        Proposal::Update(_) => pending.sender == Sender::Member(own),
        _ => false,
    }
}
