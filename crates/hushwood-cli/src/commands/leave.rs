//! `hushwood leave`: a proposal to remove oneself.

use clap::Args;
use hushwood::group::NewProposal;

use crate::args::Global;
use crate::commands::propose;
use crate::failure::Failure;
use crate::home::Home;
use crate::names::GroupName;
use crate::output::{Destination, Output};
use crate::room::Room;

/// Propose to remove yourself from a group
///
/// Somebody else has to commit it; you stay a member until then.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood leave tea > bye")]
pub(crate) struct Leave {
    /// The group
    name: GroupName,
    #[command(flatten)]
    destination: Destination,
}

impl Leave {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let make = |_: &Home, room: &Room| Ok(NewProposal::Remove(room.group.own_leaf()));
        propose::make("leave", (global, output), &self.name, &self.destination, make)
    }
}
